namespace Platform.Messaging;

/// <summary>
/// A way to other processes for messages that are routed to it: a broker. It may hand a message over more than once and forgets none that it took.
/// Every implementation passes one contract suite.
/// </summary>
public interface IMessageTransport
{
    string Name { get; }

    /// <summary>Completes when the transport has taken the message durably; until then the sender keeps its row. A full transport does not take it.</summary>
    Task Send(Envelope envelope, CancellationToken cancellation);

    /// <summary>Hands messages over until it is cancelled or no longer enumerated; what is not acknowledged then goes to another receiver.</summary>
    /// <param name="unacknowledged">No more than so many are in the receiver's hands at a time.</param>
    IAsyncEnumerable<IDelivery> Receive(int unacknowledged, CancellationToken cancellation);
}

/// <summary>A message in a receiver's hands.</summary>
public interface IDelivery
{
    Envelope Envelope { get; }

    /// <summary>The receiver has made it its own: it goes away. Nothing happens where the transport has taken it back meanwhile.</summary>
    Task Ack(CancellationToken cancellation);

    /// <param name="requeue">True: hand it over again. False: nobody can take it, so the transport puts it aside.</param>
    Task Nack(bool requeue, CancellationToken cancellation);
}

/// <summary>A transport as a bus uses it.</summary>
/// <param name="Sends">Aliases of the message types that go out over it instead of being handled here.</param>
/// <param name="Receives">Whether messages that come over it are handled here.</param>
/// <param name="Unacknowledged">Messages taken from it at a time, while they are written down.</param>
public sealed record TransportEndpoint(IMessageTransport Transport, IReadOnlyCollection<string> Sends, bool Receives = true, int Unacknowledged = 64);
