using System.Globalization;
using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>
/// A pattern of a Replace or Split: a literal text, or one of the few regular expressions that are exactly one atom with a quantifier: a literal character,
/// `\s`, `\d`, `\w` or a class of literal characters, once, with `+` or with `{n,}`. Anything else is an error that names it; patterns that whole models
/// use (GPT-2's, cl100k's) are pre-tokenisers of their own.
/// </summary>
internal sealed class SimplePattern
{
    private readonly byte[]? literal;
    private readonly Func<uint, bool>? matches;
    private readonly int least;
    private readonly bool many;

    private SimplePattern(byte[] literal) => this.literal = literal;

    private SimplePattern(Func<uint, bool> matches, int least, bool many) => (this.matches, this.least, this.many) = (matches, least, many);

    /// <summary>Reads `{"String": ...}` or `{"Regex": ...}`.</summary>
    public static SimplePattern Read(StageOptions pattern)
    {
        if (pattern.TextOrNull("String") is { } text) { return new(Encoding.UTF8.GetBytes(text)); }

        var expression = pattern.Text("Regex");
        return TryParse(expression) ?? throw StageOptions.Wrong(pattern.Place, $"is the regular expression '{expression}', which is not supported");
    }

    /// <summary>The first match at or after <paramref name="from"/>; one that is empty is none.</summary>
    public bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end)
    {
        (start, end) = (0, 0);
        if (literal is not null)
        {
            var at = literal.Length == 0 ? -1 : text[from..].IndexOf(literal);
            (start, end) = (from + at, from + at + literal.Length);
            return at >= 0;
        }

        for (start = from; start < text.Length;)
        {
            end = start;
            var count = 0;
            while (end < text.Length && (many || count < least) && matches!(Utf8Text.ScalarAt(text, end, out var size)))
            {
                end += size;
                count++;
            }

            if (count >= least) { return true; }

            // What is too short a run here is too short from each of its characters on.
            start = end < text.Length ? end + Utf8Text.SizeAt(text, end) : end;
        }

        return false;
    }

    private static SimplePattern? TryParse(string expression)
    {
        var (atom, rest) = Atom(expression);
        if (atom is null) { return null; }

        return rest switch
        {
            "" => new(atom, 1, many: false),
            "+" => new(atom, 1, many: true),
            ['{', .. var number, ',', '}'] when int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var least) && least > 0 => new(atom, least, many: true),
            _ => null,
        };
    }

    private static (Func<uint, bool>? Matches, string After) Atom(string expression)
    {
        const string Special = "\\^$.|?*+()[]{}";
        if (expression.Length == 0) { return (null, expression); }

        if (expression[0] == '\\' && expression.Length > 1)
        {
            return (Escaped(expression[1]), expression[2..]);
        }

        if (expression[0] == '[')
        {
            var close = expression.IndexOf(']', StringComparison.Ordinal);
            var inner = close < 0 ? "" : expression[1..close];
            if (inner.Length == 0 || inner.AsSpan().IndexOfAny("\\^-[&") >= 0) { return (null, expression); }

            var set = inner.EnumerateRunes().Select(rune => (uint)rune.Value).ToHashSet();
            return (set.Contains, expression[(close + 1)..]);
        }

        var first = expression.EnumerateRunes().First();
        return Special.Contains(expression[0], StringComparison.Ordinal) ? (null, expression) : (scalar => scalar == (uint)first.Value, expression[first.Utf16SequenceLength..]);
    }

    private static Func<uint, bool>? Escaped(char letter) => letter switch
    {
        's' => Characters.IsWhiteSpace,
        'd' => scalar => Characters.CategoryOf(scalar) == Category.Nd,
        'w' => scalar => Characters.Is(scalar, CharacterSets.Word),
        'n' => scalar => scalar == '\n',
        'r' => scalar => scalar == '\r',
        't' => scalar => scalar == '\t',
        _ when char.IsAsciiLetterOrDigit(letter) => null,
        _ => scalar => scalar == letter,
    };
}
