using System.Collections.Immutable;
using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>How far undo reaches, and how it came out: a pure fold of the events that <see cref="EffectHistory"/> takes.</summary>
public sealed record UndoFigures
{
    /// <summary>Of <see cref="Refusals"/>.</summary>
    public const int MaxRefusals = 20;

    public static readonly UndoFigures None = new();

    private EffectHistory History { get; init; } = EffectHistory.Empty;

    /// <summary>Effects that happened or may have happened; what only looked is none.</summary>
    public int Effects => Changes.Count();

    /// <summary>Of them, those that changed nothing or have a recorded way back.</summary>
    public int Covered => Changes.Count(e => e.Inverse is not null || (e.Class == EffectClass.Reversible && !EffectIndex.ChangesSomething(e)));

    /// <summary>Inverses that were performed and then seen in the world.</summary>
    public int Verified { get; init; }

    /// <summary>Inverses that were performed and could not be seen afterwards.</summary>
    public int Unverified { get; init; }

    public int Refused { get; init; }

    /// <summary>The newest, with their reasons.</summary>
    public ImmutableList<EffectUndoRefused> Refusals { get; private init; } = [];

    /// <summary>Things that an inverse changed and its effect had never touched. It must be 0.</summary>
    public int Collateral { get; init; }

    /// <summary>What stays though its undo was carried out: traces of compensations, and inverses of which nobody can say whether they happened.</summary>
    public int Residue { get; init; }

    private IEnumerable<EffectRecord> Changes => History.Records.Where(e => e.Class != EffectClass.Pure);

    public UndoFigures Apply(RecordedEvent recorded) => recorded.Data switch
    {
        EffectUndone e => this with
        {
            History = History.Apply(recorded),
            Verified = Verified + (e.Verification == Verification.Verified ? 1 : 0),
            Unverified = Unverified + (e.Verification == Verification.Unverified ? 1 : 0),
            Collateral = Collateral + Beside(e),
            Residue = Residue + (e.Verdict == UndoVerdict.Compensate ? 1 : 0),
        },
        EffectUndoRefused e => this with
        {
            History = History.Apply(recorded),
            Refused = Refused + 1,
            Refusals = (Refusals.Count < MaxRefusals ? Refusals : Refusals.RemoveAt(0)).Add(e),
            Residue = Residue + (e.MayHaveHappened ? 1 : 0),
        },
        _ => this with { History = History.Apply(recorded) },
    };

    private int Beside(EffectUndone undone)
    {
        if (History.Find(undone.EffectId) is not { } effect) { return 0; }
        var own = effect.Touches.Concat(effect.LastTouches).Select(t => t.Resource).ToHashSet(StringComparer.Ordinal);
        return EffectIndex.Changes(effect, undone.Touches).Count(t => !own.Contains(t.Resource));
    }
}
