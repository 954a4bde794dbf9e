using Platform.Domain.Capabilities;
using Platform.Domain.Daemons.Format;
using Platform.Domain.Inference;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>Makes one attempt at an agent, script or tool stage.</summary>
public sealed record ExecuteStage(RunId RunId, string Path, int Attempt);

public static class ExecuteStageHandler
{
    /// <summary>Of an attempt whose daemon sets no limit; a model on a processor is slow, a hung one must not hold a run for ever.</summary>
    public static readonly TimeSpan DefaultAgentTimeout = TimeSpan.FromMinutes(10);

    public static readonly TimeSpan DefaultToolTimeout = TimeSpan.FromMinutes(5);

    /// <summary>Beyond the script's own wall clock, so that the sandbox's verdict is heard before ours.</summary>
    public static readonly TimeSpan ScriptGrace = TimeSpan.FromSeconds(10);

    /// <summary>What a failed script's message keeps of its standard error: the end, where the reason stands.</summary>
    public const int ErrorTailCharacters = 1_000;

    /// <summary>Of one result, as JSON: it becomes part of an event.</summary>
    public const int MaxResultBytes = 4 << 20;

    public static async Task<StageOutcome> LoadAsync(
        ExecuteStage command, Run run, IAgentModel agents, IScriptSandbox sandbox, ICapabilityRegistry capabilities, TimeProvider time, CancellationToken cancellation)
    {
        if (run.Ended is not null || run.Stage(command.Path) is not { Status: StageStatus.Running } state || state.Attempt != command.Attempt) { return new StageOutcome.Nothing(); }

        var daemon = DaemonDefinitions.Of(run);
        var stage = StageTree.Find(daemon, command.Path)!;

        // The attempt's own moment: what is evaluated now is what was evaluated when the attempt began.
        var work = StageWork.Of(run, daemon, stage, command.Path, state.AttemptStartedAt);
        using var timeout = new CancellationTokenSource(LimitOf(stage, state), time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, timeout.Token);
        try
        {
            var outcome = work switch
            {
                { Agent: { } request } => await Ask(agents, request, work, run, both.Token),
                { Script: { } job } => await Run(sandbox, job, (ScriptStage)stage, work, run, both.Token),
                { Call: { } call } => await Plan(capabilities, call, (ToolStage)stage, work, run, both.Token),
                _ => throw new ArgumentException($"{command.Path} asks nobody.", nameof(command)),
            };
            return outcome is StageOutcome.Success success ? Bounded(success) : outcome;
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            return new StageOutcome.Failure(ErrorTypes.Timeout, FormattableString.Invariant($"The attempt took longer than {LimitOf(stage, state)}."));
        }
    }

    public static (Events, OutgoingMessages) Handle(ExecuteStage command, Run run, StageOutcome outcome, DateTimeOffset now) =>
        Interpreter.Report(run, DaemonDefinitions.Of(run), command.Path, command.Attempt, outcome, now);

    private static TimeSpan LimitOf(Stage stage, StageState state)
    {
        var limit = stage.Common.Timeout.Attempt ?? stage switch
        {
            ScriptStage script => script.Limits.Wall + ScriptGrace,
            AgentStage => DefaultAgentTimeout,
            _ => DefaultToolTimeout,
        };
        return stage.Common.Timeout.Total is { } total && total - (state.AttemptStartedAt - state.StartedAt) is var left && left < limit
            ? left > TimeSpan.Zero ? left : TimeSpan.Zero
            : limit;
    }

    private static async Task<StageOutcome> Ask(IAgentModel agents, AgentRequest request, StageWork work, Run run, CancellationToken cancellation)
    {
        if (work.Models.FirstOrDefault(agents.Serves) is not { } model)
        {
            return new StageOutcome.Failure(ErrorTypes.ProviderError, $"Nothing here serves {string.Join(" or ", work.Models)}. The built-in agent is called 'local'.", Final: true);
        }

        try
        {
            var answer = await agents.Answer(request with { Model = model }, cancellation);
            var usage = new StageUsage(answer.Model, answer.Method, answer.InputTokens, answer.OutputTokens);
            return new StageOutcome.Success(CanonicalJson.Of(answer.Value), work.EstimateCredits, work.Untrusted, usage);
        }
        catch (AgentException failed)
        {
            return new StageOutcome.Failure(failed.Type, failed.Message);
        }
    }

    private static async Task<StageOutcome> Run(IScriptSandbox sandbox, ScriptJob job, ScriptStage stage, StageWork work, Run run, CancellationToken cancellation)
    {
        ScriptOutcome outcome;
        try { outcome = await sandbox.Run(job, cancellation); }
        catch (SandboxUnavailableException none) { return new StageOutcome.Failure(ErrorTypes.Denied, none.Message); }

        var cost = Math.Min(work.EstimateCredits, PriceBook.Of(run.Started.PriceBook).Script(outcome.CpuTime));
        var usage = new StageUsage(CpuMs: (long)outcome.CpuTime.TotalMilliseconds, Isolation: outcome.Tier);
        if (outcome.LimitHit != ScriptLimitHit.None)
        {
            return new StageOutcome.Failure(
                outcome.LimitHit == ScriptLimitHit.Wall ? ErrorTypes.Timeout : ErrorTypes.ScriptExit, $"The script was stopped at its limit: {outcome.LimitHit}.", cost, usage);
        }

        var meaning = stage.ExitCodes.TryGetValue(outcome.ExitCode, out var said) ? said : outcome.ExitCode == 0 ? "success" : "retry";
        if (meaning == "success") { return new StageOutcome.Success(CanonicalJson.Of(outcome.Result), cost, work.Untrusted, usage); }

        var tail = outcome.StandardError.Length <= ErrorTailCharacters ? outcome.StandardError : "..." + outcome.StandardError[^ErrorTailCharacters..];
        return new StageOutcome.Failure(
            ErrorTypes.ScriptExit, FormattableString.Invariant($"The script ended with exit code {outcome.ExitCode}.{(tail.Length == 0 ? "" : " ")}{tail.TrimEnd()}"), cost, usage, Final: meaning == "fail");
    }

    private static async Task<StageOutcome> Plan(ICapabilityRegistry capabilities, CapabilityCall call, ToolStage stage, StageWork work, Run run, CancellationToken cancellation)
    {
        if (capabilities.Find(call.Capability) is not { } capability)
        {
            return new StageOutcome.Failure(ErrorTypes.Unsupported, $"This installation has no capability '{call.Capability}'.");
        }

        var descriptor = capability.Descriptor;
        if (descriptor.Class == EffectClass.Irreversible && !run.Started.Approvals.Contains("irreversible"))
        {
            return new StageOutcome.Failure(ErrorTypes.Denied, $"'{call.Capability}' cannot be undone. Start the run with the approval 'irreversible' to allow it.");
        }

        var permissions = DaemonDefinitions.Of(run).Permissions;
        if (!stage.Undo && descriptor.Class != EffectClass.Pure && permissions.Approve.Contains("irreversible") && !run.Started.Approvals.Contains("irreversible"))
        {
            return new StageOutcome.Failure(ErrorTypes.Denied, $"'{stage.Id}' says 'undo: none', and the daemon wants what is irreversible approved. Start the run with the approval 'irreversible'.");
        }

        try
        {
            var plan = await capability.Plan(call, cancellation);
            if (descriptor.Class == EffectClass.Pure)
            {
                var result = await capability.Perform(call, plan, cancellation);

                // What is read from the world is from outside, whatever asked for it.
                return new StageOutcome.Success(CanonicalJson.Of(result.Result), 0m, true, null, result.Touches.Count == 0 ? null : result.Touches);
            }

            return new StageOutcome.Planned(
                descriptor.Name, descriptor.Version, stage.Undo ? descriptor.Class : EffectClass.Irreversible, descriptor.Kind, call.IdempotencyKey,
                call.Arguments, stage.Undo ? plan : plan with { Inverse = null }, work.Untrusted);
        }
        catch (CapabilityException refused)
        {
            return new StageOutcome.Failure(refused.Type, refused.Message);
        }
    }

    private static StageOutcome Bounded(StageOutcome.Success success) =>
        CanonicalJson.Bytes(success.Result).Length is var size && size > MaxResultBytes
            ? new StageOutcome.Failure(ErrorTypes.TooLarge, FormattableString.Invariant($"The result has {size} bytes, at most {MaxResultBytes} are kept."), success.CostCredits, success.Usage)
            : success;
}
