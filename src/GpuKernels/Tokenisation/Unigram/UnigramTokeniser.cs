using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>Finds the best split of a piece (Viterbi), in time linear in its length: no step looks further than the longest piece. Used by one thread at a time.</summary>
internal sealed class UnigramTokeniser(UnigramModel model) : IPieceTokeniser
{
    /// <summary>The longest piece, in bytes. The best way to each character takes 24 bytes and each token 8, so that this is 512 MB.</summary>
    public const int MaximalBytes = 16 * 1024 * 1024;

    /// <summary>Scratch that is kept between pieces; what a longer one needed is given back.</summary>
    private const int KeptSteps = 64 * 1024;

    private const int Unreached = -1;

    private PieceCache? cache;
    private Step[] best = new Step[1024];
    private uint[] characters = new uint[1024];
    private int[] places = new int[1024];
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
        if (piece.Length > MaximalBytes)
        {
            throw new ArgumentException($"The text has a piece of {piece.Length} bytes without a place to split it; the limit is {MaximalBytes}. Split the text first.");
        }

        if (best.Length <= piece.Length || (best.Length > KeptSteps && piece.Length < KeptSteps))
        {
            best = new Step[Math.Max(piece.Length + 1, 1024)];
            characters = new uint[best.Length];
            places = new int[best.Length];
            ids = new int[best.Length];
            ends = new int[best.Length];
        }

        var count = WalkBack(piece, Search(piece));
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

    /// <summary>Fills in, for every character, the best way to reach it.</summary>
    /// <returns>How many characters there are.</returns>
    private int Search(ReadOnlySpan<byte> piece)
    {
        var count = 0;
        ref var character = ref MemoryMarshal.GetArrayDataReference(characters);
        ref var place = ref MemoryMarshal.GetArrayDataReference(places);
        ref var step = ref MemoryMarshal.GetArrayDataReference(best);
        for (var at = 0; at < piece.Length; count++)
        {
            Unsafe.Add(ref place, count) = at;
            Unsafe.Add(ref character, count) = Utf8Text.ScalarAt(piece, at, out var size);
            Unsafe.Add(ref step, count).Start = Unreached;
            at += size;
        }

        Unsafe.Add(ref place, count) = piece.Length;
        Unsafe.Add(ref step, count).Start = Unreached;
        step.Score = 0;
        var trie = model.Trie;
        ref var scores = ref MemoryMarshal.GetArrayDataReference(model.Scores);
        for (var start = 0; start < count; start++)
        {
            var scoreHere = Unsafe.Add(ref step, start).Score;
            var next = trie.First(Unsafe.Add(ref character, start));
            var at = start + 1;
            Offer(ref Unsafe.Add(ref step, at), (next.Id == PieceTrie.None ? model.UnknownScore : Unsafe.Add(ref scores, next.Id)) + scoreHere, start, next.Id == PieceTrie.None ? model.Unknown : next.Id);
            while (next.Node != PieceTrie.None && at < count)
            {
                next = trie.Next(next.Node, Unsafe.Add(ref character, at++));
                if (next.Id != PieceTrie.None) { Offer(ref Unsafe.Add(ref step, at), Unsafe.Add(ref scores, next.Id) + scoreHere, start, next.Id); }
            }
        }

        return count;
    }

    /// <summary>Of two ways that score the same the one that was found first stays: it begins earlier.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Offer(ref Step step, double score, int start, int id)
    {
        if (step.Start != Unreached && !(score > step.Score)) { return; }

        step.Score = score;
        step.Start = start;
        step.Id = id;
    }

    /// <summary>Writes ids and where each ends, the last first. Unknown characters that stand together are one.</summary>
    private int WalkBack(ReadOnlySpan<byte> piece, int characterCount)
    {
        var count = 0;
        for (var end = characterCount; end > 0;)
        {
            ref var step = ref best[end];
            var start = step.Start;
            if (step.Id != model.Unknown)
            {
                ids[count] = step.Id;
                ends[count++] = places[end];
                end = start;
                continue;
            }

            while (start > 0 && best[start].Id == model.Unknown) { start = best[start].Start; }

            AddUnknown(piece[places[start]..places[end]], places[end], ref count);
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

    private struct Step
    {
        public double Score;
        public int Start;
        public int Id;
    }
}
