using Platform.Domain.Inference;

namespace Platform.Inference.Tests.Embedding;

/// <summary>What every implementation of <see cref="ITextEmbedder"/> holds.</summary>
public abstract class A_text_embedder : IAsyncDisposable
{
    private ITextEmbedder? _embedder;

    private ITextEmbedder Embedder => _embedder ??= Create();

    [Fact]
    public async Task gives_a_vector_for_each_text_with_its_model_and_dimension()
    {
        var answer = await Embed("first text", "", "the third, which is longer than the first");
        Assert.Equal(Embedder.Info, answer.Embedder);
        Assert.NotEmpty(answer.Embedder.Model);
        Assert.Equal(3, answer.Vectors.Count);
        Assert.All(answer.Vectors, vector => Assert.Equal(answer.Embedder.Dimension, vector.Length));
        Assert.Empty((await Embed()).Vectors);
    }

    [Fact]
    public async Task gives_vectors_of_length_one_or_zero()
    {
        var answer = await Embed("w9 w10", "\u0301", "   ", "invoice 2026", "会議は三時");
        Assert.All(answer.Vectors, vector => Assert.True(Math.Abs(Length(vector) - 1) < 1e-5 || Length(vector) == 0));
        Assert.Equal(1, Length(answer.Vectors[0]), 1e-5);
    }

    [Fact]
    public async Task gives_a_text_the_same_vector_whatever_it_is_embedded_with()
    {
        var together = await Embed([.. Enumerable.Range(0, 300).Select(i => $"w{i} w{i % 17} number {i}")]);
        Assert.Equal((await Embed("w123 w4 number 123")).Vectors.Single(), together.Vectors[123]);
    }

    [Fact]
    public async Task serves_several_at_a_time()
    {
        var alone = (await Embed("w5 w6 w7")).Vectors.Single();
        var all = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Embed($"w{i}", "w5 w6 w7")));
        Assert.All(all, answer => Assert.Equal(alone, answer.Vectors[1]));
    }

    [Fact]
    public async Task takes_texts_longer_than_it_reads()
    {
        var vector = (await Embed(string.Join(' ', Enumerable.Repeat("w8 w9", 5_000)))).Vectors.Single();
        Assert.Equal(1, Length(vector), 1e-5);
    }

    [Fact]
    public async Task refuses_more_texts_than_it_takes_at_a_time() => await Assert.ThrowsAsync<ArgumentException>(() => Embed(new string[65_537]));

    [Fact]
    public async Task stops_when_it_is_cancelled() =>
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Embedder.Embed(["w5"], TextPurpose.Query, new CancellationToken(canceled: true)));

    public virtual async ValueTask DisposeAsync()
    {
        if (_embedder is IAsyncDisposable embedder) { await embedder.DisposeAsync(); }
        GC.SuppressFinalize(this);
    }

    protected abstract ITextEmbedder Create();

    protected Task<TextEmbeddings> Embed(params string[] texts) => Embedder.Embed(texts, TextPurpose.Document, TestContext.Current.CancellationToken);

    private static double Length(float[] vector) => Math.Sqrt(vector.Sum(value => (double)value * value));
}
