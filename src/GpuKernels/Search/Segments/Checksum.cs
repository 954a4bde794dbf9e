using System.Numerics;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>CRC-32C (RFC 3720, appendix B.4): a processor instruction, and any change of up to 32 bits in a row is seen.</summary>
internal static class Checksum
{
    public static unsafe uint Of(byte* bytes, long length)
    {
        var crc = uint.MaxValue;
        for (; length > 0; length -= 1 << 30, bytes += 1 << 30) { crc = Add(crc, new ReadOnlySpan<byte>(bytes, (int)Math.Min(length, 1 << 30))); }
        return ~crc;
    }

    public static unsafe uint Of(float* numbers, int count) => Of(new ReadOnlySpan<byte>(numbers, count * sizeof(float)));

    public static uint Of(ReadOnlySpan<byte> bytes) => ~Add(uint.MaxValue, bytes);

    private static uint Add(uint crc, ReadOnlySpan<byte> bytes)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (var word in words) { crc = BitOperations.Crc32C(crc, word); }
        foreach (var last in bytes[(words.Length * 8)..]) { crc = BitOperations.Crc32C(crc, last); }
        return crc;
    }
}
