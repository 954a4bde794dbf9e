using System.Text.Json;

namespace Platform.Domain.Daemons;

/// <summary>Ceilings for one script. Each has a default below the machine's own limits.</summary>
/// <param name="MemoryBytes">Of the whole process tree.</param>
/// <param name="OutputBytes">Of standard output, of standard error, and of the result file, each.</param>
public sealed record ScriptLimits(TimeSpan CpuTime, TimeSpan Wall, long MemoryBytes, int Processes, long FileBytes, long OutputBytes)
{
    public static readonly ScriptLimits Default = new(TimeSpan.FromSeconds(30), TimeSpan.FromMinutes(5), 512L << 20, 64, 64L << 20, 1L << 20);
}

/// <summary>One script to run. Values reach it through the environment and <c>$DAEMON_INPUT</c> only; the text is never templated.</summary>
/// <param name="Runtime">sh, bash, python or node.</param>
/// <param name="Environment">Names of <c>[A-Za-z_][A-Za-z0-9_]*</c> to values.</param>
/// <param name="Input">Written as JSON to the file named by <c>$DAEMON_INPUT</c>.</param>
public sealed record ScriptJob(string Runtime, string Script, IReadOnlyDictionary<string, string> Environment, JsonElement Input, ScriptLimits Limits);

public enum ScriptLimitHit { None, CpuTime, Wall, Memory, Processes, FileSize, Output }

/// <param name="ExitCode">128 + signal where a signal ended it.</param>
/// <param name="Result">The file <c>$DAEMON_OUTPUT</c> as JSON where it was written; else standard output: as JSON if it parses as an object or array, else as text without its last newline.</param>
/// <param name="StandardError">Read as hostile: valid UTF-8, control characters escaped.</param>
/// <param name="Tier">The isolation that it ran under, for example <c>bubblewrap</c>.</param>
public sealed record ScriptOutcome(int ExitCode, JsonElement Result, string StandardError, TimeSpan CpuTime, TimeSpan Elapsed, long PeakMemoryBytes, ScriptLimitHit LimitHit, string Tier);

/// <summary>Runs a script away from everything. There is no way to run one bare.</summary>
public interface IScriptSandbox
{
    /// <exception cref="SandboxUnavailableException">No tier works on this machine.</exception>
    /// <exception cref="ScriptRefusedException">The job itself cannot be run: its author has to change it.</exception>
    Task<ScriptOutcome> Run(ScriptJob job, CancellationToken cancellation);
}

/// <summary>This machine offers no isolation; the message says how to get one.</summary>
public sealed class SandboxUnavailableException(string message) : Exception(message);

/// <summary>The job cannot be run as written.</summary>
/// <param name="code">script.unknown-runtime, script.runtime-missing, script.environment, script.limits or script.too-large.</param>
public sealed class ScriptRefusedException(string code, string message) : Exception(message)
{
    public string Code { get; } = code;
}
