namespace Platform.GpuKernels.Search.Vectors;

/// <summary>How near two vectors are; greater is nearer. For vectors of norm 1 the order by Euclidean distance is the same as by either.</summary>
public enum Similarity
{
    /// <summary>The cosine of the angle, -1..1; 0 where one of the two is zero.</summary>
    Cosine = 0,

    /// <summary>The sum of the products of the components.</summary>
    DotProduct = 1,
}
