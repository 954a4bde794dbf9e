using System.Security.Cryptography;
using System.Text.Json;
using Npgsql;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>One try of one committer: the documents of its batch, held until they are kept or let go.</summary>
internal sealed class InlineAttempt(InlineProjections inline, DocumentKey[] keys) : IDisposable
{
    private readonly Dictionary<DocumentKey, Remembered> before = new(keys.Length);
    private readonly Dictionary<DocumentKey, Change> changed = [];
    private InlineProjections.Live[] live = [];
    private bool ended;

    /// <summary>Of every row that this try writes. Random, so that a row that went and came again is not taken for the one it was.</summary>
    public long Revision { get; } = BitConverter.ToInt64(RandomNumberGenerator.GetBytes(8)) | 1;

    /// <param name="remember">Take from memory what is there.</param>
    /// <param name="locked">Keep others from the rows until the transaction ends.</param>
    public async Task Load(StoreContext context, InlineProjections.Live[] current, NpgsqlConnection connection, bool remember, bool locked, CancellationToken cancellation)
    {
        live = current;
        var missing = new List<DocumentKey>();
        foreach (var key in keys)
        {
            if (remember && inline.Recall(key) is { } known) { before[key] = known; }
            else { missing.Add(key); }
        }

        if (missing.Count == 0) { return; }
        if (locked)
        {
            // Before the rows, so that whoever makes another generation live does not wait for this transaction while it waits for him.
            await using var shared = context.Command(connection, $"select pg_advisory_xact_lock_shared({context.Schema}.pl_inline_lock())");
            await shared.ExecuteNonQueryAsync(cancellation);
        }

        foreach (var key in missing) { before[key] = new Remembered(null, null); }
        await using var command = context.Command(connection, $"""
            select k.projection, d.tenant_id, d.id, d.data, d.revision
            from unnest($1::integer[], $2::varchar[], $3::bigint[], $4::varchar[], $5::varchar[]) with ordinality as k (projection, name, generation, tenant, id, n)
            join {context.Schema}.pl_documents d on d.projection = k.name and d.generation = k.generation and d.tenant_id = k.tenant and d.id = k.id
            order by k.n {(locked ? "for update of d" : "")}
            """);
        command.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = [.. missing.Select(key => key.Projection)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. missing.Select(key => inline.Projections[key.Projection].Name)] });
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. missing.Select(key => live[key.Projection].Generation)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. missing.Select(key => key.Tenant)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. missing.Select(key => key.Id)] });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var key = new DocumentKey(reader.GetInt32(0), reader.GetString(1), reader.GetString(2));
            try { before[key] = new Remembered(Folding.Read(inline.Projections[key.Projection], reader.GetFieldValue<byte[]>(3)), reader.GetInt64(4)); }
            catch (JsonException unreadable) { before[key] = new Remembered(null, reader.GetInt64(4), $"Document '{key.Id}' cannot be read: {unreadable.Message}"); }
        }
    }

    /// <summary>Folds what waits. False: something cannot be folded, which is held against it only when that is final.</summary>
    public bool Fold(IReadOnlyList<CommitChain> chains, bool final)
    {
        changed.Clear();
        foreach (var chain in chains)
        {
            var refused = false;
            foreach (var unit in chain.Units)
            {
                if (unit.Outcome != Outcome.Waiting) { continue; }
                if (refused) { unit.Outcome = Outcome.Superseded; }
                else if (unit.Projected is { } events && Fold(unit, events) is { } fault)
                {
                    if (!final) { return false; }
                    refused = true;
                    unit.Outcome = Outcome.Failed;
                    unit.Error = fault;
                }
            }
        }

        return true;
    }

    /// <summary>Says what is to be written.</summary>
    public void Write(InlineWrite write)
    {
        write.Begin(Revision);
        foreach (var projection in changed.Keys.Select(key => key.Projection).Distinct()) { write.Generation(inline.Projections[projection].Name, live[projection].Generation); }
        foreach (var key in keys)
        {
            if (changed.TryGetValue(key, out var change)) { write.Document(inline.Projections[key.Projection].Name, live[key.Projection].Generation, key, before[key].Revision, change.SortKey, change.Json); }
        }
    }

    /// <summary>It is committed.</summary>
    public void Keep()
    {
        if (ended) { return; }
        ended = true;
        inline.Release(keys, key => changed.TryGetValue(key, out var change) ? new Remembered(change.Document, change.Document is null ? null : Revision) : before[key]);
    }

    public void Dispose()
    {
        if (ended) { return; }
        ended = true;
        inline.Release(keys, null);
    }

    /// <returns>Why it cannot be; null: it is.</returns>
    private Exception? Fold(CommitUnit unit, List<InlineEvent> events)
    {
        var after = new Dictionary<DocumentKey, object?>();
        try
        {
            foreach (var (index, recorded, ids) in events)
            {
                if (live[index].Unfit is { } unfit) { throw new StoreUnavailableException(unfit); }
                if (live[index].Parked.Contains((unit.Tenant.Value, recorded.StreamId))) { continue; }
                foreach (var id in ids)
                {
                    var key = new DocumentKey(index, unit.Tenant.Value, id);
                    try { after[key] = inline.Projections[index].Evolve(after.TryGetValue(key, out var evolving) ? evolving : Now(key), id, recorded); }
                    catch (Exception fault) { throw new ProjectionFailedException(inline.Projections[index].Name, recorded.Alias, fault); }
                }
            }

            var written = new List<(DocumentKey, Change)>(after.Count);
            foreach (var (key, document) in after)
            {
                if (document is null) { written.Add((key, new Change(null, null, null))); }
                else
                {
                    var (sortKey, json) = Folding.Write(inline.Projections[key.Projection], document, inline.Limits);
                    written.Add((key, new Change(document, sortKey, json)));
                }
            }

            foreach (var (key, change) in written) { changed[key] = change; }
            return null;
        }
        // The fold is the projection's code: whatever it throws decides only over its own commit.
        catch (Exception fault)
        {
            return fault;
        }
    }

    private object? Now(DocumentKey key)
    {
        if (changed.TryGetValue(key, out var change)) { return change.Document; }
        var known = before[key];
        return known.Broken is { } broken ? throw new JsonException(broken) : known.Document;
    }

    private readonly record struct Change(object? Document, string? SortKey, byte[]? Json);
}
