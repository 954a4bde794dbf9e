using System.Text.Json;
using Platform.Domain.Capabilities;

namespace Platform.Domain.Daemons;

/// <summary>How one attempt at a stage came out. Data: a failure is decided about, not thrown.</summary>
public abstract record StageOutcome
{
    private StageOutcome() { }

    /// <param name="Result">As answered, before the stage reshapes it.</param>
    public sealed record Success(JsonElement Result, decimal CostCredits, bool Untrusted, StageUsage? Usage = null, IReadOnlyList<Touch>? Touches = null) : StageOutcome;

    /// <param name="Final">Another attempt is not to be made, whatever the stage's rule says.</param>
    public sealed record Failure(string Type, string Message, decimal CostCredits = 0m, StageUsage? Usage = null, bool Final = false, JsonElement? Raw = null) : StageOutcome;

    /// <summary>An effect is planned and nothing done yet.</summary>
    public sealed record Planned(
        string Capability,
        string Version,
        EffectClass Class,
        EffectKind Kind,
        string IdempotencyKey,
        JsonElement Arguments,
        EffectPlan Plan,
        bool Untrusted) : StageOutcome;

    /// <summary>The stage was not waited for any more when its turn came.</summary>
    public sealed record Nothing : StageOutcome;
}

/// <summary>What became of a planned effect.</summary>
public abstract record EffectOutcome
{
    private EffectOutcome() { }

    public sealed record Confirmed(EffectResult Result, bool ReadBack) : EffectOutcome;

    public sealed record Failed(string Type, string Message) : EffectOutcome;

    public sealed record Unknown(string Detail) : EffectOutcome;

    public sealed record Nothing : EffectOutcome;
}
