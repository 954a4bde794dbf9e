namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>A part of a regular expression.</summary>
internal abstract record PatternNode
{
    public const int Unlimited = int.MaxValue;

    private PatternNode()
    {
    }

    /// <summary>Whether it can match nothing.</summary>
    public abstract bool IsNullable { get; }

    /// <summary>One character of a set.</summary>
    public sealed record One(CharacterSet Set) : PatternNode
    {
        public override bool IsNullable => false;
    }

    /// <summary>One after the other; none: nothing.</summary>
    public sealed record Sequence(IReadOnlyList<PatternNode> Parts) : PatternNode
    {
        public override bool IsNullable { get; } = Parts.All(part => part.IsNullable);
    }

    /// <summary>The first that leads to a match.</summary>
    public sealed record Choice(IReadOnlyList<PatternNode> Ways) : PatternNode
    {
        public override bool IsNullable { get; } = Ways.Any(way => way.IsNullable);
    }

    /// <summary>So many times, as many as possible or as few. What is repeated cannot match nothing.</summary>
    public sealed record Repeat(PatternNode Body, int Least, int Most, bool IsLazy) : PatternNode
    {
        public override bool IsNullable { get; } = Least == 0 || Body.IsNullable;
    }

    /// <summary>The first way in which it matches, and no other.</summary>
    public sealed record Atomic(PatternNode Body) : PatternNode
    {
        public override bool IsNullable { get; } = Body.IsNullable;
    }

    /// <summary>Whether what follows matches, or with <paramref name="Negative"/> does not.</summary>
    public sealed record Ahead(PatternNode Body, bool Negative) : PatternNode
    {
        public override bool IsNullable => true;
    }

    /// <summary>Whether characters of the sets stand before, one of each in this order, or with <paramref name="Negative"/> do not.</summary>
    public sealed record Behind(IReadOnlyList<CharacterSet> Sets, bool Negative) : PatternNode
    {
        public override bool IsNullable => true;
    }

    /// <summary>The beginning of the text, of a line (not after the last line feed), or the end of the text.</summary>
    public sealed record Place(PlaceKind Kind, bool Negative) : PatternNode
    {
        public override bool IsNullable => true;
    }
}

internal enum PlaceKind
{
    TextStart,
    TextEnd,
}
