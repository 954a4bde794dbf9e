using System.Runtime.CompilerServices;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore;

public sealed partial class Store : IEventStreams
{
    private static readonly TimeSpan SealPoll = TimeSpan.FromSeconds(1);

    /// <summary>Sealed events of a tenant (or of all: null) after a position, in gapless order. Events of kinds that this program does not know are left out.</summary>
    /// <param name="limit">Of events looked at.</param>
    public async IAsyncEnumerable<RecordedEvent> FetchAll(TenantId? tenant, long afterPosition, int limit, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        var log = new SealedLog(this);
        for (var left = limit; left > 0;)
        {
            var after = afterPosition;
            var rows = await context.Ask((connection, stop) => log.Read(connection, after, Math.Min(left, SealedLog.Page), stop), cancellation);
            if (rows.Count == 0) { yield break; }
            foreach (var (position, row) in rows)
            {
                if (tenant is { } wanted && row.Tenant != wanted.Value) { continue; }
                if (EventTypes.Knows(row.Alias)) { yield return row.Read(EventTypes, position); }
            }

            afterPosition = rows[^1].Position;
            left -= rows.Count;
        }
    }

    /// <summary>The last position given so far.</summary>
    public Task<long> LastPosition(CancellationToken cancellation) =>
        context.Ask((connection, stop) => new SealedLog(this).Last(connection, stop), cancellation);

    /// <summary>How many events are committed, sealed or not: once all are sealed, the last position.</summary>
    public Task<long> CommittedEvents(CancellationToken cancellation) => context.Ask(async (connection, stop) =>
    {
        await using var command = context.Command(connection, $"select (select coalesce(max(last_position), 0) from {context.Schema}.pl_seals) + (select coalesce(sum(cardinality(seqs)), 0)::bigint from {context.Schema}.pl_pending)");
        return (long)(await command.ExecuteScalarAsync(stop))!;
    }, cancellation);

    /// <summary>Tells other processes that there are new positions.</summary>
    internal void NotifySealed()
    {
        if (options.NotifyOthers) { wake.Signal(Listener.Sealed); }
    }

    /// <summary>Completes when a position beyond this one has been given.</summary>
    public async Task WaitBeyond(long position, CancellationToken cancellation)
    {
        while (true)
        {
            var signal = Listener.Next(Listener.Sealed);
            if (await LastPosition(cancellation) > position) { return; }
            try { await signal.WaitAsync(SealPoll, context.Time, cancellation); }
            catch (TimeoutException) { /* The slow poll behind the signal. */ }
        }
    }
}
