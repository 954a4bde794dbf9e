using Npgsql;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Subscriptions;

/// <summary>One node's work on a subscription, for as long as it holds the lock.</summary>
internal sealed class SubscriptionReading(Store store, Subscription subscription, NpgsqlConnection connection) : IDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    /// <summary>After an outage, whatever the policy for one event says.</summary>
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(50);

    private readonly string schema = store.Context.Schema;
    private readonly SealedLog log = new(store);
    private readonly CommitBatch messages = new(store.Context.Schema, store.Context.CommandTimeoutSeconds);
    private readonly Dictionary<(string Tenant, Guid Stream), ParkedStream> parked = [];
    private long position = -1;
    private long asked = -1;
    private int enqueued;
    private int outages;

    public async Task Follow(CancellationToken cancellation)
    {
        await messages.Prepare(connection, cancellation);
        await Begin(cancellation);
        while (true)
        {
            var signal = store.Listener.Next(Listener.Sealed);
            await Look(cancellation);
            var outage = await RetryDue(cancellation);
            if (outage is null)
            {
                await Drained(cancellation);
                var rows = await log.Read(connection, position, subscription.BatchSize, cancellation);
                outage = rows.Count > 0 ? await Hand(rows, cancellation) : null;
                if (outage is null)
                {
                    if (outages > 0) { await Say($"update {schema}.pl_subscriptions set error = null where name = $1", cancellation); }
                    outages = 0;
                    if (rows.Count == 0) { await Wait(signal, cancellation); }
                    continue;
                }
            }

            await Say($"update {schema}.pl_subscriptions set error = $2 where name = $1", cancellation, Error(outage));
            var pause = subscription.Retry.Wait(++outages, Random.Shared.NextDouble());
            await Alive(Task.Delay(pause > ShortestPause ? pause : ShortestPause, store.Context.Time, cancellation), cancellation);
        }
    }

    public void Dispose() => messages.Dispose();

    private static string Error(Exception failure) => MessageStore.Shorten($"{failure.GetType().Name}: {failure.Message}");

    private async Task Begin(CancellationToken cancellation)
    {
        var after = subscription.Start.Position ?? await log.Last(connection, cancellation);
        await Say($"insert into {schema}.pl_subscriptions (name, position) values ($1, $2) on conflict do nothing", cancellation, after);
    }

    /// <summary>Reads what is kept, when somebody asked for something or nothing was read yet.</summary>
    private async Task Look(CancellationToken cancellation)
    {
        await using (var command = store.Context.Command(connection, $"select position, asked from {schema}.pl_subscriptions where name = $1", subscription.Name))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            if (!await reader.ReadAsync(cancellation)) { throw new InvalidOperationException($"Subscription '{subscription.Name}' was taken away."); }
            if (reader.GetInt64(1) == asked) { return; }
            (position, asked) = (reader.GetInt64(0), reader.GetInt64(1));
        }

        parked.Clear();
        await using var first = store.Context.Command(connection, $"""
            select distinct on (tenant_id, stream_id) tenant_id, stream_id, attempts from {schema}.pl_parked where projection = $1 and generation = 0 order by tenant_id, stream_id, position
            """, subscription.Name);
        await using var streams = await first.ExecuteReaderAsync(cancellation);
        while (await streams.ReadAsync(cancellation)) { parked.Add((streams.GetString(0), streams.GetGuid(1)), new ParkedStream(streams.GetInt32(2), store.Now)); }
    }

    /// <summary>Waits while too many messages do: what is said here would only make them more.</summary>
    private async Task Drained(CancellationToken cancellation)
    {
        if (enqueued < Math.Max(1, subscription.MaxWaiting / 10)) { return; }
        while (true)
        {
            await using var count = store.Context.Command(connection, $"select count(*) from (select from {schema}.pl_messages limit $1) as some", subscription.MaxWaiting);
            if ((long)(await count.ExecuteScalarAsync(cancellation))! < subscription.MaxWaiting) { break; }
            await Task.Delay(Poll / 4, cancellation);
        }

        enqueued = 0;
    }

    /// <returns>Why the reaction cannot be had now; null: the position has moved past all of them.</returns>
    private async Task<Exception?> Hand(List<(long Position, EventRow Row)> rows, CancellationToken cancellation)
    {
        var wanted = rows.FindAll(row => store.EventTypes.Knows(row.Row.Alias) && subscription.Wants?.Invoke(row.Row.Alias) != false);
        var behind = wanted.FindAll(row => parked.ContainsKey((row.Row.Tenant, row.Row.StreamId)));
        var handed = wanted.FindAll(row => !parked.ContainsKey((row.Row.Tenant, row.Row.StreamId)));
        var whole = handed.Count == 0 ? new Reaction([], null, false) : await React(handed, cancellation);
        if (whole.Said is { } all)
        {
            await Move(rows[^1].Position, all, behind, null, wanted.Count > 0, cancellation);
            return null;
        }

        if (whole.Outage) { return whole.Failure; }

        // One by one then: whose event it is shows itself.
        foreach (var row in wanted)
        {
            var stream = (row.Row.Tenant, row.Row.StreamId);
            if (parked.ContainsKey(stream))
            {
                await Move(row.Position, [], [row], null, true, cancellation);
                continue;
            }

            var one = handed.Count == 1 ? whole : await React([row], cancellation);
            if (one.Outage) { return one.Failure; }
            if (one.Said is { } said) { await Move(row.Position, said, [], null, true, cancellation); }
            else
            {
                await Move(row.Position, [], [row], Error(one.Failure!), true, cancellation);
                parked.Add(stream, Failed(1));
            }
        }

        if (rows[^1].Position > position) { await Move(rows[^1].Position, [], [], null, false, cancellation); }
        return null;
    }

    private ParkedStream Failed(int attempts) => new(attempts, store.Now + (long)(subscription.Retry.Wait(attempts, Random.Shared.NextDouble()).TotalSeconds * store.Context.Time.TimestampFrequency));

    /// <summary>Parked streams whose wait is over and that have attempts left: from their first event on, as far as it goes.</summary>
    /// <returns>Why the reaction cannot be had now; null: it can.</returns>
    private async Task<Exception?> RetryDue(CancellationToken cancellation)
    {
        foreach (var stream in parked.Where(one => one.Value.Attempts < subscription.Retry.Attempts && one.Value.Due <= store.Now).Select(one => one.Key).ToArray())
        {
            while (await FirstOf(stream, cancellation) is { } first)
            {
                var reaction = await React([first], cancellation);
                if (reaction.Outage) { return reaction.Failure; }
                if (reaction.Said is { } said)
                {
                    // What waited behind it was not tried yet.
                    await Unpark(first.Position, said, cancellation);
                    parked[stream] = new ParkedStream(0, store.Now);
                    continue;
                }

                var attempts = parked[stream].Attempts + 1;
                await Say(
                    $"update {schema}.pl_parked set attempts = $2, error = $3 where projection = $1 and generation = 0 and position = $4", cancellation, attempts, Error(reaction.Failure!), first.Position);
                parked[stream] = Failed(attempts);
                break;
            }
        }

        return null;
    }

    private async Task<(long Position, EventRow Row)?> FirstOf((string Tenant, Guid Stream) stream, CancellationToken cancellation)
    {
        long at;
        await using (var command = store.Context.Command(
            connection, $"select min(position) from {schema}.pl_parked where projection = $1 and generation = 0 and tenant_id = $2 and stream_id = $3", subscription.Name, stream.Tenant, stream.Stream))
        {
            if (await command.ExecuteScalarAsync(cancellation) is not long found)
            {
                parked.Remove(stream);
                return null;
            }

            at = found;
        }

        return (await log.Read(connection, at - 1, 1, cancellation))[0];
    }

    private async Task<Reaction> React(List<(long Position, EventRow Row)> rows, CancellationToken cancellation)
    {
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task<IReadOnlyList<Envelope>> reaction;
        try
        {
            var events = rows.ConvertAll(row => row.Row.Read(store.EventTypes, row.Position));
            reaction = Task.Run(() => subscription.React(events, ends.Token), cancellation).WaitAsync(subscription.Deadline, store.Context.Time, cancellation);
        }
        catch (Exception unreadable) when (unreadable is not OperationCanceledException) { return new Reaction(null, unreadable, false); }

        try { await Alive(reaction.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default), cancellation); }
        finally { await ends.CancelAsync(); }

        try
        {
            var said = await reaction;
            store.Limits.Check(said);
            return new Reaction(said, null, false);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested) { throw; }
        // The reaction's own code: whatever it throws decides only over its events.
        catch (Exception failure)
        {
            return new Reaction(null, failure, subscription.IsOutage(failure));
        }
    }

    /// <summary>Waits, and says now and then that somebody is here; a server that does not answer has given the lock to another.</summary>
    private async Task Alive(Task waited, CancellationToken cancellation)
    {
        while (await Task.WhenAny(waited, Task.Delay(store.OwnerSilence / 4, cancellation)) != waited)
        {
            cancellation.ThrowIfCancellationRequested();
            await using var ping = store.Context.Command(connection, "select 1");
            await ping.ExecuteNonQueryAsync(cancellation);
        }

        await waited;
    }

    /// <summary>Commits what was said, what is parked, and the position.</summary>
    /// <param name="error">Of the one event that is parked for itself; null: they wait behind others.</param>
    /// <param name="durable">False: nothing happened but events that are not wanted; to pass them twice is no harm.</param>
    private async Task Move(long to, IReadOnlyList<Envelope> said, IReadOnlyList<(long Position, EventRow Row)> park, string? error, bool durable, CancellationToken cancellation)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (!durable)
        {
            await using var quick = new NpgsqlCommand("set local synchronous_commit = off", connection);
            await quick.ExecuteNonQueryAsync(cancellation);
        }

        await Enqueue(said, cancellation);
        foreach (var (at, row) in park)
        {
            await Say(
                $"insert into {schema}.pl_parked (projection, generation, position, tenant_id, stream_id, error, attempts) values ($1, 0, $2, $3, $4, $5, $6)",
                cancellation,
                at,
                row.Tenant,
                row.StreamId,
                error,
                error is null ? 0 : 1);
        }

        var moved = await Say($"update {schema}.pl_subscriptions set position = $2, updated_at = clock_timestamp(), error = null where name = $1 and asked = $3", cancellation, to, asked);
        if (moved == 0) { throw Changed(); }
        await transaction.CommitAsync(cancellation);
        position = to;
        Announce(said);
    }

    private async Task Unpark(long at, IReadOnlyList<Envelope> said, CancellationToken cancellation)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await Enqueue(said, cancellation);
        var gone = await Say($"delete from {schema}.pl_parked where projection = $1 and generation = 0 and position = $2", cancellation, at);
        if (gone == 0) { throw Changed(); }
        await transaction.CommitAsync(cancellation);
        Announce(said);
    }

    private async Task Enqueue(IReadOnlyList<Envelope> said, CancellationToken cancellation)
    {
        if (said.Count == 0) { return; }
        messages.Fill([new CommitUnit { Tenant = TenantId.Default, Time = store.Context.Time.GetUtcNow(), Streams = [], Metadata = EventMetadata.None, Messages = said }]);
        await messages.Execute(cancellation);
    }

    private void Announce(IReadOnlyList<Envelope> said)
    {
        if (said.Count == 0) { return; }
        enqueued += said.Count;
        store.AnnounceWork();
    }

    private async Task<int> Say(string sql, CancellationToken cancellation, params object?[] values)
    {
        await using var command = store.Context.Command(connection, sql, [subscription.Name, .. values]);
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    private InvalidOperationException Changed() => new($"Subscription '{subscription.Name}' was changed meanwhile: it is read again.");

    private async Task Wait(Task signal, CancellationToken cancellation)
    {
        var left = Poll;
        foreach (var one in parked.Values)
        {
            if (one.Attempts >= subscription.Retry.Attempts) { continue; }
            var due = store.Context.Time.GetElapsedTime(store.Now, one.Due);
            if (due < left) { left = due; }
        }

        if (left <= TimeSpan.Zero) { return; }
        try { await signal.WaitAsync(left, cancellation); }
        catch (TimeoutException) { /* The slow poll behind the signal. */ }
    }

    /// <summary>A stream whose events wait.</summary>
    /// <param name="Attempts">At its first event, so far.</param>
    /// <param name="Due">A timestamp of the store's clock.</param>
    private sealed record ParkedStream(int Attempts, long Due);

    /// <summary>What came of a call: something said, or a failure.</summary>
    /// <param name="Outage">The failure is nobody's fault.</param>
    private sealed record Reaction(IReadOnlyList<Envelope>? Said, Exception? Failure, bool Outage);
}
