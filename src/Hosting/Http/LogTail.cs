using Platform.EventStore;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>Where the sealed log ends, asked once for all who wait for more of it.</summary>
internal sealed class LogTail(Store store, CancellationToken stop)
{
    private readonly Lock gate = new();
    private Task<long>? looking;
    private long known;

    /// <summary>Completes with the log's last position once that is beyond this one.</summary>
    /// <exception cref="StoreUnavailableException"/>
    public async Task<long> Beyond(long position, CancellationToken cancellation)
    {
        while (true)
        {
            var last = Volatile.Read(ref known);
            if (last > position) { return last; }
            await Look(last).WaitAsync(cancellation);
        }
    }

    private Task<long> Look(long from)
    {
        lock (gate)
        {
            if (looking is null or { IsCompleted: true }) { looking = Task.Run(() => Next(from), CancellationToken.None); }
            return looking;
        }
    }

    private async Task<long> Next(long from)
    {
        await store.WaitBeyond(from, stop);
        var last = await store.LastPosition(stop);
        Volatile.Write(ref known, last);
        return last;
    }
}
