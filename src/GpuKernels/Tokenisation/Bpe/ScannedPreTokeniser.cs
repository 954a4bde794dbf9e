using Platform.GpuKernels.Tokenisation.PreTokenisers;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>Split at one of the patterns that have a scanner; its pieces cover every text.</summary>
internal sealed class ScannedPreTokeniser(SplitPattern pattern, SplitBehaviour behaviour, bool inverted) : PatternPreTokeniser(behaviour, inverted)
{
    public SplitPattern Pattern => pattern;

    /// <summary>Whether the pieces are the matches.</summary>
    public bool KeepsMatches { get; } = behaviour == SplitBehaviour.Isolated || (behaviour == SplitBehaviour.Removed && inverted);

    /// <summary>null where the file's pattern is not one of them.</summary>
    public static ScannedPreTokeniser? TryRead(StageOptions options)
    {
        var regex = options.Member("pattern").Member("Regex");
        return !regex.IsNull && SplitPatterns.TryRecognise(regex.AsText(), out var pattern) ? new(pattern, Behaviour(options, "behavior", null), options.Flag("invert")) : null;
    }

    /// <summary>The steps of a sequence; those that it begins with are one where they are a pattern together.</summary>
    public static IReadOnlyList<IPreTokeniser> Joined(IReadOnlyList<IPreTokeniser> steps)
    {
        var first = steps.Take(SplitPatterns.DeepSeekV3.Count).Select(step => (step as SplitPreTokeniser)?.Isolated);
        return first.SequenceEqual(SplitPatterns.DeepSeekV3)
            ? [new ScannedPreTokeniser(SplitPattern.DeepSeekV3, SplitBehaviour.Isolated, inverted: false), .. steps.Skip(SplitPatterns.DeepSeekV3.Count)]
            : steps;
    }

    protected override bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end)
    {
        (start, end) = (from, pattern.End(text, from));
        return true;
    }
}
