using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>Undoes what is selected. The same plan, without doing it, is <see cref="UndoPlanner.Plan"/>.</summary>
/// <param name="PlanHash">Of the plan that the asker was shown: if another plan is made now, nothing is begun. Null: none was shown.</param>
public sealed record RequestUndo(UndoId UndoId, UndoSelection Selection, string RequestedBy, string? PlanHash = null);

/// <summary>An undo began. Lines that change nothing are settled in the same breath.</summary>
/// <param name="PlanHash">Of the plan that the asker had seen; null where none was shown.</param>
public sealed record UndoRequested(UndoId UndoId, UndoSelection Selection, UndoPlan Plan, string RequestedBy, DateTimeOffset At, string? PlanHash = null);

public static class RequestUndoHandler
{
    /// <summary>The plan is one event: at some 700 bytes a line this is 3.5 MB. Larger undos go run by run or stage by stage.</summary>
    public const int MaxLines = 5_000;

    public static Problem? Validate(RequestUndo command) => command.Selection.Validate();

    public static async Task<UndoPlan> LoadAsync(RequestUndo command, Undo? undo, TenantId tenant, IEffectHistory history, CancellationToken cancellation)
    {
        if (undo is not null) { return undo.Requested.Plan; }
        var plan = UndoPlanner.Plan(command.Selection, command.RequestedBy, await history.Around(tenant, command.Selection, cancellation));
        if (plan.Lines.Count > MaxLines)
        {
            throw new ProblemException(new Problem("undo.too-large", FormattableString.Invariant($"This would undo {plan.Lines.Count} effects, at most {MaxLines} are undone at once: select less, for example one stage.")));
        }

        return command.PlanHash is null || command.PlanHash == plan.Hash ? plan : throw new ProblemException(Changed(command.PlanHash, plan));
    }

    public static (Events, OutgoingMessages) Handle(RequestUndo command, Undo? undo, UndoPlan plan, DateTimeOffset now)
    {
        if (undo is not null) { return ([], []); }

        var requested = new UndoRequested(command.UndoId, command.Selection, plan, command.RequestedBy, now, command.PlanHash);
        var begun = Undo.Create(requested);
        Events events = [requested];
        foreach (var line in plan.Lines)
        {
            if (line.Verdict == UndoVerdict.Cannot)
            {
                var refused = new EffectUndoRefused(line.EffectId, line.Because, null, line.Stands, false, now);
                events.Add(refused);
                begun = begun.Apply(refused);
            }
            else if (line.Verdict == UndoVerdict.Skip)
            {
                var skipped = new EffectUndoSkipped(line.EffectId, line.Because, line.Stands, now);
                events.Add(skipped);
                begun = begun.Apply(skipped);
            }
        }

        return UndoNextEffectHandler.GoOn(begun, events, now);
    }

    // Only the hash of the shown plan is known here; what was shown, and so each difference, is known to who was shown it (UndoPlan.ChangesSince).
    private static Problem Changed(string shown, UndoPlan plan)
    {
        var verdicts = plan.Lines.GroupBy(l => l.Verdict).OrderBy(g => g.Key).Select(g => FormattableString.Invariant($"{g.Count()} {g.Key.Word()}"));
        var hindered = plan.Lines.FirstOrDefault(l => l.Verdict is UndoVerdict.Cannot or UndoVerdict.Skip);
        return new Problem(
            "undo.plan-changed",
            $"The plan that was shown ({shown}) is not the one that would be carried out now ({plan.Hash}): {(plan.Lines.Count == 0 ? "nothing is left to undo" : string.Join(", ", verdicts))}.{(hindered is null ? "" : $" {hindered.Title}: {hindered.Because}")} Nothing was done: look at the plan again.",
            409,
            new Dictionary<string, string> { ["shown"] = shown, ["now"] = plan.Hash });
    }
}
