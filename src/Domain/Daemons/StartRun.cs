using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons.Expressions;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>Runs a daemon. The host has made the paths of <c>file</c> inputs absolute.</summary>
/// <param name="Daemon">Its file, as text.</param>
/// <param name="Inputs">An object: a value for each input's name.</param>
/// <param name="Approvals">What the starter allows beforehand: <c>irreversible</c>; <c>compensate</c>, if the run fails and undoes itself.</param>
public sealed record StartRun(RunId RunId, string Daemon, JsonElement Inputs, string StartedBy, IReadOnlyList<string>? Approvals = null);

/// <summary>What a run may spend; null: no limit of that kind.</summary>
/// <param name="Credits">A limit in dollars is in here, by the price book.</param>
/// <param name="Wall">From its first event to the end of its own stages.</param>
public sealed record RunBudget(decimal? Credits = null, long? Tokens = null, int? ToolCalls = null, TimeSpan? Wall = null)
{
    public static RunBudget Of(DaemonDefinition daemon, int priceBook)
    {
        var wall = daemon.Budget?.Wall is { } own && daemon.Timeout is { } timeout ? own < timeout ? own : timeout : daemon.Budget?.Wall ?? daemon.Timeout;
        return daemon.Budget is { } budget ? new RunBudget(CreditsOf(budget, priceBook), budget.Tokens, budget.ToolCalls, wall) : new RunBudget(Wall: wall);
    }

    public static decimal? CreditsOf(Budget budget, int priceBook)
    {
        var fromUsd = budget.Usd * PriceBook.Of(priceBook).CreditsPerUsd;
        return budget.Credits is { } credits && fromUsd is { } usd ? Math.Min(credits, usd) : budget.Credits ?? fromUsd;
    }
}

/// <param name="Stage">The first stage that runs anew.</param>
public sealed record RunFork(RunId RunId, string Stage);

/// <summary>A run began. All that it depends on is in here: it does not change under its file, its prices or its grants.</summary>
/// <param name="DaemonHash">SHA-256 of <paramref name="DaemonText"/>, lower-case hexadecimal.</param>
/// <param name="DaemonText">The daemon's whole file.</param>
/// <param name="Inputs">An object: every declared input by name, defaults filled in.</param>
/// <param name="Vars">An object: the daemon's variables, evaluated.</param>
/// <param name="Grant">What its capabilities may touch, templates evaluated.</param>
/// <param name="CapabilityVersions">Of the capabilities that its stages name.</param>
/// <param name="Approvals">What the starter has approved beforehand, for example <c>irreversible</c>.</param>
public sealed record RunStarted(
    RunId RunId,
    string Daemon,
    string? DaemonVersion,
    string DaemonHash,
    string DaemonText,
    JsonElement Inputs,
    JsonElement Vars,
    string StartedBy,
    RunBudget Budget,
    Grant Grant,
    int PriceBook,
    IReadOnlyDictionary<string, string> CapabilityVersions,
    IReadOnlyList<string> Approvals,
    DateTimeOffset At,
    RunFork? ForkedFrom = null) : IRunEvent;

/// <summary>The versions that a run pins.</summary>
public sealed record CapabilityPins(IReadOnlyDictionary<string, string> Versions);

public static class StartRunHandler
{
    /// <summary>Of a daemon's file: it is stored with every run.</summary>
    public const int MaxDaemonCharacters = 256 * 1024;

    public static Problem? Validate(StartRun command)
    {
        if (command.Daemon.Length > MaxDaemonCharacters)
        {
            return new Problem("daemon.too-large", FormattableString.Invariant($"The daemon's file has {command.Daemon.Length} characters, at most {MaxDaemonCharacters} are allowed."));
        }

        if (DaemonDefinitions.Sound(command.Daemon) is not { } daemon)
        {
            var parsed = DaemonDefinitions.Read(command.Daemon);
            if (parsed.HasErrors || parsed.Definition is not { } read)
            {
                return new Problem("daemon.invalid", string.Join("\n", parsed.Diagnostics.Where(d => d.Severity == Severity.Error).Take(10)));
            }

            daemon = read;
        }

        var (bound, problem) = RunInputs.Bind(daemon, command.Inputs);
        if (problem is not null) { return problem; }
        try
        {
            RunPreparation.Of(daemon, bound);
            return null;
        }
        catch (ExpressionException wrong)
        {
            return new Problem("daemon.expression", $"The daemon's variables or permissions cannot be evaluated: {wrong.Message}");
        }
    }

    public static Task<CapabilityPins> LoadAsync(StartRun command, ICapabilityRegistry capabilities, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var versions = new SortedDictionary<string, string>(StringComparer.Ordinal);
        if ((DaemonDefinitions.Sound(command.Daemon) ?? DaemonDefinitions.Read(command.Daemon).Definition) is { } daemon)
        {
            foreach (var tool in StageTree.All(daemon).OfType<ToolStage>())
            {
                if (capabilities.Find(tool.Capability) is { } found) { versions[tool.Capability] = found.Descriptor.Version; }
            }
        }

        return Task.FromResult(new CapabilityPins(versions));
    }

    public static (Events, OutgoingMessages) Handle(StartRun command, Run? run, CapabilityPins pins, DateTimeOffset now)
    {
        if (run is not null) { return ([], []); }

        var daemon = DaemonDefinitions.Of(command.Daemon);
        var inputs = RunInputs.Bind(daemon, command.Inputs).Bound;
        var (vars, grant) = RunPreparation.Of(daemon, inputs);
        var started = new RunStarted(
            command.RunId, daemon.Name, daemon.Version, daemon.Hash, command.Daemon, inputs, vars, command.StartedBy,
            RunBudget.Of(daemon, PriceBook.Current.Version), grant, PriceBook.Current.Version, pins.Versions, command.Approvals ?? [], now);
        return Interpreter.Begin(started, null, daemon);
    }
}

/// <summary>What is evaluated once, before a run begins.</summary>
internal static class RunPreparation
{
    /// <exception cref="ExpressionException">A template cannot be evaluated.</exception>
    public static (JsonElement Vars, Grant Grant) Of(DaemonDefinition daemon, JsonElement inputs)
    {
        var names = new StartNames(inputs);
        var vars = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var (name, template) in daemon.Vars) { vars.Add(name, CanonicalJson.Of(template.Evaluate(names))); }
        names.Vars = CanonicalJson.Object(vars);

        string[] Texts(IEnumerable<Template> templates) => [.. templates.Select(t => t.Evaluate(names)).Select(v => v.ValueKind == JsonValueKind.String ? v.GetString()! : v.GetRawText())];
        var permissions = daemon.Permissions;
        return (names.Vars, new Grant(Texts(permissions.FilesRead), Texts(permissions.FilesWrite), Texts(permissions.Network)));
    }

    /// <summary>Before a run there are inputs, then variables, and no clock.</summary>
    private sealed class StartNames(JsonElement inputs) : IScope
    {
        public JsonElement Vars { get; set; } = CanonicalJson.Object([]);

        public DateTimeOffset Now => throw new ExpressionException(new ExpressionError("Variables and permissions are evaluated before the run begins: there is no clock yet.", 0));

        public bool TryGet(string name, out JsonElement value)
        {
            value = name switch { "inputs" => inputs, "vars" => Vars, _ => default };
            return value.ValueKind != JsonValueKind.Undefined;
        }
    }
}
