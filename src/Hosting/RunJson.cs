using System.Globalization;
using System.Text.Json.Nodes;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;
using Platform.Projections;

namespace Platform.Hosting;

/// <summary>The public JSON of runs, the same on the command line and over HTTP: camelCase names, RFC 3339 times in UTC, credits as decimals.</summary>
public static class RunJson
{
    public static JsonObject Summary(RunSummary run) => Clean(new JsonObject
    {
        ["id"] = run.RunId,
        ["daemon"] = run.Daemon,
        ["daemonVersion"] = run.DaemonVersion,
        ["status"] = run.Status,
        ["startedBy"] = run.StartedBy,
        ["startedAt"] = Time(run.StartedAt),
        ["endedAt"] = run.EndedAt is { } ended ? Time(ended) : null,
        ["costCredits"] = run.CostCredits,
        ["stages"] = new JsonObject { ["done"] = run.StagesDone, ["failed"] = run.StagesFailed, ["skipped"] = run.StagesSkipped, ["underWay"] = run.StagesUnderWay },
        ["items"] = new JsonObject { ["done"] = run.ItemsDone, ["total"] = run.ItemsTotal },
        ["effects"] = run.Effects,
        ["error"] = run.Error is null ? null : new JsonObject { ["type"] = run.ErrorType, ["message"] = run.Error, ["stage"] = run.FailedStage },
        ["forkedFrom"] = run.ForkedFrom,
    });

    public static JsonObject Story(RunStory run, RunSummary summary)
    {
        var stages = new JsonArray();
        foreach (var stage in run.Stages)
        {
            stages.Add((JsonNode)Clean(new JsonObject
            {
                ["path"] = stage.Path,
                ["kind"] = stage.Kind,
                ["status"] = stage.Status,
                ["startedAt"] = Time(stage.StartedAt),
                ["endedAt"] = stage.EndedAt is { } ended ? Time(ended) : null,
                ["attempts"] = stage.Attempts,
                ["costCredits"] = stage.CostCredits,
                ["model"] = stage.Model,
                ["untrusted"] = stage.Untrusted ? true : null,
                ["note"] = stage.Note,
                ["errors"] = stage.Errors is { Count: > 0 } errors ? new JsonArray([.. errors.Select(e => (JsonNode)new JsonObject { ["attempt"] = e.Attempt, ["type"] = e.Type, ["message"] = e.Message, ["at"] = Time(e.At) })]) : null,
                ["effects"] = stage.Effects is { Count: > 0 } effects ? new JsonArray([.. effects.Select(e => (JsonNode)new JsonObject { ["id"] = e.EffectId, ["capability"] = e.Capability, ["status"] = e.Status, ["resources"] = new JsonArray([.. e.Resources.Select(r => (JsonNode)r)]) })]) : null,
            }));
        }

        var whole = Summary(summary);
        whole["timeline"] = stages;
        if (run.StagesLeftOut > 0) { whole["stagesLeftOut"] = run.StagesLeftOut; }
        return whole;
    }

    /// <summary>What a run gave, by name.</summary>
    public static JsonObject Outputs(RunCompleted completed) =>
        new([.. completed.Outputs.Select(output => new KeyValuePair<string, JsonNode?>(output.Key, JsonNode.Parse(output.Value.GetRawText())))]);

    /// <summary>The lines of an undo's plan, in the order in which they are carried out.</summary>
    public static JsonArray Plan(UndoPlan plan) => new([.. plan.Lines.OrderBy(l => l.Order).Select(line => (JsonNode)new JsonObject
    {
        ["effect"] = line.EffectId.ToString(),
        ["run"] = line.RunId.ToString(),
        ["stage"] = line.StagePath,
        ["capability"] = line.Capability,
        ["verdict"] = line.Verdict.Word(),
        ["because"] = line.Because,
        ["order"] = line.Order,
        ["resources"] = new JsonArray([.. line.Resources.Select(r => (JsonNode)r)]),
    })]);

    public static JsonObject Replay(RunId run, ReplayResult result) => Clean(new JsonObject
    {
        ["run"] = run.ToString(),
        ["same"] = result.Difference is null,
        ["events"] = result.Events,
        ["decisions"] = result.Decisions,
        ["difference"] = result.Difference is { } difference ? new JsonObject { ["index"] = difference.Index, ["recorded"] = difference.Recorded, ["derived"] = difference.Derived } : null,
    });

    /// <summary>What checking a daemon found.</summary>
    public static JsonObject Check(CheckedDaemon daemon) => Clean(new JsonObject
    {
        ["sound"] = daemon.Sound,
        ["name"] = daemon.Definition?.Name,
        ["version"] = daemon.Definition?.Version,
        ["stages"] = daemon.Definition is { } definition ? StageTree.All(definition).Count() : null,
        ["diagnostics"] = Diagnostics(daemon),
    });

    public static JsonArray Diagnostics(CheckedDaemon daemon) => new([.. daemon.Diagnostics.Select(d => (JsonNode)Diagnostic(d))]);

    /// <summary>An event of the log, its data as stored.</summary>
    public static JsonObject Event(RecordedEvent recorded, EventTypes types) => Clean(new JsonObject
    {
        ["position"] = recorded.Position == 0 ? null : recorded.Position,
        ["id"] = recorded.Id,
        ["stream"] = recorded.StreamId,
        ["streamType"] = recorded.StreamType,
        ["version"] = recorded.Version,
        ["type"] = recorded.Alias,
        ["at"] = Time(recorded.Timestamp),
        ["user"] = recorded.Metadata.User,
        ["correlationId"] = recorded.Metadata.CorrelationId,
        ["causationId"] = recorded.Metadata.CausationId,
        ["data"] = System.Text.Json.JsonSerializer.SerializeToNode(recorded.Data, types.Of(recorded.Data).Json),
    });

    public static JsonObject Entry(AuditEntry entry) => Clean(new JsonObject
    {
        ["id"] = entry.Id,
        ["position"] = entry.Position == 0 ? null : entry.Position,
        ["at"] = Time(entry.At),
        ["who"] = entry.Who,
        ["what"] = entry.What,
        ["event"] = entry.Event,
        ["stream"] = entry.Stream,
        ["because"] = entry.Because,
        ["story"] = entry.Story,
        ["resources"] = entry.Resources.Count == 0 ? null : new JsonArray([.. entry.Resources.Select(r => (JsonNode)r)]),
    });

    public static JsonObject Diagnostic(Diagnostic diagnostic) => Clean(new JsonObject
    {
        ["severity"] = diagnostic.Severity == Severity.Error ? "error" : "warning",
        ["code"] = diagnostic.Code,
        ["message"] = diagnostic.Message,
        ["line"] = diagnostic.Location.Line,
        ["column"] = diagnostic.Location.Column,
        ["fix"] = diagnostic.Fix,
    });

    /// <summary>Folds a run's events into what its screens show, without waiting for a projection.</summary>
    public static (RunStory? Story, RunSummary? Summary) Fold(IEnumerable<RecordedEvent> events)
    {
        var fold = new RunFold();
        foreach (var recorded in events) { fold.Add(recorded); }
        return (fold.Story, fold.Summary);
    }

    public static string Time(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);

    /// <summary>Absent is better than null.</summary>
    internal static JsonObject Clean(JsonObject value)
    {
        foreach (var name in value.Where(member => member.Value is null).Select(member => member.Key).ToArray()) { value.Remove(name); }
        return value;
    }
}
