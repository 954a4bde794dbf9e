using System.Text.Json;
using System.Text.Json.Serialization;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Domain.Capabilities;

/// <summary>One effect on the world, once: derived from the run, the stage and the attempt.</summary>
[JsonConverter(typeof(GuidIdConverter<EffectId>))]
public readonly record struct EffectId(Guid Value) : IGuidId<EffectId>
{
    public static EffectId From(Guid value) => new(value);

    public static EffectId Of(RunId run, string path, int attempt) => new(DeterministicId.Of(run.Value, $"effect:{path}:{attempt}"));

    public override string ToString() => Value.ToString();
}

/// <summary>Recorded before anything is done: what will be done, how the world stands, and the way back.</summary>
/// <param name="Path">The stage of the run.</param>
/// <param name="Class">Irreversible where the daemon says <c>undo: none</c>.</param>
/// <param name="ArgumentsHash">SHA-256 of the arguments' canonical JSON, lower-case hexadecimal.</param>
/// <param name="Touches">With before-images.</param>
/// <param name="Untrusted">The arguments were made from content of outside.</param>
public sealed record EffectIntended(
    EffectId EffectId,
    string Path,
    int Attempt,
    string Capability,
    string CapabilityVersion,
    EffectClass Class,
    EffectKind Kind,
    string IdempotencyKey,
    JsonElement Arguments,
    string ArgumentsHash,
    IReadOnlyList<Touch> Touches,
    InversePlan? Inverse,
    bool Untrusted,
    DateTimeOffset At) : IRunEvent;

/// <param name="Touches">With after-images.</param>
/// <param name="ReadBack">It was found done after a crash, not seen happening.</param>
public sealed record EffectConfirmed(EffectId EffectId, string Path, int Attempt, JsonElement Result, IReadOnlyList<Touch> Touches, bool ReadBack, DateTimeOffset At) : IRunEvent;

/// <summary>It did not happen.</summary>
public sealed record EffectFailed(EffectId EffectId, string Path, int Attempt, string ErrorType, string Message, DateTimeOffset At) : IRunEvent;

/// <summary>Nobody can say whether it happened; it is not repeated.</summary>
public sealed record EffectUnknown(EffectId EffectId, string Path, int Attempt, string Detail, DateTimeOffset At) : IRunEvent;
