using System.Globalization;
using System.Text.Json.Nodes;
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
        object? story = null, summary = null;
        foreach (var recorded in events)
        {
            foreach (var key in RunTimeline.Projection.Keys(recorded)) { story = RunTimeline.Projection.Evolve(story, key, recorded); }
            foreach (var key in RunList.Projection.Keys(recorded)) { summary = RunList.Projection.Evolve(summary, key, recorded); }
        }

        return ((RunStory?)story, (RunSummary?)summary);
    }

    public static string Time(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);

    /// <summary>Absent is better than null.</summary>
    private static JsonObject Clean(JsonObject value)
    {
        foreach (var name in value.Where(member => member.Value is null).Select(member => member.Key).ToArray()) { value.Remove(name); }
        return value;
    }
}
