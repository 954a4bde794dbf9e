using System.Text;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Normalisers;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Kernels;

/// <summary>What BertNormalizer and BertPreTokenizer make of each character by itself, as a table for wordpiece.cl.</summary>
/// <param name="Pages">By a character's number / 256: which block of <see cref="Entries"/>.</param>
/// <param name="Entries">
/// Blocks of 256: the flags below, and of what is changed in bits 0 to 23 a normal form of at most three bytes, with zeros behind, or where <see cref="Long"/> says so its length (bits 20
/// to 23) and where it is in <see cref="Spelled"/>.
/// </param>
/// <param name="Spelled">Normal forms in UTF-8.</param>
/// <param name="Lowers">Whether letters are lowered.</param>
internal sealed record BertCharacters(ushort[] Pages, uint[] Entries, byte[] Spelled, bool Lowers)
{
    /// <summary>Is removed.</summary>
    public const uint Nothing = 0x4000_0000;

    /// <summary>A word by itself.</summary>
    public const uint Alone = 0x8000_0000;

    /// <summary>Ends a word.</summary>
    public const uint Space = Nothing | Alone;

    /// <summary>Its own bytes are not its normal form.</summary>
    public const uint Changed = 0x2000_0000;

    /// <summary>A character whose normal form depends on its neighbours, or would begin and end words: such a text is tokenised on the CPU.</summary>
    public const uint Special = 0x1000_0000;

    public const uint Long = 0x0800_0000;

    /// <summary>How many times the bytes of a character its normal form has at most: a Hangul syllable becomes three letters of three bytes.</summary>
    public const int Growth = 3;

    private const int LengthShift = 20;
    private const uint Offset = (1 << LengthShift) - 1;
    private const int ShortBytes = 3;
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
        return new BertCharacters(pages, [.. entries], [.. spelled], lowercase);
    }

    /// <summary>The normal form of a character: whether it is its own bytes, or else which.</summary>
    /// <param name="entry">Of the character.</param>
    /// <param name="bytes">The character's.</param>
    /// <param name="spelled"><see cref="Spelled"/>.</param>
    /// <param name="room">For three bytes.</param>
    public static ReadOnlySpan<byte> Spell(uint entry, ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> spelled, Span<byte> room)
    {
        if ((entry & Changed) == 0) { return bytes; }
        if ((entry & Long) != 0) { return spelled.Slice((int)(entry & Offset), (int)(entry >> LengthShift & 15)); }

        var length = 0;
        for (var rest = entry & 0xFF_FFFF; rest != 0; rest >>= 8) { room[length++] = (byte)rest; }

        return room[..length];
    }

    private static uint Entry(uint scalar, bool cleanText, bool chinese, bool stripAccents, bool lowercase, List<byte> spelled)
    {
        if (!Rune.IsValid(scalar)) { return Special | Space; }
        if (cleanText && Characters.Is(scalar, CharacterSets.Cleaned)) { return Changed | Nothing; }
        if (Characters.IsWhiteSpace(scalar)) { return cleanText || scalar == ' ' ? Space : Special | Space; }

        var alone = chinese && Characters.IsChinese(scalar);
        Span<uint> parts = stackalloc uint[18];
        var count = stripAccents ? Characters.Decompose(scalar, compatible: false, parts) : 1;
        if (!stripAccents) { parts[0] = scalar; }

        var normal = new List<uint>();
        foreach (var part in parts[..count])
        {
            if (stripAccents && Characters.Is(part, CharacterSets.Nonspacing)) { continue; }

            // What has a combining class changes places with its neighbours.
            if (stripAccents && Characters.CombiningClass(part) != 0) { return Special | Space; }

            var lower = lowercase ? Characters.LowerOf(part) : [];
            if (lower.IsEmpty) { normal.Add(part); }
            else { normal.AddRange(lower); }
        }

        var splits = normal.Any(part => Characters.Is(part, CharacterSets.Punctuation) || Characters.IsWhiteSpace(part));
        if (splits && (normal.Count > 1 || Characters.IsWhiteSpace(normal[0]))) { return Special | Space; }
        if (alone && normal.Count != 1) { return Special | Space; }

        var flags = alone || splits ? Alone : 0;
        if (normal is [var only] && only == scalar) { return flags; }

        Span<byte> bytes = stackalloc byte[18 * 3 * 4];
        var length = 0;
        foreach (var part in normal) { length += new Rune(part).EncodeToUtf8(bytes[length..]); }

        // What the kernels have room for; no character of Unicode 16 is beyond it.
        var own = new Rune(scalar).Utf8SequenceLength;
        return normal.Count > own || length > Math.Min(15, own == 1 ? 1 : own * Growth) ? Special | Space : Write(bytes[..length], flags, spelled);
    }

    private static uint Write(ReadOnlySpan<byte> bytes, uint flags, List<byte> spelled)
    {
        flags |= Changed | (bytes.IsEmpty ? Nothing : 0);
        if (bytes.Length <= ShortBytes)
        {
            for (var i = 0; i < bytes.Length; i++) { flags |= (uint)bytes[i] << 8 * i; }

            return flags;
        }

        // Unicode 16 has 110 KB of them.
        if (spelled.Count > Offset) { return Special | Space; }

        var entry = (uint)spelled.Count | ((uint)bytes.Length << LengthShift) | flags | Long;
        spelled.AddRange(bytes);
        return entry;
    }
}
