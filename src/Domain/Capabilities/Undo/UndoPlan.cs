using System.Text.Json;
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

public static class UndoVerdicts
{
    /// <summary>As it is shown to people and in the public JSON.</summary>
    public static string Word(this UndoVerdict verdict) => verdict switch
    {
        UndoVerdict.Undo => "undo",
        UndoVerdict.Compensate => "compensate",
        UndoVerdict.Drop => "drop",
        UndoVerdict.Skip => "skip",
        UndoVerdict.Cannot => "cannot",
    };
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
    internal string Title => $"{Capability} of stage '{StagePath}'";

    [JsonIgnore]
    public bool ChangesTheWorld => Verdict is UndoVerdict.Undo or UndoVerdict.Compensate or UndoVerdict.Drop;
}

/// <summary>Shown before anything is done.</summary>
public sealed record UndoPlan(IReadOnlyList<UndoLine> Lines)
{
    [JsonIgnore]
    public bool IsPartial => Lines.Any(l => l.Verdict == UndoVerdict.Cannot);

    /// <summary>SHA-256 of the canonical JSON of all lines: equal hashes, equal plans. Who was shown a plan asks by it for this one and no other.</summary>
    [JsonIgnore]
    public string Hash => ContentHash.Of(JsonSerializer.SerializeToElement(this, UndoJson.Default.UndoPlan));

    /// <summary>What differs from a plan that was shown before: a sentence an effect, in this plan's order, then what is no longer in it.</summary>
    public IReadOnlyList<string> ChangesSince(UndoPlan shown)
    {
        var before = shown.Lines.ToDictionary(l => l.EffectId);
        var changes = new List<string>();
        foreach (var line in Lines)
        {
            if (!before.Remove(line.EffectId, out var earlier)) { changes.Add($"{line.Title} is new: {line.Verdict.Word()}. {line.Because}"); }
            else if (earlier.Verdict != line.Verdict || earlier.Because != line.Because) { changes.Add($"{line.Title} was '{earlier.Verdict.Word()}' and is '{line.Verdict.Word()}' now. {line.Because}"); }
            else if (HashOf(earlier) != HashOf(line)) { changes.Add($"{line.Title} comes at another place or changes other things."); }
        }

        changes.AddRange(before.Values.OrderBy(l => l.Order).Select(l => $"{l.Title} is no longer in the plan."));
        return changes;
    }

    private static string HashOf(UndoLine line) => new UndoPlan([line]).Hash;
}
