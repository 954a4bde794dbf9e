using System.Text.Json.Serialization;
using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>One undo; also the id of its stream.</summary>
[JsonConverter(typeof(GuidIdConverter<UndoId>))]
public readonly record struct UndoId(Guid Value) : IGuidId<UndoId>
{
    public static UndoId From(Guid value) => new(value);

    public override string ToString() => Value.ToString();
}
