using System.Buffers.Binary;
using System.Text.Unicode;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>
/// Precompiled: SentencePiece's table of replacements (nmt_nfkc and others), a double array of keys as darts-clone lays it out, then the replacements, each
/// ended by a zero. As in the reference a grapheme cluster of less than six bytes becomes what its shortest known beginning becomes, and a longer one is replaced
/// character by character.
/// </summary>
internal sealed class PrecompiledNormaliser : INormaliser
{
    /// <summary>Those in use have some 250 KB.</summary>
    private const int MaximalBytes = 64 * 1024 * 1024;

    /// <summary>Clusters of so many bytes are not looked up whole.</summary>
    private const int LongCluster = 6;

    private readonly uint[] units;
    private readonly byte[] replacements;

    private PrecompiledNormaliser(uint[] units, byte[] replacements) => (this.units, this.replacements) = (units, replacements);

    public static PrecompiledNormaliser Read(StageOptions options)
    {
        var map = options.Member("precompiled_charsmap");
        var text = map.AsText();
        var bytes = new byte[text.Length];
        if (!Convert.TryFromBase64String(text, bytes, out var length)) { throw StageOptions.Wrong(map.Place, "is not base64"); }

        var size = length < sizeof(uint) ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (length > MaximalBytes || size == 0 || size % sizeof(uint) != 0 || size > length - sizeof(uint)) { throw StageOptions.Wrong(map.Place, "is not a table of replacements"); }

        var units = new uint[size / sizeof(uint)];
        for (var i = 0; i < units.Length; i++) { units[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan((i + 1) * sizeof(uint))); }

        var replacements = bytes[(int)(sizeof(uint) + size)..length];
        return Utf8.IsValid(replacements) ? new(units, replacements) : throw StageOptions.Wrong(map.Place, "has replacements that are not UTF-8");
    }

    public void Normalise(TextRewriter text)
    {
        var source = text.Source;
        List<(uint Character, int Change)>? parts = null;
        for (var at = 0; at < source.Length;)
        {
            var end = EndOfCluster(source, at);
            if (end - at < LongCluster && TryFind(source[at..end], out var whole))
            {
                parts ??= Kept(source[..at]);
                Replace(source[at..end], whole, parts);
                at = end;
            }

            for (; at < end;)
            {
                var scalar = Utf8Text.ScalarAt(source, at, out var size);
                if (TryFind(source.Slice(at, size), out var one))
                {
                    parts ??= Kept(source[..at]);
                    Replace(source.Slice(at, size), one, parts);
                }
                else { parts?.Add((scalar, 0)); }

                at += size;
            }
        }

        if (parts is null)
        {
            text.Keep(source.Length);
            return;
        }

        foreach (var (character, change) in parts) { text.Change(character, change); }
    }

    public static bool IsHangulLead(uint scalar) => scalar is (>= 0x1100 and <= 0x115F) or (>= 0xA960 and <= 0xA97C);

    public static bool IsHangulVowel(uint scalar) => scalar is (>= 0x1160 and <= 0x11A7) or (>= 0xD7B0 and <= 0xD7C6);

    public static bool IsHangulTrail(uint scalar) => scalar is (>= 0x11A8 and <= 0x11FF) or (>= 0xD7CB and <= 0xD7FB);

    /// <summary>Whether a key begins with the text and goes on after it.</summary>
    public bool HasLongerKey(ReadOnlySpan<byte> text)
    {
        var node = Offset(units[0]);
        foreach (var value in text)
        {
            node ^= value;
            if (value == 0 || node >= units.Length || (units[node] & 0x8000_00FF) != value) { return false; }

            node ^= Offset(units[node]);
        }

        for (uint value = 1; value < 256; value++)
        {
            if ((node ^ value) < units.Length && (units[node ^ value] & 0x8000_00FF) == value) { return true; }
        }

        return false;
    }

    private static List<(uint Character, int Change)> Kept(ReadOnlySpan<byte> text)
    {
        var parts = new List<(uint Character, int Change)>();
        for (var at = 0; at < text.Length;)
        {
            parts.Add((Utf8Text.ScalarAt(text, at, out var size), 0));
            at += size;
        }

        return parts;
    }

    /// <summary>Adds what stands for some characters; where fewer do, the last takes the others' place, or the one before them does, if there is one.</summary>
    private static void Replace(ReadOnlySpan<byte> old, ReadOnlySpan<byte> by, List<(uint Character, int Change)> parts)
    {
        var (before, after) = (Count(old), Count(by));
        var index = 0;
        for (var at = 0; at < by.Length; index++)
        {
            parts.Add((Utf8Text.ScalarAt(by, at, out var size), index < before ? 0 : 1));
            at += size;
        }

        if (after < before && parts.Count > 0) { parts[^1] = parts[^1] with { Change = parts[^1].Change + after - before }; }
    }

    private static int Count(ReadOnlySpan<byte> text)
    {
        var count = 0;
        foreach (var value in text) { count += (value & 0xC0) != 0x80 ? 1 : 0; }

        return count;
    }

    /// <summary>The replacement of the shortest key that the text begins with.</summary>
    private bool TryFind(ReadOnlySpan<byte> text, out ReadOnlySpan<byte> replacement)
    {
        replacement = [];
        var node = Offset(units[0]);
        foreach (var value in text)
        {
            node ^= value;
            if (value == 0 || node >= units.Length || (units[node] & 0x8000_00FF) != value) { return false; }

            var unit = units[node];
            node ^= Offset(unit);
            if ((unit & 0x100) == 0) { continue; }

            // A value that points into nowhere, or into the middle of a character, is no replacement.
            var start = node < units.Length ? units[node] & 0x7FFF_FFFF : uint.MaxValue;
            if (start >= replacements.Length || (replacements[start] & 0xC0) == 0x80) { return false; }

            var rest = replacements.AsSpan((int)start);
            var end = rest.IndexOf((byte)0);
            replacement = end < 0 ? rest : rest[..end];
            return true;
        }

        return false;
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & 0x200) >> 6);

    /// <summary>Unicode's Annex 29, but for pairs of regional indicators and for Indic conjuncts, whose clusters are long in any case.</summary>
    private static int EndOfCluster(ReadOnlySpan<byte> text, int start)
    {
        const uint Joiner = 0x200D;
        var last = Utf8Text.ScalarAt(text, start, out var size);
        var lastSets = Characters.SetsOf(last);
        var (pictograph, joined) = ((lastSets & CharacterSets.Pictographic) != 0, false);
        for (var at = start + size; at < text.Length;)
        {
            var next = Utf8Text.ScalarAt(text, at, out size);
            var sets = Characters.SetsOf(next);
            if (last == '\r' && next == '\n') { return at + size; }

            if (((lastSets | sets) & CharacterSets.Control) != 0) { return at; }

            var extends = (sets & CharacterSets.Extending) != 0;
            if (!extends && (lastSets & CharacterSets.Prepended) == 0 && !(joined && (sets & CharacterSets.Pictographic) != 0) && !JoinsHangul(last, next)) { return at; }

            joined = pictograph && next == Joiner;
            pictograph = (pictograph && extends) || (sets & CharacterSets.Pictographic) != 0;
            (last, lastSets) = (next, sets);
            at += size;
        }

        return text.Length;
    }

    private static bool JoinsHangul(uint last, uint next)
    {
        static bool IsSyllable(uint scalar) => scalar is >= 0xAC00 and <= 0xD7A3;
        var open = IsHangulVowel(last) || (IsSyllable(last) && (last - 0xAC00) % 28 == 0);
        return (IsHangulLead(last) && (IsHangulLead(next) || IsHangulVowel(next) || IsSyllable(next)))
            || (open && (IsHangulVowel(next) || IsHangulTrail(next)))
            || ((IsHangulTrail(last) || IsSyllable(last)) && IsHangulTrail(next));
    }
}
