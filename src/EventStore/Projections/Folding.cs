using System.Text;
using System.Text.Json;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>A projection could not fold an event: of an inline one, the commit of that event was refused.</summary>
/// <param name="what">The event's alias, or the document that came of it.</param>
public sealed class ProjectionFailedException(string projection, string what, Exception inner)
    : Exception($"Projection '{projection}' cannot fold {what}: {inner.Message}", inner)
{
    public string Projection { get; } = projection;
}

/// <summary>A newer program has built a projection's documents: this one would write others into them.</summary>
public sealed class ProjectionTooNewException(string projection, int found, int known)
    : Exception($"Projection '{projection}' was built in version {found}; this program folds version {known}. Start the newer program.")
{
    public string Projection { get; } = projection;
}

/// <summary>What every way of folding shares: an event as the projection may see it, and what a document may be.</summary>
internal static class Folding
{
    /// <summary>An inline projection never sees what is known only after the commit, in a rebuild neither.</summary>
    public static RecordedEvent Seen(Projection projection, RecordedEvent recorded) => projection.Lifecycle switch
    {
        ProjectionLifecycle.Inline => recorded with { Position = 0, Sequence = 0, Version = 0, StreamType = null },
        ProjectionLifecycle.Async => recorded,
    };

    /// <summary>The ids of the documents that an event touches, each once.</summary>
    /// <exception cref="LimitExceededException"/>
    public static string[] Keys(Projection projection, RecordedEvent recorded, StoreLimits limits)
    {
        string[] keys = [.. projection.Keys(recorded).Take(limits.DocumentsPerEvent + 1)];
        StoreLimits.Check("documents an event", keys.Length, limits.DocumentsPerEvent);
        foreach (var key in keys) { StoreLimits.Check("document id bytes", Encoding.UTF8.GetByteCount(key), limits.DocumentKeyBytes); }
        return keys.Length > 1 ? [.. keys.Distinct(StringComparer.Ordinal)] : keys;
    }

    /// <exception cref="LimitExceededException"/>
    public static (string SortKey, byte[] Json) Write(Projection projection, object document, StoreLimits limits)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(document, projection.DocumentJson);
        StoreLimits.Check("document bytes", json.Length, limits.DocumentBytes);
        var sortKey = projection.SortKey(document);
        StoreLimits.Check("sort key bytes", Encoding.UTF8.GetByteCount(sortKey), limits.DocumentKeyBytes);
        return (sortKey, json);
    }

    /// <exception cref="JsonException">Somebody has changed the row by hand.</exception>
    public static object Read(Projection projection, byte[] json) => JsonSerializer.Deserialize(json, projection.DocumentJson) ?? throw new JsonException("The document is null.");
}
