using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Batching;

namespace Platform.Inference.Embedding;

/// <summary>Vectors by a model of this machine, in the layout of sentence-transformers. Texts of several callers are embedded together.</summary>
public sealed class LocalTextEmbedder : ITextEmbedder, IAsyncDisposable
{
    private readonly EmbeddingModel _model;
    private readonly EmbeddingBatcher _batcher;

    private LocalTextEmbedder(EmbeddingModel model, string id)
    {
        _model = model;
        _batcher = new EmbeddingBatcher(model);
        Info = new TextEmbedderInfo(id, model.Dimension, IsSemantic: true, model.MaxTokens);
    }

    public TextEmbedderInfo Info { get; }

    /// <summary>What its weights take of this machine's memory.</summary>
    public long Bytes => _model.Bytes;

    /// <summary>Whether its next batch will be tried on a device.</summary>
    public bool IsOnDevice => _model.IsOnDevice;

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

    /// <exception cref="UnusableModelException">Its weights give a text no vector of numbers.</exception>
    public async Task<TextEmbeddings> Embed(IReadOnlyList<string> texts, TextPurpose purpose, CancellationToken cancellation)
    {
        var wanted = purpose switch { TextPurpose.Query => EmbeddingPurpose.Query, TextPurpose.Document => EmbeddingPurpose.Document };
        float[][] vectors;
        try { vectors = await _batcher.Embed(texts, wanted, cancellation); }
        catch (EmbeddingRefusedException e) { throw new TextEmbedderBusyException(e.Message, e); }

        // A stranger's weights may be anything: what cannot be compared is given to nobody.
        var wrong = Array.FindIndex(vectors, vector => !vector.All(float.IsFinite));
        return wrong < 0 ? new TextEmbeddings(Info, vectors) : throw new UnusableModelException("model.safetensors", $"gives text {wrong} a vector that is no numbers.");
    }

    /// <summary>Answers what was taken, and frees the model.</summary>
    public async ValueTask DisposeAsync()
    {
        await _batcher.DisposeAsync();
        _model.Dispose();
    }
}
