using System.Collections.Immutable;
using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>An undo as its events tell it: the plan, and what came of its lines so far.</summary>
[Stream<UndoId>("undo")]
public sealed record Undo
{
    public required UndoRequested Requested { get; init; }

    public UndoId Id => Requested.UndoId;

    /// <summary>By effect: whether its line came out as planned.</summary>
    public ImmutableDictionary<EffectId, bool> Outcomes { get; init; } = ImmutableDictionary<EffectId, bool>.Empty;

    public int Undone { get; init; }

    public int Skipped { get; init; }

    public int Refused { get; init; }

    /// <summary>The inverse that is under way.</summary>
    public EffectUndoIntended? Intended { get; init; }

    public bool Completed { get; init; }

    /// <summary>The first line that nothing came of yet.</summary>
    public UndoLine? Next => Requested.Plan.Lines.FirstOrDefault(l => !Outcomes.ContainsKey(l.EffectId));

    public static Undo Create(UndoRequested requested) => new() { Requested = requested };

    public Undo Apply(EffectUndoIntended intended) => this with { Intended = intended };

    public Undo Apply(EffectUndone undone) => Settle(undone.EffectId, true) with { Undone = Undone + 1 };

    public Undo Apply(EffectUndoSkipped skipped) => Settle(skipped.EffectId, true) with { Skipped = Skipped + 1 };

    public Undo Apply(EffectUndoRefused refused) => Settle(refused.EffectId, false) with { Refused = Refused + 1 };

    public Undo Apply(UndoCompleted completed) => this with { Completed = true };

    private Undo Settle(EffectId effect, bool asPlanned) => this with { Outcomes = Outcomes.SetItem(effect, asPlanned), Intended = null };
}
