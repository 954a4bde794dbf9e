using Platform.GpuKernels.Search.Keywords;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search;

/// <summary>What an index is made for. Another setting of the first five needs another index, built anew.</summary>
public sealed record IndexSettings
{
    /// <summary>Components of its vectors, up to <see cref="SearchLimits.Dimensions"/>; 0: none has one.</summary>
    public int Dimensions { get; init; }

    public Similarity Similarity { get; init; } = Similarity.Cosine;

    public Stemming Stemming { get; init; } = Stemming.None;

    /// <summary>Whether "Café" is found by "cafe". Case and the form in which accents are encoded never matter.</summary>
    public bool FoldAccents { get; init; } = true;

    /// <summary>How many times a title's terms count, 1..16.</summary>
    public int TitleWeight { get; init; } = 2;

    /// <summary>BM25: how much a term's second occurrence counts, 0..10.</summary>
    public double K1 { get; init; } = 1.2;

    /// <summary>BM25: how much long documents are held back, 0..1.</summary>
    public double B { get; init; } = 0.75;

    /// <summary>Threads of one search over vectors; 0: as many as the machine has processors.</summary>
    public int Threads { get; init; }

    /// <exception cref="ArgumentOutOfRangeException"/>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(Dimensions);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Dimensions, SearchLimits.Dimensions);
        ArgumentOutOfRangeException.ThrowIfNegative(Threads);
        if (!Enum.IsDefined(Similarity)) { throw new ArgumentOutOfRangeException(nameof(Similarity)); }
        if (!Enum.IsDefined(Stemming)) { throw new ArgumentOutOfRangeException(nameof(Stemming)); }
        if (TitleWeight is < 1 or > 16) { throw new ArgumentOutOfRangeException(nameof(TitleWeight), "The weight of titles is 1 to 16."); }
        if (!(K1 is >= 0 and <= 10)) { throw new ArgumentOutOfRangeException(nameof(K1), "k1 is 0 to 10."); }
        if (!(B is >= 0 and <= 1)) { throw new ArgumentOutOfRangeException(nameof(B), "b is 0 to 1."); }
    }
}
