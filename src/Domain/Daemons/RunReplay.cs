using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Platform.Domain.Capabilities;

namespace Platform.Domain.Daemons;

/// <summary>Where a log and the program disagree.</summary>
/// <param name="Index">Of the event in the log, from 0.</param>
/// <param name="Recorded">Null: the program expects one more event.</param>
/// <param name="Derived">Null: the program would not have recorded this one.</param>
public sealed record ReplayDifference(int Index, string? Recorded, string? Derived);

/// <param name="Difference">Null: every derived event came out byte for byte as recorded.</param>
public sealed record ReplayResult(Run? Run, int Events, int Decisions, ReplayDifference? Difference);

/// <summary>
/// Plays a run again: what came from outside (starts, answers, effects, requests, clocks) is taken from the log, everything else is
/// decided anew and must come out as recorded.
/// </summary>
public static class RunReplay
{
    public static ReplayResult Verify(IReadOnlyList<IRunEvent> events)
    {
        Run? run = null;
        var at = 0;
        var decisions = 0;
        while (at < events.Count)
        {
            var derived = Decide(run, events, at);
            decisions++;
            for (var i = 0; i < Math.Max(derived.Count, 1); i++)
            {
                var recorded = at + i < events.Count ? Text(events[at + i]) : null;
                var expected = i < derived.Count ? Text((IRunEvent)derived[i]) : null;
                if (recorded != expected) { return new ReplayResult(run, at + i, decisions, new ReplayDifference(at + i, recorded, expected)); }
                run = Run.Evolve(run, events[at + i]);
            }

            at += derived.Count;
        }

        return new ReplayResult(run, at, decisions, null);
    }

    private static Platform.Messaging.Events Decide(Run? run, IReadOnlyList<IRunEvent> events, int at)
    {
        var first = events[at];
        if (run is null)
        {
            return first is RunStarted started
                ? Interpreter.Begin(started, started.ForkedFrom is null ? null : events.ElementAtOrDefault(at + 1) as StagesRecalled, DaemonDefinitions.Of(started)).Events
                : [];
        }

        var daemon = DaemonDefinitions.Of(run);
        return (first switch
        {
            StageCompleted e when IsAnswer(run, e.Path, e.Attempt) =>
                Interpreter.Report(run, daemon, e.Path, e.Attempt, new StageOutcome.Success(e.Raw ?? e.Output ?? CanonicalJson.Null, e.CostCredits, Given(e), e.Usage, e.Touches), e.At),
            StageFailed e when IsAnswer(run, e.Path, e.Attempt) =>
                Interpreter.Report(run, daemon, e.Path, e.Attempt, new StageOutcome.Failure(e.ErrorType, e.Message, e.CostCredits, e.Usage, e.RetryAfter is null, e.Raw), e.At),
            EffectIntended e => Interpreter.Report(
                run, daemon, e.Path, e.Attempt, new StageOutcome.Planned(e.Capability, e.CapabilityVersion, e.Class, e.Kind, e.IdempotencyKey, e.Arguments, new EffectPlan(e.Touches, e.Inverse), e.Untrusted), e.At),
            EffectConfirmed e => Interpreter.Report(run, daemon, e.EffectId, e.Path, new EffectOutcome.Confirmed(new EffectResult(e.Result, e.Touches), e.ReadBack), e.At),
            EffectFailed e => Interpreter.Report(run, daemon, e.EffectId, e.Path, new EffectOutcome.Failed(e.ErrorType, e.Message), e.At),
            EffectUnknown e => Interpreter.Report(run, daemon, e.EffectId, e.Path, new EffectOutcome.Unknown(e.Detail), e.At),
            StageResultDropped e => Interpreter.Report(run, daemon, e.Path, e.Attempt, new StageOutcome.Success(CanonicalJson.Null, e.CostCredits, false, e.Usage), e.At),
            StageStarted e when run.Stage(e.Path) is { Status: StageStatus.Waiting } => Interpreter.Retry(run, daemon, e.Path, e.Attempt - 1, e.At),
            BudgetExceeded e when run.Stage(e.Path) is { Status: StageStatus.Waiting } waiting => Interpreter.Retry(run, daemon, e.Path, waiting.Attempt, e.At),
            StageFailed e when run.Stage(e.Path) is { Status: StageStatus.Waiting } waiting => Interpreter.Retry(run, daemon, e.Path, waiting.Attempt, e.At),
            RunCancelRequested or RunTimedOut => Interpreter.Stop(run, daemon, first, first.At),

            // Nothing came from outside: a large decision went on.
            _ => Interpreter.Advance(run, daemon, first.At),
        }).Events;
    }

    private static bool IsAnswer(Run run, string path, int attempt) => run.Stage(path) is { Status: StageStatus.Running } state && state.Attempt == attempt;

    // Reshaping reads other values too, and adds their taint; the answer's own is what is left when nothing was reshaped.
    private static bool Given(StageCompleted completed) => completed.Untrusted;

    private static string Text(IRunEvent fact)
    {
        var type = fact.GetType();
        var element = JsonSerializer.SerializeToElement(fact, (JsonTypeInfo)DaemonsJson.Default.GetTypeInfo(type)!);
        return $"{type.Name} {Encoding.UTF8.GetString(CanonicalJson.Bytes(element))}";
    }
}
