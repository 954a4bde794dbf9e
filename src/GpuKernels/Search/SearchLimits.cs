namespace Platform.GpuKernels.Search;

/// <summary>What one index holds and what one query asks for. What is beyond is refused with its limit named.</summary>
public static class SearchLimits
{
    /// <summary>Components of a vector: the widest embedding models in use have 4,096; the error bound of the scan is proven up to here.</summary>
    public const int Dimensions = 4096;

    /// <summary>The greatest Euclidean norm of an indexed vector, 2^120: the scan's bounds are 32-bit floats and must stay finite.</summary>
    public const float VectorNorm = 1.329228e36f;

    /// <summary>Hits of one query: a page of results, not an export.</summary>
    public const int Hits = 10_000;

    /// <summary>Queries answered in one pass over the vectors; a longer batch takes several passes.</summary>
    public const int QueriesPerPass = 64;

    /// <summary>Threads of one query: more only wait for the same memory.</summary>
    public const int Threads = 64;

    /// <summary>UTF-16 units of a document's title and text together: what is searched are chunks of text, not books.</summary>
    public const int TextLength = 1 << 20;

    /// <summary>UTF-16 units of a term; of longer ones the beginning counts, on both sides. Nobody types more, and encoded data has no end of different ones.</summary>
    public const int TermLength = 64;

    /// <summary>Tags of a document.</summary>
    public const int Tags = 256;

    /// <summary>UTF-8 bytes of a tag.</summary>
    public const int TagBytes = 512;

    /// <summary>Different terms of a query that count; the rest is left out. A longer query asks for everything.</summary>
    public const int QueryTerms = 64;
}
