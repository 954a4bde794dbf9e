using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>
/// One stream in this process. Its folds stay in memory; what is asked of it is done in turn: decisions that wait together are decided one after the other
/// against the evolving state and committed together, while others wait for the next round.
/// </summary>
internal sealed class Lane(StreamKey key, Store store)
{
    /// <summary>Decisions of one round; the rest waits for the next.</summary>
    private const int MaxRound = 128;

    /// <summary>How often one decision is made again because another process was faster.</summary>
    internal const int MaxConflicts = 64;

    /// <summary>Different states folded from one stream in memory; beyond it the first are dropped after the round.</summary>
    private const int MaxFolds = 4;

    private readonly Lock gate = new();
    private readonly List<LaneWork> round = [];
    private readonly List<LaneWork> again = [];
    private readonly List<LaneWork> answered = [];
    private Queue<LaneWork>? waiting;
    private bool running;
    private volatile bool stale;

    public StreamKey Key { get; } = key;

    public List<LaneFold> Folds { get; } = [];

    /// <summary>The stream's version as last seen.</summary>
    public long Version { get; private set; }

    /// <summary>When the version was last known to be the newest (timestamp of the store's clock).</summary>
    public long VerifiedAt { get; private set; }

    /// <summary>Bytes of the events folded here: an upper estimate of what their state keeps alive.</summary>
    public long Bytes { get; private set; }

    public LinkedListNode<Lane>? Recent { get; set; }

    public long CountedBytes { get; set; }

    public bool Idle
    {
        get
        {
            lock (gate) { return !running; }
        }
    }

    /// <summary>Another writer, of this process or not, may have appended.</summary>
    public void Invalidate() => stale = true;

    public void Enqueue(LaneWork work)
    {
        lock (gate)
        {
            if (running)
            {
                (waiting ??= new Queue<LaneWork>()).Enqueue(work);
                return;
            }

            running = true;
            round.Add(work);
        }

        _ = Run();
    }

    /// <summary>Answers from memory when that is fresh enough and nothing is going on.</summary>
    public bool TryRead<TState>(StateFold<TState> fold, long notBefore, out Loaded<TState> loaded) where TState : class
    {
        lock (gate)
        {
            if (!running && !stale && VerifiedAt >= notBefore && Find(fold) is { } found && found.Version == Version)
            {
                loaded = new Loaded<TState>(found.State, Version);
                return true;
            }
        }

        loaded = null!;
        return false;
    }

    public LaneFold<TState>? Find<TState>(StateFold<TState> fold) where TState : class
    {
        foreach (var candidate in Folds)
        {
            if (candidate is LaneFold<TState> typed && typed.Is(fold)) { return typed; }
        }

        return null;
    }

    public LaneFold<TState> Fold<TState>(StateFold<TState> fold) where TState : class
    {
        if (Find(fold) is { } found) { return found; }
        var added = new LaneFold<TState>(fold);
        Folds.Add(added);
        return added;
    }

    private async Task Run()
    {
        while (true)
        {
            try { await Round(); }
            catch (Exception fault)
            {
                // The stream could not be read or folded, or the store is closed: everybody in this round hears it, and memory starts again from the log.
                Forget();
                foreach (var work in round)
                {
                    if (!answered.Contains(work)) { Fail(work, fault); }
                }

                again.Clear();
            }

            store.Weigh(this);
            if (answered.Count > 1)
            {
                foreach (var work in answered) { ThreadPool.UnsafeQueueUserWorkItem(static work => work.Answer(), work, preferLocal: true); }
                answered.Clear();
            }

            LaneWork? last;
            bool ended;
            lock (gate)
            {
                if (Folds.Count > MaxFolds) { Folds.RemoveRange(0, Folds.Count - MaxFolds); }
                round.Clear();
                foreach (var work in again)
                {
                    if (!work.IsAbandoned) { round.Add(work); }
                }

                again.Clear();
                while (waiting is { Count: > 0 } && round.Count < MaxRound)
                {
                    var next = waiting.Dequeue();
                    if (!next.IsAbandoned) { round.Add(next); }
                }

                last = answered.Count == 0 ? null : answered[0];
                answered.Clear();
                ended = round.Count == 0;
                if (ended) { running = false; }
            }

            // When the lane has ended, its one caller goes on here: there is nothing left that it could hold up.
            if (ended)
            {
                last?.Answer();
                return;
            }

            if (last is not null) { ThreadPool.UnsafeQueueUserWorkItem(static work => work.Answer(), last, preferLocal: true); }
        }
    }

    private void Fail(LaneWork work, Exception error)
    {
        work.Fail(error);
        answered.Add(work);
    }

    private void Forget()
    {
        Folds.Clear();
        Version = 0;
        VerifiedAt = 0;
        Bytes = 0;
    }

    private async Task Round()
    {
        var behind = stale || VerifiedAt == 0;
        foreach (var work in round)
        {
            var fold = work.FoldOf(this);
            behind |= fold.Version < Version || VerifiedAt < work.NotBefore;
        }

        if (behind) { await CatchUp(); }

        foreach (var fold in Folds) { fold.Begin(); }
        var version = Version;
        List<LaneWork>? decided = null;
        var (events, bytes) = (0, 0L);
        foreach (var work in round)
        {
            if (events >= store.Limits.EventsPerCommit)
            {
                again.Add(work);
                continue;
            }

            if (work.Decide(this, version) is not { } unit)
            {
                answered.Add(work);
                continue;
            }

            (decided ??= []).Add(work);
            events += unit.EventCount;
            version += unit.EventCount;
        }

        if (decided is null) { return; }

        var units = new CommitUnit[decided.Count];
        for (var i = 0; i < units.Length; i++) { units[i] = decided[i].Unit!; }
        var sentAt = store.Now;
        await store.Queue.Commit(new CommitChain(units));

        var allCommitted = true;
        foreach (var unit in units) { allCommitted &= unit.Outcome == Outcome.Committed; }
        if (allCommitted)
        {
            foreach (var fold in Folds) { fold.Keep(version); }
        }

        var moved = false;
        for (var i = 0; i < units.Length; i++)
        {
            var (work, unit) = (decided[i], units[i]);
            switch (unit.Outcome)
            {
                case Outcome.Committed:
                    foreach (var part in unit.Streams)
                    {
                        foreach (var stored in part.Events)
                        {
                            Version++;
                            bytes += stored.Json.Length;
                            if (allCommitted) { continue; }
                            foreach (var fold in Folds) { fold.Apply(stored.Fact, Version); }
                        }
                    }

                    work.Succeed();
                    answered.Add(work);
                    break;
                case Outcome.Superseded:
                    again.Add(work);
                    break;
                case Outcome.Conflict when ++work.Conflicts < MaxConflicts:
                    moved = true;
                    again.Add(work);
                    break;
                case Outcome.Duplicate when unit.Refusal() is null:
                    work.Recall(this);
                    answered.Add(work);
                    break;
                case Outcome.Waiting or Outcome.Conflict or Outcome.Archived or Outcome.Duplicate or Outcome.OwnershipLost or Outcome.Failed:
                    Fail(work, unit.Refusal()!);
                    moved = true;
                    break;
            }
        }

        Bytes += bytes;
        if (bytes > 0) { store.Appended(Key); }
        if (moved) { stale = true; }
        else if (events > 0 && allCommitted) { VerifiedAt = sentAt; }
    }

    private async Task CatchUp()
    {
        var from = Version;
        foreach (var fold in Folds) { from = Math.Min(from, fold.Version); }
        if (from < Version && from == 0) { Bytes = 0; }
        stale = false;
        var askedAt = store.Now;
        try
        {
            while (true)
            {
                var page = await store.ReadPage(Key, from + 1);
                foreach (var (version, fact, bytes) in page)
                {
                    foreach (var fold in Folds)
                    {
                        if (fold.Version == version - 1) { fold.Apply(fact, version); }
                    }

                    from = version;
                    if (version > Version) { Version = version; }
                    Bytes += bytes;
                }

                if (page.Count < Store.PageSize) { break; }
            }
        }
        catch
        {
            stale = true;
            throw;
        }

        VerifiedAt = askedAt;
    }
}

/// <summary>A state of a lane's stream, as committed, and beside it as the round under way would leave it.</summary>
internal abstract class LaneFold
{
    public long Version { get; protected set; }

    public abstract void Begin();

    /// <summary>What the round decided is durable.</summary>
    public abstract void Keep(long version);

    public abstract void Apply(object fact, long version);

    /// <summary>Follows another fold's decision within the round.</summary>
    public abstract void Follow(StoredEvent[] events);
}

internal sealed class LaneFold<TState>(StateFold<TState> fold) : LaneFold where TState : class
{
    public TState? State { get; private set; }

    public TState? Evolving { get; set; }

    public bool Is(StateFold<TState> other) => ReferenceEquals(fold, other) || fold == other;

    public TState? After(StoredEvent[] events)
    {
        var state = Evolving;
        foreach (ref readonly var stored in events.AsSpan()) { state = fold.Evolve(state, stored.Fact); }
        return state;
    }

    public override void Begin() => Evolving = State;

    public override void Keep(long version) => (State, Version) = (Evolving, version);

    public override void Apply(object fact, long version) => (State, Version) = (fold.Evolve(State, fact), version);

    public override void Follow(StoredEvent[] events) => Evolving = After(events);
}

/// <summary>Something asked of a lane.</summary>
internal abstract class LaneWork
{
    /// <summary>The lane must have looked at the log after this moment; 0: what it remembers will do.</summary>
    public long NotBefore { get; init; }

    public int Conflicts { get; set; }

    public CommitUnit? Unit { get; protected set; }

    /// <summary>Nobody waits any longer.</summary>
    public abstract bool IsAbandoned { get; }

    public abstract LaneFold FoldOf(Lane lane);

    /// <summary>The unit to commit; null: its answer is there already.</summary>
    public abstract CommitUnit? Decide(Lane lane, long version);

    public abstract void Succeed();

    /// <summary>The command id was known.</summary>
    public abstract void Recall(Lane lane);

    public abstract void Fail(Exception error);

    /// <summary>Tells the caller, who goes on within this call. Once, after one of the above.</summary>
    public abstract void Answer();
}

internal abstract class LaneWork<TAnswer>(CancellationToken cancellation) : LaneWork
{
    // Who waits with a token has stopped waiting by it. The answer's continuations run where Answer is called.
    private readonly TaskCompletionSource<TAnswer> source = new();
    private Exception? error;

    public Task<TAnswer> Task => source.Task;

    public override bool IsAbandoned => cancellation.IsCancellationRequested;

    protected TAnswer? Result { get; set; }

    public override void Fail(Exception error) => this.error = error;

    public override void Answer()
    {
        if (error is not null) { source.SetException(error); }
        else { source.SetResult(Result!); }
    }
}

internal sealed class LoadWork<TState>(StateFold<TState> fold, CancellationToken cancellation) : LaneWork<Loaded<TState>>(cancellation) where TState : class
{

    public override LaneFold FoldOf(Lane lane) => lane.Fold(fold);

    public override CommitUnit? Decide(Lane lane, long version)
    {
        // What others of this round have decided is not durable yet: a reader gets what is.
        Result = new Loaded<TState>(lane.Fold(fold).State, lane.Version);
        return null;
    }

    public override void Succeed() => throw new InvalidOperationException("A load commits nothing.");

    public override void Recall(Lane lane) => Succeed();
}

internal sealed class DecideWork<TState>(Store store, DecideRequest<TState> request, CancellationToken cancellation) : LaneWork<Decided<TState>>(cancellation) where TState : class
{
    private Decision? decision;
    private TState? after;
    private long versionAfter;

    public override LaneFold FoldOf(Lane lane) => lane.Fold(request.Fold);

    public override CommitUnit? Decide(Lane lane, long version)
    {
        Unit = null;
        try
        {
            var fold = lane.Fold(request.Fold);
            decision = request.Decide(fold.Evolving, version);
            store.Limits.Check(decision.Messages);
            StoreLimits.Check("events a commit", decision.Events.Count, store.Limits.EventsPerCommit);
            if (decision.Events.Count == 0 && decision.Messages.Count == 0 && request.Handled is null && request.Inbox is null)
            {
                Result = new Decided<TState>(fold.Evolving, version, decision);
                return null;
            }

            var events = store.Serialize(decision.Events, request.Timestamp);
            var part = new StreamPart(request.StreamId, request.Fold.StreamType, version, events);
            var projected = store.Inline?.Of(request.Tenant, request.Timestamp, request.Metadata, part);
            after = fold.After(events);
            versionAfter = version + events.Length;
            foreach (var other in lane.Folds)
            {
                if (!ReferenceEquals(other, fold)) { other.Follow(events); }
            }

            fold.Evolving = after;

            // Messages alone still stand on the state they were decided on; finishing a message does not.
            Unit = new CommitUnit
            {
                Tenant = request.Tenant,
                Time = request.Timestamp.ToUniversalTime(),
                Streams = events.Length == 0 && decision.Messages.Count == 0 ? [] : [part],
                Projected = projected,
                Metadata = request.Metadata,
                Messages = decision.Messages,
                Handled = request.Handled,
                Inbox = request.Inbox,
                Owner = request.Owner,
            };
            return Unit;
        }
        catch (Exception fault)
        {
            // One caller's decision: the others of the lane go on.
            Fail(fault);
            return null;
        }
    }

    public override void Succeed() => Result = new Decided<TState>(after, versionAfter, decision!);

    public override void Recall(Lane lane) => Result = new Decided<TState>(lane.Fold(request.Fold).State, lane.Version, new Decision([], []), Unit!.Recorded);
}
