using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>
/// Whether a text is in a normal form already, as nearly all are: Unicode's Annex 15, section 9. Characters are asked about in pages of 256 when the first of a page is
/// met. One instance serves all threads.
/// </summary>
internal sealed class UnicodeQuickCheck(UnicodeNormaliser normaliser)
{
    /// <summary>A character that is changed, or may be joined to the one before it. Others have one more than their combining class, and 0 those that were not asked about.</summary>
    private const byte Changes = byte.MaxValue;

    private const byte Starter = 1;

    private readonly byte[] known = new byte[Characters.Limit];

    /// <summary>Where it is not sure the answer is no.</summary>
    /// <param name="text">Valid UTF-8.</param>
    public bool Keeps(ReadOnlySpan<byte> text)
    {
        ref var first = ref MemoryMarshal.GetReference(text);
        ref var values = ref MemoryMarshal.GetArrayDataReference(known);
        var last = Starter;
        for (var at = 0; at < text.Length;)
        {
            if (Unsafe.Add(ref first, at) < 0x80)
            {
                var ascii = text[at..].IndexOfAnyInRange((byte)0x80, (byte)0xFF);
                if (ascii < 0) { return true; }

                at += ascii;
                last = Starter;
            }

            var scalar = Utf8Text.ScalarAt(ref first, at, out var size);
            var next = Unsafe.Add(ref values, scalar);
            if (next == 0)
            {
                Ask(scalar >> 8);
                next = known[scalar];
            }

            // Marks that stand in the order of their classes stay where they are.
            if (next == Changes || (next != Starter && next < last)) { return false; }

            last = next;
            at += size;
        }

        return true;
    }

    private void Ask(uint page)
    {
        // Two threads that ask the same get the same.
        var working = new WorkingText();
        for (var scalar = page << 8; scalar < (page + 1) << 8; scalar++) { Volatile.Write(ref known[scalar], Make(scalar, working)); }
    }

    private byte Make(uint scalar, WorkingText working)
    {
        if (scalar is >= 0xD800 and <= 0xDFFF || (normaliser.Composed && Characters.Is(scalar, CharacterSets.Joining))) { return Changes; }

        Span<byte> bytes = stackalloc byte[4];
        ReadOnlySpan<byte> character = bytes[..new Rune(scalar).EncodeToUtf8(bytes)];
        working.Begin(character, 0, aligned: false);
        working.Normalise(normaliser);
        return working.Bytes.SequenceEqual(character) ? (byte)(Characters.CombiningClass(scalar) + Starter) : Changes;
    }
}
