namespace Platform.Messaging;

/// <summary>The message that a handler is asked about, beside its body.</summary>
/// <param name="Now">The moment that the events of this decision get.</param>
public sealed record MessageContext(Envelope Envelope, DateTimeOffset Now)
{
    public Guid MessageId => Envelope.Id;

    public TenantId Tenant => Envelope.Tenant;

    public string? CorrelationId => Envelope.Metadata.CorrelationId;

    public string? User => Envelope.Metadata.User;

    /// <summary>From 1.</summary>
    public int Attempts => Envelope.Attempts;
}

/// <summary>What a handler's <c>Handle</c> returned, whichever of its shapes it has.</summary>
public readonly record struct Outcome(Events? Events, OutgoingMessages? Messages);

/// <summary>Method injection for generated code.</summary>
public static class HandlerServices
{
    public static T Require<T>(this IServiceProvider services) where T : class =>
        (T?)services.GetService(typeof(T)) ?? throw new InvalidOperationException($"A handler asks for {typeof(T)}, which the host has not registered.");
}
