using System.Threading.Channels;
using Npgsql;
using Platform.EventStore.Projections;
using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>
/// Group commit. A few committers, each on a connection of its own, take what waits and send it as one transaction: one waiting chain goes at once, and while
/// both are busy the next batch grows by itself. A chain that is refused fails alone; the others of its batch go again.
/// </summary>
/// <remarks>
/// A committer that rests is set going by the caller whose chain comes first. While each transaction is of one chain, that is in the caller's own flow: a writer that is
/// alone waits for the server and for no other thread. Where several write, a thread of the pool does it: by the time it gets to it, the others have come too.
/// </remarks>
internal sealed class CommitQueue : IAsyncDisposable
{
    /// <summary>Chains that may wait; a caller beyond it waits for a place.</summary>
    private const int MaxWaiting = 16_384;

    /// <summary>One transaction's share: beyond it the locks are held for longer than the saved commits are worth.</summary>
    private const int MaxUnits = 256;
    private const int MaxEvents = 2_000;
    private const int MaxBytes = 8 * 1024 * 1024;

    /// <summary>Refusals, deadlocks and races that one batch goes through before its chains go one by one.</summary>
    private const int MaxTogether = 8;
    private const int MaxAlone = 16;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(500);

    private readonly StoreContext context;
    private readonly InlineProjections? inline;
    private readonly Action<int, bool> committed;
    private readonly Channel<CommitChain> waiting = Channel.CreateBounded<CommitChain>(new BoundedChannelOptions(MaxWaiting) { SingleReader = false });
    private readonly CancellationTokenSource stop = new();
    private readonly Committer[] committers;
    private readonly Stack<Committer> resting = new();
    private readonly Lock gate = new();
    private readonly TaskCompletionSource allRest = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool closing;

    /// <summary>The last transaction was of one chain: whoever comes next is probably alone as well.</summary>
    private volatile bool alone = true;

    /// <param name="inline">Null: there is none.</param>
    /// <param name="committed">Called after each transaction: how many events, and whether messages without an owner.</param>
    public CommitQueue(StoreContext context, int committers, InlineProjections? inline, Action<int, bool> committed)
    {
        this.context = context;
        this.inline = inline;
        this.committed = committed;
        this.committers = new Committer[committers];
        for (var i = 0; i < committers; i++) { resting.Push(this.committers[i] = new Committer(this)); }
    }

    /// <summary>Completes when every unit of the chain has its outcome.</summary>
    public async ValueTask Commit(CommitChain chain)
    {
        chain.EnqueuedAt = context.Time.GetTimestamp();
        if (!waiting.Writer.TryWrite(chain))
        {
            try { await waiting.Writer.WriteAsync(chain, stop.Token); }
            catch (Exception closed) when (closed is ChannelClosedException or OperationCanceledException) { throw new StoreUnavailableException("The store is closed."); }
        }

        if (Wake() is { } committer)
        {
            if (alone) { await committer.Once(); }
            else { committer.Start(); }
        }

        await chain.Done;
    }

    public async ValueTask DisposeAsync()
    {
        waiting.Writer.TryComplete();
        lock (gate)
        {
            closing = true;

            // Whoever has written and not looked yet finds one to set going, which sees to this again.
            if (resting.Count == committers.Length && !waiting.Reader.TryPeek(out _)) { allRest.TrySetResult(); }
        }

        await allRest.Task.WaitAsync(context.Deadline).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await stop.CancelAsync();
        await allRest.Task;
        foreach (var committer in committers) { await committer.Close(); }
        while (waiting.Reader.TryRead(out var left)) { Fail(left, new StoreUnavailableException("The store is closed.")); }
        stop.Dispose();
    }

    /// <summary>A committer that rests, to be set going; null: all are busy, and one of them takes what waits when it is through.</summary>
    private Committer? Wake()
    {
        lock (gate) { return !allRest.Task.IsCompleted && resting.TryPop(out var committer) ? committer : null; }
    }

    /// <summary>False: something came meanwhile, go on.</summary>
    private bool Rest(Committer committer)
    {
        lock (gate)
        {
            // Whoever writes looks for one that rests afterwards: either he sees this one, or this one sees what he wrote.
            if (waiting.Reader.TryPeek(out _) && !stop.IsCancellationRequested) { return false; }
            resting.Push(committer);
            if (closing && resting.Count == committers.Length) { allRest.TrySetResult(); }
            return true;
        }
    }

    private static void Fail(CommitChain chain, Exception error)
    {
        foreach (var unit in chain.Units)
        {
            if (unit.Outcome != Outcome.Waiting) { continue; }
            unit.Outcome = Outcome.Failed;
            unit.Error = error;
        }

        chain.Answer();
    }

    private sealed class Committer(CommitQueue queue)
    {
        private readonly StoreContext context = queue.context;
        private readonly CancellationToken stop = queue.stop.Token;
        private readonly Queue<CommitChain> deferred = new();
        private readonly List<CommitChain> taken = [];
        private readonly HashSet<(string, Guid)> keys = [];
        private readonly HashSet<(string, string)> commands = [];
        private CommitBatch? batch;
        private NpgsqlConnection? connection;
        private (int Pid, DateTime Start) backend;

        /// <summary>One transaction; what waits after it goes on beside the caller.</summary>
        public async Task Once()
        {
            await CommitNext();
            if (deferred.Count > 0 || !queue.Rest(this)) { Start(); }
        }

        public void Start() => ThreadPool.UnsafeQueueUserWorkItem(static committer => _ = committer.Run(), this, preferLocal: false);

        public ValueTask Close() => Drop();

        private async Task Run()
        {
            do { await CommitNext(); }
            while (deferred.Count > 0 || !queue.Rest(this));
        }

        private async Task CommitNext()
        {
            try
            {
                Take();
                if (taken.Count == 0) { return; }
                queue.alone = taken.Count == 1;
                await CommitTaken();
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                foreach (var chain in taken.Concat(deferred)) { Fail(chain, new StoreUnavailableException("The store is closed.")); }
                deferred.Clear();
            }
            catch (Exception fault)
            {
                // Nothing may stop a committer: whatever it could not tell apart is told to the callers, and the connection is not used again.
                await Drop();
                foreach (var chain in taken) { Fail(chain, fault); }
            }
        }

        /// <summary>What waits now, up to one transaction's share. Chains that touch the same stream, message or command go into different transactions.</summary>
        private void Take()
        {
            taken.Clear();
            keys.Clear();
            commands.Clear();
            var (units, events, bytes) = (0, 0, 0);
            for (var again = deferred.Count; again > 0; again--) { Consider(deferred.Dequeue()); }
            while (units < MaxUnits && events < MaxEvents && bytes < MaxBytes && deferred.Count < MaxUnits && queue.waiting.Reader.TryRead(out var chain)) { Consider(chain); }

            void Consider(CommitChain chain)
            {
                if (context.Time.GetElapsedTime(chain.EnqueuedAt) > context.Deadline)
                {
                    Fail(chain, new StoreUnavailableException("The store did not get to it in time."));
                    return;
                }

                if (taken.Count > 0 && (units >= MaxUnits || events >= MaxEvents || bytes >= MaxBytes || Meets(chain)))
                {
                    deferred.Enqueue(chain);
                    return;
                }

                taken.Add(chain);
                foreach (var unit in chain.Units)
                {
                    units++;
                    foreach (var part in unit.Streams)
                    {
                        keys.Add((unit.Tenant.Value, part.Id));
                        events += part.Events.Length;
                        foreach (ref readonly var stored in part.Events.AsSpan()) { bytes += stored.Json.Length; }
                    }

                    if (unit.Handled is { } handled) { keys.Add((handled.Tenant.Value, handled.Id)); }
                    if (unit.Inbox is { } inbox) { commands.Add((unit.Tenant.Value, inbox.CommandId)); }
                    for (var i = 0; i < unit.Messages.Count; i++) { bytes += unit.Messages[i].Body.Length; }
                }
            }
        }

        private bool Meets(CommitChain chain)
        {
            foreach (var unit in chain.Units)
            {
                foreach (var part in unit.Streams)
                {
                    if (keys.Contains((unit.Tenant.Value, part.Id))) { return true; }
                }

                if (unit.Handled is { } handled && keys.Contains((handled.Tenant.Value, handled.Id))) { return true; }
                if (unit.Inbox is { } inbox && commands.Contains((unit.Tenant.Value, inbox.CommandId))) { return true; }
            }

            return false;
        }

        private async Task CommitTaken()
        {
            if (!await TryCommit(taken, MaxTogether) && taken.Count > 1)
            {
                foreach (var chain in taken) { await TryCommit([chain], MaxAlone); }
            }

            // What still has no outcome is a chain that failed as a whole: unit by unit, so that one bad unit fails alone.
            foreach (var chain in taken)
            {
                for (var i = 0; i < chain.Units.Count; i++)
                {
                    var unit = chain.Units[i];
                    if (unit.Outcome != Outcome.Waiting) { continue; }
                    if (!await TryCommit([new CommitChain([unit])], MaxAlone) && unit.Outcome == Outcome.Waiting)
                    {
                        unit.Outcome = Outcome.Failed;
                        unit.Error = new StoreUnavailableException($"Refused {MaxAlone} times in a row.");
                    }

                    if (unit.Outcome is not Outcome.Committed) { Supersede(chain, i + 1); }
                }
            }

            foreach (var chain in taken) { chain.Answer(); }
        }

        private static void Supersede(CommitChain chain, int from)
        {
            for (var i = from; i < chain.Units.Count; i++)
            {
                if (chain.Units[i].Outcome == Outcome.Waiting) { chain.Units[i].Outcome = Outcome.Superseded; }
            }
        }

        /// <summary>Commits the units that still wait. False: they could not all be given an outcome together.</summary>
        private async Task<bool> TryCommit(List<CommitChain> chains, int attempts)
        {
            var began = context.Time.GetTimestamp();
            var pause = FirstPause;
            var locked = false;
            for (var attempt = 0; attempt < attempts;)
            {
                try
                {
                    await Connect();
                    if (queue.inline is not null && chains.Exists(static c => c.IsProjected)) { await SendProjected(chains, locked); }
                    else
                    {
                        batch!.Fill(Waiting(chains));
                        if (batch.Units.Count > 0) { await batch.Execute(stop); }
                    }

                    Committed();
                    return true;
                }
                catch (PostgresException refused) when (refused.SqlState is Postgres.Refused or PostgresErrorCodes.UniqueViolation)
                {
                    attempt++;
                    locked = true;
                    try { await batch!.FindRefused(connection!, stop); }
                    catch (Exception lost) when (Postgres.IsAway(lost)) { await Drop(); }
                    foreach (var chain in chains)
                    {
                        for (var i = 0; i < chain.Units.Count; i++)
                        {
                            if (chain.Units[i].Outcome is not (Outcome.Waiting or Outcome.Committed)) { Supersede(chain, i + 1); }
                        }
                    }
                }
                catch (PostgresException lost) when (lost.SqlState is PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure)
                {
                    attempt++;
                    await Pause();
                }
                catch (PostgresException full) when (Postgres.IsDefinite(full) && Postgres.IsAway(full))
                {
                    FailAll(chains, new StoreUnavailableException($"The database refuses to write: {full.MessageText}", full));
                    return true;
                }
                catch (Exception away) when (Postgres.IsAway(away))
                {
                    var sent = batch is { Units.Count: > 0 } && connection is not null ? backend : default;
                    await Drop();
                    if (sent.Pid != 0)
                    {
                        switch (await WasCommitted(sent))
                        {
                            case true:
                                Committed();
                                return true;
                            case null:
                                FailAll(chains, new StoreUnavailableException("The connection was cut within a commit, and the database cannot be asked what became of it.", away));
                                return true;
                            case false:
                                break;
                        }
                    }

                    if (context.Time.GetElapsedTime(began) > context.Patience)
                    {
                        FailAll(chains, new StoreUnavailableException("The database is away.", away));
                        return true;
                    }

                    await Pause();
                }
                catch (PostgresException wrong)
                {
                    // Something in one of the units that the database does not take.
                    if (chains.Count > 1 || chains[0].Units.Count > 1) { return false; }
                    FailAll(chains, new ArgumentException($"The database does not take it: {wrong.MessageText}", wrong));
                    return true;
                }
            }

            return false;

            async Task Pause()
            {
                await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), context.Time, stop);
                pause = pause + pause > LongestPause ? LongestPause : pause + pause;
            }
        }

        private static IEnumerable<CommitUnit> Waiting(List<CommitChain> chains) => chains.SelectMany(c => c.Units).Where(u => u.Outcome == Outcome.Waiting);

        /// <summary>Folds inline projections and sends their documents with the events.</summary>
        /// <param name="locked">After a refusal: another process may be at the same documents, so they are locked before they are read.</param>
        private async Task SendProjected(List<CommitChain> chains, bool locked)
        {
            // Should the documents not be had, what was sent before must not be taken for this.
            batch!.Clear();
            await using var transaction = locked ? await connection!.BeginTransactionAsync(stop) : null;
            using var projected = await queue.inline!.Begin(chains, connection!, locked, stop);
            batch.Fill(Waiting(chains));
            projected.Write(batch.Documents);
            if (batch.Units.Count > 0) { await batch.ExecuteProjected(stop); }
            if (transaction is not null) { await transaction.CommitAsync(stop); }
            projected.Keep();
        }

        private void Committed()
        {
            foreach (var unit in batch!.Units) { unit.Outcome = Outcome.Committed; }
            queue.committed(batch.Events, batch.HasUnownedMessages);
        }

        private static void FailAll(List<CommitChain> chains, Exception error)
        {
            foreach (var chain in chains)
            {
                foreach (var unit in chain.Units)
                {
                    if (unit.Outcome != Outcome.Waiting) { continue; }
                    unit.Outcome = Outcome.Failed;
                    unit.Error = error;
                }
            }
        }

        private async Task Connect()
        {
            if (connection is not null) { return; }
            var opened = await context.Open(stop);
            var prepared = new CommitBatch(context.Schema, context.CommandTimeoutSeconds);
            try
            {
                backend = await Postgres.Backend(opened, stop);
                await prepared.Prepare(opened, stop);
            }
            catch
            {
                prepared.Dispose();
                await opened.DisposeAsync();
                throw;
            }

            (connection, batch) = (opened, prepared);
        }

        private async ValueTask Drop()
        {
            if (connection is not { } dropped) { return; }
            connection = null;
            try
            {
                if (dropped.FullState == System.Data.ConnectionState.Open) { await CommitBatch.Reset(dropped); }
                await dropped.DisposeAsync();
            }
            catch (Exception e) when (Postgres.IsAway(e)) { /* It is gone either way. */ }
        }

        /// <summary>
        /// What became of the call that was cut. The backend that ran it is ended first, so that the answer cannot change afterwards; then something that only
        /// this transaction can have written is looked for. Null: nobody could be asked before the deadline.
        /// </summary>
        private async Task<bool?> WasCommitted((int Pid, DateTime Start) cut)
        {
            var began = context.Time.GetTimestamp();
            while (context.Time.GetElapsedTime(began) < context.Deadline)
            {
                try
                {
                    await using var asked = await context.Open(stop);
                    while (await Postgres.End(asked, cut.Pid, cut.Start, stop))
                    {
                        if (context.Time.GetElapsedTime(began) > context.Deadline) { return null; }
                        await Task.Delay(FirstPause, context.Time, stop);
                    }

                    return await batch!.IsThere(asked, stop);
                }
                catch (Exception away) when (Postgres.IsAway(away)) { await Task.Delay(FirstPause * (1 + Random.Shared.NextDouble()), context.Time, stop); }
            }

            return null;
        }
    }
}
