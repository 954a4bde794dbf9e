using System.Text;
using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons.Expressions;
using Platform.Domain.Daemons.Format;
using Platform.Domain.Inference;

namespace Platform.Domain.Daemons;

/// <summary>What an attempt at an agent, script or tool stage asks of the world, its templates evaluated. The same whenever it is asked: before the attempt for its price, and when it is made.</summary>
/// <param name="Kind"><c>agent</c>, <c>script</c>, <c>tool</c>.</param>
/// <param name="EstimateCredits">At most what the attempt costs.</param>
/// <param name="Untrusted">Content of outside went into it.</param>
/// <param name="Refusal">Why the daemon may not do it; null: it may.</param>
public sealed record StageWork(string Kind, decimal EstimateCredits, bool Untrusted, string? Refusal = null)
{
    /// <summary>Of an answer whose daemon does not say.</summary>
    public const int DefaultMaxOutputTokens = 1_024;

    /// <summary>A longer value is in <c>$DAEMON_INPUT</c> only: Linux takes at most 128 KiB for one variable.</summary>
    public const int MaxVariableBytes = 64 * 1024;

    /// <summary>All variables together; Linux takes 2 MiB with the arguments, less where the stack is smaller.</summary>
    public const int MaxEnvironmentBytes = 512 * 1024;

    public IReadOnlyList<string> Models { get; init; } = [];

    /// <summary>Its model is filled in when one is chosen.</summary>
    public AgentRequest? Agent { get; init; }

    public ScriptJob? Script { get; init; }

    public CapabilityCall? Call { get; init; }

    /// <exception cref="ExpressionException">A template cannot be evaluated.</exception>
    public static StageWork Of(Run run, DaemonDefinition daemon, Stage stage, string path, DateTimeOffset now)
    {
        var names = RunNames.Of(run, path, now);
        var prices = PriceBook.Of(run.Started.PriceBook);
        return stage switch
        {
            AgentStage agent => OfAgent(run, agent, path, names, prices),
            ScriptStage script => OfScript(run, script, names, prices),
            ToolStage tool => OfTool(run, daemon, tool, path, names),
            _ => throw new ArgumentOutOfRangeException(nameof(stage), stage.GetType().Name, "This kind of stage asks nobody."),
        };
    }

    private static StageWork OfAgent(Run run, AgentStage stage, string path, RunNames names, PriceBook prices)
    {
        var parts = new List<DataPart>();
        var instructions = Instructions(stage.Prompt, names, parts);
        if (stage.Common.Input is { } input) { parts.Add(Part("input", input, "input", names)); }
        for (var i = 0; i < stage.Messages.Count; i++)
        {
            var message = stage.Messages[i];
            var part = Part(FormattableString.Invariant($"message {i + 1}"), message.Content, $"message:{message.Role}", names);
            parts.Add(part with { Untrusted = part.Untrusted || message.Untrusted });
        }

        if (run.Stage(path) is { Raw: { } raw, Error: { } error })
        {
            parts.Add(new DataPart("previous answer", raw, $"stage:{path}", true));
            parts.Add(new DataPart("what was wrong with it", CanonicalJson.Text(error.Message), "schema", false));
        }

        var characters = instructions.Length + (stage.System?.Length ?? 0) + parts.Sum(p => Characters(p.Value));
        return new StageWork("agent", prices.Agent(characters), parts.Exists(p => p.Untrusted))
        {
            Models = stage.Agent.Models,
            Agent = new AgentRequest(
                "", stage.System, instructions, parts, stage.Common.Output?.As is null ? stage.Common.Output?.Schema : null, stage.Agent.MaxTokens ?? DefaultMaxOutputTokens, stage.Agent.Seed ?? 0),
        };
    }

    private static StageWork OfScript(Run run, ScriptStage stage, RunNames names, PriceBook prices)
    {
        var visible = names.Visible();
        var untrusted = visible.Values.Any(v => v.Untrusted);
        var values = new SortedDictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var member in run.Started.Inputs.EnumerateObject().Concat(run.Started.Vars.EnumerateObject())) { values[member.Name] = member.Value; }
        foreach (var (name, value) in visible) { values[name] = value.Value; }

        var environment = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var left = MaxEnvironmentBytes;
        foreach (var (name, value) in values) { AddVariable(environment, name, value, ref left); }
        foreach (var (name, template) in stage.Common.Env) { AddVariable(environment, name, template.Evaluate(names), ref left); }

        var input = CanonicalJson.Object(
        [
            new("inputs", run.Started.Inputs),
            new("vars", run.Started.Vars),
            new("outputs", CanonicalJson.Object(visible.Select(v => KeyValuePair.Create(v.Key, v.Value.Value)))),
            new("input", stage.Common.Input is { } given ? CanonicalJson.Of(given.Evaluate(names)) : CanonicalJson.Null),
        ]);
        return new StageWork("script", prices.Script(stage.Limits.CpuTime), untrusted || names.Untrusted)
        {
            Script = new ScriptJob(stage.Runtime, stage.Script, environment, input, stage.Limits),
        };
    }

    private static StageWork OfTool(Run run, DaemonDefinition daemon, ToolStage stage, string path, RunNames names)
    {
        var members = stage.With.Select(w => KeyValuePair.Create(w.Key, CanonicalJson.Of(w.Value.Evaluate(names)))).ToList();
        var attempt = run.Stage(path) is { } state ? state.Status == StageStatus.Running ? state.Attempt : state.Attempt + 1 : 1;
        var key = stage.Common.IdempotencyKey?.Evaluate(names) is { } given ? TextOf(given) : EffectId.Of(run.Id, path, attempt).ToString();
        var allowed = daemon.Permissions.Allows(stage.Capability);
        return new StageWork(
            "tool", 0m, names.Untrusted, allowed ? null : $"The daemon's permissions do not name the capability '{stage.Capability}': add it to permissions.capabilities.")
        {
            Call = new CapabilityCall(stage.Capability, CanonicalJson.Object(members), run.Started.Grant, key),
        };
    }

    // Values never become part of the instructions: each ${...} stays as a name, and its value travels as data.
    private static string Instructions(Template? prompt, RunNames names, List<DataPart> parts)
    {
        if (prompt is null) { return ""; }
        var source = prompt.Source.ValueKind == JsonValueKind.String ? prompt.Source.GetString()! : throw new ArgumentException("A prompt is a text.", nameof(prompt));
        var text = new StringBuilder(source.Length);
        var at = 0;
        foreach (var expression in prompt.Expressions)
        {
            // Its text stands between "${" and "}".
            var (start, end) = (expression.Start - 2, expression.Start + expression.Text.Length + 1);
            var name = expression.Text.Trim();
            text.Append(source, at, start - at).Append('[').Append(name).Append(']');
            at = end;
            if (parts.Exists(p => p.Name == name)) { continue; }

            var own = names.Fresh();
            var value = CanonicalJson.Of(expression.Evaluate(own));
            names.Taint(own.Untrusted);
            parts.Add(new DataPart(name, value, "prompt", own.Untrusted));
        }

        return text.Append(source, at, source.Length - at).ToString();
    }

    private static DataPart Part(string name, Template template, string provenance, RunNames names)
    {
        var own = names.Fresh();
        var value = CanonicalJson.Of(template.Evaluate(own));
        names.Taint(own.Untrusted);
        return new DataPart(name, value, provenance, own.Untrusted);
    }

    private static void AddVariable(SortedDictionary<string, string> environment, string name, JsonElement value, ref int left)
    {
        var text = TextOf(value);
        var bytes = Encoding.UTF8.GetByteCount(text) + name.Length + 2;
        if (bytes > MaxVariableBytes || bytes > left) { return; }
        environment[name] = text;
        left -= bytes;
    }

    private static int Characters(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()!.Length : Encoding.UTF8.GetCharCount(CanonicalJson.Bytes(value));

    private static string TextOf(JsonElement value) =>
        value.ValueKind switch
        {
            JsonValueKind.String => CanonicalJson.Clean(value.GetString()!),
            JsonValueKind.Null or JsonValueKind.Undefined => "",
            _ => Encoding.UTF8.GetString(CanonicalJson.Bytes(value)),
        };
}
