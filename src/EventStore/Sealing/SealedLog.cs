using Npgsql;

namespace Platform.EventStore.Sealing;

/// <summary>Reads the log by position.</summary>
internal sealed class SealedLog(Store store)
{
    /// <summary>Events read with one query.</summary>
    public const int Page = 2_000;

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

        return rows;
    }

    /// <summary>Rows after a position, with their positions; none: there is nothing further yet.</summary>
    public async Task<List<(long Position, EventRow Row)>> Read(NpgsqlConnection connection, long after, int limit, CancellationToken cancellation)
    {
        var positions = new Dictionary<long, long>(limit);
        await using (var command = store.Context.Command(connection, $"""
            select s.first_position, s.seqs from {store.Context.Schema}.pl_seals s where s.last_position > $1 order by s.last_position limit $2
            """))
        {
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = after });
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (positions.Count < limit && await reader.ReadAsync(cancellation))
            {
                var first = reader.GetInt64(0);
                var seqs = reader.GetFieldValue<long[]>(1);
                for (var i = (int)Math.Max(0, after + 1 - first); i < seqs.Length && positions.Count < limit; i++) { positions.Add(seqs[i], first + i); }
            }
        }

        if (positions.Count == 0) { return []; }
        var sorted = positions.Keys.Order().ToArray();
        var rows = new List<(long Position, EventRow Row)>(sorted.Length);
        await using (var command = EventRange.Command(store.Context, connection, sorted))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation))
            {
                if (positions.TryGetValue(reader.GetInt64(0), out var position)) { rows.Add((position, EventRow.From(reader))); }
            }
        }

        rows.Sort((a, b) => a.Position.CompareTo(b.Position));
        return rows;
    }
}
