namespace Platform.GpuKernels.Embedding;

/// <summary>How an encoder's weights are held. Sums are always made in 32 bits: of floats, of whole numbers with <see cref="Int8"/>.</summary>
public enum WeightPrecision
{
    /// <summary>As exact as the reference implementations.</summary>
    Float32,

    /// <summary>Half the memory.</summary>
    BFloat16,

    /// <summary>
    /// A quarter of the memory: a byte with a scale for each output of a linear layer, and inputs quantised to bytes token by token. Attention, LayerNorm and
    /// embeddings stay in 32 bits, and what is added to a token's state from layer to layer too: there are its few large values.
    /// </summary>
    Int8,
}
