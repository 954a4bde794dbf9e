using System.Diagnostics;
using System.Text;
using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Segments;

/// <summary>A million chunks of synthetic text with vectors: how long they take to index, to save, to open and to search, and what memory each takes.</summary>
internal static class SearchMillionPart
{
    private const int Documents = 1_000_000, Portion = 50_000, Dimensions = 384, Words = 100, Vocabulary = 300_000, Queries = 40;

    public static void Measure(TextWriter output)
    {
        var folder = Directory.CreateTempSubdirectory("platform-search-").FullName;
        try { Measure(output, folder); }
        finally { Directory.Delete(folder, recursive: true); }
    }

    private static void Measure(TextWriter output, string folder)
    {
        var settings = new IndexSettings { Dimensions = Dimensions };
        var random = new Random(1);
        var (folding, saving, opening) = (new Stopwatch(), new Stopwatch(), new Stopwatch());
        using (var index = HybridIndex.Open(folder, settings))
        {
            for (var at = 0; at < Documents; at += Portion)
            {
                var documents = Enumerable.Range(at, Portion).Select(number => new IndexDocument(new Guid(number, 0, 0, new byte[8]), Text(random, Words)) { Vector = Vector(random), Tags = [$"source:{number % 100}"] }).ToArray();
                folding.Start();
                index.Apply(documents, [], at + Portion);
                folding.Stop();
                saving.Start();
                index.Save();
                saving.Stop();
            }

            folding.Start();
            index.Compact();
            folding.Stop();
            saving.Start();
            index.Save();
            saving.Stop();
        }

        opening.Start();
        using var opened = HybridIndex.Open(folder, settings);
        using var reader = opened.OpenReader();
        opening.Stop();
        output.WriteLine($"search-million: {Documents:N0} chunks of {Words} words (a vocabulary of {Vocabulary:N0}, by Zipf) and {Dimensions} dimensions, folded in portions of {Portion:N0}");
        output.WriteLine($"folded in {folding.Elapsed.TotalSeconds:F0} s ({Documents / folding.Elapsed.TotalSeconds:F0}/s), saved in {saving.Elapsed.TotalSeconds:F0} s, opened and checked in {opening.Elapsed.TotalSeconds:F1} s; greatest memory of the process {PeakMegabytes():N0} MB");
        output.WriteLine("| section | bytes a chunk |");
        output.WriteLine("|---|---|");
        foreach (var section in SegmentLayout.Sections) { output.WriteLine($"| {section} | {reader.Segments.Sum(view => view.Segment.Place(section).Length) / (double)Documents:F1} |"); }
        output.WriteLine($"| all | {reader.Bytes / (double)Documents:F1} |");

        output.WriteLine("| query | median | slowest |");
        output.WriteLine("|---|---|---|");
        var rare = DocumentFilter.Tagged("source:7");
        Time(output, "keywords, 4 words", reader, () => new HybridQuery { Text = Text(random, 4) });
        Time(output, "vector", reader, () => new HybridQuery { Vector = Vector(random) });
        Time(output, "both", reader, () => new HybridQuery { Text = Text(random, 4), Vector = Vector(random) });
        Time(output, "both, a filter of 1 %", reader, () => new HybridQuery { Text = Text(random, 4), Vector = Vector(random), Filter = rare });
    }

    private static void Time(TextWriter output, string name, IndexReader reader, Func<HybridQuery> next)
    {
        var times = Enumerable.Range(0, Queries).Select(_ =>
        {
            var query = next();
            var watch = Stopwatch.StartNew();
            reader.Search(query, CancellationToken.None);
            return watch.Elapsed.TotalMilliseconds;
        }).Skip(2).Order().ToArray();
        output.WriteLine($"| {name} | {times[times.Length / 2]:F1} ms | {times[^1]:F1} ms |");
    }

    private static string Text(Random random, int words)
    {
        var text = new StringBuilder();
        for (var word = 0; word < words; word++)
        {
            // The rank of a word is uniform on a logarithmic scale: its frequency falls as 1 / rank.
            text.Append('w').Append((int)Math.Exp(random.NextDouble() * Math.Log(Vocabulary))).Append(' ');
        }

        return text.ToString();
    }

    private static float[] Vector(Random random)
    {
        var vector = new float[Dimensions];
        foreach (ref var component in vector.AsSpan()) { component = random.NextSingle() + random.NextSingle() + random.NextSingle() - 1.5f; }
        return vector;
    }

    private static long PeakMegabytes() => long.Parse(File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], null) / 1024;
}
