namespace Platform.GpuKernels.Embedding.Batching;

/// <summary>How requests are gathered into batches, and how many may wait.</summary>
public sealed record BatchingOptions
{
    /// <summary>
    /// How long the request that has waited longest waits for company while nothing runs. Zero, as NVIDIA's Triton and Hugging Face's text-embeddings-inference
    /// have it: a lone request goes at once, and under load company gathers by itself while a batch runs. More pays only where a small batch
    /// costs as much as a large one.
    /// </summary>
    public TimeSpan MaxDelay { get; init; } = TimeSpan.Zero;

    /// <summary>Tokens of a batch; a longer text makes a batch alone. Whoever comes while a batch runs waits for its end, so larger is not better. null: what keeps the model's device or processor busy.</summary>
    public int? MaxBatchTokens { get; init; }

    /// <summary>Texts of a batch.</summary>
    public int MaxBatchTexts { get; init; } = 512;

    /// <summary>Tokens that a request may put into a batch before it is the next one's turn, one text at least. A request of thousands of texts so delays one of a few by its share, not by itself.</summary>
    public int TurnTokens { get; init; } = 512;

    /// <summary>Texts that are accepted and not answered yet, of all requests together. As many as one call may have, so that each fits when nobody else waits.</summary>
    public int MaxQueuedTexts { get; init; } = EmbeddingLimits.Texts;

    /// <summary>UTF-16 units of those texts: 128 MiB of text that callers hold anyway, and about as much again in tokens.</summary>
    public long MaxQueuedLength { get; init; } = 64L * 1024 * 1024;

    /// <summary>Where time comes from.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <exception cref="ArgumentOutOfRangeException">A limit is below one, or the delay is negative or above a minute.</exception>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxDelay, TimeSpan.Zero, nameof(MaxDelay));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxDelay, TimeSpan.FromMinutes(1), nameof(MaxDelay));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxBatchTokens ?? 1, 1, nameof(MaxBatchTokens));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxBatchTexts, 1, nameof(MaxBatchTexts));
        ArgumentOutOfRangeException.ThrowIfLessThan(TurnTokens, 1, nameof(TurnTokens));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxQueuedTexts, 1, nameof(MaxQueuedTexts));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxQueuedLength, 1, nameof(MaxQueuedLength));
    }
}
