using System.Text.Json.Serialization;
using Platform.Domain.Daemons;

namespace Platform.Domain.Capabilities.Undoing;

[JsonConverter(typeof(JsonStringEnumConverter<UndoVerdict>))]
public enum UndoVerdict
{
    /// <summary>Exactly: the resource is as if it had not happened; for a redo, as if it had not been undone.</summary>
    Undo,

    /// <summary>A trace stays.</summary>
    Compensate,

    /// <summary>It has not left yet.</summary>
    Drop,

    /// <summary>Nothing of it is left to undo; it does not count from now on.</summary>
    Skip,

    Cannot,
}

/// <summary>What becomes of one effect.</summary>
/// <param name="Because">A sentence: why this verdict.</param>
/// <param name="Order">From 1; lines are carried out in this order.</param>
/// <param name="Resources">What its inverse changes.</param>
/// <param name="Stands">Whether the effect counts afterwards, if the line comes out as planned.</param>
/// <param name="Needs">Effects whose own lines must have come out as planned before this one may.</param>
/// <param name="Selected">False where it comes along: by consent to cascade, or since what lay over it goes.</param>
public sealed record UndoLine(
    EffectId EffectId,
    RunId RunId,
    string StagePath,
    string Capability,
    UndoVerdict Verdict,
    string Because,
    int Order,
    IReadOnlyList<string> Resources,
    bool Stands,
    IReadOnlyList<EffectId> Needs,
    bool Selected)
{
    [JsonIgnore]
    public bool ChangesTheWorld => Verdict is UndoVerdict.Undo or UndoVerdict.Compensate or UndoVerdict.Drop;
}

/// <summary>Shown before anything is done.</summary>
public sealed record UndoPlan(IReadOnlyList<UndoLine> Lines)
{
    [JsonIgnore]
    public bool IsPartial => Lines.Any(l => l.Verdict == UndoVerdict.Cannot);
}
