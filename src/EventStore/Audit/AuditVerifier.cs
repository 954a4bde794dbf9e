using System.Buffers;
using System.Text.Json;
using Npgsql;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Audit;

public enum AuditFault
{
    /// <summary>An event is not what was sealed.</summary>
    Edited,

    /// <summary>An event that was sealed is gone.</summary>
    Deleted,

    /// <summary>An event stands in the log that nobody sealed.</summary>
    Inserted,

    /// <summary>Sealed events stand in another order.</summary>
    Reordered,

    /// <summary>A checkpoint covers more than there is.</summary>
    Cut,

    /// <summary>A checkpoint is not signed by the installation's key, or is another tenant's.</summary>
    Forged,
}

/// <param name="Index">The first bad place in the tenant's log, from 0.</param>
public sealed record AuditFinding(AuditFault Fault, long Index, string Detail);

/// <param name="Finding">The first one; null: the log is as it was sealed and signed.</param>
public sealed record AuditReport(string Tenant, long Events, int Checkpoints, AuditFinding? Finding)
{
    public bool Sound => Finding is null;
}

/// <summary>
/// Recomputes a tenant's tree from the stored events and holds it against the stored leaves and every signed checkpoint. Works on the database, or
/// without it on an exported file.
/// </summary>
public static class AuditVerifier
{
    /// <summary>Events hashed side by side.</summary>
    private const int Page = 10_000;

    /// <param name="anchored">Notes from the anchor file, beside those of the database.</param>
    public static async Task<AuditReport> Verify(Store store, TenantId tenant, CheckpointKey key, IReadOnlyList<string> anchored, CancellationToken cancellation = default)
    {
        await using var connection = await store.Source.OpenConnectionAsync(cancellation);

        // One snapshot, so that what is appended meanwhile is not seen half.
        await using var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, cancellation);
        var notes = new List<string>(anchored);
        await using (var command = store.Context.Command(connection, $"select note from {store.Context.Schema}.pl_checkpoints where tenant_id = $1 order by size", tenant.Value))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation)) { notes.Add(reader.GetString(0)); }
        }

        var (checkpoints, forged) = Read(notes, key, tenant);
        var check = new TreeCheck(checkpoints);
        var sealedSeqs = new List<long>();

        // One page is hashed while the next is read.
        var hashing = Task.CompletedTask;
        await foreach (var (seqs, hashes, gap) in Leaves(store, connection, tenant, cancellation))
        {
            var rows = gap is null ? await Events(store, connection, tenant, seqs, cancellation) : [];
            await hashing;
            if (gap is not null) { check.Find(AuditFault.Deleted, check.Size, gap); }
            if (check.Finding is not null) { break; }
            sealedSeqs.AddRange(seqs);
            hashing = Task.Run(() => check.Add(seqs, hashes, rows), CancellationToken.None);
        }

        await hashing;
        check.Finish();
        if (check.Finding is null && await Unsealed(store, connection, tenant, sealedSeqs, cancellation) is { } inserted) { check.Find(AuditFault.Inserted, check.Size, inserted); }
        return new AuditReport(tenant.Value, check.Size, checkpoints.Count, check.Finding ?? forged);
    }

    /// <summary>Writes everything that a verification needs, but the public key, which the reader must have from elsewhere to be sure.</summary>
    public static async Task Export(Store store, TenantId tenant, CheckpointKey key, Stream target, CancellationToken cancellation = default)
    {
        await using var connection = await store.Source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, cancellation);
        var line = new ArrayBufferWriter<byte>(4096);

        line.Write("{\"format\":\"platform-audit/1\",\"tenant\":"u8);
        CanonicalJson.Text(System.Text.Encoding.UTF8.GetBytes(tenant.Value), line);
        line.Write(",\"publicKey\":\""u8);
        line.Write(System.Text.Encoding.ASCII.GetBytes(Convert.ToBase64String(key.PublicKey)));
        line.Write("\"}\n"u8);
        await Flush(line, target, cancellation);

        await foreach (var (seqs, hashes, gap) in Leaves(store, connection, tenant, cancellation))
        {
            if (gap is not null) { break; }
            var rows = await Events(store, connection, tenant, seqs, cancellation);
            for (var i = 0; i < seqs.Length; i++)
            {
                line.Write("{\"hash\":\""u8);
                line.Write(System.Text.Encoding.ASCII.GetBytes(Convert.ToBase64String(hashes.AsSpan(i * MerkleTree.HashSize, MerkleTree.HashSize))));
                line.Write("\",\"event\":"u8);
                if (rows.TryGetValue(seqs[i], out var row)) { EventLeaf.Write(line, row.Tenant, row.StreamId, row.Version, row.Id, row.Alias, row.Json, row.Timestamp, row.CorrelationId, row.CausationId, row.Headers); }
                else { line.Write("null"u8); }
                line.Write("}\n"u8);
            }

            await Flush(line, target, cancellation);
        }

        await using var command = store.Context.Command(connection, $"select note from {store.Context.Schema}.pl_checkpoints where tenant_id = $1 order by size", tenant.Value);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            line.Write("{\"checkpoint\":"u8);
            CanonicalJson.Text(System.Text.Encoding.UTF8.GetBytes(reader.GetString(0)), line);
            line.Write("}\n"u8);
        }

        await Flush(line, target, cancellation);
    }

    /// <summary>Verifies an exported file without a database.</summary>
    /// <param name="publicKey">SPKI; null: the key that the file itself names, which only shows that the file is whole.</param>
    /// <exception cref="InvalidDataException">The file is no export.</exception>
    public static async Task<AuditReport> VerifyExport(TextReader source, byte[]? publicKey, IReadOnlyList<string> anchored, CancellationToken cancellation = default)
    {
        string? tenant = null;
        var notes = new List<string>(anchored);
        var leaves = new List<(byte[] Stored, byte[]? Computed)>();
        while (await source.ReadLineAsync(cancellation) is { } text)
        {
            if (text.Length == 0) { continue; }
            try
            {
                using var line = JsonDocument.Parse(text);
                if (line.RootElement.TryGetProperty("format", out var format))
                {
                    if (format.GetString() != "platform-audit/1") { throw new InvalidDataException($"Unknown format {format}."); }
                    tenant = line.RootElement.GetProperty("tenant").GetString();
                    publicKey ??= line.RootElement.GetProperty("publicKey").GetBytesFromBase64();
                }
                else if (line.RootElement.TryGetProperty("checkpoint", out var note)) { notes.Add(note.GetString()!); }
                else
                {
                    var written = line.RootElement.GetProperty("event");
                    leaves.Add((line.RootElement.GetProperty("hash").GetBytesFromBase64(), written.ValueKind == JsonValueKind.Null ? null : MerkleTree.Leaf(CanonicalJson.Of(JsonSerializer.SerializeToUtf8Bytes(written, JsonText.Default.JsonElement)))));
                }
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or FormatException or InvalidOperationException)
            {
                throw new InvalidDataException($"Line {leaves.Count + notes.Count + 2} is no line of an export: {e.Message}", e);
            }
        }

        if (tenant is null || publicKey is null) { throw new InvalidDataException("The file has no head line: it is no export of the audit trail."); }
        using var key = CheckpointKey.FromPublic(publicKey);
        var (checkpoints, forged) = Read(notes, key, new TenantId(tenant));
        var check = new TreeCheck(checkpoints);
        var stored = leaves.Select(leaf => Convert.ToHexString(leaf.Stored)).ToHashSet(StringComparer.Ordinal);
        foreach (var (expected, computed) in leaves)
        {
            check.Add(expected, computed, hash => stored.Contains(Convert.ToHexString(hash)));
            if (check.Finding is not null) { break; }
        }

        check.Finish();
        return new AuditReport(tenant, check.Size, checkpoints.Count, check.Finding ?? forged);
    }

    private static async Task Flush(ArrayBufferWriter<byte> line, Stream target, CancellationToken cancellation)
    {
        await target.WriteAsync(line.WrittenMemory, cancellation);
        line.ResetWrittenCount();
    }

    private static (List<Checkpoint> Checkpoints, AuditFinding? Forged) Read(List<string> notes, CheckpointKey key, TenantId tenant)
    {
        var checkpoints = new List<Checkpoint>();
        AuditFinding? forged = null;
        foreach (var note in notes)
        {
            // An anchor file serves all tenants of an installation.
            var origin = note.Split('\n', 2)[0];
            if (origin.StartsWith(key.Name + "/", StringComparison.Ordinal) && origin != key.Origin(tenant)) { continue; }
            if (key.Verify(note) is { } checkpoint && checkpoint.Origin == key.Origin(tenant)) { checkpoints.Add(checkpoint); }
            else { forged ??= new AuditFinding(AuditFault.Forged, 0, $"A checkpoint that begins with '{origin}' is not signed by {key.Name}."); }
        }

        checkpoints.Sort((a, b) => a.Size.CompareTo(b.Size));
        return (checkpoints, forged);
    }

    /// <summary>Leaves in order, many a page; at a gap the last one says what is missing.</summary>
    private static async IAsyncEnumerable<(long[] Seqs, byte[] Hashes, string? Gap)> Leaves(Store store, NpgsqlConnection connection, TenantId tenant, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        string? gap = null;
        for (long next = 0; gap is null;)
        {
            var seqs = new List<long>();
            var hashes = new List<byte>();
            await using (var command = store.Context.Command(connection, $"select first_index, seqs, hashes from {store.Context.Schema}.pl_leaves where tenant_id = $1 and first_index >= $2 order by first_index limit 2000", tenant.Value, next))
            await using (var reader = await command.ExecuteReaderAsync(cancellation))
            {
                while (seqs.Count < Page && await reader.ReadAsync(cancellation))
                {
                    if (reader.GetInt64(0) != next)
                    {
                        gap = $"The leaves from {next} to {reader.GetInt64(0) - 1} are gone.";
                        break;
                    }

                    var some = reader.GetFieldValue<long[]>(1);
                    seqs.AddRange(some);
                    hashes.AddRange(reader.GetFieldValue<byte[]>(2));
                    next += some.Length;
                }
            }

            if (seqs.Count == 0 && gap is null) { yield break; }
            if (seqs.Count > 0) { yield return ([.. seqs], [.. hashes], null); }
        }

        yield return ([], [], gap);
    }

    private static async Task<Dictionary<long, EventRow>> Events(Store store, NpgsqlConnection connection, TenantId tenant, long[] seqs, CancellationToken cancellation)
    {
        var sorted = seqs.Order().ToArray();
        var rows = new Dictionary<long, EventRow>(seqs.Length);
        await using var command = EventRange.Command(store.Context, connection, sorted);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var row = EventRow.From(reader);
            if (row.Tenant == tenant.Value) { rows[row.Sequence] = row; }
        }

        return rows;
    }

    /// <summary>Events of the tenant that are neither sealed nor waiting to be.</summary>
    private static async Task<string?> Unsealed(Store store, NpgsqlConnection connection, TenantId tenant, List<long> sealedSeqs, CancellationToken cancellation)
    {
        var known = sealedSeqs.ToHashSet();

        // Every sealed one has been found: when there are no more than these and those that wait, there is no other.
        await using (var count = store.Context.Command(
            connection,
            $"""
            select (select count(*) from {store.Context.Schema}.mt_events where tenant_id = $1)
                 - (select count(*) from {store.Context.Schema}.mt_events e where e.tenant_id = $1 and e.seq_id in (select s from {store.Context.Schema}.pl_pending, unnest(seqs) s))
            """,
            tenant.Value))
        {
            if ((long)(await count.ExecuteScalarAsync(cancellation))! == known.Count) { return null; }
        }

        await using (var pending = store.Context.Command(connection, $"select s from {store.Context.Schema}.pl_pending, unnest(seqs) s"))
        await using (var reader = await pending.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation)) { known.Add(reader.GetInt64(0)); }
        }

        await using var command = store.Context.Command(connection, $"select seq_id, stream_id, version from {store.Context.Schema}.mt_events where tenant_id = $1", tenant.Value);
        await using var events = await command.ExecuteReaderAsync(cancellation);
        while (await events.ReadAsync(cancellation))
        {
            if (!known.Contains(events.GetInt64(0))) { return $"Event number {events.GetInt64(0)} (stream {events.GetGuid(1)}, version {events.GetInt64(2)}) was never sealed."; }
        }

        return null;
    }
}

/// <summary>Grows the tree leaf by leaf and meets each checkpoint at its size.</summary>
internal sealed class TreeCheck(List<Checkpoint> checkpoints)
{
    private readonly MerkleFrontier tree = new();
    private int next;
    private long confirmed;

    public long Size => tree.Size;

    public AuditFinding? Finding { get; private set; }

    public void Find(AuditFault fault, long index, string detail) => Finding ??= new AuditFinding(fault, index, detail);

    /// <summary>A page of leaves with the events that they should be of.</summary>
    public void Add(long[] seqs, byte[] hashes, Dictionary<long, EventRow> rows)
    {
        if (hashes.Length != seqs.Length * MerkleTree.HashSize)
        {
            Find(AuditFault.Edited, Size, $"The stored leaves from {Size} on are {hashes.Length} bytes for {seqs.Length} events.");
            return;
        }

        var computed = new byte[]?[seqs.Length];
        Parallel.For(0, (seqs.Length + 255) / 256, part =>
        {
            var scratch = new ArrayBufferWriter<byte>(4096);
            for (var i = part * 256; i < Math.Min(seqs.Length, (part + 1) * 256); i++)
            {
                if (!rows.TryGetValue(seqs[i], out var row)) { continue; }
                var hash = new byte[MerkleTree.HashSize];
                EventLeaf.Hash(row, scratch, hash);
                computed[i] = hash;
            }
        });

        bool Elsewhere(byte[] hash)
        {
            for (var i = 0; i < seqs.Length; i++)
            {
                if (hashes.AsSpan(i * MerkleTree.HashSize, MerkleTree.HashSize).SequenceEqual(hash)) { return true; }
            }

            return false;
        }

        for (var i = 0; i < seqs.Length && Finding is null; i++) { Add(hashes.AsSpan(i * MerkleTree.HashSize, MerkleTree.HashSize), computed[i], Elsewhere); }
    }

    public void Add(ReadOnlySpan<byte> stored, byte[]? computed, Func<byte[], bool> elsewhere)
    {
        if (computed is null)
        {
            Find(AuditFault.Deleted, Size, $"The event at {Size} is gone.");
            return;
        }

        if (!stored.SequenceEqual(computed))
        {
            Find(elsewhere(computed) ? AuditFault.Reordered : AuditFault.Edited, Size, elsewhere(computed) ? $"The event at {Size} was sealed at another place." : $"The event at {Size} is not what was sealed there.");
            return;
        }

        tree.Append(stored);
        for (; next < checkpoints.Count && checkpoints[next].Size == Size; next++)
        {
            if (!checkpoints[next].Root.Span.SequenceEqual(tree.Root()))
            {
                Find(AuditFault.Edited, confirmed, $"Events and leaves between {confirmed} and {Size - 1} were rewritten: the root at {Size} is not the one that was signed.");
                return;
            }

            confirmed = Size;
        }
    }

    public void Finish()
    {
        if (Finding is null && next < checkpoints.Count) { Find(AuditFault.Cut, Size, $"A checkpoint was signed at {checkpoints[^1].Size} events; there are {Size}."); }
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(JsonElement))]
internal sealed partial class JsonText : System.Text.Json.Serialization.JsonSerializerContext;
