using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Embedding.Numerics;

/// <summary>What a row's unsigned bytes stand for: (byte - Zero) * Scale. Zero, which a row may hold often, is a byte of its own and so exact.</summary>
internal readonly record struct ByteRange(float Scale, int Zero)
{
    private const int Greatest = 255;

    /// <summary>Values that all are nearer to zero count as zero: below it their quotients would not be finite.</summary>
    private const float LeastScale = 1e-30f;

    /// <summary>Quantises a row, each value to half a step of 1/255 of the row's range (a whole step at its ends). What is not a number makes the scale so. The same bytes whatever vectors the machine has.</summary>
    /// <param name="to">As many bytes.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static unsafe ByteRange Quantise(float* values, int count, byte* to)
    {
        var (low, high) = (Vector256<float>.Zero, Vector256<float>.Zero);
        var i = 0;
        for (; i + 8 <= count; i += 8)
        {
            var some = Vector256.Load(values + i);
            low = Vector256.Min(low, some);
            high = Vector256.Max(high, some);
        }

        float least = 0, most = 0;
        for (; i < count; i++) { (least, most) = (MathF.Min(least, values[i]), MathF.Max(most, values[i])); }
        for (var lane = 0; lane < 8; lane++) { (least, most) = (MathF.Min(least, low[lane]), MathF.Max(most, high[lane])); }

        // Each by itself: the range of finite values can be beyond a float's.
        var scale = (most / Greatest) - (least / Greatest);
        if (scale < LeastScale || !float.IsFinite(scale))
        {
            new Span<byte>(to, count).Clear();
            return new ByteRange(float.IsFinite(scale) ? 0 : float.NaN, 0);
        }

        var inverse = 1 / scale;
        var zero = (int)((-least * inverse) + 0.5f);
        var (factors, shifts, limit) = (Vector256.Create(inverse), Vector256.Create(zero + 0.5f), Vector256.Create((float)Greatest));
        for (i = 0; i + 32 <= count; i += 32)
        {
            var first = Vector256.Narrow(Codes(values + i, factors, shifts, limit), Codes(values + i + 8, factors, shifts, limit));
            var second = Vector256.Narrow(Codes(values + i + 16, factors, shifts, limit), Codes(values + i + 24, factors, shifts, limit));
            Vector256.Narrow(first, second).Store(to + i);
        }

        for (; i < count; i++)
        {
            // As the vectors do it: two roundings.
            var scaled = values[i] * inverse;
            to[i] = (byte)MathF.Min(scaled + (zero + 0.5f), Greatest);
        }

        return new ByteRange(scale, zero);
    }

    /// <summary>Nothing is below zero by more than a rounding error, so cutting off rounds to the nearest.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe Vector256<uint> Codes(float* values, Vector256<float> factors, Vector256<float> shifts, Vector256<float> limit) =>
        Vector256.ConvertToInt32Native(Vector256.MinNative((Vector256.Load(values) * factors) + shifts, limit)).AsUInt32();
}
