using System.Globalization;
using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Daemons.Format;

public static partial class DaemonParser
{
    private sealed partial class Reading
    {
        // The order in which the stack gives them back.
        private static readonly string[] StageLists = ["finally", "on_error", "stages"];

        private static readonly string[] Prompts = ["prompt", "prompt_template", "messages"];

        private static IEnumerable<YamlNode> Inside(YamlNode stage)
        {
            foreach (var key in new[] { "do", "then", "else", "fallback", "on_error" })
            {
                foreach (var inner in stage[key]?.Items ?? []) { yield return inner; }
            }

            foreach (var branch in stage["switch"]?.Items ?? [])
            {
                foreach (var inner in branch["do"]?.Items ?? []) { yield return inner; }
            }

            foreach (var inner in stage["parallel"]?.Items ?? []) { yield return inner; }

            foreach (var branch in stage["parallel"]?.Members ?? [])
            {
                foreach (var inner in branch.Value.Items) { yield return inner; }
            }
        }

        // Ids that are written go first, so that a derived one never takes the name of one further down.
        private void ExplicitIds(YamlNode daemon)
        {
            var waiting = new Stack<YamlNode>(StageLists.SelectMany(key => (daemon[key]?.Items ?? []).Reverse()));
            var first = new Dictionary<string, SourceLocation>();
            while (waiting.TryPop(out var stage))
            {
                if (stage["id"] is { } id && !first.TryAdd(id.Text, id.Location))
                {
                    Error("DMN014", $"The stage id '{id.Text}' stands here for the second time; the first is at {first[id.Text]}.", id.Location);
                }

                foreach (var inner in Inside(stage).Reverse()) { waiting.Push(inner); }
            }

            ids.UnionWith(first.Keys);
        }

        private string Id(YamlNode stage, string kind)
        {
            counted++;
            if (stage["id"] is { } given) { return given.Text; }

            var name = stage.Kind is JsonValueKind.String ? stage.Text : Text(stage["name"]) ?? "";
            var slug = NotInSlug.Replace(name.ToLowerInvariant(), "_").Trim('_');
            if (slug.Length > 0 && char.IsDigit(slug[0])) { slug = "s_" + slug; }

            if (slug.Length == 0) { slug = $"{kind}_{counted.ToString(CultureInfo.InvariantCulture)}"; }

            var id = slug;
            for (var further = 2; !ids.Add(id); further++) { id = $"{slug}_{further.ToString(CultureInfo.InvariantCulture)}"; }

            return id;
        }

        private IReadOnlyList<Stage> Stages(YamlNode? list) => [.. (list?.Items ?? []).Select(Stage)];

        private Stage Stage(YamlNode node)
        {
            if (node.Kind is JsonValueKind.String)
            {
                NotYet($"a stage that is only a description ('{node.Text}')", node.Location, "write a mapping with a kind, for example {name: Research, agent: local, prompt: ...}");
                return Placed(new UnsupportedStage(Common(node, "description"), "description"), node);
            }

            var kind = Kind(node);
            var common = Common(node, kind);
            CheckKeys(node, kind, common.Id);
            return Placed(Build(node, kind, common), node);
        }

        private Stage Placed(Stage stage, YamlNode node)
        {
            Source.Add(stage, node);
            Source.Add(stage.Common, node);
            return stage;
        }

        private string Kind(YamlNode node)
        {
            var found = Kinds.Where(kind => kind.Key.Length > 0 && node[kind.Key] is not null).ToArray();
            var said = Text(node["type"]);
            if (found.Length == 2 && found.All(kind => kind.Kind is "agent" or "script")) { return "hybrid"; }

            if (found.Length > 1)
            {
                Error("DMN016", $"A stage is of one kind, and this has {JsonSchema.Either([.. found.Select(kind => $"'{kind.Key}'")])}.", node.Find(found[1].Key)!.KeyLocation, "make two stages of it");
                return found[0].Kind;
            }

            if (found.Length == 1)
            {
                if (said is not null && said != found[0].Kind) { Error("DMN016", $"The type is '{said}', and the key '{found[0].Key}' makes it '{found[0].Kind}'.", node["type"]!.Location, $"write type: {found[0].Kind}"); }

                return found[0].Kind;
            }

            var prompted = Prompts.Any(key => node[key] is not null);
            if (prompted || said is "agent")
            {
                if (defaultAgent is null) { Error("DMN015", "No agent is named, here or in defaults.", node.Location, "add agent: local"); }

                return "agent";
            }

            Error("DMN015", "Nothing says what this stage does.", node.Location, "add one of agent, script, tool, http, foreach, switch, then (with if), set, emit, raise");
            return "unknown";
        }

        private void CheckKeys(YamlNode node, string kind, string id)
        {
            var own = Kinds.FirstOrDefault(known => known.Kind == kind).Own ?? [];
            foreach (var member in node.Members)
            {
                var key = member.Key;
                if (kind is "unknown" || own.Contains(key) || key.StartsWith("x-", StringComparison.Ordinal)) { continue; }

                var kindOnly = !CommonKeys.Contains(key)
                    || (key is "env" && kind is not "script")
                    || (key is "input" && kind is not ("agent" or "script" or "hybrid"));
                if (kindOnly)
                {
                    if (Kinds.Any(known => known.Key == key)) { continue; }

                    var homes = Kinds.Where(known => known.Kind is not "hybrid" && known.Own.Contains(key)).Select(known => known.Kind).ToArray();
                    if (key is "input") { homes = ["agent", "script"]; }

                    Error("DMN017", $"Stage '{id}': '{key}' has no meaning on a stage of kind {kind}; it belongs to {JsonSchema.Either(homes)}.", member.KeyLocation);
                }
            }

            if (kind is "set" or "raise" && node.Find("output") is { } unused) { Error("DMN017", $"Stage '{id}': 'output' has no meaning on a stage of kind {kind}.", unused.KeyLocation); }

            // A kind that does not run says so as a whole; the rest of its keys says nothing more.
            if (!SupportedKinds.Contains(kind)) { return; }

            foreach (var key in new[] { "cache", "permissions" })
            {
                if (node.Find(key) is { } member && member.Value.Kind is not JsonValueKind.False) { NotYet($"{key} of a stage", member.KeyLocation); }
            }

            if (node.Find("approve") is { } approve && approve.Value.Kind is not JsonValueKind.False) { NotYet("approve", approve.KeyLocation); }

            foreach (var key in new[] { "retry", "timeout", "budget" })
            {
                if (!WorkKinds.Contains(kind) && node.Find(key) is { } member) { NotYet($"{key} on a stage of kind {kind}", member.KeyLocation, "put it on the stages inside"); }
            }

            if (node["output"] is { Kind: JsonValueKind.Object } output) { CheckOutput(output, kind); }

            foreach (var (key, what) in new[] { ("tools", "tools of an agent"), ("max_steps", "max_steps"), ("files", "files of an agent"), ("working_directory", "working_directory"), ("agent_role", "agent_role"), ("image", "image (scripts run in the sandbox of this machine)"), ("rate", "rate") })
            {
                if (node.Find(key) is { } member) { NotYet(what, member.KeyLocation); }
            }
        }

        private void CheckOutput(YamlNode output, string kind)
        {
            if (kind is "if" or "switch" or "emit" && output.Find("as") is { } reshape) { NotYet($"output.as on a stage of kind {kind}", reshape.KeyLocation); }

            if (kind is "emit" && output.Find("schema") is { } schema) { NotYet("output.schema on a stage of kind emit", schema.KeyLocation); }

            if (Text(output["on_invalid"]) is not { } invalid) { return; }

            if (invalid is not "fail" && !WorkKinds.Contains(kind)) { NotYet($"output.on_invalid on a stage of kind {kind}", output.Find("on_invalid")!.KeyLocation); }
            else if (invalid is "repair" && kind is not "agent") { NotYet($"output.on_invalid: repair on a stage of kind {kind}", output.Find("on_invalid")!.KeyLocation, "write on_invalid: retry"); }
        }

        private StageCommon Common(YamlNode node, string kind)
        {
            var work = WorkKinds.Contains(kind);
            var timeout = Timeout(node["timeout"]);
            return new StageCommon(
                Id(node, kind),
                node.Kind is JsonValueKind.String ? node.Text : Text(node["name"]),
                Text(node["description"]),
                Condition(node["if"]),
                node["needs"] is { Kind: JsonValueKind.String } one ? [one.Text] : Texts(node["needs"]),
                Template(node["input"]),
                Templates(node["env"]),
                Output(node["output"]),
                Retry(node["retry"]) ?? (work ? defaultRetry : null) ?? RetryRule.Never,
                new TimeoutRule(timeout?.Attempt ?? (work ? defaultTimeout?.Attempt : null), timeout?.Total ?? (work ? defaultTimeout?.Total : null)),
                Stages(node["fallback"]),
                OnError(node["on_error"]) ?? (work ? defaultOnError : null) ?? OnErrorRule.Fail,
                Budget(node["budget"], ofStage: true),
                KeyTemplate(node["idempotency_key"]),
                node.Location);
        }

        private OnErrorRule? OnError(YamlNode? node) => node switch
        {
            null => null,
            { Kind: JsonValueKind.Array } => new OnErrorRule(OnErrorKind.Stages, Stages(node)),
            { Text: "continue" } => new OnErrorRule(OnErrorKind.Continue, []),
            { Text: "undo" } => new OnErrorRule(OnErrorKind.Undo, []),
            _ => OnErrorRule.Fail,
        };

        private OutputBinding? Output(YamlNode? node)
        {
            if (node is null) { return null; }

            if (node.Kind is JsonValueKind.String) { return new OutputBinding(node.Text, null, null, OnInvalid.Fail); }

            if (IsTrue(node["stream"])) { NotYet("output.stream", node.Find("stream")!.KeyLocation); }

            if (node.Find("artifact") is { } artifact) { NotYet("output.artifact", artifact.KeyLocation); }

            var onInvalid = Text(node["on_invalid"]) switch { "retry" => OnInvalid.Retry, "repair" => OnInvalid.Repair, _ => OnInvalid.Fail };
            return new OutputBinding(Text(node["name"]), Schema(node["schema"]), Condition(node["as"]), onInvalid);
        }

        private Stage Build(YamlNode node, string kind, StageCommon common)
        {
            switch (kind)
            {
                case "agent": return AgentStage(node, common);
                case "script": return ScriptStage(node, common);
                case "tool": return new ToolStage(common, node["tool"]!.Text, Templates(node["with"]), UndoWanted(node));
                case "http": return HttpStage(node, common);
                case "set": return new SetStage(common, Templates(node["set"]));
                case "emit": return new EmitStage(common, node["emit"]!["event"]!.Text, Template(node["emit"]!["data"]));
                case "raise": return new RaiseStage(common, node["raise"]!["error"]!.Text, Template(node["raise"]!["message"]));
                case "if":
                    if (node["if"] is null) { Error("DMN015", "'then' needs a condition.", node.Find("then")!.KeyLocation, "add if: ..."); }

                    return new IfStage(common, Stages(node["then"]), Stages(node["else"]));
                case "switch": return new SwitchStage(common, [.. node["switch"]!.Items.Select(Case)]);
                case "foreach": return ForeachStage(node, common);
                case "unknown": return new UnsupportedStage(common, kind);
                default:
                    NotYet($"stages of kind {kind}", Kinds.First(known => known.Kind == kind).Key is { Length: > 0 } key ? node.Find(key)!.KeyLocation : node.Location);
                    return new UnsupportedStage(common, kind);
            }
        }

        private bool UndoWanted(YamlNode node)
        {
            if (node["undo"] is { Kind: JsonValueKind.Object } own) { NotYet("an undo of your own", own.Location, "leave it out: the capability's own inverse is used"); }

            return Text(node["undo"]) is not "none";
        }

        private AgentStage AgentStage(YamlNode node, StageCommon common)
        {
            if (node["prompt"] is not null && node.Find("prompt_template") is { } second) { Error("DMN016", "'prompt' and 'prompt_template' are the same; here are both.", second.KeyLocation); }

            if (node["system"] is { } system && system.Text.Contains("${", StringComparison.Ordinal)) { NotYet("expressions in 'system'", system.LocationAt(system.Text.IndexOf("${", StringComparison.Ordinal)), "put the value into input"); }

            return new AgentStage(
                common,
                Agent(node["agent"]) ?? defaultAgent ?? new AgentChoice([], "first", [], null, null),
                Template(node["prompt"] ?? node["prompt_template"]),
                Text(node["system"]),
                Messages(node["messages"]));
        }

        private List<AgentMessage> Messages(YamlNode? node)
        {
            var messages = new List<AgentMessage>();
            if (node is null) { return messages; }

            const string Form = "write [{role: user, content: '...', untrusted: true}]";
            if (node.Kind is not JsonValueKind.Array)
            {
                Error("DMN012", "messages is a list.", node.Location, Form);
                return messages;
            }

            foreach (var item in node.Items)
            {
                if (item.Kind is not JsonValueKind.Object || Text(item["role"]) is not ("user" or "assistant" or "system") || item["content"] is null)
                {
                    Error("DMN012", "A message has a role (user, assistant or system) and content.", item.Location, Form);
                    continue;
                }

                foreach (var member in item.Members.Where(member => member.Key is not ("role" or "content" or "untrusted") && !member.Key.StartsWith("x-", StringComparison.Ordinal)))
                {
                    Error("DMN011", $"Unknown key '{member.Key}' in a message.", member.KeyLocation);
                }

                if (Template(item["content"]) is { } content) { messages.Add(new AgentMessage(item["role"]!.Text, content, IsTrue(item["untrusted"]))); }
            }

            return messages;
        }

        private ScriptStage ScriptStage(YamlNode node, StageCommon common)
        {
            var runtime = Text(node["runtime"]) ?? "sh";
            if (!Runtimes.Contains(runtime))
            {
                Error("DMN012", $"'{runtime}' is no runtime: {JsonSchema.Either(Runtimes)}.", node["runtime"]!.Location, Nearest.To(runtime, Runtimes) is { } meant ? $"write {meant}" : null);
            }

            var codes = new Dictionary<int, string>();
            foreach (var member in node["exit_codes"]?.Members ?? [])
            {
                if (!int.TryParse(member.Key, NumberStyles.None, CultureInfo.InvariantCulture, out var code) || code > 255) { Error("DMN012", $"'{member.Key}' is no exit code (0 to 255).", member.KeyLocation); }
                else if (Text(member.Value) is not ("success" or "retry" or "fail")) { Error("DMN012", "An exit code means success, retry or fail.", member.Value.Location); }
                else { codes[code] = member.Value.Text; }
            }

            return new ScriptStage(common, runtime, node["script"]!.Text, node["sandbox"] is { } sandbox ? Limits(sandbox, defaultLimits) : defaultLimits, codes);
        }

        private Stage HttpStage(YamlNode node, StageCommon common)
        {
            var http = node["http"]!;
            if (http.Kind is JsonValueKind.String)
            {
                return new ToolStage(common, "http.get", Template(http) is { } url ? new Dictionary<string, Template> { ["url"] = url } : [], UndoWanted(node));
            }

            var method = (Text(http["method"]) ?? "GET").ToUpperInvariant();
            if (method is not "GET")
            {
                NotYet($"http with {method}", http["method"]!.Location);
                return new UnsupportedStage(common, $"http {method}");
            }

            foreach (var key in new[] { "body", "openapi", "operation", "auth" })
            {
                if (http.Find(key) is { } member) { NotYet($"http.{key}", member.KeyLocation); }
            }

            var with = new Dictionary<string, Template>();
            foreach (var key in new[] { "url", "headers", "query", "expect" })
            {
                if (Template(http[key]) is { } template) { with[key] = template; }
            }

            return new ToolStage(common, "http.get", with, UndoWanted(node));
        }

        private SwitchCase Case(YamlNode node)
        {
            var isDefault = IsTrue(node["default"]);
            if (isDefault && node.Find("when") is { } when) { Error("DMN016", "A case has 'when' or 'default: true', not both.", when.KeyLocation); }

            if (!isDefault && node["when"] is null) { Error("DMN015", "A case needs 'when', or 'default: true'.", node.Location); }

            var made = new SwitchCase(isDefault ? null : Condition(node["when"]), Stages(node["do"]));
            Source.Add(made, node);
            return made;
        }

        private Stage ForeachStage(YamlNode node, StageCommon common)
        {
            if (node["do"] is null) { Error("DMN015", "'foreach' needs stages to do.", node.Find("foreach")!.KeyLocation, "add do: [...]"); }

            var parallelism = Whole(node["parallelism"]) ?? 1;
            if (parallelism is < 1 or > MaxParallelism)
            {
                Error("DMN012", $"parallelism is from 1 to {MaxParallelism}, not {parallelism}.", node["parallelism"]!.Location);
                parallelism = Math.Clamp(parallelism, 1, MaxParallelism);
            }

            var onItemError = Text(node["on_item_error"]) switch { "collect" => OnItemError.Collect, "skip" => OnItemError.Skip, _ => OnItemError.Fail };
            var stages = Stages(node["do"]);
            return Condition(node["foreach"]) is { } items
                ? new ForeachStage(common, items, Text(node["as"]) ?? "item", Text(node["index"]) ?? "index", parallelism, onItemError, stages)
                : new UnsupportedStage(common, "foreach");
        }
    }
}
