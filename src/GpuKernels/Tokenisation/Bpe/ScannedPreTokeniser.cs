using Platform.GpuKernels.Tokenisation.PreTokenisers;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>Split at one of the patterns that have a scanner; its matches cover every text.</summary>
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

    protected override bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end)
    {
        (start, end) = (from, pattern.End(text, from));
        return true;
    }
}
