using System.Text;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Normalisers;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Kernels;

/// <summary>What BertNormalizer and BertPreTokenizer make of each character by itself, as a table for wordpiece.cl.</summary>
/// <param name="Pages">By a character's number / 256: which block of <see cref="Entries"/>.</param>
/// <param name="Entries">Blocks of 256: where in <see cref="Spelled"/> the normal form is, its length (bits 22 to 25), and the flags below.</param>
/// <param name="Spelled">Normal forms in UTF-8.</param>
internal sealed record BertCharacters(ushort[] Pages, uint[] Entries, byte[] Spelled)
{
    public const uint Kept = 0x0400_0000;
    public const uint Space = 0x0800_0000;
    public const uint Alone = 0x1000_0000;

    /// <summary>A character whose normal form depends on its neighbours, or would begin and end words: such a text is tokenised on the CPU.</summary>
    public const uint Special = 0x2000_0000;

    /// <summary>How many times the bytes of a character its normal form has at most: a Hangul syllable becomes three letters of three bytes.</summary>
    public const int Growth = 3;

    private const int LengthShift = 22;
    private const int CharacterCount = 0x11_0000;

    /// <summary>The table of a file's normalisers; null where they are not those that a BertNormalizer becomes.</summary>
    public static BertCharacters? Of(IReadOnlyList<INormaliser> normalisers)
    {
        var rest = new Queue<INormaliser>(normalisers);
        bool Next(Func<INormaliser, bool> isThat)
        {
            var found = rest.TryPeek(out var next) && isThat(next);
            if (found) { rest.Dequeue(); }

            return found;
        }

        var cleanText = Next(each => each is CleaningNormaliser);
        var chinese = Next(each => each is ChineseNormaliser);
        var decomposes = Next(each => each is UnicodeNormaliser { Composed: false, Compatible: false });
        var removes = Next(each => each is RemovingNormaliser { Removed: CharacterSets.Nonspacing });
        var lowercase = Next(each => each is LowercaseNormaliser);
        return rest.Count == 0 && decomposes == removes ? Make(cleanText, chinese, decomposes, lowercase) : null;
    }

    public static BertCharacters Make(bool cleanText, bool chinese, bool stripAccents, bool lowercase)
    {
        var pages = new ushort[CharacterCount / 256];
        var entries = new List<uint>();
        var spelled = new List<byte>();
        var blocks = new Dictionary<string, ushort>(StringComparer.Ordinal);
        var block = new uint[256];
        for (var page = 0; page < pages.Length; page++)
        {
            for (var i = 0; i < 256; i++) { block[i] = Entry((uint)((page * 256) + i), cleanText, chinese, stripAccents, lowercase, spelled); }

            // Blocks that are all alike, as those of unassigned characters, are kept once. A block that refers to spellings is like no other.
            var key = string.Join(',', block);
            if (!blocks.TryGetValue(key, out var number))
            {
                number = (ushort)blocks.Count;
                blocks.Add(key, number);
                entries.AddRange(block);
            }

            pages[page] = number;
        }

        // A buffer on a device is not empty.
        spelled.Add(0);
        return new BertCharacters(pages, [.. entries], [.. spelled]);
    }

    private static uint Entry(uint scalar, bool cleanText, bool chinese, bool stripAccents, bool lowercase, List<byte> spelled)
    {
        if (!Rune.IsValid(scalar)) { return Special; }
        if (cleanText && Characters.Is(scalar, CharacterSets.Cleaned)) { return 0; }
        if (Characters.IsWhiteSpace(scalar)) { return cleanText || scalar == ' ' ? Write(" "u8, Space, spelled) : Special; }

        var alone = chinese && Characters.IsChinese(scalar);
        Span<uint> parts = stackalloc uint[18];
        var count = stripAccents ? Characters.Decompose(scalar, compatible: false, parts) : 1;
        if (!stripAccents) { parts[0] = scalar; }

        var normal = new List<uint>();
        foreach (var part in parts[..count])
        {
            if (stripAccents && Characters.Is(part, CharacterSets.Nonspacing)) { continue; }

            // What has a combining class changes places with its neighbours.
            if (stripAccents && Characters.CombiningClass(part) != 0) { return Special; }

            var lower = lowercase ? Characters.LowerOf(part) : [];
            if (lower.IsEmpty) { normal.Add(part); }
            else { normal.AddRange(lower); }
        }

        var splits = normal.Any(part => Characters.Is(part, CharacterSets.Punctuation) || Characters.IsWhiteSpace(part));
        if (splits && (normal.Count > 1 || Characters.IsWhiteSpace(normal[0]))) { return Special; }
        if (alone && normal.Count != 1) { return Special; }

        var flags = alone || splits ? Alone : 0;
        if (normal is [var only] && only == scalar) { return Kept | flags; }

        Span<byte> bytes = stackalloc byte[18 * 3 * 4];
        var length = 0;
        foreach (var part in normal) { length += new Rune(part).EncodeToUtf8(bytes[length..]); }

        // What the kernels have room for; no character of Unicode 16 is beyond it.
        var own = new Rune(scalar).Utf8SequenceLength;
        return normal.Count > own || length > Math.Min(15, own == 1 ? 1 : own * Growth) ? Special : Write(bytes[..length], flags, spelled);
    }

    private static uint Write(ReadOnlySpan<byte> bytes, uint flags, List<byte> spelled)
    {
        var entry = (uint)spelled.Count | ((uint)bytes.Length << LengthShift) | flags;
        spelled.AddRange(bytes);
        return entry;
    }
}
