using System.Text.Json;
using System.Text.Json.Serialization;

namespace Platform.Messaging;

/// <summary>A typed id around a UUID. Made at the edge (version 7) or derived (<see cref="DeterministicId"/>).</summary>
public interface IGuidId<TSelf> where TSelf : struct, IGuidId<TSelf>
{
    Guid Value { get; }

    static abstract TSelf From(Guid value);
}

/// <summary>Writes a typed id as its UUID text.</summary>
public sealed class GuidIdConverter<TId> : JsonConverter<TId> where TId : struct, IGuidId<TId>
{
    public override TId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => TId.From(reader.GetGuid());

    public override void Write(Utf8JsonWriter writer, TId value, JsonSerializerOptions options) => writer.WriteStringValue(value.Value);
}
