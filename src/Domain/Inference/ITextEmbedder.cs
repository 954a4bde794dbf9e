using Platform.Messaging;

namespace Platform.Domain.Inference;

/// <summary>What a text's vector is for. Many models put other words before a query than before a document, and only vectors made so are comparable.</summary>
public enum TextPurpose { Query, Document }

/// <param name="Model">Which model made them. Only vectors of the same model can be compared; it changes with the model's files and settings.</param>
/// <param name="Dimension">Values of each vector.</param>
/// <param name="IsSemantic">Near vectors mean near meanings. False: they mean similar words, and whoever shows a match says so.</param>
/// <param name="MaxTokens">What of a text is read, in the model's tokens; null: all.</param>
public sealed record TextEmbedderInfo(string Model, int Dimension, bool IsSemantic, int? MaxTokens);

/// <param name="Vectors">As many as texts, in their order; each of Euclidean length 1, or zeros where the text holds nothing that the model sees.</param>
public sealed record TextEmbeddings(TextEmbedderInfo Embedder, IReadOnlyList<float[]> Vectors);

/// <summary>An embedder takes no texts just now: too many wait already, or it is being stopped. Nothing is wrong with the texts; ask again.</summary>
public sealed class TextEmbedderBusyException(string message, Exception? cause = null) : Exception(message, cause);

/// <summary>
/// Makes vectors of texts. A text's vector depends on the model, the text and the purpose alone, not on what else is asked for with it; where a GPU makes it, but for
/// rounding.
/// </summary>
public interface ITextEmbedder
{
    TextEmbedderInfo Info { get; }

    /// <exception cref="ArgumentException">More texts, or a longer one, than an embedder takes at a time.</exception>
    /// <exception cref="TextEmbedderBusyException">It takes none now.</exception>
    /// <exception cref="ProblemException">Its model was removed, or cannot be loaded any more.</exception>
    Task<TextEmbeddings> Embed(IReadOnlyList<string> texts, TextPurpose purpose, CancellationToken cancellation);
}
