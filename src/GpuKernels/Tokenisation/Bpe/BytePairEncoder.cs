using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>Turns pieces into tokens by byte-level BPE and remembers what short pieces became. Used by one thread at a time.</summary>
internal sealed class BytePairEncoder
{
    /// <summary>1 MiB: half of a core's second-level cache, and the words that make up nearly all of a text.</summary>
    private const int CacheEntries = 16 * 1024;

    private readonly BytePairVocabulary vocabulary;
    private readonly PairMerger merger;
    private readonly Entry[] cache = GC.AllocateArray<Entry>(CacheEntries, pinned: true);

    public BytePairEncoder(BytePairVocabulary vocabulary)
    {
        this.vocabulary = vocabulary;
        merger = new PairMerger(vocabulary.Merges);
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
            if (room.Length - used < Math.Max(ids.Length, Entry.MaximalTokens + 1))
            {
                tokens.Advance(used);
                room = tokens.Reserve(Math.Max(Room, ids.Length));
                used = 0;
            }

            // Eight at a time: an entry of the cache and the merger's scratch both have as many to be read.
            if (ids.Length <= Entry.MaximalTokens)
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
    public ReadOnlySpan<int> Tokens(ref byte text, int start, int end, int length)
    {
        var count = end - start;
        if (count <= Entry.MaximalBytes)
        {
            var key = KeyOf(ref text, start, count, length);
            ref var entry = ref EntryOf(key);
            if (entry.Key == key && entry.Length == count) { return MemoryMarshal.CreateReadOnlySpan(ref entry.FirstToken, entry.Count); }
        }

        return Merge(ref text, start, count, length);
    }

    /// <summary>As <see cref="Tokens"/>, with the place in the piece where each begins.</summary>
    public ReadOnlySpan<int> TokensAndStarts(ReadOnlySpan<byte> piece, out ReadOnlySpan<int> starts)
    {
        var tokens = Merge(ref MemoryMarshal.GetReference(piece), 0, piece.Length, piece.Length);
        starts = merger.Positions;
        return tokens;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ReadOnlySpan<int> Merge(ref byte text, int start, int count, int length)
    {
        var piece = MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref text, start), count);
        int tokens;
        var symbols = merger.Begin(count);
        if (vocabulary.WholePieces is { } whole && whole.TryGetId(piece, out var id))
        {
            symbols[0] = id;
            tokens = merger.Merge(1);
        }
        else
        {
            var ids = vocabulary.ByteIds;
            for (var i = 0; i < piece.Length; i++) { symbols[i] = ids[piece[i]]; }

            tokens = merger.Merge(count);
        }

        if (count <= Entry.MaximalBytes && tokens <= Entry.MaximalTokens)
        {
            var key = KeyOf(ref text, start, count, length);
            ref var entry = ref EntryOf(key);
            entry.Key = key;
            entry.Length = (byte)count;
            entry.Count = (byte)tokens;
            merger.Symbols[..tokens].CopyTo(MemoryMarshal.CreateSpan(ref entry.FirstToken, Entry.MaximalTokens));
        }

        return merger.Symbols[..tokens];
    }

    /// <summary>The piece's bytes and zeros after them. What follows the piece in the text is read too where that is in bounds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> KeyOf(ref byte text, int start, int count, int length)
    {
        if (start + Vector256<byte>.Count > length) { return KeyAtEnd(ref text, start, count); }

        var bytes = Vector256.LoadUnsafe(ref text, (nuint)start);
        return bytes & Vector256.GreaterThan(Vector256.Create((byte)count), Vector256<byte>.Indices);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector256<byte> KeyAtEnd(ref byte text, int start, int count)
    {
        Span<byte> padded = stackalloc byte[Vector256<byte>.Count];
        padded.Clear();
        MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref text, start), count).CopyTo(padded);
        return Vector256.Create<byte>(padded);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Entry EntryOf(Vector256<byte> key)
    {
        var folded = (key.GetLower() ^ key.GetUpper()).AsUInt64();
        var hash = (folded[0] * 0x9E3779B97F4A7C15) + (folded[1] * 0xC2B2AE3D27D4EB4F);
        return ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(cache), (nint)(hash >> (64 - 14)));
    }

    /// <summary>64 bytes. The length is kept beside the key since a piece may end in zero bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public const int MaximalBytes = 32;
        public const int MaximalTokens = 7;

        public Vector256<byte> Key;
        public int FirstToken;
        public Others Rest;
        public byte Length;
        public byte Count;

        [InlineArray(MaximalTokens - 1)]
        public struct Others
        {
            private int first;
        }
    }
}
