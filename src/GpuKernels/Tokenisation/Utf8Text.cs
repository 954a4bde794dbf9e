using System.Runtime.CompilerServices;
using System.Text;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>Reads of UTF-8 that is known to be valid.</summary>
internal static class Utf8Text
{
    /// <summary>In bytes.</summary>
    public const int LongestCharacter = 4;

    /// <summary>How many bytes the character has whose first byte is at <paramref name="at"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int SizeAt(ReadOnlySpan<byte> text, int at) => text[at] switch
    {
        < 0x80 => 1,
        < 0xE0 => 2,
        < 0xF0 => 3,
        _ => 4,
    };

    /// <summary>The character whose first byte is at <paramref name="at"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint ScalarAt(ReadOnlySpan<byte> text, int at, out int size)
    {
        uint lead = text[at];
        if (lead < 0x80)
        {
            size = 1;
            return lead;
        }

        if (lead < 0xE0)
        {
            size = 2;
            return ((lead & 0x1F) << 6) | (text[at + 1] & 0x3Fu);
        }

        if (lead < 0xF0)
        {
            size = 3;
            return ((lead & 0x0F) << 12) | ((text[at + 1] & 0x3Fu) << 6) | (text[at + 2] & 0x3Fu);
        }

        size = 4;
        return ((lead & 0x07) << 18) | ((text[at + 1] & 0x3Fu) << 12) | ((text[at + 2] & 0x3Fu) << 6) | (text[at + 3] & 0x3Fu);
    }

    /// <summary>The character whose first byte is at <paramref name="at"/>, without a look at where the text ends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint ScalarAt(ref readonly byte text, int at, out int size)
    {
        ref var first = ref Unsafe.Add(ref Unsafe.AsRef(in text), at);
        uint lead = first;
        if (lead < 0x80)
        {
            size = 1;
            return lead;
        }

        var second = Unsafe.Add(ref first, 1) & 0x3Fu;
        if (lead < 0xE0)
        {
            size = 2;
            return ((lead & 0x1F) << 6) | second;
        }

        var third = Unsafe.Add(ref first, 2) & 0x3Fu;
        if (lead < 0xF0)
        {
            size = 3;
            return ((lead & 0x0F) << 12) | (second << 6) | third;
        }

        size = 4;
        return ((lead & 0x07) << 18) | (second << 12) | (third << 6) | (Unsafe.Add(ref first, 3) & 0x3Fu);
    }

    /// <summary>The character that ends before <paramref name="end"/>.</summary>
    public static uint ScalarBefore(ReadOnlySpan<byte> text, int end, out int size)
    {
        var at = end - 1;
        while ((text[at] & 0xC0) == 0x80) { at--; }

        return ScalarAt(text, at, out size);
    }

    public static Rune RuneAt(ReadOnlySpan<byte> text, int at, out int size) => new(ScalarAt(text, at, out size));
}
