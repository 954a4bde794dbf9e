using System.Globalization;
using System.Text.Json;
using Platform.Inference.Local;

namespace Platform.Inference.Tests.Local;

/// <summary>Measures on bench/local-agent/labelled.jsonl; the figures are printed, and must not fall below a floor.</summary>
public class On_labelled_documents_the_local_agent(ITestOutputHelper output)
{
    private static string[] Lines { get; } = File.ReadAllLines(PathOf("labelled.jsonl"));

    private static string PathOf(string file) => Path.Combine(AppContext.BaseDirectory, "local-agent", file);

    private static List<JsonElement> With(string property) => [.. Lines.Select(line => JsonElement.Parse(line)).Where(document => document.TryGetProperty(property, out _))];

    private static string Text(JsonElement document) => document.GetProperty("text").GetString()!;

    [Fact]
    public void has_enough_of_them() => Assert.True(Lines.Length >= 60);

    /// <summary>The second set was written after the word lists, and its labels have neither description nor example.</summary>
    [Theory]
    [InlineData("labelled.jsonl", "schema.json", 0.85)]
    [InlineData("heldout.jsonl", "heldout-schema.json", 0.6)]
    public async Task names_the_right_kind_of_document_mostly(string file, string schemaFile, double floor)
    {
        var documents = File.ReadAllLines(PathOf(file)).Select(line => JsonElement.Parse(line)).Where(document => document.TryGetProperty("label", out _)).ToList();
        var schema = await File.ReadAllTextAsync(PathOf(schemaFile), TestContext.Current.CancellationToken);
        var right = 0;
        foreach (var document in documents)
        {
            var answer = (await Ask.For(schema, Text(document))).GetString();
            var expected = document.GetProperty("label").GetString();
            right += answer == expected ? 1 : 0;
            if (answer != expected) { output.WriteLine($"{document.GetProperty("lang")}: {answer} instead of {expected}: {Text(document)[..50]}"); }
        }

        Report($"classification accuracy on {file}", right / (double)documents.Count, documents.Count);
        Assert.True(right >= floor * documents.Count);
    }

    [Fact]
    public async Task summarises_better_than_the_first_sentences_do()
    {
        var (ours, lead) = (0.0, 0.0);
        var documents = With("summary");
        foreach (var document in documents)
        {
            var reference = document.GetProperty("summary").GetString()!;
            var summary = (await Ask.For("""{"type": "string", "x-sentences": 3}""", Text(document))).GetString()!;
            ours += Overlap(summary, reference);
            lead += Overlap(string.Join(' ', Sentences.Of(Text(document)).Take(3).Select(sentence => sentence.Text)), reference);
        }

        Report("summary ROUGE-1 F1", ours / documents.Count, documents.Count);
        Report("lead-3 ROUGE-1 F1", lead / documents.Count, documents.Count);
        Assert.True(ours > lead);
        Assert.True(ours / documents.Count > 0.5);
    }

    [Theory]
    [InlineData("dates")]
    [InlineData("amounts")]
    [InlineData("emails")]
    public async Task finds_nearly_all(string kind)
    {
        var (found, expected, both) = (0, 0, 0);
        var documents = With(kind);
        foreach (var document in documents)
        {
            var answer = (await Ask.For($$"""{"type": "array", "items": {"type": "string"}, "x-extract": "{{kind}}"}""", Text(document))).EnumerateArray().Select(item => item.GetString()!).ToList();
            var right = document.GetProperty(kind).EnumerateArray().Select(item => item.GetString()!).ToList();
            if (!answer.Order(StringComparer.Ordinal).SequenceEqual(right.Order(StringComparer.Ordinal))) { output.WriteLine($"{string.Join(' ', answer)} instead of {string.Join(' ', right)}"); }

            found += answer.Count;
            expected += right.Count;
            both += answer.Intersect(right).Count();
        }

        var f1 = 2.0 * both / (found + expected);
        Report($"{kind} F1", f1, expected);
        Assert.True(f1 >= 0.9);
    }

    [Fact]
    public async Task tells_pleased_from_displeased_mostly()
    {
        var documents = With("sentiment");
        var right = 0;
        foreach (var document in documents)
        {
            var score = (await Ask.For("""{"x-task": "sentiment"}""", Text(document))).GetDouble();
            var sign = score > 0.1 ? 1 : score < -0.1 ? -1 : 0;
            right += sign == document.GetProperty("sentiment").GetInt32() ? 1 : 0;
            if (sign != document.GetProperty("sentiment").GetInt32()) { output.WriteLine($"{score}: {Text(document)}"); }
        }

        Report("sentiment accuracy", right / (double)documents.Count, documents.Count);
        Assert.True(right >= 0.75 * documents.Count);
    }

    [Fact]
    public async Task tells_the_language_mostly()
    {
        var right = 0;
        foreach (var document in With("lang"))
        {
            var answer = (await Ask.For("""{"x-task": "language"}""", Text(document))).GetString();
            right += answer == document.GetProperty("lang").GetString() ? 1 : 0;
            if (answer != document.GetProperty("lang").GetString()) { output.WriteLine($"{answer}: {Text(document)[..40]}"); }
        }

        Report("language accuracy", right / (double)Lines.Length, Lines.Length);
        Assert.True(right >= 0.9 * Lines.Length);
    }

    private void Report(string what, double figure, int count) => output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: {figure:0.000} of {count}"));

    /// <summary>ROUGE-1 F1: common words, each counted as often as it occurs in both.</summary>
    private static double Overlap(string summary, string reference)
    {
        var (ours, theirs) = (Words.Of(summary).ConvertAll(word => word.Folded), Words.Of(reference).ConvertAll(word => word.Folded));
        var left = theirs.CountBy(word => word).ToDictionary(StringComparer.Ordinal);
        var common = 0;
        foreach (var word in ours)
        {
            if (left.GetValueOrDefault(word) > 0)
            {
                left[word]--;
                common++;
            }
        }

        return 2.0 * common / (ours.Count + theirs.Count);
    }
}
