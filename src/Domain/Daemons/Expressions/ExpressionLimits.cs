namespace Platform.Domain.Daemons.Expressions;

/// <summary>What bounds an expression, so that evaluating anything takes milliseconds and megabytes at most, never the stack.</summary>
public static class ExpressionLimits
{
    /// <summary>UTF-16 units of one expression's text: longer logic belongs in a script stage.</summary>
    public const int SourceLength = 16_384;

    /// <summary>Levels of the syntax tree (a chain of n operators has n levels). Parsing and evaluation recurse once a level: less than half of a thread's default stack, a test says.</summary>
    public const int Depth = 100;

    /// <summary>Nodes of the syntax tree.</summary>
    public const int Nodes = 4_096;

    /// <summary>Work of one evaluation: a step for each node, each list element and each <see cref="UnitsPerStep"/> characters touched. Some 100 ms.</summary>
    public const int Steps = 1_000_000;

    /// <summary>Characters (UTF-16 units, or bytes of JSON) that cost as much as one node.</summary>
    public const int UnitsPerStep = 64;

    /// <summary>UTF-16 units of a string that an expression makes. A value that is only passed on has no such limit.</summary>
    public const int TextLength = 4 * 1024 * 1024;

    /// <summary>Elements of a list or map that an expression makes or goes through.</summary>
    public const int ListLength = 100_000;

    /// <summary>Bytes of the JSON that an evaluation makes.</summary>
    public const int ResultBytes = 16 * 1024 * 1024;

    /// <summary>Levels of the JSON that an evaluation makes: what JSON readers take unless told otherwise.</summary>
    public const int ResultDepth = 64;

    /// <summary>UTF-16 units of a pattern of <c>matches</c>.</summary>
    public const int PatternLength = 256;

    /// <summary>Product of all counts in a pattern's braces: the automaton grows with it.</summary>
    public const int PatternRepeats = 1_000;

    /// <summary>Compiled patterns kept in memory.</summary>
    public const int CachedPatterns = 256;

    /// <summary>Expressions in one template.</summary>
    public const int TemplateExpressions = 4_096;
}
