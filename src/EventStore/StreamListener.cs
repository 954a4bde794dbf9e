using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>Hears of what this process appends to one stream, and to no other, from its making on. What other processes append is not heard.</summary>
public sealed class StreamListener : IDisposable
{
    private readonly SemaphoreSlim heard = new(0, 1);
    private readonly StreamListeners all;

    internal StreamListener(StreamListeners all, StreamKey key) => (this.all, Key) = (all, key);

    internal StreamKey Key { get; }

    /// <summary>Completes when something was appended since the last time, or with false after <paramref name="atMost"/>.</summary>
    public Task<bool> Next(TimeSpan atMost, CancellationToken cancellation) => heard.WaitAsync(atMost, cancellation);

    public void Dispose()
    {
        all.Remove(this);
        heard.Dispose();
    }

    internal void Set()
    {
        if (heard.CurrentCount == 0) { heard.Release(); }
    }
}

internal sealed class StreamListeners
{
    private readonly Lock gate = new();
    private readonly Dictionary<StreamKey, List<StreamListener>> byStream = [];

    public StreamListener Add(TenantId tenant, Guid streamId)
    {
        var listener = new StreamListener(this, new StreamKey(tenant.Value, streamId));
        lock (gate)
        {
            if (!byStream.TryGetValue(listener.Key, out var list)) { byStream.Add(listener.Key, list = []); }
            list.Add(listener);
        }

        return listener;
    }

    public void Remove(StreamListener listener)
    {
        lock (gate)
        {
            if (!byStream.TryGetValue(listener.Key, out var list)) { return; }
            list.Remove(listener);
            if (list.Count == 0) { byStream.Remove(listener.Key); }
        }
    }

    public void Set(StreamKey key)
    {
        lock (gate)
        {
            if (!byStream.TryGetValue(key, out var list)) { return; }
            foreach (var listener in list) { listener.Set(); }
        }
    }
}
