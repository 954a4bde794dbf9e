using System.Diagnostics;
using System.Text.Json;
using Platform.GpuKernels.Embedding.Lexical;

namespace Platform.Kernels;

/// <summary>Lexical vectors on bench/embedding/retrieval.jsonl: queries in five languages, each answered by one text of bench/local-agent/labelled.jsonl, with the whole words only as the peer. And their speed.</summary>
internal static class LexicalPart
{
    private const int WordsPerText = 200;

    public static void Measure(TextWriter output)
    {
        string[] documents = [.. Lines("bench/local-agent/labelled.jsonl").Select(line => line.GetProperty("text").GetString()!)];
        (string Query, int Document)[] queries = [.. Lines("bench/embedding/retrieval.jsonl").Select(line => (line.GetProperty("query").GetString()!, line.GetProperty("document").GetInt32()))];
        output.WriteLine($"lexical: {queries.Length} queries, {documents.Length} documents");
        Compare(output, "as written", queries, documents);
        Compare(output, "with a slip in every word of five letters or more", [.. queries.Select(query => (string.Join(' ', query.Query.Split(' ').Select(Slip)), query.Document))], documents);
        Speed(output, documents);
    }

    /// <summary>Two letters in the middle change places.</summary>
    private static string Slip(string word) => word.Length < 5 ? word : $"{word[..(word.Length / 2)]}{word[(word.Length / 2) + 1]}{word[word.Length / 2]}{word[((word.Length / 2) + 2)..]}";

    private static void Compare(TextWriter output, string name, (string Query, int Document)[] queries, string[] documents)
    {
        output.WriteLine($" queries {name}");
        Report(output, "whole words, no hashing", queries, query => Ranked(documents, document => Overlap(query, document)));
        foreach (var dimension in (int[])[256, 512, 1024])
        {
            foreach (var known in (bool[])[false, true])
            {
                var statistics = new LexicalStatistics();
                if (known) { Array.ForEach(documents, statistics.Add); }

                var embedding = new LexicalEmbedding(dimension, statistics);
                var vectors = documents.Select(document => Vector(embedding, document)).ToArray();
                Report(output, $"{dimension} dimensions{(known ? ", rarity from the documents" : "")}", queries, query =>
                {
                    var vector = Vector(embedding, query);
                    return Ranked(Enumerable.Range(0, documents.Length), document => vectors[document].Zip(vector, (a, b) => (double)a * b).Sum());
                });
            }
        }

    }

    private static void Speed(TextWriter output, string[] documents)
    {
        var plain = new LexicalEmbedding();
        string[] texts = [.. documents.Select(document => string.Join(' ', Enumerable.Repeat(document, 20).SelectMany(text => text.Split(' ')).Take(WordsPerText)))];
        var (bytes, best, into) = (texts.Sum(System.Text.Encoding.UTF8.GetByteCount), double.PositiveInfinity, new float[plain.Dimension]);
        for (var watch = Stopwatch.StartNew(); watch.ElapsedMilliseconds < 2_000;)
        {
            var start = Stopwatch.GetTimestamp();
            foreach (var text in texts) { plain.Embed(text, into); }
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        output.WriteLine($"  {texts.Length / best:F0} texts/s of {WordsPerText} words, {bytes / best / 1e6:F1} MB/s, one thread");
    }

    private static void Report(TextWriter output, string name, (string Query, int Document)[] queries, Func<string, IReadOnlyList<int>> rank)
    {
        var places = queries.Select(query => rank(query.Query).Index().First(found => found.Item == query.Document).Index).ToArray();
        double Recall(int k) => (double)places.Count(place => place < k) / places.Length;
        output.WriteLine($"  {name,-48} recall@1 {Recall(1):F3}  @3 {Recall(3):F3}  @10 {Recall(10):F3}  nDCG@10 {places.Sum(place => place < 10 ? 1 / Math.Log2(place + 2) : 0) / places.Length:F3}");
    }

    private static IReadOnlyList<int> Ranked<T>(IEnumerable<T> documents, Func<T, double> score) => [.. documents.Index().OrderByDescending(document => score(document.Item)).Select(document => document.Index)];

    private static double Overlap(string query, string document)
    {
        static HashSet<string> Words(string text) => [.. text.ToLowerInvariant().Split([' ', '\n', ',', '.', ':', ';', '\'', '-', '(', ')'], StringSplitOptions.RemoveEmptyEntries)];
        var (asked, there) = (Words(query), Words(document));
        return asked.Count(there.Contains) / Math.Sqrt(there.Count);
    }

    private static float[] Vector(LexicalEmbedding embedding, string text)
    {
        var vector = new float[embedding.Dimension];
        embedding.Embed(text, vector);
        return vector;
    }

    private static IEnumerable<JsonElement> Lines(string file) => File.ReadLines(file).Select(line => JsonDocument.Parse(line).RootElement);
}
