using System.IO.Compression;
using System.Reflection;

namespace Platform.GpuKernels.Tokenisation.Unicode;

/// <summary>Sets of characters, by bit; the first five bits hold the <see cref="Category"/>. The file holds those to <see cref="Pictographic"/>.</summary>
[Flags]
internal enum CharacterSets
{
    None = 0,

    /// <summary>White_Space.</summary>
    WhiteSpace = 1 << 5,

    /// <summary>\w of a Unicode-aware regular expression.</summary>
    Word = 1 << 6,

    /// <summary>General categories Nd, Nl and No.</summary>
    Numeric = 1 << 7,

    /// <summary>ASCII punctuation and symbols, and the general categories P of Unicode 8.</summary>
    Punctuation = 1 << 8,

    /// <summary>Marks, as StripAccents removes them.</summary>
    Mark = 1 << 9,

    /// <summary>Non-spacing marks, as BertNormalizer removes them.</summary>
    Nonspacing = 1 << 10,

    /// <summary>Control, format and private characters, U+0000 and U+FFFD, as BertNormalizer removes them.</summary>
    Cleaned = 1 << 11,

    /// <summary>Extend, SpacingMark and ZWJ of Unicode's Annex 29: no grapheme cluster begins with them.</summary>
    Extending = 1 << 12,

    /// <summary>Prepend of Annex 29.</summary>
    Prepended = 1 << 13,

    /// <summary>Control, CR and LF of Annex 29.</summary>
    Control = 1 << 14,

    /// <summary>Extended_Pictographic.</summary>
    Pictographic = 1 << 15,

    /// <summary>Of combining class zero and the same after NFD.</summary>
    InertNfd = 1 << 16,

    /// <summary>Of combining class zero and the same after NFKD.</summary>
    InertNfkd = 1 << 17,

    /// <summary>The same after NFC, and never joined to what stands before it.</summary>
    InertNfc = 1 << 18,

    /// <summary>The same after NFKC, and never joined to what stands before it.</summary>
    InertNfkc = 1 << 19,

    /// <summary>The same in lower case.</summary>
    InertLower = 1 << 20,

    /// <summary>Joined by NFC and NFKC to some character that stands before it.</summary>
    Joining = 1 << 21,
}

/// <summary>General categories, in the order of the tables.</summary>
internal enum Category
{
    Cn, Lu, Ll, Lt, Lm, Lo, Mn, Mc, Me, Nd, Nl, No, Pc, Pd, Ps, Pe, Pi, Pf, Po, Sm, Sc, Sk, So, Zs, Zl, Zp, Cc, Cf, Co,
}

/// <summary>
/// Properties and mappings of characters (Unicode scalar values), independent of .NET's tables and of the machine's locale. They are those of Hugging Face's
/// tokenizers, which stem from several Unicode versions; bench/parity/unicode-tables.mjs asks them of it and writes unicode.bin.
/// </summary>
internal static class Characters
{
    public const uint Limit = 0x110000;

    private const uint HangulBase = 0xAC00;
    private const uint HangulCount = 11172;
    private const uint LeadBase = 0x1100;
    private const uint LeadCount = 19;
    private const uint VowelBase = 0x1161;
    private const uint VowelCount = 21;
    private const uint TrailBase = 0x11A7;
    private const uint TrailCount = 28;

    private static readonly CharacterMap<CharacterSets> Sets;
    private static readonly CharacterMap<uint[]?> Lower;
    private static readonly CharacterMap<uint[]?> Canonical;
    private static readonly CharacterMap<uint[]?> Compatible;
    private static readonly CharacterMap<byte> Classes;
    private static readonly Dictionary<ulong, uint> Compositions;

#pragma warning disable CA1810 // The tables are read from one stream, in its order.
    static Characters()
#pragma warning restore CA1810
    {
        using var resource = Assembly.GetExecutingAssembly().GetManifestResourceStream("Platform.GpuKernels.Tokenisation.Unicode.unicode.bin")!;
        using var unpacked = new DeflateStream(resource, CompressionMode.Decompress);
        using var reader = new BinaryReader(unpacked);
        var sets = ReadSets(reader);
        var lower = ReadMappings(reader);
        var canonical = ReadMappings(reader);
        var compatible = ReadMappings(reader);
        var classes = ReadEntries(reader, (_, read) => (byte)read.Read7BitEncodedInt());
        Compositions = [];
        foreach (var (first, (second, composed)) in ReadEntries(reader, (_, read) => ((uint)read.Read7BitEncodedInt(), (uint)read.Read7BitEncodedInt())))
        {
            Compositions.Add(((ulong)first << 32) | second, composed);
        }

        MarkInert(sets, lower, canonical, compatible, classes);
        Sets = new(sets);
        Lower = new(lower, null);
        Canonical = new(canonical, null);
        Compatible = new(canonical.Concat(compatible), null);
        Classes = new(classes, 0);
    }

    public static CharacterSets SetsOf(uint scalar) => Sets[scalar];

    public static bool Is(uint scalar, CharacterSets any) => (Sets[scalar] & any) != 0;

    public static Category CategoryOf(uint scalar) => (Category)((int)Sets[scalar] & 31);

    public static bool IsWhiteSpace(uint scalar) => Is(scalar, CharacterSets.WhiteSpace);

    public static byte CombiningClass(uint scalar) => Classes[scalar];

    /// <summary>The ranges that BERT takes for Chinese: CJK ideographs, their extensions A to E, and compatibility ideographs.</summary>
    public static bool IsChinese(uint scalar) => scalar is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF)
        or (>= 0x2A700 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);

    /// <summary>The full lower case of a character, without regard to its neighbours: one to three characters, or none where it stays.</summary>
    public static ReadOnlySpan<uint> LowerOf(uint scalar) => Lower[scalar];

    /// <summary>The full canonical or compatibility decomposition: into <paramref name="room"/>, which holds 18, the longest there is.</summary>
    /// <returns>How many characters it has; one, itself, where there is none.</returns>
    public static int Decompose(uint scalar, bool compatible, Span<uint> room)
    {
        var syllable = scalar - HangulBase;
        if (syllable < HangulCount)
        {
            room[0] = LeadBase + (syllable / (VowelCount * TrailCount));
            room[1] = VowelBase + (syllable / TrailCount % VowelCount);
            room[2] = TrailBase + (syllable % TrailCount);
            return room[2] == TrailBase ? 2 : 3;
        }

        if ((compatible ? Compatible : Canonical)[scalar] is { } parts)
        {
            parts.CopyTo(room);
            return parts.Length;
        }

        room[0] = scalar;
        return 1;
    }

    public static bool TryCompose(uint first, uint second, out uint composed)
    {
        if (first - LeadBase < LeadCount && second - VowelBase < VowelCount)
        {
            composed = HangulBase + ((((first - LeadBase) * VowelCount) + (second - VowelBase)) * TrailCount);
            return true;
        }

        var syllable = first - HangulBase;
        if (syllable < HangulCount && syllable % TrailCount == 0 && second - TrailBase - 1 < TrailCount - 1)
        {
            composed = first + (second - TrailBase);
            return true;
        }

        return Compositions.TryGetValue(((ulong)first << 32) | second, out composed);
    }

    private static CharacterSets[] ReadSets(BinaryReader reader)
    {
        var all = new CharacterSets[Limit];
        var at = 0;
        for (var runs = reader.Read7BitEncodedInt(); runs > 0; runs--)
        {
            var length = reader.Read7BitEncodedInt();
            all.AsSpan(at, length).Fill((CharacterSets)reader.Read7BitEncodedInt());
            at += length;
        }

        return all;
    }

    private static List<KeyValuePair<uint, uint[]?>> ReadMappings(BinaryReader reader) => ReadEntries<uint[]?>(reader, (scalar, read) =>
    {
        var to = new uint[read.Read7BitEncodedInt()];
        for (var i = 0; i < to.Length; i++) { to[i] = (uint)(scalar + Signed(read)); }

        return to;
    });

    private static List<KeyValuePair<uint, T>> ReadEntries<T>(BinaryReader reader, Func<int, BinaryReader, T> read)
    {
        var count = reader.Read7BitEncodedInt();
        var entries = new List<KeyValuePair<uint, T>>(count);
        var scalar = 0;
        for (var i = 0; i < count; i++)
        {
            scalar += Signed(reader);
            entries.Add(new((uint)scalar, read(scalar, reader)));
        }

        return entries;
    }

    private static int Signed(BinaryReader reader)
    {
        var value = reader.Read7BitEncodedInt();
        return (value & 1) == 0 ? value / 2 : -(value / 2) - 1;
    }

    private static void MarkInert(
        CharacterSets[] sets,
        List<KeyValuePair<uint, uint[]?>> lower,
        List<KeyValuePair<uint, uint[]?>> canonical,
        List<KeyValuePair<uint, uint[]?>> compatible,
        List<KeyValuePair<uint, byte>> classes)
    {
        const CharacterSets All = CharacterSets.InertNfd | CharacterSets.InertNfkd | CharacterSets.InertNfc | CharacterSets.InertNfkc;
        foreach (ref var of in sets.AsSpan()) { of |= All | CharacterSets.InertLower; }

        foreach (var (scalar, _) in lower) { sets[scalar] &= ~CharacterSets.InertLower; }

        foreach (ref var of in sets.AsSpan((int)HangulBase, (int)HangulCount)) { of &= ~(CharacterSets.InertNfd | CharacterSets.InertNfkd); }

        foreach (var (scalar, to) in canonical)
        {
            sets[scalar] &= ~(CharacterSets.InertNfd | CharacterSets.InertNfkd);
            if (!Composes(to!, scalar)) { sets[scalar] &= ~(CharacterSets.InertNfc | CharacterSets.InertNfkc); }
        }

        foreach (var (scalar, _) in compatible) { sets[scalar] &= ~(CharacterSets.InertNfkd | CharacterSets.InertNfkc); }

        foreach (var (scalar, _) in classes) { sets[scalar] &= ~All; }

        var joining = Compositions.Keys.Select(pair => (uint)pair)
            .Concat(Enumerable.Range((int)VowelBase, (int)VowelCount).Concat(Enumerable.Range((int)TrailBase, (int)TrailCount)).Select(scalar => (uint)scalar));
        foreach (var scalar in joining) { sets[scalar] = (sets[scalar] & ~(CharacterSets.InertNfc | CharacterSets.InertNfkc)) | CharacterSets.Joining; }
    }

    private static bool Composes(uint[] parts, uint whole)
    {
        var composed = parts[0];
        for (var i = 1; i < parts.Length; i++)
        {
            if (!TryCompose(composed, parts[i], out composed)) { return false; }
        }

        return parts.Length > 1 && composed == whole;
    }
}
