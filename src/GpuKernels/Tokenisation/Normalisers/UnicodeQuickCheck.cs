using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>
/// Whether a text is in a normal form already, as nearly all are: Unicode's Annex 15, section 9. Characters are asked about in pages of 256 when the first of a page is
/// met. One instance serves all threads.
/// </summary>
internal sealed class UnicodeQuickCheck
{
    /// <summary>A character that is changed, or may be joined to the one before it. Others have one more than their combining class, and 0 those that were not asked about.</summary>
    private const byte Changes = byte.MaxValue;

    private const byte Starter = 1;

    private readonly UnicodeNormaliser normaliser;
    private readonly byte[] known = new byte[Characters.Limit];
    private readonly LeadBytes starters;

    public UnicodeQuickCheck(UnicodeNormaliser normaliser)
    {
        this.normaliser = normaliser;
        starters = new(scalar => ValueOf(scalar) == Starter);
    }

    /// <summary>Where it is not sure the answer is no.</summary>
    /// <param name="text">Valid UTF-8.</param>
    public bool Keeps(ReadOnlySpan<byte> text)
    {
        ref var first = ref MemoryMarshal.GetReference(text);
        var last = Starter;
        for (var at = 0; at < text.Length;)
        {
            if (Starters(ref first, at, text.Length) is var end && end > at)
            {
                (at, last) = (end, Starter);
                if (at == text.Length) { break; }
            }

            do
            {
                var next = ValueOf(Utf8Text.ScalarAt(ref first, at, out var size));

                // Marks that stand in the order of their classes stay where they are.
                if (next == Changes || (next != Starter && next < last)) { return false; }

                last = next;
                at += size;
            }
            while (at < text.Length && Unsafe.Add(ref first, at) >= 0x80);
        }

        return true;
    }

    /// <summary>Where a run ends of ASCII and of characters of two bytes that are told by the first; in the last bytes of a text before that.</summary>
    private int Starters(ref byte text, int at, int length)
    {
        var start = at;
        for (; at + Vector256<byte>.Count <= length; at += Vector256<byte>.Count)
        {
            var bytes = Vector256.LoadUnsafe(ref text, (nuint)at);
            var others = Vector256.Equals(starters.In(bytes), Vector256<byte>.Zero).ExtractMostSignificantBits() & bytes.ExtractMostSignificantBits();
            if (others != 0) { return at + BitOperations.TrailingZeroCount(others); }
        }

        while (at > start && at < length && (Unsafe.Add(ref text, at) & 0xC0) == 0x80) { at--; }

        return at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private byte ValueOf(uint scalar)
    {
        var value = Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(known), scalar);
        return value != 0 ? value : Ask(scalar);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private byte Ask(uint asked)
    {
        var page = asked >> 8;

        // Two threads that ask the same get the same.
        var working = new WorkingText();
        for (var scalar = page << 8; scalar < (page + 1) << 8; scalar++) { Volatile.Write(ref known[scalar], Make(scalar, working)); }

        return known[asked];
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
