using System.Text.Json;
using System.Text.Json.Serialization;

namespace Platform.Domain.Capabilities;

/// <summary>What remains of an effect after its inverse ran. Undeclared means irreversible.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<EffectClass>))]
public enum EffectClass { Pure, Reversible, Compensable, Deferrable, Irreversible }

/// <summary>How a later writer and an undo meet.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<EffectKind>))]
public enum EffectKind
{
    /// <summary>A value set: undone only while it is still ours, else superseded.</summary>
    Register,

    /// <summary>A number changed: our own delta is subtracted.</summary>
    Counter,

    /// <summary>An element added or removed: only our own element.</summary>
    Set,

    /// <summary>A thing made: deleted only while untouched.</summary>
    CreatedObject,
}

/// <summary>What a capability is. Data, so that it can be shown before install and pinned by a run.</summary>
/// <param name="Name">Dotted, for example <c>files.move</c>.</param>
/// <param name="Arguments">JSON Schema of the arguments.</param>
/// <param name="Result">JSON Schema of the result.</param>
/// <param name="Idempotent">Doing it twice with the same arguments leaves what once leaves.</param>
public sealed record CapabilityDescriptor(
    string Name,
    string Version,
    string Description,
    EffectClass Class,
    EffectKind Kind,
    bool Idempotent,
    JsonElement Arguments,
    JsonElement Result);

[JsonConverter(typeof(JsonStringEnumConverter<Access>))]
public enum Access { Read, Write, Create, Delete }

/// <summary>A resource as it stands, told so that "the same again" can be decided later, byte for byte.</summary>
/// <param name="Kind"><c>absent</c>, <c>file</c>, <c>folder</c>, <c>value</c>.</param>
/// <param name="Hash">SHA-256 of the content, lower-case hexadecimal; the content itself is in the blob store where an undo needs it.</param>
/// <param name="Attributes">What else must come back: <c>mode</c> (octal), <c>modified</c> (RFC 3339, nanoseconds) ...</param>
public sealed record Image(string Kind, string? Hash = null, long? SizeBytes = null, IReadOnlyDictionary<string, string>? Attributes = null)
{
    public static readonly Image Absent = new("absent");
}

/// <summary>One resource that an effect reads or changes.</summary>
/// <param name="Resource">A URI, for example <c>file:///srv/inbox/a.txt</c>.</param>
public sealed record Touch(string Resource, Access Access, Image Before, Image? After = null);

/// <summary>The way back, as data: executable after a restart and by a later version of the program.</summary>
public sealed record InversePlan(string Capability, JsonElement Arguments);

/// <summary>What the run that calls may touch, its templates evaluated.</summary>
public sealed record Grant(IReadOnlyList<string> FilesRead, IReadOnlyList<string> FilesWrite, IReadOnlyList<string> Network);

/// <param name="IdempotencyKey">Sent to the other side where it takes one.</param>
public sealed record CapabilityCall(string Capability, JsonElement Arguments, Grant Grant, string IdempotencyKey);

/// <summary>What would be done. Making it changes nothing but the blob store, which may take before-images.</summary>
/// <param name="Touches">With before-images; after-images where they are known beforehand.</param>
/// <param name="Inverse">Null for pure and irreversible effects.</param>
public sealed record EffectPlan(IReadOnlyList<Touch> Touches, InversePlan? Inverse);

/// <param name="Touches">The plan's, with after-images.</param>
public sealed record EffectResult(JsonElement Result, IReadOnlyList<Touch> Touches);

/// <summary>What the world says after a crash between intent and confirmation.</summary>
public abstract record ReadBack
{
    private ReadBack() { }

    /// <summary>It happened, with this result.</summary>
    public sealed record Applied(EffectResult Result) : ReadBack;

    /// <summary>It did not happen; performing it now is safe.</summary>
    public sealed record NotApplied : ReadBack;

    /// <summary>The world matches neither before nor after: a person must look.</summary>
    public sealed record Unclear(string Detail) : ReadBack;
}

/// <summary>Something that a daemon may do to the world. Every implementation passes the capability contract suite.</summary>
public interface ICapability
{
    CapabilityDescriptor Descriptor { get; }

    /// <summary>Checks arguments and grant, reads the world, says what would be done and how it is undone.</summary>
    /// <exception cref="CapabilityException"/>
    Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation);

    /// <summary>Does it, if the world still is as planned.</summary>
    /// <exception cref="CapabilityException"/>
    Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation);

    /// <summary>Says whether a planned effect happened, without repeating it.</summary>
    Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation);
}

/// <summary>A refusal or failure of a capability.</summary>
/// <param name="type">Error type of the daemon format (<c>conflict</c>, <c>connection</c>, <c>timeout</c>) or <c>denied</c>, <c>invalid</c>, <c>not_found</c>, <c>too_large</c>, <c>io</c>.</param>
/// <param name="message">Names the resource and says what to do.</param>
public sealed class CapabilityException(string type, string message, Exception? inner = null) : Exception(message, inner)
{
    public string Type { get; } = type;
}

/// <summary>The capabilities of this installation, by name.</summary>
public interface ICapabilityRegistry
{
    IReadOnlyList<CapabilityDescriptor> All { get; }

    /// <returns>Null where there is none of that name.</returns>
    ICapability? Find(string name);
}
