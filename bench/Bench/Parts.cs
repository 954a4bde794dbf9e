namespace Platform.Bench;

/// <summary>What can be measured, in the order of the bars.</summary>
internal static class Parts
{
    public static IReadOnlyList<(string Name, Func<Ground, Report, Task> Run)> All { get; } =
    [
        ("append", Appending.Measure),
        ("hot", HotStream.Measure),
        ("decide", Deciding.Measure),
        ("projection", Projecting.Measure),
        ("run", Running.Measure),
        ("expression", Evaluating.Measure),
        ("audit", Auditing.Measure),
        ("start", Starting.Measure),
    ];
}
