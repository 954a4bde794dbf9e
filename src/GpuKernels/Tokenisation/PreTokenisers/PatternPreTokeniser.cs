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
        // The part that waits whether the next joins it.
        var (from, to, wasMatch) = (0, 0, false);
        var at = 0;
        while (at < piece.Length)
        {
            if (!TryFind(piece, at, out var start, out var end)) { (start, end) = (piece.Length, piece.Length); }

            if (start > at) { Take(at, start, inverted, pieces, ref from, ref to, ref wasMatch); }

            if (end > start) { Take(start, end, !inverted, pieces, ref from, ref to, ref wasMatch); }

            at = end;
        }

        if (to > from && !(wasMatch && behaviour == SplitBehaviour.Removed)) { pieces.Add(from, to); }
    }

    /// <summary>The first match at or after <paramref name="from"/>, which is not empty.</summary>
    protected abstract bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end);

    private void Take(int start, int end, bool isMatch, PieceSink pieces, ref int from, ref int to, ref bool wasMatch)
    {
        var joined = to > from && behaviour switch
        {
            SplitBehaviour.Removed or SplitBehaviour.Isolated => false,
            SplitBehaviour.MergedWithPrevious => isMatch && !wasMatch,
            SplitBehaviour.MergedWithNext => wasMatch && !isMatch,
            SplitBehaviour.Contiguous => wasMatch == isMatch,
        };
        if (!joined)
        {
            if (to > from && !(wasMatch && behaviour == SplitBehaviour.Removed)) { pieces.Add(from, to); }

            from = start;
        }

        (to, wasMatch) = (end, isMatch);
    }
}

/// <summary>Split: at a pattern, or with `invert` at what is between its matches.</summary>
internal sealed class SplitPreTokeniser(SimplePattern pattern, SplitBehaviour behaviour, bool inverted) : PatternPreTokeniser(behaviour, inverted)
{
    public static SplitPreTokeniser Read(StageOptions options) =>
        new(SimplePattern.Read(options.Member("pattern")), Behaviour(options, "behavior", null), options.Flag("invert"));

    protected override bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end) => pattern.TryFind(text, from, out start, out end);
}
