namespace Platform.GpuKernels.Search;

/// <summary>What is looked for: by keywords, by a vector, or by both.</summary>
public sealed record HybridQuery
{
    /// <summary>Words in any order; a document with some of them is found. Empty: not by keywords.</summary>
    public string Text { get; init; } = "";

    /// <summary>Of the index's dimensions; empty: not by a vector.</summary>
    public ReadOnlyMemory<float> Vector { get; init; }

    /// <summary>Which documents may be hits; null: all.</summary>
    public DocumentFilter? Filter { get; init; }

    /// <summary>1 to <see cref="SearchLimits.Hits"/>.</summary>
    public int Hits { get; init; } = 10;

    /// <summary>The best of each side that are joined, <see cref="Hits"/> at least, up to <see cref="SearchLimits.Hits"/>: what is deeper on both sides is not found.</summary>
    public int Depth { get; init; } = 100;

    public Fusion Fusion { get; init; } = Fusion.ReciprocalRank();
}

/// <summary>One side's part in a hit.</summary>
/// <param name="Rank">1 is the best.</param>
/// <param name="Score">BM25, or the similarity.</param>
/// <param name="Share">What it adds to the hit's score.</param>
public sealed record SidePart(int Rank, double Score, double Share);

/// <summary>A document that was found, and why.</summary>
/// <param name="Score">The sum of the shares; by one side only, that side's score.</param>
/// <param name="Keywords">Null where it is not among the best by keywords.</param>
/// <param name="Vector">Null where it is not among the best by the vector.</param>
/// <param name="MatchedTerms">Those of the query's terms that it has, as they are indexed: folded, stemmed, or pairs of characters.</param>
public sealed record SearchHit(Guid Id, double Score, SidePart? Keywords, SidePart? Vector, IReadOnlyList<string> MatchedTerms);
