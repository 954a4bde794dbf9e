using System.Globalization;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Tests.Embedding;

namespace Platform.EndToEnd.Tests;

/// <summary>A data folder whose PostgreSQL runs between the commands.</summary>
public sealed class A_started_installation : IAsyncLifetime
{
    public DataFolder Place { get; } = new();

    public async ValueTask InitializeAsync()
    {
        var started = await Place.Run("db", "start");
        Assert.True(started.Code == 0, started.ToString());
    }

    public ValueTask DisposeAsync() => Place.DisposeAsync();
}

/// <summary><c>platform embed</c>, with the real binary: by words as long as there is no model, then by one that is imported.</summary>
public sealed class Embedding_texts(A_started_installation installation) : IClassFixture<A_started_installation>
{
    [Fact]
    public async Task Texts_are_compared_by_words_until_a_model_is_imported_and_by_it_from_then_on()
    {
        var place = installation.Place;
        var words = await place.Run("embed", "--tenant", "words", "the invoice is due", "an invoice, due today", "rain in Spain");
        Assert.True(words.Code == 0, words.ToString());
        var near = words.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)[1..].Select(line => double.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture)).ToArray();
        Assert.Equal(1, near[0], 3);
        Assert.True(near[1] > near[2], words.ToString());
        Assert.Contains("lexical-v1", words.Error, StringComparison.Ordinal);

        using var model = RandomModel.WriteWhole().Write("config_sentence_transformers.json", """{"prompts": {"query": "w5 "}}""");
        var imported = await place.Run("models", "import", model.Path, "--name", "mini");
        Assert.True(imported.Code == 0, imported.ToString());
        var lines = Records(await place.Run("embed", "--json", "--file", place.Write("texts.txt", "w5 w9\n\nw9 w7\n")));
        Assert.Equal(["w5 w9", "", "w9 w7"], lines.Select(line => (string)line["text"]!));
        Assert.All(lines, line => Assert.StartsWith("mini@", (string)line["model"]!, StringComparison.Ordinal));
        Assert.All(lines, line => Assert.Equal(64, line["vector"]!.AsArray().Count));

        // The query's prompt makes the same words of it.
        var query = Records(await place.Run("embed", "--json", "--query", "--model", "mini", "w9")).Single();
        Assert.Equal(lines[0]["vector"]!.ToJsonString(), query["vector"]!.ToJsonString());
    }

    [Fact]
    public async Task What_cannot_be_embedded_is_told_with_what_to_do()
    {
        var place = installation.Place;
        var nothing = await place.Run("embed");
        Assert.Equal(2, nothing.Code);
        Assert.Contains("--file", nothing.Error, StringComparison.Ordinal);
        await using var started = PlatformProcess.Start(PlatformProcess.Binary, ["embed", "text", "--data", place.Data], new Dictionary<string, string?> { ["PLATFORM_EMBEDDING_MODEL"] = "absent" });
        var absent = await started.End();
        Assert.Equal(2, absent.Code);
        Assert.Contains("PLATFORM_EMBEDDING_MODEL", absent.Error, StringComparison.Ordinal);
        Assert.Contains("platform models import", absent.Error, StringComparison.Ordinal);
    }

    private static JsonNode[] Records(Finished finished)
    {
        Assert.True(finished.Code == 0, finished.ToString());
        return [.. finished.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)];
    }
}
