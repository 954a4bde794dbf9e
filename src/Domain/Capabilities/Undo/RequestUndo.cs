using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>Undoes what is selected. The same plan, without doing it, is <see cref="UndoPlanner.Plan"/>.</summary>
public sealed record RequestUndo(UndoId UndoId, UndoSelection Selection, string RequestedBy);

/// <summary>An undo began. Lines that change nothing are settled in the same breath.</summary>
public sealed record UndoRequested(UndoId UndoId, UndoSelection Selection, UndoPlan Plan, string RequestedBy, DateTimeOffset At);

public static class RequestUndoHandler
{
    /// <summary>The plan is one event: at some 700 bytes a line this is 3.5 MB. Larger undos go run by run or stage by stage.</summary>
    public const int MaxLines = 5_000;

    public static Problem? Validate(RequestUndo command) => command.Selection.Validate();

    public static async Task<UndoPlan> LoadAsync(RequestUndo command, Undo? undo, TenantId tenant, IEffectHistory history, CancellationToken cancellation)
    {
        if (undo is not null) { return undo.Requested.Plan; }
        var plan = UndoPlanner.Plan(command.Selection, await history.Around(tenant, command.Selection, cancellation));
        return plan.Lines.Count <= MaxLines
            ? plan
            : throw new ProblemException(new Problem("undo.too-large", FormattableString.Invariant($"This would undo {plan.Lines.Count} effects, at most {MaxLines} are undone at once: select less, for example one stage.")));
    }

    public static (Events, OutgoingMessages) Handle(RequestUndo command, Undo? undo, UndoPlan plan, DateTimeOffset now)
    {
        if (undo is not null) { return ([], []); }

        var requested = new UndoRequested(command.UndoId, command.Selection, plan, command.RequestedBy, now);
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
}
