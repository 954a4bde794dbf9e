namespace Platform.Messaging;

/// <summary>A failed message is tried again at once.</summary>
/// <param name="attempts">In all, the first included.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class RetryNowAttribute(int attempts) : Attribute
{
    public int Attempts { get; } = attempts;
}

/// <summary>A failed message is tried again after a wait that doubles, with jitter, up to a cap.</summary>
/// <param name="attempts">In all, the first included.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class RetryWithBackoffAttribute(int attempts, int firstMs, int capMs) : Attribute
{
    public int Attempts { get; } = attempts;

    public int FirstMs { get; } = firstMs;

    public int CapMs { get; } = capMs;
}

/// <summary>The local queue in which a message waits; queues do not hold each other up.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class QueueAttribute(string name) : Attribute
{
    public string Name { get; } = name;

    /// <summary>How many of the queue's messages are handled at once on one node; the largest number said by any message of the queue holds.</summary>
    public int MaxParallel { get; init; } = MessageQueue.DefaultParallel;
}

/// <summary>Messages with an equal value of this property are handled one after the other. Without it: those with an equal stream id.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class OrderedByAttribute(string property) : Attribute
{
    public string Property { get; } = property;
}

/// <summary>Messages of this type wait for no other, not even of the same stream.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class UnorderedAttribute : Attribute;

/// <summary>The property that names the stream, where a command has several of the state's id type.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class StreamIdAttribute : Attribute;

/// <summary>A static method <c>JsonElement M(JsonElement)</c> that turns an older version of an event into the next one.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class UpcastAttribute(string alias, int fromVersion) : Attribute
{
    public string Alias { get; } = alias;

    public int FromVersion { get; } = fromVersion;
}
