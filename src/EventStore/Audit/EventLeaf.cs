using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Platform.EventStore.Audit;

/// <summary>
/// What the audit tree's leaf of an event covers: everything that is stored of it but its number, as canonical JSON with the members
/// <c>alias causation correlation data headers id stream tenant timestamp version</c>. It is recomputed from the columns, in any version of PostgreSQL.
/// </summary>
public static class EventLeaf
{
    /// <param name="data">The <c>data</c> column's text, UTF-8.</param>
    /// <param name="headers">The <c>headers</c> column's text, or null.</param>
    /// <param name="timestamp">To the microsecond, as PostgreSQL keeps it.</param>
    public static void Write(
        ArrayBufferWriter<byte> target,
        string tenant,
        Guid stream,
        long version,
        Guid id,
        string alias,
        ReadOnlySpan<byte> data,
        DateTime timestamp,
        string? correlation,
        string? causation,
        ReadOnlySpan<byte> headers)
    {
        target.Write("{\"alias\":"u8);
        Text(target, alias);
        if (causation is not null)
        {
            target.Write(",\"causation\":"u8);
            Text(target, causation);
        }

        if (correlation is not null)
        {
            target.Write(",\"correlation\":"u8);
            Text(target, correlation);
        }

        target.Write(",\"data\":"u8);
        CanonicalJson.Write(data, target);
        if (!headers.IsEmpty)
        {
            target.Write(",\"headers\":"u8);
            CanonicalJson.Write(headers, target);
        }

        target.Write(",\"id\":"u8);
        Id(target, id);
        target.Write(",\"stream\":"u8);
        Id(target, stream);
        target.Write(",\"tenant\":"u8);
        Text(target, tenant);
        target.Write(",\"timestamp\":\""u8);
        var span = target.GetSpan(40);
        timestamp.TryFormat(span, out var written, "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
        target.Advance(written);
        target.Write("\",\"version\":"u8);
        version.TryFormat(target.GetSpan(20), out written, default, CultureInfo.InvariantCulture);
        target.Advance(written);
        target.Write("}"u8);
    }

    /// <summary>RFC 6962's leaf hash of the event.</summary>
    /// <param name="scratch">Reused between calls.</param>
    internal static void Hash(in EventRow row, ArrayBufferWriter<byte> scratch, Span<byte> target)
    {
        scratch.ResetWrittenCount();
        scratch.Write((ReadOnlySpan<byte>)[0]);
        Write(scratch, row.Tenant, row.StreamId, row.Version, row.Id, row.Alias, row.Json, row.Timestamp, row.CorrelationId, row.CausationId, row.Headers);
        SHA256.HashData(scratch.WrittenSpan, target);
    }

    private static void Id(ArrayBufferWriter<byte> target, Guid id)
    {
        target.Write("\""u8);
        id.TryFormat(target.GetSpan(36), out var written);
        target.Advance(written);
        target.Write("\""u8);
    }

    private static void Text(ArrayBufferWriter<byte> target, string text)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        CanonicalJson.Text(bytes.AsSpan(0, Encoding.UTF8.GetBytes(text, bytes)), target);
        ArrayPool<byte>.Shared.Return(bytes);
    }
}
