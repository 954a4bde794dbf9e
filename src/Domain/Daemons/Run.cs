using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Platform.Domain.Capabilities;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>A run as its events tell it. Holds what decisions need; items that are done leave only their result.</summary>
[Stream<RunId>("run")]
public sealed record Run
{
    public required RunStarted Started { get; init; }

    public RunId Id => Started.RunId;

    /// <summary>The names visible in it: the daemon's own, and one for each item under way.</summary>
    public ImmutableDictionary<string, RunScope> Scopes { get; init; } = ImmutableDictionary<string, RunScope>.Empty.Add(StagePath.Root, RunScope.Empty);

    public decimal SpentCredits { get; init; }

    public decimal ReservedCredits { get; init; }

    public long Tokens { get; init; }

    public int ToolCalls { get; init; }

    /// <summary>How it will end, once that is decided.</summary>
    public DecidedEnd? Decided { get; init; }

    /// <summary>The daemon's own stages are being stopped: cancelled, out of time, out of budget.</summary>
    public bool StopsStages { get; init; }

    /// <summary>Its <c>on_error</c> and <c>finally</c> are being stopped too.</summary>
    public bool StopsClosing { get; init; }

    /// <summary>Whether the stages of that path's part of the daemon (its own, or those that close it) are being stopped.</summary>
    public bool Stops(string path) => path.StartsWith('$') ? StopsClosing : StopsStages;

    /// <summary>Null while it runs.</summary>
    public RunOutcome? Ended { get; init; }

    /// <summary>The state of a stage instance; null before it began, and after the item around it was done.</summary>
    public StageState? Stage(string path) => Scopes.TryGetValue(StagePath.ScopeOf(path), out var scope) ? scope.Stages.GetValueOrDefault(path) : null;

    public BlockState Block(string block) =>
        Scopes.TryGetValue(ScopeOfBlock(block), out var scope) ? scope.Blocks.GetValueOrDefault(block, BlockState.Empty) : BlockState.Empty;

    public static Run Create(RunStarted started) => new() { Started = started };

    public Run Apply(StagesRecalled recalled)
    {
        var scope = RunScope.Empty with
        {
            Values = recalled.Values.ToImmutableDictionary(v => v.Name, v => new ScopeValue(v.Value, v.Untrusted)),
            Stages = recalled.Stages.ToImmutableDictionary(s => s.Path, s => new StageState(s.Status, s.Attempt, recalled.At, recalled.At)
            {
                Output = s.Output,
                Untrusted = s.Untrusted,
                Error = s.ErrorType is null ? null : new StageError(s.ErrorType, s.Message ?? "", s.Path, false),
            }),
            Blocks = ImmutableDictionary<string, BlockState>.Empty.Add(StagePath.Root, new BlockState(recalled.Settled, recalled.LastOutput, recalled.LastUntrusted)),
        };
        return this with { Scopes = Scopes.SetItem(StagePath.Root, scope) };
    }

    public Run Apply(StageStarted started)
    {
        var before = Stage(started.Path);
        return With(started.Path, (before ?? new StageState(StageStatus.Running, 0, started.At, started.At)) with
        {
            Status = StageStatus.Running,
            Attempt = started.Attempt,
            AttemptStartedAt = started.At,
            Effect = null,
        }) with
        {
            ToolCalls = started.Kind == "tool" ? ToolCalls + 1 : ToolCalls,
        };
    }

    public Run Apply(StageCompleted completed) =>
        Settle(
            completed.Path,
            (Stage(completed.Path) ?? New(completed.At)) with
            {
                Status = completed.By == CompletedBy.Fallback ? StageStatus.Fallback : completed.By == CompletedBy.OnError ? StageStatus.Failed : StageStatus.Success,
                Output = completed.Output,
                Untrusted = completed.Untrusted,
                Raw = null,
                Effect = null,
                Foreach = null,
            },
            completed.Output,
            completed.Untrusted,
            completed.Binds) with
        {
            Tokens = Tokens + TokensOf(completed.Usage),
        };

    public Run Apply(StageFailed failed)
    {
        var state = (Stage(failed.Path) ?? New(failed.At)) with
        {
            Error = new StageError(failed.ErrorType, failed.Message, failed.Path, failed.Response == FailureResponse.Undo),
            Raw = failed.Raw,
            Effect = null,
        };
        var counted = this with { Tokens = Tokens + TokensOf(failed.Usage) };
        return failed.Response switch
        {
            FailureResponse.Fail or FailureResponse.Undo => counted.With(failed.Path, state with { Status = StageStatus.Broken, Foreach = null }),
            FailureResponse.Retry => counted.With(failed.Path, state with { Status = StageStatus.Waiting }),
            FailureResponse.Fallback => counted.With(failed.Path, state with { Status = StageStatus.FallingBack, Foreach = null }),
            FailureResponse.Handle => counted.With(failed.Path, state with { Status = StageStatus.Handling, Foreach = null }),
            FailureResponse.Continue => counted.Settle(failed.Path, state with { Status = StageStatus.Failed, Foreach = null }, null, false, failed.Binds),
        };
    }

    public Run Apply(StageSkipped skipped) =>
        Settle(skipped.Path, New(skipped.At) with { Status = StageStatus.Skipped }, null, false, skipped.Binds, isOutput: false);

    public Run Apply(StageCancelled cancelled) =>
        With(cancelled.Path, (Stage(cancelled.Path) ?? New(cancelled.At)) with { Status = StageStatus.Cancelled, Foreach = null });

    public Run Apply(StageResultDropped dropped)
    {
        var run = Stage(dropped.Path) is { } state ? With(dropped.Path, state with { ResultDropped = true }) : this;
        return run with { SpentCredits = SpentCredits + dropped.CostCredits, Tokens = Tokens + TokensOf(dropped.Usage) };
    }

    public Run Apply(BranchTaken taken) =>
        With(taken.Path, New(taken.At) with { Status = StageStatus.Open, Branch = taken.Index });

    public Run Apply(ForeachExpanded expanded) =>
        With(expanded.Path, New(expanded.At) with
        {
            Status = StageStatus.Open,
            Untrusted = expanded.Untrusted,
            Foreach = new ForeachState([.. expanded.Items], expanded.As, expanded.Index),
        });

    public Run Apply(ItemCompleted completed)
    {
        var last = Block(completed.Path);
        return EndItem(completed.Path, new ItemResult(last.LastOutput, null, last.LastUntrusted));
    }

    public Run Apply(ItemFailed failed)
    {
        var error = new StageError(failed.ErrorType, failed.Message, failed.Path, failed.Undo);
        var untrusted = Scopes.TryGetValue(failed.Path, out var scope) && scope.Stages.Values.Any(s => s.Untrusted);
        var ended = EndItem(failed.Path, new ItemResult(null, error, untrusted));
        if (failed.Response != ItemResponse.Fail) { return ended; }

        var (path, _) = StagePath.SplitItem(failed.Path);
        var state = ended.Stage(path)!;
        return ended.With(path, state with { Foreach = state.Foreach! with { Failure = error } });
    }

    public Run Apply(VariablesSet set)
    {
        var run = Settle(set.Path, New(set.At) with { Status = StageStatus.Success, Untrusted = set.Untrusted }, null, set.Untrusted, set.Binds, isOutput: false);
        var key = StagePath.ScopeOf(set.Path);
        var scope = run.Scopes[key];
        var values = scope.Values.SetItems(set.Values.Select(v => KeyValuePair.Create(v.Key, new ScopeValue(v.Value, set.Untrusted))));
        return run with { Scopes = run.Scopes.SetItem(key, scope with { Values = values }) };
    }

    public Run Apply(DomainEventEmitted emitted) =>
        Settle(emitted.Path, New(emitted.At) with { Status = StageStatus.Success, Output = emitted.Data, Untrusted = emitted.Untrusted }, emitted.Data, emitted.Untrusted, emitted.Binds);

    public Run Apply(BudgetReserved reserved)
    {
        var state = Stage(reserved.Path)!;
        return With(reserved.Path, state with { ReservedCredits = reserved.Credits }) with { ReservedCredits = ReservedCredits + reserved.Credits };
    }

    public Run Apply(BudgetSettled settled)
    {
        var run = this with { ReservedCredits = ReservedCredits - settled.ReservedCredits, SpentCredits = SpentCredits + settled.CostCredits };
        return run.Stage(settled.Path) is { } state
            ? run.With(settled.Path, state with { ReservedCredits = 0m, CostCredits = state.CostCredits + settled.CostCredits })
            : run;
    }

    public Run Apply(BudgetExceeded exceeded) => this with
    {
        StopsStages = true,
        Decided = new DecidedEnd(RunOutcome.Failed, ErrorTypes.Budget, FormattableString.Invariant($"The budget of {exceeded.Kind} is used up: {exceeded.Wanted} wanted, {exceeded.Available} left."), exceeded.Path, false),
    };

    public Run Apply(EffectIntended intended)
    {
        var state = Stage(intended.Path)!;
        return With(intended.Path, state with { Status = StageStatus.Performing, Effect = intended });
    }

    public Run Apply(EffectConfirmed confirmed) => With(confirmed.Path, Stage(confirmed.Path)! with { Status = StageStatus.Performed });

    public Run Apply(EffectFailed failed) => With(failed.Path, Stage(failed.Path)! with { Status = StageStatus.Running, Effect = null });

    public Run Apply(EffectUnknown unknown) => With(unknown.Path, Stage(unknown.Path)! with { Status = StageStatus.Running, Effect = null });

    public Run Apply(RunOutcomeDecided decided) => this with { Decided = new DecidedEnd(decided.Outcome, decided.ErrorType, decided.Message, decided.Path, decided.Undo) };

    // A second request, or one that comes while the run is closing, stops its closing stages too.
    public Run Apply(RunCancelRequested requested) => this with
    {
        Decided = Decided is null or { Outcome: RunOutcome.Completed } ? new DecidedEnd(RunOutcome.Cancelled, ErrorTypes.Cancelled, requested.Reason, null, false) : Decided,
        StopsStages = true,
        StopsClosing = Decided is not null,
    };

    public Run Apply(RunTimedOut timedOut) => this with
    {
        Decided = Decided is null or { Outcome: RunOutcome.Completed }
            ? new DecidedEnd(RunOutcome.TimedOut, ErrorTypes.Timeout, FormattableString.Invariant($"The run took longer than {timedOut.Limit}."), null, false)
            : Decided,
        StopsStages = true,
        StopsClosing = Decided is not null,
    };

    public Run Apply(RunCompleted completed) => this with { Ended = RunOutcome.Completed };

    public Run Apply(RunFailed failed) => this with { Ended = Decided?.Outcome == RunOutcome.TimedOut ? RunOutcome.TimedOut : RunOutcome.Failed };

    public Run Apply(RunCancelled cancelled) => this with { Ended = RunOutcome.Cancelled };

    /// <summary>The state after one event; what a decision uses to see its own events.</summary>
    public static Run Evolve(Run? run, IRunEvent fact) => fact switch
    {
        RunStarted e => Create(e),
        _ when run is null => throw new ArgumentException($"A run begins with RunStarted, not with {fact.GetType().Name}.", nameof(fact)),
        StagesRecalled e => run.Apply(e),
        StageStarted e => run.Apply(e),
        StageCompleted e => run.Apply(e),
        StageFailed e => run.Apply(e),
        StageSkipped e => run.Apply(e),
        StageCancelled e => run.Apply(e),
        StageResultDropped e => run.Apply(e),
        BranchTaken e => run.Apply(e),
        ForeachExpanded e => run.Apply(e),
        ItemCompleted e => run.Apply(e),
        ItemFailed e => run.Apply(e),
        VariablesSet e => run.Apply(e),
        DomainEventEmitted e => run.Apply(e),
        BudgetReserved e => run.Apply(e),
        BudgetSettled e => run.Apply(e),
        BudgetExceeded e => run.Apply(e),
        EffectIntended e => run.Apply(e),
        EffectConfirmed e => run.Apply(e),
        EffectFailed e => run.Apply(e),
        EffectUnknown e => run.Apply(e),
        RunOutcomeDecided e => run.Apply(e),
        RunCancelRequested e => run.Apply(e),
        RunTimedOut e => run.Apply(e),
        RunCompleted e => run.Apply(e),
        RunFailed e => run.Apply(e),
        RunCancelled e => run.Apply(e),
        _ => throw new ArgumentException($"{fact.GetType().Name} is no event of a run.", nameof(fact)),
    };

    // "each[3]" and "each[3]/check" and "each[3]/draft$fallback" are blocks of the scope "each[3]"; "check" is one of the daemon's own.
    private static string ScopeOfBlock(string block) => block.EndsWith(']') ? block : StagePath.ScopeOf(block);

    private static StageState New(DateTimeOffset at) => new(StageStatus.Open, 0, at, at);

    private static long TokensOf(StageUsage? usage) => usage is null ? 0 : usage.InputTokens + usage.OutputTokens;

    private Run With(string path, StageState state)
    {
        var key = StagePath.ScopeOf(path);
        var run = this;
        if (!Scopes.TryGetValue(key, out var scope))
        {
            run = BeginItem(key);
            scope = RunScope.Empty;
        }

        return run with { Scopes = run.Scopes.SetItem(key, scope with { Stages = scope.Stages.SetItem(path, state) }) };
    }

    /// <summary>The stage is done with: its list goes on, its output has its name.</summary>
    private Run Settle(string path, StageState state, JsonElement? output, bool untrusted, string? binds, bool isOutput = true)
    {
        var run = With(path, state);
        var key = StagePath.ScopeOf(path);
        var scope = run.Scopes[key];
        var block = StagePath.BlockOf(path);
        var before = scope.Blocks.GetValueOrDefault(block, BlockState.Empty);
        var after = isOutput ? new BlockState(before.Settled + 1, output, untrusted) : before with { Settled = before.Settled + 1 };
        scope = scope with
        {
            Blocks = scope.Blocks.SetItem(block, after),
            Values = binds is null ? scope.Values : scope.Values.SetItem(binds, new ScopeValue(output ?? CanonicalJson.Null, untrusted)),
        };
        return run with { Scopes = run.Scopes.SetItem(key, scope) };
    }

    /// <summary>The first event of an item begins it.</summary>
    private Run BeginItem(string item)
    {
        var (path, index) = StagePath.SplitItem(item);
        var state = Stage(path) ?? throw new ArgumentException($"{item} is an item of nothing.", nameof(item));
        var list = state.Foreach ?? throw new ArgumentException($"{item} is an item of a foreach that is done.", nameof(item));
        return With(path, state with { Foreach = list with { Active = list.Active.Add(index), Next = Math.Max(list.Next, index + 1) } });
    }

    private Run EndItem(string item, ItemResult result)
    {
        var run = Scopes.ContainsKey(item) ? this : BeginItem(item);
        var (path, index) = StagePath.SplitItem(item);
        var state = run.Stage(path)!;
        var list = state.Foreach!;
        return (run with { Scopes = run.Scopes.Remove(item) }).With(path, state with
        {
            Foreach = list with { Active = list.Active.Remove(index), Results = list.Results.Add(index, result) },
        });
    }
}

/// <summary>How a run will end.</summary>
public sealed record DecidedEnd(RunOutcome Outcome, string? ErrorType, string? Message, string? Path, bool Undo);

/// <summary>Names, stages and lists of stages of one scope. Keys of <paramref name="Stages"/> and <paramref name="Blocks"/> are whole paths.</summary>
public sealed record RunScope(
    ImmutableDictionary<string, ScopeValue> Values,
    ImmutableDictionary<string, StageState> Stages,
    ImmutableDictionary<string, BlockState> Blocks)
{
    public static readonly RunScope Empty = new(
        ImmutableDictionary<string, ScopeValue>.Empty, ImmutableDictionary<string, StageState>.Empty, ImmutableDictionary<string, BlockState>.Empty);
}

public sealed record ScopeValue(JsonElement Value, bool Untrusted);

/// <param name="Settled">How many of the list's stages are done with; the next one stands at this place.</param>
/// <param name="LastOutput">Of the last stage that has one.</param>
public sealed record BlockState(int Settled, JsonElement? LastOutput, bool LastUntrusted)
{
    public static readonly BlockState Empty = new(0, null, false);
}

[JsonConverter(typeof(JsonStringEnumConverter<StageStatus>))]
public enum StageStatus
{
    /// <summary>Its message is on the way or being handled.</summary>
    Running,

    /// <summary>For its next attempt.</summary>
    Waiting,

    /// <summary>Its effect is recorded as intended.</summary>
    Performing,

    /// <summary>Its effect is confirmed, and nothing made of it yet.</summary>
    Performed,

    /// <summary>Stages within it run.</summary>
    Open,

    FallingBack,

    /// <summary>Its <c>on_error</c> stages run.</summary>
    Handling,

    Success,
    Fallback,
    Skipped,
    Cancelled,

    /// <summary>Failed, and the run goes on.</summary>
    Failed,

    /// <summary>Failed, and so does what stands around it.</summary>
    Broken,
}

/// <param name="Path">Where it came from.</param>
/// <param name="Undo">No one around may handle it: the run fails and is to be undone.</param>
public sealed record StageError(string Type, string Message, string Path, bool Undo);

public sealed record StageState(StageStatus Status, int Attempt, DateTimeOffset StartedAt, DateTimeOffset AttemptStartedAt)
{
    public JsonElement? Output { get; init; }

    public bool Untrusted { get; init; }

    public StageError? Error { get; init; }

    public decimal ReservedCredits { get; init; }

    public decimal CostCredits { get; init; }

    public int Branch { get; init; }

    public ForeachState? Foreach { get; init; }

    /// <summary>While it is being performed.</summary>
    public EffectIntended? Effect { get; init; }

    /// <summary>The last answer that did not fit, for its repair.</summary>
    public JsonElement? Raw { get; init; }

    /// <summary>It was given up, and its answer came all the same.</summary>
    public bool ResultDropped { get; init; }

    /// <summary>Done with; its list goes on.</summary>
    public bool IsSettled => Status is StageStatus.Success or StageStatus.Fallback or StageStatus.Skipped or StageStatus.Failed;
}

public sealed record ItemResult(JsonElement? Output, StageError? Error, bool Untrusted);

public sealed record ForeachState(ImmutableArray<JsonElement> Items, string As, string? Index)
{
    /// <summary>The first item that has not begun.</summary>
    public int Next { get; init; }

    public ImmutableSortedSet<int> Active { get; init; } = [];

    public ImmutableDictionary<int, ItemResult> Results { get; init; } = ImmutableDictionary<int, ItemResult>.Empty;

    /// <summary>No further item begins, and those under way are stopped.</summary>
    public StageError? Failure { get; init; }
}
