using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding.Lexical;
using Platform.Inference.Embedding;

namespace Platform.Inference.Tests.Embedding;

public sealed class A_lexical_text_embedder : A_text_embedder
{
    [Fact]
    public void says_that_it_sees_words_and_not_meaning() =>
        Assert.Equal(new TextEmbedderInfo("lexical-v1-1024", 1_024, IsSemantic: false, MaxTokens: null), new LexicalTextEmbedder().Info);

    [Fact]
    public void is_another_model_with_other_statistics()
    {
        var statistics = new LexicalStatistics();
        statistics.Add("a text");
        Assert.StartsWith("lexical-v1-256@", new LexicalTextEmbedder(256, statistics).Info.Model, StringComparison.Ordinal);
    }

    protected override ITextEmbedder Create() => new LexicalTextEmbedder();
}
