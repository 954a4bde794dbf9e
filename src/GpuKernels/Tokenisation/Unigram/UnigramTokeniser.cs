using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>Finds the best split of a piece (Viterbi), in time linear in its length: no step looks further than the longest piece. Used by one thread at a time.</summary>
internal sealed class UnigramTokeniser(UnigramModel model) : IPieceTokeniser
{
    /// <summary>The longest piece, in bytes. The best way to each character takes 24 bytes and each token 8, so that this is 512 MB.</summary>
    public const int MaximalBytes = 16 * 1024 * 1024;

    /// <summary>Scratch that is kept between pieces is for so many bytes; what a longer one needed is given back.</summary>
    private const int KeptBytes = 64 * 1024;

    private readonly PieceLattice lattice = new(model);
    private PieceCache? cache;
    private int[] ids = new int[1024];
    private int[] ends = new int[1024];

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        ref var first = ref MemoryMarshal.GetReference(piece);
        if (tokens.WantsOffsets)
        {
            Split(piece, tokens);
            return;
        }

        cache ??= new();
        if (cache.Find(ref first, 0, piece.Length, piece.Length) is { Length: > 0 } known)
        {
            tokens.AddAll(known);
            return;
        }

        var before = tokens.Count;
        Split(piece, tokens);
        cache.Add(ref first, 0, piece.Length, piece.Length, tokens.Ids[before..]);
    }

    /// <summary>As <see cref="Tokenise"/>, without looking whether the piece was met before.</summary>
    public void Split(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        Read(piece);
        SplitRead(piece, tokens);
    }

    /// <summary>The characters of a piece, which may then be split.</summary>
    public ReadOnlySpan<uint> Read(ReadOnlySpan<byte> piece)
    {
        if (piece.Length > MaximalBytes)
        {
            throw new ArgumentException($"The text has a piece of {piece.Length} bytes without a place to split it; the limit is {MaximalBytes}. Split the text first.");
        }

        lattice.Read(piece, KeptBytes);
        return lattice.Characters;
    }

    /// <summary>Splits the piece that was read last.</summary>
    public void SplitRead(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        lattice.Search();
        if (ids.Length < piece.Length || (ids.Length > KeptBytes && piece.Length < KeptBytes))
        {
            ids = new int[Math.Max(piece.Length, 1024)];
            ends = new int[ids.Length];
        }

        var count = WalkBack(piece);
        if (!tokens.WantsOffsets)
        {
            var made = ids.AsSpan(0, count);
            made.Reverse();
            tokens.AddAll(made);
            return;
        }

        var start = 0;
        for (var i = count - 1; i >= 0; i--)
        {
            // All the bytes that a run of unknown characters fell back to stand for the whole of it.
            tokens.Add(ids[i], start, ends[i]);
            if (i > 0 && ends[i - 1] != ends[i]) { start = ends[i]; }
        }
    }

    /// <summary>Writes ids and where each ends, the last first. Unknown characters that stand together are one.</summary>
    private int WalkBack(ReadOnlySpan<byte> piece)
    {
        var count = 0;
        var steps = lattice.Steps;
        var offsets = lattice.Offsets;
        for (var end = lattice.Length; end > 0;)
        {
            ref readonly var step = ref steps[end];
            var start = step.Start;
            if (step.Id != model.Unknown)
            {
                ids[count] = step.Id;
                ends[count++] = offsets[end];
                end = start;
                continue;
            }

            while (start > 0 && steps[start].Id == model.Unknown) { start = steps[start].Start; }

            AddUnknown(piece[offsets[start]..offsets[end]], offsets[end], ref count);
            end = start;
        }

        return count;
    }

    private void AddUnknown(ReadOnlySpan<byte> run, int end, ref int count)
    {
        if (model.Trie.TryGetId(run, out var id) || !TryFallBack(run, end, ref count))
        {
            ids[count] = id == PieceTrie.None ? model.Unknown : id;
            ends[count++] = end;
        }
    }

    private bool TryFallBack(ReadOnlySpan<byte> run, int end, ref int count)
    {
        if (model.ByteIds is not { } byteIds) { return false; }

        foreach (var value in run)
        {
            if (byteIds[value] == PieceTrie.None) { return false; }
        }

        for (var i = run.Length - 1; i >= 0; i--)
        {
            ids[count] = byteIds[run[i]];
            ends[count++] = end;
        }

        return true;
    }
}
