using System.Diagnostics.Metrics;
using Npgsql;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>What a host sees of a projection.</summary>
/// <param name="Position">Everything up to here is folded.</param>
/// <param name="Lag">Events behind the seal.</param>
public sealed record ProjectionStatus(string Name, int Version, long Generation, long Position, long Lag, bool Live, int Parked, bool OwnedHere);

/// <summary>
/// Folds sealed events into documents, a generation at a time. One node works on a projection, by a lock of the connection that also writes; documents and
/// position commit together, so each event counts once, whatever dies in between.
/// </summary>
public sealed class ProjectionRunner : IAsyncDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);
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
        this.projections = [.. projections.Where(projection => projection.Lifecycle == ProjectionLifecycle.Async)];
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
                select p.name, p.version, p.generation, p.position, p.live,
                       (select count(*)::int from {store.Context.Schema}.pl_parked k where k.projection = p.name and k.generation = p.generation)
                from {store.Context.Schema}.pl_projections p order by p.name, p.generation
                """);
            await using var reader = await command.ExecuteReaderAsync(token);
            while (await reader.ReadAsync(token))
            {
                var name = reader.GetString(0);
                lock (gate)
                {
                    found.Add(new ProjectionStatus(name, reader.GetInt32(1), reader.GetInt64(2), reader.GetInt64(3), Math.Max(0, last - reader.GetInt64(3)), reader.GetBoolean(4), reader.GetInt32(5), owned.Contains(name)));
                }
            }

            return (IReadOnlyList<ProjectionStatus>)found;
        }, cancellation);
    }

    /// <summary>Completes when the live generation has folded this position.</summary>
    public async Task WaitFor(string projection, long position, CancellationToken cancellation)
    {
        while (true)
        {
            var at = await store.Context.Ask(async (connection, token) =>
            {
                await using var command = store.Context.Command(connection, $"select position from {store.Context.Schema}.pl_projections where name = $1 and live", projection);
                return await command.ExecuteScalarAsync(token) as long? ?? -1;
            }, cancellation);
            if (at >= position) { return; }
            await Task.Delay(5, cancellation);
        }
    }

    /// <summary>Builds the projection anew beside the live one; the new generation takes its place once it has caught up.</summary>
    public Task Rebuild(string projection, CancellationToken cancellation) => store.Context.Ask(async (connection, token) =>
    {
        var known = projections.Single(one => one.Name == projection);
        await using var command = store.Context.Command(connection, $"""
            insert into {store.Context.Schema}.pl_projections (name, generation, version, position, live)
            select $1, coalesce(max(generation), 0) + 1, $2, 0, false from {store.Context.Schema}.pl_projections where name = $1
            """, projection, known.Version);
        return await command.ExecuteNonQueryAsync(token);
    }, cancellation);

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
                await using var connection = await store.Source.OpenConnectionAsync(stop.Token);
                try
                {
                    await SessionLock.Take(connection, store.Schema, "projection." + projection.Name, stop.Token);
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
            catch (Exception away) when (Postgres.IsAway(away) || away is PostgresException)
            {
                try { await Task.Delay(AfterFailure, stop.Token); }
                catch (OperationCanceledException) { return; }
            }
        }
    }

    private async Task Follow(Projection projection, NpgsqlConnection connection)
    {
        var log = new SealedLog(store);
        var generations = new Dictionary<long, Generation>();
        while (true)
        {
            var signal = store.Listener.Next(Listener.Sealed);
            var folded = 0;
            foreach (var (number, position, live, version) in await Generations(projection, connection))
            {
                if (version != projection.Version) { continue; }
                if (!generations.TryGetValue(number, out var generation))
                {
                    generations[number] = generation = new Generation(store, projection, connection, number, position);
                    await generation.LoadParked(stop.Token);
                }

                var rows = await log.Read(connection, generation.Position, SealedLog.Page, stop.Token);
                if (rows.Count > 0)
                {
                    await generation.Fold(rows, stop.Token);
                    folded += rows.Count;
                    lock (gate) { positions[projection.Name] = generation.Position; }
                }

                if (!live && rows.Count < SealedLog.Page) { await generation.TakeOver(stop.Token); }
            }

            if (folded > 0) { continue; }
            try { await signal.WaitAsync(Poll, stop.Token); }
            catch (TimeoutException) { /* The slow poll behind the signal. */ }
        }
    }

    /// <summary>The generations there are; makes the first one of a new version.</summary>
    private async Task<List<(long Number, long Position, bool Live, int Version)>> Generations(Projection projection, NpgsqlConnection connection)
    {
        var found = new List<(long, long, bool, int)>();
        await using (var command = store.Context.Command(connection, $"select generation, position, live, version from {store.Context.Schema}.pl_projections where name = $1 order by generation", projection.Name))
        await using (var reader = await command.ExecuteReaderAsync(stop.Token))
        {
            while (await reader.ReadAsync(stop.Token)) { found.Add((reader.GetInt64(0), reader.GetInt64(1), reader.GetBoolean(2), reader.GetInt32(3))); }
        }

        if (found.Any(one => one.Item4 == projection.Version)) { return found; }
        var number = found.Select(one => one.Item1).DefaultIfEmpty(0).Max() + 1;
        await using var make = store.Context.Command(
            connection,
            $"insert into {store.Context.Schema}.pl_projections (name, generation, version, position, live) values ($1, $2, $3, 0, $4)",
            projection.Name,
            number,
            projection.Version,
            found.Count == 0);
        await make.ExecuteNonQueryAsync(stop.Token);
        found.Add((number, 0, found.Count == 0, projection.Version));
        return found;
    }
}
