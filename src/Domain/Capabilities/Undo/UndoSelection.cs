using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>What is to be undone: exactly one of <see cref="Run"/>, <see cref="Effect"/>, <see cref="Since"/>, <see cref="Undo"/>.</summary>
public sealed record UndoSelection
{
    public RunId? Run { get; init; }

    /// <summary>With <see cref="Run"/>: only this stage and the stages within it.</summary>
    public string? Stage { get; init; }

    public EffectId? Effect { get; init; }

    /// <summary>Everything from this moment on.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>With <see cref="Since"/>: only runs that this user started.</summary>
    public string? User { get; init; }

    /// <summary>What an undo did is undone: a redo.</summary>
    public UndoId? Undo { get; init; }

    /// <summary>Consent: what others made of our effects goes too. Without it such effects of ours are refused.</summary>
    public bool Cascade { get; init; }

    /// <summary>Permission: effects of runs that somebody else than the asker started. Without it they are refused.</summary>
    public bool Others { get; init; }

    /// <summary>Budget: at most so many effects may be compensated, or done again after a compensation. Each leaves a trace, and a refund spends.</summary>
    public int Compensations { get; init; }

    public Problem? Validate()
    {
        var kinds = (Run is null ? 0 : 1) + (Effect is null ? 0 : 1) + (Since is null ? 0 : 1) + (Undo is null ? 0 : 1);
        if (kinds != 1) { return new Problem("undo.selection", "Select exactly one of: a run, an effect, a moment since which, an undo."); }
        if (Stage is not null && Run is null) { return new Problem("undo.selection", "A stage is selected together with its run."); }
        if (User is not null && Since is null) { return new Problem("undo.selection", "A user is selected together with a moment since which."); }
        if (Compensations < 0) { return new Problem("undo.selection", FormattableString.Invariant($"{Compensations} compensations cannot be allowed: 0 or more.")); }
        return null;
    }

    /// <summary>Whether its standing is to change.</summary>
    public bool Selects(EffectRecord effect)
    {
        if (effect.Class == EffectClass.Pure) { return false; }
        if (Effect is { } one) { return effect.Id == one; }
        if (Undo is { } undo) { return effect.ChangedBy == undo; }
        if (!effect.Stands) { return false; }
        if (Run is { } run) { return effect.RunId == run && (Stage is null || IsWithin(effect.StagePath, Stage)); }
        return Since is { } since && effect.At >= since && (User is null || effect.User == User);
    }

    private static bool IsWithin(string path, string stage) =>
        path.StartsWith(stage, StringComparison.Ordinal) && (path.Length == stage.Length || path[stage.Length] is '/' or '[' or '$');
}
