using Npgsql;
using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>A row of mt_events (as <c>e</c>) with its stream's type (mt_streams as <c>s</c>), not read as an event yet.</summary>
internal readonly record struct EventRow(
    long Sequence, Guid Id, string Tenant, Guid StreamId, string? StreamType, long Version, string Alias, byte[] Json, DateTime Timestamp, string? CorrelationId, string? CausationId, byte[]? Headers)
{
    public const string Columns = "e.seq_id, e.id, e.tenant_id, e.stream_id, s.type, e.version, e.type, e.data, e.timestamp, e.correlation_id, e.causation_id, e.headers";

    /// <summary>As <see cref="Columns"/> without the stream's type, from mt_events alone.</summary>
    public const string OwnColumns = "e.seq_id, e.id, e.tenant_id, e.stream_id, null::varchar, e.version, e.type, e.data, e.timestamp, e.correlation_id, e.causation_id, e.headers";

    /// <summary>The count of <see cref="Columns"/>: where further columns of a query begin.</summary>
    public const int Width = 12;

    public static EventRow From(NpgsqlDataReader reader) => new(
        reader.GetInt64(0),
        reader.GetGuid(1),
        reader.GetString(2),
        reader.GetGuid(3),
        reader.IsDBNull(4) ? null : reader.GetString(4),
        reader.GetInt64(5),
        reader.GetString(6),
        reader.GetFieldValue<byte[]>(7),
        reader.GetDateTime(8),
        reader.IsDBNull(9) ? null : reader.GetString(9),
        reader.IsDBNull(10) ? null : reader.GetString(10),
        reader.IsDBNull(11) ? null : reader.GetFieldValue<byte[]>(11));

    public RecordedEvent Read(EventTypes types, long position = 0) => new(
        position,
        Sequence,
        Id,
        new TenantId(Tenant),
        StreamId,
        StreamType,
        Version,
        Alias,
        types.Read(Alias, Json),
        new DateTimeOffset(DateTime.SpecifyKind(Timestamp, DateTimeKind.Utc)),
        MetadataJson.Read(CorrelationId, CausationId, Headers));
}
