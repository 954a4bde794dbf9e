using System.Collections.Concurrent;

namespace Platform.Messaging;

/// <summary>One membership with what it keeps in memory: messages that wait, that are delayed and that are being handled.</summary>
internal sealed class Node : IDisposable
{
    /// <summary>A stepped wall clock is noticed at the latest after this.</summary>
    internal static readonly TimeSpan LookAtClockEvery = TimeSpan.FromSeconds(30);

    /// <summary>Below what a timer can hold (about 49 days).</summary>
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(20);

    /// <summary>What a handler gets to end in once it is told to.</summary>
    internal static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    /// <summary>Longer than the store lets one commit run: a call whose connection was cut may still end at the server.</summary>
    private static readonly TimeSpan LateCommit = TimeSpan.FromSeconds(20);

    private readonly Pipeline pipeline;
    private readonly BusOptions options;
    private readonly CancellationToken stopping;
    private readonly Func<TenantId, Executed, Node?, Task> follow;
    private readonly CancellationTokenSource gone;
    private readonly CancellationTokenSource ended = new();
    private readonly CancellationToken end;
    private readonly Dictionary<string, LocalQueue> queues;
    private readonly ConcurrentDictionary<MessageRef, ITimer> timers = [];
    private readonly ConcurrentDictionary<MessageRef, bool> known = [];
    private readonly ConcurrentDictionary<MessageRef, Work> doubtful = [];
    private readonly TaskCompletionSource idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile TaskCompletionSource? roomy;
    private int count;
    private int handling;
    private int looking;

    /// <param name="follow">Of the bus: what comes after a commit.</param>
    public Node(Pipeline pipeline, BusOptions options, INodeMembership member, Func<TenantId, Executed, Node?, Task> follow, CancellationToken stopping)
    {
        (this.pipeline, this.options, this.follow, this.stopping) = (pipeline, options, follow, stopping);
        Owner = member.Owner;
        gone = CancellationTokenSource.CreateLinkedTokenSource(member.Lost);
        (Gone, end) = (gone.Token, ended.Token);
        queues = pipeline.Types.GroupBy(t => t.Queue.Name).ToDictionary(g => g.Key, g => new LocalQueue(g.Max(t => t.Queue.MaxParallel), Handle));
        foreach (var endpoint in options.Transports) { queues.Add(Routes.QueueName(endpoint.Transport), new LocalQueue(MessageQueue.DefaultParallel, Handle)); }
        queues.TryAdd(MessageQueue.Default.Name, new LocalQueue(MessageQueue.DefaultParallel, Handle));
    }

    public long Owner { get; }

    public CancellationToken Gone { get; }

    public int Count => Volatile.Read(ref count);

    public bool HasRoom => Count < options.MaxInMemory && !Stopped;

    private bool Stopped => Gone.IsCancellationRequested || stopping.IsCancellationRequested;

    /// <summary>Once there has been too much, a quarter of it is worked off before more is taken.</summary>
    private int Low => Math.Min(options.MaxInMemory - 1, options.MaxInMemory / 4 * 3);

    /// <summary>Gives the membership up as it is.</summary>
    public void Leave() => Cancel(gone);

    public void Add(Envelope envelope, bool counts)
    {
        var work = new Work(envelope, counts);
        if (!known.TryAdd(work.Ref, true)) { return; }
        Interlocked.Increment(ref count);
        Telemetry.Waiting.Add(1);
        if (envelope.Delay is { } delay) { After(work, delay, Enqueue); }
        else if (envelope.DueAt is { } due) { At(work, due); }
        else { Enqueue(work); }
    }

    /// <summary>Completes when there is room again.</summary>
    public Task Room(CancellationToken cancellation)
    {
        var waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        roomy = waiting;
        if (Count <= Low) { waiting.TrySetResult(); }
        return waiting.Task.WaitAsync(cancellation);
    }

    /// <summary>
    /// A commit of this node may or may not have come through. Once the store answers again, the work goes on if its row is still there, and messages that came
    /// of such a commit are taken into memory.
    /// </summary>
    public void Doubt(Work? work)
    {
        if (work is not null) { doubtful[work.Ref] = work; }
        if (Interlocked.Exchange(ref looking, 1) == 0) { _ = Look(); }
    }

    /// <summary>Lets what is being handled end until the deadline, then gives everything back.</summary>
    /// <param name="hurry">Brings the deadline forward to now.</param>
    public async Task End(TimeSpan deadline, CancellationToken hurry)
    {
        foreach (var timer in timers.Values) { await timer.DisposeAsync(); }
        if (!stopping.IsCancellationRequested) { Leave(); }
        await Idle(deadline > Grace + Grace ? deadline - Grace : deadline, pipeline.Time, hurry);
        Cancel(ended);

        // A handler that does not hear is left behind: its row is anybody's, and its commit will be refused.
        await Idle(Grace, TimeProvider.System, CancellationToken.None);
        MessageRef[] left = [.. known.Keys];
        Telemetry.Waiting.Add(-left.Length);
        if (left.Length == 0 || Gone.IsCancellationRequested) { return; }
        try { await pipeline.Store.Release(Owner, [.. left.Select(m => m.Id)], CancellationToken.None); }
        catch (StoreUnavailableException)
        {
            // The membership's end gives them back as well.
        }
    }

    public void Dispose()
    {
        if (Volatile.Read(ref handling) > 0) { return; }
        gone.Dispose();
        ended.Dispose();
    }

    private static void Cancel(CancellationTokenSource source)
    {
        try
        {
            // Not here: what handlers do about it is not waited for.
            _ = source.CancelAsync();
        }
        catch (ObjectDisposedException)
        {
            // The membership has ended meanwhile.
        }
    }

    private async Task Idle(TimeSpan atMost, TimeProvider time, CancellationToken hurry)
    {
        if (Volatile.Read(ref handling) > 0) { await idle.Task.WaitAsync(atMost, time, hurry).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); }
    }

    private LocalQueue QueueOf(Work work) => pipeline.Routes.Of(work.Envelope) is { } transport
        ? queues[Routes.QueueName(transport)]
        : queues.GetValueOrDefault(pipeline.Find(work.Envelope.Type)?.Queue.Name ?? "") ?? queues[MessageQueue.Default.Name];

    private void Enqueue(Work work) => QueueOf(work).Add(work);

    private void Forget(MessageRef message)
    {
        if (!known.TryRemove(message, out _)) { return; }
        Telemetry.Waiting.Add(-1);
        if (Interlocked.Decrement(ref count) <= Low && roomy is { } waiting) { waiting.TrySetResult(); }
    }

    /// <summary>A moment of the wall clock is looked at again now and then, so that a step of the clock is followed.</summary>
    private void At(Work work, DateTimeOffset due)
    {
        var wait = due - pipeline.Time.GetUtcNow();
        if (wait <= TimeSpan.Zero) { Enqueue(work); }
        else { Timer(work, wait > LookAtClockEvery ? LookAtClockEvery : wait, again => At(again, due)); }
    }

    private void After(Work work, TimeSpan wait, Action<Work> then)
    {
        if (wait <= TimeSpan.Zero) { then(work); }
        else if (wait > LongestTimer) { Timer(work, LongestTimer, again => After(again, wait - LongestTimer, then)); }
        else { Timer(work, wait, then); }
    }

    private void Timer(Work work, TimeSpan wait, Action<Work> then)
    {
        var timer = pipeline.Time.CreateTimer(
            _ =>
            {
                if (timers.TryRemove(work.Ref, out var done)) { done.Dispose(); }
                if (!Stopped) { then(work); }
            },
            null,
            Timeout.InfiniteTimeSpan,
            Timeout.InfiniteTimeSpan);
        timers[work.Ref] = timer;
        timer.Change(wait, Timeout.InfiniteTimeSpan);
    }

    private async Task<bool> Handle(Work work)
    {
        // Counted before the look at the end, so that the end sees either this or nothing begun.
        Interlocked.Increment(ref handling);
        try
        {
            return Stopped || await Once(work);
        }
        finally
        {
            if (Interlocked.Decrement(ref handling) == 0 && Stopped) { idle.TrySetResult(); }
        }
    }

    /// <summary>One attempt. False: it is to be done again later, its key still held.</summary>
    private async Task<bool> Once(Work work)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(Gone, end);
        try
        {
            var room = HasRoom;
            var (attempt, executed, envelope, wait) = await pipeline.Try(work.Envelope, Owner, room ? Owner : null, work.Counts, either.Token);
            switch (attempt)
            {
                case Attempt.Retry:
                    After(new Work(envelope, Counts: true), wait, QueueOf(work).Resume);
                    return false;
                case Attempt.Unknown:
                    Doubt(new Work(envelope, Counts: false));
                    return false;
                case Attempt.Handled or Attempt.Buried or Attempt.Lost:
                    Forget(work.Ref);
                    if (executed is not null) { await follow(envelope.Tenant, executed, room ? this : null); }
                    return true;
            }

            return true;
        }
        catch (SimulatedCrashException)
        {
            Leave();
            return true;
        }
        catch (OwnershipLostException)
        {
            Forget(work.Ref);
            return true;
        }
        // The pipeline's edge. At the end, the row stays for whoever claims it; otherwise the store has not taken what the attempt came to.
        catch (Exception)
        {
            if (either.IsCancellationRequested) { return true; }
            Doubt(work);
            return false;
        }
    }

    private async Task Look()
    {
        do { await Pause(options.RejoinEvery); }
        while (!Stopped && !await Reconcile());

        await Pause(LateCommit);
        if (!Stopped) { await Reconcile(); }
    }

    private async Task Pause(TimeSpan wait)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(Gone, stopping);
        await Task.Delay(wait, pipeline.Time, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>False: the store is still away.</summary>
    private async Task<bool> Reconcile()
    {
        Interlocked.Exchange(ref looking, 0);
        Work[] asked = [.. doubtful.Values];
        try
        {
            var owned = (await pipeline.Store.Owned(Owner, Gone)).ToHashSet();
            foreach (var message in owned)
            {
                if (known.ContainsKey(message)) { continue; }
                if (await pipeline.Store.ClaimOne(Owner, message.Tenant, message.Id, Gone) is { } envelope) { Add(envelope, counts: true); }
            }

            foreach (var work in asked)
            {
                if (!doubtful.TryRemove(work.Ref, out _)) { continue; }
                if (owned.Contains(work.Ref))
                {
                    QueueOf(work).Resume(work);
                    continue;
                }

                Forget(work.Ref);
                QueueOf(work).Free(work.Envelope);
            }

            return true;
        }
        catch (Exception away) when (away is StoreUnavailableException or OperationCanceledException)
        {
            return Interlocked.Exchange(ref looking, 1) == 1;
        }
    }
}
