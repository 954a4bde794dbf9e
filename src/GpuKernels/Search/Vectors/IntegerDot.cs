using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Platform.GpuKernels.Embedding.Numerics;

namespace Platform.GpuKernels.Search.Vectors;

/// <summary>
/// Integer dot products of eight rows with one query. Rows hold code + 128 as a byte, since AVX-VNNI multiplies unsigned by signed; what that adds is
/// 128 times the sum of the query's codes, taken off by the caller. Every path gives the same integers; .NET 10 has no intrinsic for AVX512-VNNI.
/// </summary>
internal static unsafe class IntegerDot
{
    /// <summary>Rows of one call.</summary>
    public const int Rows = 8;

    /// <summary>Bytes that a row is padded to, with zero codes.</summary>
    public const int Alignment = 64;

    /// <summary>What the eight sums come from on this machine.</summary>
    public static string Path => AvxVnni.IsSupported ? "avx-vnni" : Avx512BW.IsSupported ? "avx-512" : Avx2.IsSupported ? "avx2" : "vector128";

    /// <param name="rows">Eight rows, each of <paramref name="stride"/> bytes.</param>
    /// <param name="stride">Bytes of a row, a multiple of <see cref="Alignment"/>.</param>
    /// <param name="query">Codes of the query, -127..127, as long as a row, zero where the row is padded.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(byte* rows, int stride, sbyte* query) =>
        AvxVnni.IsSupported ? ByAvxVnni(rows, stride, query)
        : Avx512BW.IsSupported ? ByAvx512(rows, stride, query)
        : Avx2.IsSupported ? ByAvx2(rows, stride, query)
        : ByVector128(rows, stride, query);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> ByAvxVnni(byte* rows, int stride, sbyte* query)
    {
        var (a, b, c, d) = (Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero);
        var (e, f, g, h) = (Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero);
        var last = rows + (4 * (long)stride);
        for (var at = 0; at < stride; at += 32)
        {
            var codes = Vector256.Load(query + at);
            a = AvxVnni.MultiplyWideningAndAdd(a, Vector256.Load(rows + at), codes);
            b = AvxVnni.MultiplyWideningAndAdd(b, Vector256.Load(rows + stride + at), codes);
            c = AvxVnni.MultiplyWideningAndAdd(c, Vector256.Load(rows + (2 * stride) + at), codes);
            d = AvxVnni.MultiplyWideningAndAdd(d, Vector256.Load(rows + (3 * stride) + at), codes);
            e = AvxVnni.MultiplyWideningAndAdd(e, Vector256.Load(last + at), codes);
            f = AvxVnni.MultiplyWideningAndAdd(f, Vector256.Load(last + stride + at), codes);
            g = AvxVnni.MultiplyWideningAndAdd(g, Vector256.Load(last + (2 * stride) + at), codes);
            h = AvxVnni.MultiplyWideningAndAdd(h, Vector256.Load(last + (3 * stride) + at), codes);
        }

        return SumEach(a, b, c, d, e, f, g, h);
    }

    public static Vector256<int> ByAvx512(byte* rows, int stride, sbyte* query)
    {
        var sums = Vector256<int>.Zero;
        for (var row = 0; row < Rows; row += 4)
        {
            var (a, b, c, d) = (Vector512<int>.Zero, Vector512<int>.Zero, Vector512<int>.Zero, Vector512<int>.Zero);
            var first = rows + (row * (long)stride);
            for (var at = 0; at < stride; at += 64)
            {
                var codes = Vector512.Load(query + at);
                var (even, odd) = (ByteProducts.Even(codes), ByteProducts.Odd(codes));
                a = Add(a, Vector512.Load(first + at), even, odd);
                b = Add(b, Vector512.Load(first + stride + at), even, odd);
                c = Add(c, Vector512.Load(first + (2 * stride) + at), even, odd);
                d = Add(d, Vector512.Load(first + (3 * stride) + at), even, odd);
            }

            sums = sums
                .WithElement(row, Vector512.Sum(a)).WithElement(row + 1, Vector512.Sum(b))
                .WithElement(row + 2, Vector512.Sum(c)).WithElement(row + 3, Vector512.Sum(d));
        }

        return sums;
    }

    public static Vector256<int> ByAvx2(byte* rows, int stride, sbyte* query)
    {
        var (a, b, c, d) = (Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero);
        var (e, f, g, h) = (Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero);
        var last = rows + (4 * (long)stride);
        for (var at = 0; at < stride; at += 32)
        {
            var codes = Vector256.Load(query + at);
            var (even, odd) = (ByteProducts.Even(codes), ByteProducts.Odd(codes));
            a = Add(a, Vector256.Load(rows + at), even, odd);
            b = Add(b, Vector256.Load(rows + stride + at), even, odd);
            c = Add(c, Vector256.Load(rows + (2 * stride) + at), even, odd);
            d = Add(d, Vector256.Load(rows + (3 * stride) + at), even, odd);
            e = Add(e, Vector256.Load(last + at), even, odd);
            f = Add(f, Vector256.Load(last + stride + at), even, odd);
            g = Add(g, Vector256.Load(last + (2 * stride) + at), even, odd);
            h = Add(h, Vector256.Load(last + (3 * stride) + at), even, odd);
        }

        return SumEach(a, b, c, d, e, f, g, h);
    }

    public static Vector256<int> ByVector128(byte* rows, int stride, sbyte* query)
    {
        var sums = Vector256<int>.Zero;
        for (var row = 0; row < Rows; row++)
        {
            var sum = Vector128<int>.Zero;
            var first = rows + (row * (long)stride);
            for (var at = 0; at < stride; at += 16)
            {
                var (bytes, codes) = (Vector128.Load(first + at), Vector128.Load(query + at));
                sum = ByteProducts.Add(ByteProducts.Add(sum, ByteProducts.Even(bytes), ByteProducts.Even(codes)), ByteProducts.Odd(bytes), ByteProducts.Odd(codes));
            }

            sums = sums.WithElement(row, Vector128.Sum(sum));
        }

        return sums;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Add(Vector512<int> sum, Vector512<byte> row, Vector512<short> even, Vector512<short> odd) =>
        ByteProducts.Add(ByteProducts.Add(sum, ByteProducts.Even(row), even), ByteProducts.Odd(row), odd);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Add(Vector256<int> sum, Vector256<byte> row, Vector256<short> even, Vector256<short> odd) =>
        ByteProducts.Add(ByteProducts.Add(sum, ByteProducts.Even(row), even), ByteProducts.Odd(row), odd);

    /// <summary>The sum of each of eight vectors, in their order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> SumEach(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d, Vector256<int> e, Vector256<int> f, Vector256<int> g, Vector256<int> h)
    {
        var first = Avx2.HorizontalAdd(Avx2.HorizontalAdd(a, b), Avx2.HorizontalAdd(c, d));
        var second = Avx2.HorizontalAdd(Avx2.HorizontalAdd(e, f), Avx2.HorizontalAdd(g, h));
        return Avx2.Permute2x128(first, second, 0x20) + Avx2.Permute2x128(first, second, 0x31);
    }
}
