namespace Platform.GpuKernels.Embedding.Batching;

/// <summary>Why a request is not taken.</summary>
public enum EmbeddingRefusal
{
    /// <summary>Too much waits already: ask again later (HTTP 429).</summary>
    QueueFull,

    /// <summary>It takes nothing any more (HTTP 503).</summary>
    Stopping,
}

/// <summary>A request was not taken, or was given up because it had to be stopped at once. Nothing is wrong with the request.</summary>
public sealed class EmbeddingRefusedException(EmbeddingRefusal refusal, string message) : Exception(message)
{
    public EmbeddingRefusal Refusal { get; } = refusal;
}
