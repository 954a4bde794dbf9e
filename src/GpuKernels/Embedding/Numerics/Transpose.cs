using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Platform.GpuKernels.Embedding.Numerics;

internal static unsafe class Transpose
{
    /// <summary>Writes up to four rows of <paramref name="depth"/> floats as four columns of rows that lie <paramref name="toStride"/> floats apart; rows that are missing are zero.</summary>
    public static void FourRows(float* from, int stride, int rows, int depth, float* to, int toStride)
    {
        var at = 0;
        if (rows == 4 && Sse.IsSupported)
        {
            float* second = from + stride, third = second + stride, fourth = third + stride;
            for (; at + 4 <= depth; at += 4, to += 4L * toStride)
            {
                Vector128<float> a = Vector128.Load(from + at), b = Vector128.Load(second + at), c = Vector128.Load(third + at), d = Vector128.Load(fourth + at);
                Vector128<float> low = Sse.UnpackLow(a, b), lower = Sse.UnpackLow(c, d), high = Sse.UnpackHigh(a, b), higher = Sse.UnpackHigh(c, d);
                Sse.MoveLowToHigh(low, lower).Store(to);
                Sse.MoveHighToLow(lower, low).Store(to + toStride);
                Sse.MoveLowToHigh(high, higher).Store(to + (2L * toStride));
                Sse.MoveHighToLow(higher, high).Store(to + (3L * toStride));
            }
        }

        for (; at < depth; at++, to += toStride)
        {
            for (var row = 0; row < 4; row++) { to[row] = row < rows ? from[((long)row * stride) + at] : 0; }
        }
    }
}
