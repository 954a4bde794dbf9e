using System.Collections.Concurrent;
using Npgsql;

namespace Platform.EventStore.Sealing;

/// <summary>Reads the log by position.</summary>
internal sealed class SealedLog(Store store)
{
    /// <summary>Events read with one query.</summary>
    public const int Page = 2_000;

    /// <summary>Events of a page that is read ahead: what catches up has many, and each page costs a transaction.</summary>
    public const int AheadPage = 5_000;

    /// <summary>Streams whose type is remembered.</summary>
    private const int MaxTypes = 50_000;

    private readonly ConcurrentDictionary<StreamKey, string?> types = [];
    private (long After, Task<List<(long Position, EventRow Row)>?> Rows)? ahead;

    /// <summary>The last position given.</summary>
    public async Task<long> Last(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = store.Context.Command(connection, $"select coalesce(max(last_position), 0) from {store.Context.Schema}.pl_seals");
        return (long)(await command.ExecuteScalarAsync(cancellation))!;
    }

    /// <summary>Committed rows that have no position yet, in the order in which they will get it.</summary>
    public async Task<List<EventRow>> Pending(NpgsqlConnection connection, CancellationToken cancellation)
    {
        var seqs = new List<long>();
        await using (var command = store.Context.Command(connection, $"select seqs from {store.Context.Schema}.pl_pending"))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation)) { seqs.AddRange(reader.GetFieldValue<long[]>(0)); }
        }

        seqs.Sort();
        var rows = new List<EventRow>(seqs.Count);
        foreach (var page in seqs.Chunk(Page))
        {
            var read = new List<EventRow>(page.Length);
            await using var command = EventRange.Command(store.Context, connection, page);
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation)) { read.Add(EventRow.From(reader)); }
            rows.AddRange(EventRange.Pick(read, page));
        }

        var typed = rows.ConvertAll(static row => (0L, row));
        await AddTypes(connection, typed, cancellation);
        return typed.ConvertAll(static one => one.Item2);
    }

    /// <summary>As <see cref="Read"/>, a page at a time. After a full one the next is read on a connection of its own while the caller works on this one.</summary>
    public async Task<List<(long Position, EventRow Row)>> ReadAhead(NpgsqlConnection connection, long after, CancellationToken cancellation)
    {
        var known = ahead is { } begun && begun.After == after ? await begun.Rows.WaitAsync(cancellation) : null;
        ahead = null;

        // What was not there then may be there now.
        var rows = known is { Count: > 0 } ? known : await Read(connection, after, AheadPage, cancellation);
        if (rows.Count == AheadPage) { ahead = (rows[^1].Position, Further(rows[^1].Position, cancellation)); }
        return rows;
    }

    /// <summary>Rows after a position, with their positions; none: there is nothing further yet.</summary>
    public async Task<List<(long Position, EventRow Row)>> Read(NpgsqlConnection connection, long after, int limit, CancellationToken cancellation)
    {
        var positions = new List<(long Seq, long Position)>(limit);
        await using (var command = store.Context.Command(connection, $"""
            select s.first_position, s.seqs from {store.Context.Schema}.pl_seals s
            where s.last_position > $1
              and s.last_position <= coalesce((select e.last_position from {store.Context.Schema}.pl_seals e where e.last_position >= $1 + $2 order by e.last_position limit 1), {long.MaxValue})
            order by s.last_position
            """))
        {
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = after });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = limit });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                var first = reader.GetInt64(0);
                var seqs = reader.GetFieldValue<long[]>(1);
                for (var i = (int)Math.Max(0, after + 1 - first); i < seqs.Length && positions.Count < limit; i++) { positions.Add((seqs[i], first + i)); }
            }
        }

        if (positions.Count == 0) { return []; }
        positions.Sort();
        var rows = new List<(long Position, EventRow Row)>(positions.Count);
        await using (var command = EventRange.Command(store.Context, connection, [.. positions.Select(one => one.Seq)]))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            // Both by number. Others of the range, not sealed or further on, are passed over.
            for (var next = 0; next < positions.Count && await reader.ReadAsync(cancellation);)
            {
                var seq = reader.GetInt64(0);
                while (next < positions.Count && positions[next].Seq < seq) { next++; }
                if (next < positions.Count && positions[next].Seq == seq) { rows.Add((positions[next++].Position, EventRow.From(reader))); }
            }
        }

        await AddTypes(connection, rows, cancellation);
        for (var i = 1; i < rows.Count; i++)
        {
            if (rows[i].Position > rows[i - 1].Position) { continue; }
            rows.Sort(static (a, b) => a.Position.CompareTo(b.Position));
            break;
        }

        return rows;
    }

    /// <summary>Null: it could not be read now, and will be asked for again.</summary>
    private async Task<List<(long Position, EventRow Row)>?> Further(long after, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await store.Source.OpenConnectionAsync(cancellation);
            return await Read(connection, after, AheadPage, cancellation);
        }
        catch (Exception e) when (e is OperationCanceledException || Postgres.IsAway(e) || e is PostgresException) { return null; }
    }

    /// <summary>A stream keeps its type, so what was read once is remembered.</summary>
    private async Task AddTypes(NpgsqlConnection connection, List<(long Position, EventRow Row)> rows, CancellationToken cancellation)
    {
        if (types.Count > MaxTypes) { types.Clear(); }
        var missing = new HashSet<StreamKey>();
        foreach (var (_, row) in rows)
        {
            var key = new StreamKey(row.Tenant, row.StreamId);
            if (!types.ContainsKey(key)) { missing.Add(key); }
        }

        if (missing.Count > 0)
        {
            await using var command = store.Context.Command(connection, $"""
                select k.tenant, k.id, (select s.type from {store.Context.Schema}.mt_streams s where s.tenant_id = k.tenant and s.id = k.id) from unnest($1::varchar[], $2::uuid[]) as k (tenant, id)
                """);
            command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. missing.Select(key => key.Tenant)] });
            command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. missing.Select(key => key.Id)] });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation)) { types[new StreamKey(reader.GetString(0), reader.GetGuid(1))] = reader.IsDBNull(2) ? null : reader.GetString(2); }
        }

        var all = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(rows);
        foreach (ref var one in all) { one.Row = one.Row with { StreamType = types.GetValueOrDefault(new StreamKey(one.Row.Tenant, one.Row.StreamId)) }; }
    }
}
