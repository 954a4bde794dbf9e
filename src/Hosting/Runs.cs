using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Domain.Daemons.Format;
using Platform.EventStore.Projections;
using Platform.Messaging;
using Platform.Projections;

namespace Platform.Hosting;

/// <summary>A daemon's file, checked.</summary>
public sealed record CheckedDaemon(DaemonDefinition? Definition, IReadOnlyList<Diagnostic> Diagnostics)
{
    public bool Sound => Definition is not null && Diagnostics.All(d => d.Severity != Severity.Error);

    /// <exception cref="ProblemException">It has errors.</exception>
    public DaemonDefinition Require() => Sound
        ? Definition!
        : throw new ProblemException(new Problem("daemon.invalid", string.Join("\n", Diagnostics.Where(d => d.Severity == Severity.Error))));
}

/// <summary>A run that a command began.</summary>
/// <param name="Repeated">The command id had started it before.</param>
/// <param name="Messages">What follows, for a host that sends messages on itself.</param>
public sealed record StartedRun(RunId Run, bool Repeated, IReadOnlyList<Guid> Messages);

/// <summary>An undo that a command began.</summary>
/// <param name="Messages">What follows, for a host that sends messages on itself.</param>
public sealed record StartedUndo(UndoId Undo, IReadOnlyList<Guid> Messages);

/// <summary>What people do with runs, the same for the command line and for HTTP.</summary>
public sealed class Runs(Node node)
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(500);

    /// <summary>Checks a daemon against the capabilities and agents of this installation.</summary>
    public CheckedDaemon Check(string yaml)
    {
        var parsed = DaemonParser.Parse(yaml);
        return new CheckedDaemon(parsed.Definition, DaemonChecker.Check(parsed, ContextOf(node.Capabilities.All)));
    }

    /// <summary>What the checker needs to know of an installation.</summary>
    public static CheckContext ContextOf(IReadOnlyList<CapabilityDescriptor> capabilities) => new(capabilities, ["local", "local/extractive"])
    {
        AgentCreditsPer1000Characters = PriceBook.Current.AgentPer1000Characters,
        CreditsPerUsd = PriceBook.Current.CreditsPerUsd,
    };

    /// <summary>Checks, binds the inputs and starts. Returns when the start is durable.</summary>
    /// <param name="text">Inputs as text, by name; converted to their declared types.</param>
    /// <param name="commandId">The same id with the same request starts nothing again.</param>
    /// <exception cref="ProblemException"/>
    public async Task<StartedRun> Start(
        TenantId tenant, string yaml, JsonElement? json, IReadOnlyList<KeyValuePair<string, string>>? text, string startedBy, IReadOnlyList<string>? approvals, string? commandId, CancellationToken cancellation)
    {
        var daemon = Check(yaml).Require();
        var bound = InputBinding.Bind(daemon.Inputs, json, text);
        if (bound.Problems.Count > 0)
        {
            throw new ProblemException(bound.Problems.Count == 1 ? bound.Problems[0] : new Problem("inputs.invalid", string.Join("\n", bound.Problems.Select(p => p.Detail))));
        }

        var run = RunId.From(NewId(tenant, commandId));
        var answer = await node.Bus.Invoke(new StartRun(run, yaml, bound.Values!.Value, startedBy, approvals), new InvokeOptions(tenant, commandId, startedBy), cancellation);
        return new StartedRun(RunId.From(answer.StreamId), answer.Repeated, answer.Messages);
    }

    /// <exception cref="ProblemException">There is no such run.</exception>
    public async Task<Run> Get(TenantId tenant, RunId run, CancellationToken cancellation) =>
        (await node.Store.Load(tenant, run.Value, Domain.Folds.Run, cancellation)).State
        ?? throw new ProblemException(new Problem("run.not-found", $"There is no run {run}.", 404));

    /// <summary>The public JSON of a run as its events tell it now, without waiting for a projection.</summary>
    /// <exception cref="ProblemException">There is no such run.</exception>
    public async Task<JsonObject> Read(TenantId tenant, RunId run, CancellationToken cancellation)
    {
        var fold = new RunFold();
        await foreach (var recorded in node.Store.Fetch(tenant, run.Value, cancellation: cancellation)) { fold.Add(recorded); }
        return fold.Json() ?? throw new ProblemException(new Problem("run.not-found", $"There is no run {run}.", 404));
    }

    /// <returns>Ids of the messages that follow, for a host that sends them on itself.</returns>
    public async Task<IReadOnlyList<Guid>> Cancel(TenantId tenant, RunId run, string by, string reason, CancellationToken cancellation) =>
        (await node.Bus.Invoke(new CancelRun(run, by, reason), new InvokeOptions(tenant, User: by), cancellation)).Messages;

    /// <param name="yaml">A changed daemon; null: the source's.</param>
    public async Task<RunId> Fork(TenantId tenant, RunId source, string stage, string? yaml, string by, CancellationToken cancellation) =>
        (await Fork(tenant, source, stage, yaml, by, null, cancellation)).Run;

    /// <param name="yaml">A changed daemon; null: the source's.</param>
    /// <param name="commandId">The same id with the same request begins nothing again.</param>
    public async Task<StartedRun> Fork(TenantId tenant, RunId source, string stage, string? yaml, string by, string? commandId, CancellationToken cancellation)
    {
        if (yaml is not null) { Check(yaml).Require(); }
        var run = RunId.From(NewId(tenant, commandId));
        var answer = await node.Bus.Invoke(new ForkRun(run, source, stage, by, yaml), new InvokeOptions(tenant, commandId, by), cancellation);
        return new StartedRun(RunId.From(answer.StreamId), answer.Repeated, answer.Messages);
    }

    /// <summary>What an undo would do. Nothing is done.</summary>
    /// <param name="by">Who asks, as for <see cref="UndoPlanner.Plan"/>: the plan of an undo is the one made for its asker.</param>
    /// <exception cref="ProblemException">The selection is none, or there is no such run.</exception>
    public async Task<UndoPlan> PlanUndo(TenantId tenant, UndoSelection selection, CancellationToken cancellation, string? by = null)
    {
        if (selection.Validate() is { } problem) { throw new ProblemException(problem); }
        if (selection.Run is { } run) { await Get(tenant, run, cancellation); }
        return UndoPlanner.Plan(selection, by, await node.Effects.Around(tenant, selection, cancellation));
    }

    /// <summary>Begins an undo; it is planned anew as the world stands then.</summary>
    /// <param name="planHash"><see cref="UndoPlan.Hash"/> of the plan that was shown; null: none was.</param>
    /// <exception cref="ProblemException"><c>undo.plan-changed</c>: another plan would be carried out than was shown. Or there is no such run.</exception>
    public async Task<StartedUndo> Undo(TenantId tenant, UndoSelection selection, string by, string? commandId, CancellationToken cancellation, string? planHash = null)
    {
        if (selection.Run is { } run) { await Get(tenant, run, cancellation); }
        var undo = UndoId.From(commandId is null ? Guid.CreateVersion7(node.Options.Time.GetUtcNow()) : DeterministicId.Of(Scope(tenant), $"undo:{commandId}"));
        var answer = await node.Bus.Invoke(new RequestUndo(undo, selection, by, planHash), new InvokeOptions(tenant, commandId, by), cancellation);
        return new StartedUndo(UndoId.From(answer.StreamId), answer.Messages);
    }

    /// <summary>How far undo reaches in all that a tenant did. Reads the whole log.</summary>
    public async Task<UndoFigures> UndoFigures(TenantId tenant, CancellationToken cancellation)
    {
        var committed = await node.Store.CommittedEvents(cancellation);
        await node.Store.WaitBeyond(committed - 1, cancellation);
        var figures = Domain.Capabilities.Undoing.UndoFigures.None;
        await foreach (var recorded in node.Store.FetchAll(tenant, 0, (int)Math.Min(committed, int.MaxValue), cancellation)) { figures = figures.Apply(recorded); }
        return figures;
    }

    /// <summary>The public JSON of an undo as its events tell it now.</summary>
    /// <exception cref="ProblemException">There is no such undo.</exception>
    public async Task<JsonObject> ReadUndo(TenantId tenant, UndoId undo, CancellationToken cancellation)
    {
        var fold = new UndoFold();
        await foreach (var recorded in node.Store.Fetch(tenant, undo.Value, cancellation: cancellation)) { fold.Add(recorded); }
        return fold.Json() ?? throw new ProblemException(new Problem("undo.not-found", $"There is no undo {undo}.", 404));
    }

    public async Task<ReplayResult> Replay(TenantId tenant, RunId run, CancellationToken cancellation)
    {
        var events = new List<IRunEvent>();
        await foreach (var recorded in node.Store.Fetch(tenant, run.Value, cancellation: cancellation))
        {
            if (recorded.Data is IRunEvent fact) { events.Add(fact); }
        }

        return events.Count > 0 ? RunReplay.Verify(events) : throw new ProblemException(new Problem("run.not-found", $"There is no run {run}.", 404));
    }

    /// <summary>Events of a run or an undo, those there are and those to come, until it has ended.</summary>
    public IAsyncEnumerable<RecordedEvent> Follow(TenantId tenant, Guid stream, CancellationToken cancellation) => Follow(tenant, stream, 0, cancellation);

    /// <param name="after">The version to go on after.</param>
    public async IAsyncEnumerable<RecordedEvent> Follow(TenantId tenant, Guid stream, long after, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var appended = node.Store.Listen(tenant, stream);
        for (var next = after + 1; ;)
        {
            await foreach (var recorded in node.Store.Fetch(tenant, stream, next, cancellation: cancellation))
            {
                next = recorded.Version + 1;
                yield return recorded;
                if (IsEnd(recorded)) { yield break; }
            }

            // Another node may be the one that works on it: its commits are not heard here.
            await appended.Next(Look, cancellation);
        }
    }

    /// <summary>Nothing of weight follows in the stream of a run or an undo.</summary>
    public static bool IsEnd(RecordedEvent recorded) => recorded.Data is RunCompleted or RunFailed or RunCancelled or UndoCompleted;

    /// <summary>Runs, newest first.</summary>
    /// <param name="status">As <see cref="RunSummary.Status"/>; null: any.</param>
    /// <param name="startedFrom">Only runs that began at this moment or later.</param>
    /// <param name="startedTo">Only runs that began before this moment.</param>
    public Task<DocumentPage<RunSummary>> List(
        TenantId tenant, string? status, string? daemon, DocumentCursor? after, int limit, CancellationToken cancellation, DateTimeOffset? startedFrom = null, DateTimeOffset? startedTo = null)
    {
        var filter = new Dictionary<string, string>();
        if (status is not null) { filter["Status"] = status; }
        if (daemon is not null) { filter["Daemon"] = daemon; }
        return node.Documents.Query(RunList.Projection, tenant, filter.Count == 0 ? null : JsonSerializer.Serialize(filter, HostingJson.Default.DictionaryStringString), after, limit, newestFirst: true, startedFrom is { } from ? RunList.SortKeyAt(from) : null, startedTo is { } to ? RunList.SortKeyAt(to) : null, cancellation);
    }

    /// <summary>The place of a run in the list.</summary>
    /// <exception cref="ProblemException">There is no such run.</exception>
    public async Task<DocumentCursor> Cursor(TenantId tenant, RunId run, CancellationToken cancellation) =>
        await node.Documents.Get(RunList.Projection, tenant, run.ToString(), cancellation) is { } summary
            ? new DocumentCursor(RunList.Projection.SortKey(summary), summary.RunId)
            : throw new ProblemException(new Problem("run.not-found", $"There is no run {run}.", 404));

    /// <summary>Waits until the read models that follow the log have seen everything that is committed now. The list of runs has, always.</summary>
    public async Task CatchUp(CancellationToken cancellation)
    {
        var last = await node.Store.CommittedEvents(cancellation);
        await node.Store.WaitBeyond(last - 1, cancellation);
        foreach (var projection in Node.Projections) { await node.ProjectionRunner!.WaitFor(projection.Name, last, cancellation); }
    }

    /// <summary>A command id stands for one run: the same request again must be the same command, so its run id is derived from it.</summary>
    private Guid NewId(TenantId tenant, string? commandId) =>
        commandId is null ? Guid.CreateVersion7(node.Options.Time.GetUtcNow()) : DeterministicId.Of(Scope(tenant), $"run:{commandId}");

    private static Guid Scope(TenantId tenant) => DeterministicId.Of(new Guid("6a1f6b1e-3a53-4d0c-9d11-5f3a4c1d7a10"), tenant.Value);
}

[System.Text.Json.Serialization.JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class HostingJson : System.Text.Json.Serialization.JsonSerializerContext;
