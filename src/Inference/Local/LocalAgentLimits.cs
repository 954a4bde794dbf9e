namespace Platform.Inference.Local;

/// <summary>What bounds one request to the local agent: a second of one core, not more.</summary>
public static class LocalAgentLimits
{
    /// <summary>UTF-16 units read of one data part; the rest is left out, and the answer's method says so.</summary>
    public const int PartLength = 1024 * 1024;

    /// <summary>UTF-16 units read of all parts together.</summary>
    public const int TotalLength = 4 * 1024 * 1024;

    /// <summary>Levels of a data part or a schema that are looked into.</summary>
    public const int Depth = 32;

    /// <summary>Properties of an answer, nested ones included.</summary>
    public const int Properties = 100;

    /// <summary>Labels of a classification.</summary>
    public const int Labels = 200;

    /// <summary>Sentences that are ranked against each other: comparing them is quadratic.</summary>
    public const int RankedSentences = 300;

    /// <summary>A sentence longer than this many UTF-16 units is none, and is cut at a space.</summary>
    public const int SentenceLength = 1_000;

    /// <summary>Sentences of a summary unless <c>x-sentences</c> says otherwise.</summary>
    public const int SummarySentences = 3;

    /// <summary>UTF-16 units of a summary unless <c>maxLength</c> says otherwise.</summary>
    public const int SummaryLength = 2_000;

    /// <summary>Found items of one kind unless <c>maxItems</c> says otherwise.</summary>
    public const int ExtractedItems = 1_000;

    /// <summary>Key phrases unless <c>maxItems</c> says otherwise.</summary>
    public const int KeyPhrases = 10;
}
