namespace Platform.Messaging;

/// <summary>Which messages leave over which transport.</summary>
internal sealed class Routes
{
    /// <summary>A broker that is away is waited for as long as it takes: the rows stay.</summary>
    public static readonly RetryPolicy Retry = new(int.MaxValue, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(60));

    /// <summary>A header of rows that came over a transport, which must not leave over it again.</summary>
    private const string ReceivedFrom = "received-from";

    private readonly Dictionary<string, IMessageTransport> byAlias = new(StringComparer.Ordinal);

    public Routes(IReadOnlyList<TransportEndpoint> endpoints, Func<string, bool> known)
    {
        foreach (var endpoint in endpoints)
        {
            foreach (var alias in endpoint.Sends)
            {
                if (!known(alias)) { throw new ArgumentException($"No message is called '{alias}'.", nameof(endpoints)); }
                if (!byAlias.TryAdd(alias, endpoint.Transport)) { throw new ArgumentException($"Two transports send '{alias}'.", nameof(endpoints)); }
            }
        }

        if (endpoints.DistinctBy(e => e.Transport.Name).Count() != endpoints.Count) { throw new ArgumentException("Two transports have one name.", nameof(endpoints)); }
    }

    /// <summary>Null: it is handled here.</summary>
    public IMessageTransport? Of(Envelope envelope) =>
        byAlias.Count > 0 && byAlias.TryGetValue(envelope.Type, out var transport) && !WasReceived(envelope.Metadata) ? transport : null;

    public static string QueueName(IMessageTransport transport) => $"transport/{transport.Name}";

    /// <summary>The row of a message that came over a transport. Its id is its own: the sender's row may be in the same table.</summary>
    public static Envelope Received(Envelope sent, IMessageTransport from) => sent with
    {
        Id = DeterministicId.Of(sent.Id, $"received:{from.Name}"),
        Metadata = sent.Metadata with { Headers = new Dictionary<string, string>(sent.Metadata.Headers ?? new Dictionary<string, string>()) { [ReceivedFrom] = from.Name } },
        DueAt = null,
        Delay = null,
        Attempts = 0,
    };

    /// <summary>What a message's cascades inherit.</summary>
    public static EventMetadata Inherited(EventMetadata metadata) => WasReceived(metadata)
        ? metadata with { Headers = metadata.Headers!.Count == 1 ? null : metadata.Headers.Where(h => h.Key != ReceivedFrom).ToDictionary() }
        : metadata;

    private static bool WasReceived(EventMetadata metadata) => metadata.Headers is { } headers && headers.ContainsKey(ReceivedFrom);
}
