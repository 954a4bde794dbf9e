using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Daemons.Format;

/// <summary>A place in a daemon's file, both from 1.</summary>
public readonly record struct SourceLocation(int Line, int Column)
{
    public override string ToString() => $"{Line}:{Column}";
}

/// <summary>A daemon as parsed: what runs. The file's text and its hash are in the run's first event, so a run never changes under its file.</summary>
/// <param name="Hash">SHA-256 of the file's UTF-8 bytes, lower-case hexadecimal.</param>
public sealed record DaemonDefinition(
    string Name,
    string? Version,
    string? Author,
    string? Description,
    string Hash,
    IReadOnlyList<InputDefinition> Inputs,
    IReadOnlyDictionary<string, Template> Vars,
    Budget? Budget,
    Permissions Permissions,
    TimeSpan? Timeout,
    bool UndoOnFailure,
    IReadOnlyList<Stage> Stages,
    IReadOnlyList<Stage> OnError,
    IReadOnlyList<Stage> Finally,
    IReadOnlyDictionary<string, OutputDefinition> Outputs)
{
    /// <summary>Capabilities that the daemon says it cannot do without: names, or <c>files.*</c>.</summary>
    public IReadOnlyList<string> Requires { get; init; } = [];
}

/// <summary>One declared input. Types as in the schema: string, text, integer, number, boolean, enum, date, datetime, email, url, file, object, array, secret ...</summary>
public sealed record InputDefinition(
    string Name,
    string Type,
    string? Description,
    IReadOnlyList<JsonElement> Options,
    JsonElement? Default,
    bool Required,
    JsonElement? Schema,
    long? MaxBytes,
    SourceLocation Location);

/// <summary>A declared output of the daemon.</summary>
public sealed record OutputDefinition(Template Value, JsonElement? Schema, string? Description);

public enum OnExceed { Stop, Ask, Downgrade }

/// <summary>What may be spent. Null: no limit of that kind.</summary>
public sealed record Budget(decimal? Credits, decimal? Usd, long? Tokens, int? ToolCalls, TimeSpan? Wall, OnExceed OnExceed);

/// <summary>What a daemon may touch; what is not declared is refused. Paths and hosts may hold expressions over the inputs.</summary>
/// <param name="Network">Host names; empty: none. <c>*</c>: any.</param>
/// <param name="FilesRead">Roots for reading; writing implies reading.</param>
/// <param name="Capabilities">Names; null: every one that the other permissions allow.</param>
public sealed record Permissions(
    IReadOnlyList<Template> Network,
    IReadOnlyList<Template> FilesRead,
    IReadOnlyList<Template> FilesWrite,
    IReadOnlyList<string> Secrets,
    IReadOnlyList<string>? Capabilities,
    IReadOnlyList<string> Approve)
{
    public static readonly Permissions None = new([], [], [], [], null, []);

    /// <summary>Whether the capabilities name this one, itself or by <c>files.*</c>.</summary>
    public bool Allows(string capability) => Capabilities?.Any(pattern => Names(pattern, capability)) ?? true;

    internal static bool Names(string pattern, string capability) =>
        pattern == capability || (pattern.EndsWith(".*", StringComparison.Ordinal) && capability.StartsWith(pattern[..^1], StringComparison.Ordinal));
}

public enum Backoff { Constant, Linear, Exponential }

/// <summary>When a failed attempt is made again.</summary>
/// <param name="Attempts">In all, the first one included; 1: no retry.</param>
/// <param name="On">Error types as the schema names them (timeout, rate_limit, provider_error, connection, schema, script_exit, conflict, any).</param>
public sealed record RetryRule(int Attempts, TimeSpan Delay, Backoff Backoff, TimeSpan MaxDelay, bool Jitter, TimeSpan? MaxElapsed, IReadOnlyList<string> On, Expression? When)
{
    public static readonly RetryRule Never = new(1, TimeSpan.Zero, Backoff.Constant, TimeSpan.Zero, false, null, ["any"], null);
}

/// <summary>How long one attempt, and all attempts together, may take.</summary>
public sealed record TimeoutRule(TimeSpan? Attempt, TimeSpan? Total);

public enum OnInvalid { Fail, Retry, Repair }

/// <summary>Where a stage's result goes.</summary>
/// <param name="As">Reshapes the result (named <c>output</c> in it) before it is checked against the schema and stored.</param>
public sealed record OutputBinding(string? Name, JsonElement? Schema, Expression? As, OnInvalid OnInvalid);

public enum OnErrorKind { Fail, Continue, Undo, Stages }

/// <summary>What happens after the last attempt failed.</summary>
public sealed record OnErrorRule(OnErrorKind Kind, IReadOnlyList<Stage> Stages)
{
    public static readonly OnErrorRule Fail = new(OnErrorKind.Fail, []);
}

/// <summary>Which agent answers: model names in order of preference.</summary>
public sealed record AgentChoice(IReadOnlyList<string> Models, string Route, IReadOnlyList<string> Require, int? MaxTokens, long? Seed);

/// <summary>One message to an agent beside its prompt.</summary>
public sealed record AgentMessage(string Role, Template Content, bool Untrusted);

/// <summary>What every stage has. Defaults of the daemon are already merged in.</summary>
public sealed record StageCommon(
    string Id,
    string? Name,
    string? Description,
    Expression? If,
    IReadOnlyList<string> Needs,
    Template? Input,
    IReadOnlyDictionary<string, Template> Env,
    OutputBinding? Output,
    RetryRule Retry,
    TimeoutRule Timeout,
    IReadOnlyList<Stage> Fallback,
    OnErrorRule OnError,
    Budget? Budget,
    Template? IdempotencyKey,
    SourceLocation Location);

/// <summary>A stage, by kind. Closed: the interpreter handles each case or says which it lacks.</summary>
public abstract record Stage(StageCommon Common)
{
    public string Id => Common.Id;
}

public sealed record AgentStage(StageCommon Common, AgentChoice Agent, Template? Prompt, string? System, IReadOnlyList<AgentMessage> Messages) : Stage(Common);

/// <param name="Runtime">sh, bash, python, node ...</param>
/// <param name="ExitCodes">Exit code to meaning: <c>success</c>, <c>retry</c> or <c>fail</c>. 0 is success unless said otherwise.</param>
public sealed record ScriptStage(StageCommon Common, string Runtime, string Script, ScriptLimits Limits, IReadOnlyDictionary<int, string> ExitCodes) : Stage(Common);

/// <param name="Undo">False where the daemon says <c>undo: none</c>: the effect is then treated as irreversible.</param>
public sealed record ToolStage(StageCommon Common, string Capability, IReadOnlyDictionary<string, Template> With, bool Undo) : Stage(Common);

public sealed record SetStage(StageCommon Common, IReadOnlyDictionary<string, Template> Values) : Stage(Common);

public sealed record IfStage(StageCommon Common, IReadOnlyList<Stage> Then, IReadOnlyList<Stage> Else) : Stage(Common);

/// <param name="When">Null for the default case.</param>
public sealed record SwitchCase(Expression? When, IReadOnlyList<Stage> Do);

public sealed record SwitchStage(StageCommon Common, IReadOnlyList<SwitchCase> Cases) : Stage(Common);

public enum OnItemError { Fail, Collect, Skip }

public sealed record ForeachStage(StageCommon Common, Expression Items, string As, string? Index, int Parallelism, OnItemError OnItemError, IReadOnlyList<Stage> Do) : Stage(Common);

public sealed record EmitStage(StageCommon Common, string Event, Template? Data) : Stage(Common);

public sealed record RaiseStage(StageCommon Common, string Error, Template? Message) : Stage(Common);

/// <summary>A stage kind that the format knows and this version does not run; the checker refuses it: "not supported yet: KIND".</summary>
public sealed record UnsupportedStage(StageCommon Common, string Kind) : Stage(Common);
