using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.PreTokenisers;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// Split at one of the three expressions of DeepSeek V3's tokenizer.json, which stand one after the other there. Unlike the patterns that cover every text, these leave
/// characters between their matches (digits, controls, what is unassigned).
/// </summary>
internal sealed class DeepSeekSplit : PatternPreTokeniser
{
    // The file has the carriage return and the line feed themselves in its classes, not their escapes.
    private const string Words = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

    private const int MostDigits = 3;

    /// <summary>Where the match ends that begins at `start`, a character's first byte; `start` where none begins there.</summary>
    private delegate int Matcher(ReadOnlySpan<byte> text, int start);

    private static readonly Dictionary<string, Matcher> Known = new(StringComparer.Ordinal)
    {
        [@"\p{N}{1,3}"] = Digits,
        ["[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"] = ChineseOrJapanese,
        [Words] = Word,
    };

    private readonly Matcher match;

    private DeepSeekSplit(Matcher match, SplitBehaviour behaviour, bool inverted)
        : base(behaviour, inverted) => this.match = match;

    public static IEnumerable<string> Supported => Known.Keys;

    /// <summary>null where the file's pattern is not one of them.</summary>
    public static DeepSeekSplit? TryRead(StageOptions options)
    {
        var regex = options.Member("pattern").Member("Regex");
        return !regex.IsNull && Known.TryGetValue(regex.AsText(), out var match) ? new(match, Behaviour(options, "behavior", null), options.Flag("invert")) : null;
    }

    protected override bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end)
    {
        for (start = from; start < text.Length; start += Utf8Text.SizeAt(text, start))
        {
            end = match(text, start);
            if (end > start) { return true; }
        }

        end = start;
        return false;
    }

    private static int Digits(ReadOnlySpan<byte> text, int start)
    {
        var at = start;
        for (var count = 0; count < MostDigits && at < text.Length && UnicodeClasses.Of(Utf8Text.ScalarAt(text, at, out var size)) == UnicodeClasses.Number; count++) { at += size; }

        return at;
    }

    private static int ChineseOrJapanese(ReadOnlySpan<byte> text, int start)
    {
        var at = start;
        while (at < text.Length && Utf8Text.ScalarAt(text, at, out var size) is (>= 0x4E00 and <= 0x9FA5) or (>= 0x3040 and <= 0x30FF)) { at += size; }

        return at;
    }

    private static int Word(ReadOnlySpan<byte> text, int start)
    {
        var first = Utf8Text.ScalarAt(text, start, out var size);
        var next = start + size;
        if (first < 0x80 && IsPunctuationOrSymbol(first) && next < text.Length && char.IsAsciiLetter((char)text[next]))
        {
            while (next < text.Length && char.IsAsciiLetter((char)text[next])) { next++; }

            return next;
        }

        // A mark is also a character that may stand before a word, which ends in the same place.
        if (IsLetterOrMark(first)) { return Run(text, next, IsLetterOrMark); }

        var second = next < text.Length ? Utf8Text.ScalarAt(text, next, out _) : Characters.Limit;
        if (IsPunctuationOrSymbol(first)) { return LineBreaks(text, Run(text, next, IsPunctuationOrSymbol)); }

        if (first is not ('\r' or '\n') && second < Characters.Limit && IsLetterOrMark(second)) { return Run(text, next, IsLetterOrMark); }

        if (first == ' ' && second < Characters.Limit && IsPunctuationOrSymbol(second)) { return LineBreaks(text, Run(text, next, IsPunctuationOrSymbol)); }

        return UnicodeClasses.Of(first) == UnicodeClasses.Space ? Scan.Spaces(ref MemoryMarshal.GetReference(text), start, text.Length, newlines: true) : start;
    }

    private static int Run(ReadOnlySpan<byte> text, int at, Func<uint, bool> isOne)
    {
        while (at < text.Length && isOne(Utf8Text.ScalarAt(text, at, out var size))) { at += size; }

        return at;
    }

    private static int LineBreaks(ReadOnlySpan<byte> text, int at)
    {
        while (at < text.Length && text[at] is (byte)'\r' or (byte)'\n') { at++; }

        return at;
    }

    private static bool IsLetterOrMark(uint scalar) => (UnicodeClasses.Of(scalar) & (UnicodeClasses.Letter | UnicodeClasses.Mark)) != 0;

    private static bool IsPunctuationOrSymbol(uint scalar) => Characters.CategoryOf(scalar) is >= Category.Pc and <= Category.So;
}
