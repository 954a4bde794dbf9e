using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding;

namespace Platform.Inference.Embedding;

/// <summary>Vectors by a model of this machine, in the layout of sentence-transformers.</summary>
public sealed class LocalTextEmbedder : ITextEmbedder, IDisposable
{
    private readonly EmbeddingModel _model;

    private LocalTextEmbedder(EmbeddingModel model, string id)
    {
        _model = model;
        Info = new TextEmbedderInfo(id, model.Dimension, IsSemantic: true, model.MaxTokens);
    }

    public TextEmbedderInfo Info { get; }

    /// <param name="name">Of the model, as its user calls it.</param>
    /// <param name="contentHash">Of its files, hexadecimal: other files are another model.</param>
    /// <exception cref="UnusableModelException">A file is missing or damaged, or asks for something that is not built here.</exception>
    public static LocalTextEmbedder Load(string directory, string name, string contentHash, EmbeddingModelOptions? options = null)
    {
        options = (options ?? new EmbeddingModelOptions()) with { UnitLength = true };
        var model = EmbeddingModel.Load(directory, options);
        var precision = model.IsStatic || options.Precision == WeightPrecision.Float32 ? "" : $"-{options.Precision.ToString().ToLowerInvariant()}";
        return new LocalTextEmbedder(model, $"{name}@{contentHash[..Math.Min(12, contentHash.Length)]}-{model.Dimension}{precision}");
    }

    public Task<TextEmbeddings> Embed(IReadOnlyList<string> texts, TextPurpose purpose, CancellationToken cancellation)
    {
        if (texts.Count > EmbeddingLimits.Texts) { throw new ArgumentException($"{texts.Count} texts were given; {EmbeddingLimits.Texts} are embedded at a time.", nameof(texts)); }

        return Task.Run(() => new TextEmbeddings(Info, _model.Embed(texts, purpose switch { TextPurpose.Query => EmbeddingPurpose.Query, TextPurpose.Document => EmbeddingPurpose.Document }, cancellation)), cancellation);
    }

    public void Dispose() => _model.Dispose();
}
