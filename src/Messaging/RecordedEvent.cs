namespace Platform.Messaging;

/// <summary>Who and why, beside an event or a message.</summary>
/// <param name="CorrelationId">The whole story: the id of the first command, kept through every cascade.</param>
/// <param name="CausationId">The message that this was decided for.</param>
/// <param name="User">Who asked; stored in the headers as <c>user</c>.</param>
/// <param name="Headers">At most 32 entries; names and values of at most 1,024 characters.</param>
public sealed record EventMetadata(
    string? CorrelationId = null,
    string? CausationId = null,
    string? User = null,
    IReadOnlyDictionary<string, string>? Headers = null)
{
    public static readonly EventMetadata None = new();
}

/// <summary>An event as the log holds it.</summary>
/// <param name="Position">Gapless, from 1, in the order in which subscribers see events; 0 while it is not sealed yet.</param>
/// <param name="Sequence">Marten's <c>seq_id</c>; may have holes.</param>
/// <param name="Version">1, 2, ... within the stream.</param>
/// <param name="Data">The event itself, upcast to the program's version of it.</param>
public sealed record RecordedEvent(
    long Position,
    long Sequence,
    Guid Id,
    TenantId Tenant,
    Guid StreamId,
    string? StreamType,
    long Version,
    string Alias,
    object Data,
    DateTimeOffset Timestamp,
    EventMetadata Metadata);
