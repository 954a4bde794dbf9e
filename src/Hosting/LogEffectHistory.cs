using System.Collections.Concurrent;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.EventStore;
using Platform.Messaging;

namespace Platform.Hosting;

/// <summary>Effects by reading the log: each tenant's history is folded once and goes on from there.</summary>
internal sealed class LogEffectHistory(Store store) : IEffectHistory
{
    /// <summary>Tenants whose history is kept; others are read from the beginning when asked.</summary>
    private const int MaxTenants = 256;

    private readonly ConcurrentDictionary<TenantId, Folded> tenants = [];

    public async Task<IReadOnlyList<EffectRecord>> Around(TenantId tenant, UndoSelection selection, CancellationToken cancellation) => (await Current(tenant, cancellation)).Records;

    public async Task<EffectRecord?> Find(TenantId tenant, EffectId effect, CancellationToken cancellation) => (await Current(tenant, cancellation)).Find(effect);

    private async Task<EffectHistory> Current(TenantId tenant, CancellationToken cancellation)
    {
        if (tenants.Count > MaxTenants) { tenants.Clear(); }
        var folded = tenants.GetOrAdd(tenant, _ => new Folded());
        await folded.Gate.WaitAsync(cancellation);
        try
        {
            // What is durable now is sealed in a moment; nothing of it may be missing from a plan.
            var committed = await store.CommittedEvents(cancellation);
            await store.WaitBeyond(committed - 1, cancellation);
            var history = folded.History;
            await foreach (var recorded in store.FetchAll(tenant, folded.Position, (int)Math.Min(committed - folded.Position, int.MaxValue), cancellation)) { history = history.Apply(recorded); }
            (folded.History, folded.Position) = (history, committed);
            return history;
        }
        finally
        {
            folded.Gate.Release();
        }
    }

    private sealed class Folded
    {
        public SemaphoreSlim Gate { get; } = new(1);

        public EffectHistory History { get; set; } = EffectHistory.Empty;

        public long Position { get; set; }
    }
}
