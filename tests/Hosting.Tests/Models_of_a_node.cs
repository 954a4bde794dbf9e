using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Tests.Embedding;
using Platform.Messaging;

namespace Platform.Hosting.Tests;

/// <summary>What a process that stays does with models: the command line loads one and ends.</summary>
public sealed class Models_of_a_node(A_place_for_nodes place) : IClassFixture<A_place_for_nodes>
{
    private static readonly string[] Texts = ["w5", "w6 w7"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task are_shared_until_they_are_removed()
    {
        var tenant = new TenantId("sharing");
        using var model = RandomModel.WriteWhole();
        await using var node = await place.Open();
        await place.Import(node, tenant, "first", model);
        await place.Import(node, tenant, "second", model);
        var first = await node.Embedders.Of(tenant, null, Cancellation);
        Assert.StartsWith("first@", first.Info.Model, StringComparison.Ordinal);
        await node.Embedders.Of(tenant, "first", Cancellation);
        Assert.Single(node.Embedders.Loaded);
        Assert.StartsWith("second@", (await node.Embedders.Of(tenant, "second", Cancellation)).Info.Model, StringComparison.Ordinal);
        Assert.Equal(["second", "first"], node.Embedders.Loaded.Select(loaded => loaded.Key.Name));
        Assert.False((await node.Embedders.Of(new TenantId("another"), null, Cancellation)).Info.IsSemantic);
        Assert.Equal(2, (await first.Embed(Texts, TextPurpose.Document, Cancellation)).Vectors.Count);

        await A_place_for_nodes.Remove(node, tenant, "first");
        Assert.StartsWith("second@", (await node.Embedders.Of(tenant, null, Cancellation)).Info.Model, StringComparison.Ordinal);
        var gone = await Assert.ThrowsAsync<ProblemException>(() => first.Embed(Texts, TextPurpose.Document, Cancellation));
        Assert.Equal("model.not-found", gone.Problem.Code);
        Assert.Equal("second", Assert.Single(node.Embedders.Loaded).Key.Name);
    }

    [Fact]
    public async Task belong_to_their_tenant_alone()
    {
        var (one, two) = (new TenantId("one"), new TenantId("two"));
        using var ones = RandomModel.WriteWhole();
        using var twos = RandomModel.WriteWhole().Write("config_sentence_transformers.json", """{"prompts": {"passage": "w5 "}}""");
        await using var node = await place.Open();
        await place.Import(node, one, "mine", ones);
        await place.Import(node, two, "mine", twos);
        var embedders = await Task.WhenAll(((TenantId[])[one, two]).Select(tenant => node.Embedders.Of(tenant, "mine", Cancellation)));
        var vectors = await Task.WhenAll(embedders.Select(embedder => embedder.Embed(["w9"], TextPurpose.Document, Cancellation)));
        Assert.NotEqual(vectors[0].Embedder.Model, vectors[1].Embedder.Model);
        Assert.NotEqual(vectors[0].Vectors[0], vectors[1].Vectors[0]);

        await A_place_for_nodes.Remove(node, one, "mine");
        Assert.False((await node.Embedders.Of(one, null, Cancellation)).Info.IsSemantic);
        Assert.Equal(vectors[1].Vectors[0], (await embedders[1].Embed(["w9"], TextPurpose.Document, Cancellation)).Vectors[0]);
    }

    [Fact]
    public async Task go_from_memory_for_each_other_and_come_again_when_they_are_called()
    {
        var tenant = new TenantId("bounded");
        using var model = RandomModel.WriteWhole();
        var bytes = EmbeddingModel.BytesOf(model.Path, WeightPrecision.Float32);
        await using var node = await place.Open(new TextEmbedderOptions { MaxBytes = bytes });
        await place.Import(node, tenant, "first", model);
        await place.Import(node, tenant, "second", model);
        var first = await node.Embedders.Of(tenant, "first", Cancellation);
        var vectors = await first.Embed(Texts, TextPurpose.Document, Cancellation);
        var second = await node.Embedders.Of(tenant, "second", Cancellation);
        Assert.Equal(("second", bytes, 0), node.Embedders.Loaded.Select(loaded => (loaded.Key.Name, loaded.Bytes, loaded.Calls)).Single());
        Assert.Equal(vectors.Vectors[0], (await second.Embed(Texts, TextPurpose.Document, Cancellation)).Vectors[0]);
        Assert.Equal(vectors.Vectors[1], (await first.Embed(Texts, TextPurpose.Document, Cancellation)).Vectors[1]);
        Assert.Equal("first", Assert.Single(node.Embedders.Loaded).Key.Name);

        // Both at once, again and again, though there is room for one.
        await Parallel.ForAsync(0, 24, new ParallelOptions { MaxDegreeOfParallelism = 6, CancellationToken = Cancellation }, async (i, _) =>
            Assert.Equal(vectors.Vectors[0], (await (i % 3 == 0 ? second : first).Embed(Texts, TextPurpose.Document, Cancellation)).Vectors[0]));
        Assert.Single(node.Embedders.Loaded);
    }

    [Fact]
    public async Task that_are_larger_than_the_memory_for_them_are_refused_with_what_to_do()
    {
        var tenant = new TenantId("large");
        using var model = RandomModel.WriteWhole();
        await using var node = await place.Open(new TextEmbedderOptions { MaxBytes = EmbeddingModel.BytesOf(model.Path, WeightPrecision.Float32) - 1 });
        await place.Import(node, tenant, "large", model);
        var refused = await Assert.ThrowsAsync<ProblemException>(() => node.Embedders.Of(tenant, null, Cancellation));
        Assert.Equal("model.too-large", refused.Problem.Code);
        Assert.Contains(TextEmbedders.MemoryVariable, refused.Message, StringComparison.Ordinal);
        Assert.Empty(node.Embedders.Loaded);

        // In a quarter of the memory it has room.
        await using var smaller = await place.Open(node.Options.Embedding with { Load = new EmbeddingModelOptions(WeightPrecision.Int8) });
        Assert.EndsWith("-int8", (await smaller.Embedders.Of(tenant, null, Cancellation)).Info.Model, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, null)]
    [InlineData("", null)]
    [InlineData("512MiB", 512L * 1024 * 1024)]
    [InlineData("4GiB", 4L * 1024 * 1024 * 1024)]
    [InlineData("999999999GiB", 999_999_999L * 1024 * 1024 * 1024)]
    [InlineData("4GB", 0L)]
    [InlineData("0MiB", 0L)]
    [InlineData("-1MiB", 0L)]
    [InlineData("1.5GiB", 0L)]
    [InlineData(" 4GiB", 0L)]
    [InlineData("9999999999GiB", 0L)]
    [InlineData("GiB", 0L)]
    [InlineData("lots", 0L)]
    public void have_the_memory_that_the_environment_names(string? value, long? expected)
    {
        // Without one, half of what there is.
        if (expected is null) { Assert.Equal(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2, TextEmbedders.MemoryOf(value)); }
        else if (expected > 0) { Assert.Equal(expected, TextEmbedders.MemoryOf(value)); }
        else { Assert.Equal("model.memory-unknown", Assert.Throws<ProblemException>(() => TextEmbedders.MemoryOf(value)).Problem.Code); }
    }

    [Fact]
    public async Task whose_files_were_damaged_are_said_to_be_and_take_no_memory()
    {
        var tenant = new TenantId("damaged");
        using var model = RandomModel.WriteWhole();
        await using var node = await place.Open();
        await place.Import(node, tenant, "model", model);
        var folder = Assert.Single(Directory.GetDirectories(Path.Combine(place.Folder, "models", $"tenant-{tenant}")));
        await File.WriteAllTextAsync(Path.Combine(folder, "config.json"), "{", Cancellation);
        var unusable = await Assert.ThrowsAsync<ProblemException>(() => node.Embedders.Of(tenant, null, Cancellation));
        Assert.Equal("model.unusable", unusable.Problem.Code);
        Assert.Contains("platform models verify", unusable.Message, StringComparison.Ordinal);
        Assert.Empty(node.Embedders.Loaded);
    }

    [Fact]
    public async Task are_not_had_of_a_node_that_has_ended()
    {
        var tenant = new TenantId("ended");
        using var model = RandomModel.WriteWhole();
        ITextEmbedder embedder;
        await using (var node = await place.Open())
        {
            await place.Import(node, tenant, "model", model);
            embedder = await node.Embedders.Of(tenant, null, Cancellation);
        }

        await Assert.ThrowsAsync<TextEmbedderBusyException>(() => embedder.Embed(Texts, TextPurpose.Document, Cancellation));
    }
}
