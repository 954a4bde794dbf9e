using System.Text;
using Platform.Messaging;
using Platform.Messaging.Durability;

namespace Platform.EventStore.Audit;

/// <summary>Where a tenant's tree stands.</summary>
/// <param name="Size">Sealed events in it.</param>
/// <param name="SignedSize">Of the newest checkpoint; null: nothing is signed yet, as are the others.</param>
public sealed record AuditStanding(long Size, long? SignedSize, DateTimeOffset? SignedAt, string? Note);

/// <summary>Signs where each tenant's tree stands, keeps it in the database and appends it to the anchor file.</summary>
/// <param name="anchor">Best on another machine or on write-once media; null: none.</param>
public sealed class Checkpoints(Store store, CheckpointKey key, string? anchor)
{
    /// <summary>Tenants signed in one go.</summary>
    private const int MaxTenants = 10_000;

    /// <summary>Signs every tree that has grown since its last checkpoint.</summary>
    /// <returns>How many.</returns>
    /// <exception cref="IOException">The anchor file could not be made durable; the checkpoint stands in the database and is not repeated there.</exception>
    public async Task<int> Sign(DateTimeOffset now, CancellationToken cancellation)
    {
        var notes = await store.Context.Ask(async (connection, token) =>
        {
            var grown = new List<(string Tenant, long Size, byte[] Frontier)>();
            await using (var command = store.Context.Command(connection, $"""
                select t.tenant_id, t.size, t.frontier from {store.Context.Schema}.pl_trees t
                where t.size > coalesce((select max(c.size) from {store.Context.Schema}.pl_checkpoints c where c.tenant_id = t.tenant_id), 0) limit {MaxTenants}
                """))
            await using (var reader = await command.ExecuteReaderAsync(token))
            {
                while (await reader.ReadAsync(token)) { grown.Add((reader.GetString(0), reader.GetInt64(1), reader.GetFieldValue<byte[]>(2))); }
            }

            var signed = new List<string>(grown.Count);
            foreach (var (tenant, size, frontier) in grown)
            {
                var note = key.Sign(new Checkpoint(key.Origin(new TenantId(tenant)), size, new MerkleFrontier(size, frontier).Root()));
                await using var insert = store.Context.Command(connection, $"insert into {store.Context.Schema}.pl_checkpoints (tenant_id, size, note, created_at) values ($1, $2, $3, $4) on conflict do nothing", tenant, size, note, now.UtcDateTime);
                if (await insert.ExecuteNonQueryAsync(token) == 1) { signed.Add(note); }
            }

            return signed;
        }, cancellation);

        if (anchor is not null && notes.Count > 0) { Append(notes); }
        return notes.Count;
    }

    /// <summary>Where a tenant's tree stands, and its newest checkpoint. Nothing is verified.</summary>
    public Task<AuditStanding> Standing(TenantId tenant, CancellationToken cancellation) => store.Context.Ask(async (connection, token) =>
    {
        await using var command = store.Context.Command(connection, $"""
            select coalesce((select size from {store.Context.Schema}.pl_trees where tenant_id = $1), 0), c.size, c.created_at, c.note
            from (select) one left join lateral
                (select size, created_at, note from {store.Context.Schema}.pl_checkpoints where tenant_id = $1 order by size desc limit 1) c on true
            """, tenant.Value);
        await using var reader = await command.ExecuteReaderAsync(token);
        await reader.ReadAsync(token);
        return reader.IsDBNull(1)
            ? new AuditStanding(reader.GetInt64(0), null, null, null)
            : new AuditStanding(reader.GetInt64(0), reader.GetInt64(1), reader.GetFieldValue<DateTimeOffset>(2), reader.GetString(3));
    }, cancellation);

    /// <summary>The notes of an anchor file, in order. Each is followed by an empty line.</summary>
    public static IReadOnlyList<string> ReadAnchor(string file)
    {
        var notes = new List<string>();
        var note = new StringBuilder();
        var blanks = 0;
        foreach (var line in File.ReadLines(file))
        {
            if (line.Length == 0 && ++blanks == 2)
            {
                notes.Add(note.ToString());
                note.Clear();
                blanks = 0;
                continue;
            }

            note.Append(line).Append('\n');
        }

        if (note.Length > 0) { notes.Add(note.ToString()); }
        return notes;
    }

    private void Append(List<string> notes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(anchor!))!);
        using var file = File.OpenHandle(anchor!, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read);
        RandomAccess.Write(file, Encoding.UTF8.GetBytes(string.Concat(notes.Select(note => note + "\n"))), RandomAccess.GetLength(file));
        DurableFile.Flush(file, anchor!);
    }
}
