using System.Collections.Concurrent;
using System.Text.RegularExpressions;

namespace Platform.Domain.Daemons.Expressions.Language;

/// <summary>A regular expression that takes time linear in the text: no backtracking, hence no lookaround and no back reference.</summary>
internal sealed class Pattern
{
    /// <summary>An automaton is slower than a copy; its worst case, many states at once, costs in proportion to the pattern's weight.</summary>
    private const int CharactersPerStep = 16;

    private static readonly ConcurrentDictionary<string, Pattern> Cache = new(StringComparer.Ordinal);

    private readonly Regex regex;
    private readonly int weight;

    private Pattern(Regex regex, int weight)
    {
        this.regex = regex;
        this.weight = weight;
    }

    /// <exception cref="ExpressionException">The pattern is none, or needs backtracking, or is too large.</exception>
    public static Pattern Of(string text, int offset)
    {
        if (Cache.TryGetValue(text, out var known)) { return known; }

        if (text.Length > ExpressionLimits.PatternLength) { throw new ExpressionException($"A pattern has at most {ExpressionLimits.PatternLength} characters.", offset); }

        var repeats = Repeats(text, offset);
        Pattern made;
        try
        {
            made = new Pattern(new Regex(text, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant), 1 + (int)(text.Length * repeats / 16));
        }
        catch (NotSupportedException)
        {
            throw new ExpressionException("The pattern needs backtracking (lookaround, back reference, atomic group) or is too large.", offset);
        }
        catch (ArgumentException error)
        {
            throw new ExpressionException($"The pattern is no regular expression: {error.Message}", offset);
        }

        // Bounded by starting over: patterns are few, and nothing but time depends on what is kept.
        if (Cache.Count >= ExpressionLimits.CachedPatterns) { Cache.Clear(); }

        Cache[text] = made;
        return made;
    }

    public bool IsMatch(string text, Evaluation evaluation, int offset)
    {
        evaluation.Steps((long)text.Length * weight / CharactersPerStep, offset);
        return regex.IsMatch(text);
    }

    /// <summary>The product of all counts in braces, whether or not they nest: an upper bound of how often a part is copied.</summary>
    private static long Repeats(string text, int offset)
    {
        var product = 1L;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '{') { continue; }

            var largest = 0L;
            var number = 0L;
            for (var j = i + 1; j < text.Length && (char.IsAsciiDigit(text[j]) || text[j] == ','); j++)
            {
                number = text[j] == ',' ? 0 : Math.Min((number * 10) + (text[j] - '0'), ExpressionLimits.PatternRepeats + 1);
                largest = Math.Max(largest, number);
            }

            product *= Math.Max(largest, 1);
            if (product > ExpressionLimits.PatternRepeats) { throw new ExpressionException($"The counts in a pattern multiply to at most {ExpressionLimits.PatternRepeats}.", offset); }
        }

        return product;
    }
}
