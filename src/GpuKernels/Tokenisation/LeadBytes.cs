using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>
/// Bytes with which UTF-8 begins a character of two bytes, each only where all of its characters are of a kind. A run of such characters is told by its bytes alone, many at a
/// time: a byte that goes on with a character is in the run if the one that begins it is.
/// </summary>
internal readonly struct LeadBytes
{
    private const byte GoesOn = 0b0000_1111;

    // By a byte's lower half: a bit for each upper half from 8 to 15, the first four of which go on with a character.
    private readonly Vector256<byte> byLower;

    public LeadBytes(Func<uint, bool> isOfKind)
    {
        Span<byte> bits = stackalloc byte[Vector256<byte>.Count];
        bits.Fill(GoesOn);
        for (var lead = 0xC2; lead < 0xE0; lead++)
        {
            if (Enumerable.Range((lead & 0x1F) << 6, 1 << 6).All(scalar => isOfKind((uint)scalar))) { bits[lead & 0x0F] |= (byte)(1 << ((lead >> 4) - 8)); }
        }

        byLower = Vector256.Create<byte>(bits);
    }

    /// <summary>Which bytes begin or go on with such a character: all bits of the others are 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<byte> In(Vector256<byte> bytes)
    {
        var byUpper = Vector256.Create(0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, (byte)128);
        var half = Vector256.Create((byte)0x0F);
        return Vector256.ShuffleNative(byLower, bytes & half) & Vector256.ShuffleNative(byUpper, (bytes.AsUInt16() >> 4).AsByte() & half);
    }
}
