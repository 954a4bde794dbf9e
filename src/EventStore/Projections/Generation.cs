using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>One build of a projection's documents, from position 0 on.</summary>
internal sealed class Generation(Store store, Projection projection, NpgsqlConnection connection, long number, long position)
{
    /// <summary>Documents kept in memory between batches.</summary>
    private const int MaxCached = 20_000;

    /// <summary>How long commits with inline documents may be held up by a switch that itself waits for one of them.</summary>
    private const int SwitchTimeoutSeconds = 2;

    private readonly string schema = store.Context.Schema;
    private readonly Dictionary<(string Tenant, string Id), object?> documents = [];
    private readonly Dictionary<(string Tenant, string Id), string> unreadable = [];
    private HashSet<(string Tenant, Guid Stream)> parked = [];
    private HashSet<long> discarded = [];

    /// <summary>Memory must be read again: it was not, or what it holds was not committed.</summary>
    private bool stale = true;

    public long Position { get; private set; } = position;

    /// <summary>Folds a batch and commits documents and position together.</summary>
    public async Task Fold(List<(long Position, EventRow Row)> rows, CancellationToken cancellation)
    {
        try { await Commit(() => Fold(rows, null, cancellation), cancellation); }
        catch (Exception refused) when (IsOfTheEvents(refused))
        {
            // One of them makes a document that cannot be written: one by one, only that one is parked.
            foreach (var row in rows)
            {
                try { await Commit(() => Fold([row], null, cancellation), cancellation); }
                catch (Exception guilty) when (IsOfTheEvents(guilty)) { await Commit(() => Fold([row], guilty.Message, cancellation), cancellation); }
            }
        }
    }

    /// <summary>Makes this generation the one that is read.</summary>
    public Task TakeOver(CancellationToken cancellation) => Commit(() => Switch(cancellation), cancellation);

    /// <summary>
    /// As <see cref="TakeOver"/>, for documents that every commit writes from then on. While nobody commits such documents, everything that is committed and not folded yet is folded,
    /// sealed or not. False: one of those events cannot be folded; try again once it has a position to be parked at.
    /// </summary>
    public async Task<bool> TakeOverInline(SealedLog log, CancellationToken cancellation)
    {
        // A session's lock, so that the transaction's snapshot is of after it.
        await using (var take = new NpgsqlCommand($"select pg_advisory_lock({schema}.pl_inline_lock())", connection) { CommandTimeout = SwitchTimeoutSeconds }) { await take.ExecuteNonQueryAsync(cancellation); }
        try
        {
            var sound = true;
            await Commit(
                async () =>
                {
                    while (await log.Read(connection, Position, SealedLog.Page, cancellation) is { Count: > 0 } rows) { await Fold(rows, null, cancellation); }
                    var rest = await log.Pending(connection, cancellation);
                    var (changed, held) = await Apply([.. rest.Where(row => !parked.Contains((row.Tenant, row.StreamId))).Select(row => (0L, row))], null, cancellation);
                    sound = held.Count == 0;
                    if (!sound) { return; }
                    await Write(changed, [], Position, cancellation);
                    await Switch(cancellation);
                },
                cancellation,
                () => sound);
            return sound;
        }
        finally
        {
            await using var free = store.Context.Command(connection, $"select pg_advisory_unlock({schema}.pl_inline_lock())");
            if (connection.FullState == System.Data.ConnectionState.Open) { await free.ExecuteNonQueryAsync(CancellationToken.None); }
        }
    }

    /// <summary>Something in the documents, not the server's state or another session.</summary>
    private static bool IsOfTheEvents(Exception refused) => refused switch
    {
        ProjectionFailedException => true,
        PostgresException p => p.SqlState[..2] is "22" or "23" or "54",
        _ => false,
    };

    private async Task Commit(Func<Task> work, CancellationToken cancellation, Func<bool>? when = null)
    {
        var before = Position;
        if (stale || documents.Count > MaxCached)
        {
            documents.Clear();
            unreadable.Clear();
        }

        if (stale)
        {
            parked = await Parked.Streams(store.Context, connection, projection.Name, number, cancellation);
            discarded = await Parked.Discarded(store.Context, connection, projection.Name, cancellation);
        }

        stale = true;
        await using var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, cancellation);
        try
        {
            await work();
            if (when is null || when())
            {
                await transaction.CommitAsync(cancellation);
                stale = false;
            }
        }
        finally
        {
            if (stale) { Position = before; }
        }
    }

    private async Task Fold(List<(long Position, EventRow Row)> rows, string? refusal, CancellationToken cancellation)
    {
        var (changed, held) = await Apply(rows, refusal, cancellation);
        await Write(changed, held, rows[^1].Position, cancellation);
        Position = rows[^1].Position;
    }

    /// <summary>Folds in memory.</summary>
    /// <param name="refusal">Why the database does not take what comes of these events; null: it has not been asked.</param>
    /// <returns>What is to be written, and the events that are not folded, each with its error or, behind another of its stream, without.</returns>
    private async Task<(HashSet<(string Tenant, string Id)> Changed, List<(long Position, EventRow Row, string? Error)> Held)> Apply(
        List<(long Position, EventRow Row)> rows, string? refusal, CancellationToken cancellation)
    {
        var held = new List<(long Position, EventRow Row, string? Error)>();
        var work = new List<(long Position, EventRow Row, RecordedEvent? Event, string[] Keys, string? Error)>(rows.Count);
        foreach (var (at, row) in rows)
        {
            if (!store.EventTypes.Knows(row.Alias) || discarded.Contains(at)) { continue; }
            try
            {
                var recorded = Folding.Seen(projection, row.Read(store.EventTypes, at));
                var keys = Folding.Keys(projection, recorded, store.Limits);
                if (keys.Length > 0) { work.Add((at, row, recorded, keys, refusal)); }
            }
            // Whatever an event does to a fold, the others go on.
            catch (Exception poison) when (poison is not OperationCanceledException) { work.Add((at, row, null, [], poison.Message)); }
        }

        await LoadDocuments(work.SelectMany(one => one.Keys.Select(key => (one.Row.Tenant, key))), cancellation);
        var changed = new HashSet<(string Tenant, string Id)>();
        foreach (var (at, row, recorded, keys, error) in work)
        {
            if (parked.Contains((row.Tenant, row.StreamId))) { held.Add((at, row, null)); }
            else if (error is not null) { Park(at, row, error); }
            else
            {
                try { Evolve(recorded!, row.Tenant, keys, changed); }
                catch (Exception poison) when (poison is not OperationCanceledException) { Park(at, row, poison.Message); }
            }
        }

        return (changed, held);

        void Park(long at, EventRow row, string error)
        {
            held.Add((at, row, error));
            parked.Add((row.Tenant, row.StreamId));
        }
    }

    private void Evolve(RecordedEvent recorded, string tenant, string[] keys, HashSet<(string Tenant, string Id)> changed)
    {
        // All documents of an event change, or none: a fold that throws at the second leaves the first as it was.
        var after = new object?[keys.Length];
        for (var i = 0; i < keys.Length; i++)
        {
            if (unreadable.TryGetValue((tenant, keys[i]), out var why)) { throw new JsonException(why); }
            after[i] = projection.Evolve(documents.GetValueOrDefault((tenant, keys[i])), keys[i], recorded);
        }

        for (var i = 0; i < keys.Length; i++)
        {
            documents[(tenant, keys[i])] = after[i];
            changed.Add((tenant, keys[i]));
        }
    }

    private async Task LoadDocuments(IEnumerable<(string Tenant, string Id)> keys, CancellationToken cancellation)
    {
        var missing = keys.Where(key => !documents.ContainsKey(key)).ToHashSet();
        if (missing.Count == 0) { return; }
        foreach (var key in missing) { documents[key] = null; }

        // One look-up a document: a join reads the whole table for each page.
        await using var command = store.Context.Command(connection, $"""
            select k.tenant, k.id, (select d.data from {schema}.pl_documents d where d.projection = $1 and d.generation = $2 and d.tenant_id = k.tenant and d.id = k.id)
            from unnest($3::varchar[], $4::varchar[]) as k (tenant, id)
            """, projection.Name, number);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. missing.Select(key => key.Tenant)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. missing.Select(key => key.Id)] });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            if (reader.IsDBNull(2)) { continue; }
            var key = (reader.GetString(0), reader.GetString(1));
            try { documents[key] = Folding.Read(projection, reader.GetFieldValue<byte[]>(2)); }
            catch (JsonException broken) { unreadable[key] = $"Document '{key.Item2}' cannot be read: {broken.Message}"; }
        }
    }

    /// <exception cref="ProjectionFailedException">A document is more than may be written.</exception>
    private async Task Write(HashSet<(string Tenant, string Id)> changed, List<(long Position, EventRow Row, string? Error)> held, long upTo, CancellationToken cancellation)
    {
        await using var batch = new NpgsqlBatch(connection) { Timeout = store.Context.CommandTimeoutSeconds };
        var kept = new List<((string Tenant, string Id) Key, string SortKey, byte[] Json)>(changed.Count);
        var gone = new List<(string Tenant, string Id)>();
        foreach (var key in changed)
        {
            if (documents[key] is not { } document)
            {
                gone.Add(key);
                continue;
            }

            try
            {
                var (sortKey, json) = Folding.Write(projection, document, store.Limits);
                kept.Add((key, sortKey, json));
            }
            catch (Exception fault) { throw new ProjectionFailedException(projection.Name, $"document '{key.Id}'", fault); }
        }

        if (kept.Count > 0)
        {
            Add(
                $"""
                insert into {schema}.pl_documents (projection, generation, tenant_id, id, sort_key, data)
                select $1, $2, tenant, id, sort_key, data from unnest($3::varchar[], $4::varchar[], $5::varchar[], $6) as d (tenant, id, sort_key, data)
                on conflict (projection, generation, tenant_id, id) do update set sort_key = excluded.sort_key, data = excluded.data, revision = 0
                """,
                new NpgsqlParameter<string[]> { TypedValue = [.. kept.Select(one => one.Key.Tenant)] },
                new NpgsqlParameter<string[]> { TypedValue = [.. kept.Select(one => one.Key.Id)] },
                new NpgsqlParameter<string[]> { TypedValue = [.. kept.Select(one => one.SortKey)] },
                new NpgsqlParameter<byte[][]> { TypedValue = [.. kept.Select(one => one.Json)], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Jsonb });
        }

        if (gone.Count > 0)
        {
            Add(
                $"""
                delete from {schema}.pl_documents d using unnest($3::varchar[], $4::varchar[]) as k (tenant, id)
                where d.projection = $1 and d.generation = $2 and d.tenant_id = k.tenant and d.id = k.id
                """,
                new NpgsqlParameter<string[]> { TypedValue = [.. gone.Select(key => key.Tenant)] },
                new NpgsqlParameter<string[]> { TypedValue = [.. gone.Select(key => key.Id)] });
        }

        if (held.Count > 0)
        {
            Add(
                $"insert into {schema}.pl_parked (projection, generation, position, tenant_id, stream_id, error) select $1, $2, * from unnest($3::bigint[], $4::varchar[], $5::uuid[], $6::text[])",
                new NpgsqlParameter<long[]> { TypedValue = [.. held.Select(one => one.Position)] },
                new NpgsqlParameter<string[]> { TypedValue = [.. held.Select(one => one.Row.Tenant)] },
                new NpgsqlParameter<Guid[]> { TypedValue = [.. held.Select(one => one.Row.StreamId)] },
                new NpgsqlParameter<string?[]> { TypedValue = [.. held.Select(one => one.Error is null ? null : MessageStore.Shorten(one.Error))] });
        }

        var moved = Add($"update {schema}.pl_projections set position = $3, updated_at = clock_timestamp() where name = $1 and generation = $2", new NpgsqlParameter<long> { TypedValue = upTo });
        await batch.ExecuteNonQueryAsync(cancellation);
        if (moved.RecordsAffected != 1) { throw new InvalidOperationException($"Generation {number} of '{projection.Name}' is gone: another has taken its place."); }

        NpgsqlBatchCommand Add(string sql, params ReadOnlySpan<NpgsqlParameter> parameters)
        {
            var command = new NpgsqlBatchCommand(sql) { Parameters = { new NpgsqlParameter<string> { TypedValue = projection.Name }, new NpgsqlParameter<long> { TypedValue = number } } };
            foreach (var parameter in parameters) { command.Parameters.Add(parameter); }
            batch.BatchCommands.Add(command);
            return command;
        }
    }

    /// <summary>The rows of the generation before go afterwards, as nobody reads them any more: see <see cref="Drop"/>.</summary>
    private async Task Switch(CancellationToken cancellation)
    {
        foreach (var sql in (string[])
        [
            $"update {schema}.pl_projections set live = false where name = $1 and live and generation <> $2",
            $"update {schema}.pl_projections set live = true where name = $1 and generation = $2",
        ])
        {
            await using var command = store.Context.Command(connection, sql, projection.Name, number);
            await command.ExecuteNonQueryAsync(cancellation);
        }
    }

    /// <summary>Takes away a generation that another one has followed.</summary>
    public static async Task Drop(Store store, NpgsqlConnection connection, string projection, long number, CancellationToken cancellation)
    {
        // Its own row first: whoever still writes for it ends before that, or finds it gone.
        foreach (var table in (string[])["pl_projections where name", "pl_documents where projection", "pl_parked where projection"])
        {
            await using var command = new NpgsqlCommand($"delete from {store.Context.Schema}.{table} = $1 and generation = $2", connection) { CommandTimeout = 0 };
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = projection });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = number });
            await command.ExecuteNonQueryAsync(cancellation);
        }
    }
}
