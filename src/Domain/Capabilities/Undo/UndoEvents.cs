using System.Text.Json;
using System.Text.Json.Serialization;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>Recorded before the inverse is performed: what will be done, how the world stands, and the way back from there.</summary>
/// <param name="Touches">With before-images.</param>
/// <param name="Inverse">Of the inverse: it does the effect again.</param>
public sealed record EffectUndoIntended(
    EffectId EffectId,
    string Capability,
    JsonElement Arguments,
    Grant Grant,
    string IdempotencyKey,
    IReadOnlyList<Touch> Touches,
    InversePlan? Inverse,
    DateTimeOffset At);

[JsonConverter(typeof(JsonStringEnumConverter<Verification>))]
public enum Verification
{
    /// <summary>The world was read back and is as the inverse leaves it.</summary>
    Verified,

    /// <summary>It was performed; the world could not be read back, or somebody was there at once.</summary>
    Unverified,
}

/// <summary>The inverse was performed.</summary>
/// <param name="Stands">Whether the effect counts and shows from now on: false for an undo, true for a redo.</param>
/// <param name="Touches">The inverse's, with after-images.</param>
/// <param name="Inverse">The inverse's own inverse.</param>
/// <param name="ReadBack">It was found done after a crash, not seen happening.</param>
public sealed record EffectUndone(
    EffectId EffectId,
    UndoVerdict Verdict,
    Verification Verification,
    bool Stands,
    IReadOnlyList<Touch> Touches,
    InversePlan? Inverse,
    bool ReadBack,
    DateTimeOffset At);

/// <summary>Nothing had to be done.</summary>
/// <param name="Stands">Whether the effect counts from now on.</param>
public sealed record EffectUndoSkipped(EffectId EffectId, string Because, bool Stands, DateTimeOffset At);

/// <summary>It stays as it is.</summary>
/// <param name="Stands">Whether the effect counts from now on: as before, or as the world shows where that cannot be hidden any longer.</param>
/// <param name="Resource">Where it could not be undone, if that is one place.</param>
/// <param name="MayHaveHappened">Nobody can say whether the inverse happened: the effect is unknown from now on.</param>
public sealed record EffectUndoRefused(EffectId EffectId, string Because, string? Resource, bool Stands, bool MayHaveHappened, DateTimeOffset At);

/// <param name="Partial">Something was refused.</param>
public sealed record UndoCompleted(bool Partial, int Undone, int Skipped, int Refused, DateTimeOffset At);
