using System.Text.Json;
using System.Text.Json.Serialization;

namespace Platform.Domain.Daemons;

/// <summary>Something that happened in a run. What the interpreter derived carries the moment of what it was derived from, so that a replay derives the same.</summary>
public interface IRunEvent
{
    DateTimeOffset At { get; }
}

/// <summary>An attempt at an agent, script or tool stage began; its message is on the way.</summary>
/// <param name="Attempt">From 1.</param>
public sealed record StageStarted(string Path, string Kind, int Attempt, DateTimeOffset At) : IRunEvent;

/// <summary>What an attempt used.</summary>
public sealed record StageUsage(
    string? Model = null,
    string? Method = null,
    long InputTokens = 0,
    long OutputTokens = 0,
    long CpuMs = 0,
    string? Isolation = null);

[JsonConverter(typeof(JsonStringEnumConverter<CompletedBy>))]
public enum CompletedBy { Itself, Fallback, OnError }

/// <summary>A stage has its output.</summary>
/// <param name="Attempt">0 for a stage that asks nobody.</param>
/// <param name="Output">Null where it has none.</param>
/// <param name="Binds">The name that the output has from now on in the stage's scope.</param>
/// <param name="Untrusted">It was made from content of outside: files, the network, answers over them.</param>
/// <param name="Raw">What was answered, where the stage reshapes it.</param>
/// <param name="Touches">What a stage without effect read.</param>
public sealed record StageCompleted(
    string Path,
    int Attempt,
    JsonElement? Output,
    string? Binds,
    decimal CostCredits,
    bool Untrusted,
    DateTimeOffset At,
    CompletedBy By = CompletedBy.Itself,
    StageUsage? Usage = null,
    JsonElement? Raw = null,
    IReadOnlyList<Capabilities.Touch>? Touches = null) : IRunEvent;

/// <summary>What the run does about a failed stage.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<FailureResponse>))]
public enum FailureResponse
{
    /// <summary>What stands around it fails too.</summary>
    Fail,

    /// <summary>Another attempt, after <c>RetryAfter</c>.</summary>
    Retry,

    /// <summary>The stages of its <c>fallback</c> run.</summary>
    Fallback,

    /// <summary>The run goes on as if it had no output.</summary>
    Continue,

    /// <summary>The stages of its <c>on_error</c> run.</summary>
    Handle,

    /// <summary>The run fails, and what it did is to be undone.</summary>
    Undo,
}

/// <param name="ErrorType">As the daemon format names them (timeout, rate_limit, provider_error, connection, schema, script_exit, conflict), or one of <see cref="ErrorTypes"/>, or as <c>raise</c> names it.</param>
/// <param name="Raw">The answer that did not fit, where the next attempt repairs it.</param>
public sealed record StageFailed(
    string Path,
    int Attempt,
    string ErrorType,
    string Message,
    FailureResponse Response,
    TimeSpan? RetryAfter,
    string? Binds,
    decimal CostCredits,
    DateTimeOffset At,
    StageUsage? Usage = null,
    JsonElement? Raw = null) : IRunEvent;

public sealed record StageSkipped(string Path, string Reason, string? Binds, DateTimeOffset At) : IRunEvent;

/// <summary>A stage in flight is no longer waited for.</summary>
public sealed record StageCancelled(string Path, string Reason, DateTimeOffset At) : IRunEvent;

/// <summary>An answer came after the run had moved on; it cost something all the same.</summary>
public sealed record StageResultDropped(string Path, int Attempt, decimal CostCredits, StageUsage? Usage, DateTimeOffset At) : IRunEvent;

/// <param name="Branch"><c>then</c>, <c>else</c>, or the case's number.</param>
/// <param name="Index">0 then or the first case, 1 else or the second ...</param>
public sealed record BranchTaken(string Path, string Branch, int Index, DateTimeOffset At) : IRunEvent;

/// <param name="Items">The list, as it was.</param>
/// <param name="As">The name of one item within.</param>
/// <param name="Index">The name of its number, from 0.</param>
public sealed record ForeachExpanded(string Path, IReadOnlyList<JsonElement> Items, string As, string? Index, bool Untrusted, DateTimeOffset At) : IRunEvent;

public sealed record ItemCompleted(string Path, DateTimeOffset At) : IRunEvent;

[JsonConverter(typeof(JsonStringEnumConverter<ItemResponse>))]
public enum ItemResponse { Fail, Collect, Skip }

public sealed record ItemFailed(string Path, string ErrorType, string Message, ItemResponse Response, bool Undo, DateTimeOffset At) : IRunEvent;

public sealed record VariablesSet(string Path, IReadOnlyDictionary<string, JsonElement> Values, string? Binds, bool Untrusted, DateTimeOffset At) : IRunEvent;

/// <summary>The daemon said that something happened, for others to hear.</summary>
public sealed record DomainEventEmitted(string Path, string Event, JsonElement? Data, string? Binds, bool Untrusted, DateTimeOffset At) : IRunEvent;

/// <summary>Credits were set aside for an attempt before it was made.</summary>
public sealed record BudgetReserved(string Path, int Attempt, decimal Credits, DateTimeOffset At) : IRunEvent;

/// <summary>The attempt is over: what was set aside is free again, what it cost is spent.</summary>
public sealed record BudgetSettled(string Path, int Attempt, decimal ReservedCredits, decimal CostCredits, DateTimeOffset At) : IRunEvent;

/// <summary>The next attempt would pass the budget: the run stops.</summary>
/// <param name="Kind"><c>credits</c>, <c>tokens</c>, <c>tool_calls</c>.</param>
public sealed record BudgetExceeded(string Path, string Kind, decimal Wanted, decimal Available, DateTimeOffset At) : IRunEvent;

[JsonConverter(typeof(JsonStringEnumConverter<RunOutcome>))]
public enum RunOutcome { Completed, Failed, TimedOut, Cancelled }

/// <summary>How the run will end is decided; its <c>on_error</c> and <c>finally</c> stages come first.</summary>
public sealed record RunOutcomeDecided(RunOutcome Outcome, string? ErrorType, string? Message, string? Path, bool Undo, DateTimeOffset At) : IRunEvent;

/// <param name="Outputs">As the daemon declares them, by name.</param>
public sealed record RunCompleted(IReadOnlyDictionary<string, JsonElement> Outputs, decimal CostCredits, bool Untrusted, DateTimeOffset At) : IRunEvent;

/// <param name="Path">The stage that failed.</param>
/// <param name="Undo">The daemon wants undone what the run did.</param>
public sealed record RunFailed(string ErrorType, string Message, string? Path, decimal CostCredits, bool Undo, DateTimeOffset At) : IRunEvent;

public sealed record RunCancelled(decimal CostCredits, DateTimeOffset At) : IRunEvent;

/// <summary>Error types beside those of the daemon format. None of them is retried: the same would come out.</summary>
public static class ErrorTypes
{
    public const string Timeout = "timeout";
    public const string ProviderError = "provider_error";
    public const string Schema = "schema";
    public const string ScriptExit = "script_exit";

    public const string Expression = "expression";
    public const string Denied = "denied";
    public const string Invalid = "invalid";
    public const string Unsupported = "unsupported";
    public const string Budget = "budget";
    public const string TooLarge = "too_large";
    public const string Cancelled = "cancelled";

    /// <summary>The world matches neither before nor after an effect; a person must look.</summary>
    public const string EffectUnknown = "effect_unknown";

    /// <summary>Whether another attempt can come out differently.</summary>
    public static bool MayPass(string type) =>
        type is not (Expression or Denied or Invalid or Unsupported or Budget or TooLarge or Cancelled or EffectUnknown or "not_found");
}
