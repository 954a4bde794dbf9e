using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Lexical;

namespace Platform.Inference.Embedding;

/// <summary>Vectors of the words in a text, without any model: search works from the first minute. <see cref="TextEmbedderInfo.IsSemantic"/> is false.</summary>
/// <param name="statistics">What the user's own corpus says of rarity, as it is now; null: all words count the same.</param>
public sealed class LexicalTextEmbedder(int dimension = LexicalEmbedding.DefaultDimension, LexicalStatistics? statistics = null) : ITextEmbedder
{
    private readonly LexicalEmbedding _embedding = new(dimension, statistics);

    public TextEmbedderInfo Info => new(_embedding.Id, _embedding.Dimension, IsSemantic: false, MaxTokens: null);

    public Task<TextEmbeddings> Embed(IReadOnlyList<string> texts, TextPurpose purpose, CancellationToken cancellation)
    {
        if (texts.Count > EmbeddingLimits.Texts) { throw new ArgumentException($"{texts.Count} texts were given; {EmbeddingLimits.Texts} are embedded at a time.", nameof(texts)); }

        return Task.Run(() =>
        {
            var vectors = new float[texts.Count][];
            for (var i = 0; i < vectors.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                _embedding.Embed(texts[i], vectors[i] = new float[_embedding.Dimension]);
            }

            return new TextEmbeddings(Info, vectors);
        }, cancellation);
    }
}
