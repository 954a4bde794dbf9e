using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Platform.GpuKernels.Embedding.Numerics;

/// <summary>How the elements of a packed matrix are stored.</summary>
internal unsafe interface IStored<V>
    where V : struct
{
    /// <summary>Bytes of one element.</summary>
    static abstract int Size { get; }

    static abstract V Load(byte* from);
}

internal readonly unsafe struct Floats<L, V> : IStored<V>
    where L : ILanes<V>
    where V : struct
{
    public static int Size => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Load(byte* from) => L.Load((float*)from);
}

internal readonly unsafe struct Halves<L, V> : IStored<V>
    where L : ILanes<V>
    where V : struct
{
    public static int Size => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Load(byte* from) => L.LoadHalves((ushort*)from);
}

/// <summary>
/// c = a b + bias in 32-bit floats, a row-major, b packed into panels of three (at the end: two) registers' columns. A tile of eight or
/// four rows by one panel stays in registers over the whole depth: 24 of 32 registers, or 12 of 16, hold sums. Every sum is made in the
/// order of the depth, whatever tile its row falls into: a row's result depends on that row alone, and is the same bits in every width.
/// </summary>
internal static unsafe class Gemm
{
    /// <summary>Registers of a panel, and of one at the end.</summary>
    private const int Wide = 3;
    private const int Narrow = 2;

    /// <summary>Floats of the widest register.</summary>
    public const int WidestRegister = 16;

    /// <summary>Steps of the depth that the packed matrix is fetched ahead: from the second cache, whose 15 cycles the processor does not hide by itself. Measured: 121 to 169 GFLOP/s at depth 1,536.</summary>
    private const int Ahead = 8;
    private const int CacheLine = 64;

    /// <summary>Registers that <paramref name="columns"/> columns take, panels of one never: they would leave the multipliers waiting.</summary>
    public static int Registers(int columns, int lanes) => Math.Max(Narrow, (columns + lanes - 1) / lanes);

    /// <summary>Registers of the panel that starts when <paramref name="left"/> are left: the last ones are two of two rather than three and one.</summary>
    public static int Panel(int left) => left is Narrow or 2 * Narrow ? Narrow : Wide;

    /// <param name="a">[rows, depth], <paramref name="aStride"/> floats from row to row.</param>
    /// <param name="b">Panels of [depth, panel's columns] elements S, <paramref name="registers"/> registers together.</param>
    /// <param name="bias">As many floats as the registers hold; null: none.</param>
    /// <param name="c">[rows, at least what the registers hold], <paramref name="cStride"/> floats from row to row.</param>
    public static void Multiply<L, V, S>(float* a, int aStride, int rows, int depth, byte* b, int registers, float* bias, float* c, int cStride)
        where L : ILanes<V>
        where V : struct
        where S : IStored<V>
    {
        for (var left = registers; left > 0;)
        {
            var panel = Panel(left);
            for (var row = 0; row < rows;)
            {
                var from = a + ((long)row * aStride);
                var to = c + ((long)row * cStride);
                var some = rows - row;
                if (L.ManyRegisters && some > 4)
                {
                    some = Math.Min(some, 8);
                    if (panel == Wide) { Tile8x3<L, V, S>(from, aStride, some, depth, b, bias, to, cStride); }
                    else { Tile8x2<L, V, S>(from, aStride, some, depth, b, bias, to, cStride); }
                }
                else
                {
                    some = Math.Min(some, 4);
                    if (panel == Wide) { Tile4x3<L, V, S>(from, aStride, some, depth, b, bias, to, cStride); }
                    else { Tile4x2<L, V, S>(from, aStride, some, depth, b, bias, to, cStride); }
                }

                row += some;
            }

            b += (long)panel * L.Count * depth * S.Size;
            c += panel * L.Count;
            if (bias is not null) { bias += panel * L.Count; }

            left -= panel;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile8x3<L, V, S>(float* a, nint stride, int rows, int depth, byte* b, float* bias, float* c, nint cStride)
        where L : ILanes<V>
        where V : struct
        where S : IStored<V>
    {
        var a0 = a;
        var a1 = rows > 1 ? a0 + stride : a0;
        var a2 = rows > 2 ? a1 + stride : a1;
        var a3 = rows > 3 ? a2 + stride : a2;
        var a4 = rows > 4 ? a3 + stride : a3;
        var a5 = rows > 5 ? a4 + stride : a4;
        var a6 = rows > 6 ? a5 + stride : a5;
        var a7 = rows > 7 ? a6 + stride : a6;
        var start0 = bias is null ? L.Create(0) : L.Load(bias);
        var start1 = bias is null ? L.Create(0) : L.Load(bias + L.Count);
        var start2 = bias is null ? L.Create(0) : L.Load(bias + (2 * L.Count));
        V c00 = start0, c01 = start1, c02 = start2;
        V c10 = start0, c11 = start1, c12 = start2;
        V c20 = start0, c21 = start1, c22 = start2;
        V c30 = start0, c31 = start1, c32 = start2;
        V c40 = start0, c41 = start1, c42 = start2;
        V c50 = start0, c51 = start1, c52 = start2;
        V c60 = start0, c61 = start1, c62 = start2;
        V c70 = start0, c71 = start1, c72 = start2;
        for (nint k = 0; k < depth; k++, b += 3 * L.Count * S.Size)
        {
            Prefetch(b + (Ahead * 3 * L.Count * S.Size), 3 * L.Count * S.Size);
            V b0 = S.Load(b), b1 = S.Load(b + (L.Count * S.Size)), b2 = S.Load(b + (2 * L.Count * S.Size));
            var x = L.Create(a0[k]);
            c00 = L.MultiplyAdd(x, b0, c00);
            c01 = L.MultiplyAdd(x, b1, c01);
            c02 = L.MultiplyAdd(x, b2, c02);
            x = L.Create(a1[k]);
            c10 = L.MultiplyAdd(x, b0, c10);
            c11 = L.MultiplyAdd(x, b1, c11);
            c12 = L.MultiplyAdd(x, b2, c12);
            x = L.Create(a2[k]);
            c20 = L.MultiplyAdd(x, b0, c20);
            c21 = L.MultiplyAdd(x, b1, c21);
            c22 = L.MultiplyAdd(x, b2, c22);
            x = L.Create(a3[k]);
            c30 = L.MultiplyAdd(x, b0, c30);
            c31 = L.MultiplyAdd(x, b1, c31);
            c32 = L.MultiplyAdd(x, b2, c32);
            x = L.Create(a4[k]);
            c40 = L.MultiplyAdd(x, b0, c40);
            c41 = L.MultiplyAdd(x, b1, c41);
            c42 = L.MultiplyAdd(x, b2, c42);
            x = L.Create(a5[k]);
            c50 = L.MultiplyAdd(x, b0, c50);
            c51 = L.MultiplyAdd(x, b1, c51);
            c52 = L.MultiplyAdd(x, b2, c52);
            x = L.Create(a6[k]);
            c60 = L.MultiplyAdd(x, b0, c60);
            c61 = L.MultiplyAdd(x, b1, c61);
            c62 = L.MultiplyAdd(x, b2, c62);
            x = L.Create(a7[k]);
            c70 = L.MultiplyAdd(x, b0, c70);
            c71 = L.MultiplyAdd(x, b1, c71);
            c72 = L.MultiplyAdd(x, b2, c72);
        }

        Store3<L, V>(c, c00, c01, c02);
        if (rows == 1) { return; }

        c += cStride;
        Store3<L, V>(c, c10, c11, c12);
        if (rows == 2) { return; }

        c += cStride;
        Store3<L, V>(c, c20, c21, c22);
        if (rows == 3) { return; }

        c += cStride;
        Store3<L, V>(c, c30, c31, c32);
        if (rows == 4) { return; }

        c += cStride;
        Store3<L, V>(c, c40, c41, c42);
        if (rows == 5) { return; }

        c += cStride;
        Store3<L, V>(c, c50, c51, c52);
        if (rows == 6) { return; }

        c += cStride;
        Store3<L, V>(c, c60, c61, c62);
        if (rows == 7) { return; }

        c += cStride;
        Store3<L, V>(c, c70, c71, c72);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile8x2<L, V, S>(float* a, nint stride, int rows, int depth, byte* b, float* bias, float* c, nint cStride)
        where L : ILanes<V>
        where V : struct
        where S : IStored<V>
    {
        var a0 = a;
        var a1 = rows > 1 ? a0 + stride : a0;
        var a2 = rows > 2 ? a1 + stride : a1;
        var a3 = rows > 3 ? a2 + stride : a2;
        var a4 = rows > 4 ? a3 + stride : a3;
        var a5 = rows > 5 ? a4 + stride : a4;
        var a6 = rows > 6 ? a5 + stride : a5;
        var a7 = rows > 7 ? a6 + stride : a6;
        var start0 = bias is null ? L.Create(0) : L.Load(bias);
        var start1 = bias is null ? L.Create(0) : L.Load(bias + L.Count);
        V c00 = start0, c01 = start1;
        V c10 = start0, c11 = start1;
        V c20 = start0, c21 = start1;
        V c30 = start0, c31 = start1;
        V c40 = start0, c41 = start1;
        V c50 = start0, c51 = start1;
        V c60 = start0, c61 = start1;
        V c70 = start0, c71 = start1;
        for (nint k = 0; k < depth; k++, b += 2 * L.Count * S.Size)
        {
            Prefetch(b + (Ahead * 2 * L.Count * S.Size), 2 * L.Count * S.Size);
            V b0 = S.Load(b), b1 = S.Load(b + (L.Count * S.Size));
            var x = L.Create(a0[k]);
            c00 = L.MultiplyAdd(x, b0, c00);
            c01 = L.MultiplyAdd(x, b1, c01);
            x = L.Create(a1[k]);
            c10 = L.MultiplyAdd(x, b0, c10);
            c11 = L.MultiplyAdd(x, b1, c11);
            x = L.Create(a2[k]);
            c20 = L.MultiplyAdd(x, b0, c20);
            c21 = L.MultiplyAdd(x, b1, c21);
            x = L.Create(a3[k]);
            c30 = L.MultiplyAdd(x, b0, c30);
            c31 = L.MultiplyAdd(x, b1, c31);
            x = L.Create(a4[k]);
            c40 = L.MultiplyAdd(x, b0, c40);
            c41 = L.MultiplyAdd(x, b1, c41);
            x = L.Create(a5[k]);
            c50 = L.MultiplyAdd(x, b0, c50);
            c51 = L.MultiplyAdd(x, b1, c51);
            x = L.Create(a6[k]);
            c60 = L.MultiplyAdd(x, b0, c60);
            c61 = L.MultiplyAdd(x, b1, c61);
            x = L.Create(a7[k]);
            c70 = L.MultiplyAdd(x, b0, c70);
            c71 = L.MultiplyAdd(x, b1, c71);
        }

        Store2<L, V>(c, c00, c01);
        if (rows == 1) { return; }

        c += cStride;
        Store2<L, V>(c, c10, c11);
        if (rows == 2) { return; }

        c += cStride;
        Store2<L, V>(c, c20, c21);
        if (rows == 3) { return; }

        c += cStride;
        Store2<L, V>(c, c30, c31);
        if (rows == 4) { return; }

        c += cStride;
        Store2<L, V>(c, c40, c41);
        if (rows == 5) { return; }

        c += cStride;
        Store2<L, V>(c, c50, c51);
        if (rows == 6) { return; }

        c += cStride;
        Store2<L, V>(c, c60, c61);
        if (rows == 7) { return; }

        c += cStride;
        Store2<L, V>(c, c70, c71);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x3<L, V, S>(float* a, nint stride, int rows, int depth, byte* b, float* bias, float* c, nint cStride)
        where L : ILanes<V>
        where V : struct
        where S : IStored<V>
    {
        var a0 = a;
        var a1 = rows > 1 ? a0 + stride : a0;
        var a2 = rows > 2 ? a1 + stride : a1;
        var a3 = rows > 3 ? a2 + stride : a2;
        var start0 = bias is null ? L.Create(0) : L.Load(bias);
        var start1 = bias is null ? L.Create(0) : L.Load(bias + L.Count);
        var start2 = bias is null ? L.Create(0) : L.Load(bias + (2 * L.Count));
        V c00 = start0, c01 = start1, c02 = start2;
        V c10 = start0, c11 = start1, c12 = start2;
        V c20 = start0, c21 = start1, c22 = start2;
        V c30 = start0, c31 = start1, c32 = start2;
        for (nint k = 0; k < depth; k++, b += 3 * L.Count * S.Size)
        {
            Prefetch(b + (Ahead * 3 * L.Count * S.Size), 3 * L.Count * S.Size);
            V b0 = S.Load(b), b1 = S.Load(b + (L.Count * S.Size)), b2 = S.Load(b + (2 * L.Count * S.Size));
            var x = L.Create(a0[k]);
            c00 = L.MultiplyAdd(x, b0, c00);
            c01 = L.MultiplyAdd(x, b1, c01);
            c02 = L.MultiplyAdd(x, b2, c02);
            x = L.Create(a1[k]);
            c10 = L.MultiplyAdd(x, b0, c10);
            c11 = L.MultiplyAdd(x, b1, c11);
            c12 = L.MultiplyAdd(x, b2, c12);
            x = L.Create(a2[k]);
            c20 = L.MultiplyAdd(x, b0, c20);
            c21 = L.MultiplyAdd(x, b1, c21);
            c22 = L.MultiplyAdd(x, b2, c22);
            x = L.Create(a3[k]);
            c30 = L.MultiplyAdd(x, b0, c30);
            c31 = L.MultiplyAdd(x, b1, c31);
            c32 = L.MultiplyAdd(x, b2, c32);
        }

        Store3<L, V>(c, c00, c01, c02);
        if (rows == 1) { return; }

        c += cStride;
        Store3<L, V>(c, c10, c11, c12);
        if (rows == 2) { return; }

        c += cStride;
        Store3<L, V>(c, c20, c21, c22);
        if (rows == 3) { return; }

        c += cStride;
        Store3<L, V>(c, c30, c31, c32);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x2<L, V, S>(float* a, nint stride, int rows, int depth, byte* b, float* bias, float* c, nint cStride)
        where L : ILanes<V>
        where V : struct
        where S : IStored<V>
    {
        var a0 = a;
        var a1 = rows > 1 ? a0 + stride : a0;
        var a2 = rows > 2 ? a1 + stride : a1;
        var a3 = rows > 3 ? a2 + stride : a2;
        var start0 = bias is null ? L.Create(0) : L.Load(bias);
        var start1 = bias is null ? L.Create(0) : L.Load(bias + L.Count);
        V c00 = start0, c01 = start1;
        V c10 = start0, c11 = start1;
        V c20 = start0, c21 = start1;
        V c30 = start0, c31 = start1;
        for (nint k = 0; k < depth; k++, b += 2 * L.Count * S.Size)
        {
            Prefetch(b + (Ahead * 2 * L.Count * S.Size), 2 * L.Count * S.Size);
            V b0 = S.Load(b), b1 = S.Load(b + (L.Count * S.Size));
            var x = L.Create(a0[k]);
            c00 = L.MultiplyAdd(x, b0, c00);
            c01 = L.MultiplyAdd(x, b1, c01);
            x = L.Create(a1[k]);
            c10 = L.MultiplyAdd(x, b0, c10);
            c11 = L.MultiplyAdd(x, b1, c11);
            x = L.Create(a2[k]);
            c20 = L.MultiplyAdd(x, b0, c20);
            c21 = L.MultiplyAdd(x, b1, c21);
            x = L.Create(a3[k]);
            c30 = L.MultiplyAdd(x, b0, c30);
            c31 = L.MultiplyAdd(x, b1, c31);
        }

        Store2<L, V>(c, c00, c01);
        if (rows == 1) { return; }

        c += cStride;
        Store2<L, V>(c, c10, c11);
        if (rows == 2) { return; }

        c += cStride;
        Store2<L, V>(c, c20, c21);
        if (rows == 3) { return; }

        c += cStride;
        Store2<L, V>(c, c30, c31);
    }

    /// <summary>Asks for the cache lines of a range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PrefetchLines(byte* from, int bytes)
    {
        if (!Sse.IsSupported) { return; }

        for (var at = 0; at < bytes; at += CacheLine) { Sse.Prefetch0(from + at); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* from, int bytes)
    {
        if (!Sse.IsSupported) { return; }

        Sse.Prefetch0(from);
        if (bytes > CacheLine) { Sse.Prefetch0(from + CacheLine); }
        if (bytes > 2 * CacheLine) { Sse.Prefetch0(from + (2 * CacheLine)); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store3<L, V>(float* c, V first, V second, V third)
        where L : ILanes<V>
        where V : struct
    {
        Store2<L, V>(c, first, second);
        L.Store(third, c + (2 * L.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store2<L, V>(float* c, V first, V second)
        where L : ILanes<V>
        where V : struct
    {
        L.Store(first, c);
        L.Store(second, c + L.Count);
    }
}
