using System.Collections.Concurrent;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Daemons;

/// <summary>Definitions by the hash of their text: each is read once, not once a decision. Only a memory of a pure function.</summary>
public static class DaemonDefinitions
{
    /// <summary>Some hundred kilobytes each at most; when full, all are forgotten and read again as they come.</summary>
    public const int MaxRemembered = 256;

    private static readonly ConcurrentDictionary<string, DaemonDefinition> Known = new(StringComparer.Ordinal);
    private static readonly ConcurrentDictionary<string, DaemonDefinition> ReadSound = new(StringComparer.Ordinal);

    public static DaemonDefinition Of(Run run) => Of(run.Started);

    /// <exception cref="ArgumentException">The text is no daemon, which a run that has begun cannot have.</exception>
    public static DaemonDefinition Of(RunStarted started)
    {
        if (Known.TryGetValue(started.DaemonHash, out var known)) { return known; }

        var definition = DaemonParser.Parse(started.DaemonText).Definition
            ?? throw new ArgumentException($"The text of run {started.RunId}'s daemon {started.DaemonHash} cannot be read.", nameof(started));
        if (definition.Hash != started.DaemonHash) { throw new ArgumentException($"Run {started.RunId} names daemon {started.DaemonHash}, its text has {definition.Hash}.", nameof(started)); }
        Remember(definition);
        return definition;
    }

    /// <summary>A daemon whose text was checked before.</summary>
    public static DaemonDefinition Of(string text)
    {
        var hash = ContentHash.Of(text);
        if (Known.TryGetValue(hash, out var known)) { return known; }

        var definition = DaemonParser.Parse(text).Definition ?? throw new ArgumentException($"The text of daemon {hash} cannot be read.", nameof(text));
        Remember(definition);
        return definition;
    }

    /// <summary>The daemon of a text that has no errors, read once however often it is started; null where it has, or was not read yet.</summary>
    internal static DaemonDefinition? Sound(string text) => ReadSound.TryGetValue(ContentHash.Of(text), out var sound) ? sound : null;

    /// <summary>Reads a text whose errors somebody waits for.</summary>
    internal static DaemonParseResult Read(string text)
    {
        var parsed = DaemonParser.Parse(text);
        if (parsed is { HasErrors: false, Definition: { } definition })
        {
            if (ReadSound.Count >= MaxRemembered) { ReadSound.Clear(); }
            ReadSound[definition.Hash] = definition;
            Remember(definition);
        }

        return parsed;
    }

    internal static void Remember(DaemonDefinition definition)
    {
        if (Known.Count >= MaxRemembered) { Known.Clear(); }
        Known[definition.Hash] = definition;
    }
}
