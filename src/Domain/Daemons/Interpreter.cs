using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons.Expressions;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>
/// Walks a daemon's stages from where its run stands: a pure function of the run, the definition and the moment. Only lists under way
/// are looked at, so a step costs the depth of the daemon, not the length of the run.
/// </summary>
public sealed class Interpreter
{
    /// <summary>One decision stays one small transaction; a message goes on from there.</summary>
    public const int MaxEventsPerDecision = 400;

    /// <summary>A list is stored in one event and its results in another.</summary>
    public const int MaxItems = 10_000;

    /// <summary>Items of one foreach under way at once; more only wait in another queue.</summary>
    public const int MaxParallelism = 64;

    /// <summary>Attempts where a stage wants its invalid answers asked again and has no rule of its own.</summary>
    public const int AttemptsOnInvalid = 3;

    /// <summary>What the events of a failed stage keep of a message.</summary>
    public const int MaxMessageCharacters = 4_000;

    /// <summary>How long a run's <c>on_error</c> and <c>finally</c> stages may take, together, after its own ended.</summary>
    public static readonly TimeSpan ClosingLimit = TimeSpan.FromMinutes(5);

    private readonly DaemonDefinition daemon;
    private readonly DateTimeOffset now;
    private readonly string? touched;
    private bool goesOn;

    private Interpreter(Run? run, DaemonDefinition daemon, DateTimeOffset now, string? touched)
    {
        Run = run!;
        this.daemon = daemon;
        this.now = now;
        this.touched = touched;
    }

    private enum Step
    {
        /// <summary>Something is under way.</summary>
        Pending,

        /// <summary>Its list goes on.</summary>
        Settled,

        Broken,

        /// <summary>It was under way and no longer is, since the run stops.</summary>
        Stopped,
    }

    private Run Run { get; set; }

    private Events Events { get; } = [];

    private OutgoingMessages Messages { get; } = [];

    /// <summary>Goes as far as it can without asking the world.</summary>
    public static (Events Events, OutgoingMessages Messages) Advance(Run run, DaemonDefinition daemon, DateTimeOffset now)
    {
        var decision = new Interpreter(run, daemon, now, null);
        decision.Walk();
        return (decision.Events, decision.Messages);
    }

    /// <summary>The first events of a run, and what follows at once.</summary>
    public static (Events Events, OutgoingMessages Messages) Begin(RunStarted started, StagesRecalled? recalled, DaemonDefinition daemon)
    {
        var decision = new Interpreter(null, daemon, started.At, null);
        decision.Record(started);
        if (recalled is not null) { decision.Record(recalled); }
        if (started.Budget.Wall is { } wall) { decision.Messages.After(new CheckDeadline(started.RunId, Closing: false), wall); }
        decision.Walk();
        return (decision.Events, decision.Messages);
    }

    /// <summary>Takes in how an attempt came out, and goes on.</summary>
    public static (Events Events, OutgoingMessages Messages) Report(Run run, DaemonDefinition daemon, string path, int attempt, StageOutcome outcome, DateTimeOffset now)
    {
        if (outcome is StageOutcome.Nothing) { return ([], []); }

        var decision = new Interpreter(run, daemon, now, path);
        if (run.Ended is not null || run.Stage(path) is not { Status: StageStatus.Running } state || state.Attempt != attempt)
        {
            // Asked twice, or too late. What it cost is counted once: only where the stage was given up while this was under way.
            var (cost, usage) = CostOf(outcome);
            if (cost > 0m && run.Stage(path) is { Status: StageStatus.Cancelled } given && given.Attempt == attempt && !given.ResultDropped)
            {
                decision.Record(new StageResultDropped(path, attempt, cost, usage, now));
                return (decision.Events, decision.Messages);
            }

            return ([], []);
        }

        decision.Take(decision.Find(path), path, state, outcome);
        decision.Walk();
        return (decision.Events, decision.Messages);
    }

    /// <summary>Takes in what became of an effect, and goes on.</summary>
    public static (Events Events, OutgoingMessages Messages) Report(Run run, DaemonDefinition daemon, EffectId effect, string path, EffectOutcome outcome, DateTimeOffset now)
    {
        if (outcome is EffectOutcome.Nothing || run.Stage(path) is not { Status: StageStatus.Performing, Effect: { } intended } || intended.EffectId != effect) { return ([], []); }

        var decision = new Interpreter(run, daemon, now, path);
        var stage = decision.Find(path);
        switch (outcome)
        {
            case EffectOutcome.Confirmed(var result, var readBack):
                decision.Record(new EffectConfirmed(effect, path, intended.Attempt, CanonicalJson.Of(result.Result), result.Touches, readBack, now));
                decision.Complete(stage, path, new StageOutcome.Success(CanonicalJson.Of(result.Result), 0m, intended.Untrusted), mayRetry: false);
                break;
            case EffectOutcome.Failed(var type, var message):
                decision.Record(new EffectFailed(effect, path, intended.Attempt, type, Short(message), now));
                decision.Fail(stage, path, new StageOutcome.Failure(type, message));
                break;
            case EffectOutcome.Unknown(var detail):
                decision.Record(new EffectUnknown(effect, path, intended.Attempt, Short(detail), now));
                decision.Fail(stage, path, new StageOutcome.Failure(ErrorTypes.EffectUnknown, detail));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(outcome), outcome, "No outcome of an effect.");
        }

        decision.Walk();
        return (decision.Events, decision.Messages);
    }

    /// <summary>The wait before another attempt is over.</summary>
    public static (Events Events, OutgoingMessages Messages) Retry(Run run, DaemonDefinition daemon, string path, int failedAttempt, DateTimeOffset now)
    {
        if (run.Ended is not null || run.Stage(path) is not { Status: StageStatus.Waiting } state || state.Attempt != failedAttempt) { return ([], []); }

        var decision = new Interpreter(run, daemon, now, path);
        decision.Ask(decision.Find(path), path, failedAttempt + 1);
        decision.Walk();
        return (decision.Events, decision.Messages);
    }

    /// <summary>Takes in that somebody or the clock stops the run, and goes on.</summary>
    public static (Events Events, OutgoingMessages Messages) Stop(Run run, DaemonDefinition daemon, IRunEvent reason, DateTimeOffset now)
    {
        var decision = new Interpreter(run, daemon, now, null);
        var closing = run.Decided is not null;
        decision.Record(reason);
        decision.Messages.Interrupt(run.Id.Value);
        if (!closing) { decision.ScheduleClosingLimit(); }
        decision.Walk();
        return (decision.Events, decision.Messages);
    }

    private void Record(IRunEvent fact)
    {
        Events.Add(fact);
        Run = Run.Evolve(Run, fact);
    }

    private void Walk()
    {
        while (Run.Ended is null)
        {
            if (Run.Decided is null)
            {
                switch (WalkList(StagePath.Root, daemon.Stages, Run.StopsStages, out var error))
                {
                    case Step.Settled:
                        Decide(RunOutcome.Completed, null);
                        break;
                    case Step.Broken:
                        Decide(RunOutcome.Failed, error);
                        break;
                    case Step.Pending or Step.Stopped:
                        if (Run.Decided is not null) { break; } // the budget ran out on the way
                        GoOnLater();
                        return;
                }
            }
            else if (!Close())
            {
                GoOnLater();
                return;
            }
        }
    }

    private void GoOnLater()
    {
        if (goesOn) { Messages.Add(new ContinueRun(Run.Id)); }
    }

    private void Decide(RunOutcome outcome, StageError? error)
    {
        if (outcome == RunOutcome.Completed && daemon.Finally.Count == 0)
        {
            Complete();
            return;
        }

        if (outcome == RunOutcome.Failed && daemon.OnError.Count == 0 && daemon.Finally.Count == 0)
        {
            FailRun(error!.Type, error.Message, error.Path, error.Undo || daemon.UndoOnFailure);
            return;
        }

        Record(new RunOutcomeDecided(outcome, error?.Type, error?.Message, error?.Path, error is not null && (error.Undo || daemon.UndoOnFailure), now));
        ScheduleClosingLimit();
    }

    private void ScheduleClosingLimit()
    {
        if (daemon.OnError.Count + daemon.Finally.Count > 0) { Messages.After(new CheckDeadline(Run.Id, Closing: true), ClosingLimit); }
    }

    /// <summary>Stops what is under way, then <c>on_error</c>, then <c>finally</c>, then the end.</summary>
    /// <returns>False while something is under way.</returns>
    private bool Close()
    {
        if (Run.StopsStages && WalkList(StagePath.Root, daemon.Stages, true, out _) == Step.Pending) { return false; }

        var decided = Run.Decided!;
        if (decided.Outcome is RunOutcome.Failed or RunOutcome.TimedOut
            && WalkList(StagePath.DaemonOnError, daemon.OnError, Run.StopsClosing, out _) == Step.Pending)
        {
            return false;
        }

        StageError? failed = null;
        switch (WalkList(StagePath.DaemonFinally, daemon.Finally, Run.StopsClosing, out var error))
        {
            case Step.Pending: return false;
            case Step.Broken: failed = error; break;
            case Step.Settled or Step.Stopped: break;
        }

        switch (decided.Outcome)
        {
            case RunOutcome.Completed when failed is null: Complete(); break;
            case RunOutcome.Completed: FailRun(failed.Type, failed.Message, failed.Path, failed.Undo || daemon.UndoOnFailure); break;
            case RunOutcome.Failed: FailRun(decided.ErrorType!, decided.Message!, decided.Path, decided.Undo || daemon.UndoOnFailure); break;
            case RunOutcome.TimedOut: FailRun(decided.ErrorType!, decided.Message!, decided.Path, daemon.UndoOnFailure); break;
            case RunOutcome.Cancelled: Record(new RunCancelled(Run.SpentCredits, now)); break;
        }

        return true;
    }

    private void Complete()
    {
        var names = new RunNames(Run, StagePath.Root, now);
        var outputs = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var (name, output) in daemon.Outputs)
        {
            try
            {
                var value = CanonicalJson.Of(output.Value.Evaluate(names));
                if (output.Schema is { } schema && SchemaCheck.FirstError(output, schema, value) is { } wrong)
                {
                    FailRun(ErrorTypes.Schema, $"The output '{name}' does not fit its schema: {wrong}", null, daemon.UndoOnFailure);
                    return;
                }

                outputs.Add(name, value);
            }
            catch (ExpressionException wrong)
            {
                FailRun(ErrorTypes.Expression, $"The output '{name}': {wrong.Message}", null, daemon.UndoOnFailure);
                return;
            }
        }

        Record(new RunCompleted(outputs, Run.SpentCredits, names.Untrusted, now));
    }

    private void FailRun(string type, string message, string? path, bool undo)
    {
        Record(new RunFailed(type, Short(message), path, Run.SpentCredits, undo, now));

        if (undo) { Messages.Add(new RequestUndo(UndoId.OnFailureOf(Run.Id), new UndoSelection { Run = Run.Id, Compensations = Run.Started.Approvals.Contains("compensate") ? int.MaxValue : 0 }, Run.Started.StartedBy)); }
    }

    private Step WalkList(string block, IReadOnlyList<Stage> stages, bool stop, out StageError? error)
    {
        error = null;
        while (true)
        {
            var at = Run.Block(block).Settled;
            if (at >= stages.Count) { return Step.Settled; }

            var step = WalkStage(stages[at], StagePath.Child(block, stages[at].Id), stop, out error);
            if (step != Step.Settled) { return step; }
        }
    }

    private Step WalkStage(Stage stage, string path, bool stop, out StageError? error)
    {
        error = null;
        while (true)
        {
            var state = Run.Stage(path);
            if (state is null)
            {
                if (stop) { return Step.Stopped; }
                if (Events.Count >= MaxEventsPerDecision)
                {
                    goesOn = true;
                    return Step.Pending;
                }

                BeginStage(stage, path);
                if (Run.Stage(path) is null) { return Step.Pending; } // the budget ran out
                continue;
            }

            switch (state.Status)
            {
                case StageStatus.Success or StageStatus.Fallback or StageStatus.Skipped or StageStatus.Failed:
                    return Step.Settled;
                case StageStatus.Cancelled:
                    return Step.Stopped;
                case StageStatus.Broken:
                    error = state.Error!;
                    return Step.Broken;
                case StageStatus.Performing:
                    return Step.Pending;
                case StageStatus.Running or StageStatus.Waiting:
                    if (!stop) { return Step.Pending; }
                    Cancel(path, state);
                    return Step.Stopped;
                case StageStatus.Performed:
                    throw new InvalidOperationException($"{path} of run {Run.Id} was performed and not completed.");
                case StageStatus.FallingBack:
                    switch (WalkList(StagePath.Fallback(path), stage.Common.Fallback, stop, out var second))
                    {
                        case Step.Pending: return Step.Pending;
                        case Step.Settled: Settle(stage, path, StagePath.Fallback(path), CompletedBy.Fallback); break;
                        case Step.Broken: Pass(stage, path, second!, afterFallback: true, afterOnError: false); break;
                        case Step.Stopped: Cancel(path, state); break;
                    }

                    break;
                case StageStatus.Handling:
                    switch (WalkList(StagePath.OnError(path), stage.Common.OnError.Stages, stop, out var third))
                    {
                        case Step.Pending: return Step.Pending;
                        case Step.Settled: Settle(stage, path, StagePath.OnError(path), CompletedBy.OnError); break;
                        case Step.Broken: Pass(stage, path, third!, afterFallback: true, afterOnError: true); break;
                        case Step.Stopped: Cancel(path, state); break;
                    }

                    break;
                case StageStatus.Open when stage is ForeachStage list:
                    if (!WalkForeach(list, path, stop)) { return Step.Pending; }
                    break;
                case StageStatus.Open:
                    switch (WalkList(path, BranchOf(stage, state.Branch), stop, out var inner))
                    {
                        case Step.Pending: return Step.Pending;
                        case Step.Settled: Settle(stage, path, path, CompletedBy.Itself); break;
                        case Step.Broken: Pass(stage, path, inner!, afterFallback: false, afterOnError: false); break;
                        case Step.Stopped: Cancel(path, state); break;
                    }

                    break;
            }
        }
    }

    private static IReadOnlyList<Stage> BranchOf(Stage stage, int branch) => stage switch
    {
        IfStage choice => branch == 0 ? choice.Then : choice.Else,
        SwitchStage choice => choice.Cases[branch].Do,
        _ => throw new ArgumentOutOfRangeException(nameof(stage), stage.GetType().Name, "This kind of stage has no branches."),
    };

    private void BeginStage(Stage stage, string path)
    {
        var names = RunNames.Of(Run, path, now);
        try
        {
            if (stage.Common.Needs.FirstOrDefault(need => !IsMet(path, need)) is { } missing)
            {
                Record(new StageSkipped(path, $"It needs '{missing}', which did not succeed.", stage.Common.Output?.Name, now));
                return;
            }

            if (stage is not IfStage && stage.Common.If is { } condition && !condition.EvaluateCondition(names))
            {
                Record(new StageSkipped(path, $"Its condition does not hold: {Short(condition.Text)}", stage.Common.Output?.Name, now));
                return;
            }

            Begin(stage, path, names);
        }
        catch (ExpressionException wrong)
        {
            Fail(stage, path, new StageOutcome.Failure(ErrorTypes.Expression, wrong.Message));
        }
    }

    private bool IsMet(string path, string need)
    {
        for (var block = StagePath.BlockOf(path); ; block = StagePath.BlockOf(block))
        {
            if (Run.Stage(StagePath.Child(block, need)) is { } state) { return state.Status is StageStatus.Success or StageStatus.Fallback; }
            if (block.Length == 0) { return false; }
        }
    }

    private void Begin(Stage stage, string path, RunNames names)
    {
        var binds = stage.Common.Output?.Name;
        switch (stage)
        {
            case AgentStage or ScriptStage or ToolStage:
                Ask(stage, path, 1);
                break;
            case SetStage set:
                var values = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
                foreach (var (name, template) in set.Values) { values.Add(name, CanonicalJson.Of(template.Evaluate(names))); }
                Record(new VariablesSet(path, values, binds, names.Untrusted, now));
                break;
            case EmitStage emit:
                JsonElement? data = emit.Data is null ? null : CanonicalJson.Of(emit.Data.Evaluate(names));
                Record(new DomainEventEmitted(path, emit.Event, data, binds, names.Untrusted, now));
                break;
            case RaiseStage raise:
                var message = raise.Message?.Evaluate(names);
                Fail(stage, path, new StageOutcome.Failure(raise.Error, message is { ValueKind: JsonValueKind.String } text ? text.GetString()! : message?.GetRawText() ?? raise.Error, Final: true));
                break;
            case IfStage choice:
                var holds = choice.Common.If is null || choice.Common.If.EvaluateCondition(names);
                Record(new BranchTaken(path, holds ? "then" : "else", holds ? 0 : 1, now));
                break;
            case SwitchStage choice:
                var index = choice.Cases.ToList().FindIndex(c => c.When is null || c.When.EvaluateCondition(names));
                Record(index < 0
                    ? new StageSkipped(path, "No case holds.", binds, now)
                    : new BranchTaken(path, choice.Cases[index].When is null ? "default" : FormattableString.Invariant($"case {index + 1}"), index, now));
                break;
            case ForeachStage list:
                Expand(list, path, names);
                break;
            case UnsupportedStage other:
                Fail(stage, path, new StageOutcome.Failure(ErrorTypes.Unsupported, $"This version does not run stages of kind '{other.Kind}'."));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(stage), stage.GetType().Name, "No kind of stage.");
        }
    }

    private void Expand(ForeachStage list, string path, RunNames names)
    {
        var items = CanonicalJson.Of(list.Items.Evaluate(names));
        if (items.ValueKind != JsonValueKind.Array)
        {
            Fail(list, path, new StageOutcome.Failure(ErrorTypes.Expression, $"foreach wants a list, '{Short(list.Items.Text)}' is {items.ValueKind.ToString().ToLowerInvariant()}."));
        }
        else if (items.GetArrayLength() > MaxItems)
        {
            Fail(list, path, new StageOutcome.Failure(ErrorTypes.TooLarge, FormattableString.Invariant($"foreach takes at most {MaxItems} items, here are {items.GetArrayLength()}.")));
        }
        else
        {
            Record(new ForeachExpanded(path, [.. items.EnumerateArray()], list.As, list.Index, names.Untrusted, now));
        }
    }

    /// <returns>False while items are under way.</returns>
    private bool WalkForeach(ForeachStage stage, string path, bool stop)
    {
        ForeachState List() => Run.Stage(path)!.Foreach!;

        // Items do not touch each other: after an answer only the item that it belongs to has anything new.
        var own = touched is not null && !stop ? List().Active.FirstOrDefault(i => StagePath.IsWithin(touched, StagePath.Item(path, i)), -1) : -1;
        if (own >= 0) { WalkItem(stage, path, own, false); }
        else
        {
            foreach (var index in List().Active) { WalkItem(stage, path, index, stop || List().Failure is not null); }
        }

        if (!stop && Run.Stops(path)) { return false; } // the budget ran out on the way

        if (stop || List().Failure is not null)
        {
            var pending = false;
            foreach (var index in List().Active) { pending |= WalkItem(stage, path, index, true); }
            if (pending) { return false; }

            if (List().Failure is { } failure) { Pass(stage, path, failure, afterFallback: false, afterOnError: false); }
            else { Cancel(path, Run.Stage(path)!); }
            return true;
        }

        var most = Math.Clamp(stage.Parallelism, 1, MaxParallelism);
        while (List() is { Failure: null } list && list.Active.Count < most && list.Next < list.Items.Length)
        {
            if (Events.Count >= MaxEventsPerDecision)
            {
                goesOn = true;
                return false;
            }

            WalkItem(stage, path, list.Next, false);
            if (Run.Stops(path)) { return false; }
            if (List().Next == list.Next) { return false; }
        }

        var after = List();
        if (after.Failure is not null) { return WalkForeach(stage, path, stop); }
        if (after.Active.Count > 0 || after.Next < after.Items.Length) { return false; }

        var results = new List<JsonElement>(after.Items.Length);
        var untrusted = false;
        for (var i = 0; i < after.Items.Length; i++)
        {
            var result = after.Results[i];
            untrusted |= result.Untrusted;
            if (result.Error is null) { results.Add(result.Output ?? CanonicalJson.Null); }
            else if (stage.OnItemError == OnItemError.Collect)
            {
                results.Add(CanonicalJson.Object([new("error", RunNames.ErrorValue(result.Error)), new("item", after.Items[i])]));
                untrusted |= Run.Stage(path)!.Untrusted;
            }
        }

        Complete(stage, path, new StageOutcome.Success(CanonicalJson.List(results), 0m, untrusted), mayRetry: false);
        return true;
    }

    /// <returns>True while it is under way.</returns>
    private bool WalkItem(ForeachStage stage, string path, int index, bool stop)
    {
        var item = StagePath.Item(path, index);
        switch (WalkList(item, stage.Do, stop, out var error))
        {
            case Step.Pending:
                return true;
            case Step.Settled:
                Record(new ItemCompleted(item, now));
                return false;
            case Step.Broken when error!.Undo || stage.OnItemError == OnItemError.Fail:
                Record(new ItemFailed(item, error.Type, error.Message, ItemResponse.Fail, error.Undo, now));
                return false;
            case Step.Broken:
                Record(new ItemFailed(item, error.Type, error.Message, stage.OnItemError == OnItemError.Collect ? ItemResponse.Collect : ItemResponse.Skip, false, now));
                return false;
            case Step.Stopped:
                return false;
            default:
                throw new ArgumentOutOfRangeException(nameof(index), index, "No step.");
        }
    }

    /// <summary>Sends out an attempt at an agent, script or tool stage, if what it may cost is there.</summary>
    private void Ask(Stage stage, string path, int attempt)
    {
        StageWork work;
        try { work = StageWork.Of(Run, daemon, stage, path, now); }
        catch (ExpressionException wrong)
        {
            Fail(stage, path, new StageOutcome.Failure(ErrorTypes.Expression, wrong.Message));
            return;
        }

        if (work.Refusal is { } refusal)
        {
            Fail(stage, path, new StageOutcome.Failure(ErrorTypes.Denied, refusal));
            return;
        }

        if (Exceeds(stage, path, work) is { } limit)
        {
            // While the run closes there is nothing left to stop but this stage.
            if (limit.StageOnly || Run.Decided is not null)
            {
                Fail(stage, path, new StageOutcome.Failure(ErrorTypes.Budget, FormattableString.Invariant($"The budget of {limit.Event.Kind} is used up: {limit.Event.Wanted} wanted, {limit.Event.Available} left.")));
                return;
            }

            Record(limit.Event);
            Messages.Interrupt(Run.Id.Value);
            ScheduleClosingLimit();
            return;
        }

        Record(new StageStarted(path, work.Kind, attempt, now));
        if (work.EstimateCredits > 0m) { Record(new BudgetReserved(path, attempt, work.EstimateCredits, now)); }
        Messages.Add(new ExecuteStage(Run.Id, path, attempt));
    }

    private (BudgetExceeded Event, bool StageOnly)? Exceeds(Stage stage, string path, StageWork work)
    {
        var budget = Run.Started.Budget;
        if (budget.Credits is { } credits && work.EstimateCredits > 0m && work.EstimateCredits > credits - Run.SpentCredits - Run.ReservedCredits)
        {
            return (new BudgetExceeded(path, "credits", work.EstimateCredits, credits - Run.SpentCredits - Run.ReservedCredits, now), false);
        }

        if (budget.Tokens is { } tokens && stage is AgentStage && Run.Tokens >= tokens) { return (new BudgetExceeded(path, "tokens", 1, tokens - Run.Tokens, now), false); }
        if (budget.ToolCalls is { } calls && stage is ToolStage && Run.ToolCalls >= calls) { return (new BudgetExceeded(path, "tool_calls", 1, calls - Run.ToolCalls, now), false); }

        var spent = Run.Stage(path)?.CostCredits ?? 0m;
        return stage.Common.Budget is { } own && RunBudget.CreditsOf(own, Run.Started.PriceBook) is { } most && work.EstimateCredits > most - spent
            ? (new BudgetExceeded(path, "credits", work.EstimateCredits, most - spent, now), true)
            : null;
    }

    private void Take(Stage stage, string path, StageState state, StageOutcome outcome)
    {
        switch (outcome)
        {
            case StageOutcome.Success success:
                Complete(stage, path, success, mayRetry: true);
                break;
            case StageOutcome.Failure failure:
                Fail(stage, path, failure);
                break;
            case StageOutcome.Planned planned:
                var arguments = CanonicalJson.Of(planned.Arguments);
                var intended = new EffectIntended(
                    EffectId.Of(Run.Id, path, state.Attempt), path, state.Attempt, planned.Capability, planned.Version, planned.Class, planned.Kind, planned.IdempotencyKey,
                    arguments, ContentHash.Of(arguments), planned.Plan.Touches, planned.Plan.Inverse, planned.Untrusted, now);
                Record(intended);
                Messages.Add(new PerformEffect(Run.Id, path, intended.EffectId));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(outcome), outcome, "No outcome of a stage.");
        }
    }

    /// <summary>Reshapes and checks what was answered.</summary>
    private void Complete(Stage stage, string path, StageOutcome.Success success, bool mayRetry)
    {
        var output = success.Result;
        var untrusted = success.Untrusted;
        var binding = stage.Common.Output;
        if (binding?.As is { } reshape)
        {
            var names = RunNames.Of(Run, path, now, new Dictionary<string, ScopeValue> { ["output"] = new(success.Result, success.Untrusted) });
            try { output = CanonicalJson.Of(reshape.Evaluate(names)); }
            catch (ExpressionException wrong)
            {
                Fail(stage, path, new StageOutcome.Failure(ErrorTypes.Expression, $"output.as: {wrong.Message}", success.CostCredits, success.Usage));
                return;
            }

            untrusted |= names.Untrusted;
        }

        if (binding?.Schema is { } schema && SchemaCheck.FirstError(binding, schema, output) is { } invalid)
        {
            var raw = mayRetry && binding.OnInvalid == OnInvalid.Repair ? success.Result : (JsonElement?)null;
            Fail(stage, path, new StageOutcome.Failure(
                ErrorTypes.Schema, $"The output does not fit its schema: {invalid}", success.CostCredits, success.Usage, Final: !mayRetry || binding.OnInvalid == OnInvalid.Fail, raw));
            return;
        }

        var attempt = Run.Stage(path)?.Attempt ?? 0;
        Record(new StageCompleted(
            path, attempt, output, binding?.Name, success.CostCredits, untrusted, now, CompletedBy.Itself, success.Usage, binding?.As is null ? null : success.Result, success.Touches));
        SettleBudget(path, success.CostCredits);
    }

    /// <summary>A stage that holds stages has their last output.</summary>
    private void Settle(Stage stage, string path, string block, CompletedBy by)
    {
        var last = Run.Block(block);
        if (by != CompletedBy.OnError && stage.Common.Output is { Schema: { } schema } binding && SchemaCheck.FirstError(binding, schema, last.LastOutput ?? CanonicalJson.Null) is { } invalid)
        {
            Pass(stage, path, new StageError(ErrorTypes.Schema, $"The output does not fit its schema: {invalid}", path, false), afterFallback: by == CompletedBy.Fallback, afterOnError: false);
            return;
        }

        Record(new StageCompleted(path, Run.Stage(path)!.Attempt, last.LastOutput, stage.Common.Output?.Name, 0m, last.LastUntrusted, now, by));
    }

    private void Cancel(string path, StageState state)
    {
        Record(new StageCancelled(path, Run.Decided?.Outcome switch
        {
            RunOutcome.Cancelled => "The run was cancelled.",
            RunOutcome.TimedOut => "The run is out of time.",
            RunOutcome.Failed when Run.Decided.ErrorType == ErrorTypes.Budget => "The run is out of budget.",
            RunOutcome.Failed or RunOutcome.Completed => "The run is ending.",
            null => "An item beside it failed.",
        }, now));
        if (state.ReservedCredits > 0m) { Record(new BudgetSettled(path, state.Attempt, state.ReservedCredits, 0m, now)); }
    }

    private void SettleBudget(string path, decimal cost)
    {
        if (Run.Stage(path) is { } state && (state.ReservedCredits > 0m || cost > 0m)) { Record(new BudgetSettled(path, state.Attempt, state.ReservedCredits, cost, now)); }
    }

    private void Fail(Stage stage, string path, StageOutcome.Failure failure)
    {
        var state = Run.Stage(path);
        var attempt = state?.Attempt ?? 0;
        var retryAfter = attempt > 0 && !failure.Final && !Run.Stops(path) ? RetryAfter(stage, path, state!, failure) : null;
        Fail(stage, path, failure, retryAfter is not null ? FailureResponse.Retry : ResponseTo(stage, path, afterFallback: false, afterOnError: false), retryAfter);
        if (retryAfter is { } delay) { Messages.After(new RetryStage(Run.Id, path, attempt), delay); }
        SettleBudget(path, failure.CostCredits);
    }

    /// <summary>An error of a stage within reaches the stage around it.</summary>
    private void Pass(Stage stage, string path, StageError error, bool afterFallback, bool afterOnError) =>
        Fail(stage, path, new StageOutcome.Failure(error.Type, error.Message), error.Undo ? FailureResponse.Undo : ResponseTo(stage, path, afterFallback, afterOnError), null);

    private void Fail(Stage stage, string path, StageOutcome.Failure failure, FailureResponse response, TimeSpan? retryAfter) =>
        Record(new StageFailed(
            path, Run.Stage(path)?.Attempt ?? 0, failure.Type, Short(failure.Message), response, retryAfter,
            response == FailureResponse.Continue ? stage.Common.Output?.Name : null, failure.CostCredits, now, failure.Usage, failure.Raw));

    private FailureResponse ResponseTo(Stage stage, string path, bool afterFallback, bool afterOnError) => 0 switch
    {
        // What stops is not recovered from.
        _ when Run.Stops(path) => FailureResponse.Fail,
        _ when !afterFallback && stage.Common.Fallback.Count > 0 => FailureResponse.Fallback,
        _ when afterOnError => FailureResponse.Fail,
        _ => stage.Common.OnError.Kind switch
        {
            OnErrorKind.Fail => FailureResponse.Fail,
            OnErrorKind.Continue => FailureResponse.Continue,
            OnErrorKind.Undo => FailureResponse.Undo,
            OnErrorKind.Stages => stage.Common.OnError.Stages.Count > 0 ? FailureResponse.Handle : FailureResponse.Continue,
        },
    };

    /// <returns>Null: this was the last attempt.</returns>
    private TimeSpan? RetryAfter(Stage stage, string path, StageState state, StageOutcome.Failure failure)
    {
        var rule = stage.Common.Retry;
        var invalid = failure.Type == ErrorTypes.Schema && stage.Common.Output?.OnInvalid is OnInvalid.Retry or OnInvalid.Repair;
        var attempts = invalid && rule.Attempts <= 1 ? AttemptsOnInvalid : rule.Attempts;
        if (state.Attempt >= attempts || !ErrorTypes.MayPass(failure.Type)) { return null; }
        if (!invalid && !rule.On.Contains("any") && !rule.On.Contains(failure.Type)) { return null; }
        if (rule.When is { } when)
        {
            var error = new StageError(failure.Type, failure.Message, path, false);
            try
            {
                if (!when.EvaluateCondition(RunNames.Of(Run, path, now, new Dictionary<string, ScopeValue> { ["error"] = new(RunNames.ErrorValue(error), true) }))) { return null; }
            }
            catch (ExpressionException)
            {
                return null; // a rule that cannot be read does not hold
            }
        }

        var delay = RetrySchedule.DelayAfter(rule, Run.Id, path, state.Attempt);
        var elapsed = now - state.StartedAt + delay;
        return (rule.MaxElapsed is { } most && elapsed > most) || (stage.Common.Timeout.Total is { } total && elapsed > total) ? null : delay;
    }

    private Stage Find(string path) => StageTree.Find(daemon, path) ?? throw new ArgumentException($"{path} is no stage of '{daemon.Name}' {daemon.Hash}.", nameof(path));

    private static (decimal, StageUsage?) CostOf(StageOutcome outcome) => outcome switch
    {
        StageOutcome.Success s => (s.CostCredits, s.Usage),
        StageOutcome.Failure f => (f.CostCredits, f.Usage),
        _ => (0m, null),
    };

    private static string Short(string text)
    {
        text = CanonicalJson.Clean(text);
        return text.Length <= MaxMessageCharacters ? text : CanonicalJson.Clean(text[..MaxMessageCharacters]) + "...";
    }
}
