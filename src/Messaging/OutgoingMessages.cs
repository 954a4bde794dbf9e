using System.Collections;

namespace Platform.Messaging;

/// <summary>One cascading message: at once, at a moment of the wall clock, or after a duration that a clock step does not change.</summary>
public sealed record OutgoingMessage(object Message, DateTimeOffset? At = null, TimeSpan? After = null);

/// <summary>Messages that leave in the transaction of the events decided with them. Written as a collection expression.</summary>
public sealed class OutgoingMessages : IReadOnlyList<OutgoingMessage>
{
    private readonly List<OutgoingMessage> items = [];
    private readonly List<Guid> interrupted = [];

    public int Count => items.Count;

    public OutgoingMessage this[int index] => items[index];

    /// <summary>Streams whose handlers in flight (in <c>LoadAsync</c>) are cancelled once this decision is durable.</summary>
    public IReadOnlyList<Guid> Interrupted => interrupted;

    public void Add(object message) => items.Add(message as OutgoingMessage ?? new OutgoingMessage(message));

    /// <summary>Deliver at this moment of the wall clock.</summary>
    public OutgoingMessages At(object message, DateTimeOffset moment)
    {
        items.Add(new OutgoingMessage(message, At: moment));
        return this;
    }

    /// <summary>Deliver after this duration, measured by a monotonic clock while the node lives.</summary>
    public OutgoingMessages After(object message, TimeSpan delay)
    {
        items.Add(new OutgoingMessage(message, After: delay));
        return this;
    }

    public OutgoingMessages Interrupt(Guid streamId)
    {
        interrupted.Add(streamId);
        return this;
    }

    /// <summary>Of <see cref="OutgoingMessage"/>; typed so that a collection expression takes messages as they are.</summary>
    public IEnumerator<object> GetEnumerator() => items.GetEnumerator();

    IEnumerator<OutgoingMessage> IEnumerable<OutgoingMessage>.GetEnumerator() => items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
