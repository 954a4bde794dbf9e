namespace Platform.GpuKernels.Embedding.Batching;

/// <summary>What waits and what was done, at one moment. Counts are since the start.</summary>
public sealed record BatchingStatus
{
    /// <summary>Requests that have texts in no batch yet.</summary>
    public required int WaitingRequests { get; init; }

    public required int WaitingTexts { get; init; }

    /// <summary>Texts of the batch that runs; 0: none runs.</summary>
    public required int RunningTexts { get; init; }

    /// <summary>Texts that are accepted and not answered, those that are still tokenised included: what the queue's limit counts.</summary>
    public required int AcceptedTexts { get; init; }

    public required long Answered { get; init; }

    /// <summary>Requests that were not taken because of <see cref="EmbeddingRefusal.QueueFull"/>.</summary>
    public required long Refused { get; init; }

    public required long Cancelled { get; init; }

    public required long Failed { get; init; }

    public required long Batches { get; init; }

    /// <summary>Texts and tokens of all batches.</summary>
    public required long Texts { get; init; }

    public required long Tokens { get; init; }

    /// <summary>Batches by their texts: place i counts those of 2^i to 2^(i+1) - 1.</summary>
    public required IReadOnlyList<long> BatchesBySize { get; init; }

    /// <summary>From a request's place in the queue to its first text in a batch: of all together, and of the longest one.</summary>
    public required TimeSpan TotalWait { get; init; }

    public required TimeSpan LongestWait { get; init; }

    /// <summary>Requests that <see cref="TotalWait"/> is of.</summary>
    public required long Started { get; init; }
}
