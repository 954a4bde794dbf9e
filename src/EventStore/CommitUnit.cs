using Platform.EventStore.Projections;
using Platform.Messaging;

namespace Platform.EventStore;

internal readonly record struct StreamKey(string Tenant, Guid Id) : IComparable<StreamKey>
{
    public int CompareTo(StreamKey other)
    {
        var byTenant = string.CompareOrdinal(Tenant, other.Tenant);
        return byTenant != 0 ? byTenant : Id.CompareTo(other.Id);
    }
}

/// <summary>An event as it will stand in its row.</summary>
/// <param name="Fact">The event itself, read again from <paramref name="Json"/> where redaction changed that.</param>
internal readonly record struct StoredEvent(Guid Id, EventType Type, byte[] Json, object Fact);

/// <param name="Expected">-1 any, 0 new, n exact.</param>
/// <param name="Events">Empty: the version is only checked.</param>
internal readonly record struct StreamPart(Guid Id, string? Type, long Expected, StoredEvent[] Events);

internal enum Outcome
{
    Waiting,
    Committed,

    /// <summary>A stream is at <see cref="CommitUnit.Actual"/>.</summary>
    Conflict,

    Archived,

    /// <summary>The command id is known; <see cref="CommitUnit.Recorded"/> is what was recorded with it.</summary>
    Duplicate,

    OwnershipLost,

    /// <summary>The unit before it in its chain was refused, so what this one was decided on is not so.</summary>
    Superseded,

    /// <summary><see cref="CommitUnit.Error"/>.</summary>
    Failed,
}

/// <summary>What becomes durable together, or not at all, with its outcome.</summary>
internal sealed class CommitUnit
{
    public required TenantId Tenant { get; init; }

    /// <summary>UTC.</summary>
    public required DateTimeOffset Time { get; init; }

    public required StreamPart[] Streams { get; init; }

    public required EventMetadata Metadata { get; init; }

    public IReadOnlyList<Envelope> Messages { get; init; } = [];

    public HandledMessage? Handled { get; init; }

    public InboxEntry? Inbox { get; init; }

    public long? Owner { get; init; }

    /// <summary>What inline projections fold of it; null: nothing.</summary>
    public List<InlineEvent>? Projected { get; init; }

    public Outcome Outcome { get; set; }

    public Guid RefusedStream { get; set; }

    public long Actual { get; set; }

    public InboxEntry? Recorded { get; set; }

    public Exception? Error { get; set; }

    public int EventCount
    {
        get
        {
            var count = 0;
            foreach (var part in Streams) { count += part.Events.Length; }
            return count;
        }
    }

    /// <summary>The exception a caller gets for an outcome that it cannot go on from; null for <see cref="Outcome.Committed"/> and <see cref="Outcome.Duplicate"/> of the same request.</summary>
    public Exception? Refusal() => Outcome switch
    {
        Outcome.Committed => null,
        Outcome.Conflict => new VersionConflictException(RefusedStream, Expected(RefusedStream), Actual),
        Outcome.Archived => new StreamArchivedException(RefusedStream),
        Outcome.Duplicate => Recorded!.RequestHash.Span.SequenceEqual(Inbox!.RequestHash.Span) ? null : new CommandConflictException(Inbox.CommandId),
        Outcome.OwnershipLost => new OwnershipLostException(Handled!.Id),
        Outcome.Failed => Error!,
        Outcome.Superseded or Outcome.Waiting => throw new InvalidOperationException($"A unit was answered as {Outcome}."),
    };

    private ExpectedVersion Expected(Guid stream)
    {
        foreach (var part in Streams)
        {
            if (part.Id == stream) { return part.Expected switch { -1 => ExpectedVersion.Any, 0 => ExpectedVersion.New, var exact => ExpectedVersion.Exactly(exact) }; }
        }

        return ExpectedVersion.Any;
    }
}

/// <summary>Units in the order of their deciding, each standing on the one before; sent in one transaction.</summary>
internal sealed class CommitChain(IReadOnlyList<CommitUnit> units)
{
    private readonly TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyList<CommitUnit> Units { get; } = units;

    public long EnqueuedAt { get; set; }

    /// <summary>Whether inline projections fold something of it.</summary>
    public bool IsProjected
    {
        get
        {
            for (var i = 0; i < Units.Count; i++)
            {
                if (Units[i].Projected is not null) { return true; }
            }

            return false;
        }
    }

    /// <summary>Completes when every unit has its outcome.</summary>
    public Task Done => done.Task;

    public void Answer() => done.TrySetResult();
}
