using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>Plans the inverse of the effect whose turn it is. Nothing is changed before that plan is recorded.</summary>
public sealed record UndoNextEffect(UndoId UndoId, EffectId EffectId);

/// <summary>What looking at one line gave.</summary>
public abstract record InverseStep
{
    private InverseStep() { }

    public sealed record Nothing : InverseStep;

    public sealed record Planned(InversePlan Call, Grant Grant, EffectPlan Plan) : InverseStep;

    /// <summary>Another undo was faster.</summary>
    public sealed record Settled(string Because, bool Stands) : InverseStep;

    public sealed record Refused(string Because, string? Resource) : InverseStep;
}

public static class UndoNextEffectHandler
{
    public static async Task<InverseStep> LoadAsync(UndoNextEffect command, Undo undo, TenantId tenant, IEffectHistory history, ICapabilityRegistry capabilities, Envelope envelope, CancellationToken cancellation)
    {
        if (LineOf(command, undo) is not { } line) { return new InverseStep.Nothing(); }
        if (line.Needs.Any(n => undo.Outcomes.TryGetValue(n, out var asPlanned) && !asPlanned))
        {
            return new InverseStep.Refused("What was made of it could not be undone.", null);
        }

        var effect = await history.Find(tenant, line.EffectId, cancellation);
        if (effect is { } settled && settled.Stands == line.Stands && settled.Applied == line.Stands) { return new InverseStep.Settled("Another undo did it meanwhile.", line.Stands); }
        if (effect?.Inverse is not { } inverse) { return new InverseStep.Refused("No way back is recorded for it any more.", null); }
        if (capabilities.Find(inverse.Capability) is not { } capability) { return new InverseStep.Refused($"This installation has no capability '{inverse.Capability}'.", null); }

        try
        {
            return new InverseStep.Planned(inverse, effect.Grant, await capability.Plan(new CapabilityCall(inverse.Capability, inverse.Arguments, effect.Grant, KeyOf(undo.Id, line.EffectId)), cancellation));
        }
        catch (CapabilityException refused) when (!MayPass(refused, envelope))
        {
            return new InverseStep.Refused(refused.Message, ResourceOf(line, refused.Message));
        }
    }

    public static (Events, OutgoingMessages) Handle(UndoNextEffect command, Undo undo, InverseStep step, DateTimeOffset now)
    {
        if (LineOf(command, undo) is not { } line || step is InverseStep.Nothing) { return ([], []); }
        switch (step)
        {
            case InverseStep.Planned planned:
                return (
                    [new EffectUndoIntended(line.EffectId, planned.Call.Capability, CanonicalJson.Of(planned.Call.Arguments), planned.Grant, KeyOf(undo.Id, line.EffectId), planned.Plan.Touches, planned.Plan.Inverse, now)],
                    [new PerformInverse(undo.Id, line.EffectId)]);
            case InverseStep.Settled settled:
                var skipped = new EffectUndoSkipped(line.EffectId, settled.Because, settled.Stands, now);
                return GoOn(undo.Apply(skipped), [skipped], now);
            case InverseStep.Refused refused:
                var fact = new EffectUndoRefused(line.EffectId, CanonicalJson.Clean(refused.Because), refused.Resource, !line.Stands, false, now);
                return GoOn(undo.Apply(fact), [fact], now);
            default:
                throw new ArgumentException($"{step.GetType().Name} is no step.", nameof(step));
        }
    }

    /// <summary>To the next line, or to the end.</summary>
    internal static (Events, OutgoingMessages) GoOn(Undo undo, Events events, DateTimeOffset now)
    {
        if (undo.Next is { } next) { return (events, [new UndoNextEffect(undo.Id, next.EffectId)]); }
        events.Add(new UndoCompleted(undo.Refused > 0, undo.Undone, undo.Skipped, undo.Refused, now));
        return (events, []);
    }

    /// <summary>The world is briefly away, and the message comes again.</summary>
    internal static bool MayPass(CapabilityException failed, Envelope envelope) => failed.Type is "connection" or ErrorTypes.Timeout && envelope.Attempts < MaxAttempts;

    internal static string? ResourceOf(UndoLine line, string message) =>
        line.Resources.FirstOrDefault(r => message.Contains(Uri.UnescapeDataString(r.StartsWith("file://", StringComparison.Ordinal) ? r["file://".Length..] : r), StringComparison.Ordinal))
        ?? (line.Resources.Count == 1 ? line.Resources[0] : null);

    private static UndoLine? LineOf(UndoNextEffect command, Undo undo) =>
        undo is { Completed: false, Intended: null, Next: { } line } && line.EffectId == command.EffectId ? line : null;

    private static string KeyOf(UndoId undo, EffectId effect) => DeterministicId.Of(undo.Value, $"inverse:{effect}").ToString();

    /// <summary>Fewer than the messages' own retries: an undo ends with a refusal that says why, not as a dead letter.</summary>
    public const int MaxAttempts = 5;
}
