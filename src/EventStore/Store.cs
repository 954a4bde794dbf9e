using System.Runtime.CompilerServices;
using System.Text.Json;
using Npgsql;
using Platform.EventStore.Projections;
using Platform.Messaging;

namespace Platform.EventStore;

public sealed record StoreOptions
{
    public required EventTypes EventTypes { get; init; }

    /// <summary>Needed where <see cref="DataSource"/> is not given.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>Used, not disposed. Should have <c>No Reset On Close</c>, <c>Max Auto Prepare</c> and a short <c>Timeout</c>.</summary>
    public NpgsqlDataSource? DataSource { get; init; }

    public string Schema { get; init; } = "public";

    /// <summary>Sees every event's UTF-8 JSON before it is stored and answers what may be stored, which must still read as the event.</summary>
    public Func<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>? Redact { get; init; }

    /// <summary>Projections; the inline ones among them are folded in each commit, so every process that appends needs the same ones. The others are the business of <see cref="ProjectionRunner"/>.</summary>
    public IReadOnlyList<Projection> Projections { get; init; } = [];

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public StoreLimits Limits { get; init; } = new();

    /// <summary>Connections that commit. Two keep the disk busy while the next batch is gathered; more make batches smaller.</summary>
    public int Committers { get; init; } = 2;

    /// <summary>Streams kept folded in memory.</summary>
    public int MaxLanes { get; init; } = 50_000;

    /// <summary>Bytes of events whose folds are kept in memory.</summary>
    public long MaxLaneBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>
    /// How long <see cref="Store.Load{TState}"/> answers from memory without asking the database whether somebody else wrote. Zero asks always. A decision never needs it: its
    /// version is checked when it commits.
    /// </summary>
    public TimeSpan TrustMemory { get; init; }

    /// <summary>Whether other processes are told of appends, one small transaction each few milliseconds at most. A process that is alone saves them.</summary>
    public bool NotifyOthers { get; init; } = true;

    /// <summary>
    /// How long the owner of a shard (the sealer, a projection, a subscription) may say nothing to the database before it ends his session, so that another takes over: a process
    /// that hangs keeps its connection. Well above a second, which is how often an idle owner asks.
    /// </summary>
    public TimeSpan OwnerSilence { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>One command; a stopped server gives no error by itself.</summary>
    public int CommandTimeoutSeconds { get; init; } = 10;

    /// <summary>How long work is tried again before its caller is told that the store is away.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>The longest that a commit waits in all.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromSeconds(15);
}

/// <summary>The event log on PostgreSQL, in Marten's tables.</summary>
public sealed partial class Store : IAsyncDisposable
{
    internal const int PageSize = 500;

    /// <summary>How often whoever waits for a stream looks for what other processes appended.</summary>
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(500);

    private readonly StoreContext context;
    private readonly StoreOptions options;
    private readonly bool ownsSource;
    private readonly Wake wake;
    private readonly StreamListeners listeners = new();
    private readonly Lock lanesGate = new();
    private readonly Dictionary<StreamKey, Lane> lanes = [];
    private readonly LinkedList<Lane> recent = new();
    private long laneBytes;

    private Store(StoreOptions options, NpgsqlDataSource source, bool ownsSource)
    {
        this.options = options;
        this.ownsSource = ownsSource;
        context = new StoreContext(source, Platform.EventStore.Schema.Quote(options.Schema), options.Time, options.CommandTimeoutSeconds, options.Patience, options.Deadline);
        Limits = options.Limits;
        Listener = new Listener(source, options.Schema, options.Time)
        {
            // Who begins again because of it must see what it was for.
            Interrupting = (tenant, stream) => Invalidate(new StreamKey(tenant.Value, stream)),
        };
        wake = new Wake(context, options.Schema, backend => Listener.OwnSender = backend);
        Projection[] inline = [.. options.Projections.Where(one => one.Lifecycle == ProjectionLifecycle.Inline)];
        Inline = inline.Length == 0 ? null : new InlineProjections(context, Limits, inline);
        Queue = new CommitQueue(context, options.Committers, Inline, OnCommitted);
    }

    /// <summary>Called on a committer's thread after each transaction with events, with their number: be quick.</summary>
    public event Action<int>? Committed;

    /// <summary>The one connection of this process that listens.</summary>
    public Listener Listener { get; }

    public NpgsqlDataSource Source => context.Source;

    /// <summary>The schema's plain name.</summary>
    public string Schema => options.Schema;

    public EventTypes EventTypes => options.EventTypes;

    internal StoreLimits Limits { get; }

    internal TimeSpan OwnerSilence => options.OwnerSilence;

    internal CommitQueue Queue { get; }

    /// <summary>Null: there is none.</summary>
    internal InlineProjections? Inline { get; }

    internal StoreContext Context => context;

    internal long Now => context.Time.GetTimestamp();

    /// <summary>Migrates the schema, builds inline projections that are not, and opens the store.</summary>
    /// <exception cref="SchemaTooNewException"/>
    /// <exception cref="ProjectionTooNewException"/>
    /// <exception cref="StoreUnavailableException"/>
    public static async Task<Store> Open(StoreOptions options, CancellationToken cancellation = default)
    {
        var source = options.DataSource ?? NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(options.ConnectionString ?? throw new ArgumentException("Neither a connection string nor a data source.", nameof(options)))
        {
            NoResetOnClose = true,
            MaxAutoPrepare = 50,
            AutoPrepareMinUsages = 2,
            Timeout = 5,
        });
        try
        {
            await Platform.EventStore.Schema.Migrate(source, options.Schema, cancellation);
            var store = new Store(options, source, options.DataSource is null);
            try
            {
                if (store.Inline is { } inline) { await InlineBuild.Ensure(store, inline, cancellation); }
                return store;
            }
            catch
            {
                await store.DisposeAsync();
                throw;
            }
        }
        catch (Exception e)
        {
            if (options.DataSource is null) { await source.DisposeAsync(); }
            if (Postgres.IsAway(e) && e is not InvalidOperationException) { throw new StoreUnavailableException("The database is away.", e); }
            throw;
        }
    }

    public async ValueTask<Loaded<TState>> Load<TState>(TenantId tenant, Guid streamId, StateFold<TState> fold, CancellationToken cancellation) where TState : class
    {
        var lane = LaneOf(new StreamKey(tenant.Value, streamId));
        var notBefore = Now - (long)(options.TrustMemory.TotalSeconds * context.Time.TimestampFrequency);
        if (options.TrustMemory > TimeSpan.Zero && lane.TryRead(fold, notBefore, out var loaded)) { return loaded; }
        return await LoadFrom(lane, fold, notBefore, cancellation);
    }

    /// <summary>Begins to hear of what this process appends to a stream: ask for it, look at the stream, then wait.</summary>
    public StreamListener Listen(TenantId tenant, Guid streamId) => listeners.Add(tenant, streamId);

    /// <summary>The stream's state once it is as wanted, whichever process makes it so. What this process appends is heard at once and costs no query.</summary>
    public async Task<Loaded<TState>> WaitUntil<TState>(TenantId tenant, Guid streamId, StateFold<TState> fold, Func<TState?, bool> wanted, CancellationToken cancellation) where TState : class
    {
        using var appended = Listen(tenant, streamId);
        for (var loaded = await Load(tenant, streamId, fold, cancellation); ; loaded = await LoadFrom(LaneOf(appended.Key), fold, await appended.Next(Look, cancellation) ? 0 : Now, cancellation))
        {
            if (wanted(loaded.State)) { return loaded; }
        }
    }

    public Task<Decided<TState>> Decide<TState>(DecideRequest<TState> request, CancellationToken cancellation) where TState : class
    {
        Limits.Check(request.Metadata);
        if (request.Inbox is { } inbox) { Limits.Check(inbox); }
        var work = new DecideWork<TState>(this, request, cancellation);
        LaneOf(new StreamKey(request.Tenant.Value, request.StreamId)).Enqueue(work);
        return cancellation.CanBeCanceled ? work.Task.WaitAsync(cancellation) : work.Task;
    }

    public async Task<InboxEntry?> Append(Commit commit, CancellationToken cancellation)
    {
        Limits.Check(commit.Metadata);
        Limits.Check(commit.Messages);
        if (commit.Inbox is { } inbox) { Limits.Check(inbox); }
        StoreLimits.Check("streams a commit", commit.Streams.Count, Limits.StreamsPerCommit);
        StoreLimits.Check("events a commit", commit.Streams.Sum(s => (long)s.Events.Count), Limits.EventsPerCommit);
        if (commit.Streams.DistinctBy(s => s.StreamId).Count() != commit.Streams.Count) { throw new ArgumentException("A commit names each of its streams once.", nameof(commit)); }

        var parts = new StreamPart[commit.Streams.Count];
        for (var i = 0; i < parts.Length; i++)
        {
            var append = commit.Streams[i];
            parts[i] = new StreamPart(append.StreamId, append.StreamType, append.Expected.Value, Serialize(append.Events, commit.Timestamp));
        }

        List<InlineEvent>? projected = null;
        if (Inline is { } inline)
        {
            foreach (var part in parts) { projected = inline.Of(commit.Tenant, commit.Timestamp, commit.Metadata, part, projected); }
        }

        var unit = new CommitUnit
        {
            Tenant = commit.Tenant,
            Time = commit.Timestamp.ToUniversalTime(),
            Streams = parts,
            Metadata = commit.Metadata,
            Messages = commit.Messages,
            Handled = commit.Handled,
            Inbox = commit.Inbox,
            Owner = commit.Owner,
            Projected = projected,
        };
        cancellation.ThrowIfCancellationRequested();
        await Settle(unit).WaitAsync(cancellation);
        return unit.Outcome == Outcome.Duplicate ? unit.Recorded : null;
    }

    /// <summary>Marks a stream and its events as archived, as Marten does. It can still be read. False: there is no such stream.</summary>
    public async Task<bool> Archive(TenantId tenant, Guid streamId, CancellationToken cancellation)
    {
        var archived = await context.Ask(
            async (connection, stop) =>
            {
                await using var command = context.Command(
                    connection,
                    $"""
                    with stream as (update {context.Schema}.mt_streams set is_archived = true where tenant_id = $1 and id = $2 returning id),
                    events as (update {context.Schema}.mt_events set is_archived = true where tenant_id = $1 and stream_id = $2 returning 1)
                    select count(*) from stream
                    """,
                    tenant.Value,
                    streamId);
                return (long)(await command.ExecuteScalarAsync(stop))! > 0;
            },
            cancellation);
        Invalidate(new StreamKey(tenant.Value, streamId));
        return archived;
    }

    public async IAsyncEnumerable<RecordedEvent> Fetch(TenantId tenant, Guid streamId, long fromVersion = 1, long? toVersion = null, DateTimeOffset? until = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        // In pages, so that a slow reader holds no connection.
        var next = fromVersion;
        while (true)
        {
            var rows = await context.Ask((connection, stop) => FetchRows(connection, tenant, streamId, next, toVersion, until, stop), cancellation);
            foreach (var row in rows) { yield return row.Read(EventTypes); }
            if (rows.Count < PageSize) { yield break; }
            next = rows[^1].Version + 1;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Queue.DisposeAsync();
        await wake.DisposeAsync();
        await Listener.DisposeAsync();
        if (ownsSource) { await context.Source.DisposeAsync(); }
    }

    internal StoredEvent[] Serialize(IReadOnlyList<object> facts, DateTimeOffset time)
    {
        if (facts.Count == 0) { return []; }
        var events = new StoredEvent[facts.Count];
        for (var i = 0; i < events.Length; i++)
        {
            var fact = facts[i];
            var type = EventTypes.Of(fact);
            var json = JsonSerializer.SerializeToUtf8Bytes(fact, type.Json);
            if (options.Redact is { } redact)
            {
                var redacted = redact(json);
                if (!redacted.Span.SequenceEqual(json))
                {
                    json = redacted.ToArray();
                    fact = EventTypes.Read(type.Alias, json);
                }
            }

            StoreLimits.Check("event bytes", json.Length, Limits.EventBytes);
            events[i] = new StoredEvent(Guid.CreateVersion7(time), type, json, fact);
        }

        return events;
    }

    /// <summary>Events of a stream from a version on, for its lane.</summary>
    internal async Task<List<(long Version, object Fact, int Bytes)>> ReadPage(StreamKey key, long from)
    {
        var rows = await context.Ask(
            async (connection, stop) =>
            {
                await using var command = new NpgsqlCommand(
                    $"select version, type, data from {context.Schema}.mt_events where tenant_id = $1 and stream_id = $2 and version >= $3 order by version limit {PageSize}", connection)
                { CommandTimeout = context.CommandTimeoutSeconds };
                command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = key.Tenant });
                command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = key.Id });
                command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = from });
                await using var reader = await command.ExecuteReaderAsync(stop);
                var read = new List<(long Version, string Alias, byte[] Json)>();
                while (await reader.ReadAsync(stop)) { read.Add((reader.GetInt64(0), reader.GetString(1), reader.GetFieldValue<byte[]>(2))); }
                return read;
            },
            CancellationToken.None);
        return rows.ConvertAll(row => (row.Version, EventTypes.Read(row.Alias, row.Json), row.Json.Length));
    }

    /// <summary>Something was appended to the lane's stream.</summary>
    internal void Appended(StreamKey key) => listeners.Set(key);

    /// <summary>A lane's size has changed: the lanes that were used the longest ago make room.</summary>
    internal void Weigh(Lane lane)
    {
        lock (lanesGate)
        {
            if (lane.Recent is null) { return; }
            laneBytes += lane.Bytes - lane.CountedBytes;
            lane.CountedBytes = lane.Bytes;
            MakeRoom();
        }
    }

    /// <summary>There are messages that nobody owns.</summary>
    internal void AnnounceWork()
    {
        Listener.Signal(Listener.Work);
        if (options.NotifyOthers) { wake.Signal(Listener.Work); }
    }

    /// <summary>What other processes are told to interrupt; null: there are none.</summary>
    internal string? Interruption(TenantId tenant, Guid streamId) => options.NotifyOthers ? Listener.Interruption(tenant, streamId) : null;

    internal void Invalidate(StreamKey key)
    {
        lock (lanesGate)
        {
            if (lanes.TryGetValue(key, out var lane)) { lane.Invalidate(); }
        }
    }

    private static async Task<Loaded<TState>> LoadFrom<TState>(Lane lane, StateFold<TState> fold, long notBefore, CancellationToken cancellation) where TState : class
    {
        var work = new LoadWork<TState>(fold, cancellation) { NotBefore = notBefore };
        lane.Enqueue(work);
        return await work.Task.WaitAsync(cancellation);
    }

    private async Task Settle(CommitUnit unit)
    {
        await Queue.Commit(new CommitChain([unit]));
        foreach (var part in unit.Streams)
        {
            Invalidate(new StreamKey(unit.Tenant.Value, part.Id));
            listeners.Set(new StreamKey(unit.Tenant.Value, part.Id));
        }

        if (unit.Refusal() is { } refusal) { throw refusal; }
    }

    private Lane LaneOf(StreamKey key)
    {
        lock (lanesGate)
        {
            if (lanes.TryGetValue(key, out var lane))
            {
                if (recent.Last != lane.Recent)
                {
                    recent.Remove(lane.Recent!);
                    recent.AddLast(lane.Recent!);
                }

                return lane;
            }

            lane = new Lane(key, this);
            lane.Recent = recent.AddLast(lane);
            lanes.Add(key, lane);
            MakeRoom();
            return lane;
        }
    }

    private void MakeRoom()
    {
        var oldest = recent.First;
        while (oldest is not null && (lanes.Count > options.MaxLanes || laneBytes > options.MaxLaneBytes))
        {
            var next = oldest.Next;
            var lane = oldest.Value;

            // The newest stays: it is about to be used. Should one go that is taken just now, the version check in the database still holds.
            if (lane.Idle && next is not null)
            {
                recent.Remove(oldest);
                lane.Recent = null;
                lanes.Remove(lane.Key);
                laneBytes -= lane.CountedBytes;
            }

            oldest = next;
        }
    }

    private void OnCommitted(int events, bool unowned)
    {
        if (events > 0)
        {
            Committed?.Invoke(events);
            if (options.NotifyOthers) { wake.Signal(Listener.Wake); }
        }

        if (unowned) { AnnounceWork(); }
    }

    private async Task<List<EventRow>> FetchRows(NpgsqlConnection connection, TenantId tenant, Guid streamId, long from, long? to, DateTimeOffset? until, CancellationToken cancellation)
    {
        await using var command = context.Command(
            connection,
            $"""
            select {EventRow.Columns} from {context.Schema}.mt_events e left join {context.Schema}.mt_streams s on s.tenant_id = e.tenant_id and s.id = e.stream_id
            where e.tenant_id = $1 and e.stream_id = $2 and e.version >= $3 and e.version <= $4 and e.timestamp <= $5 order by e.version limit {PageSize}
            """,
            tenant.Value,
            streamId,
            from,
            to ?? long.MaxValue,
            until?.ToUniversalTime().UtcDateTime ?? DateTime.MaxValue.ToUniversalTime());
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var rows = new List<EventRow>();
        while (await reader.ReadAsync(cancellation)) { rows.Add(EventRow.From(reader)); }
        return rows;
    }
}
