using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>One build of a projection's documents, from position 0 on.</summary>
internal sealed class Generation(Store store, Projection projection, NpgsqlConnection connection, long number, long position)
{
    /// <summary>Documents kept in memory between batches.</summary>
    private const int MaxCached = 20_000;

    private readonly string schema = store.Context.Schema;
    private readonly Dictionary<(string Tenant, string Id), object?> documents = [];
    private readonly HashSet<(string Tenant, Guid Stream)> parked = [];

    public long Position { get; private set; } = position;

    public async Task LoadParked(CancellationToken cancellation)
    {
        await using var command = store.Context.Command(connection, $"select distinct tenant_id, stream_id from {schema}.pl_parked where projection = $1 and generation = $2", projection.Name, number);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation)) { parked.Add((reader.GetString(0), reader.GetGuid(1))); }
    }

    /// <summary>Folds a batch and commits documents and position together.</summary>
    public async Task Fold(List<(long Position, EventRow Row)> rows, CancellationToken cancellation)
    {
        if (documents.Count > MaxCached) { documents.Clear(); }
        try
        {
            var held = new List<(long Position, EventRow Row, string? Error)>();
            var work = new List<(RecordedEvent Event, EventRow Row, string[] Keys)>(rows.Count);
            foreach (var (at, row) in rows)
            {
                if (!store.EventTypes.Knows(row.Alias)) { continue; }
                try
                {
                    var recorded = row.Read(store.EventTypes, at);
                    string[] keys = [.. projection.Keys(recorded)];
                    if (keys.Length > 0) { work.Add((recorded, row, keys)); }
                }
                catch (Exception poison) when (poison is not OperationCanceledException)
                {
                    // Whatever an event does to a fold, the others go on.
                    held.Add((at, row, poison.Message));
                    parked.Add((row.Tenant, row.StreamId));
                }
            }

            await LoadDocuments(work, cancellation);
            var changed = new HashSet<(string, string)>();
            foreach (var (recorded, row, keys) in work)
            {
                if (parked.Contains((row.Tenant, row.StreamId)))
                {
                    held.Add((recorded.Position, row, null));
                    continue;
                }

                try { Evolve(recorded, row.Tenant, keys, changed); }
                catch (Exception poison) when (poison is not OperationCanceledException)
                {
                    held.Add((recorded.Position, row, poison.Message));
                    parked.Add((row.Tenant, row.StreamId));
                }
            }

            await Write(changed, held, rows[^1].Position, cancellation);
            Position = rows[^1].Position;
        }
        catch
        {
            documents.Clear();
            throw;
        }
    }

    /// <summary>Makes this generation the one that is read, and drops the others.</summary>
    public async Task TakeOver(CancellationToken cancellation)
    {
        await using var batch = new NpgsqlBatch(connection) { Timeout = 0 };
        foreach (var sql in (string[])
        [
            $"update {schema}.pl_projections set live = false where name = $1 and generation <> $2",
            $"update {schema}.pl_projections set live = true where name = $1 and generation = $2",
            $"delete from {schema}.pl_documents where projection = $1 and generation < $2",
            $"delete from {schema}.pl_parked where projection = $1 and generation < $2",
            $"delete from {schema}.pl_projections where name = $1 and generation < $2",
        ])
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand(sql) { Parameters = { new NpgsqlParameter<string> { TypedValue = projection.Name }, new NpgsqlParameter<long> { TypedValue = number } } });
        }

        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await batch.ExecuteNonQueryAsync(cancellation);
        await transaction.CommitAsync(cancellation);
    }

    private void Evolve(RecordedEvent recorded, string tenant, string[] keys, HashSet<(string, string)> changed)
    {
        // All documents of an event change, or none: a fold that throws at the second leaves the first as it was.
        var after = new object?[keys.Length];
        for (var i = 0; i < keys.Length; i++) { after[i] = projection.Evolve(documents.GetValueOrDefault((tenant, keys[i])), keys[i], recorded); }
        for (var i = 0; i < keys.Length; i++)
        {
            documents[(tenant, keys[i])] = after[i];
            changed.Add((tenant, keys[i]));
        }
    }

    private async Task LoadDocuments(List<(RecordedEvent Event, EventRow Row, string[] Keys)> work, CancellationToken cancellation)
    {
        var missing = new HashSet<(string Tenant, string Id)>();
        foreach (var (_, row, keys) in work)
        {
            foreach (var key in keys)
            {
                if (!documents.ContainsKey((row.Tenant, key))) { missing.Add((row.Tenant, key)); }
            }
        }

        if (missing.Count == 0) { return; }
        foreach (var key in missing) { documents[key] = null; }

        await using var command = store.Context.Command(connection, $"""
            select d.tenant_id, d.id, d.data from unnest($3::varchar[], $4::varchar[]) as k (tenant, id)
            join {schema}.pl_documents d on d.projection = $1 and d.generation = $2 and d.tenant_id = k.tenant and d.id = k.id
            """, projection.Name, number);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. missing.Select(key => key.Tenant)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. missing.Select(key => key.Id)] });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            documents[(reader.GetString(0), reader.GetString(1))] = JsonSerializer.Deserialize(reader.GetFieldValue<byte[]>(2), projection.DocumentJson);
        }
    }

    private async Task Write(HashSet<(string Tenant, string Id)> changed, List<(long Position, EventRow Row, string? Error)> held, long upTo, CancellationToken cancellation)
    {
        await using var batch = new NpgsqlBatch(connection) { Timeout = store.Context.CommandTimeoutSeconds };
        var kept = changed.Where(key => documents[key] is not null).ToArray();
        if (kept.Length > 0)
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand($"""
                insert into {schema}.pl_documents (projection, generation, tenant_id, id, sort_key, data)
                select $1, $2, tenant, id, sort_key, data::jsonb from unnest($3::varchar[], $4::varchar[], $5::varchar[], $6::text[]) as d (tenant, id, sort_key, data)
                on conflict (projection, generation, tenant_id, id) do update set sort_key = excluded.sort_key, data = excluded.data
                """)
            {
                Parameters =
                {
                    new NpgsqlParameter<string> { TypedValue = projection.Name },
                    new NpgsqlParameter<long> { TypedValue = number },
                    new NpgsqlParameter<string[]> { TypedValue = [.. kept.Select(key => key.Tenant)] },
                    new NpgsqlParameter<string[]> { TypedValue = [.. kept.Select(key => key.Id)] },
                    new NpgsqlParameter<string[]> { TypedValue = [.. kept.Select(key => projection.SortKey(documents[key]!))] },
                    new NpgsqlParameter { Value = kept.Select(key => JsonSerializer.Serialize(documents[key], projection.DocumentJson)).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text },
                },
            });
        }

        var gone = changed.Where(key => documents[key] is null).ToArray();
        if (gone.Length > 0)
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand($"""
                delete from {schema}.pl_documents d using unnest($3::varchar[], $4::varchar[]) as k (tenant, id)
                where d.projection = $1 and d.generation = $2 and d.tenant_id = k.tenant and d.id = k.id
                """)
            {
                Parameters =
                {
                    new NpgsqlParameter<string> { TypedValue = projection.Name },
                    new NpgsqlParameter<long> { TypedValue = number },
                    new NpgsqlParameter<string[]> { TypedValue = [.. gone.Select(key => key.Tenant)] },
                    new NpgsqlParameter<string[]> { TypedValue = [.. gone.Select(key => key.Id)] },
                },
            });
        }

        foreach (var (at, row, error) in held)
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand($"insert into {schema}.pl_parked (projection, generation, position, tenant_id, stream_id, error) values ($1, $2, $3, $4, $5, $6)")
            {
                Parameters =
                {
                    new NpgsqlParameter<string> { TypedValue = projection.Name },
                    new NpgsqlParameter<long> { TypedValue = number },
                    new NpgsqlParameter<long> { TypedValue = at },
                    new NpgsqlParameter<string> { TypedValue = row.Tenant },
                    new NpgsqlParameter<Guid> { TypedValue = row.StreamId },
                    new NpgsqlParameter { Value = (object?)error ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                },
            });
        }

        batch.BatchCommands.Add(new NpgsqlBatchCommand($"update {schema}.pl_projections set position = $3, updated_at = clock_timestamp() where name = $1 and generation = $2")
        {
            Parameters =
            {
                new NpgsqlParameter<string> { TypedValue = projection.Name },
                new NpgsqlParameter<long> { TypedValue = number },
                new NpgsqlParameter<long> { TypedValue = upTo },
            },
        });
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await batch.ExecuteNonQueryAsync(cancellation);
        await transaction.CommitAsync(cancellation);
    }
}
