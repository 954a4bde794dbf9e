using System.Text.Json.Serialization;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>One undo; also the id of its stream.</summary>
[JsonConverter(typeof(GuidIdConverter<UndoId>))]
public readonly record struct UndoId(Guid Value) : IGuidId<UndoId>
{
    public static UndoId From(Guid value) => new(value);

    /// <summary>The undo that a failed run asks for by itself; the same however often it asks.</summary>
    public static UndoId OnFailureOf(RunId run) => new(DeterministicId.Of(run.Value, "undo on failure"));

    public override string ToString() => Value.ToString();
}
