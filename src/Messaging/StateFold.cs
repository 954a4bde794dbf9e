namespace Platform.Messaging;

/// <summary>How a stream's events become a state. Generated from the state's static <c>Create</c> and its <c>Apply</c> methods.</summary>
/// <param name="StreamType">Marten's stream type alias, for example <c>run</c>.</param>
/// <param name="Evolve">Pure: the state before (null before the first event) and one event, to the state after.</param>
public sealed record StateFold<TState>(string StreamType, Func<TState?, object, TState?> Evolve) where TState : class
{
    public TState? Fold(TState? state, IEnumerable<object> events)
    {
        foreach (var fact in events) { state = Evolve(state, fact); }
        return state;
    }
}

/// <summary>Says that a record is the state of a stream, whose id is <typeparamref name="TId"/>; a command names the stream by one property of that type.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class StreamAttribute<TId>(string streamType) : Attribute where TId : struct, IGuidId<TId>
{
    public string StreamType { get; } = streamType;
}

/// <summary>The stored name or version of an event or message, where it is not simply snake_case of the type's name at version 1.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct)]
public sealed class AliasAttribute(string? name = null) : Attribute
{
    public string? Name { get; } = name;

    public int Version { get; init; } = 1;
}
