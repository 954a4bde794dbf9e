using System.Diagnostics.CodeAnalysis;
using Platform.Domain.Inference;

namespace Platform.Inference.Embedding;

/// <summary>A model that is in memory.</summary>
/// <param name="Bytes">What its weights take.</param>
/// <param name="Calls">Those that use it now.</param>
/// <param name="IsOnDevice">Whether its next batch will be tried on a device.</param>
public sealed record LoadedModel<TKey>(TKey Key, string Model, long Bytes, int Calls, bool IsOnDevice);

/// <summary>
/// Models that are loaded when they are first called and stay until another one needs their memory: those that were called least recently go first, and none
/// while a call uses it. Loads take turns, so that two calls load a model once, and what goes has gone before the next one comes. Safe for several threads.
/// </summary>
/// <param name="maxBytes">Of all models' weights together.</param>
public sealed class LoadedModels<TKey>(long maxBytes) : IAsyncDisposable
    where TKey : notnull
{
    private readonly Lock gate = new();

    /// <summary>To load.</summary>
    [SuppressMessage("Usage", "CA2213", Justification = "Calls that wait for it while all is being stopped are to be told so; it holds nothing but memory.")]
    private readonly SemaphoreSlim turn = new(1, 1);

    private readonly Dictionary<TKey, Entry> entries = [];

    /// <summary>They take no more calls, and are freed when the last one has ended.</summary>
    private readonly HashSet<Entry> leaving = [];

    private long held;
    private long clock;
    private bool closed;

    /// <summary>Of all models' weights together.</summary>
    public long MaxBytes => maxBytes;

    /// <summary>What the models in memory take, with those that leave and the one that is being loaded.</summary>
    public long HeldBytes
    {
        get { lock (gate) { return held; } }
    }

    /// <summary>The models that take calls, the one called last first.</summary>
    public IReadOnlyList<LoadedModel<TKey>> Loaded
    {
        get
        {
            lock (gate)
            {
                return [.. entries.OrderByDescending(one => one.Value.Called).Select(one => new LoadedModel<TKey>(one.Key, one.Value.Embedder.Info.Model, one.Value.Bytes, one.Value.Calls, one.Value.Embedder.IsOnDevice))];
            }
        }
    }

    /// <summary>Calls a model, which is loaded for it if need be; it does not go before the call has ended.</summary>
    /// <param name="measure">What the model will take; asked only before it is loaded. What it throws, the caller gets.</param>
    /// <param name="load">Loads it; called on a thread of the pool, one at a time.</param>
    /// <exception cref="ModelTooLargeException">It takes more than all models together may.</exception>
    /// <exception cref="TextEmbedderBusyException">All are being stopped.</exception>
    public async Task<T> Call<T>(TKey key, Func<CancellationToken, Task<long>> measure, Func<LocalTextEmbedder> load, Func<LocalTextEmbedder, Task<T>> call, CancellationToken cancellation)
    {
        var entry = Enter(key) ?? await EnterLoaded(key, measure, load, cancellation);
        try { return await call(entry.Embedder); }
        finally { Leave(entry); }
    }

    /// <summary>Lets models go as soon as no call uses them; called again, they are loaded again.</summary>
    public void Drop(Func<TKey, bool> which)
    {
        lock (gate)
        {
            foreach (var key in entries.Keys.Where(which).ToList()) { Go(key); }
        }
    }

    /// <summary>Answers the calls that use a model, and frees all.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (gate) { closed = true; }

        // After a load that is under way.
        await turn.WaitAsync();
        turn.Release();
        Drop(_ => true);
        Task[] last;
        lock (gate) { last = [.. leaving.Select(entry => entry.Gone.Task)]; }

        await Task.WhenAll(last);
    }

    private static TextEmbedderBusyException Stopped() => new("The models are being stopped: they take no texts any more.");

    private Entry? Enter(TKey key)
    {
        lock (gate)
        {
            if (closed) { throw Stopped(); }
            if (!entries.TryGetValue(key, out var entry)) { return null; }

            entry.Calls++;
            entry.Called = ++clock;
            return entry;
        }
    }

    private async Task<Entry> EnterLoaded(TKey key, Func<CancellationToken, Task<long>> measure, Func<LocalTextEmbedder> load, CancellationToken cancellation)
    {
        await turn.WaitAsync(cancellation);
        try
        {
            // Whoever had the turn before may have loaded it.
            if (Enter(key) is { } there) { return there; }

            var bytes = await measure(cancellation);
            if (bytes > maxBytes) { throw new ModelTooLargeException(bytes, maxBytes); }

            await Reserve(bytes, cancellation);
            LocalTextEmbedder embedder;
            try { embedder = await Task.Run(load, CancellationToken.None); }
            catch
            {
                lock (gate) { held -= bytes; }

                throw;
            }

            lock (gate)
            {
                var entry = new Entry(embedder, bytes) { Calls = 1, Called = ++clock };
                entries.Add(key, entry);
                return entry;
            }
        }
        finally { turn.Release(); }
    }

    /// <summary>Makes room and takes it. Where models without calls do not give enough, those with calls take no more, and are waited for.</summary>
    private async Task Reserve(long bytes, CancellationToken cancellation)
    {
        while (true)
        {
            Task freed;
            lock (gate)
            {
                if (held + bytes <= maxBytes)
                {
                    held += bytes;
                    return;
                }

                while (entries.Values.Sum(entry => entry.Bytes) + bytes > maxBytes) { Go(entries.OrderBy(one => one.Value.Calls > 0).ThenBy(one => one.Value.Called).First().Key); }

                freed = Task.WhenAny(leaving.Select(entry => entry.Gone.Task));
            }

            await freed.WaitAsync(cancellation);
        }
    }

    /// <summary>Under the lock.</summary>
    private void Go(TKey key)
    {
        entries.Remove(key, out var entry);
        leaving.Add(entry!);
        if (entry!.Calls == 0) { _ = Free(entry); }
    }

    private void Leave(Entry entry)
    {
        lock (gate)
        {
            if (--entry.Calls == 0 && leaving.Contains(entry)) { _ = Free(entry); }
        }
    }

    private async Task Free(Entry entry)
    {
        // Not under the lock, which whoever calls this holds.
        await Task.Yield();
        try { await entry.Embedder.DisposeAsync(); }
        finally
        {
            lock (gate)
            {
                leaving.Remove(entry);
                held -= entry.Bytes;
            }

            entry.Gone.SetResult();
        }
    }

    private sealed class Entry(LocalTextEmbedder embedder, long bytes)
    {
        public LocalTextEmbedder Embedder => embedder;

        public long Bytes => bytes;

        public int Calls { get; set; }

        /// <summary>When it was called last, by a count of calls.</summary>
        public long Called { get; set; }

        /// <summary>Its memory is free again.</summary>
        public TaskCompletionSource Gone { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>A model takes more memory than all models together may.</summary>
public sealed class ModelTooLargeException(long bytes, long maxBytes) : Exception($"Its weights take {bytes} bytes; all models together may take {maxBytes}.")
{
    public long Bytes => bytes;

    public long MaxBytes => maxBytes;
}
