using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>Finds the best split of a piece (Viterbi), in time linear in its length: no step looks further than the longest piece. Used by one thread at a time.</summary>
internal sealed class UnigramTokeniser(UnigramModel model) : IPieceTokeniser
{
    /// <summary>The longest piece, in bytes. A character, its code and the best way to it take 24 bytes and each token 8, so that this is 512 MB.</summary>
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
        var read = Read(piece);
        read.FindCodes(read.Length);
        SplitRead(piece, tokens);
    }

    /// <summary>Reads a piece, which may be split when the codes of its characters are given.</summary>
    public PieceLattice Read(ReadOnlySpan<byte> piece)
    {
        if (piece.Length > MaximalBytes)
        {
            throw new ArgumentException($"The text has a piece of {piece.Length} bytes without a place to split it; the limit is {MaximalBytes}. Split the text first.");
        }

        lattice.Read(piece, KeptBytes);
        return lattice;
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

        var from = WalkBack(piece, tokens.WantsOffsets);
        if (!tokens.WantsOffsets)
        {
            tokens.AddAll(ids.AsSpan(from));
            return;
        }

        var start = 0;
        for (var i = from; i < ids.Length; i++)
        {
            // All the bytes that a run of unknown characters fell back to stand for the whole of it.
            tokens.Add(ids[i], start, ends[i]);
            if (i + 1 < ids.Length && ends[i + 1] != ends[i]) { start = ends[i]; }
        }
    }

    /// <summary>Writes ids, and where each ends if that is wanted, from the last to the first and to the end of the scratch. Unknown characters that stand together are one.</summary>
    /// <returns>Where the first is.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private int WalkBack(ReadOnlySpan<byte> piece, bool withEnds)
    {
        var at = ids.Length;
        var trie = model.Trie;
        var unknown = model.Unknown;
        ref readonly var last = ref MemoryMarshal.GetReference(lattice.Steps);
        ref var to = ref MemoryMarshal.GetArrayDataReference(ids);
        var offsets = lattice.Offsets;
        for (nint end = lattice.Length; end > 0;)
        {
            // A way has no more pieces than the text has bytes, for which there is room.
            var step = Unsafe.Add(ref Unsafe.AsRef(in last), end);
            var id = trie.IdAt(step.Place);
            var start = (int)end - step.Length;
            if (id != unknown || (model.ByteIds is null && !IsUnknown(start)))
            {
                // An unknown character alone is the unknown piece, whether there is a piece of it or not.
                Unsafe.Add(ref to, --at) = id;
                if (withEnds) { ends[at] = offsets[(int)end]; }

                end = start;
                continue;
            }

            while (IsUnknown(start)) { start -= lattice.Steps[start].Length; }

            AddUnknown(piece[offsets[start]..offsets[(int)end]], offsets[(int)end], ref at);
            end = start;
        }

        return at;
    }

    /// <summary>Whether the best way to the place ends with an unknown character.</summary>
    private bool IsUnknown(int end) => end > 0 && model.Trie.IdAt(lattice.Steps[end].Place) == model.Unknown;

    private void AddUnknown(ReadOnlySpan<byte> run, int end, ref int at)
    {
        if (model.Trie.TryGetId(run, out var id) || !TryFallBack(run, end, ref at))
        {
            ids[--at] = id == PieceTrie.None ? model.Unknown : id;
            ends[at] = end;
        }
    }

    private bool TryFallBack(ReadOnlySpan<byte> run, int end, ref int at)
    {
        if (model.ByteIds is not { } byteIds) { return false; }

        foreach (var value in run)
        {
            if (byteIds[value] == PieceTrie.None) { return false; }
        }

        for (var i = run.Length - 1; i >= 0; i--)
        {
            ids[--at] = byteIds[run[i]];
            ends[at] = end;
        }

        return true;
    }
}
