namespace Platform.Messaging;

/// <summary>A message in this node's memory.</summary>
/// <param name="Counts">Its attempts must be counted durably before it begins.</param>
internal sealed record Work(Envelope Envelope, bool Counts)
{
    public MessageRef Ref => new(Envelope.Tenant, Envelope.Id);
}

/// <summary>One queue: so many at once, and those of one key one after the other in the order in which they came.</summary>
/// <param name="handle">Answers whether the message is done with. If not, its key stays held, without a place among the running, until <see cref="Resume"/> or <see cref="Free"/>.</param>
internal sealed class LocalQueue(int maxParallel, Func<Work, Task<bool>> handle)
{
    private readonly Lock gate = new();
    private readonly Queue<Work> ready = [];
    private readonly Dictionary<(TenantId, string), Queue<Work>?> behind = [];
    private int running;

    public void Add(Work work)
    {
        lock (gate)
        {
            if (work.Envelope.Key is { } key)
            {
                if (behind.TryGetValue((work.Envelope.Tenant, key), out var waiting))
                {
                    (waiting ?? (behind[(work.Envelope.Tenant, key)] = [])).Enqueue(work);
                    return;
                }

                behind.Add((work.Envelope.Tenant, key), null);
            }

            if (!Ready(work)) { return; }
        }

        Begin();
    }

    /// <summary>To be handled again.</summary>
    public void Resume(Work work)
    {
        lock (gate)
        {
            if (!Ready(work)) { return; }
        }

        Begin();
    }

    /// <summary>Not to be handled again: the next of its key may go.</summary>
    public void Free(Envelope envelope)
    {
        if (envelope.Key is not { } key) { return; }
        lock (gate)
        {
            if (behind[(envelope.Tenant, key)] is not { } waiting || !waiting.TryDequeue(out var next))
            {
                behind.Remove((envelope.Tenant, key));
                return;
            }

            if (!Ready(next)) { return; }
        }

        Begin();
    }

    private void Begin() => ThreadPool.UnsafeQueueUserWorkItem(static queue => _ = queue.Work(), this, preferLocal: false);

    /// <summary>True: one more is to begin working.</summary>
    private bool Ready(Work work)
    {
        ready.Enqueue(work);
        if (running >= maxParallel) { return false; }
        running++;
        return true;
    }

    private async Task Work()
    {
        while (Next() is { } work)
        {
            if (await handle(work)) { Free(work.Envelope); }
        }
    }

    private Work? Next()
    {
        lock (gate)
        {
            if (ready.TryDequeue(out var work)) { return work; }
            running--;
            return null;
        }
    }
}
