using System.Text.Json;
using Platform.Domain.Daemons.Expressions;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>Runs a daemon again from one of its stages on, with the outcomes that another run recorded before it. Effects before it are not repeated.</summary>
/// <param name="FromStage">The id of one of the daemon's own stages, not of one within another.</param>
/// <param name="Daemon">A changed file, for example a mended one; null: the source's.</param>
public sealed record ForkRun([property: StreamId] RunId RunId, RunId Source, string FromStage, string StartedBy, string? Daemon = null);

/// <summary>A stage whose outcome was taken over.</summary>
public sealed record RecalledStage(
    string Path,
    StageStatus Status,
    int Attempt,
    JsonElement? Output,
    bool Untrusted,
    string? ErrorType,
    string? Message);

/// <summary>A name that was taken over.</summary>
public sealed record RecalledValue(string Name, JsonElement Value, bool Untrusted);

/// <summary>Outcomes of another run were taken over: what happened before the fork is not repeated.</summary>
/// <param name="Settled">How many of the daemon's own stages are done with.</param>
public sealed record StagesRecalled(
    RunId Source,
    int Settled,
    IReadOnlyList<RecalledStage> Stages,
    IReadOnlyList<RecalledValue> Values,
    JsonElement? LastOutput,
    bool LastUntrusted,
    DateTimeOffset At) : IRunEvent;

/// <summary>How the new run begins, but for its moment, or why it cannot.</summary>
public sealed record ForkPoint(RunStarted? Started, StagesRecalled? Recalled, Problem? Problem)
{
    /// <summary>Folds the source's events as far as the stage's turn.</summary>
    public static ForkPoint Of(ForkRun command, IEnumerable<IRunEvent> events)
    {
        Run? run = null;
        var text = command.Daemon;
        IReadOnlyList<Stage>? stages = null;
        var at = -1;
        foreach (var fact in events)
        {
            if (run is null && fact is RunStarted started)
            {
                stages = DaemonDefinitions.Of(text ?? started.DaemonText).Stages;
                at = stages.ToList().FindIndex(s => s.Id == command.FromStage);
                if (at < 0) { return new ForkPoint(null, null, new Problem("run.no-such-stage", $"The daemon '{started.Daemon}' has no stage '{command.FromStage}' of its own.")); }
                var before = DaemonDefinitions.Of(started).Stages;
                if (before.Count < at || !before.Take(at).Select(s => s.Id).SequenceEqual(stages.Take(at).Select(s => s.Id)))
                {
                    return new ForkPoint(null, null, new Problem("run.fork-differs", $"Before '{command.FromStage}' the changed daemon has other stages than the run: their outcomes cannot be taken over."));
                }
            }

            run = Run.Evolve(run, fact);
            if (run.Block(StagePath.Root).Settled == at) { break; }
        }

        if (run is null) { return new ForkPoint(null, null, new Problem("run.not-found", $"There is no run {command.Source}.", 404)); }
        if (run.Block(StagePath.Root) is var block && block.Settled != at)
        {
            return new ForkPoint(null, null, new Problem("run.not-reached", $"The run {command.Source} never came to '{command.FromStage}'.", 409));
        }

        var daemon = DaemonDefinitions.Of(text ?? run.Started.DaemonText);
        JsonElement vars;
        Capabilities.Grant grant;
        try { (vars, grant) = RunPreparation.Of(daemon, run.Started.Inputs); }
        catch (ExpressionException wrong) { return new ForkPoint(null, null, new Problem("daemon.expression", $"The daemon's variables or permissions cannot be evaluated: {wrong.Message}")); }

        var scope = run.Scopes[StagePath.Root];
        return new ForkPoint(
            run.Started with
            {
                RunId = command.RunId,
                Daemon = daemon.Name,
                DaemonVersion = daemon.Version,
                DaemonHash = daemon.Hash,
                DaemonText = text ?? run.Started.DaemonText,
                Vars = vars,
                Grant = grant,
                StartedBy = command.StartedBy,
                Budget = RunBudget.Of(daemon, run.Started.PriceBook),
                ForkedFrom = new RunFork(command.Source, command.FromStage),
            },
            new StagesRecalled(
                command.Source,
                block.Settled,
                [.. scope.Stages.Where(s => s.Value.IsSettled).OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => new RecalledStage(s.Key, s.Value.Status, s.Value.Attempt, s.Value.Output, s.Value.Untrusted, s.Value.Error?.Type, s.Value.Error?.Message))],
                [.. scope.Values.OrderBy(v => v.Key, StringComparer.Ordinal).Select(v => new RecalledValue(v.Key, v.Value.Value, v.Value.Untrusted))],
                block.LastOutput,
                block.LastUntrusted,
                default),
            null);
    }
}

public static class ForkRunHandler
{
    public static Problem? Validate(ForkRun command)
    {
        if (command.Daemon is not { } text) { return null; }
        if (text.Length > StartRunHandler.MaxDaemonCharacters) { return new Problem("daemon.too-large", FormattableString.Invariant($"The daemon's file has {text.Length} characters, at most {StartRunHandler.MaxDaemonCharacters} are allowed.")); }
        var parsed = DaemonParser.Parse(text);
        return parsed.HasErrors || parsed.Definition is null
            ? new Problem("daemon.invalid", string.Join("\n", parsed.Diagnostics.Where(d => d.Severity == Severity.Error).Take(10)))
            : null;
    }

    public static async Task<ForkPoint> LoadAsync(ForkRun command, TenantId tenant, IEventStreams streams, CancellationToken cancellation)
    {
        var events = new List<IRunEvent>();
        await foreach (var recorded in streams.Fetch(tenant, command.Source.Value, cancellation: cancellation))
        {
            if (recorded.Data is IRunEvent fact) { events.Add(fact); }
        }

        // Only the source's events tell: the caller hears it as a refusal, and nothing is recorded.
        var point = ForkPoint.Of(command, events);
        return point.Problem is { } problem ? throw new ProblemException(problem) : point;
    }

    public static (Events, OutgoingMessages) Handle(ForkRun command, Run? run, ForkPoint point, DateTimeOffset now)
    {
        if (run is not null || point.Started is not { } started || point.Recalled is not { } recalled) { return ([], []); }

        return Interpreter.Begin(started with { At = now }, recalled with { At = now }, DaemonDefinitions.Of(started));
    }
}
