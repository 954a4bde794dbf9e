using System.Runtime.CompilerServices;

namespace Platform.Messaging;

/// <summary>What the in-memory store does to the next commit.</summary>
public enum CommitFault
{
    None,

    /// <summary>The process dies; nothing is kept.</summary>
    CrashBefore,

    /// <summary>The process dies; everything is kept.</summary>
    CrashAfter,

    /// <summary>The store goes away; nothing is kept.</summary>
    AwayBefore,

    /// <summary>The store goes away; everything is kept, and the caller does not know.</summary>
    AwayAfter,
}

/// <summary>The event log and the durable messages in memory, for simulations: the semantics of the real store, without a disk.</summary>
public sealed class InMemoryStore(EventTypes types) : IEventStreams, IMessageStore
{
    private sealed class Row
    {
        public required Envelope Envelope { get; set; }

        public long? Owner { get; set; }

        /// <summary>Attempts up to here have come to an end.</summary>
        public int Ended { get; set; }

        public long Number { get; init; }
    }

    private sealed class Member(InMemoryStore store, long owner) : INodeMembership
    {
        private readonly CancellationTokenSource lost = new();

        public long Owner => owner;

        public CancellationToken Lost => lost.Token;

        public void Lose() => lost.Cancel();

        public ValueTask DisposeAsync()
        {
            store.Forget(owner);
            lost.Dispose();
            return ValueTask.CompletedTask;
        }
    }

    private readonly Lock gate = new();
    private readonly Dictionary<(TenantId, Guid), List<RecordedEvent>> streams = [];
    private readonly List<RecordedEvent> log = [];
    private readonly Dictionary<(TenantId, Guid), Row> messages = [];
    private readonly Dictionary<(TenantId, Guid), DeadLetter> dead = [];
    private readonly Dictionary<(TenantId, string), InboxEntry> inbox = [];
    private readonly Dictionary<long, Member> members = [];
    private readonly List<Action<TenantId, Guid>> interrupted = [];
    private TaskCompletionSource work = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long owners;
    private long numbers;

    /// <summary>Asked at every commit that would write something.</summary>
    public Func<CommitFault> Fault { get; set; } = static () => CommitFault.None;

    /// <summary>Rows of durable messages that are not handled yet, oldest first.</summary>
    public IReadOnlyList<Envelope> Pending
    {
        get { lock (gate) { return [.. messages.Values.OrderBy(r => r.Number).Select(r => r.Envelope)]; } }
    }

    /// <summary>A node's connection is cut: its messages are anybody's.</summary>
    public void Kill(long owner)
    {
        Member? member;
        lock (gate) { member = members.GetValueOrDefault(owner); }
        member?.Lose();
        Forget(owner);
    }

    public ValueTask<Loaded<TState>> Load<TState>(TenantId tenant, Guid streamId, StateFold<TState> fold, CancellationToken cancellation) where TState : class
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate) { return ValueTask.FromResult(Folded(tenant, streamId, fold)); }
    }

    public async Task<Decided<TState>> Decide<TState>(DecideRequest<TState> request, CancellationToken cancellation) where TState : class
    {
        // An error comes with the task, as from the real store.
        await Task.CompletedTask;
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            if (Known(request.Tenant, request.Inbox) is { } recorded)
            {
                var now = Folded(request.Tenant, request.StreamId, request.Fold);
                return new Decided<TState>(now.State, now.Version, new Decision([], []), recorded);
            }

            var (state, version) = Folded(request.Tenant, request.StreamId, request.Fold);
            var decision = request.Decide(state, version);
            Write(new Commit
            {
                Tenant = request.Tenant,
                Timestamp = request.Timestamp,
                Metadata = request.Metadata,
                Streams = decision.Events.Count == 0 ? [] : [new StreamAppend(request.StreamId, request.Fold.StreamType, version == 0 ? ExpectedVersion.New : ExpectedVersion.Exactly(version), decision.Events)],
                Messages = decision.Messages,
                Handled = request.Handled,
                Inbox = request.Inbox,
                Owner = request.Owner,
            });
            return new Decided<TState>(request.Fold.Fold(state, decision.Events), version + decision.Events.Count, decision);
        }
    }

    public async Task<InboxEntry?> Append(Commit commit, CancellationToken cancellation)
    {
        // An error comes with the task, as from the real store.
        await Task.CompletedTask;
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            if (Known(commit.Tenant, commit.Inbox) is { } recorded) { return recorded; }
            Write(commit);
            return null;
        }
    }

    public async IAsyncEnumerable<RecordedEvent> Fetch(TenantId tenant, Guid streamId, long fromVersion = 1, long? toVersion = null, DateTimeOffset? until = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await Task.CompletedTask;
        RecordedEvent[] found;
        lock (gate) { found = [.. Stream(tenant, streamId).Where(e => e.Version >= fromVersion && !(e.Version > toVersion) && !(e.Timestamp > until))]; }
        foreach (var recorded in found) { yield return recorded; }
    }

    public async IAsyncEnumerable<RecordedEvent> FetchAll(TenantId? tenant, long afterPosition, int limit, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await Task.CompletedTask;
        RecordedEvent[] found;
        lock (gate) { found = [.. log.Where(e => e.Position > afterPosition && (tenant is null || e.Tenant == tenant)).Take(limit)]; }
        foreach (var recorded in found) { yield return recorded; }
    }

    public Task<INodeMembership> Join(string name, CancellationToken cancellation)
    {
        lock (gate)
        {
            var member = new Member(this, ++owners);
            members.Add(member.Owner, member);
            return Task.FromResult<INodeMembership>(member);
        }
    }

    public Task<IReadOnlyList<Envelope>> Claim(long owner, int limit, CancellationToken cancellation)
    {
        lock (gate)
        {
            Row[] free = [.. messages.Values.Where(IsFree).OrderBy(r => r.Number).Take(limit)];
            foreach (var row in free) { row.Owner = owner; }
            // A delay was measured by the clock of who is dead now: the moment holds.
            return Task.FromResult<IReadOnlyList<Envelope>>([.. free.Select(r => r.Envelope with { Delay = null })]);
        }
    }

    public Task<Envelope?> ClaimOne(long owner, TenantId tenant, Guid id, CancellationToken cancellation)
    {
        lock (gate)
        {
            if (!messages.TryGetValue((tenant, id), out var row) || !(row.Owner == owner || IsFree(row))) { return Task.FromResult<Envelope?>(null); }
            row.Owner = owner;
            return Task.FromResult<Envelope?>(row.Envelope with { Delay = null, Crashes = row.Envelope.Attempts - row.Ended });
        }
    }

    public Task<IReadOnlyList<MessageRef>> Owned(long owner, CancellationToken cancellation)
    {
        lock (gate) { return Task.FromResult<IReadOnlyList<MessageRef>>([.. messages.Where(m => m.Value.Owner == owner).Select(m => new MessageRef(m.Key.Item1, m.Key.Item2))]); }
    }

    public Task<IReadOnlyList<MessageRef>> Due(DateTimeOffset by, int limit, CancellationToken cancellation)
    {
        lock (gate)
        {
            return Task.FromResult<IReadOnlyList<MessageRef>>(
                [.. messages.Values.Where(r => IsFree(r) && !(r.Envelope.DueAt > by)).OrderBy(r => r.Number).Take(limit).Select(r => new MessageRef(r.Envelope.Tenant, r.Envelope.Id))]);
        }
    }

    public Task Interrupt(TenantId tenant, Guid streamId, CancellationToken cancellation)
    {
        Action<TenantId, Guid>[] heard;
        lock (gate) { heard = [.. interrupted]; }
        foreach (var hear in heard) { hear(tenant, streamId); }
        return Task.CompletedTask;
    }

    public IDisposable OnInterrupt(Action<TenantId, Guid> interrupted)
    {
        lock (gate) { this.interrupted.Add(interrupted); }
        return new Subscription(() => { lock (gate) { this.interrupted.Remove(interrupted); } });
    }

    private sealed class Subscription(Action end) : IDisposable
    {
        public void Dispose() => end();
    }

    public Task<int> Begin(long owner, TenantId tenant, Guid id, CancellationToken cancellation)
    {
        lock (gate)
        {
            var row = Owned(owner, tenant, id);
            row.Envelope = row.Envelope with { Attempts = row.Envelope.Attempts + 1 };
            return Task.FromResult(row.Envelope.Attempts);
        }
    }

    public Task Retry(long owner, TenantId tenant, Guid id, DateTimeOffset dueAt, string error, CancellationToken cancellation)
    {
        lock (gate)
        {
            var row = Owned(owner, tenant, id);
            row.Envelope = row.Envelope with { DueAt = dueAt, Delay = null };
            row.Ended = row.Envelope.Attempts;
        }

        return Task.CompletedTask;
    }

    public Task Bury(long owner, TenantId tenant, Guid id, string errorType, string error, DateTimeOffset now, CancellationToken cancellation)
    {
        lock (gate)
        {
            dead[(tenant, id)] = new DeadLetter(Owned(owner, tenant, id).Envelope, errorType, error, now);
            messages.Remove((tenant, id));
        }

        return Task.CompletedTask;
    }

    public Task Release(long owner, IReadOnlyList<Guid> ids, CancellationToken cancellation)
    {
        lock (gate)
        {
            foreach (var row in messages.Values.Where(r => r.Owner == owner && ids.Contains(r.Envelope.Id))) { (row.Owner, row.Ended) = (null, row.Envelope.Attempts); }
        }

        Wake();
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<DeadLetter>> DeadLetters(TenantId? tenant, int limit, CancellationToken cancellation)
    {
        lock (gate) { return Task.FromResult<IReadOnlyList<DeadLetter>>([.. dead.Values.Where(d => tenant is null || d.Envelope.Tenant == tenant).Take(limit)]); }
    }

    public Task<bool> Requeue(TenantId tenant, Guid id, CancellationToken cancellation)
    {
        lock (gate)
        {
            if (!dead.Remove((tenant, id), out var letter)) { return Task.FromResult(false); }
            messages.Add((tenant, id), new Row { Envelope = letter.Envelope with { Attempts = 0, DueAt = null, Delay = null }, Number = ++numbers });
        }

        Wake();
        return Task.FromResult(true);
    }

    public Task<bool> Discard(TenantId tenant, Guid id, CancellationToken cancellation)
    {
        lock (gate) { return Task.FromResult(dead.Remove((tenant, id))); }
    }

    public Task<InboxEntry?> FindCommand(TenantId tenant, string commandId, CancellationToken cancellation)
    {
        lock (gate) { return Task.FromResult(inbox.GetValueOrDefault((tenant, commandId))); }
    }

    public async Task WaitForWork(TimeSpan atMost, CancellationToken cancellation)
    {
        Task waiting;
        lock (gate)
        {
            if (messages.Values.Any(IsFree)) { return; }
            waiting = work.Task;
        }

        await waiting.WaitAsync(atMost, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
    }

    private bool IsFree(Row row) => row.Owner is not { } owner || !members.ContainsKey(owner);

    private Row Owned(long owner, TenantId tenant, Guid id) =>
        messages.TryGetValue((tenant, id), out var row) && row.Owner == owner ? row : throw new OwnershipLostException(id);

    private List<RecordedEvent> Stream(TenantId tenant, Guid id) => streams.TryGetValue((tenant, id), out var found) ? found : [];

    private Loaded<TState> Folded<TState>(TenantId tenant, Guid id, StateFold<TState> fold) where TState : class
    {
        var events = Stream(tenant, id);
        return new Loaded<TState>(fold.Fold(null, events.Select(e => e.Data)), events.Count);
    }

    private InboxEntry? Known(TenantId tenant, InboxEntry? entry)
    {
        if (entry is null || !inbox.TryGetValue((tenant, entry.CommandId), out var known)) { return null; }
        return known.RequestHash.Span.SequenceEqual(entry.RequestHash.Span) ? known : throw new CommandConflictException(entry.CommandId);
    }

    private void Write(Commit commit)
    {
        foreach (var append in commit.Streams)
        {
            var actual = Stream(commit.Tenant, append.StreamId).Count;
            if (append.Expected.Value >= 0 && append.Expected.Value != actual) { throw new VersionConflictException(append.StreamId, append.Expected, actual); }
        }

        if (commit.Handled is { } handled) { Owned(handled.Owner, handled.Tenant, handled.Id); }
        foreach (var append in commit.Streams)
        {
            foreach (var fact in append.Events) { types.Of(fact); }
        }

        var writes = commit.Streams.Count > 0 || commit.Messages.Count > 0 || commit.Handled is not null || commit.Inbox is not null;
        var fault = writes ? Fault() : CommitFault.None;
        if (fault == CommitFault.CrashBefore) { throw new SimulatedCrashException(); }
        if (fault == CommitFault.AwayBefore) { throw new StoreUnavailableException("The store was told to be away."); }

        foreach (var append in commit.Streams)
        {
            if (!streams.TryGetValue((commit.Tenant, append.StreamId), out var stream)) { streams.Add((commit.Tenant, append.StreamId), stream = []); }
            foreach (var fact in append.Events)
            {
                var position = log.Count + 1;
                var recorded = new RecordedEvent(
                    position, position, DeterministicId.Of(append.StreamId, $"{stream.Count + 1}"), commit.Tenant, append.StreamId, append.StreamType, stream.Count + 1, types.Of(fact).Alias, fact, commit.Timestamp, commit.Metadata);
                stream.Add(recorded);
                log.Add(recorded);
            }
        }

        if (commit.Handled is { } done) { messages.Remove((done.Tenant, done.Id)); }
        foreach (var envelope in commit.Messages) { messages.TryAdd((envelope.Tenant, envelope.Id), new Row { Envelope = envelope, Owner = commit.Owner, Number = ++numbers }); }
        if (commit.Inbox is { } entry) { inbox.Add((commit.Tenant, entry.CommandId), entry); }
        if (commit.Owner is null && commit.Messages.Count > 0) { Wake(); }

        if (fault == CommitFault.CrashAfter) { throw new SimulatedCrashException(); }
        if (fault == CommitFault.AwayAfter) { throw new StoreUnavailableException("The store was told to be away."); }
    }

    private void Forget(long owner)
    {
        lock (gate) { members.Remove(owner); }
        Wake();
    }

    private void Wake()
    {
        TaskCompletionSource waiting;
        lock (gate)
        {
            waiting = work;
            work = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        waiting.TrySetResult();
    }
}
