using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Platform.GpuKernels.Embedding.Numerics;

/// <summary>
/// c = (a - zero) b * scales + bias, a unsigned bytes with a scale and a zero for each row, b signed bytes with a scale for each column, packed into panels of three (at
/// the end: two) registers' columns, four of the depth side by side. Sums are whole numbers of 32 bits, so every path gives the same bits.
/// </summary>
internal abstract unsafe class ByteGemm
{
    /// <summary>Of the depth, that are multiplied by one instruction.</summary>
    public const int Group = 4;

    /// <summary>255 * 127 each, as many fit a sum of 32 bits; more than a model's widest layer has (<see cref="EmbeddingLimits.IntermediateSize"/>).</summary>
    public const int GreatestDepth = int.MaxValue / (255 * 127);

    /// <summary>Columns of a register.</summary>
    public abstract int Lanes { get; }

    public abstract string Name { get; }

    /// <summary>All that this machine can run, the fastest first.</summary>
    public static IReadOnlyList<ByteGemm> All()
    {
        var found = new List<ByteGemm>();
        if (AvxVnni.IsSupported) { found.Add(new ByteGemm<VnniBytes, Vector256<int>>("avx-vnni")); }
        if (Vector512.IsHardwareAccelerated && Avx512BW.IsSupported) { found.Add(new ByteGemm<Bytes512, Vector512<int>>("avx-512")); }
        if (Avx2.IsSupported) { found.Add(new ByteGemm<Bytes256, Vector256<int>>("avx2")); }

        found.Add(new ByteGemm<Bytes128, Vector128<int>>("vector128"));
        return found;
    }

    /// <summary>The fastest whose registers are no wider than those of so many floats.</summary>
    public static ByteGemm For(int floats) => All().First(gemm => gemm.Lanes <= floats);

    /// <param name="a">[rows, groups * <see cref="Group"/>] bytes.</param>
    /// <param name="ranges">One for each row.</param>
    /// <param name="b">Panels of [groups, panel's columns, <see cref="Group"/>] codes.</param>
    /// <param name="codes">Of each column the sum of its codes; like scales and bias as many as the registers hold.</param>
    public abstract void Multiply(byte* a, ByteRange* ranges, int rows, int groups, sbyte* b, int columns, int* codes, float* scales, float* bias, float* c, int cStride);
}

internal sealed unsafe class ByteGemm<B, V>(string name) : ByteGemm
    where B : IByteLanes<V>
    where V : struct
{
    private const int Rows = 4;

    public override int Lanes => B.Count;

    public override string Name => name;

    public override void Multiply(byte* a, ByteRange* ranges, int rows, int groups, sbyte* b, int columns, int* codes, float* scales, float* bias, float* c, int cStride)
    {
        for (var left = Gemm.Registers(columns, B.Count); left > 0;)
        {
            var panel = Gemm.Panel(left);
            for (var row = 0; row < rows; row += Rows)
            {
                var from = a + ((long)row * groups * Group);
                var to = c + ((long)row * cStride);
                if (panel == 3) { Tile3(from, ranges + row, Math.Min(Rows, rows - row), groups, b, codes, scales, bias, to, cStride); }
                else { Tile2(from, ranges + row, Math.Min(Rows, rows - row), groups, b, codes, scales, bias, to, cStride); }
            }

            var width = panel * B.Count;
            b += (long)width * groups * Group;
            codes += width;
            scales += width;
            bias += width;
            c += width;
            left -= panel;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile3(byte* a, ByteRange* ranges, int rows, nint groups, sbyte* b, int* codes, float* scales, float* bias, float* c, int cStride)
    {
        // Rows that are missing are the last one again.
        nint stride = groups * Group, end = stride;
        var a1 = rows > 1 ? a + stride : a;
        var a2 = rows > 2 ? a1 + stride : a1;
        var a3 = rows > 3 ? a2 + stride : a2;
        V c00 = default, c01 = default, c02 = default, c10 = default, c11 = default, c12 = default;
        V c20 = default, c21 = default, c22 = default, c30 = default, c31 = default, c32 = default;
        for (nint k = 0; k < end; k += Group, b += 3 * B.Count * Group)
        {
            V b0 = B.Load(b), b1 = B.Load(b + (B.Count * Group)), b2 = B.Load(b + (2 * B.Count * Group));
            V s0 = B.SecondSigned(b0), s1 = B.SecondSigned(b1), s2 = B.SecondSigned(b2);
            (b0, b1, b2) = (B.FirstSigned(b0), B.FirstSigned(b1), B.FirstSigned(b2));
            var x = B.Broadcast(a + k);
            var y = B.Second(x);
            x = B.First(x);
            c00 = B.Add(c00, x, y, b0, s0);
            c01 = B.Add(c01, x, y, b1, s1);
            c02 = B.Add(c02, x, y, b2, s2);
            x = B.Broadcast(a1 + k);
            y = B.Second(x);
            x = B.First(x);
            c10 = B.Add(c10, x, y, b0, s0);
            c11 = B.Add(c11, x, y, b1, s1);
            c12 = B.Add(c12, x, y, b2, s2);
            x = B.Broadcast(a2 + k);
            y = B.Second(x);
            x = B.First(x);
            c20 = B.Add(c20, x, y, b0, s0);
            c21 = B.Add(c21, x, y, b1, s1);
            c22 = B.Add(c22, x, y, b2, s2);
            x = B.Broadcast(a3 + k);
            y = B.Second(x);
            x = B.First(x);
            c30 = B.Add(c30, x, y, b0, s0);
            c31 = B.Add(c31, x, y, b1, s1);
            c32 = B.Add(c32, x, y, b2, s2);
        }

        Finish3(c00, c01, c02, ranges[0], codes, scales, bias, c);
        if (rows > 1) { Finish3(c10, c11, c12, ranges[1], codes, scales, bias, c + cStride); }
        if (rows > 2) { Finish3(c20, c21, c22, ranges[2], codes, scales, bias, c + (2L * cStride)); }
        if (rows > 3) { Finish3(c30, c31, c32, ranges[3], codes, scales, bias, c + (3L * cStride)); }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile2(byte* a, ByteRange* ranges, int rows, nint groups, sbyte* b, int* codes, float* scales, float* bias, float* c, int cStride)
    {
        nint stride = groups * Group, end = stride;
        var a1 = rows > 1 ? a + stride : a;
        var a2 = rows > 2 ? a1 + stride : a1;
        var a3 = rows > 3 ? a2 + stride : a2;
        V c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        for (nint k = 0; k < end; k += Group, b += 2 * B.Count * Group)
        {
            V b0 = B.Load(b), b1 = B.Load(b + (B.Count * Group));
            V s0 = B.SecondSigned(b0), s1 = B.SecondSigned(b1);
            (b0, b1) = (B.FirstSigned(b0), B.FirstSigned(b1));
            var x = B.Broadcast(a + k);
            var y = B.Second(x);
            x = B.First(x);
            c00 = B.Add(c00, x, y, b0, s0);
            c01 = B.Add(c01, x, y, b1, s1);
            x = B.Broadcast(a1 + k);
            y = B.Second(x);
            x = B.First(x);
            c10 = B.Add(c10, x, y, b0, s0);
            c11 = B.Add(c11, x, y, b1, s1);
            x = B.Broadcast(a2 + k);
            y = B.Second(x);
            x = B.First(x);
            c20 = B.Add(c20, x, y, b0, s0);
            c21 = B.Add(c21, x, y, b1, s1);
            x = B.Broadcast(a3 + k);
            y = B.Second(x);
            x = B.First(x);
            c30 = B.Add(c30, x, y, b0, s0);
            c31 = B.Add(c31, x, y, b1, s1);
        }

        Finish2(c00, c01, ranges[0], codes, scales, bias, c);
        if (rows > 1) { Finish2(c10, c11, ranges[1], codes, scales, bias, c + cStride); }
        if (rows > 2) { Finish2(c20, c21, ranges[2], codes, scales, bias, c + (2L * cStride)); }
        if (rows > 3) { Finish2(c30, c31, ranges[3], codes, scales, bias, c + (3L * cStride)); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish3(V first, V second, V third, ByteRange range, int* codes, float* scales, float* bias, float* c)
    {
        Finish2(first, second, range, codes, scales, bias, c);
        B.Finish(third, range.Zero, codes + (2 * B.Count), range.Scale, scales + (2 * B.Count), bias + (2 * B.Count), c + (2 * B.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish2(V first, V second, ByteRange range, int* codes, float* scales, float* bias, float* c)
    {
        B.Finish(first, range.Zero, codes, range.Scale, scales, bias, c);
        B.Finish(second, range.Zero, codes + B.Count, range.Scale, scales + B.Count, bias + B.Count, c + B.Count);
    }
}
