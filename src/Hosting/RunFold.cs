using System.Text.Json.Nodes;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Messaging;
using Platform.Projections;

namespace Platform.Hosting;

/// <summary>A run's events, one after the other, as its screens show them.</summary>
internal sealed class RunFold
{
    private object? summary;
    private RunCompleted? completed;

    public RunStory? Story { get; private set; }

    public RunSummary? Summary => (RunSummary?)summary;

    public void Add(RecordedEvent recorded)
    {
        Story = RunTimeline.Evolve(Story, recorded);
        foreach (var key in RunList.Projection.Keys(recorded)) { summary = RunList.Projection.Evolve(summary, key, recorded); }
        completed = recorded.Data as RunCompleted ?? completed;
    }

    /// <summary>The run in full, with what it gave; null: there is no run.</summary>
    public JsonObject? Json()
    {
        if (Story is null || Summary is null) { return null; }
        var whole = RunJson.Story(Story, Summary);
        if (completed is not null) { whole["outputs"] = RunJson.Outputs(completed); }
        return whole;
    }
}

/// <summary>An undo's events, one after the other: what was planned, and what came of each line.</summary>
internal sealed class UndoFold
{
    private readonly Dictionary<EffectId, (string Outcome, string? Because)> outcomes = [];
    private UndoRequested? requested;
    private UndoCompleted? completed;

    public void Add(RecordedEvent recorded)
    {
        switch (recorded.Data)
        {
            case UndoRequested e: requested = e; break;
            case EffectUndone e: outcomes[e.EffectId] = (e.Verification == Verification.Verified ? "undone" : "undone, not verified", null); break;
            case EffectUndoSkipped e: outcomes[e.EffectId] = ("skipped", e.Because); break;
            case EffectUndoRefused e: outcomes[e.EffectId] = ("refused", e.Because); break;
            case UndoCompleted e: completed = e; break;
        }
    }

    /// <summary>Null: there is no undo.</summary>
    public JsonObject? Json()
    {
        if (requested is null) { return null; }
        var lines = RunJson.Plan(requested.Plan);
        foreach (var (line, planned) in lines.Zip(requested.Plan.Lines.OrderBy(l => l.Order)))
        {
            if (!outcomes.TryGetValue(planned.EffectId, out var came)) { continue; }
            line!["outcome"] = came.Outcome;
            if (came.Because is not null) { line["because"] = came.Because; }
        }

        return RunJson.Clean(new JsonObject
        {
            ["id"] = requested.UndoId.ToString(),
            ["status"] = completed is null ? "running" : "completed",
            ["requestedBy"] = requested.RequestedBy,
            ["requestedAt"] = RunJson.Time(requested.At),
            ["endedAt"] = completed is null ? null : RunJson.Time(completed.At),
            ["partial"] = completed?.Partial,
            ["undone"] = completed?.Undone,
            ["skipped"] = completed?.Skipped,
            ["refused"] = completed?.Refused,
            ["lines"] = lines,
        });
    }
}
