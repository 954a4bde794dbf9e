namespace Platform.Messaging;

/// <summary>A message in this node's memory.</summary>
/// <param name="Counts">Its attempts must be counted durably before it begins.</param>
internal sealed record Work(Envelope Envelope, bool Counts);

/// <summary>One queue: so many at once, and those of one key one after the other in the order in which they came.</summary>
internal sealed class LocalQueue(int maxParallel, Func<Work, Task> handle)
{
    private readonly Lock gate = new();
    private readonly Queue<Work> ready = [];
    private readonly Dictionary<(TenantId, string), Queue<Work>> behind = [];
    private int running;

    public void Add(Work work)
    {
        lock (gate)
        {
            if (work.Envelope.Key is { } key)
            {
                if (behind.TryGetValue((work.Envelope.Tenant, key), out var waiting))
                {
                    waiting.Enqueue(work);
                    return;
                }

                behind.Add((work.Envelope.Tenant, key), []);
            }

            ready.Enqueue(work);
            if (running >= maxParallel) { return; }
            running++;
        }

        ThreadPool.UnsafeQueueUserWorkItem(static queue => _ = queue.Work(), this, preferLocal: false);
    }

    private async Task Work()
    {
        while (Next() is { } work)
        {
            await handle(work);
            Release(work.Envelope);
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

    private void Release(Envelope envelope)
    {
        if (envelope.Key is not { } key) { return; }
        lock (gate)
        {
            if (behind[(envelope.Tenant, key)].TryDequeue(out var next)) { ready.Enqueue(next); }
            else { behind.Remove((envelope.Tenant, key)); }
        }
    }
}
