using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Domain.Inference;
using Platform.Messaging;

namespace Platform.Projections;

/// <summary>One thing that happened: who, what, when, why, and what it touched.</summary>
/// <param name="Who">The user behind it, or the run.</param>
/// <param name="What">One sentence.</param>
/// <param name="Because">The message that it was decided for.</param>
/// <param name="Story">The first command of it all.</param>
public sealed record AuditEntry(
    string Id, long Position, DateTimeOffset At, string Who, string What, string Event, string Stream, string? Because, string? Story, IReadOnlyList<string> Resources);

/// <summary>Everything that happened, in plain English: one entry an event, made when it is read, since the event has all of it.</summary>
public static class AuditTrail
{
    public static AuditEntry Entry(RecordedEvent recorded) => new(
        recorded.Id.ToString(),
        recorded.Position,
        recorded.Timestamp,
        recorded.Metadata.User ?? Starter(recorded.Data) ?? $"run {recorded.StreamId}",
        Sentence(recorded.Data),
        recorded.Alias,
        recorded.StreamId.ToString(),
        recorded.Metadata.CausationId,
        recorded.Metadata.CorrelationId,
        Resources(recorded.Data));

    private static string? Starter(object fact) => fact switch { RunStarted e => e.StartedBy, RunCancelRequested e => e.RequestedBy, UndoRequested e => e.RequestedBy, ModelImported e => e.ImportedBy, ModelRemoved e => e.RemovedBy, _ => null };

    /// <summary>What an event says, as a sentence.</summary>
    public static string Sentence(object fact) => fact switch
    {
        RunStarted { ForkedFrom: { } source } e => $"Started '{e.Daemon}' anew from stage '{source.Stage}' of run {source.RunId}.",
        RunStarted e => $"Started '{e.Daemon}'{(e.DaemonVersion is null ? "" : $" {e.DaemonVersion}")}.",
        StagesRecalled e => Invariant($"Took over the outcomes of {e.Settled} stages from run {e.Source}."),
        StageStarted { Attempt: 1 } e => $"Began the {e.Kind} stage '{e.Path}'.",
        StageStarted e => Invariant($"Began attempt {e.Attempt} at the {e.Kind} stage '{e.Path}'."),
        StageCompleted e => $"Completed stage '{e.Path}'{e.By switch { CompletedBy.Itself => "", CompletedBy.Fallback => " by its fallback", CompletedBy.OnError => " by its error handling" }}.",
        StageFailed { Response: FailureResponse.Retry } e => Invariant($"Attempt {e.Attempt} at stage '{e.Path}' failed ({e.ErrorType}: {e.Message}); the next one follows after {e.RetryAfter}."),
        StageFailed e => $"Stage '{e.Path}' failed ({e.ErrorType}: {e.Message}); the answer to it is to {e.Response switch
        {
            FailureResponse.Fail => "fail",
            FailureResponse.Retry => "try again",
            FailureResponse.Fallback => "run its fallback",
            FailureResponse.Continue => "go on without it",
            FailureResponse.Handle => "run its error handling",
            FailureResponse.Undo => "fail and undo",
        }}.",
        StageSkipped e => $"Skipped stage '{e.Path}': {e.Reason}",
        StageCancelled e => $"Gave up stage '{e.Path}': {e.Reason}",
        StageResultDropped e => Invariant($"Dropped a late answer of stage '{e.Path}', which cost {e.CostCredits} credits."),
        BranchTaken e => $"Took the branch '{e.Branch}' of '{e.Path}'.",
        ForeachExpanded e => Invariant($"Found {e.Items.Count} items for '{e.Path}'."),
        ItemCompleted e => $"Completed item '{e.Path}'.",
        ItemFailed e => $"Item '{e.Path}' failed ({e.ErrorType}: {e.Message}).",
        VariablesSet e => $"Set {string.Join(", ", e.Values.Keys.Order(StringComparer.Ordinal))}.",
        DomainEventEmitted e => $"Said that '{e.Event}' happened.",
        BudgetReserved e => Invariant($"Set {e.Credits} credits aside for stage '{e.Path}'."),
        BudgetSettled e => Invariant($"Spent {e.CostCredits} of {e.ReservedCredits} credits set aside for stage '{e.Path}'."),
        BudgetExceeded e => Invariant($"Stopped at stage '{e.Path}': the budget of {e.Kind} is used up ({e.Wanted} wanted, {e.Available} left)."),
        EffectIntended e => $"Is about to do {e.Capability} on {List(e.Touches)}.",
        EffectConfirmed { ReadBack: true } e => $"Found that the effect on {List(e.Touches)} had happened.",
        EffectConfirmed e => $"Did it: {List(e.Touches)}.",
        EffectFailed e => $"The effect of stage '{e.Path}' did not happen ({e.ErrorType}: {e.Message}).",
        EffectUnknown e => $"Nobody can say whether the effect of stage '{e.Path}' happened: {e.Detail}",
        RunOutcomeDecided e => $"The run is going to end as {e.Outcome switch { RunOutcome.Completed => "completed", RunOutcome.Failed => "failed", RunOutcome.TimedOut => "timed out", RunOutcome.Cancelled => "cancelled" }}.",
        RunCancelRequested e => $"Asked to cancel the run: {e.Reason}",
        RunTimedOut e => Invariant($"The run took longer than {e.Limit}."),
        RunCompleted e => Invariant($"Completed the run for {e.CostCredits} credits."),
        RunFailed e => $"The run failed ({e.ErrorType}: {e.Message}).",
        RunCancelled => "The run was cancelled.",
        UndoRequested e => Invariant($"Asked to undo {e.Plan.Lines.Count(line => line.ChangesTheWorld)} effects."),
        EffectUndoIntended e => $"Is about to do {e.Capability} on {List(e.Touches)}, to undo effect {e.EffectId}.",
        EffectUndone e => $"{(e.Stands ? "Did effect" : "Undid effect")} {e.EffectId}{(e.Stands ? " again" : "")} ({(e.Verification == Verification.Verified ? "verified" : "not verified")}): {List(e.Touches)}.",
        EffectUndoSkipped e => $"Nothing to undo of effect {e.EffectId}: {e.Because}",
        EffectUndoRefused e => $"Refused to undo effect {e.EffectId}: {e.Because}",
        UndoCompleted e => Invariant($"Ended the undo: {e.Undone} undone, {e.Skipped} skipped, {e.Refused} refused."),
        ModelImported e => Invariant($"Took in the model '{e.Name}' from {e.Source}: {e.Files.Count} files, sha256 {e.ContentHash}."),
        DeviceSetAside e => $"Set the device {e.Device} ({e.DeviceName}) aside, which failed while it ran the model '{e.Model}' ({e.Failure}: {e.Reason}); the CPU runs it now.",
        ModelRemoved e => $"Took out the model '{e.Name}', sha256 {e.ContentHash}.",
        _ => throw new ArgumentException($"There is no sentence for {fact.GetType().Name}.", nameof(fact)),
    };

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    private static string List(IReadOnlyList<Touch> touches) => touches.Count switch
    {
        0 => "nothing",
        <= 3 => string.Join(", ", touches.Select(t => t.Resource)),
        _ => Invariant($"{touches[0].Resource} and {touches.Count - 1} more"),
    };

    private static IReadOnlyList<string> Resources(object fact) => fact switch
    {
        EffectIntended e => [.. e.Touches.Select(t => t.Resource)],
        EffectConfirmed e => [.. e.Touches.Select(t => t.Resource)],
        EffectUndoIntended e => [.. e.Touches.Select(t => t.Resource)],
        EffectUndone e => [.. e.Touches.Select(t => t.Resource)],
        EffectUndoRefused { Resource: { } resource } => [resource],
        StageCompleted { Touches: { } touches } => [.. touches.Select(t => t.Resource)],
        _ => [],
    };
}
