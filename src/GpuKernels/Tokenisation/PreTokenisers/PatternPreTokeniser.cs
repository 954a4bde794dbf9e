using Platform.GpuKernels.Tokenisation.RegularExpressions;

namespace Platform.GpuKernels.Tokenisation.PreTokenisers;

/// <summary>What becomes of the matches that a text is split at.</summary>
internal enum SplitBehaviour
{
    /// <summary>They are dropped.</summary>
    Removed,

    /// <summary>Each is a piece.</summary>
    Isolated,

    /// <summary>Each ends the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>Each begins the piece after it.</summary>
    MergedWithNext,

    /// <summary>Those that touch are one piece.</summary>
    Contiguous,
}

/// <summary>Splits at matches: finds them, and says which parts of the text between and of them become pieces.</summary>
internal abstract class PatternPreTokeniser(SplitBehaviour behaviour, bool inverted = false) : IPreTokeniser
{
    public static SplitBehaviour Behaviour(StageOptions options, string name, string? otherwise) => options.Text(name, otherwise) switch
    {
        "Removed" => SplitBehaviour.Removed,
        "Isolated" => SplitBehaviour.Isolated,
        "MergedWithPrevious" => SplitBehaviour.MergedWithPrevious,
        "MergedWithNext" => SplitBehaviour.MergedWithNext,
        "Contiguous" => SplitBehaviour.Contiguous,
        var other => throw StageOptions.Wrong($"{options.Place}.{name}", $"is '{other}'; supported are Removed, Isolated, MergedWithPrevious, MergedWithNext and Contiguous"),
    };

    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        var cut = new Cut(behaviour, inverted, pieces);
        for (var at = 0; at < piece.Length && TryFind(piece, at, out var start, out var end); at = end) { cut.Take(start, end); }

        cut.End(piece.Length);
    }

    /// <summary>The first match at or after <paramref name="from"/>, which is not empty.</summary>
    protected abstract bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end);

    /// <summary>Takes the matches of a text in their order, and gives the pieces.</summary>
    internal ref struct Cut(SplitBehaviour behaviour, bool inverted, PieceSink pieces)
    {
        // The part that waits whether the next joins it.
        private int from;
        private int to;
        private bool wasMatch;
        private bool waits;

        public void Take(int start, int end)
        {
            if (start > to) { Part(to, start, inverted); }

            Part(start, end, !inverted);
        }

        public void End(int length)
        {
            if (length > to) { Part(to, length, inverted); }

            Give();
        }

        private void Part(int start, int end, bool isMatch)
        {
            var joined = waits && behaviour switch
            {
                SplitBehaviour.Removed or SplitBehaviour.Isolated => false,
                SplitBehaviour.MergedWithPrevious => isMatch && !wasMatch,
                SplitBehaviour.MergedWithNext => wasMatch && !isMatch,
                SplitBehaviour.Contiguous => wasMatch == isMatch,
            };
            if (!joined)
            {
                Give();
                from = start;
            }

            (to, wasMatch, waits) = (end, isMatch, true);
        }

        private readonly void Give()
        {
            if (waits && !(wasMatch && behaviour == SplitBehaviour.Removed)) { pieces.Add(from, to); }
        }
    }
}

/// <summary>Split: at a pattern, or with `invert` at what is between its matches.</summary>
internal sealed class SplitPreTokeniser(TextPattern pattern, SplitBehaviour behaviour, bool inverted) : IPreTokeniser
{
    public static SplitPreTokeniser Read(StageOptions options) =>
        new(TextPattern.Read(options.Member("pattern")), PatternPreTokeniser.Behaviour(options, "behavior", null), options.Flag("invert"));

    /// <summary>The regular expression, where its matches are pieces, and what is between them.</summary>
    public string? Isolated { get; } = behaviour == SplitBehaviour.Isolated && !inverted ? pattern.Expression : null;

    /// <summary>What is split at, where it is a plain text: a text without it stays one piece.</summary>
    public byte[]? Literal { get; } = inverted ? null : pattern.Literal;

    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        var cut = new PatternPreTokeniser.Cut(behaviour, inverted, pieces);
        using var matches = pattern.In(piece);
        while (matches.TryNext(out var start, out var end)) { cut.Take(start, end); }

        cut.End(piece.Length);
    }
}
