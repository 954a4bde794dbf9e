using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Platform.Messaging;

/// <summary>How one kind of event is stored.</summary>
/// <param name="Name">snake_case of the type's name, for example <c>stage_completed</c>.</param>
/// <param name="Version">1, 2, ... From 2 on the stored alias has a suffix: <c>stage_completed_v2</c>.</param>
/// <param name="JsonOf">Asked once, when the first event of this kind is read or written: to describe a type takes milliseconds, and most commands need few of a hundred.</param>
public sealed record EventType(string Name, int Version, Type ClrType, Func<JsonTypeInfo> JsonOf)
{
    private readonly Lazy<JsonTypeInfo> json = new(JsonOf);

    public JsonTypeInfo Json => json.Value;

    public string Alias { get; } = Version == 1 ? Name : $"{Name}_v{Version}";

    /// <summary>Marten's <c>mt_dotnet_type</c>: "Namespace.Type, Assembly".</summary>
    public string DotNetType { get; } = $"{ClrType.FullName}, {ClrType.Assembly.GetName().Name}";
}

/// <summary>Turns the JSON of an older version of an event into the next version's. Pure.</summary>
public sealed record Upcaster(string Name, int FromVersion, Func<JsonElement, JsonElement> Upcast);

/// <summary>Every kind of event this program can read, by alias and by type. Built once from what the generator found.</summary>
public sealed class EventTypes
{
    private readonly Dictionary<string, EventType> byAlias = new(StringComparer.Ordinal);
    private readonly Dictionary<Type, EventType> byType = [];
    private readonly Dictionary<(string Name, int Version), Upcaster> upcasters = [];
    private readonly Dictionary<string, EventType> newest = new(StringComparer.Ordinal);

    public EventTypes(IEnumerable<EventType> types, IEnumerable<Upcaster>? upcasters = null)
    {
        foreach (var type in types)
        {
            byAlias.Add(type.Alias, type);
            byType.Add(type.ClrType, type);
            newest.Add(type.Name, type);
        }

        foreach (var upcaster in upcasters ?? []) { this.upcasters.Add((upcaster.Name, upcaster.FromVersion), upcaster); }
    }

    public IReadOnlyCollection<EventType> All => byType.Values;

    /// <summary>Whether <see cref="Read"/> has a type for this alias.</summary>
    public bool Knows(string alias)
    {
        if (byAlias.ContainsKey(alias)) { return true; }
        var (name, version) = Split(alias);
        return newest.TryGetValue(name, out var current) && version <= current.Version;
    }

    /// <exception cref="KeyNotFoundException">The type is no event: nothing folds it.</exception>
    public EventType Of(object fact) => byType.TryGetValue(fact.GetType(), out var type)
        ? type
        : throw new KeyNotFoundException($"{fact.GetType()} is not an event: no state or projection folds it.");

    /// <summary>Reads a stored event, through upcasters where its alias is older than the program.</summary>
    /// <exception cref="UnknownEventException">No type and no chain of upcasters for this alias.</exception>
    /// <exception cref="JsonException">The stored JSON does not fit the type.</exception>
    public object Read(string alias, ReadOnlySpan<byte> json)
    {
        if (byAlias.TryGetValue(alias, out var type))
        {
            return JsonSerializer.Deserialize(json, type.Json) ?? throw new JsonException($"Event {alias} is null.");
        }

        var (name, version) = Split(alias);
        if (!newest.TryGetValue(name, out var current) || current.Version < version) { throw new UnknownEventException(alias); }

        var reader = new Utf8JsonReader(json);
        var element = JsonElement.ParseValue(ref reader);
        for (; version < current.Version; version++)
        {
            if (!upcasters.TryGetValue((name, version), out var step)) { throw new UnknownEventException(alias); }
            element = step.Upcast(element);
        }

        return element.Deserialize(current.Json) ?? throw new JsonException($"Event {alias} is null.");
    }

    private static (string Name, int Version) Split(string alias)
    {
        var at = alias.LastIndexOf("_v", StringComparison.Ordinal);
        return at > 0 && int.TryParse(alias.AsSpan(at + 2), out var version) ? (alias[..at], version) : (alias, 1);
    }
}

/// <summary>An event in the log that this program has no type for: written by a newer one, or by somebody else.</summary>
public sealed class UnknownEventException(string alias) : Exception($"Event alias '{alias}' is not known to this version.")
{
    public string Alias { get; } = alias;
}
