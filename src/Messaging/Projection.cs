using System.Text.Json.Serialization.Metadata;

namespace Platform.Messaging;

public enum ProjectionLifecycle
{
    /// <summary>
    /// In the transaction of the events, so that whoever appended reads it at once. It makes commits that touch it a little dearer, and a fold that throws refuses its commit.
    /// What is known only once an event stands in the log is not there: position, sequence and version are 0, the stream's type is null, in a rebuild too.
    /// </summary>
    Inline,

    /// <summary>By position, after the seal; one owner per projection across nodes.</summary>
    Async,
}

/// <summary>A read model: a pure fold of events into JSON documents, keyed by tenant and document id.</summary>
/// <remarks>Without a clock, without new ids: a rebuild from zero gives the same bytes.</remarks>
public abstract class Projection(string name, int version, ProjectionLifecycle lifecycle)
{
    /// <summary>Unique; with the version it names the shard.</summary>
    public string Name { get; } = name;

    /// <summary>Raised when the fold or the shape changes: the new one is built beside the old one, then they switch.</summary>
    public int Version { get; } = version;

    public ProjectionLifecycle Lifecycle { get; } = lifecycle;

    public abstract JsonTypeInfo DocumentJson { get; }

    /// <summary>Which documents an event touches; empty for most.</summary>
    public abstract IEnumerable<string> Keys(RecordedEvent recorded);

    /// <summary>The document after the event; null deletes it.</summary>
    public abstract object? Evolve(object? document, string key, RecordedEvent recorded);

    /// <summary>Sort key of a document for paging, newest last; compared as ordinal text.</summary>
    public abstract string SortKey(object document);
}

/// <inheritdoc cref="Projection"/>
public sealed class Projection<TDocument>(
    string name,
    int version,
    ProjectionLifecycle lifecycle,
    JsonTypeInfo<TDocument> json,
    Func<RecordedEvent, IEnumerable<string>> keys,
    Func<TDocument?, string, RecordedEvent, TDocument?> evolve,
    Func<TDocument, string> sortKey) : Projection(name, version, lifecycle) where TDocument : class
{
    public override JsonTypeInfo DocumentJson => json;

    public override IEnumerable<string> Keys(RecordedEvent recorded) => keys(recorded);

    public override object? Evolve(object? document, string key, RecordedEvent recorded) => evolve((TDocument?)document, key, recorded);

    public override string SortKey(object document) => sortKey((TDocument)document);
}
