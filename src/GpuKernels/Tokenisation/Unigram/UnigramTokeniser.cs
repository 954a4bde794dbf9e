using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>Finds the best split of a piece (Viterbi), in time linear in its length: no step looks further than the longest piece. Used by one thread at a time.</summary>
internal sealed class UnigramTokeniser(UnigramModel model) : IPieceTokeniser
{
    /// <summary>The longest piece, in bytes. The best way to each byte takes 16, so that this is 256 MB.</summary>
    public const int MaximalBytes = 16 * 1024 * 1024;

    /// <summary>Scratch that is kept between pieces; what a longer one needed is given back.</summary>
    private const int KeptSteps = 64 * 1024;

    private const int Unreached = -1;

    private readonly PieceCache cache = new();
    private Step[] best = new Step[1024];
    private int[] ids = new int[1024];
    private int[] ends = new int[1024];

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        ref var first = ref MemoryMarshal.GetReference(piece);
        if (!tokens.WantsOffsets && cache.Find(ref first, 0, piece.Length, piece.Length) is { Length: > 0 } known)
        {
            tokens.AddAll(known);
            return;
        }

        if (piece.Length > MaximalBytes)
        {
            throw new ArgumentException($"The text has a piece of {piece.Length} bytes without a place to split it; the limit is {MaximalBytes}. Split the text first.");
        }

        if (best.Length <= piece.Length || (best.Length > KeptSteps && piece.Length < KeptSteps))
        {
            best = new Step[Math.Max(piece.Length + 1, 1024)];
            ids = new int[best.Length];
            ends = new int[best.Length];
        }

        Search(piece);
        var count = WalkBack(piece);
        if (!tokens.WantsOffsets)
        {
            var made = ids.AsSpan(0, count);
            made.Reverse();
            tokens.AddAll(made);
            cache.Add(ref first, 0, piece.Length, piece.Length, made);
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

    /// <summary>Fills in, for every byte, the best way to reach it.</summary>
    private void Search(ReadOnlySpan<byte> piece)
    {
        var steps = best.AsSpan(0, piece.Length + 1);
        foreach (ref var step in steps) { step.Start = Unreached; }

        steps[0].Score = 0;
        var trie = model.Trie;
        var scores = model.Scores;
        for (var start = 0; start < piece.Length;)
        {
            var scoreHere = steps[start].Score;
            var size = Utf8Text.SizeAt(piece, start);
            var hasOne = false;
            var node = PieceTrie.Root;
            for (var at = start; at < piece.Length;)
            {
                node = trie.Child(node, piece[at++]);
                if (node == PieceTrie.None) { break; }

                var id = trie.IdAt(node);
                if (id == PieceTrie.None) { continue; }

                Offer(ref steps[at], scores[id] + scoreHere, start, id);
                hasOne |= at - start == size;
            }

            if (!hasOne) { Offer(ref steps[start + size], model.UnknownScore + scoreHere, start, model.Unknown); }

            start += size;
        }
    }

    /// <summary>Of two ways that score the same the one that was found first stays: it begins earlier.</summary>
    private static void Offer(ref Step step, double score, int start, int id)
    {
        if (step.Start != Unreached && !(score > step.Score)) { return; }

        step.Score = score;
        step.Start = start;
        step.Id = id;
    }

    /// <summary>Writes ids and where each ends, the last first. Unknown characters that stand together are one.</summary>
    private int WalkBack(ReadOnlySpan<byte> piece)
    {
        var count = 0;
        for (var end = piece.Length; end > 0;)
        {
            ref var step = ref best[end];
            var start = step.Start;
            if (step.Id != model.Unknown)
            {
                ids[count] = step.Id;
                ends[count++] = end;
                end = start;
                continue;
            }

            while (start > 0 && best[start].Id == model.Unknown) { start = best[start].Start; }

            AddUnknown(piece[start..end], end, ref count);
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
