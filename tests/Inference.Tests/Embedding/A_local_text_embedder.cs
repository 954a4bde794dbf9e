using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Tests.Embedding;
using Platform.Inference.Embedding;

namespace Platform.Inference.Tests.Embedding;

public sealed class A_local_text_embedder : A_text_embedder
{
    private readonly TemporaryModel _directory = RandomModel.WriteWhole().Write("config_sentence_transformers.json", """{"prompts": {"query": "w5 "}}""");

    [Fact]
    public async Task names_its_model_after_its_files_and_settings()
    {
        await using var exact = LocalTextEmbedder.Load(_directory.Path, "mini", "0123456789abcdef");
        await using var halved = LocalTextEmbedder.Load(_directory.Path, "mini", "0123456789abcdef", new EmbeddingModelOptions(WeightPrecision.BFloat16, Dimension: 32));
        Assert.Equal(new TextEmbedderInfo("mini@0123456789ab-64", 64, IsSemantic: true, MaxTokens: 16), exact.Info);
        Assert.Equal("mini@0123456789ab-32-bfloat16", halved.Info.Model);
    }

    [Fact]
    public async Task embeds_a_query_with_its_prompt()
    {
        await using var embedder = LocalTextEmbedder.Load(_directory.Path, "mini", "00");
        var query = await embedder.Embed(["w9"], TextPurpose.Query, TestContext.Current.CancellationToken);
        var document = await embedder.Embed(["w5 w9"], TextPurpose.Document, TestContext.Current.CancellationToken);
        Assert.Equal(document.Vectors.Single(), query.Vectors.Single());
    }

    [Fact]
    public async Task gives_no_vectors_that_are_no_numbers()
    {
        using var broken = RandomModel.WriteWhole();
        var path = Path.Combine(broken.Path, "model.safetensors");
        var weights = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);

        // The word embeddings come first: of w9 one value is no number.
        var header = System.Text.Encoding.UTF8.GetString(weights, 8, (int)BitConverter.ToUInt64(weights));
        var words = System.Text.Json.Nodes.JsonNode.Parse(header)!["embeddings.word_embeddings.weight"]!["data_offsets"]![0]!.GetValue<int>();
        BitConverter.TryWriteBytes(weights.AsSpan(8 + (int)BitConverter.ToUInt64(weights) + words + (((9 * 64) + 3) * sizeof(float))), float.NaN);
        await File.WriteAllBytesAsync(path, weights, TestContext.Current.CancellationToken);
        await using var embedder = LocalTextEmbedder.Load(broken.Path, "broken", "00");
        Assert.Single((await embedder.Embed(["w5"], TextPurpose.Document, TestContext.Current.CancellationToken)).Vectors);
        var refused = await Assert.ThrowsAsync<UnusableModelException>(() => embedder.Embed(["w5", "w5 w9"], TextPurpose.Document, TestContext.Current.CancellationToken));
        Assert.Contains("text 1", refused.Message, StringComparison.Ordinal);
    }

    protected override ITextEmbedder Create() => LocalTextEmbedder.Load(_directory.Path, "mini", "0123456789abcdef");

    [Fact]
    public async Task takes_no_texts_once_it_is_being_stopped()
    {
        var embedder = LocalTextEmbedder.Load(_directory.Path, "mini", "00");
        await embedder.DisposeAsync();
        await Assert.ThrowsAsync<TextEmbedderBusyException>(() => embedder.Embed(["w9"], TextPurpose.Query, TestContext.Current.CancellationToken));
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        _directory.Dispose();
    }
}
