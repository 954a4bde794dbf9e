namespace Platform.Messaging;

/// <summary>What must be true of a stream's version for an append to it.</summary>
public readonly record struct ExpectedVersion
{
    private ExpectedVersion(long value) => Value = value;

    /// <summary>-1 any, 0 new, n exact.</summary>
    public long Value { get; }

    public static ExpectedVersion Any => new(-1);

    public static ExpectedVersion New => new(0);

    public static ExpectedVersion Exactly(long version) => version >= 1
        ? new(version)
        : throw new ArgumentOutOfRangeException(nameof(version), version, "A stream that exists has version 1 or more.");

    public override string ToString() => Value switch { -1 => "any", 0 => "new", _ => Value.ToString(System.Globalization.CultureInfo.InvariantCulture) };
}

/// <summary>Events for one stream.</summary>
/// <param name="StreamType">Written when the stream is new.</param>
public sealed record StreamAppend(Guid StreamId, string? StreamType, ExpectedVersion Expected, IReadOnlyList<object> Events);

/// <summary>A message that this commit finishes. The commit is refused when <paramref name="Owner"/> no longer owns the row: another node has taken it over.</summary>
public sealed record HandledMessage(TenantId Tenant, Guid Id, long Owner);

/// <summary>A command from outside, remembered with its answer. The same id with another hash is a conflict.</summary>
/// <param name="CommandId">Unique per tenant; 1 to 255 characters.</param>
/// <param name="RequestHash">SHA-256 of the request, 32 bytes.</param>
/// <param name="Answer">What the caller was told, UTF-8 JSON of at most 64 KiB.</param>
public sealed record InboxEntry(string CommandId, ReadOnlyMemory<byte> RequestHash, ReadOnlyMemory<byte> Answer);

/// <summary>Everything that becomes durable together, or not at all.</summary>
public sealed record Commit
{
    public required TenantId Tenant { get; init; }

    /// <summary>When the events happened, as the handler was told; written to <c>timestamp</c>.</summary>
    public required DateTimeOffset Timestamp { get; init; }

    public IReadOnlyList<StreamAppend> Streams { get; init; } = [];

    public EventMetadata Metadata { get; init; } = EventMetadata.None;

    /// <summary>Durable messages to enqueue, owned by <see cref="Owner"/> from the start.</summary>
    public IReadOnlyList<Envelope> Messages { get; init; } = [];

    public HandledMessage? Handled { get; init; }

    public InboxEntry? Inbox { get; init; }

    /// <summary>The node that keeps <see cref="Messages"/> in memory too; null: nobody, whoever claims them first.</summary>
    public long? Owner { get; init; }
}

/// <summary>What a decision adds to its stream, and what leaves with it.</summary>
public sealed record Decision(IReadOnlyList<object> Events, IReadOnlyList<Envelope> Messages);

/// <summary>A decision on one stream, run in the stream's lane, so never beside another of this process on the same stream.</summary>
/// <param name="Decide">
/// Pure. Gets the folded state (null: no such stream) and its version; asked again with newer state when another process was faster.
/// </param>
public sealed record DecideRequest<TState>(
    TenantId Tenant,
    Guid StreamId,
    StateFold<TState> Fold,
    Func<TState?, long, Decision> Decide,
    DateTimeOffset Timestamp,
    EventMetadata Metadata,
    HandledMessage? Handled = null,
    InboxEntry? Inbox = null,
    long? Owner = null) where TState : class;

/// <summary>The durable outcome of a decision.</summary>
/// <param name="Version">The stream's version after it.</param>
/// <param name="Recorded">Set when the command id was known: nothing was appended, this is the answer given then.</param>
public sealed record Decided<TState>(TState? State, long Version, Decision Decision, InboxEntry? Recorded = null) where TState : class;

/// <summary>The stream is at another version than the append expects. No sequence number was used.</summary>
public sealed class VersionConflictException(Guid streamId, ExpectedVersion expected, long actual)
    : Exception($"Stream {streamId} is at version {actual}, expected {expected}.")
{
    public Guid StreamId { get; } = streamId;

    public ExpectedVersion Expected { get; } = expected;

    public long Actual { get; } = actual;
}

/// <summary>The command id is known with another request.</summary>
public sealed class CommandConflictException(string commandId) : Exception($"Command '{commandId}' was used before with another request.")
{
    public string CommandId { get; } = commandId;
}

/// <summary>This node no longer owns the message it handled: it was taken over. Its decision is dropped.</summary>
public sealed class OwnershipLostException(Guid messageId) : Exception($"Message {messageId} is owned by another node now.")
{
    public Guid MessageId { get; } = messageId;
}

/// <summary>The stream is archived: it can be read, not appended to.</summary>
public sealed class StreamArchivedException(Guid streamId) : Exception($"Stream {streamId} is archived.")
{
    public Guid StreamId { get; } = streamId;
}

/// <summary>A named limit was passed.</summary>
public sealed class LimitExceededException(string limit, long value, long allowed) : Exception($"{limit} is {value}, at most {allowed}.")
{
    public string Limit { get; } = limit;

    public long Value { get; } = value;

    public long Allowed { get; } = allowed;
}

/// <summary>The store is away for the moment (connection, disk full, restart): nothing was acknowledged; ask again with the same ids.</summary>
public sealed class StoreUnavailableException(string reason, Exception? inner = null) : Exception(reason, inner);
