using System.Runtime.InteropServices;
using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Search.Keywords;

/// <summary>Whether words that differ only in their grammatical form are one term.</summary>
public enum Stemming
{
    /// <summary>They are different terms.</summary>
    None = 0,

    /// <summary>English words are reduced to their stems; of other languages those that look alike are, in texts and queries alike.</summary>
    English = 1,
}

/// <summary>What terms are for.</summary>
internal enum TermsFor
{
    Index,
    Query,
}

/// <summary>Takes a term of a text; the span is good until it returns.</summary>
internal delegate void TermFound(ReadOnlySpan<char> term);

/// <summary>
/// Cuts text into terms: runs of letters, marks and digits in lower case, whichever way their accents are encoded (compatibility forms count as what they
/// stand for). A script written without spaces between words gives characters and pairs of neighbours to the index, and asks for pairs. Not thread-safe.
/// </summary>
internal sealed class Analyser(Stemming stemming, bool foldAccents)
{
    /// <summary>Scalar values that one character may decompose into.</summary>
    private const int LongestDecomposition = 18;

    /// <summary>Marks on one character that count, the rest is left out: as many as Unicode's Annex 15 allows a stream, and more than any language has.</summary>
    private const int Marks = 30;

    private readonly List<uint> scalars = [];
    private readonly char[] term = new char[SearchLimits.TermLength + 2];

    /// <summary>Changes with every change of what terms a text gives.</summary>
    public ulong Version => (1UL << 16) | ((ulong)stemming << 8) | (foldAccents ? 1UL : 0);

    public void Analyse(string text, TermsFor purpose, TermFound found)
    {
        if (Ascii.IsValid(text))
        {
            scalars.Clear();
            foreach (var c in text) { scalars.Add(char.ToLowerInvariant(c)); }
        }
        else { Normalise(text); }

        for (var at = 0; at < scalars.Count;)
        {
            at = KindOf(scalars[at]) switch
            {
                Kind.Word => Word(at, found),
                Kind.Unspaced => Run(at, purpose, found),
                Kind.Symbol => Symbol(at, found),
                Kind.Mark or Kind.Ignored or Kind.Other => at + 1,
            };
        }
    }

    /// <summary>Decomposed, in lower case, the accents off or in their canonical order; then composed again, so that a syllable or kana is one scalar value.</summary>
    private void Normalise(string text)
    {
        scalars.Clear();
        Span<uint> parts = stackalloc uint[LongestDecomposition];
        foreach (var rune in text.EnumerateRunes())
        {
            foreach (var part in parts[..Characters.Decompose((uint)rune.Value, compatible: true, parts)])
            {
                var lower = Characters.LowerOf(part);
                if (lower.IsEmpty) { Fold(part); }
                foreach (var letter in lower) { Fold(letter); }
            }
        }

        var (kept, marks) = (0, 0);
        foreach (var scalar in CollectionsMarshal.AsSpan(scalars))
        {
            marks = Characters.CombiningClass(scalar) == 0 ? 0 : marks + 1;
            if (marks <= Marks) { scalars[kept++] = scalar; }
        }

        scalars.RemoveRange(kept, scalars.Count - kept);
        for (var from = 0; from < scalars.Count; from++)
        {
            // Marks of the same class stay in their order.
            for (var at = from; at > 0 && Characters.CombiningClass(scalars[at]) is > 0 and var its && Characters.CombiningClass(scalars[at - 1]) > its; at--)
            {
                (scalars[at - 1], scalars[at]) = (scalars[at], scalars[at - 1]);
            }
        }

        Compose();
    }

    private void Fold(uint scalar)
    {
        if (scalar is (>= 0xFE00 and <= 0xFE0F) or (>= 0xE0100 and <= 0xE01EF)) { return; }
        if (scalar == 'ς') { scalar = 'σ'; }
        if (scalar > 0x7F && Rune.IsDigit(new Rune(scalar))) { scalar = '0' + (uint)Rune.GetNumericValue(new Rune(scalar)); }
        if (!foldAccents || scalar < 0x80)
        {
            scalars.Add(scalar);
            return;
        }

        if (IsAccent(scalar)) { return; }
        switch (scalar)
        {
            case 'ß': AddBoth('s', 's'); break;
            case 'æ': AddBoth('a', 'e'); break;
            case 'œ': AddBoth('o', 'e'); break;
            case 'þ': AddBoth('t', 'h'); break;
            case 'ø': scalars.Add('o'); break;
            case 'ł': scalars.Add('l'); break;
            case 'đ' or 'ð': scalars.Add('d'); break;
            case 'ħ': scalars.Add('h'); break;
            case 'ŧ': scalars.Add('t'); break;
            case 'ı': scalars.Add('i'); break;
            case 'ſ': scalars.Add('s'); break;
            default: scalars.Add(scalar); break;
        }
    }

    private void AddBoth(char first, char second)
    {
        scalars.Add(first);
        scalars.Add(second);
    }

    /// <summary>Canonical composition, in place: a mark joins the last starter unless one of its own class stands between.</summary>
    private void Compose()
    {
        var (starter, kept, before) = (-1, 0, 0);
        for (var at = 0; at < scalars.Count; at++)
        {
            var (scalar, own) = (scalars[at], (int)Characters.CombiningClass(scalars[at]));
            if (starter >= 0 && (before < own || before == 0 && starter == kept - 1) && Characters.TryCompose(scalars[starter], scalar, out var composed))
            {
                scalars[starter] = composed;
                continue;
            }

            if (own == 0) { (starter, before) = (kept, 0); }
            else { before = own; }

            scalars[kept++] = scalar;
        }

        scalars.RemoveRange(kept, scalars.Count - kept);
    }

    /// <summary>A run of letters, marks and digits; a point between digits belongs to the number. The s behind an English apostrophe is no word.</summary>
    private int Word(int start, TermFound found)
    {
        var (at, length) = (start, 0);
        for (; at < scalars.Count; at++)
        {
            var kind = KindOf(scalars[at]);
            if (kind == Kind.Ignored) { continue; }

            var point = scalars[at] == '.' && at > start && IsDigit(scalars[at - 1]) && at + 1 < scalars.Count && IsDigit(scalars[at + 1]);
            if (!point && kind is not (Kind.Word or Kind.Mark)) { break; }
            length = Append(scalars[at], length);
        }

        if (length == 1 && term[0] == 's' && start > 1 && IsApostrophe(scalars[start - 1]) && KindOf(scalars[start - 2]) is Kind.Word or Kind.Mark) { return at; }

        var word = term.AsSpan(0, length);
        if (stemming == Stemming.English && !word.ContainsAnyExceptInRange('a', 'z')) { length = EnglishStemmer.Stem(term, length); }
        found(term.AsSpan(0, length));
        return at;
    }

    /// <summary>A run of a script without spaces, by characters with their marks.</summary>
    private int Run(int start, TermsFor purpose, TermFound found)
    {
        var (before, at, count) = (start, start, 0);
        while (at < scalars.Count && KindOf(scalars[at]) == Kind.Unspaced)
        {
            var next = at + 1;
            while (next < scalars.Count && KindOf(scalars[next]) == Kind.Mark) { next++; }

            var alone = count == 0 && (next == scalars.Count || KindOf(scalars[next]) != Kind.Unspaced);
            if (purpose == TermsFor.Index || alone) { Give(at, next, found); }
            if (count > 0) { Give(before, next, found); }
            (before, at, count) = (at, next, count + 1);
        }

        return at;
    }

    private int Symbol(int at, TermFound found)
    {
        Give(at, at + 1, found);
        return at + 1;
    }

    private void Give(int from, int to, TermFound found)
    {
        var length = 0;
        for (var at = from; at < to; at++) { length = Append(scalars[at], length); }
        found(term.AsSpan(0, length));
    }

    private int Append(uint scalar, int length)
    {
        var rune = new Rune(scalar);
        return length + rune.Utf16SequenceLength <= SearchLimits.TermLength ? length + rune.EncodeToUtf16(term.AsSpan(length)) : length;
    }

    private static bool IsDigit(uint scalar) => scalar is >= '0' and <= '9';

    private static bool IsApostrophe(uint scalar) => scalar is '\'' or 0x2019 or 0x02BC;

    private static Kind KindOf(uint scalar)
    {
        if (scalar < 0x80) { return char.IsAsciiLetterOrDigit((char)scalar) ? Kind.Word : Kind.Other; }
        if (IsUnspaced(scalar)) { return Characters.CategoryOf(scalar) is Category.Mn or Category.Mc or Category.Me ? Kind.Mark : Kind.Unspaced; }

        return Characters.CategoryOf(scalar) switch
        {
            Category.Lu or Category.Ll or Category.Lt or Category.Lm or Category.Lo or Category.Nd or Category.Nl or Category.No => IsApostrophe(scalar) ? Kind.Other : Kind.Word,
            Category.Mn or Category.Mc or Category.Me => Kind.Mark,

            // A zero-width space parts words; other format characters, such as a soft hyphen, are inside of them.
            Category.Cf => scalar == 0x200B ? Kind.Other : Kind.Ignored,
            Category.So => Kind.Symbol,
            _ => Kind.Other,
        };
    }

    /// <summary>Thai, Lao, Myanmar, Khmer, Hangul, kana, Bopomofo, ideographs and their iteration mark.</summary>
    private static bool IsUnspaced(uint scalar) => scalar is (>= 0x0E01 and <= 0x0E4E) or (>= 0x0E81 and <= 0x0ECD) or (>= 0x1000 and <= 0x103F) or (>= 0x1780 and <= 0x17D3)
        or (>= 0x1100 and <= 0x11FF) or (>= 0xAC00 and <= 0xD7A3) or (>= 0x3005 and <= 0x3007) or (>= 0x3041 and <= 0x30FA) or (>= 0x30FC and <= 0x312F)
        or (>= 0x3400 and <= 0x4DBF) or (>= 0x4E00 and <= 0x9FFF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x20000 and <= 0x3FFFF);

    /// <summary>Combining accents of alphabets; marks that are vowels or change a letter for good, as in Indic scripts, are none.</summary>
    private static bool IsAccent(uint scalar) => scalar is (>= 0x0300 and <= 0x036F) or (>= 0x0483 and <= 0x0487) or (>= 0x0591 and <= 0x05BD) or 0x05BF or 0x05C1 or 0x05C2 or 0x05C4 or 0x05C5 or 0x05C7
        or (>= 0x0610 and <= 0x061A) or 0x0640 or (>= 0x064B and <= 0x065F) or 0x0670 or (>= 0x06D6 and <= 0x06DC) or (>= 0x06DF and <= 0x06E4) or 0x06E7 or 0x06E8 or (>= 0x06EA and <= 0x06ED)
        or (>= 0x1AB0 and <= 0x1AFF) or (>= 0x1DC0 and <= 0x1DFF) or (>= 0x20D0 and <= 0x20FF) or (>= 0xFE20 and <= 0xFE2F);

    private enum Kind
    {
        Word,
        Unspaced,
        Symbol,
        Mark,
        Ignored,
        Other,
    }
}
