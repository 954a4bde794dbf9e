namespace Platform.Messaging;

/// <summary>A message that ran out of retries, or that nothing can read.</summary>
public sealed record DeadLetter(Envelope Envelope, string ErrorType, string Error, DateTimeOffset DiedAt);

/// <summary>The key of a durable message's row.</summary>
public readonly record struct MessageRef(TenantId Tenant, Guid Id);

/// <summary>This process's membership. Losing it (connection cut, store restarted) means that others may take its messages over.</summary>
public interface INodeMembership : IAsyncDisposable
{
    /// <summary>Unique per membership, also the fencing token of everything claimed under it.</summary>
    long Owner { get; }

    /// <summary>Fires when the membership is gone; work in flight must stop, its commits will be refused.</summary>
    CancellationToken Lost { get; }
}

/// <summary>
/// Durable messages: the outbox, the schedule, and dead letters. New rows are written by <see cref="Commit"/>, together with events.
/// A node's death is seen by its connection going away, not by a clock, so a step of the wall clock takes nothing over.
/// </summary>
public interface IMessageStore
{
    Task<INodeMembership> Join(string name, CancellationToken cancellation);

    /// <summary>Takes messages that nobody owns, or whose owner is dead, due or not, in order of enqueuing, at most <paramref name="limit"/>.</summary>
    Task<IReadOnlyList<Envelope>> Claim(long owner, int limit, CancellationToken cancellation);

    /// <summary>Takes one message by id if nobody else living owns it; null otherwise. For hosts that are told which one to execute.</summary>
    Task<Envelope?> ClaimOne(long owner, TenantId tenant, Guid id, CancellationToken cancellation);

    /// <summary>Every message of an owner, for a node that does not know which of its commits came through.</summary>
    Task<IReadOnlyList<MessageRef>> Owned(long owner, CancellationToken cancellation);

    /// <summary>Messages that could be claimed and are due, oldest first; nothing is taken.</summary>
    Task<IReadOnlyList<MessageRef>> Due(DateTimeOffset by, int limit, CancellationToken cancellation);

    /// <summary>Counts the attempt before the handler begins, so that a message that kills the process is known to have been begun.</summary>
    Task<int> Begin(long owner, TenantId tenant, Guid id, CancellationToken cancellation);

    /// <summary>Writes down that an attempt failed, and when to make the next.</summary>
    Task Retry(long owner, TenantId tenant, Guid id, DateTimeOffset dueAt, string error, CancellationToken cancellation);

    Task Bury(long owner, TenantId tenant, Guid id, string errorType, string error, DateTimeOffset now, CancellationToken cancellation);

    /// <summary>Gives messages back unhandled, as on a drain: an attempt under way has ended.</summary>
    Task Release(long owner, IReadOnlyList<Guid> ids, CancellationToken cancellation);

    Task<IReadOnlyList<DeadLetter>> DeadLetters(TenantId? tenant, int limit, CancellationToken cancellation);

    Task<bool> Requeue(TenantId tenant, Guid id, CancellationToken cancellation);

    Task<bool> Discard(TenantId tenant, Guid id, CancellationToken cancellation);

    /// <summary>What became of a command: null when it never committed.</summary>
    Task<InboxEntry?> FindCommand(TenantId tenant, string commandId, CancellationToken cancellation);

    /// <summary>Tells other nodes to end their calls to the world in flight for a stream. A hint: it is lost where a node is cut off at this moment.</summary>
    Task Interrupt(TenantId tenant, Guid streamId, CancellationToken cancellation);

    /// <summary>Called for what other nodes interrupt, until it is disposed: be quick.</summary>
    IDisposable OnInterrupt(Action<TenantId, Guid> interrupted);

    /// <summary>Completes when another process has enqueued or released something, or a node died, or after <paramref name="atMost"/>.</summary>
    Task WaitForWork(TimeSpan atMost, CancellationToken cancellation);
}
