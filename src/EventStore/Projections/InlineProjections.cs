using Npgsql;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>One event of a commit that an inline projection folds.</summary>
/// <param name="Projection">Its index.</param>
internal sealed record InlineEvent(int Projection, RecordedEvent Recorded, string[] Keys);

internal readonly record struct DocumentKey(int Projection, string Tenant, string Id) : IComparable<DocumentKey>
{
    public int CompareTo(DocumentKey other)
    {
        if (Projection != other.Projection) { return Projection.CompareTo(other.Projection); }
        var byTenant = string.CompareOrdinal(Tenant, other.Tenant);
        return byTenant != 0 ? byTenant : string.CompareOrdinal(Id, other.Id);
    }
}

/// <summary>A document as last seen. Revision null: there is none.</summary>
/// <param name="Broken">Why the stored text cannot be read; null: it can.</param>
internal readonly record struct Remembered(object? Document, long? Revision, string? Broken = null);

/// <summary>
/// Projections whose documents are written in the transaction of the events that change them. Documents stay in memory between commits, so that a commit asks nothing first;
/// that another process was faster is seen by the row's revision, and the commit is tried again on what stands there, its documents then locked before they are read.
/// </summary>
internal sealed class InlineProjections(StoreContext context, StoreLimits limits, IReadOnlyList<Projection> projections)
{
    /// <summary>Documents remembered; past it all are read again.</summary>
    private const int MaxRemembered = 20_000;

    private readonly Lock gate = new();
    private readonly Dictionary<DocumentKey, Remembered> remembered = [];
    private readonly HashSet<DocumentKey> busy = [];
    private TaskCompletionSource freed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile Live[]? live;

    public IReadOnlyList<Projection> Projections => projections;

    public StoreLimits Limits => limits;

    /// <summary>What inline projections make of a commit's events; null for most.</summary>
    /// <exception cref="ProjectionFailedException">A projection cannot even say which documents they touch.</exception>
    public List<InlineEvent>? Of(TenantId tenant, DateTimeOffset time, EventMetadata metadata, StreamPart part, List<InlineEvent>? found = null)
    {
        // Postgres keeps microseconds: a rebuild must see the same moment.
        var utc = time.ToUniversalTime();
        var moment = utc.AddTicks(-(utc.Ticks % TimeSpan.TicksPerMicrosecond));
        foreach (ref readonly var stored in part.Events.AsSpan())
        {
            var recorded = new RecordedEvent(0, 0, stored.Id, tenant, part.Id, null, 0, stored.Type.Alias, stored.Fact, moment, metadata);
            for (var i = 0; i < projections.Count; i++)
            {
                try
                {
                    var keys = Folding.Keys(projections[i], recorded, limits);
                    if (keys.Length > 0) { (found ??= []).Add(new InlineEvent(i, recorded, keys)); }
                }
                catch (Exception fault) { throw new ProjectionFailedException(projections[i].Name, recorded.Alias, fault); }
            }
        }

        return found;
    }

    /// <summary>Folds what waits in these chains. A unit whose fold throws fails, and what stands on it is superseded; the others go on.</summary>
    /// <param name="locked">Within a transaction that keeps other processes from these documents until it ends.</param>
    public async Task<InlineAttempt> Begin(IReadOnlyList<CommitChain> chains, NpgsqlConnection connection, bool locked, CancellationToken cancellation)
    {
        var keys = new HashSet<DocumentKey>();
        foreach (var chain in chains)
        {
            foreach (var unit in chain.Units)
            {
                if (unit.Outcome != Outcome.Waiting || unit.Projected is not { } events) { continue; }
                foreach (var one in events)
                {
                    foreach (var key in one.Keys) { keys.Add(new DocumentKey(one.Projection, unit.Tenant.Value, key)); }
                }
            }
        }

        var sorted = keys.Order().ToArray();
        await Claim(sorted, cancellation);
        var attempt = new InlineAttempt(this, sorted);
        try
        {
            await attempt.Load(context, live ??= await ReadLive(connection, cancellation), connection, remember: !locked, locked, cancellation);
            if (attempt.Fold(chains, final: false)) { return attempt; }

            // What is remembered may be old, and a commit is not refused on that: once more on what stands there.
            await attempt.Load(context, live = await ReadLive(connection, cancellation), connection, remember: false, locked, cancellation);
            attempt.Fold(chains, final: true);
            return attempt;
        }
        catch
        {
            attempt.Dispose();
            throw;
        }
    }

    /// <summary>The generations to write to, as the database says now.</summary>
    /// <exception cref="ProjectionTooNewException"/>
    public async Task<bool> AreLive(NpgsqlConnection connection, CancellationToken cancellation)
    {
        var found = live = await ReadLive(connection, cancellation);
        for (var i = 0; i < found.Length; i++)
        {
            if (found[i].Version > projections[i].Version) { throw new ProjectionTooNewException(projections[i].Name, found[i].Version, projections[i].Version); }
        }

        return found.All(one => one.Unfit is null);
    }

    internal Remembered? Recall(DocumentKey key)
    {
        lock (gate) { return remembered.TryGetValue(key, out var found) ? found : null; }
    }

    /// <summary>Lets go of documents, and remembers them as they were written; null: nobody knows how they stand now.</summary>
    internal void Release(DocumentKey[] keys, Func<DocumentKey, Remembered>? written)
    {
        TaskCompletionSource signal;
        lock (gate)
        {
            if (remembered.Count > MaxRemembered) { remembered.Clear(); }
            foreach (var key in keys)
            {
                busy.Remove(key);
                if (written is null) { remembered.Remove(key); }
                else { remembered[key] = written(key); }
            }

            // The other generation may be live by now.
            if (written is null) { live = null; }
            signal = freed;
            freed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        signal.TrySetResult();
    }

    /// <summary>Committers of one process do not overtake each other on a document: the second would only be refused.</summary>
    private async Task Claim(DocumentKey[] keys, CancellationToken cancellation)
    {
        while (true)
        {
            Task wait;
            lock (gate)
            {
                if (!Array.Exists(keys, busy.Contains))
                {
                    foreach (var key in keys) { busy.Add(key); }
                    return;
                }

                wait = freed.Task;
            }

            await wait.WaitAsync(cancellation);
        }
    }

    private async Task<Live[]> ReadLive(NpgsqlConnection connection, CancellationToken cancellation)
    {
        var found = new Dictionary<string, (long Generation, int Version, bool Inline)>(StringComparer.Ordinal);
        await using (var command = context.Command(connection, $"select name, generation, version, inline from {context.Schema}.pl_projections where live and name = any($1)"))
        {
            command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. projections.Select(one => one.Name)] });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation)) { found.Add(reader.GetString(0), (reader.GetInt64(1), reader.GetInt32(2), reader.GetBoolean(3))); }
        }

        var result = new Live[projections.Count];
        for (var i = 0; i < result.Length; i++)
        {
            var projection = projections[i];
            if (!found.TryGetValue(projection.Name, out var row)) { result[i] = new Live(0, 0, $"Projection '{projection.Name}' is not built yet.", []); }
            else if (row.Version != projection.Version) { result[i] = new Live(row.Generation, row.Version, $"Projection '{projection.Name}' is live in version {row.Version}; this program folds version {projection.Version}.", []); }
            else if (!row.Inline) { result[i] = new Live(row.Generation, row.Version, $"Projection '{projection.Name}' is live as an async one.", []); }
            else { result[i] = new Live(row.Generation, row.Version, null, await Parked.Streams(context, connection, projection.Name, row.Generation, cancellation)); }
        }

        lock (gate)
        {
            // What is remembered is of the generation before.
            if (busy.Count == 0) { remembered.Clear(); }
            else { foreach (var key in remembered.Keys.Where(key => !busy.Contains(key)).ToArray()) { remembered.Remove(key); } }
        }

        return result;
    }

    /// <summary>The generation to write to.</summary>
    /// <param name="Unfit">Why it cannot be written to; null: it can.</param>
    /// <param name="Parked">Streams of which an event could not be folded when it was built: their later events wait behind it.</param>
    internal sealed record Live(long Generation, int Version, string? Unfit, HashSet<(string Tenant, Guid Stream)> Parked);
}
