using System.Diagnostics;
using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Platform.EventStore;
using Platform.EventStore.Projections;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.Bench;

/// <summary>
/// An async projection with a document a stream: how fast it catches up on a sealed log, against reading, parsing and folding the same events in memory and writing
/// nothing; and how long after its commit an event is in its document, while the rest of the database is quiet and while it is not.
/// </summary>
internal static class Projecting
{
    private const int StreamsAtOnce = 400;
    private const int EventsAtOnce = 5;

    public static async Task Measure(Ground ground, Report report)
    {
        await using var source = Ground.Source(await ground.Database("projection"));
        await using var store = await Ground.Store(source);
        var events = ground.Settings.Size(100_000, 4_000);
        await Fill(source, events);

        var began = Stopwatch.GetTimestamp();
        await using var sealer = Sealer.Start(store);
        await store.WaitBeyond(events - 1, CancellationToken.None);
        report.Add("projection", $"sealer, {events:#,0} events at once", "/s", [events / Stopwatch.GetElapsedTime(began).TotalSeconds], null, null);

        await CatchUp(ground, report, source, store, events);
        await Lag(ground, report, source, store);
    }

    /// <summary>Batches of streams, each stream in two of them, as streams that are written at about the same time stand in a log.</summary>
    public static async Task Fill(NpgsqlDataSource source, int events)
    {
        var streams = Array.Empty<Guid>();
        for (var (written, again) = (0, false); written < events; written += StreamsAtOnce * EventsAtOnce, again = !again)
        {
            if (!again) { streams = [.. Enumerable.Range(0, StreamsAtOnce).Select(_ => Guid.CreateVersion7())]; }
            await Log.Write(source, streams, EventsAtOnce, again ? EventsAtOnce + 1 : 1);
        }
    }

    private static async Task CatchUp(Ground ground, Report report, NpgsqlDataSource source, Store store, int events)
    {
        var (ours, peer) = (new List<double>(), new List<double>());
        var rounds = Math.Min(ground.Settings.Rounds, 5);
        for (var round = -1; round < rounds; round++)
        {
            var raw = await ReadAndFold(source, events);
            var began = Stopwatch.GetTimestamp();
            var projection = Note.Projection($"catch_up_{round + 1}");
            await using var runner = ProjectionRunner.Start(store, [projection]);
            await runner.WaitFor(projection.Name, events, CancellationToken.None);
            if (round < 0 && !ground.Settings.Brief) { continue; } // the first one compiles
            ours.Add(events / Stopwatch.GetElapsedTime(began).TotalSeconds);
            peer.Add(raw);
        }

        report.Add("projection", $"catch-up, {events:#,0} events", "/s", ours, peer, new Bar(0.5, true, true));
    }

    private static async Task<double> ReadAndFold(NpgsqlDataSource source, int events)
    {
        var began = Stopwatch.GetTimestamp();
        await using var connection = await source.OpenConnectionAsync();
        await using var read = new NpgsqlCommand("select stream_id, type, data from mt_events order by seq_id", connection);
        await using var reader = await read.ExecuteReaderAsync();
        var notes = new Dictionary<Guid, Notes>();
        var count = 0;
        while (await reader.ReadAsync())
        {
            var stream = reader.GetGuid(0);
            if (reader.GetString(1) == Note.Type.Alias) { notes[stream] = Note.After(notes.GetValueOrDefault(stream), JsonSerializer.Deserialize(reader.GetFieldValue<byte[]>(2), NoteJson.Default.Noted)!); }
            count++;
        }

        if (count != events || notes.Values.Sum(one => one.Count) != events) { throw new InvalidOperationException($"{count} events were read."); }
        return events / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private static async Task Lag(Ground ground, Report report, NpgsqlDataSource source, Store store)
    {
        var projection = Note.Projection("lag");
        await using var runner = ProjectionRunner.Start(store, [projection]);
        await runner.WaitFor(projection.Name, await store.LastPosition(CancellationToken.None), CancellationToken.None);
        await Probe(source, store, projection, ground.Settings.Size(50, 3));

        var others = new Others(source, store);
        foreach (var (name, disturb) in ((string, Func<CancellationToken, Task>?)[])[("quiet", null), ("others roll back", others.RollBack), ("others hold a hot stream", others.HoldStream)])
        {
            using var stop = new CancellationTokenSource();
            var disturbing = disturb?.Invoke(stop.Token) ?? Task.CompletedTask;
            var lags = (await Probe(source, store, projection, ground.Settings.Size(400, 3))).Order().ToArray();
            await stop.CancelAsync();
            await disturbing;
            report.Add("projection", $"lag p50, {name}", "ms", [lags[lags.Length / 2]], null, null);
            report.Add("projection", $"lag p99, {name}", "ms", [lags[(int)(lags.Length * 0.99)]], null, new Bar(50, false, false));
        }
    }

    /// <summary>One event at a time: from its acknowledgement until another connection sees its document.</summary>
    private static async Task<List<double>> Probe(NpgsqlDataSource source, Store store, Projection<Notes> projection, int count)
    {
        var lags = new List<double>(count);
        await using var connection = await source.OpenConnectionAsync();
        await using var look = new NpgsqlCommand("select 1 from pl_documents where projection = $1 and generation = 1 and tenant_id = $2 and id = $3", connection);
        look.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Varchar, Value = projection.Name });
        look.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Varchar, Value = Raw.Tenant });
        look.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Varchar });
        for (var i = 0; i < count; i++)
        {
            var stream = Guid.CreateVersion7();
            await store.Append(
                new Commit { Tenant = TenantId.Default, Timestamp = DateTimeOffset.UtcNow, Streams = [new StreamAppend(stream, Note.StreamType, ExpectedVersion.New, [Note.Of(i)])] }, CancellationToken.None);
            var acknowledged = Stopwatch.GetTimestamp();
            look.Parameters[2].Value = stream.ToString();
            while (await look.ExecuteScalarAsync() is null) { await Task.Delay(1); }
            lags.Add(Stopwatch.GetElapsedTime(acknowledged).TotalMilliseconds);
            await Task.Delay(Random.Shared.Next(1, 12));
        }

        return lags;
    }

    /// <summary>What else a database does meanwhile.</summary>
    private sealed class Others(NpgsqlDataSource source, Store store)
    {
        private static readonly TimeSpan Open = TimeSpan.FromMilliseconds(50);
        private static readonly TimeSpan Held = TimeSpan.FromMilliseconds(500);

        /// <summary>Eight transactions at any time that draw numbers, write events, stay open a moment and roll back.</summary>
        public Task RollBack(CancellationToken stop) => Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            await using var connection = await source.OpenConnectionAsync(CancellationToken.None);
            while (!stop.IsCancellationRequested)
            {
                await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
                await Insert(connection, Guid.CreateVersion7());
                await Task.Delay(Open, CancellationToken.None);
                await transaction.RollbackAsync(CancellationToken.None);
            }
        }, CancellationToken.None)));

        /// <summary>Somebody else's transaction has appended to a stream and stays open for half a second, again and again, while four of ours decide on that stream.</summary>
        public async Task HoldStream(CancellationToken stop)
        {
            var hot = Guid.CreateVersion7();
            await Log.Write(source, [hot], 1);
            await Task.WhenAll(
            [
                Task.Run(async () =>
                {
                    await using var connection = await source.OpenConnectionAsync(CancellationToken.None);
                    for (var commit = true; !stop.IsCancellationRequested; commit = !commit)
                    {
                        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
                        await Insert(connection, hot);
                        await Task.Delay(Held, CancellationToken.None);
                        if (commit) { await transaction.CommitAsync(CancellationToken.None); }
                        else { await transaction.RollbackAsync(CancellationToken.None); }
                    }
                }, CancellationToken.None),
                .. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
                {
                    while (!stop.IsCancellationRequested) { await Deciding.Ours(store, hot); }
                }, CancellationToken.None)),
            ]);
        }

        private static async Task Insert(NpgsqlConnection connection, Guid stream)
        {
            await using var insert = new NpgsqlCommand("""
                with s as (
                    insert into mt_streams (tenant_id, id, type, version, timestamp, created, is_archived) values ($1, $2, $3, 1, now(), now(), false)
                    on conflict (tenant_id, id) do update set version = mt_streams.version + 1 returning version)
                insert into mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id)
                select nextval('mt_events_sequence'), gen_random_uuid(), $2, version, $4, $5, now(), $1 from s
                """, connection);
            insert.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Raw.Tenant });
            insert.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = stream });
            insert.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Note.StreamType });
            insert.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Jsonb, Value = JsonSerializer.SerializeToUtf8Bytes(Note.Of(0), NoteJson.Default.Noted) });
            insert.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Note.Type.Alias });
            await insert.ExecuteNonQueryAsync();
        }
    }
}
