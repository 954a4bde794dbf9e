using System.Collections.Immutable;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Projections;

/// <param name="Response">What the run did about it, for example <c>Retry</c>.</param>
public sealed record TimelineError(int Attempt, string Type, string Message, string Response, DateTimeOffset At);

public sealed record TimelineEffect(string EffectId, string Capability, string Status, IReadOnlyList<string> Resources, DateTimeOffset At);

/// <param name="Status"><c>running waiting performing open recovering success fallback skipped failed cancelled recalled</c>.</param>
/// <param name="Note">Why it was skipped, which branch it took, how many items it has.</param>
public sealed record TimelineStage(
    string Path,
    string Status,
    DateTimeOffset StartedAt,
    DateTimeOffset? EndedAt = null,
    string? Kind = null,
    int Attempts = 0,
    decimal CostCredits = 0m,
    bool Untrusted = false,
    string? Model = null,
    string? Note = null,
    IReadOnlyList<TimelineError>? Errors = null,
    IReadOnlyList<TimelineEffect>? Effects = null);

/// <summary>One run in full. Past <see cref="RunTimeline.MaxStages"/> only the count goes on: a screen shows no more, the log has all.</summary>
public sealed record RunStory(
    string RunId,
    string Daemon,
    string Status,
    DateTimeOffset StartedAt,
    DateTimeOffset? EndedAt,
    string? Error,
    ImmutableList<TimelineStage> Stages,
    int StagesLeftOut);

/// <summary>A run's stages with times, attempts, errors, cost and effects, in the order in which they began.</summary>
public static class RunTimeline
{
    public const int MaxStages = 2_000;

    /// <summary>The run after one more event of its stream; null before the first. Folded when it is read: the stream is short, and most runs are never looked at.</summary>
    public static RunStory? Evolve(RunStory? run, RecordedEvent recorded)
    {
        if (recorded.Data is RunStarted started) { return new RunStory(recorded.StreamId.ToString(), started.Daemon, "running", started.At, null, null, [], 0); }
        if (run is null) { return null; }
        return recorded.Data switch
        {
            StagesRecalled e => run with { Stages = run.Stages.AddRange(e.Stages.Take(MaxStages).Select(s => new TimelineStage(s.Path, "recalled", e.At, e.At, Attempts: s.Attempt, Untrusted: s.Untrusted, Note: $"From run {e.Source}."))) },
            StageStarted e => With(run, e.Path, e.At, s => s with { Status = "running", Kind = e.Kind, Attempts = e.Attempt }),
            StageCompleted e => With(run, e.Path, e.At, s => s with
            {
                Status = e.By switch { CompletedBy.Itself => "success", CompletedBy.Fallback => "fallback", CompletedBy.OnError => "failed" },
                EndedAt = e.At,
                Untrusted = e.Untrusted,
                Model = e.Usage?.Model ?? s.Model,
            }),
            StageFailed e => With(run, e.Path, e.At, s => s with
            {
                Status = e.Response switch
                {
                    FailureResponse.Retry => "waiting",
                    FailureResponse.Fallback or FailureResponse.Handle => "recovering",
                    FailureResponse.Fail or FailureResponse.Continue or FailureResponse.Undo => "failed",
                },
                EndedAt = e.Response is FailureResponse.Fail or FailureResponse.Continue or FailureResponse.Undo ? e.At : null,
                Errors = [.. s.Errors ?? [], new TimelineError(e.Attempt, e.ErrorType, e.Message, e.Response.ToString(), e.At)],
            }),
            StageSkipped e => With(run, e.Path, e.At, s => s with { Status = "skipped", EndedAt = e.At, Note = e.Reason }),
            StageCancelled e => With(run, e.Path, e.At, s => s with { Status = "cancelled", EndedAt = e.At, Note = e.Reason }),
            BranchTaken e => With(run, e.Path, e.At, s => s with { Status = "open", Note = e.Branch }),
            ForeachExpanded e => With(run, e.Path, e.At, s => s with { Status = "open", Note = FormattableString.Invariant($"{e.Items.Count} items") }),
            VariablesSet e => With(run, e.Path, e.At, s => s with { Status = "success", EndedAt = e.At, Kind = "set", Untrusted = e.Untrusted }),
            DomainEventEmitted e => With(run, e.Path, e.At, s => s with { Status = "success", EndedAt = e.At, Kind = "emit", Note = e.Event, Untrusted = e.Untrusted }),
            BudgetSettled e => With(run, e.Path, e.At, s => s with { CostCredits = s.CostCredits + e.CostCredits }),
            StageResultDropped e => With(run, e.Path, e.At, s => s with { CostCredits = s.CostCredits + e.CostCredits }),
            EffectIntended e => With(run, e.Path, e.At, s => s with
            {
                Status = "performing",
                Effects = [.. s.Effects ?? [], new TimelineEffect(e.EffectId.ToString(), e.Capability, "intended", [.. e.Touches.Select(t => t.Resource)], e.At)],
            }),
            EffectConfirmed e => Effect(run, e.Path, e.EffectId, e.ReadBack ? "confirmed by reading back" : "confirmed", e.At),
            EffectFailed e => Effect(run, e.Path, e.EffectId, "failed", e.At),
            EffectUnknown e => Effect(run, e.Path, e.EffectId, "unknown", e.At),
            RunCancelRequested or RunTimedOut or BudgetExceeded => run with { Status = "stopping" },
            RunCompleted e => run with { Status = "completed", EndedAt = e.At },
            RunFailed e => run with { Status = "failed", EndedAt = e.At, Error = e.Message },
            RunCancelled e => run with { Status = "cancelled", EndedAt = e.At },
            _ => run,
        };
    }

    private static RunStory Effect(RunStory run, string path, EffectId id, string status, DateTimeOffset at) => With(run, path, at, s => s with
    {
        Effects = [.. (s.Effects ?? []).Select(e => e.EffectId == id.ToString() ? e with { Status = status, At = at } : e)],
    });

    // From the end: what changes is what began last.
    private static RunStory With(RunStory run, string path, DateTimeOffset at, Func<TimelineStage, TimelineStage> change)
    {
        var index = run.Stages.FindLastIndex(s => s.Path == path);
        if (index >= 0) { return run with { Stages = run.Stages.SetItem(index, change(run.Stages[index])) }; }
        return run.Stages.Count < MaxStages
            ? run with { Stages = run.Stages.Add(change(new TimelineStage(path, "running", at))) }
            : run with { StagesLeftOut = run.StagesLeftOut + 1 };
    }
}
