using System.Collections.Concurrent;
using System.Text;

namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>A pattern of a Split or Replace: a literal text or a regular expression. One instance serves all threads.</summary>
internal sealed class TextPattern
{
    private readonly PatternProgram program;
    private readonly ConcurrentBag<PatternMatcher> matchers = [];

    private TextPattern(byte[]? literal, string expression, PatternProgram program) => (Literal, Expression, this.program) = (literal, expression, program);

    /// <summary>The text that is sought; null: an expression.</summary>
    public byte[]? Literal { get; }

    /// <summary>Empty where a literal text is sought.</summary>
    public string Expression { get; }

    /// <summary>Reads `{"String": ...}` or `{"Regex": ...}`.</summary>
    /// <exception cref="TokeniserFileException">The regular expression is not supported.</exception>
    public static TextPattern Read(StageOptions pattern)
    {
        // An empty text is found where an empty expression is: everywhere.
        var text = pattern.TextOrNull("String");
        if (text is { Length: > 0 }) { return new(Encoding.UTF8.GetBytes(text), "", PatternProgram.Compile("")); }

        var expression = text ?? pattern.Text("Regex");
        try { return new(null, expression, PatternProgram.Compile(expression)); }
        catch (NotSupportedException unsupported)
        {
            throw new TokeniserFileException($"tokenizer.json: {pattern.Place} is the regular expression '{expression}', which {unsupported.Message}", unsupported);
        }
    }

    /// <summary>The matches in a text from its beginning to its end; to be disposed of.</summary>
    /// <param name="text">Valid UTF-8.</param>
    public TextMatches In(ReadOnlySpan<byte> text)
    {
        // The reference looks for nothing in an empty text.
        if (text.IsEmpty || Literal is not null) { return new(this, text, null); }

        var matcher = matchers.TryTake(out var kept) ? kept : new(program);
        matcher.Begin(text);
        return new(this, text, matcher);
    }

    internal ref struct TextMatches(TextPattern pattern, ReadOnlySpan<byte> text, PatternMatcher? matcher)
    {
        private readonly ReadOnlySpan<byte> text = text;
        private int from;

        /// <summary>The next match, which may be empty.</summary>
        public bool TryNext(out int start, out int end)
        {
            if (matcher is not null) { return matcher.TryNext(text, out start, out end); }

            var found = text.IsEmpty ? -1 : text[from..].IndexOf(pattern.Literal);
            (start, end) = (from + found, from + found + (pattern.Literal?.Length ?? 0));
            if (found < 0) { return false; }

            from = end;
            return true;
        }

        public readonly void Dispose()
        {
            if (matcher is not null) { pattern.matchers.Add(matcher); }
        }
    }
}
