using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;

namespace Platform.Messaging;

public sealed record BusOptions
{
    public string NodeName { get; init; } = "node";

    /// <summary>Messages kept in memory; beyond it they stay in their table, and are claimed when there is room.</summary>
    public int MaxInMemory { get; init; } = 20_000;

    /// <summary>How long to wait for a word of other nodes' work before looking anyway.</summary>
    public TimeSpan LookEvery { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Between attempts to join again after the store was away.</summary>
    public TimeSpan RejoinEvery { get; init; } = TimeSpan.FromMilliseconds(500);
}

/// <summary>Who asks for a command, and under which id.</summary>
/// <param name="CommandId">1 to 255 characters; the same id with the same command is answered from the record. Null: never repeated.</param>
public sealed record InvokeOptions(TenantId Tenant, string? CommandId = null, string? User = null, string? CorrelationId = null, IReadOnlyDictionary<string, string>? Headers = null);

/// <summary>Runs commands from outside and the durable messages that follow from them.</summary>
/// <param name="ids">New ids, version 7.</param>
public sealed class Bus(
    HandlerTable table,
    IEventStreams streams,
    IMessageStore store,
    IServiceProvider services,
    TimeProvider time,
    Func<Guid> ids,
    BusOptions? options = null) : IAsyncDisposable
{
    private readonly BusOptions options = options ?? new BusOptions();
    private readonly Pipeline pipeline = new(table, streams, store, services, time, static () => RandomNumberGenerator.GetInt32(1_000) / 1_000.0);
    private readonly CancellationTokenSource stopping = new();
    private volatile Node? node;
    private Task? membership;
    private bool disposed;

    /// <summary>Messages in this node's memory: waiting, delayed and being handled.</summary>
    public int InMemory => node?.Count ?? 0;

    /// <summary>Joins and begins to handle messages. Without it, commands run but their messages wait in the table: for one-shot hosts.</summary>
    public async Task Start(CancellationToken cancellation)
    {
        var joined = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        membership = Task.Run(() => Belong(joined), CancellationToken.None);
        await joined.Task.WaitAsync(cancellation);
    }

    /// <summary>Takes no new work, lets what is being handled end until the deadline, and leaves; what is left is anybody's.</summary>
    public async Task Drain(TimeSpan deadline)
    {
        var last = node;
        await stopping.CancelAsync();
        if (last is not null) { await last.Drain(deadline); }
        if (membership is not null) { await membership; }
    }

    /// <summary>Runs a command and answers when its outcome is durable.</summary>
    /// <exception cref="ProblemException">It is refused.</exception>
    /// <exception cref="StoreUnavailableException">Ask again with the same command id, or <see cref="Find"/> what became of it.</exception>
    public async Task<CommandAnswer> Invoke(object command, InvokeOptions options, CancellationToken cancellation)
    {
        var type = pipeline.Of(command);
        var id = ids();
        var envelope = Pipeline.Seal(
            type, id, options.Tenant, command, new EventMetadata(options.CorrelationId ?? id.ToString(), null, options.User, options.Headers)) with
        { Attempts = 1 };
        var answer = options.CommandId is { } commandId ? new PendingAnswer(commandId, Hash(type.Alias, envelope.Body.Span)) : null;
        var owning = node is { HasRoom: true } current ? current : null;
        try
        {
            var executed = await pipeline.Run(envelope, command, owning?.Owner, null, answer, cancellation);
            if (executed.Recorded is { } recorded) { return CommandAnswer.Read(recorded) with { Repeated = true }; }
            Follow(envelope.Tenant, executed, owning);
            return new CommandAnswer(executed.StreamId, executed.Version) { Messages = [.. executed.Messages.Select(m => m.Id)] };
        }
        catch (CommandConflictException)
        {
            throw new ProblemException(new Problem("command.conflict", "This command id was used before with another command.", 409));
        }
        catch (StoreUnavailableException)
        {
            // Whether it committed is not known: messages of it may be ours without our knowing. Leaving makes them claimable.
            owning?.Leave();
            throw;
        }
    }

    /// <summary>What became of a command: null when it never committed.</summary>
    public async Task<CommandAnswer?> Find(TenantId tenant, string commandId, CancellationToken cancellation) =>
        await store.FindCommand(tenant, commandId, cancellation) is { } entry ? CommandAnswer.Read(entry) with { Repeated = true } : null;

    /// <summary>For hosts without background work: makes one attempt at one message and answers which messages follow. Null: nobody's to run now.</summary>
    public async Task<IReadOnlyList<Guid>?> ExecuteOne(TenantId tenant, Guid id, CancellationToken cancellation)
    {
        await using var once = await store.Join(options.NodeName, cancellation);
        if (await store.ClaimOne(once.Owner, tenant, id, cancellation) is not { } envelope) { return null; }
        using var lost = CancellationTokenSource.CreateLinkedTokenSource(cancellation, once.Lost);
        var (attempt, executed, _, _) = await pipeline.Try(envelope, once.Owner, null, counts: true, lost.Token);
        return attempt switch
        {
            Attempt.Handled => [.. executed!.Messages.Select(m => m.Id)],
            Attempt.Retry => [id],
            Attempt.Buried => [],
            Attempt.Lost => null,
        };
    }

    /// <summary>Ends calls to the world in flight on this node for a stream, for a host that hears of another node's interruption.</summary>
    public void Interrupt(TenantId tenant, Guid streamId) => pipeline.Interrupts.Interrupt(tenant, streamId);

    public async ValueTask DisposeAsync()
    {
        if (disposed) { return; }
        disposed = true;
        await Drain(TimeSpan.Zero);
        node?.Dispose();
        stopping.Dispose();
    }

    private static byte[] Hash(string alias, ReadOnlySpan<byte> body)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(alias));
        hash.AppendData([0]);
        hash.AppendData(body);
        return hash.GetHashAndReset();
    }

    private void Follow(TenantId tenant, Executed executed, Node? owning)
    {
        foreach (var stream in executed.Interrupted) { pipeline.Interrupts.Interrupt(tenant, stream); }
        if (owning is null) { return; }
        foreach (var message in executed.Messages) { owning.Add(message, counts: false); }
    }

    /// <summary>Joins, claims, and joins again when the membership is lost, until told to stop.</summary>
    private async Task Belong(TaskCompletionSource joined)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await using var member = await store.Join(options.NodeName, stopping.Token);
                using var current = new Node(this, member);
                node = current;
                joined.TrySetResult();
                try
                {
                    await Claim(current);
                }
                finally
                {
                    node = null;
                    await current.End();
                }
            }
            catch (OperationCanceledException)
            {
                // Lost or stopping: the loop's condition says which.
            }
            catch (StoreUnavailableException)
            {
                await Task.Delay(options.RejoinEvery, time, stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        joined.TrySetCanceled();
    }

    private async Task Claim(Node current)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stopping.Token, current.Gone);
        while (true)
        {
            either.Token.ThrowIfCancellationRequested();
            var room = options.MaxInMemory - current.Count;
            if (room > 0)
            {
                foreach (var envelope in await store.Claim(current.Owner, room, either.Token)) { current.Add(envelope, counts: true); }
            }

            await store.WaitForWork(options.LookEvery, either.Token);
        }
    }

    /// <summary>One membership with what it keeps in memory. Ends as a whole.</summary>
    private sealed class Node : IDisposable
    {
        private readonly Bus bus;
        private readonly CancellationTokenSource gone;
        private readonly CancellationTokenSource drained = new();
        private readonly Dictionary<string, LocalQueue> queues;
        private readonly ConcurrentDictionary<Guid, ITimer> timers = [];
        private readonly ConcurrentDictionary<(TenantId, Guid), bool> known = [];
        private readonly TaskCompletionSource idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int handling;

        public Node(Bus bus, INodeMembership member)
        {
            this.bus = bus;
            Owner = member.Owner;
            gone = CancellationTokenSource.CreateLinkedTokenSource(member.Lost);
            Gone = gone.Token;
            queues = bus.pipeline.Types.GroupBy(t => t.Queue.Name).ToDictionary(g => g.Key, g => new LocalQueue(g.Max(t => t.Queue.MaxParallel), Handle));
            queues.TryAdd(MessageQueue.Default.Name, new LocalQueue(MessageQueue.DefaultParallel, Handle));
        }

        public long Owner { get; }

        public CancellationToken Gone { get; }

        public int Count => known.Count;

        public bool HasRoom => known.Count < bus.options.MaxInMemory && !Stopped;

        private bool Stopped => Gone.IsCancellationRequested || bus.stopping.IsCancellationRequested;

        public void Leave() => Cancel(gone);

        public void Add(Envelope envelope, bool counts)
        {
            if (!known.TryAdd((envelope.Tenant, envelope.Id), true)) { return; }
            Telemetry.Waiting.Add(1);
            Wait(new Work(envelope, counts), envelope.Delay ?? (envelope.DueAt - bus.pipeline.Time.GetUtcNow()) ?? TimeSpan.Zero);
        }

        /// <summary>Lets what is being handled end; cancels it at the deadline.</summary>
        public async Task Drain(TimeSpan deadline)
        {
            if (Volatile.Read(ref handling) > 0) { await idle.Task.WaitAsync(deadline, bus.pipeline.Time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); }
            Cancel(drained);
        }

        private static void Cancel(CancellationTokenSource source)
        {
            try
            {
                source.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // The membership has ended meanwhile.
            }
        }

        /// <summary>After this nothing of the membership runs any more.</summary>
        public async Task End()
        {
            foreach (var timer in timers.Values) { await timer.DisposeAsync(); }
            if (!bus.stopping.IsCancellationRequested) { await gone.CancelAsync(); }
            if (Volatile.Read(ref handling) > 0) { await idle.Task; }
            Telemetry.Waiting.Add(-known.Count);
        }

        public void Dispose()
        {
            gone.Dispose();
            drained.Dispose();
        }

        private void Wait(Work work, TimeSpan wait)
        {
            if (wait <= TimeSpan.Zero)
            {
                (queues.GetValueOrDefault(bus.pipeline.Find(work.Envelope.Type)?.Queue.Name ?? "") ?? queues[MessageQueue.Default.Name]).Add(work);
                return;
            }

            // A moment of the wall clock is looked at again now and then, so that a step of the clock is followed; a duration is not.
            var chunk = work.Envelope.Delay is null && wait > LookAtClockEvery ? LookAtClockEvery : wait > LongestTimer ? LongestTimer : wait;
            var timer = bus.pipeline.Time.CreateTimer(
                _ =>
                {
                    if (timers.TryRemove(work.Envelope.Id, out var done)) { done.Dispose(); }
                    if (Stopped) { return; }
                    Wait(work, work.Envelope.Delay is null && work.Envelope.DueAt is { } due ? due - bus.pipeline.Time.GetUtcNow() : wait - chunk);
                },
                null,
                Timeout.InfiniteTimeSpan,
                Timeout.InfiniteTimeSpan);
            timers[work.Envelope.Id] = timer;
            timer.Change(chunk, Timeout.InfiniteTimeSpan);
        }

        private async Task Handle(Work work)
        {
            Interlocked.Increment(ref handling);
            try
            {
                while (!Stopped && await Once(work) is { } again) { work = again; }
            }
            finally
            {
                if (Interlocked.Decrement(ref handling) == 0 && Stopped) { idle.TrySetResult(); }
            }
        }

        /// <summary>One attempt; answers with the work where it is to be done again, after the wait, its key still held.</summary>
        private async Task<Work?> Once(Work work)
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(Gone, drained.Token);
            try
            {
                var room = HasRoom;
                var (attempt, executed, envelope, wait) = await bus.pipeline.Try(work.Envelope, Owner, room ? Owner : null, work.Counts, either.Token);
                if (attempt == Attempt.Retry)
                {
                    using var stop = CancellationTokenSource.CreateLinkedTokenSource(either.Token, bus.stopping.Token);
                    await Task.Delay(wait, bus.pipeline.Time, stop.Token);
                    return new Work(envelope, Counts: true);
                }

                if (known.TryRemove((envelope.Tenant, envelope.Id), out _)) { Telemetry.Waiting.Add(-1); }
                if (executed is not null) { bus.Follow(envelope.Tenant, executed, room ? this : null); }
            }
            catch (StoreUnavailableException)
            {
                // Whether it committed is not known. Leaving gives everything back; what did commit is gone from the table.
                Leave();
            }
            catch (OperationCanceledException)
            {
                // The membership is gone or drained: the row stays, unhandled, for whoever claims it.
            }
            catch (OwnershipLostException)
            {
                known.TryRemove((work.Envelope.Tenant, work.Envelope.Id), out _);
            }
            catch (SimulatedCrashException)
            {
                Leave();
            }

            return null;
        }
    }

    /// <summary>A stepped wall clock is noticed at the latest after this.</summary>
    private static readonly TimeSpan LookAtClockEvery = TimeSpan.FromSeconds(30);

    /// <summary>Below what a timer can hold (about 49 days).</summary>
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(20);
}
