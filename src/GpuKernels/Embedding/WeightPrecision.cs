namespace Platform.GpuKernels.Embedding;

/// <summary>How an encoder's weights are held. Sums are always made in 32 bits.</summary>
public enum WeightPrecision
{
    /// <summary>As exact as the reference implementations.</summary>
    Float32,

    /// <summary>Half the memory.</summary>
    BFloat16,
}
