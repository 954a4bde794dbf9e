using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>Does what was recorded as the inverse of an effect, and looks whether it holds.</summary>
public sealed record PerformInverse(UndoId UndoId, EffectId EffectId);

/// <summary>What came of performing an inverse.</summary>
public abstract record InverseOutcome
{
    private InverseOutcome() { }

    public sealed record Nothing : InverseOutcome;

    /// <param name="ReadBack">Found done after a crash.</param>
    public sealed record Performed(IReadOnlyList<Touch> Touches, Verification Verification, bool ReadBack) : InverseOutcome;

    public sealed record Refused(string Because, string? Resource, bool MayHaveHappened) : InverseOutcome;
}

public static class PerformInverseHandler
{
    public static async Task<InverseOutcome> LoadAsync(PerformInverse command, Undo undo, ICapabilityRegistry capabilities, Envelope envelope, TimeProvider time, CancellationToken cancellation)
    {
        if (IntendedOf(command, undo) is not { } intended) { return new InverseOutcome.Nothing(); }
        if (capabilities.Find(intended.Capability) is not { } capability)
        {
            return new InverseOutcome.Refused($"This installation no longer has the capability '{intended.Capability}'.", null, MayHaveHappened: envelope.Attempts > 1);
        }

        var line = undo.Next!;
        var call = new CapabilityCall(intended.Capability, intended.Arguments, intended.Grant, intended.IdempotencyKey);
        var plan = new EffectPlan(intended.Touches, intended.Inverse);

        // Begun before: it may have happened, and only the world knows.
        if (envelope.Attempts > 1)
        {
            switch (await capability.ReadBack(call, plan, cancellation))
            {
                case ReadBack.Applied applied: return new InverseOutcome.Performed(applied.Result.Touches, Verification.Verified, ReadBack: true);
                case ReadBack.Unclear unclear: return Refused(line, unclear.Detail, mayHaveHappened: true);
                default: break;
            }
        }

        using var timeout = new CancellationTokenSource(ExecuteStageHandler.DefaultToolTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, timeout.Token);
        string failure;
        var conflict = false;
        try
        {
            var result = await capability.Perform(call, plan, both.Token);
            return new InverseOutcome.Performed(result.Touches, await Verify(capability, call, plan, cancellation), ReadBack: false);
        }
        catch (CapabilityException failed) when (!UndoNextEffectHandler.MayPass(failed, envelope))
        {
            (failure, conflict) = (failed.Message, failed.Type == "conflict");
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            failure = FormattableString.Invariant($"It took longer than {ExecuteStageHandler.DefaultToolTimeout}.");
        }

        // A failure says how it ended, not how far it came. A conflict that the world bears out is a refusal: nothing was done.
        return await capability.ReadBack(call, plan, cancellation) switch
        {
            ReadBack.Applied applied => new InverseOutcome.Performed(applied.Result.Touches, Verification.Verified, ReadBack: true),
            ReadBack.Unclear unclear when !conflict => Refused(line, unclear.Detail, mayHaveHappened: true),
            _ => Refused(line, failure, mayHaveHappened: false),
        };
    }

    public static (Events, OutgoingMessages) Handle(PerformInverse command, Undo undo, InverseOutcome outcome, DateTimeOffset now)
    {
        if (IntendedOf(command, undo) is not { } intended || outcome is InverseOutcome.Nothing) { return ([], []); }
        var line = undo.Next!;
        switch (outcome)
        {
            case InverseOutcome.Performed performed:
                var undone = new EffectUndone(line.EffectId, line.Verdict, performed.Verification, line.Stands, performed.Touches, intended.Inverse, performed.ReadBack, now);
                return UndoNextEffectHandler.GoOn(undo.Apply(undone), [undone], now);
            case InverseOutcome.Refused refused:
                var fact = new EffectUndoRefused(line.EffectId, CanonicalJson.Clean(refused.Because), refused.Resource, !line.Stands, refused.MayHaveHappened, now);
                return UndoNextEffectHandler.GoOn(undo.Apply(fact), [fact], now);
            default:
                throw new ArgumentException($"{outcome.GetType().Name} is no outcome.", nameof(outcome));
        }
    }

    private static EffectUndoIntended? IntendedOf(PerformInverse command, Undo undo) =>
        undo is { Completed: false, Intended: { } intended, Next: { } line } && intended.EffectId == command.EffectId && line.EffectId == command.EffectId ? intended : null;

    private static async Task<Verification> Verify(ICapability capability, CapabilityCall call, EffectPlan plan, CancellationToken cancellation)
    {
        try
        {
            return await capability.ReadBack(call, plan, cancellation) is ReadBack.Applied ? Verification.Verified : Verification.Unverified;
        }
        catch (CapabilityException)
        {
            // It was done; that it cannot be seen now is what "unverified" says.
            return Verification.Unverified;
        }
    }

    private static InverseOutcome.Refused Refused(UndoLine line, string because, bool mayHaveHappened) =>
        new(because, UndoNextEffectHandler.ResourceOf(line, because), mayHaveHappened);
}
