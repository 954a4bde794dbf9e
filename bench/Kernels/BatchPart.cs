using System.Diagnostics;
using System.Text.Json;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Batching;

namespace Platform.Kernels;

/// <summary>
/// Callers that each wait for the vector of one text before they ask for the next, on all cores, MiniLM-L6's shape (random weights), texts of 8 to 64 tokens: gathered by
/// <see cref="EmbeddingBatcher"/>, each with a call of its own at the same time as the others', and one call at a time.
/// </summary>
internal static class BatchPart
{
    private const int Words = 4_000;
    private static readonly TimeSpan Warm = TimeSpan.FromSeconds(0.5), Measured = TimeSpan.FromSeconds(3);

    public static void Measure(TextWriter output)
    {
        var directory = Directory.CreateTempSubdirectory("batch-").FullName;
        try
        {
            EncodePart.Write(directory);
            var vocabulary = Enumerable.Range(0, Words).ToDictionary(word => word == 0 ? "[UNK]" : $"w{word}", word => word);
            File.WriteAllText(Path.Combine(directory, "tokenizer.json"), JsonSerializer.Serialize(new
            {
                pre_tokenizer = new { type = "WhitespaceSplit" },
                model = new { type = "WordPiece", unk_token = "[UNK]", continuing_subword_prefix = "##", max_input_chars_per_word = 100, vocab = vocabulary },
            }));
            using var model = EmbeddingModel.Load(directory);
            var random = new Random(3);
            string[] texts = [.. Enumerable.Range(0, 1_000).Select(_ => string.Join(' ', Enumerable.Range(0, random.Next(8, 65)).Select(_ => $"w{random.Next(1, Words)}")))];
            output.WriteLine($"batch: texts of 8 to 64 tokens, one a request, {Environment.ProcessorCount} cores");
            foreach (var callers in (int[])[1, 8, 64])
            {
                using var turn = new SemaphoreSlim(1);
                var alone = Run(callers, texts, async text =>
                {
                    await turn.WaitAsync();
                    try { model.Embed([text], EmbeddingPurpose.Query, CancellationToken.None); }
                    finally { turn.Release(); }
                });
                var own = Run(callers, texts, text => Task.Run(() => model.Embed([text], EmbeddingPurpose.Query, CancellationToken.None)));
                var batcher = new EmbeddingBatcher(model);
                var together = Run(callers, texts, text => batcher.Embed([text], EmbeddingPurpose.Query, CancellationToken.None));
                batcher.DisposeAsync().AsTask().GetAwaiter().GetResult();
                var status = batcher.Status;
                Print(output, callers, "one call at a time", alone, alone, "");
                Print(output, callers, "calls of their own", own, alone, "");
                Print(output, callers, "gathered", together, alone, $", {(double)status.Texts / status.Batches:F1} texts a batch");
            }
        }
        finally { Directory.Delete(directory, recursive: true); }
    }

    private static void Print(TextWriter output, int callers, string name, Figures figures, Figures peer, string more) => output.WriteLine(
        $"  {callers,2} callers, {name,-20}{figures.PerSecond,7:F0} texts/s  median {figures.Median,7:F1} ms, 99 of 100 within {figures.Slow,7:F1} ms  {figures.PerSecond / peer.PerSecond:F2} times one at a time, median {figures.Median / peer.Median:F2} of it{more}");

    private static Figures Run(int callers, string[] texts, Func<string, Task> embed)
    {
        var start = Stopwatch.GetTimestamp();
        var next = -1;
        async Task<List<double>> Call()
        {
            var waits = new List<double>();
            while (Stopwatch.GetElapsedTime(start) is var since && since < Warm + Measured)
            {
                var asked = Stopwatch.GetTimestamp();
                await embed(texts[Interlocked.Increment(ref next) % texts.Length]);
                if (since >= Warm) { waits.Add(Stopwatch.GetElapsedTime(asked).TotalMilliseconds); }
            }

            return waits;
        }

        var lists = Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(Call))).GetAwaiter().GetResult();
        var seconds = (Stopwatch.GetElapsedTime(start) - Warm).TotalSeconds;
        double[] sorted = [.. lists.SelectMany(list => list).Order()];
        return new Figures(sorted.Length / seconds, sorted[sorted.Length / 2], sorted[sorted.Length * 99 / 100]);
    }

    /// <param name="Median">In milliseconds, as <paramref name="Slow"/>: 99 of 100 are not slower.</param>
    private sealed record Figures(double PerSecond, double Median, double Slow);
}
