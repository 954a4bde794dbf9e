using System.Text.Json.Serialization.Metadata;

namespace Platform.Messaging;

/// <summary>What the generator found in one assembly.</summary>
public sealed record HandlerTable(
    IReadOnlyList<MessageType> Messages,
    IReadOnlyList<EventType> Events,
    IReadOnlyList<Upcaster> Upcasters)
{
    public static HandlerTable Join(params IReadOnlyList<HandlerTable> tables) => new(
        [.. tables.SelectMany(t => t.Messages)],
        [.. tables.SelectMany(t => t.Events)],
        [.. tables.SelectMany(t => t.Upcasters)]);

    public EventTypes EventTypes() => new(Events, Upcasters);
}

/// <summary>A message that has a handler.</summary>
/// <param name="Alias">snake_case of the type's name; stored with every message.</param>
/// <param name="JsonOf">Asked once, when the first such message is read or written.</param>
/// <param name="Key">Messages of one key are handled one after the other; null: no order.</param>
public sealed record MessageType(
    string Alias,
    Type ClrType,
    Func<JsonTypeInfo> JsonOf,
    MessageHandler Handler,
    MessageQueue Queue,
    RetryPolicy Retry,
    Func<object, string?> Key)
{
    private readonly Lazy<JsonTypeInfo> json = new(JsonOf);

    public JsonTypeInfo Json => json.Value;
}

public sealed record MessageQueue(string Name, int MaxParallel)
{
    /// <summary>Handlers mostly wait for a commit or for the world; beyond this, more of them only lengthen each other's waits.</summary>
    public const int DefaultParallel = 32;

    public static readonly MessageQueue Default = new("default", DefaultParallel);
}

/// <summary>How often and when a failed message is tried again.</summary>
/// <param name="Attempts">In all, the first included; after them it is a dead letter.</param>
public sealed record RetryPolicy(int Attempts, TimeSpan First, TimeSpan Cap)
{
    /// <summary>Rides out a restart of the store or of a broker: about two minutes in all.</summary>
    public static readonly RetryPolicy Default = new(8, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(60));

    public static RetryPolicy Now(int attempts) => new(attempts, TimeSpan.Zero, TimeSpan.Zero);

    /// <summary>The wait after a failed attempt: doubling, capped, and between half and all of it, so that failures do not come back as one wave.</summary>
    /// <param name="attempt">The one that failed, from 1.</param>
    /// <param name="jitter">0 to 1.</param>
    public TimeSpan Wait(int attempt, double jitter)
    {
        if (First <= TimeSpan.Zero) { return TimeSpan.Zero; }
        var doubled = First.TotalMilliseconds * Math.Pow(2, Math.Min(attempt - 1, 30));
        return TimeSpan.FromMilliseconds(Math.Min(doubled, Cap.TotalMilliseconds) * (0.5 + (0.5 * jitter)));
    }
}
