using System.Text.Json.Serialization;
using Platform.Domain.Daemons;

namespace Platform.Domain.Capabilities.Undoing;

[JsonConverter(typeof(JsonStringEnumConverter<EffectKnowledge>))]
public enum EffectKnowledge
{
    /// <summary>Intended, and neither confirmed nor failed: it may be happening now.</summary>
    UnderWay,

    Confirmed,

    /// <summary>Nobody can say whether it happened.</summary>
    Unknown,
}

/// <summary>
/// One effect, or one look at the world (class pure), as the events of its run and of every undo tell it. Whether it counts
/// (<see cref="Stands"/>) and whether the world shows it (<see cref="Applied"/>) differ only while somebody else's value lies over it.
/// </summary>
/// <param name="Touches">What it read and changed when it was done first, with images.</param>
/// <param name="Order">Of the intent in the log. Whoever saw an effect intended later than it.</param>
/// <param name="User">Who started the run.</param>
public sealed record EffectRecord(
    EffectId Id,
    RunId RunId,
    string StagePath,
    string Capability,
    EffectClass Class,
    EffectKind Kind,
    IReadOnlyList<Touch> Touches,
    InversePlan? Inverse,
    Grant Grant,
    long Order,
    DateTimeOffset At,
    string User)
{
    public EffectKnowledge Knowledge { get; init; } = EffectKnowledge.Confirmed;

    /// <summary>It counts: it was not undone, or it was and that was undone.</summary>
    public bool Stands { get; init; } = true;

    /// <summary>The world has it, or had it until somebody else wrote over it.</summary>
    public bool Applied { get; init; } = true;

    public bool Undone => !Stands;

    /// <summary>Touches of what was performed last: the effect, its inverse, the inverse of that. <see cref="Inverse"/> turns it round.</summary>
    public IReadOnlyList<Touch> LastTouches { get; init; } = Touches;

    /// <summary>Place in the log of what was performed last.</summary>
    public long LastOrder { get; init; } = Order;

    /// <summary>Place in the log where it last began or ceased to count.</summary>
    public long ChangedOrder { get; init; } = Order;

    /// <summary>The undo that last made it count or not count.</summary>
    public UndoId? ChangedBy { get; init; }

    public override string ToString() => $"{Capability} (run {RunId}, stage {StagePath})";
}
