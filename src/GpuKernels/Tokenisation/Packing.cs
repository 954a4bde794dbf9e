namespace Platform.GpuKernels.Tokenisation;

/// <summary>One call of <see cref="Tokeniser.Pack"/>: threads take runs of texts, each into room of its own, which is then copied together.</summary>
internal sealed class Packing(Tokeniser tokeniser, IReadOnlyList<ReadOnlyMemory<byte>> texts, PackedTokens into, EncodeOptions options, int threads)
{
    /// <summary>A run has at least this many bytes, so that handing it out costs nothing beside it.</summary>
    private const int LeastRunBytes = 64 * 1024;

    private readonly List<(int First, int Count)> runs = [];
    private int[] counts = [];

    public void Run()
    {
        Divide();
        counts = new int[texts.Count];
        var made = new TokenSink[runs.Count];
        if (threads == 1 || runs.Count == 1)
        {
            for (var run = 0; run < runs.Count; run++) { made[run] = Encode(runs[run]); }
        }
        else { Parallel.For(0, runs.Count, new ParallelOptions { MaxDegreeOfParallelism = threads }, run => made[run] = Encode(runs[run])); }

        counts.CopyTo(into.Begin(texts.Count));
        Span<int> room = into.Lay();
        foreach (var sink in made)
        {
            sink.Ids.CopyTo(room);
            room = room[sink.Count..];
            tokeniser.GiveBack(sink);
        }
    }

    /// <summary>Into some four runs a thread, equal in bytes, so that one slow run does not keep the others waiting.</summary>
    private void Divide()
    {
        var bytes = 0L;
        for (var i = 0; i < texts.Count; i++) { bytes += texts[i].Length; }

        var each = threads == 1 ? long.MaxValue : Math.Max(LeastRunBytes, bytes / (threads * 4));
        var (first, size) = (0, 0L);
        for (var i = 0; i < texts.Count; i++)
        {
            size += texts[i].Length;
            if (size < each && i < texts.Count - 1) { continue; }

            runs.Add((first, i + 1 - first));
            (first, size) = (i + 1, 0);
        }
    }

    private TokenSink Encode((int First, int Count) run)
    {
        var worker = tokeniser.Borrow();
        var sink = tokeniser.BorrowSink();
        for (var i = run.First; i < run.First + run.Count; i++)
        {
            var before = sink.Count;
            tokeniser.Ids(worker, texts[i].Span, options, sink);
            counts[i] = sink.Count - before;
        }

        tokeniser.GiveBack(worker);
        return sink;
    }
}
