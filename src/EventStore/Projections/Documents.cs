using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Platform.EventStore.Audit;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>One page of documents.</summary>
/// <param name="Next">Where the next page begins; null: this was the last.</param>
public sealed record DocumentPage<TDocument>(IReadOnlyList<TDocument> Items, DocumentCursor? Next);

/// <summary>A place in a sorted list: the sort key and id of the document before it.</summary>
public sealed record DocumentCursor(string SortKey, string Id);

/// <summary>Reads what projections wrote.</summary>
public sealed class Documents(Store store)
{
    public const int MaxPage = 1_000;

    public Task<TDocument?> Get<TDocument>(Projection<TDocument> projection, TenantId tenant, string id, CancellationToken cancellation) where TDocument : class =>
        store.Context.Ask(async (connection, token) =>
        {
            await using var command = store.Context.Command(connection, $"""
                select d.data from {store.Context.Schema}.pl_documents d
                join {store.Context.Schema}.pl_projections p on p.name = d.projection and p.generation = d.generation and p.live
                where d.projection = $1 and d.tenant_id = $2 and d.id = $3
                """, projection.Name, tenant.Value, id);
            return await command.ExecuteScalarAsync(token) is string json ? (TDocument?)JsonSerializer.Deserialize(json, projection.DocumentJson) : null;
        }, cancellation);

    /// <summary>Documents in the order of their sort keys.</summary>
    /// <param name="containing">JSON that a document must contain (jsonb's <c>@&gt;</c>); null: all.</param>
    /// <param name="from">The least sort key, inclusive.</param>
    /// <param name="to">The greatest sort key, exclusive.</param>
    public Task<DocumentPage<TDocument>> Query<TDocument>(
        Projection<TDocument> projection,
        TenantId tenant,
        string? containing = null,
        DocumentCursor? after = null,
        int limit = 50,
        bool newestFirst = true,
        string? from = null,
        string? to = null,
        CancellationToken cancellation = default) where TDocument : class
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(limit);
        if (limit > MaxPage) { throw new LimitExceededException("page size", limit, MaxPage); }
        var (compare, order) = newestFirst ? ("<", "desc") : (">", "asc");
        return store.Context.Ask(async (connection, token) =>
        {
            await using var command = store.Context.Command(connection, $"""
                select d.data, d.sort_key, d.id from {store.Context.Schema}.pl_documents d
                where d.projection = $1 collate "C" and d.tenant_id = $2 collate "C"
                  and d.generation = (select generation from {store.Context.Schema}.pl_projections where name = $1 and live)
                  and ($3::jsonb is null or d.data @> $3::jsonb)
                  and ($4::varchar is null or (d.sort_key, d.id collate "C") {compare} ($4, $5))
                  and ($7::varchar is null or d.sort_key >= $7)
                  and ($8::varchar is null or d.sort_key < $8)
                order by d.sort_key {order}, d.id collate "C" {order} limit $6
                """, projection.Name, tenant.Value);
            command.Parameters.Add(new NpgsqlParameter { Value = (object?)containing ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
            command.Parameters.Add(new NpgsqlParameter { Value = (object?)after?.SortKey ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Varchar });
            command.Parameters.Add(new NpgsqlParameter { Value = (object?)after?.Id ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Varchar });
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit + 1 });
            command.Parameters.Add(new NpgsqlParameter { Value = (object?)from ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Varchar });
            command.Parameters.Add(new NpgsqlParameter { Value = (object?)to ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Varchar });

            var items = new List<TDocument>();
            DocumentCursor? last = null;
            await using var reader = await command.ExecuteReaderAsync(token);
            while (await reader.ReadAsync(token))
            {
                if (items.Count == limit) { return new DocumentPage<TDocument>(items, last); }
                items.Add((TDocument)JsonSerializer.Deserialize(reader.GetFieldValue<byte[]>(0), projection.DocumentJson)!);
                last = new DocumentCursor(reader.GetString(1), reader.GetString(2));
            }

            return new DocumentPage<TDocument>(items, null);
        }, cancellation);
    }

    /// <summary>Folds the log again, without what is parked or discarded, and compares with the live documents, byte for byte in canonical form. All documents are held in memory.</summary>
    /// <returns>Documents compared, and the keys of those that differ.</returns>
    public async Task<(int Compared, IReadOnlyList<string> Different)> Verify(Projection projection, CancellationToken cancellation) =>
        await store.Context.Ask(async (connection, token) =>
        {
            // One snapshot for documents and log: what inline projections wrote is there together with its events.
            await using var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, token);
            long generation, upTo;
            await using (var command = store.Context.Command(connection, $"select generation, case when inline then {long.MaxValue} else position end from {store.Context.Schema}.pl_projections where name = $1 and live", projection.Name))
            await using (var reader = await command.ExecuteReaderAsync(token))
            {
                if (!await reader.ReadAsync(token)) { return (0, (IReadOnlyList<string>)[]); }
                (generation, upTo) = (reader.GetInt64(0), reader.GetInt64(1));
            }

            var parked = await Parked.From(store.Context, connection, projection.Name, generation, token);
            var folded = new Refold(store, projection, parked, await Parked.Discarded(store.Context, connection, projection.Name, token));
            await folded.Read(connection, upTo, token);
            var different = new List<string>();
            var compared = 0;
            await using (var command = store.Context.Command(connection, $"select tenant_id, id, sort_key, data from {store.Context.Schema}.pl_documents where projection = $1 and generation = $2", projection.Name, generation))
            await using (var reader = await command.ExecuteReaderAsync(token))
            {
                while (await reader.ReadAsync(token))
                {
                    compared++;
                    var key = (reader.GetString(0), reader.GetString(1));
                    if (folded.Take(key) is not var (sortKey, json) || sortKey != reader.GetString(2) || !CanonicalJson.Of(json).AsSpan().SequenceEqual(CanonicalJson.Of(reader.GetFieldValue<byte[]>(3))))
                    {
                        different.Add($"{key.Item1}/{key.Item2}");
                    }
                }
            }

            different.AddRange(folded.Left.Select(left => $"{left.Tenant}/{left.Id}"));
            return (compared, (IReadOnlyList<string>)different);
        }, cancellation);

    /// <summary>The documents as the log gives them, in memory.</summary>
    private sealed class Refold(Store store, Projection projection, Dictionary<(string Tenant, Guid Stream), long> parked, HashSet<long> discarded)
    {
        private readonly Dictionary<(string Tenant, string Id), object> documents = [];

        public IEnumerable<(string Tenant, string Id)> Left => documents.Keys;

        public async Task Read(NpgsqlConnection connection, long upTo, CancellationToken cancellation)
        {
            var log = new SealedLog(store);
            for (long at = 0; at < upTo;)
            {
                var rows = await log.Read(connection, at, SealedLog.Page, cancellation);
                if (rows.Count == 0) { break; }
                foreach (var (position, row) in rows)
                {
                    if (position <= upTo && !discarded.Contains(position)) { Fold(row, position); }
                }

                at = rows[^1].Position;
            }

            if (projection.Lifecycle != ProjectionLifecycle.Inline) { return; }
            foreach (var row in await log.Pending(connection, cancellation)) { Fold(row, long.MaxValue); }
        }

        public (string SortKey, byte[] Json)? Take((string Tenant, string Id) key) =>
            documents.Remove(key, out var document) ? (projection.SortKey(document), JsonSerializer.SerializeToUtf8Bytes(document, projection.DocumentJson)) : null;

        private void Fold(EventRow row, long position)
        {
            if (!store.EventTypes.Knows(row.Alias) || (parked.TryGetValue((row.Tenant, row.StreamId), out var from) && position >= from)) { return; }
            try
            {
                var recorded = Folding.Seen(projection, row.Read(store.EventTypes, position));
                var keys = Folding.Keys(projection, recorded, store.Limits);
                object?[] after = [.. keys.Select(key => projection.Evolve(documents.GetValueOrDefault((row.Tenant, key)), key, recorded))];
                for (var i = 0; i < keys.Length; i++)
                {
                    if (after[i] is { } document) { documents[(row.Tenant, keys[i])] = document; }
                    else { documents.Remove((row.Tenant, keys[i])); }
                }
            }
            // It was folded then, and cannot be now: its documents will differ.
            catch (Exception poison) when (poison is not OperationCanceledException) { parked[(row.Tenant, row.StreamId)] = position; }
        }
    }
}
