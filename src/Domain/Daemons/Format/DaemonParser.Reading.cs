using System.Globalization;
using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Daemons.Format;

public static partial class DaemonParser
{
    // More attempts than this is a loop, not a retry.
    private const int MaxAttempts = 100;

    // The node that runs a foreach holds this many items' states in flight.
    private const int MaxParallelism = 64;

    private const string UntitledDaemon = "Untitled";

    private static readonly RetryRule UsualRetry = new(3, TimeSpan.FromSeconds(1), Backoff.Exponential, TimeSpan.FromMinutes(1), false, null, ["any"], null);

    /// <summary>Reads one file that fits the schema.</summary>
    private sealed partial class Reading(string hash)
    {
        private readonly List<Diagnostic> diagnostics = [];
        private readonly HashSet<string> ids = [];
        private int counted;
        private AgentChoice? defaultAgent;
        private RetryRule? defaultRetry;
        private TimeoutRule? defaultTimeout;
        private OnErrorRule? defaultOnError;
        private ScriptLimits defaultLimits = ScriptLimits.Default;

        public SourceMap Source { get; } = new();

        public IReadOnlyList<Diagnostic> Sorted() => [.. diagnostics.OrderBy(diagnostic => diagnostic.Location.Line).ThenBy(diagnostic => diagnostic.Location.Column)];

        public DaemonDefinition Daemon(YamlNode root)
        {
            var daemon = root["daemon"] ?? root;
            ExplicitIds(daemon);
            if (daemon["defaults"] is { } defaults) { Defaults(defaults); }

            Unsupported(daemon);
            var requires = daemon["requires"]?["capabilities"];
            var required = Texts(requires);
            if (requires is not null) { Source.Add(required, requires); }

            return new DaemonDefinition(
                Text(daemon["name"]) ?? UntitledDaemon,
                Text(daemon["version"]),
                Text(daemon["author"]),
                Text(daemon["description"]),
                hash,
                [.. (daemon["inputs"]?.Items ?? []).Select(Input)],
                Templates(daemon["vars"]),
                Budget(daemon["budget"]),
                Permissions(daemon["permissions"]),
                DaemonTimeout(daemon["timeout"]),
                daemon["undo"]?["on_failure"]?.Kind is JsonValueKind.True,
                Stages(daemon["stages"]),
                Stages(daemon["on_error"]),
                Stages(daemon["finally"]),
                Outputs(daemon["outputs"]))
            {
                Requires = required,
            };
        }

        private void Error(string code, string message, SourceLocation location, string? fix = null) => diagnostics.Add(new Diagnostic(Severity.Error, code, message, location, fix));

        private void Warn(string code, string message, SourceLocation location, string? fix = null) => diagnostics.Add(new Diagnostic(Severity.Warning, code, message, location, fix));

        private void NotYet(string what, SourceLocation location, string? instead = null) =>
            Error("DMN020", $"not supported yet: {what}", location, instead);

        private void NotYetNoted(string what, SourceLocation location) => Warn("DMN021", $"not supported yet: {what}", location);

        private static string? Text(YamlNode? node) => node?.Kind is JsonValueKind.String ? node.Text : null;

        private static bool IsTrue(YamlNode? node) => node?.Kind is JsonValueKind.True;

        private static int? Whole(YamlNode? node) =>
            node?.Kind is JsonValueKind.Number && decimal.TryParse(node.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? (int)Math.Clamp(number, int.MinValue, int.MaxValue) : null;

        private static long? Long(YamlNode? node) =>
            node?.Kind is JsonValueKind.Number && decimal.TryParse(node.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? (long)Math.Clamp(number, long.MinValue, long.MaxValue) : null;

        private decimal? Money(YamlNode? node)
        {
            if (node is null) { return null; }

            if (decimal.TryParse(node.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)) { return number; }

            Error("DMN012", $"{node.Text} is too large for an amount.", node.Location);
            return null;
        }

        private static string[] Texts(YamlNode? node) => [.. (node?.Items ?? []).Where(item => item.Kind is JsonValueKind.String).Select(item => item.Text)];

        private TimeSpan? Duration(YamlNode? node)
        {
            if (node is null) { return null; }

            if (node.Text.StartsWith("${", StringComparison.Ordinal))
            {
                NotYet("an expression as a duration", node.Location, "write the duration itself, for example 90s");
                return null;
            }

            if (Durations.Parse(node.Text) is { } duration) { return duration; }

            Error("DMN012", $"'{node.Text}' is no duration of at most {Durations.Longest.TotalDays:0} days.", node.Location, "write for example 250ms, 90s, 5m, 2h, 3d or PT5M");
            return null;
        }

        private Expression? Condition(YamlNode? node)
        {
            if (node is null) { return null; }

            try
            {
                var expression = Expression.Parse(node.Text);
                Source.Add(expression, node);
                return expression;
            }
            catch (ExpressionException wrong)
            {
                Error("DMN018", wrong.Error.Message, node.LocationAt(wrong.Error.Offset));
                return null;
            }
        }

        private Template? Template(YamlNode? node)
        {
            if (node is null) { return null; }

            try
            {
                var template = Expressions.Template.Parse(node.ToJson());
                Source.Add(template, node);
                return template;
            }
            catch (ExpressionException wrong)
            {
                Error("DMN018", wrong.Error.Message, SourceMap.At(node, wrong.Error.Pointer).LocationAt(wrong.Error.Offset));
                return null;
            }
        }

        // A key is an expression whether or not ${ } stands around it.
        private Template? KeyTemplate(YamlNode? node)
        {
            const string Before = "${";
            if (node is null || node.Text.Contains(Before, StringComparison.Ordinal)) { return Template(node); }

            try
            {
                Expression.Parse(node.Text);
                var template = Expressions.Template.Parse(JsonText(Before + node.Text + "}"));
                Source.Add(template, node, Before.Length);
                return template;
            }
            catch (ExpressionException wrong)
            {
                Error("DMN018", wrong.Error.Message, node.LocationAt(wrong.Error.Offset));
                return null;
            }
        }

        private static JsonElement JsonText(string text)
        {
            using var document = JsonDocument.Parse($"\"{JsonEncodedText.Encode(text)}\"");
            return document.RootElement.Clone();
        }

        private Dictionary<string, Template> Templates(YamlNode? node)
        {
            var templates = new Dictionary<string, Template>();
            foreach (var member in node?.Members ?? [])
            {
                if (Template(member.Value) is { } template) { templates[member.Key] = template; }
            }

            return templates;
        }

        private JsonElement? Schema(YamlNode? node)
        {
            if (node is null) { return null; }

            var json = node.ToJson();
            try
            {
                JsonSchema.Parse(json);
                return json;
            }
            catch (JsonSchemaException wrong)
            {
                var place = SourceMap.At(node, wrong.Error.Pointer);
                Error("DMN013", wrong.Error.Message, KeyLocation(node, wrong.Error.Pointer) ?? place.Location, wrong.Error.Suggestion is { } meant ? $"write '{meant}'" : null);
                return null;
            }
        }

        private static SourceLocation? KeyLocation(YamlNode node, string pointer)
        {
            var cut = pointer.LastIndexOf('/');
            return cut < 0 ? null : SourceMap.At(node, pointer[..cut]).Find(pointer[(cut + 1)..])?.KeyLocation;
        }

        private InputDefinition Input(YamlNode node)
        {
            var type = node["type"]!.Text;
            if (type is "contact" or "lead" or "mail" or "model") { NotYet($"inputs of type {type}", node["type"]!.Location); }

            if (type is "secret") { NotYet("inputs of type secret (there is no store for them yet, and a run's inputs are kept in its events)", node["type"]!.Location); }

            if (IsTrue(node["pii"])) { NotYetNoted("pii (the value is kept like any other)", node.Find("pii")!.KeyLocation); }

            var input = new InputDefinition(
                node["name"]!.Text,
                type,
                Text(node["description"]),
                [.. (node["options"]?.Items ?? []).Select(option => option.ToJson())],
                node["default"]?.ToJson(),
                node["required"] is { } required ? IsTrue(required) : node["default"] is null,
                Schema(node["schema"]),
                Long(node["max_bytes"]),
                node.Location);
            Source.Add(input, node);
            return input;
        }

        private Dictionary<string, OutputDefinition> Outputs(YamlNode? node)
        {
            var outputs = new Dictionary<string, OutputDefinition>();
            foreach (var member in node?.Members ?? [])
            {
                var whole = member.Value.Kind is JsonValueKind.Object;
                if (Template(whole ? member.Value["value"] : member.Value) is not { } value) { continue; }

                outputs[member.Key] = new OutputDefinition(value, whole ? Schema(member.Value["schema"]) : null, whole ? Text(member.Value["description"]) : null);
            }

            return outputs;
        }

        private Budget? Budget(YamlNode? node, bool ofStage = false)
        {
            if (node is null) { return null; }

            foreach (var member in node.Members)
            {
                if (ofStage && member.Key is ("tokens" or "tool_calls" or "wall")) { NotYet($"budget.{member.Key} of a stage", member.KeyLocation, "put it on the daemon's budget"); }
            }

            var onExceed = Text(node["on_exceed"]) switch { "ask" => OnExceed.Ask, "downgrade" => OnExceed.Downgrade, _ => OnExceed.Stop };
            if (onExceed is not OnExceed.Stop) { NotYet($"on_exceed: {node["on_exceed"]!.Text}", node["on_exceed"]!.Location, "write on_exceed: stop"); }

            var budget = new Budget(Money(node["credits"]), Money(node["usd"]), Long(node["tokens"]), Whole(node["tool_calls"]), Duration(node["wall"]), onExceed);
            Source.Add(budget, node);
            return budget;
        }

        private Permissions Permissions(YamlNode? node)
        {
            if (node is null) { return Format.Permissions.None; }

            if (Text(node["files"]) is "workspace") { NotYet("files: workspace", node["files"]!.Location, "name the folders: files: {write: ['${inputs.folder}']}"); }

            if (node["secrets"] is { Items.Count: > 0 }) { NotYet("permissions.secrets (no secret reaches a run)", node.Find("secrets")!.KeyLocation); }

            foreach (var asked in node["approve"]?.Items.Where(one => one.Text is not "irreversible") ?? []) { NotYet($"permissions.approve: {asked.Text} (nobody is asked before it)", asked.Location); }

            var files = node["files"]?.Kind is JsonValueKind.Object ? node["files"] : null;
            return new Permissions(
                Network(node["network"]),
                Each(files?["read"]),
                Each(files?["write"]),
                Texts(node["secrets"]),
                node["capabilities"] is { } capabilities ? Texts(capabilities) : null,
                Texts(node["approve"]));
        }

        private Template[] Each(YamlNode? list) => [.. (list?.Items ?? []).Select(Template).OfType<Template>()];

        private Template[] Network(YamlNode? node) => Text(node) switch
        {
            "any" => [Expressions.Template.Parse(JsonText("*"))],
            "none" => [],
            _ => Each(node),
        };

        private TimeSpan? DaemonTimeout(YamlNode? node)
        {
            if (node is null) { return null; }

            if (node.Find("attempt") is { } attempt) { NotYet("timeout.attempt of a whole daemon", attempt.KeyLocation, "write timeout.total"); }

            return Timeout(node)?.Total;
        }

        // A bare duration is the whole time, all attempts together.
        private TimeoutRule? Timeout(YamlNode? node)
        {
            if (node is null) { return null; }

            if (node.Kind is JsonValueKind.String) { return new TimeoutRule(null, Duration(node)); }

            if (node.Find("idle_stream") is { } idle) { NotYet("timeout.idle_stream", idle.KeyLocation); }

            return new TimeoutRule(Duration(node["attempt"]), Duration(node["total"]));
        }

        private RetryRule? Retry(YamlNode? node)
        {
            if (node is null) { return null; }

            if (node.Kind is JsonValueKind.Number)
            {
                var further = Whole(node) ?? 0;
                if (further is < 0 or >= MaxAttempts) { Error("DMN012", $"retry must be from 0 to {MaxAttempts - 1}, not {node.Text}.", node.Location); }

                return further <= 0 ? RetryRule.Never : UsualRetry with { Attempts = Math.Min(further, MaxAttempts - 1) + 1 };
            }

            var attempts = Whole(node["attempts"]) ?? UsualRetry.Attempts;
            if (attempts > MaxAttempts) { Error("DMN012", $"At most {MaxAttempts} attempts are made, not {attempts}.", node["attempts"]!.Location); }

            var delay = Duration(node["delay"]) ?? UsualRetry.Delay;
            var longest = Duration(node["max_delay"]) ?? (delay > UsualRetry.MaxDelay ? delay : UsualRetry.MaxDelay);
            var backoff = Text(node["backoff"]) switch { "constant" => Backoff.Constant, "linear" => Backoff.Linear, _ => Backoff.Exponential };
            var on = Texts(node["on"]);
            return new RetryRule(Math.Min(attempts, MaxAttempts), delay, backoff, longest, IsTrue(node["jitter"]), Duration(node["max_elapsed"]), on.Length == 0 ? ["any"] : on, Condition(node["when"]));
        }

        private AgentChoice? Agent(YamlNode? node)
        {
            if (node is null) { return null; }

            if (node.Kind is JsonValueKind.String) { return new AgentChoice([node.Text], "first", [], null, null); }

            foreach (var key in new[] { "temperature", "reasoning", "max_usd_per_1m_tokens" })
            {
                if (node.Find(key) is { } member) { NotYetNoted($"agent.{key} (it has no effect)", member.KeyLocation); }
            }

            if (Text(node["route"]) is { } route and not "first") { NotYetNoted($"agent.route: {route} (the first model that is here is asked)", node.Find("route")!.KeyLocation); }

            // What the built-in agent is: it runs here, and answers by a schema.
            foreach (var required in node["require"]?.Items.Where(one => one.Text is not ("local" or "json_schema")) ?? []) { NotYet($"agent.require: {required.Text} (no model here has it)", required.Location); }

            var models = Texts(node["models"]);
            if (Text(node["model"]) is { } model) { models = [model, .. models]; }

            if (models.Length == 0) { Error("DMN012", "No model is named.", node.Location, "write models: [local]"); }

            return new AgentChoice(models, Text(node["route"]) ?? "first", Texts(node["require"]), Whole(node["max_tokens"]), Long(node["seed"]));
        }

        private void Defaults(YamlNode node)
        {
            defaultAgent = Agent(node["agent"]);
            defaultRetry = Retry(node["retry"]);
            defaultTimeout = Timeout(node["timeout"]);
            if (node["sandbox"] is { } sandbox) { defaultLimits = Limits(sandbox, ScriptLimits.Default); }

            if (node["on_error"] is not { } onError) { return; }

            defaultOnError = onError.Text switch
            {
                "fail" => OnErrorRule.Fail,
                "continue" => new OnErrorRule(OnErrorKind.Continue, []),
                "undo" => new OnErrorRule(OnErrorKind.Undo, []),
                _ => null,
            };
            if (defaultOnError is null) { Error("DMN012", $"defaults.on_error must be fail, continue or undo, not '{onError.Text}'.", onError.Location); }
        }

        private ScriptLimits Limits(YamlNode node, ScriptLimits limits)
        {
            foreach (var member in node.Members)
            {
                switch (member.Key)
                {
                    case "wall":
                        if (member.Value.Kind is JsonValueKind.String && Duration(member.Value) is { } wall) { limits = limits with { Wall = wall }; }

                        break;
                    case "memory":
                        if (member.Value.Kind is JsonValueKind.String && Durations.Bytes(member.Value.Text) is { } bytes)
                        {
                            limits = limits with { MemoryBytes = bytes };
                        }
                        else
                        {
                            Error("DMN012", "sandbox.memory is a size.", member.Value.Location, "write for example 256M or 1G");
                        }

                        break;
                    case "network" when member.Value is { Kind: JsonValueKind.String, Text: "none" } or { Kind: JsonValueKind.Array, Items.Count: 0 }: break;
                    case "network": NotYet("a script with network", member.KeyLocation, "fetch with http: and hand the result to the script"); break;
                    case "write" when member.Value is { Kind: JsonValueKind.Array, Items.Count: 0 }: break;
                    case "write": NotYet("a script that writes outside its own folder", member.KeyLocation, "write its result with tool: files.write"); break;
                    case "cpu": NotYet("sandbox.cpu", member.KeyLocation); break;
                    case var key when key.StartsWith("x-", StringComparison.Ordinal): break;
                    default: Error("DMN011", $"Unknown key '{member.Key}' in sandbox.", member.KeyLocation); break;
                }
            }

            return limits;
        }

        private void Unsupported(YamlNode daemon)
        {
            foreach (var member in daemon.Members)
            {
                switch (member.Key)
                {
                    case "concurrency": NotYet("concurrency", member.KeyLocation); break;
                    case "price" when Text(member.Value) is not "free" && Text(member.Value["model"]) is not "free": NotYetNoted("price (a run charges nobody)", member.KeyLocation); break;
                    case "revenue_share": NotYetNoted("revenue_share (a run charges nobody)", member.KeyLocation); break;
                    case "retention": NotYetNoted("retention (nothing is deleted)", member.KeyLocation); break;
                    case "tests": NotYetNoted("tests (they are read, and not run)", member.KeyLocation); break;
                    case "triggers":
                        foreach (var trigger in member.Value.Items.Where(trigger => trigger["enabled"]?.Kind is not JsonValueKind.False))
                        {
                            if (Text(trigger["type"]) is not "manual") { NotYetNoted($"trigger {Text(trigger["type"])} (the daemon is started by hand)", trigger.Location); }
                            else if (trigger.Members.FirstOrDefault(one => one.Key is not ("type" or "id" or "enabled") && !one.Key.StartsWith("x-", StringComparison.Ordinal)) is { } more) { NotYetNoted($"{more.Key} of a manual trigger", more.KeyLocation); }
                        }

                        break;
                    case "requires":
                        foreach (var required in member.Value.Members.Where(required => required.Key is "daemons" or "mcp")) { NotYet($"requires.{required.Key}", required.KeyLocation); }

                        if (member.Value.Find("platform") is { } platform) { NotYetNoted("requires.platform (it is not compared)", platform.KeyLocation); }

                        break;
                    case "undo":
                        foreach (var part in member.Value.Members.Where(part => part.Key is "window" or "order")) { NotYetNoted($"undo.{part.Key} (effects are undone last first, at any time)", part.KeyLocation); }

                        break;
                    default: break;
                }
            }
        }
    }
}
