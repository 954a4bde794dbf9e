using System.Buffers.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Platform.Messaging;

/// <summary>What a command came to.</summary>
/// <param name="StreamId">Empty for a command without a stream.</param>
/// <param name="Version">The stream's version after it.</param>
public sealed record CommandAnswer(Guid StreamId, long Version)
{
    /// <summary>The command id was known: this is the answer given then, and nothing was done again.</summary>
    [JsonIgnore]
    public bool Repeated { get; init; }

    /// <summary>Ids of the durable messages that it led to, for hosts that send them on themselves.</summary>
    [JsonIgnore]
    public IReadOnlyList<Guid> Messages { get; init; } = [];

    public static CommandAnswer Read(InboxEntry entry) => JsonSerializer.Deserialize(entry.Answer.Span, MessagingJson.Default.CommandAnswer)!;
}

/// <summary>
/// The inbox entry of a command while it is being decided. Its answer holds the stream's version, which is known only in the lane, where the
/// entry is already part of the request; so the answer has a fixed length, and the decision writes the version into it.
/// </summary>
internal sealed class PendingAnswer
{
    private static readonly byte[] Template = "{\"StreamId\":\"00000000-0000-0000-0000-000000000000\",\"Version\":0                  }"u8.ToArray();
    private const int IdAt = 13;
    private const int VersionAt = 61;
    private const int VersionLength = 19;
    private readonly byte[] answer = [.. Template];

    public PendingAnswer(string commandId, byte[] requestHash) => Entry = new InboxEntry(commandId, requestHash, answer);

    public InboxEntry Entry { get; }

    public void Set(Guid streamId, long version)
    {
        Utf8Formatter.TryFormat(streamId, answer.AsSpan(IdAt), out _);
        answer.AsSpan(VersionAt, VersionLength).Fill((byte)' ');
        Utf8Formatter.TryFormat(version, answer.AsSpan(VersionAt), out _);
    }
}

[JsonSerializable(typeof(CommandAnswer))]
internal sealed partial class MessagingJson : JsonSerializerContext;
