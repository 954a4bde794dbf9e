using System.Runtime.CompilerServices;

namespace Platform.GpuKernels.Kernels;

/// <summary>bfloat16: the upper half of an IEEE 754 single, rounded to nearest even, as the kernels' <c>pack_bf16</c> does.</summary>
internal static class Bf16
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort FromSingle(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);

        // A NaN whose payload is only in the lower half must stay one.
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    public static ushort[] From(ReadOnlySpan<float> values)
    {
        var result = new ushort[values.Length];
        for (var i = 0; i < result.Length; i++) { result[i] = FromSingle(values[i]); }

        return result;
    }

    public static float[] ToSingles(ReadOnlySpan<ushort> values)
    {
        var result = new float[values.Length];
        for (var i = 0; i < result.Length; i++) { result[i] = ToSingle(values[i]); }

        return result;
    }
}
