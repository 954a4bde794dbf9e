namespace Platform.Messaging;

/// <summary>Where a subscription begins that has no position yet.</summary>
public readonly record struct SubscriptionStart
{
    private SubscriptionStart(long? after) => Position = after;

    /// <summary>The position to begin after; null: the last one at the time.</summary>
    public long? Position { get; }

    public static SubscriptionStart Beginning => new(0);

    public static SubscriptionStart End => new(null);

    public static SubscriptionStart After(long position) => position >= 0
        ? new(position)
        : throw new ArgumentOutOfRangeException(nameof(position), position, "Positions begin at 1.");
}

/// <summary>
/// A reaction to what happens: sealed events of all tenants in the order of their positions, by one node of all at a time. The position is kept, so that every event comes at least once.
/// </summary>
/// <param name="Name">Unique; the position is kept under it. 1 to 200 characters.</param>
/// <param name="React">
/// What it returns is enqueued in the transaction that moves the position, so that it happens exactly once; what it does itself may happen again after a crash. Whatever it throws parks the one
/// event it throws for, and later events of that stream behind it, until a retry passes; other streams go on. Unless the world is away: see <see cref="IsOutage"/>.
/// </param>
public sealed record Subscription(string Name, Func<IReadOnlyList<RecordedEvent>, CancellationToken, Task<IReadOnlyList<Envelope>>> React)
{
    public const int MaxNameLength = 200;

    public SubscriptionStart Start { get; init; } = SubscriptionStart.Beginning;

    /// <summary>By alias; null: every kind of event that this program knows.</summary>
    public Func<string, bool>? Wants { get; init; }

    /// <summary>Events handed over at once, 1 to 2,000.</summary>
    public int BatchSize { get; init; } = 200;

    /// <summary>For one event that fails; after its attempts the event stays parked until a person retries or discards it.</summary>
    public RetryPolicy Retry { get; init; } = RetryPolicy.Default;

    /// <summary>One call of <see cref="React"/>; past it the call is cancelled and counts as failed.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Durable messages that may wait in the store, for whatever reason, before no further events are handed over.</summary>
    public int MaxWaiting { get; init; } = 10_000;

    /// <summary>Whether a failure is nobody's fault and will pass: the whole subscription waits and tries again, at most <see cref="RetryPolicy.Cap"/> apart, for as long as it takes.</summary>
    public Func<Exception, bool> IsOutage { get; init; } = static failure => failure is StoreUnavailableException or HttpRequestException or IOException or System.Net.Sockets.SocketException;
}
