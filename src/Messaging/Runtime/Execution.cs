namespace Platform.Messaging;

/// <summary>What one run of a handler came to.</summary>
/// <param name="Recorded">Set when the command id was known.</param>
internal sealed record Executed(Guid StreamId, long Version, IReadOnlyList<Envelope> Messages, IReadOnlyList<Guid> Interrupted, InboxEntry? Recorded)
{
    public static readonly Executed Nothing = new(Guid.Empty, 0, [], [], null);
}

/// <summary>One run of a handler: the message, and what it is run with.</summary>
/// <param name="streams">Where it commits; null: the pipeline's.</param>
internal sealed class Execution(Pipeline pipeline, Envelope envelope, object command, long? owner, HandledMessage? handled, PendingAnswer? answer, IEventStreams? streams = null)
{
    public Envelope Envelope => envelope;

    public object Command => command;

    public long? Owner => owner;

    public HandledMessage? Handled => handled;

    public PendingAnswer? Answer => answer;

    public IEventStreams Streams => streams ?? pipeline.Streams;

    public IServiceProvider Services => pipeline.Services;

    public Interrupts Interrupts => pipeline.Interrupts;

    /// <summary>Of the events and messages decided here.</summary>
    public EventMetadata Caused { get; } = Routes.Inherited(envelope.Metadata) with { CausationId = envelope.Id.ToString() };

    /// <summary>Postgres keeps microseconds: what is decided now must equal what is read later.</summary>
    public DateTimeOffset Now()
    {
        var now = pipeline.Time.GetUtcNow();
        return now.AddTicks(-(now.Ticks % TimeSpan.TicksPerMicrosecond));
    }

    public IReadOnlyList<Envelope> Cascade(OutgoingMessages? messages, DateTimeOffset now)
    {
        if (messages is not { Count: > 0 }) { return []; }
        var envelopes = new Envelope[messages.Count];
        for (var i = 0; i < envelopes.Length; i++)
        {
            var outgoing = messages[i];
            var type = pipeline.Of(outgoing.Message);
            envelopes[i] = Pipeline.Seal(
                type,
                DeterministicId.Of(envelope.Id, $"{i}:{type.Alias}"),
                envelope.Tenant,
                outgoing.Message,
                Caused,
                outgoing.After is { } after ? now + after : outgoing.At,
                outgoing.After);
        }

        return envelopes;
    }
}

/// <summary>Calls to the world in flight, by stream, so that a decision can stop them.</summary>
internal sealed class Interrupts
{
    private readonly Lock gate = new();
    private readonly Dictionary<(TenantId, Guid), List<Call>> calls = [];

    public Call Enter(TenantId tenant, Guid stream, CancellationToken cancellation)
    {
        var call = new Call(this, (tenant, stream), cancellation);
        lock (gate)
        {
            if (!calls.TryGetValue((tenant, stream), out var list)) { calls.Add((tenant, stream), list = []); }
            list.Add(call);
        }

        return call;
    }

    public void Interrupt(TenantId tenant, Guid stream)
    {
        Call[] found;
        lock (gate) { found = calls.TryGetValue((tenant, stream), out var list) ? [.. list] : []; }
        foreach (var call in found) { call.Interrupt(); }
    }

    private void Leave(Call call)
    {
        lock (gate)
        {
            if (!calls.TryGetValue(call.Key, out var list)) { return; }
            list.Remove(call);
            if (list.Count == 0) { calls.Remove(call.Key); }
        }
    }

    internal sealed class Call(Interrupts owner, (TenantId, Guid) key, CancellationToken cancellation) : IDisposable
    {
        private readonly CancellationTokenSource source = CancellationTokenSource.CreateLinkedTokenSource(cancellation);

        public (TenantId, Guid) Key => key;

        public CancellationToken Token => source.Token;

        public bool Interrupted { get; private set; }

        public void Interrupt()
        {
            Interrupted = true;
            try
            {
                _ = source.CancelAsync();
            }
            catch (ObjectDisposedException)
            {
                // It ended between the look-up and this.
            }
        }

        public void Dispose()
        {
            owner.Leave(this);
            source.Dispose();
        }
    }
}
