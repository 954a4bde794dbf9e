using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>What one commit may hold. Each is refused with <see cref="LimitExceededException"/> before anything is sent.</summary>
public sealed record StoreLimits
{
    /// <summary>An event is a fact, not a file: larger content belongs into the blob store, and its hash into the event.</summary>
    public int EventBytes { get; init; } = 1024 * 1024;

    /// <summary>One transaction holds locks and memory for all of them.</summary>
    public int EventsPerCommit { get; init; } = 1_000;

    public int StreamsPerCommit { get; init; } = 100;

    public int MessagesPerCommit { get; init; } = 1_000;

    /// <summary>As for events.</summary>
    public int MessageBytes { get; init; } = 1024 * 1024;

    /// <summary>What a caller was told is kept beside its command id.</summary>
    public int AnswerBytes { get; init; } = 64 * 1024;

    public int CommandIdLength { get; init; } = 255;

    public int Headers { get; init; } = 32;

    /// <summary>Characters of a header's name or value, of the user and of the correlation and causation ids.</summary>
    public int MetadataLength { get; init; } = 1_024;

    /// <summary>Characters of a message's type and key; both stand in indexes or logs.</summary>
    public int MessageNameLength { get; init; } = 500;

    /// <summary>Of one projection's document as JSON: it is read and written whole.</summary>
    public int DocumentBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>UTF-8 bytes of a document's id and of its sort key; both stand in one row of an index, which PostgreSQL bounds at about 2,700 bytes.</summary>
    public int DocumentKeyBytes { get; init; } = 1_024;

    /// <summary>Documents of one projection that one event may touch.</summary>
    public int DocumentsPerEvent { get; init; } = 1_000;

    internal void Check(EventMetadata metadata)
    {
        Check("metadata length", metadata.CorrelationId?.Length ?? 0, MetadataLength);
        Check("metadata length", metadata.CausationId?.Length ?? 0, MetadataLength);
        Check("metadata length", metadata.User?.Length ?? 0, MetadataLength);
        if (metadata.Headers is not { } headers) { return; }
        Check("headers", headers.Count, Headers);
        foreach (var (name, value) in headers)
        {
            Check("metadata length", name.Length, MetadataLength);
            Check("metadata length", value.Length, MetadataLength);
            if (name == MetadataJson.User) { throw new ArgumentException("A header cannot be called 'user': the user has its own field.", nameof(metadata)); }
        }
    }

    internal void Check(IReadOnlyList<Envelope> messages)
    {
        Check("messages a commit", messages.Count, MessagesPerCommit);
        foreach (var message in messages)
        {
            Check("message bytes", message.Body.Length, MessageBytes);
            Check("message name length", message.Type.Length, MessageNameLength);
            Check("message name length", message.Key?.Length ?? 0, MessageNameLength);
            Check(message.Metadata);
        }
    }

    internal void Check(InboxEntry entry)
    {
        Check("command id length", entry.CommandId.Length, CommandIdLength);
        Check("answer bytes", entry.Answer.Length, AnswerBytes);
        if (entry.CommandId.Length == 0) { throw new ArgumentException("A command id has at least one character.", nameof(entry)); }
        if (entry.RequestHash.Length != 32) { throw new ArgumentException("A request hash is SHA-256: 32 bytes.", nameof(entry)); }
    }

    internal static void Check(string limit, long value, long allowed)
    {
        if (value > allowed) { throw new LimitExceededException(limit, value, allowed); }
    }
}
