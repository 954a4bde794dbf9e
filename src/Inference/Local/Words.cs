using System.Globalization;
using System.Text;

namespace Platform.Inference.Local;

/// <summary>A word of a text.</summary>
/// <param name="Folded">Lower case, without diacritics.</param>
/// <param name="Stem">Without the commonest endings; only good for comparing.</param>
internal readonly record struct Word(string Folded, string Stem, int Start, int End);

/// <summary>Cuts text into words. Chinese and Japanese, written without spaces, give overlapping pairs of characters.</summary>
internal static class Words
{
    /// <summary>Longer runs of letters are data, not words.</summary>
    private const int LongestWord = 64;

    private static readonly string[] Endings = ["ingen", "ings", "ing", "ungen", "ung", "en", "es", "ed", "er", "s", "e", "n"];

    public static List<Word> Of(string text)
    {
        var words = new List<Word>();
        for (var at = 0; at < text.Length;)
        {
            Rune.DecodeFromUtf16(text.AsSpan(at), out var rune, out var length);
            if (IsIdeographic(rune.Value)) { at = AddPairs(text, at, words); }
            else if (Rune.IsLetterOrDigit(rune)) { at = AddWord(text, at, words); }
            else { at += length; }
        }

        return words;
    }

    /// <summary>Lower case without diacritics: what different hands write differently.</summary>
    public static string Fold(ReadOnlySpan<char> text)
    {
        var folded = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            var lower = char.ToLowerInvariant(c);
            if (lower < 0x80) { folded.Append(lower); }
            else { Append(folded, lower); }
        }

        return folded.ToString();
    }

    public static string StemOf(string folded)
    {
        foreach (var ending in Endings)
        {
            if (folded.Length - ending.Length >= 4 && folded.EndsWith(ending, StringComparison.Ordinal)) { return folded[..^ending.Length]; }
        }

        return folded;
    }

    public static bool IsNumber(string folded)
    {
        foreach (var c in folded)
        {
            if (!char.IsDigit(c)) { return false; }
        }

        return true;
    }

    public static bool IsIdeographic(int rune) => rune is (>= 0x3040 and <= 0x30ff) or (>= 0x3400 and <= 0x9fff) or (>= 0xf900 and <= 0xfaff) or (>= 0x20000 and <= 0x3ffff);

    private static int AddWord(string text, int start, List<Word> words)
    {
        var end = start;
        while (end < text.Length)
        {
            Rune.DecodeFromUtf16(text.AsSpan(end), out var rune, out var length);
            var inside = !IsIdeographic(rune.Value) && (Rune.IsLetterOrDigit(rune) || Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark);
            if (!inside) { break; }

            end += length;
        }

        if (end - start <= LongestWord)
        {
            var folded = Fold(text.AsSpan(start, end - start));
            words.Add(new Word(folded, StemOf(folded), start, end));
        }

        return end;
    }

    private static int AddPairs(string text, int start, List<Word> words)
    {
        var starts = new List<int>();
        var end = start;
        while (end < text.Length)
        {
            Rune.DecodeFromUtf16(text.AsSpan(end), out var rune, out var length);
            if (!IsIdeographic(rune.Value)) { break; }

            starts.Add(end);
            end += length;
        }

        starts.Add(end);
        for (var i = 0; i + 1 < starts.Count; i++)
        {
            var to = starts[Math.Min(i + 2, starts.Count - 1)];
            if (starts.Count > 2 && i + 2 >= starts.Count) { break; }

            var pair = text[starts[i]..to];
            words.Add(new Word(pair, pair, starts[i], to));
        }

        return end;
    }

    private static void Append(StringBuilder folded, char c)
    {
        switch (c)
        {
            case 'à' or 'á' or 'â' or 'ã' or 'ä' or 'å' or 'ā' or 'ă' or 'ą': folded.Append('a'); break;
            case 'ç' or 'ć' or 'č': folded.Append('c'); break;
            case 'ď' or 'đ' or 'ð': folded.Append('d'); break;
            case 'è' or 'é' or 'ê' or 'ë' or 'ē' or 'ė' or 'ę' or 'ě': folded.Append('e'); break;
            case 'ğ': folded.Append('g'); break;
            case 'ì' or 'í' or 'î' or 'ï' or 'ī' or 'ı': folded.Append('i'); break;
            case 'ł': folded.Append('l'); break;
            case 'ñ' or 'ń' or 'ň': folded.Append('n'); break;
            case 'ò' or 'ó' or 'ô' or 'õ' or 'ö' or 'ø' or 'ō' or 'ő': folded.Append('o'); break;
            case 'ř': folded.Append('r'); break;
            case 'ś' or 'š' or 'ş' or 'ș': folded.Append('s'); break;
            case 'ť' or 'ţ' or 'ț': folded.Append('t'); break;
            case 'ù' or 'ú' or 'û' or 'ü' or 'ū' or 'ů' or 'ű': folded.Append('u'); break;
            case 'ý' or 'ÿ': folded.Append('y'); break;
            case 'ź' or 'ż' or 'ž': folded.Append('z'); break;
            case 'ß': folded.Append("ss"); break;
            case 'æ': folded.Append("ae"); break;
            case 'œ': folded.Append("oe"); break;
            case >= '\u0300' and <= '\u036f': break;
            default: folded.Append(c); break;
        }
    }
}
