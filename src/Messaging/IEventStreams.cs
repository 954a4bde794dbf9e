namespace Platform.Messaging;

/// <summary>A folded stream.</summary>
public sealed record Loaded<TState>(TState? State, long Version) where TState : class;

/// <summary>
/// The event log behind the handlers. Boundary: Postgres (Platform.EventStore) and the simulator's memory; both pass one contract suite.
/// </summary>
public interface IEventStreams
{
    /// <summary>Folds a stream, from memory where its lane is warm and nobody else wrote.</summary>
    ValueTask<Loaded<TState>> Load<TState>(TenantId tenant, Guid streamId, StateFold<TState> fold, CancellationToken cancellation) where TState : class;

    /// <summary>Decides in the stream's lane and returns when the outcome is durable.</summary>
    /// <exception cref="CommandConflictException"/>
    /// <exception cref="OwnershipLostException"/>
    /// <exception cref="StreamArchivedException"/>
    /// <exception cref="LimitExceededException"/>
    /// <exception cref="StoreUnavailableException"/>
    Task<Decided<TState>> Decide<TState>(DecideRequest<TState> request, CancellationToken cancellation) where TState : class;

    /// <summary>Appends as told, to any number of streams, in one transaction. Returns the entry recorded before when the command id was known.</summary>
    /// <exception cref="VersionConflictException"/>
    Task<InboxEntry?> Append(Commit commit, CancellationToken cancellation);

    /// <summary>Events of a stream, oldest first.</summary>
    /// <param name="fromVersion">First version to read, from 1.</param>
    /// <param name="toVersion">Last version to read, inclusive.</param>
    /// <param name="until">Last moment to read, inclusive.</param>
    IAsyncEnumerable<RecordedEvent> Fetch(TenantId tenant, Guid streamId, long fromVersion = 1, long? toVersion = null, DateTimeOffset? until = null, CancellationToken cancellation = default);

    /// <summary>Sealed events of a tenant (or of all: null) after a position, in gapless order.</summary>
    IAsyncEnumerable<RecordedEvent> FetchAll(TenantId? tenant, long afterPosition, int limit, CancellationToken cancellation = default);
}
