using Platform.Domain.Capabilities;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>Does what was recorded as intended.</summary>
public sealed record PerformEffect(RunId RunId, string Path, EffectId EffectId);

public static class PerformEffectHandler
{
    public static async Task<EffectOutcome> LoadAsync(PerformEffect command, Run run, ICapabilityRegistry capabilities, Envelope envelope, TimeProvider time, CancellationToken cancellation)
    {
        if (run.Stage(command.Path) is not { Status: StageStatus.Performing, Effect: { } intended } || intended.EffectId != command.EffectId) { return new EffectOutcome.Nothing(); }

        if (capabilities.Find(intended.Capability) is not { } capability)
        {
            // Known when it was planned: this program lost it, and cannot say what the one before did.
            return envelope.Attempts > 1
                ? new EffectOutcome.Unknown($"This installation no longer has the capability '{intended.Capability}' to look.")
                : new EffectOutcome.Failed(ErrorTypes.Unsupported, $"This installation no longer has the capability '{intended.Capability}'.");
        }

        var call = new CapabilityCall(intended.Capability, intended.Arguments, run.Started.Grant, intended.IdempotencyKey);
        var plan = new EffectPlan(intended.Touches, intended.Inverse);
        var stops = run.Stops(command.Path);

        // Begun before: it may have happened, and only the world knows.
        if (envelope.Attempts > 1)
        {
            switch (await capability.ReadBack(call, plan, cancellation))
            {
                case ReadBack.Applied applied: return new EffectOutcome.Confirmed(applied.Result, ReadBack: true);
                case ReadBack.Unclear unclear: return new EffectOutcome.Unknown(unclear.Detail);
                default: break;
            }
        }

        if (stops) { return new EffectOutcome.Failed(ErrorTypes.Cancelled, "The run stopped before this was done."); }

        using var timeout = new CancellationTokenSource(ExecuteStageHandler.DefaultToolTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, timeout.Token);
        EffectOutcome failure;
        try
        {
            return new EffectOutcome.Confirmed(await capability.Perform(call, plan, both.Token), ReadBack: false);
        }
        catch (CapabilityException failed)
        {
            failure = new EffectOutcome.Failed(failed.Type, failed.Message);
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            failure = new EffectOutcome.Failed(ErrorTypes.Timeout, FormattableString.Invariant($"It took longer than {ExecuteStageHandler.DefaultToolTimeout}."));
        }

        // A failure says how it ended, not how far it came.
        return await capability.ReadBack(call, plan, cancellation) switch
        {
            ReadBack.Applied applied => new EffectOutcome.Confirmed(applied.Result, ReadBack: true),
            ReadBack.Unclear unclear when failure is EffectOutcome.Failed { Type: not "conflict" } => new EffectOutcome.Unknown(unclear.Detail),

            // Refused because the world is not as planned: nothing was done, and that it looks different is the reason.
            _ => failure,
        };
    }

    public static (Events, OutgoingMessages) Handle(PerformEffect command, Run run, EffectOutcome outcome, DateTimeOffset now) =>
        Interpreter.Report(run, DaemonDefinitions.Of(run), command.EffectId, command.Path, outcome, now);
}
