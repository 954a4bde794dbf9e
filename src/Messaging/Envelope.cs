namespace Platform.Messaging;

/// <summary>A durable message: a row that goes away in the transaction of what its handler decided.</summary>
/// <param name="Id">Derived from the cause (UUIDv5) for cascades, made at the edge (UUIDv7) otherwise.</param>
/// <param name="Type">Alias of the message's type.</param>
/// <param name="Key">Messages of one key are handled one after the other in the order of their enqueuing, by the node that has them; null: no order.</param>
/// <param name="Body">UTF-8 JSON.</param>
/// <param name="DueAt">Wall clock; null means at once.</param>
/// <param name="Delay">Set for durations: the node that keeps the message measures it by a monotonic clock.</param>
/// <param name="Attempts">How many times a handler has begun it, this time included; from 1 within a handler.</param>
/// <param name="Crashes">Attempts in a row, the last one included, that died with their process; told by <see cref="IMessageStore.ClaimOne"/> only.</param>
public sealed record Envelope(
    Guid Id,
    TenantId Tenant,
    string Type,
    string? Key,
    ReadOnlyMemory<byte> Body,
    EventMetadata Metadata,
    DateTimeOffset? DueAt = null,
    TimeSpan? Delay = null,
    int Attempts = 0,
    int Crashes = 0);
