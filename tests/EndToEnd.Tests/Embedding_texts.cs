using System.Globalization;
using System.Text.Json.Nodes;
using Platform.Domain.Inference;
using Platform.EmbeddedPostgres;
using Platform.GpuKernels.Tests.Embedding;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.EndToEnd.Tests;

/// <summary><c>platform embed</c>, with the real binary: by words as long as there is no model, then by one that is imported.</summary>
public sealed class Embedding_texts(A_folder_with_its_database installation) : IClassFixture<A_folder_with_its_database>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

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

        Assert.Equal("lexical-v1-1024", (string)Records(await place.Run("embed", "--json", "--model", "lexical-v1", "w9")).Single()["model"]!);

        // Vectors of weights held otherwise are not to be mixed with the others: the model has another name.
        Assert.EndsWith("-int8", (string)Records(await With("PLATFORM_EMBEDDING_WEIGHTS", "int8", "--json", "w9")).Single()["model"]!, StringComparison.Ordinal);
        var unknown = await With("PLATFORM_EMBEDDING_WEIGHTS", "int4", "w9");
        Assert.Equal(2, unknown.Code);
        Assert.Contains("f32, bf16 or int8", unknown.Error, StringComparison.Ordinal);

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
        var absent = await With("PLATFORM_EMBEDDING_MODEL", "absent", "text");
        Assert.Equal(2, absent.Code);
        Assert.Contains("PLATFORM_EMBEDDING_MODEL", absent.Error, StringComparison.Ordinal);
        Assert.Contains("platform models import", absent.Error, StringComparison.Ordinal);
        var many = await place.Run("embed", "--model", "lexical-v1", "--file", place.Write("many.txt", string.Concat(Enumerable.Repeat("text\n", 65_537))));
        Assert.Equal(2, many.Code);
        Assert.Contains("65536", many.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Parameter", many.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ctrl_C_ends_it_while_it_waits_for_more_text()
    {
        await using var started = installation.Place.Start("embed", "--model", "lexical-v1", "--file", "-");

        // More than a pipe holds: when this is written, it reads.
        started.WriteInput(string.Concat(Enumerable.Repeat("a line of text\n", 20_000)), andClose: false);
        started.Send(PlatformProcess.Signal.Interrupt);
        var end = await started.End();
        Assert.Equal(130, end.Code);
        Assert.Contains("interrupted", end.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unusual_texts_are_texts_and_an_unusual_name_is_no_models()
    {
        var place = installation.Place;
        string[] texts = ["", " ", "--json", "\t", "naïve \U0001F600 \u202Eevil", "e\u0301", "\"quoted\" \\ back", new string('x', 100_000)];
        var lines = Records(await PlatformProcess.Run(["embed", "--json", "--model", "lexical-v1", "--data", place.Data, "--", .. texts]));
        Assert.Equal(texts, lines.Select(line => (string)line["text"]!));
        var shown = await PlatformProcess.Run(["embed", "--model", "lexical-v1", "--data", place.Data, "--", .. texts]);
        Assert.True(shown.Code == 0, shown.ToString());
        Assert.DoesNotContain('\u202E', shown.Out);
        Assert.DoesNotContain('\e', shown.Out);

        using var model = RandomModel.WriteWhole();
        foreach (var (source, name, said) in ((string, string, string)[])[(model.Path, "lexical-v1", "comparison of words"), (model.Path, "../up", "no name for a model"), ("", "empty", "empty name"), (Path.Combine(place.Root, "missing"), "missing", "There is no directory")])
        {
            var refused = await place.Run("models", "import", source, "--name", name);
            Assert.True(refused.Code == 2 && refused.Error.Contains(said, StringComparison.Ordinal), refused.ToString());
        }

        // A version is no extension, and the same files may be imported twice.
        var versioned = Path.Combine(place.Root, "Mini-v1.5");
        foreach (var file in Directory.GetFiles(model.Path, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(versioned, Path.GetRelativePath(model.Path, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        for (var i = 0; i < 2; i++)
        {
            var imported = await place.Run("models", "import", versioned, "--json", "--tenant", "versions");
            Assert.True(imported.Code == 0, imported.ToString());
            Assert.Equal("mini-v1.5", (string?)imported.Json["name"]);
        }
    }

    [Fact]
    public async Task The_doctor_says_which_device_failed_and_what_memory_models_may_take()
    {
        var place = installation.Place;
        var tenant = new TenantId("failing");
        await using (var cluster = await EmbeddedCluster.Start(new ClusterOptions(place.Data), Cancellation))
        await using (var node = await Node.Open(new NodeOptions(cluster.ConnectionString, place.Data), Cancellation))
        {
            await node.Bus.Invoke(new SetDeviceAside(ModelLibraryId.Only, "cuda:7", "a card", "Lost", "cuLaunchKernel: 719.", "mini"), new InvokeOptions(tenant, null, "platform"), Cancellation);
        }

        await using var started = PlatformProcess.Start(PlatformProcess.Binary, ["doctor", "--json", "--tenant", tenant.Value, "--data", place.Data], new Dictionary<string, string?> { ["PLATFORM_EMBEDDING_MEMORY"] = "512MiB" });
        var found = Records(await started.End());
        var aside = found.Single(line => (string)line["name"]! == "set aside");
        Assert.Equal("weaker", (string)aside["state"]!);
        Assert.Contains("cuda:7 (a card) failed", (string)aside["detail"]!, StringComparison.Ordinal);
        Assert.Contains("512 MiB", (string)found.Single(line => (string)line["area"]! == "models")["detail"]!, StringComparison.Ordinal);
    }

    private async Task<Finished> With(string variable, string value, params string[] arguments)
    {
        await using var started = PlatformProcess.Start(PlatformProcess.Binary, ["embed", .. arguments, "--data", installation.Place.Data], new Dictionary<string, string?> { [variable] = value });
        return await started.End();
    }

    private static JsonNode[] Records(Finished finished)
    {
        Assert.True(finished.Code == 0, finished.ToString());
        return [.. finished.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)];
    }
}
