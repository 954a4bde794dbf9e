namespace Platform.GpuKernels.Search.Vectors;

/// <summary>Vectors of one segment: codes and bounds for the scan, and the 32-bit originals that decide. Whoever holds it keeps the memory behind it alive.</summary>
/// <param name="count">Vectors; codes and bounds are padded to a multiple of <see cref="IntegerDot.Rows"/>.</param>
/// <param name="originals">[count, dimensions].</param>
internal abstract unsafe class VectorRows(int count, int dimensions, byte* codes, float* scales, float* errors, float* norms, float* originals)
{
    public readonly byte* Codes = codes;
    public readonly float* Scales = scales;
    public readonly float* Errors = errors;
    public readonly float* Norms = norms;

    public int Count { get; } = count;

    public int Dimensions { get; } = dimensions;

    public int Stride { get; } = Quantiser.Stride(dimensions);

    /// <summary>The order in which equal scores come.</summary>
    public abstract UInt128 IdOf(int vector);

    /// <summary>The vector as it was given.</summary>
    public virtual float* OriginalOf(int vector) => originals + (vector * (long)Dimensions);
}
