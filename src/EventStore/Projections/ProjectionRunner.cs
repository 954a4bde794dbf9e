using System.Diagnostics.Metrics;
using Npgsql;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>What a host sees of a projection.</summary>
/// <param name="Position">Everything up to here is folded; of a live inline one, everything is.</param>
/// <param name="Lag">Events behind the seal.</param>
/// <param name="Behind">How long the first of them has been sealed; zero: none is.</param>
/// <param name="Parked">Events that could not be folded, with those that wait behind them.</param>
/// <param name="Discarded">Events that a person has told it to leave out.</param>
public sealed record ProjectionStatus(
    string Name, int Version, ProjectionLifecycle Lifecycle, long Generation, long Position, long Lag, TimeSpan Behind, bool Live, int Parked, int Discarded, bool OwnedHere);

/// <summary>
/// Folds sealed events into documents, a generation at a time. One node works on a projection, by a lock of the connection that also writes; documents and
/// position commit together, so each event counts once, whatever dies in between. Of inline projections it builds what is not live yet.
/// </summary>
public sealed class ProjectionRunner : IAsyncDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    /// <summary>After a page that was not full: what is quiet is folded at once, what is busy in fewer, larger transactions.</summary>
    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan AfterFailure = TimeSpan.FromMilliseconds(200);

    private readonly Store store;
    private readonly Projection[] projections;
    private readonly CancellationTokenSource stop = new();
    private readonly Task[] running;
    private readonly Meter meter = new("Platform.EventStore.Projections");
    private readonly Dictionary<string, long> positions = new(StringComparer.Ordinal);
    private readonly HashSet<string> owned = new(StringComparer.Ordinal);
    private readonly Lock gate = new();

    private ProjectionRunner(Store store, IEnumerable<Projection> projections)
    {
        this.store = store;
        this.projections = [.. projections];
        meter.CreateObservableGauge("platform.projection.position", Positions, "{event}", "The last position that a projection of this node has folded.");
        running = [.. this.projections.Select(projection => Task.Run(() => Run(projection)))];
    }

    public static ProjectionRunner Start(Store store, IEnumerable<Projection> projections) => new(store, projections);

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        meter.Dispose();
        stop.Dispose();
    }

    /// <summary>Every projection that the database knows.</summary>
    public async Task<IReadOnlyList<ProjectionStatus>> Status(CancellationToken cancellation)
    {
        var last = await store.LastPosition(cancellation);
        return await store.Context.Ask(async (connection, token) =>
        {
            var found = new List<ProjectionStatus>();
            await using var command = store.Context.Command(connection, $"""
                select p.name, p.version, p.generation, p.position, p.live, p.inline,
                       (select count(*)::int from {store.Context.Schema}.pl_parked k where k.projection = p.name and k.generation = p.generation),
                       (select count(*)::int from {store.Context.Schema}.pl_discarded d where d.projection = p.name),
                       case when p.live and p.inline then 0 else {ReadingMonitor.Behind(store.Context.Schema, "p.position")} end
                from {store.Context.Schema}.pl_projections p order by p.name, p.generation
                """);
            await using var reader = await command.ExecuteReaderAsync(token);
            while (await reader.ReadAsync(token))
            {
                var (name, live, inline) = (reader.GetString(0), reader.GetBoolean(4), reader.GetBoolean(5));
                var position = live && inline ? last : reader.GetInt64(3);
                lock (gate)
                {
                    found.Add(new ProjectionStatus(
                        name,
                        reader.GetInt32(1),
                        inline ? ProjectionLifecycle.Inline : ProjectionLifecycle.Async,
                        reader.GetInt64(2),
                        position,
                        Math.Max(0, last - position),
                        TimeSpan.FromSeconds(reader.GetDouble(8)),
                        live,
                        reader.GetInt32(6),
                        reader.GetInt32(7),
                        owned.Contains(name)));
                }
            }

            return (IReadOnlyList<ProjectionStatus>)found;
        }, cancellation);
    }

    /// <summary>Completes when the live generation has folded this position; an inline one has.</summary>
    public async Task WaitFor(string projection, long position, CancellationToken cancellation)
    {
        while (true)
        {
            var at = await store.Context.Ask(async (connection, token) =>
            {
                await using var command = store.Context.Command(connection, $"select case when inline then {long.MaxValue} else position end from {store.Context.Schema}.pl_projections where name = $1 and live", projection);
                return await command.ExecuteScalarAsync(token) as long? ?? -1;
            }, cancellation);
            if (at >= position) { return; }
            await Task.Delay(5, cancellation);
        }
    }

    /// <summary>Builds the projection anew beside the live one; the new generation takes its place once it has caught up.</summary>
    /// <returns>The generation's number.</returns>
    public async Task<long> Rebuild(string projection, CancellationToken cancellation)
    {
        var known = projections.Single(one => one.Name == projection);
        var number = await store.Context.Ask(async (connection, token) =>
        {
            await using var command = store.Context.Command(connection, $"""
                insert into {store.Context.Schema}.pl_projections (name, generation, version, position, live, inline)
                select $1, coalesce(max(generation), 0) + 1, $2, 0, false, $3 from {store.Context.Schema}.pl_projections where name = $1
                returning generation
                """, projection, known.Version, known.Lifecycle == ProjectionLifecycle.Inline);
            return (long)(await command.ExecuteScalarAsync(token))!;
        }, cancellation);

        // Its owner looks when something is sealed; nothing may be for long.
        store.Listener.Signal(Listener.Sealed);
        store.NotifySealed();
        return number;
    }

    /// <summary>Tries parked and discarded events again, by a rebuild: folded late into what stands, they would come in another order than the log's.</summary>
    /// <returns>The generation's number.</returns>
    public async Task<long> Retry(string projection, CancellationToken cancellation)
    {
        await store.Context.Ask(async (connection, token) =>
        {
            await using var command = store.Context.Command(connection, $"delete from {store.Context.Schema}.pl_discarded where projection = $1", projection);
            return await command.ExecuteNonQueryAsync(token);
        }, cancellation);
        return await Rebuild(projection, cancellation);
    }

    /// <summary>Leaves an event out that cannot be folded, in this and in every later generation, and folds what waits behind it, by a rebuild.</summary>
    /// <param name="by">Who said so.</param>
    /// <returns>The generation's number; null: no such event is parked for itself.</returns>
    public async Task<long?> Discard(string projection, long position, string? by, CancellationToken cancellation)
    {
        var noted = await store.Context.Ask(async (connection, token) =>
        {
            await using var command = store.Context.Command(connection, $"""
                insert into {store.Context.Schema}.pl_discarded (projection, position, error, discarded_by)
                select k.projection, k.position, k.error, $3 from {store.Context.Schema}.pl_parked k
                join {store.Context.Schema}.pl_projections p on p.name = k.projection and p.generation = k.generation and p.live
                where k.projection = $1 and k.position = $2 and k.error is not null
                on conflict do nothing
                """, projection, position, by);
            return await command.ExecuteNonQueryAsync(token);
        }, cancellation);
        return noted == 0 ? null : await Rebuild(projection, cancellation);
    }

    /// <summary>Completes when a generation is the live one, or one after it is.</summary>
    public async Task WaitForGeneration(string projection, long number, CancellationToken cancellation)
    {
        while (true)
        {
            var live = await store.Context.Ask(async (connection, token) =>
            {
                await using var command = store.Context.Command(connection, $"select generation from {store.Context.Schema}.pl_projections where name = $1 and live", projection);
                return await command.ExecuteScalarAsync(token) as long? ?? 0;
            }, cancellation);
            if (live >= number) { return; }
            await Task.Delay(20, cancellation);
        }
    }

    private IEnumerable<Measurement<long>> Positions()
    {
        lock (gate) { return [.. positions.Select(one => new Measurement<long>(one.Value, new KeyValuePair<string, object?>("projection", one.Key)))]; }
    }

    private async Task Run(Projection projection)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                // With its version: a newer program builds its own beside what an older one keeps up to date.
                var connection = await SessionLock.Take(store, $"projection.{projection.Name}.{projection.Version}", stop.Token);
                try
                {
                    lock (gate) { owned.Add(projection.Name); }
                    await Follow(projection, connection);
                }
                finally
                {
                    lock (gate) { owned.Remove(projection.Name); }
                    await SessionLock.Free(connection);
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested) { return; }
            // Nothing may stop a projection for good: whatever it was, it is tried again, and its lag shows that it does not come on.
            catch (Exception)
            {
                try { await Task.Delay(AfterFailure, stop.Token); }
                catch (OperationCanceledException) { return; }
            }
        }
    }

    private async Task Follow(Projection projection, NpgsqlConnection connection)
    {
        var log = new SealedLog(store);
        var inline = projection.Lifecycle == ProjectionLifecycle.Inline;
        var building = new Dictionary<long, Generation>();
        while (true)
        {
            var signal = store.Listener.Next(Listener.Sealed);
            var folded = 0;
            var rows = await Rows(projection, connection);
            var live = rows.Where(row => row.Live).Select(row => row.Number).DefaultIfEmpty(0).Max();
            foreach (var row in rows)
            {
                if (row.Number < live)
                {
                    await Generation.Drop(store, connection, projection.Name, row.Number, stop.Token);
                    building.Remove(row.Number);
                    continue;
                }

                // What an inline projection keeps live is written by the commits themselves.
                if (row.Version != projection.Version || row.Inline != inline || (inline && row.Live)) { continue; }
                if (!building.TryGetValue(row.Number, out var generation)) { building[row.Number] = generation = new Generation(store, projection, connection, row.Number, row.Position); }

                var events = await log.ReadAhead(connection, generation.Position, stop.Token);
                if (events.Count > 0)
                {
                    await generation.Fold(events, stop.Token);
                    folded += events.Count;
                    lock (gate) { positions[projection.Name] = generation.Position; }
                }

                if (row.Live || events.Count == SealedLog.AheadPage) { continue; }
                if (!inline) { await generation.TakeOver(stop.Token); }
                else if (!await generation.TakeOverInline(log, stop.Token)) { continue; }
                folded++;
            }

            if (folded > 0)
            {
                if (folded < SealedLog.AheadPage) { await Task.Delay(Apart, stop.Token); }
                continue;
            }

            try { await signal.WaitAsync(Poll, stop.Token); }
            catch (TimeoutException) { /* The slow poll behind the signal. */ }
        }
    }

    /// <summary>The generations there are; makes the first one of a new version.</summary>
    private async Task<List<GenerationRow>> Rows(Projection projection, NpgsqlConnection connection)
    {
        var inline = projection.Lifecycle == ProjectionLifecycle.Inline;
        var found = new List<GenerationRow>();
        await using (var command = store.Context.Command(connection, $"select generation, position, live, version, inline from {store.Context.Schema}.pl_projections where name = $1 order by generation", projection.Name))
        await using (var reader = await command.ExecuteReaderAsync(stop.Token))
        {
            while (await reader.ReadAsync(stop.Token)) { found.Add(new GenerationRow(reader.GetInt64(0), reader.GetInt64(1), reader.GetBoolean(2), reader.GetInt32(3), reader.GetBoolean(4))); }
        }

        // A newer program has been here: this one keeps up what is its own, and begins nothing.
        if (found.Exists(row => (row.Version == projection.Version && row.Inline == inline) || row.Version > projection.Version)) { return found; }
        var first = new GenerationRow(found.Select(row => row.Number).DefaultIfEmpty(0).Max() + 1, 0, found.Count == 0 && !inline, projection.Version, inline);
        await using var make = store.Context.Command(
            connection,
            $"insert into {store.Context.Schema}.pl_projections (name, generation, version, position, live, inline) values ($1, $2, $3, 0, $4, $5)",
            projection.Name,
            first.Number,
            first.Version,
            first.Live,
            first.Inline);
        await make.ExecuteNonQueryAsync(stop.Token);
        found.Add(first);
        return found;
    }

    private sealed record GenerationRow(long Number, long Position, bool Live, int Version, bool Inline);
}
