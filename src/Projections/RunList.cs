using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Projections;

/// <summary>One line of the list of runs.</summary>
/// <param name="Status"><c>running</c>, <c>stopping</c>, <c>completed</c>, <c>failed</c>, <c>timed_out</c>, <c>cancelled</c>.</param>
/// <param name="ItemsTotal">Items of all foreach stages so far.</param>
public sealed record RunSummary(
    string RunId,
    string Daemon,
    string? DaemonVersion,
    string Status,
    string StartedBy,
    DateTimeOffset StartedAt,
    DateTimeOffset? EndedAt = null,
    decimal CostCredits = 0m,
    int StagesDone = 0,
    int StagesFailed = 0,
    int StagesSkipped = 0,
    int StagesUnderWay = 0,
    int ItemsTotal = 0,
    int ItemsDone = 0,
    int Effects = 0,
    string? ErrorType = null,
    string? Error = null,
    string? FailedStage = null,
    string? ForkedFrom = null);

/// <summary>Every run, newest last. Inline: who has started a run finds it in the list.</summary>
public static class RunList
{
    public static readonly Projection<RunSummary> Projection = new("run_list", 2, ProjectionLifecycle.Inline, ProjectionsJson.Default.RunSummary, RunKeys.Of, Evolve, d => RunKeys.Sort(d.StartedAt, d.RunId));

    /// <summary>Where the list of runs goes on from a moment: the least sort key of it.</summary>
    public static string SortKeyAt(DateTimeOffset moment) => RunKeys.Sort(moment, "");

    private static RunSummary? Evolve(RunSummary? run, string key, RecordedEvent recorded)
    {
        if (recorded.Data is RunStarted started)
        {
            return new RunSummary(key, started.Daemon, started.DaemonVersion, "running", started.StartedBy, started.At, ForkedFrom: started.ForkedFrom?.RunId.ToString());
        }

        if (run is null) { return null; }
        return recorded.Data switch
        {
            StagesRecalled e => run with { StagesDone = run.StagesDone + e.Settled },
            StageStarted { Attempt: 1 } => run with { StagesUnderWay = run.StagesUnderWay + 1 },
            StageCompleted e => Ended(run, e.Attempt) with { StagesDone = run.StagesDone + 1 },
            StageFailed { Response: FailureResponse.Retry } => run,
            StageFailed e => Ended(run, e.Attempt) with { StagesFailed = run.StagesFailed + 1 },
            StageCancelled => run with { StagesUnderWay = Math.Max(0, run.StagesUnderWay - 1) },
            StageSkipped => run with { StagesSkipped = run.StagesSkipped + 1 },
            VariablesSet or DomainEventEmitted => run with { StagesDone = run.StagesDone + 1 },
            ForeachExpanded e => run with { ItemsTotal = run.ItemsTotal + e.Items.Count },
            ItemCompleted or ItemFailed => run with { ItemsDone = run.ItemsDone + 1 },
            BudgetSettled e => run with { CostCredits = run.CostCredits + e.CostCredits },
            StageResultDropped e => run with { CostCredits = run.CostCredits + e.CostCredits },
            Domain.Capabilities.EffectConfirmed => run with { Effects = run.Effects + 1 },
            RunCancelRequested or RunTimedOut or BudgetExceeded => run with { Status = "stopping" },
            RunCompleted e => run with { Status = "completed", EndedAt = e.At, StagesUnderWay = 0 },
            RunFailed e => run with { Status = e.ErrorType == ErrorTypes.Timeout && e.Path is null ? "timed_out" : "failed", EndedAt = e.At, StagesUnderWay = 0, ErrorType = e.ErrorType, Error = e.Message, FailedStage = e.Path },
            RunCancelled e => run with { Status = "cancelled", EndedAt = e.At, StagesUnderWay = 0 },
            _ => run,
        };
    }

    private static RunSummary Ended(RunSummary run, int attempt) => attempt == 0 ? run : run with { StagesUnderWay = Math.Max(0, run.StagesUnderWay - 1) };
}

internal static class RunKeys
{
    public static IEnumerable<string> Of(RecordedEvent recorded) => recorded.Data is IRunEvent ? [recorded.StreamId.ToString()] : [];

    public static string Sort(DateTimeOffset at, string id) => $"{at.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffffff", System.Globalization.CultureInfo.InvariantCulture)} {id}";
}
