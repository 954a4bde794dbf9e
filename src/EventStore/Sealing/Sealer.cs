using System.Buffers;
using System.Diagnostics.Metrics;
using Npgsql;
using NpgsqlTypes;
using Platform.EventStore.Audit;

namespace Platform.EventStore.Sealing;

/// <summary>
/// Gives committed events their position: gapless, once, the same for every reader. One sealer works per schema, whatever the number of nodes; the others wait
/// for its lock.
/// </summary>
/// <remarks>
/// Every transaction that inserts events leaves one row in pl_pending (a trigger writes it). A batch takes all of these rows that one snapshot sees, so nothing
/// is looked for above a number that was seen before, and no hole is waited at: a transaction that commits later is simply found later.
/// Within a stream the order is that of its versions. Whoever appends version n+1 has waited for the row lock of him who appended n, so he drew higher numbers
/// (seq_id), and a snapshot that sees him sees the other too: they come in one batch, ordered by seq_id, or in two in the right order.
/// The lock is a session's, on the connection that also seals: a sealer that lost it has lost its transaction with it, so two never seal at once.
/// </remarks>
public sealed class Sealer : IAsyncDisposable
{
    /// <summary>Events of one batch: bounds its memory and how long subscribers wait for its first.</summary>
    internal const int MaxBatch = 5_000;

    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    /// <summary>After a batch that was not full. What is quiet is sealed at once; what is busy in fewer, larger batches, each of which every reader pays for.</summary>
    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan AfterFailure = TimeSpan.FromMilliseconds(200);
    private static readonly Meter Meter = new("Platform.EventStore.Sealing");
    private static readonly Counter<long> SealedEvents = Meter.CreateCounter<long>("platform.sealer.events", "{event}");
    private static readonly Histogram<double> BatchTime = Meter.CreateHistogram<double>("platform.sealer.batch", "ms");

    private readonly Store store;
    private readonly CancellationTokenSource stop = new();
    private readonly SemaphoreSlim work = new(0, 1);
    private readonly TaskCompletionSource first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task run;
    private long last;

    private Sealer(Store store)
    {
        this.store = store;
        store.Committed += OnCommitted;
        store.Listener.Signalled += OnSignal;
        run = Task.Run(Run);
    }

    /// <summary>The last position given, as far as this process has seen.</summary>
    public long LastPosition => Interlocked.Read(ref last);

    /// <summary>Whether this process seals at the moment.</summary>
    public bool Owns { get; private set; }

    /// <summary>Starts to seal, or to wait for the one who does.</summary>
    public static Sealer Start(Store store) => new(store);

    public async ValueTask DisposeAsync()
    {
        store.Committed -= OnCommitted;
        store.Listener.Signalled -= OnSignal;
        await stop.CancelAsync();
        await run.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stop.Dispose();
        work.Dispose();
    }

    private void OnCommitted(int events) => Wake();

    private void OnSignal(string channel)
    {
        if (channel == Listener.Wake) { Wake(); }
    }

    private void Wake()
    {
        try
        {
            if (work.CurrentCount == 0) { work.Release(); }
        }
        catch (Exception e) when (e is SemaphoreFullException or ObjectDisposedException) { /* Somebody else woke it, or it is gone. */ }
    }

    private async Task Run()
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                var connection = await SessionLock.Take(store, "sealer", stop.Token);
                try
                {
                    Owns = true;
                    using var batch = new SealBatch(store, connection);
                    while (true)
                    {
                        var began = TimeProvider.System.GetTimestamp();
                        var count = await batch.Seal(stop.Token);
                        first.TrySetResult();
                        if (count > 0)
                        {
                            Interlocked.Exchange(ref last, batch.LastPosition);
                            SealedEvents.Add(count);
                            BatchTime.Record(TimeProvider.System.GetElapsedTime(began).TotalMilliseconds);
                            store.Listener.Signal(Listener.Sealed);
                            store.NotifySealed();
                            if (count < MaxBatch) { await Task.Delay(Apart, stop.Token); }
                            continue;
                        }

                        await work.WaitAsync(Poll, stop.Token);
                    }
                }
                finally
                {
                    Owns = false;
                    await SessionLock.Free(connection);
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested) { return; }
            // Nothing may stop the sealer for good: whatever it was, it is tried again.
            catch (Exception)
            {
                try { await Task.Delay(AfterFailure, stop.Token); }
                catch (OperationCanceledException) { return; }
            }
        }
    }
}

/// <summary>Seals batch after batch on one connection.</summary>
internal sealed class SealBatch : IDisposable
{
    private readonly Store store;
    private readonly NpgsqlConnection connection;
    private readonly string schema;
    private readonly ArrayBufferWriter<byte> scratch = new(4096);
    private readonly Dictionary<string, MerkleFrontier> trees = new(StringComparer.Ordinal);

    /// <summary>Trees kept in memory; a tree that was dropped is read again.</summary>
    private const int MaxTrees = 10_000;

    public SealBatch(Store store, NpgsqlConnection connection)
    {
        this.store = store;
        this.connection = connection;
        schema = store.Context.Schema;
    }

    public long LastPosition { get; private set; } = -1;

    public void Dispose() => trees.Clear();

    /// <returns>How many events got their position.</returns>
    public async Task<int> Seal(CancellationToken cancellation)
    {
        if (LastPosition < 0) { LastPosition = await ReadLast(cancellation); }
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var seqs = await TakePending(cancellation);
        if (seqs.Length == 0) { return 0; }

        var rows = await ReadEvents(seqs, cancellation);
        if (trees.Count > MaxTrees) { trees.Clear(); }
        try
        {
            var leaves = await Leaves(rows, cancellation);
            await Write(seqs, leaves, cancellation);
            await transaction.CommitAsync(cancellation);
        }
        catch
        {
            // What was appended to the trees in memory did not happen.
            trees.Clear();
            LastPosition = -1;
            throw;
        }

        LastPosition += seqs.Length;
        return seqs.Length;
    }

    private async Task<long> ReadLast(CancellationToken cancellation)
    {
        await using var command = store.Context.Command(connection, $"select coalesce(max(last_position), 0) from {schema}.pl_seals");
        return (long)(await command.ExecuteScalarAsync(cancellation))!;
    }

    /// <summary>
    /// All rows of one snapshot, or where that is too much the ones with the lowest numbers: whatever is left behind has only higher numbers than what is taken,
    /// so the order within a stream stays.
    /// </summary>
    private async Task<long[]> TakePending(CancellationToken cancellation)
    {
        var taken = new List<long>();
        await using (var command = store.Context.Command(connection, $"delete from {schema}.pl_pending returning xid::text, seqs"))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation)) { taken.AddRange(reader.GetFieldValue<long[]>(1)); }
        }

        taken.Sort();
        if (taken.Count <= Sealer.MaxBatch) { return [.. taken]; }

        var rest = taken.GetRange(Sealer.MaxBatch, taken.Count - Sealer.MaxBatch);
        await using (var back = store.Context.Command(connection, $"insert into {schema}.pl_pending (xid, seqs) select pg_current_xact_id(), $1"))
        {
            back.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. rest] });
            await back.ExecuteNonQueryAsync(cancellation);
        }

        return [.. taken.GetRange(0, Sealer.MaxBatch)];
    }

    private async Task<List<EventRow>> ReadEvents(long[] seqs, CancellationToken cancellation)
    {
        var rows = new List<EventRow>(seqs.Length);
        await using var command = EventRange.Command(store.Context, connection, seqs);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation)) { rows.Add(EventRow.From(reader)); }
        return EventRange.Pick(rows, seqs);
    }

    private async Task<List<(string Tenant, long FirstIndex, long[] Seqs, byte[] Hashes)>> Leaves(List<EventRow> rows, CancellationToken cancellation)
    {
        var grouped = rows.GroupBy(row => row.Tenant, StringComparer.Ordinal).ToArray();
        await LoadTrees([.. grouped.Select(group => group.Key).Where(tenant => !trees.ContainsKey(tenant))], cancellation);

        var leaves = new List<(string, long, long[], byte[])>(grouped.Length);
        foreach (var group in grouped)
        {
            var tree = trees[group.Key];
            var first = tree.Size;
            var own = group.ToArray();
            var hashes = new byte[own.Length * MerkleTree.HashSize];
            for (var i = 0; i < own.Length; i++)
            {
                var hash = hashes.AsSpan(i * MerkleTree.HashSize, MerkleTree.HashSize);
                EventLeaf.Hash(own[i], scratch, hash);
                tree.Append(hash);
            }

            leaves.Add((group.Key, first, [.. own.Select(row => row.Sequence)], hashes));
        }

        return leaves;
    }

    private async Task LoadTrees(string[] tenants, CancellationToken cancellation)
    {
        if (tenants.Length == 0) { return; }
        await using (var command = store.Context.Command(connection, $"select tenant_id, size, frontier from {schema}.pl_trees where tenant_id = any($1)", [tenants]))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation)) { trees[reader.GetString(0)] = new MerkleFrontier(reader.GetInt64(1), reader.GetFieldValue<byte[]>(2)); }
        }

        foreach (var tenant in tenants) { trees.TryAdd(tenant, new MerkleFrontier()); }
    }

    private async Task Write(long[] seqs, List<(string Tenant, long FirstIndex, long[] Seqs, byte[] Hashes)> leaves, CancellationToken cancellation)
    {
        var highWater = await HighWater(seqs, cancellation);
        await using var batch = new NpgsqlBatch(connection) { Timeout = store.Context.CommandTimeoutSeconds };
        batch.BatchCommands.Add(new NpgsqlBatchCommand($"insert into {schema}.pl_seals (first_position, last_position, seqs) values ($1, $2, $3)")
        {
            Parameters =
            {
                new NpgsqlParameter<long> { TypedValue = LastPosition + 1 },
                new NpgsqlParameter<long> { TypedValue = LastPosition + seqs.Length },
                new NpgsqlParameter<long[]> { TypedValue = seqs },
            },
        });
        foreach (var (tenant, firstIndex, own, hashes) in leaves)
        {
            var tree = trees[tenant];
            batch.BatchCommands.Add(new NpgsqlBatchCommand($"insert into {schema}.pl_leaves (tenant_id, first_index, seqs, hashes) values ($1, $2, $3, $4)")
            {
                Parameters =
                {
                    new NpgsqlParameter<string> { TypedValue = tenant },
                    new NpgsqlParameter<long> { TypedValue = firstIndex },
                    new NpgsqlParameter<long[]> { TypedValue = own },
                    new NpgsqlParameter<byte[]> { TypedValue = hashes },
                },
            });
            batch.BatchCommands.Add(new NpgsqlBatchCommand($"""
                insert into {schema}.pl_trees (tenant_id, size, frontier) values ($1, $2, $3)
                on conflict (tenant_id) do update set size = excluded.size, frontier = excluded.frontier
                """)
            {
                Parameters =
                {
                    new NpgsqlParameter<string> { TypedValue = tenant },
                    new NpgsqlParameter<long> { TypedValue = tree.Size },
                    new NpgsqlParameter { Value = tree.State.ToArray(), NpgsqlDbType = NpgsqlDbType.Bytea },
                },
            });
        }

        // Marten's own daemon, where one runs beside us, need not guess how far the log is whole.
        batch.BatchCommands.Add(new NpgsqlBatchCommand($"""
            insert into {schema}.mt_event_progression (name, last_seq_id) values ('HighWaterMark', $1)
            on conflict (name) do update set last_seq_id = excluded.last_seq_id, last_updated = transaction_timestamp()
            where mt_event_progression.last_seq_id < excluded.last_seq_id
            """)
        {
            Parameters = { new NpgsqlParameter<long> { TypedValue = highWater } },
        });
        await batch.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>Numbers that may be remembered above a hole before the table is asked again.</summary>
    private const int MaxAhead = 100_000;

    private readonly SortedSet<long> ahead = [];
    private long mark = -1;

    /// <summary>The highest number up to which every one is there.</summary>
    private async Task<long> HighWater(long[] seqs, CancellationToken cancellation)
    {
        if (mark < 0 || ahead.Count > MaxAhead)
        {
            ahead.Clear();
            mark = Math.Max(mark, await ReadMark(cancellation));
            for (var full = true; full;)
            {
                full = false;
                await using var command = store.Context.Command(connection, $"select seq_id from {schema}.mt_events where seq_id > $1 order by seq_id limit {MaxAhead / 10}");
                command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = mark });
                await using var reader = await command.ExecuteReaderAsync(cancellation);
                var count = 0;
                while (await reader.ReadAsync(cancellation) && reader.GetInt64(0) == mark + 1)
                {
                    mark++;
                    full = ++count == MaxAhead / 10;
                }
            }
        }

        foreach (var seq in seqs)
        {
            if (seq > mark) { ahead.Add(seq); }
        }

        while (ahead.Count > 0 && ahead.Min == mark + 1)
        {
            ahead.Remove(++mark);
        }

        return mark;
    }

    private async Task<long> ReadMark(CancellationToken cancellation)
    {
        await using var command = store.Context.Command(connection, $"select last_seq_id from {schema}.mt_event_progression where name = 'HighWaterMark'");
        return await command.ExecuteScalarAsync(cancellation) as long? ?? 0;
    }
}
