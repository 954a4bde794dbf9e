using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Subscriptions;

/// <summary>
/// Hands sealed events to reactions. One node works on a subscription, by a lock of the connection that also writes; what the reaction says and the position commit together.
/// </summary>
public sealed class SubscriptionRunner : IAsyncDisposable
{
    private static readonly TimeSpan AfterFailure = TimeSpan.FromMilliseconds(200);

    private readonly Store store;
    private readonly CancellationTokenSource stop = new();
    private readonly Task[] running;

    private SubscriptionRunner(Store store, IReadOnlyList<Subscription> subscriptions)
    {
        this.store = store;
        foreach (var subscription in subscriptions) { Check(subscription); }
        if (subscriptions.DistinctBy(one => one.Name).Count() != subscriptions.Count) { throw new ArgumentException("Two subscriptions have one name.", nameof(subscriptions)); }
        running = [.. subscriptions.Select(subscription => Task.Run(() => Run(subscription)))];
    }

    public static SubscriptionRunner Start(Store store, IReadOnlyList<Subscription> subscriptions) => new(store, subscriptions);

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stop.Dispose();
    }

    private static void Check(Subscription subscription)
    {
        if (subscription.Name.Length is 0 or > Subscription.MaxNameLength) { throw new ArgumentException($"A subscription's name has 1 to {Subscription.MaxNameLength} characters."); }
        if (subscription.BatchSize is < 1 or > SealedLog.Page) { throw new ArgumentException($"The batch size of '{subscription.Name}' is {subscription.BatchSize}: 1 to {SealedLog.Page}."); }
        if (subscription.Retry.Attempts < 1 || subscription.MaxWaiting < 1 || subscription.Deadline <= TimeSpan.Zero) { throw new ArgumentException($"Attempts, waiting messages and the deadline of '{subscription.Name}' are at least one."); }
    }

    private async Task Run(Subscription subscription)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                var connection = await SessionLock.Take(store, "subscription." + subscription.Name, stop.Token);
                try
                {
                    using var reading = new SubscriptionReading(store, subscription, connection);
                    await reading.Follow(stop.Token);
                }
                finally
                {
                    await SessionLock.Free(connection);
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested) { return; }
            // Nothing may stop a subscription for good: whatever it was, it is tried again, and its lag shows that it does not come on.
            catch (Exception)
            {
                try { await Task.Delay(AfterFailure, stop.Token); }
                catch (OperationCanceledException) { return; }
            }
        }
    }
}
