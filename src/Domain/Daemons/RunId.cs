using System.Text.Json.Serialization;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>One run of a daemon; also the id of its stream.</summary>
[JsonConverter(typeof(GuidIdConverter<RunId>))]
public readonly record struct RunId(Guid Value) : IGuidId<RunId>
{
    public static RunId From(Guid value) => new(value);

    public override string ToString() => Value.ToString();
}
