using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// The classes of characters that the pre-tokenisers' patterns name: \p{L} by case, \p{M}, \p{N}, \s, and \p{P} with \p{S}. All code points fall in exactly one, or in none; some
/// are <see cref="KanaOrHan"/> besides.
/// </summary>
internal static class UnicodeClasses
{
    /// <summary>Lu and Lt.</summary>
    public const byte Upper = 1;

    /// <summary>Ll.</summary>
    public const byte Lower = 2;

    /// <summary>Lm and Lo.</summary>
    public const byte Caseless = 4;

    public const byte Mark = 8;
    public const byte Number = 16;
    public const byte Space = 32;
    public const byte PunctuationOrSymbol = 64;

    /// <summary>U+3040 to U+30FF and U+4E00 to U+9FA5, whatever their class; no number and no space is among them.</summary>
    public const byte KanaOrHan = 128;

    public const byte Letter = Upper | Lower | Caseless;

    private const int CodePoints = 0x110000;
    private const int Bmp = 0x10000;
    private const int PageSize = 256;

    // Pages that are alike are kept once: some 180 of 4,352.
    private static readonly ushort[] PageOf = new ushort[CodePoints / PageSize];
    private static readonly byte[] Pages = Expand();

    // Characters of up to three bytes, which nearly all are: one table of 64 KiB, of which a text in one script uses a few hundred bytes, in ideographs 20 KiB.
    private static readonly byte[] InBmp = [.. Enumerable.Range(0, Bmp).Select(value => Of((uint)value))];

    /// <summary>Leads of letters alone; <see cref="LettersAndMarks"/>: of letters and marks.</summary>
    public static readonly LeadBytes Letters = new(scalar => (InBmp[scalar] & Letter) != 0);

    /// <summary>See <see cref="Letters"/>.</summary>
    public static readonly LeadBytes LettersAndMarks = new(scalar => (InBmp[scalar] & (Letter | Mark)) != 0);

    /// <summary>[0x110000]: of every code point, as a device looks them up; those classes alone that its patterns name.</summary>
    public static byte[] OfAll() => [.. Enumerable.Range(0, CodePoints).Select(value => (byte)(Of((uint)value) & (Letter | Mark | Number | Space)))];

    /// <param name="codePoint">Below 0x110000.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte Of(uint codePoint) => Pages[(PageOf[codePoint / PageSize] * PageSize) + (int)(codePoint % PageSize)];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte OfAscii(byte character) => Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(InBmp), character);

    /// <summary>The class of the character at <paramref name="at"/> of valid UTF-8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte At(ref byte text, int at, out int size)
    {
        ref var first = ref Unsafe.Add(ref text, at);
        if (first < 0x80)
        {
            size = 1;
            return OfAscii(first);
        }

        ref var classes = ref MemoryMarshal.GetArrayDataReference(InBmp);
        uint lead = first;
        uint second = Unsafe.Add(ref first, 1) & 0x3Fu;
        if (lead < 0xE0)
        {
            size = 2;
            return Unsafe.Add(ref classes, ((lead & 0x1F) << 6) | second);
        }

        uint third = Unsafe.Add(ref first, 2) & 0x3Fu;
        if (lead < 0xF0)
        {
            size = 3;
            return Unsafe.Add(ref classes, ((lead & 0x0F) << 12) | (second << 6) | third);
        }

        size = 4;
        return Of(((lead & 0x07) << 18) | (second << 12) | (third << 6) | (Unsafe.Add(ref first, 3) & 0x3Fu));
    }

    private static byte[] Expand()
    {
        var pages = new List<byte>();
        var known = new Dictionary<string, ushort>(StringComparer.Ordinal);
        Span<byte> content = stackalloc byte[PageSize];
        for (var page = 0; page < PageOf.Length; page++)
        {
            for (var i = 0; i < PageSize; i++) { content[i] = ClassOf((uint)((page * PageSize) + i)); }

            var name = Convert.ToHexString(content);
            if (!known.TryGetValue(name, out var index))
            {
                index = (ushort)known.Count;
                known.Add(name, index);
                pages.AddRange(content);
            }

            PageOf[page] = index;
        }

        return [.. pages];
    }

    private static byte ClassOf(uint codePoint) => codePoint is (>= 0x3040 and <= 0x30FF) or (>= 0x4E00 and <= 0x9FA5) ? (byte)(KanaOrHan | OfCategory(codePoint)) : OfCategory(codePoint);

    private static byte OfCategory(uint codePoint) => Characters.CategoryOf(codePoint) switch
    {
        Category.Lu or Category.Lt => Upper,
        Category.Ll => Lower,
        Category.Lm or Category.Lo => Caseless,
        Category.Mn or Category.Mc or Category.Me => Mark,
        Category.Nd or Category.Nl or Category.No => Number,
        >= Category.Pc and <= Category.So => PunctuationOrSymbol,
        _ => Characters.IsWhiteSpace(codePoint) ? Space : (byte)0,
    };
}
