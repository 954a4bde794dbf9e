using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>Turns pieces into tokens by byte-level BPE, and whole texts by a pattern. Used by one thread at a time.</summary>
internal sealed class BytePairEncoder(BytePairVocabulary vocabulary) : IPieceTokeniser
{
    private readonly PairMerger merger = new(vocabulary.Merges);
    private readonly BoundaryEncoder? boundaries = vocabulary.Splits is { } splits ? new(splits) : null;
    private readonly PieceCache cache = new();

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        ref var first = ref MemoryMarshal.GetReference(piece);
        if (!tokens.WantsOffsets)
        {
            tokens.AddAll(Tokens(ref first, 0, piece.Length, piece.Length));
            return;
        }

        var ids = Merge(ref first, 0, piece.Length, piece.Length);
        var end = 0;
        for (var i = 0; i < ids.Length; i++)
        {
            var start = end;
            end = i + 1 == ids.Length ? piece.Length : vocabulary.Splits is { } splits ? start + splits.Length(ids[i]) : merger.Positions[i + 1];
            tokens.Add(ids[i], start, end);
        }
    }

    /// <summary>How many tokens <paramref name="text"/> has (valid UTF-8).</summary>
    public int Count<TPattern>(ReadOnlySpan<byte> text)
        where TPattern : struct, IPiecePattern
    {
        ref var first = ref MemoryMarshal.GetReference(text);
        var count = 0;
        for (var start = 0; start < text.Length;)
        {
            var end = TPattern.End(ref first, start, text.Length);
            count += Tokens(ref first, start, end, text.Length).Length;
            start = end;
        }

        return count;
    }

    /// <summary>Adds the tokens of <paramref name="text"/> (valid UTF-8), without offsets.</summary>
    public void Encode<TPattern>(ReadOnlySpan<byte> text, TokenSink tokens)
        where TPattern : struct, IPiecePattern
    {
        const int Room = 1024;
        ref var first = ref MemoryMarshal.GetReference(text);
        var room = tokens.Reserve(Room);
        var used = 0;
        for (var start = 0; start < text.Length;)
        {
            var end = TPattern.End(ref first, start, text.Length);
            var ids = Tokens(ref first, start, end, text.Length);
            start = end;
            if (room.Length - used < Math.Max(ids.Length, Vector256<int>.Count))
            {
                tokens.Advance(used);
                room = tokens.Reserve(Math.Max(Room, ids.Length));
                used = 0;
            }

            // Eight at a time: an entry of the cache and the merger's scratch both have as many to be read.
            if (ids.Length <= Vector256<int>.Count)
            {
                Vector256.LoadUnsafe(ref MemoryMarshal.GetReference(ids)).StoreUnsafe(ref MemoryMarshal.GetReference(room), (nuint)used);
            }
            else { ids.CopyTo(room[used..]); }

            used += ids.Length;
        }

        tokens.Advance(used);
    }

    /// <summary>The tokens of the piece from <paramref name="start"/> to <paramref name="end"/>, to be read before the next call.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ReadOnlySpan<int> Tokens(ref byte text, int start, int end, int length)
    {
        var known = cache.Find(ref text, start, end - start, length);
        return known.Length > 0 ? known : Merge(ref text, start, end - start, length);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ReadOnlySpan<int> Merge(ref byte text, int start, int count, int length)
    {
        var piece = MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref text, start), count);
        var symbols = merger.Begin(count);
        if (vocabulary.UnmadePieces is { } whole && whole.TryGetId(piece, out var id))
        {
            symbols[0] = id;
            count = 1;
        }
        else if (boundaries?.Encode(ref Unsafe.Add(ref text, start), count, symbols) is { } made and > 0) { count = made; }
        else
        {
            var ids = vocabulary.ByteIds;
            for (var i = 0; i < piece.Length; i++) { symbols[i] = ids[piece[i]]; }

            count = merger.Merge(count);
        }

        var tokens = merger.Symbols[..count];
        cache.Add(ref text, start, piece.Length, length, tokens);
        return tokens;
    }
}
