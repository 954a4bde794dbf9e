using System.Buffers;
using System.Text.Json;
using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>The <c>headers</c> column: a JSON object of strings. Correlation and causation have columns of their own.</summary>
internal static class MetadataJson
{
    public const string User = "user";

    public static byte[]? Write(EventMetadata metadata)
    {
        if (metadata.User is null && metadata.Headers is not { Count: > 0 }) { return null; }

        var buffer = new ArrayBufferWriter<byte>(128);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            if (metadata.User is not null) { writer.WriteString(User, metadata.User); }
            foreach (var (name, value) in metadata.Headers ?? new Dictionary<string, string>()) { writer.WriteString(name, value); }
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Reads what anybody wrote: a value that is not a string is kept as its JSON text.</summary>
    public static EventMetadata Read(string? correlationId, string? causationId, byte[]? headers)
    {
        if (headers is null) { return correlationId is null && causationId is null ? EventMetadata.None : new EventMetadata(correlationId, causationId); }

        using var document = JsonDocument.Parse(headers);
        string? user = null;
        Dictionary<string, string>? others = null;
        if (document.RootElement.ValueKind == JsonValueKind.Object)
        {
            foreach (var member in document.RootElement.EnumerateObject())
            {
                var value = member.Value.ValueKind == JsonValueKind.String ? member.Value.GetString()! : member.Value.GetRawText();
                if (member.NameEquals(User)) { user = value; }
                else { (others ??= [])[member.Name] = value; }
            }
        }

        return new EventMetadata(correlationId, causationId, user, others);
    }
}
