using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Search.Vectors;

/// <summary>
/// The scores that hits are ordered by: sums of 64-bit floats in one fixed order, so that every machine finds the same bits. A product of two
/// 32-bit floats is exact in 64 bits, so that a fused multiply-add changes nothing either; the sum is off by at most 2^-40 of the product of the norms.
/// </summary>
internal static unsafe class ExactScore
{
    public static double Dot(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(left.Length, right.Length);
        fixed (float* l = left, r = right) { return Dot(l, r, left.Length); }
    }

    /// <summary>Sixteen running sums: component i goes to sum i modulo 16, the last few to one of their own.</summary>
    public static double Dot(float* left, float* right, int length)
    {
        var (low, high) = (Vector512<double>.Zero, Vector512<double>.Zero);
        var at = 0;
        for (; at <= length - 16; at += 16)
        {
            var (leftLow, leftHigh) = Vector512.Widen(Vector512.Load(left + at));
            var (rightLow, rightHigh) = Vector512.Widen(Vector512.Load(right + at));
            low += leftLow * rightLow;
            high += leftHigh * rightHigh;
        }

        var rest = 0.0;
        for (; at < length; at++) { rest += (double)left[at] * right[at]; }

        var eight = low + high;
        var four = eight.GetLower() + eight.GetUpper();
        var two = four.GetLower() + four.GetUpper();
        return two.GetElement(0) + two.GetElement(1) + rest;
    }

    public static double Norm(ReadOnlySpan<float> vector) => Math.Sqrt(Dot(vector, vector));

    /// <param name="norms">The product of both norms.</param>
    public static double Of(Similarity similarity, double dot, double norms) => similarity switch
    {
        Similarity.Cosine => norms == 0 ? 0 : dot / norms,
        Similarity.DotProduct => dot,
    };
}
