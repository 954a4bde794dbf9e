using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Platform.GpuKernels.Embedding.Numerics;

/// <summary>
/// Sums of the four products of unsigned and signed bytes in each 32 bits, exactly: what vpdpbusd does, of 16-bit multiplications where it is not there, the even bytes and the odd
/// ones by themselves. vpmaddubsw is no way to it: 2 * 255 * 127 does not fit the 16 bits that it saturates to. Callers split what they use several times outside of
/// their loops: the JIT does not move it there (an encoder with AVX-512 took 1.18 times as long).
/// </summary>
internal static class ByteProducts
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<short> Even(Vector512<byte> bytes) => bytes.AsInt16() & Vector512.Create((short)0xff);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<short> Odd(Vector512<byte> bytes) => (bytes.AsUInt16() >>> 8).AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<short> Even(Vector512<sbyte> bytes) => (bytes.AsInt16() << 8) >> 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<short> Odd(Vector512<sbyte> bytes) => bytes.AsInt16() >> 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<short> Even(Vector256<byte> bytes) => bytes.AsInt16() & Vector256.Create((short)0xff);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<short> Odd(Vector256<byte> bytes) => (bytes.AsUInt16() >>> 8).AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<short> Even(Vector256<sbyte> bytes) => (bytes.AsInt16() << 8) >> 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<short> Odd(Vector256<sbyte> bytes) => bytes.AsInt16() >> 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<short> Even(Vector128<byte> bytes) => bytes.AsInt16() & Vector128.Create((short)0xff);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<short> Odd(Vector128<byte> bytes) => (bytes.AsUInt16() >>> 8).AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<short> Even(Vector128<sbyte> bytes) => (bytes.AsInt16() << 8) >> 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<short> Odd(Vector128<sbyte> bytes) => bytes.AsInt16() >> 8;

    /// <summary>sum + the products of each two neighbours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Add(Vector512<int> sum, Vector512<short> left, Vector512<short> right) => sum + Avx512BW.MultiplyAddAdjacent(left, right);

    /// <summary>sum + the products of each two neighbours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Add(Vector256<int> sum, Vector256<short> left, Vector256<short> right) => sum + Avx2.MultiplyAddAdjacent(left, right);

    /// <summary>sum + the products of each two neighbours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Add(Vector128<int> sum, Vector128<short> left, Vector128<short> right)
    {
        if (Sse2.IsSupported) { return sum + Sse2.MultiplyAddAdjacent(left, right); }

        var (a, b) = (left.AsInt32(), right.AsInt32());
        return sum + (((a << 16) >> 16) * ((b << 16) >> 16)) + ((a >> 16) * (b >> 16));
    }
}

/// <summary>What <see cref="ByteGemm"/> needs of a register: of 32-bit sums, and as well of four bytes in place of each.</summary>
internal unsafe interface IByteLanes<V>
    where V : struct
{
    /// <summary>Sums of a register.</summary>
    static abstract int Count { get; }

    static abstract V Load(void* from);

    /// <summary>The four bytes in each place.</summary>
    static abstract V Broadcast(byte* four);

    /// <summary>What <see cref="Add"/> wants of unsigned bytes first and second: where bytes are multiplied as they are, themselves and nothing.</summary>
    static abstract V First(V unsigned);

    static abstract V Second(V unsigned);

    static abstract V FirstSigned(V signed);

    static abstract V SecondSigned(V signed);

    /// <summary>sum + the products of the unsigned and the signed bytes.</summary>
    static abstract V Add(V sum, V first, V second, V firstSigned, V secondSigned);

    /// <summary>to = (sum - zero * codes) * scale * scales + bias.</summary>
    static abstract void Finish(V sum, int zero, int* codes, float scale, float* scales, float* bias, float* to);
}

/// <summary>AVX-VNNI: 32 products an instruction. .NET 10 has no intrinsic for the 512 bits of AVX512-VNNI.</summary>
internal readonly unsafe struct VnniBytes : IByteLanes<Vector256<int>>
{
    public static int Count => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Load(void* from) => Vector256.Load((int*)from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Broadcast(byte* four) => Vector256.Create(*(int*)four);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> First(Vector256<int> unsigned) => unsigned;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Second(Vector256<int> unsigned) => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> FirstSigned(Vector256<int> signed) => signed;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> SecondSigned(Vector256<int> signed) => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Add(Vector256<int> sum, Vector256<int> first, Vector256<int> second, Vector256<int> firstSigned, Vector256<int> secondSigned) => AvxVnni.MultiplyWideningAndAdd(sum, first.AsByte(), firstSigned.AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Finish(Vector256<int> sum, int zero, int* codes, float scale, float* scales, float* bias, float* to) => Bytes256.Finish(sum, zero, codes, scale, scales, bias, to);
}

internal readonly unsafe struct Bytes512 : IByteLanes<Vector512<int>>
{
    public static int Count => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Load(void* from) => Vector512.Load((int*)from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Broadcast(byte* four) => Vector512.Create(*(int*)four);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> First(Vector512<int> unsigned) => ByteProducts.Even(unsigned.AsByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Second(Vector512<int> unsigned) => ByteProducts.Odd(unsigned.AsByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> FirstSigned(Vector512<int> signed) => ByteProducts.Even(signed.AsSByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> SecondSigned(Vector512<int> signed) => ByteProducts.Odd(signed.AsSByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Add(Vector512<int> sum, Vector512<int> first, Vector512<int> second, Vector512<int> firstSigned, Vector512<int> secondSigned) => ByteProducts.Add(ByteProducts.Add(sum, first.AsInt16(), firstSigned.AsInt16()), second.AsInt16(), secondSigned.AsInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Finish(Vector512<int> sum, int zero, int* codes, float scale, float* scales, float* bias, float* to) =>
        Vector512.MultiplyAddEstimate(Vector512.ConvertToSingle(sum - (Vector512.Create(zero) * Vector512.Load(codes))), Vector512.Create(scale) * Vector512.Load(scales), Vector512.Load(bias)).Store(to);
}

internal readonly unsafe struct Bytes256 : IByteLanes<Vector256<int>>
{
    public static int Count => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Load(void* from) => Vector256.Load((int*)from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Broadcast(byte* four) => Vector256.Create(*(int*)four);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> First(Vector256<int> unsigned) => ByteProducts.Even(unsigned.AsByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Second(Vector256<int> unsigned) => ByteProducts.Odd(unsigned.AsByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> FirstSigned(Vector256<int> signed) => ByteProducts.Even(signed.AsSByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> SecondSigned(Vector256<int> signed) => ByteProducts.Odd(signed.AsSByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Add(Vector256<int> sum, Vector256<int> first, Vector256<int> second, Vector256<int> firstSigned, Vector256<int> secondSigned) => ByteProducts.Add(ByteProducts.Add(sum, first.AsInt16(), firstSigned.AsInt16()), second.AsInt16(), secondSigned.AsInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Finish(Vector256<int> sum, int zero, int* codes, float scale, float* scales, float* bias, float* to) =>
        Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(sum - (Vector256.Create(zero) * Vector256.Load(codes))), Vector256.Create(scale) * Vector256.Load(scales), Vector256.Load(bias)).Store(to);
}

internal readonly unsafe struct Bytes128 : IByteLanes<Vector128<int>>
{
    public static int Count => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Load(void* from) => Vector128.Load((int*)from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Broadcast(byte* four) => Vector128.Create(*(int*)four);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> First(Vector128<int> unsigned) => ByteProducts.Even(unsigned.AsByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Second(Vector128<int> unsigned) => ByteProducts.Odd(unsigned.AsByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> FirstSigned(Vector128<int> signed) => ByteProducts.Even(signed.AsSByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> SecondSigned(Vector128<int> signed) => ByteProducts.Odd(signed.AsSByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Add(Vector128<int> sum, Vector128<int> first, Vector128<int> second, Vector128<int> firstSigned, Vector128<int> secondSigned) => ByteProducts.Add(ByteProducts.Add(sum, first.AsInt16(), firstSigned.AsInt16()), second.AsInt16(), secondSigned.AsInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Finish(Vector128<int> sum, int zero, int* codes, float scale, float* scales, float* bias, float* to) =>
        Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(sum - (Vector128.Create(zero) * Vector128.Load(codes))), Vector128.Create(scale) * Vector128.Load(scales), Vector128.Load(bias)).Store(to);
}
