using System.Text.Json;
using System.Text.RegularExpressions;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Daemons.Format;

public static partial class DaemonChecker
{
    private static readonly JsonElement AnyText = JsonElement.Parse("""{"type": "string"}"""u8);

    private static readonly JsonElement AnyNumber = JsonElement.Parse("""{"type": "number"}"""u8);

    private static readonly JsonElement ErrorShape = JsonElement.Parse("""{"type": "object", "properties": {"type": {"type": "string"}, "message": {"type": "string"}, "stage": {"type": "string"}}, "additionalProperties": false}"""u8);

    private static readonly JsonElement RunShape = JsonElement.Parse("""{"type": "object", "properties": {"id": {"type": "string"}, "started_at": {"type": "string"}}, "additionalProperties": false}"""u8);

    private static readonly string[] StageMembers = ["output", "status", "error"];

    [GeneratedRegex(@"\$\{([A-Za-z_][A-Za-z0-9_]*)(?:[^A-Za-z0-9_}][^}]*)?\}|\$([A-Za-z_][A-Za-z0-9_]*)", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Variables { get; }

    // What every sandbox sets, and what shells set themselves.
    private static readonly HashSet<string> UsualVariables =
    [
        "PATH", "HOME", "PWD", "OLDPWD", "TMPDIR", "LANG", "LC_ALL", "TERM", "USER", "SHELL", "HOSTNAME", "DAEMON_INPUT", "DAEMON_OUTPUT", "IFS", "PPID",
        "OPTARG", "OPTIND", "REPLY", "RANDOM", "SECONDS", "LINENO", "UID", "EUID", "BASH", "BASHPID", "BASH_SOURCE", "BASH_VERSION", "FUNCNAME", "PIPESTATUS", "BASH_REMATCH",
    ];

    private sealed partial class Checking(DaemonDefinition daemon, SourceMap source, CheckContext context)
    {
        private readonly Dictionary<string, SourceLocation> laterNames = [];
        private readonly Dictionary<string, SourceLocation> laterStages = [];

        public List<Diagnostic> Found { get; } = [];

        public void All()
        {
            Inputs();
            Requires();
            foreach (var stage in daemon.Stages.Concat(daemon.OnError).Concat(daemon.Finally)) { Collect(stage); }

            var names = new Names();
            foreach (var (_, template) in daemon.Vars) { Check(template, names, null); }

            foreach (var root in daemon.Permissions.FilesRead.Concat(daemon.Permissions.FilesWrite).Concat(daemon.Permissions.Network)) { Check(root, names, null); }

            Walk(daemon.Stages, names, null);

            // On the way out nothing is certain any more: the run may have stopped anywhere.
            foreach (var list in new[] { daemon.OnError, daemon.Finally })
            {
                var after = names.Copy();
                foreach (var (name, known) in after.Values.ToArray()) { after.Values[name] = known with { Certain = false }; }

                Walk(list, after, ErrorShape);
            }

            foreach (var (_, output) in daemon.Outputs) { Check(output.Value, names, null); }

            Budgets();
        }

        private void Error(string code, string message, SourceLocation location, string? fix = null) => Found.Add(new Diagnostic(Severity.Error, code, message, location, fix));

        private void Warn(string code, string message, SourceLocation location, string? fix = null) => Found.Add(new Diagnostic(Severity.Warning, code, message, location, fix));

        private YamlNode? Node(object part) => source.NodeOf(part);

        private SourceLocation KeyOf(Stage stage, string key) => Node(stage)?.Find(key)?.KeyLocation ?? stage.Common.Location;

        private SourceLocation ValueOf(Stage stage, string key) => Node(stage)?[key]?.Location ?? stage.Common.Location;

        private void Requires()
        {
            var node = Node(daemon.Requires);
            foreach (var (required, index) in daemon.Requires.Select((name, index) => (name, index)))
            {
                if (context.Capabilities.Any(one => Permissions.Names(required, one.Name))) { continue; }

                Error("DMN111", $"There is no capability '{required}' here, and the daemon requires it.", node?.Items[index].Location ?? new SourceLocation(1, 1), Fix(Nearest.To(required, context.Capabilities.Select(one => one.Name))));
            }
        }

        private void Inputs()
        {
            var first = new Dictionary<string, SourceLocation>();
            foreach (var input in daemon.Inputs)
            {
                var node = Node(input);
                if (!first.TryAdd(input.Name, input.Location)) { Error("DMN118", $"The input '{input.Name}' is declared for the second time; the first is at {first[input.Name]}.", input.Location); }

                if (Reserved.Contains(input.Name) || input.Name is "item" or "index") { Warn("DMN119", $"An input named '{input.Name}' is easily taken for the run's own '{input.Name}'.", node?["name"]?.Location ?? input.Location, "choose another name"); }

                if (input.Type is "enum" && input.Options.Count == 0) { Error("DMN118", $"The input '{input.Name}' is an enum without options.", input.Location, "add options: [...]"); }

                if (input.Type is not "enum" && input.Options.Count > 0) { Warn("DMN118", $"The options of '{input.Name}' have no effect: its type is {input.Type}.", node?.Find("options")?.KeyLocation ?? input.Location, "write type: enum"); }

                if (input.Default is not { } usual) { continue; }

                if (input.Required) { Warn("DMN118", $"The input '{input.Name}' is required and has a default; the default is used where it is not given.", node?.Find("required")?.KeyLocation ?? input.Location, "remove one of them"); }

                if (InputBinding.Check(input, usual) is { } problem && !(input.Type is "enum" && input.Options.Count == 0)) { Error("DMN118", $"The default does not fit: {problem.Detail}", node?["default"]?.Location ?? input.Location); }
            }
        }

        // Every name and id of the file, so that "not yet" and "never" can be told apart.
        private void Collect(Stage stage)
        {
            laterStages.TryAdd(stage.Id, stage.Common.Location);
            if (stage.Common.Output?.Name is { } output) { laterNames.TryAdd(output, stage.Common.Location); }

            if (stage is SetStage set)
            {
                foreach (var name in set.Values.Keys) { laterNames.TryAdd(name, stage.Common.Location); }
            }

            foreach (var inner in stage.Common.Fallback.Concat(stage.Common.OnError.Stages).Concat(Bodies(stage))) { Collect(inner); }
        }

        private static IEnumerable<Stage> Bodies(Stage stage) => stage switch
        {
            IfStage choice => choice.Then.Concat(choice.Else),
            SwitchStage choice => choice.Cases.SelectMany(one => one.Do),
            ForeachStage each => each.Do,
            _ => [],
        };

        /// <returns>Whether every way through the list ends the run.</returns>
        private bool Walk(IReadOnlyList<Stage> stages, Names names, JsonElement? error)
        {
            var ended = false;
            var told = false;
            foreach (var stage in stages)
            {
                if (ended && !told)
                {
                    Warn("DMN106", $"Stage '{stage.Id}' is never reached: the stage before it always ends the run.", stage.Common.Location);
                    told = true;
                }

                ended |= One(stage, names, error);
            }

            return ended;
        }

        private bool One(Stage stage, Names names, JsonElement? error)
        {
            var common = stage.Common;
            Needs(stage, names);
            var constant = common.If is null ? true : Constant(common.If);
            if (common.If is { } condition) { CheckCondition(condition, names, error); }

            if (constant is false && stage is not IfStage) { Warn("DMN106", $"Stage '{stage.Id}' is never run: its condition is always false.", ValueOf(stage, "if")); }

            if (common.Input is { } input) { Check(input, names, error); }

            foreach (var (_, template) in common.Env) { Check(template, names, error); }

            if (common.IdempotencyKey is { } key) { Check(key, names, error); }

            if (common.Retry.When is { } when) { CheckCondition(when, names, ErrorShape); }

            NewNames(stage);
            var before = names.Copy();
            var (shape, ends) = Work(stage, names, error);
            if (common.Output?.As is { } reshape)
            {
                var inner = names.Copy();
                inner.Values["output"] = new Known(shape, true, false);
                shape = ShapeOf(Check(reshape, inner, error));
            }

            if (common.Output?.Schema is { } declared) { shape = declared; }

            names.Stages[stage.Id] = shape;
            if (common.Output?.Name is { } output)
            {
                if (before.Values.TryGetValue(output, out var earlier) && earlier is { Certain: true, ByOutput: true })
                {
                    Warn("DMN109", $"The output '{output}' replaces one of the same name.", ValueOf(stage, "output"), "choose another name");
                }

                names.Values[output] = new Known(shape, true, true);
            }

            var ways = new List<Names>();
            if (!ends) { ways.Add(names.Copy()); }

            if (common.Fallback.Count > 0)
            {
                // The fallback's result is the stage's.
                var way = before.Copy();
                if (!Walk(common.Fallback, way, ErrorShape))
                {
                    if (common.Output?.Name is { } filled) { way.Values[filled] = new Known(common.Output.Schema, true, true); }

                    ways.Add(way);
                }
            }

            if (common.OnError.Kind is OnErrorKind.Continue) { ways.Add(before.Copy()); }

            if (common.OnError.Kind is OnErrorKind.Stages)
            {
                var way = before.Copy();
                if (!Walk(common.OnError.Stages, way, ErrorShape)) { ways.Add(way); }
            }

            if (stage is not IfStage && common.If is not null && constant is not true) { ways.Add(before.Copy()); }

            names.Become(ways);
            names.Stages[stage.Id] = shape;
            return ways.Count == 0;
        }

        private void Needs(Stage stage, Names names)
        {
            foreach (var needed in stage.Common.Needs)
            {
                if (names.Stages.ContainsKey(needed)) { continue; }

                var location = ValueOf(stage, "needs");
                var item = Node(stage)?["needs"]?.Items.FirstOrDefault(one => one.Text == needed);
                if (laterStages.ContainsKey(needed)) { Error("DMN110", $"Stage '{stage.Id}' needs '{needed}', which does not come before it.", item?.Location ?? location); }
                else { Error("DMN110", $"Stage '{stage.Id}' needs '{needed}', and there is no such stage.", item?.Location ?? location, Fix(Nearest.To(needed, laterStages.Keys))); }
            }
        }

        private static string? Fix(string? meant) => meant is null ? null : $"write {meant}";

        private static bool? Constant(Expression condition)
        {
            if (condition.References.Count > 0 || condition.Text.Contains("now", StringComparison.Ordinal)) { return null; }

            try
            {
                return condition.EvaluateCondition(new NoNames());
            }
            catch (ExpressionException)
            {
                return null;
            }
        }

        private void NewNames(Stage stage)
        {
            if (stage.Common.Output?.Name is { } output && Reserved.Contains(output))
            {
                var node = Node(stage)?["output"];
                Error("DMN119", $"'{output}' is the run's own name; an output cannot be called so.", node?["name"]?.Location ?? node?.Location ?? stage.Common.Location, "choose another name");
            }

            if (stage is SetStage set)
            {
                foreach (var name in set.Values.Keys.Where(Reserved.Contains))
                {
                    Error("DMN119", $"'{name}' is the run's own name; it cannot be set.", Node(stage)?["set"]?.Find(name)?.KeyLocation ?? stage.Common.Location, "choose another name");
                }
            }

            if (stage is ForeachStage each)
            {
                if (Reserved.Contains(each.As)) { Error("DMN119", $"'{each.As}' is the run's own name; an item cannot be called so.", ValueOf(stage, "as"), "choose another name"); }

                if (each.Index is { } index && Reserved.Contains(index)) { Error("DMN119", $"'{index}' is the run's own name; a number cannot be called so.", ValueOf(stage, "index"), "choose another name"); }
            }
        }

        /// <returns>The shape of the stage's result, and whether it always ends the run.</returns>
        private (JsonElement? Shape, bool Ends) Work(Stage stage, Names names, JsonElement? error)
        {
            switch (stage)
            {
                case AgentStage agent:
                    Agent(agent, names, error);
                    return (agent.Common.Output?.Schema ?? AnyText, false);
                case ScriptStage script:
                    Script(script, names);
                    return (null, false);
                case ToolStage tool: return (Tool(tool, names, error), false);
                case SetStage set:
                    foreach (var (name, value) in set.Values)
                    {
                        names.Values[name] = new Known(ShapeOf(value, Check(value, names, error)), true, false);
                    }

                    return (null, false);
                case EmitStage emit:
                    return (emit.Data is { } data ? ShapeOf(data, Check(data, names, error)) : null, false);
                case RaiseStage raise:
                    if (raise.Message is { } message) { Check(message, names, error); }

                    return (null, true);
                case IfStage choice:
                    var constant = choice.Common.If is null ? null : Constant(choice.Common.If);
                    if (constant is false && choice.Then.Count > 0) { Warn("DMN106", $"'then' of '{stage.Id}' is never reached: the condition is always false.", KeyOf(stage, "then")); }

                    if (constant is true && choice.Else.Count > 0) { Warn("DMN106", $"'else' of '{stage.Id}' is never reached: the condition is always true.", KeyOf(stage, "else")); }

                    return (null, Ways([choice.Then, choice.Else], names, error, otherwise: false));
                case SwitchStage choice: return (null, Switch(choice, names, error));
                case ForeachStage each: return (Foreach(each, names, error), false);
                case UnsupportedStage unsupported:
                    NonIdempotent(unsupported);
                    foreach (var name in Mentioned(Node(unsupported))) { names.Values[name] = new Known(null, true, false); }

                    return (null, false);
                default: return (null, false);
            }
        }

        // Names that a stage of an unsupported kind would set: what else is wrong with the file is worth saying without noise about them.
        private static IEnumerable<string> Mentioned(YamlNode? node)
        {
            if (node is null) { yield break; }

            foreach (var member in node.Members)
            {
                if (member.Key is "output" && member.Value.Kind is JsonValueKind.String) { yield return member.Value.Text; }

                if (member.Key is "output" && member.Value["name"] is { Kind: JsonValueKind.String } name) { yield return name.Text; }

                if (member.Key is "set")
                {
                    foreach (var set in member.Value.Members) { yield return set.Key; }
                }
            }

            foreach (var inner in node.Items.Concat(node.Members.Select(member => member.Value)).SelectMany(Mentioned)) { yield return inner; }
        }

        private bool Ways(IReadOnlyList<IReadOnlyList<Stage>> bodies, Names names, JsonElement? error, bool otherwise)
        {
            var ways = new List<Names>();
            foreach (var body in bodies)
            {
                var way = names.Copy();
                if (!Walk(body, way, error)) { ways.Add(way); }
            }

            if (otherwise) { ways.Add(names.Copy()); }

            names.Become(ways);
            return ways.Count == 0;
        }

        private bool Switch(SwitchStage choice, Names names, JsonElement? error)
        {
            var decided = false;
            foreach (var one in choice.Cases)
            {
                var location = Node(one)?.Location ?? choice.Common.Location;
                if (decided) { Warn("DMN106", $"This case of '{choice.Id}' is never reached: one before it always applies.", location); }

                if (one.When is { } when)
                {
                    CheckCondition(when, names, error);
                    var constant = Constant(when);
                    if (constant is false) { Warn("DMN106", $"This case of '{choice.Id}' is never reached: its condition is always false.", location); }

                    decided |= constant is true;
                }
                else
                {
                    decided = true;
                }
            }

            return Ways([.. choice.Cases.Select(one => one.Do)], names, error, otherwise: !decided);
        }

        private JsonElement? Foreach(ForeachStage each, Names names, JsonElement? error)
        {
            var type = Check(each.Items, names, error);
            if (type is not (ExpressionType.Any or ExpressionType.List))
            {
                Error("DMN105", $"foreach goes through a list, and this is {Types.Named(type)}.", ValueOf(each, "foreach"));
            }

            var inner = names.Copy();
            var list = each.Items.References is [{ Guarded: false } only] && Path(each.Items, only) ? ShapeAt(only.Name, only.Path, names, error) : null;
            inner.Values[each.As] = new Known(list is { } known && known.TryGetProperty("items", out var items) ? items : null, true, false);
            if (each.Index is { } index) { inner.Values[index] = new Known(AnyNumber, true, false); }

            Walk(each.Do, inner, error);
            var last = each.OnItemError is OnItemError.Fail && each.Do.Count > 0 ? inner.Stages.GetValueOrDefault(each.Do[^1].Id) : null;
            return ListOf(last);
        }

        // The expression is nothing but the reference.
        private static bool Path(Expression expression, Reference reference)
        {
            var text = expression.Text.Trim();
            if (text.StartsWith("${", StringComparison.Ordinal)) { text = text[2..^1].Trim(); }

            return text == string.Join('.', reference.Path.Prepend(reference.Name));
        }

        private static JsonElement ListOf(JsonElement? item) =>
            item is { ValueKind: JsonValueKind.Object } shape ? JsonElement.Parse($$"""{"type": "array", "items": {{shape.GetRawText()}}}""") : JsonElement.Parse("""{"type": "array"}"""u8);

        private static JsonElement? ShapeOf(ExpressionType type) => type switch
        {
            ExpressionType.String => AnyText,
            ExpressionType.Number => AnyNumber,
            ExpressionType.Bool => JsonElement.Parse("""{"type": "boolean"}"""u8),
            ExpressionType.List => ListOf(null),
            ExpressionType.Map => JsonElement.Parse("""{"type": "object"}"""u8),
            ExpressionType.Any or ExpressionType.Null => null,
        };

        private static JsonElement? ShapeOf(Template template, ExpressionType single) => template.Expressions.Count > 0 && single is not ExpressionType.Any
            ? ShapeOf(single)
            : template.Source.ValueKind switch
            {
                JsonValueKind.String when template.Expressions.Count == 0 => AnyText,
                JsonValueKind.Number => AnyNumber,
                JsonValueKind.True or JsonValueKind.False => ShapeOf(ExpressionType.Bool),
                JsonValueKind.Array => ListOf(null),
                JsonValueKind.Object => ShapeOf(ExpressionType.Map),
                JsonValueKind.Undefined or JsonValueKind.String or JsonValueKind.Null or _ => null,
            };

        private void CheckCondition(Expression condition, Names names, JsonElement? error)
        {
            var type = Check(condition, names, error);
            if (type is ExpressionType.Any or ExpressionType.Bool) { return; }

            Error("DMN104", $"A condition is true or false, and this is {Types.Named(type)}.", source.LocationOf(condition, condition, 0));
        }

        private ExpressionType Check(Expression expression, Names names, JsonElement? error) => Check(expression, expression, names, error);

        /// <returns>The type of a template that is one expression; text where text and expressions are mixed; else anything.</returns>
        private ExpressionType Check(Template template, Names names, JsonElement? error)
        {
            var type = ExpressionType.Any;
            foreach (var expression in template.Expressions) { type = Check(template, expression, names, error); }

            if (template.Source.ValueKind is not JsonValueKind.String) { return ExpressionType.Any; }

            var text = template.Source.GetString()!;
            return template.Expressions is [{ Start: 2 } only] && text.Length == only.Text.Length + 3 ? type : ExpressionType.String;
        }

        private ExpressionType Check(object holder, Expression expression, Names names, JsonElement? error)
        {
            var known = true;
            foreach (var reference in expression.References) { known &= Refer(holder, expression, reference, names, error); }

            var inferred = expression.Infer(new Types((name, path) => ShapeAt(name, path, names, error)));
            foreach (var wrong in inferred.Errors) { Error("DMN103", wrong.Message, source.LocationOf(holder, expression, wrong.Offset)); }

            return known ? inferred.Type : ExpressionType.Any;
        }

        private JsonElement? ShapeAt(string name, IReadOnlyList<string> path, Names names, JsonElement? error)
        {
            JsonElement? shape;
            var at = 0;
            switch (name)
            {
                case "inputs":
                    if (path.Count == 0) { return ShapeOf(ExpressionType.Map); }

                    shape = daemon.Inputs.FirstOrDefault(input => input.Name == path[0]) is { } input ? OfInput(input) : null;
                    at = 1;
                    break;
                case "vars":
                    if (path.Count == 0) { return ShapeOf(ExpressionType.Map); }

                    shape = daemon.Vars.TryGetValue(path[0], out var template) ? ShapeOf(template, ExpressionType.Any) : null;
                    at = 1;
                    break;
                case "run": shape = RunShape; break;
                case "error" when error is not null: shape = error; break;
                case "stages":
                    if (path.Count < 2) { return ShapeOf(ExpressionType.Map); }

                    if (path[1] is "status") { return AnyText; }

                    shape = path[1] is "output" ? names.Stages.GetValueOrDefault(path[0]) : null;
                    at = 2;
                    break;
                default: shape = names.Values.GetValueOrDefault(name)?.Shape; break;
            }

            for (; at < path.Count && shape is not null; at++) { shape = Member(shape.Value, path[at]).Shape; }

            return shape;
        }

        private static (JsonElement? Shape, bool Missing) Member(JsonElement shape, string key)
        {
            if (shape.ValueKind is not JsonValueKind.Object || !shape.TryGetProperty("properties", out var properties) || properties.ValueKind is not JsonValueKind.Object) { return (null, false); }

            if (properties.TryGetProperty(key, out var member)) { return (member, false); }

            return (null, shape.TryGetProperty("additionalProperties", out var others) && others.ValueKind is JsonValueKind.False);
        }

        private static JsonElement? OfInput(InputDefinition input)
        {
            // What may be left out may be null, of no one type.
            if (!input.Required && input.Default is null) { return null; }

            return input.Type switch
            {
                "string" or "text" or "date" or "datetime" or "email" or "url" or "file" or "secret" => AnyText,
                "enum" when input.Options.All(option => option.ValueKind is JsonValueKind.String) => AnyText,
                "integer" or "number" => AnyNumber,
                "boolean" => ShapeOf(ExpressionType.Bool),
                "array" => input.Schema ?? ListOf(null),
                "object" => input.Schema ?? ShapeOf(ExpressionType.Map),
                _ => null,
            };
        }

        /// <returns>Whether the name is known.</returns>
        private bool Refer(object holder, Expression expression, Reference reference, Names names, JsonElement? error)
        {
            var location = source.LocationOf(holder, expression, reference.Offset);
            var name = reference.Name;
            switch (name)
            {
                case "inputs": return MemberOf("input", "inputs", reference, daemon.Inputs.Select(input => input.Name), location);
                case "vars": return MemberOf("variable", "vars", reference, daemon.Vars.Keys, location);
                case "stages": return StageOf(reference, names, location);
                case "now": return true;
                case "error" when error is not null:
                case "run":
                    Members(name, reference, name is "run" ? RunShape : ErrorShape, location, 0);
                    return true;
                default: break;
            }

            if (names.Values.TryGetValue(name, out var known))
            {
                if (!known.Certain && !reference.Guarded) { Warn("DMN108", $"'{name}' may not be set here: not every way to this stage sets it.", location, $"write ({name} ?? null), or set it on every way"); }

                if (known.Shape is { } shape && !reference.Guarded) { Members(name, reference, shape, location, 0); }

                return true;
            }

            if (laterNames.TryGetValue(name, out var later))
            {
                Error("DMN107", $"'{name}' does not exist here yet: the stage at {later} sets it.", location, "move that stage before this one");
                return false;
            }

            if (name is "error")
            {
                Error("DMN101", "'error' exists in on_error and fallback only.", location);
                return false;
            }

            var fix = daemon.Inputs.Any(input => input.Name == name) ? $"inputs.{name}"
                : daemon.Vars.ContainsKey(name) ? $"vars.{name}"
                : Nearest.To(name, names.Values.Keys.Concat(laterNames.Keys).Concat(Reserved).Concat(daemon.Inputs.Select(input => input.Name)));
            if (fix is not null && daemon.Inputs.Any(input => input.Name == fix)) { fix = $"inputs.{fix}"; }

            var message = $"Nothing is called '{name}'.";
            if (reference.Guarded) { Warn("DMN101", message, location, Fix(fix)); }
            else { Error("DMN101", message, location, Fix(fix)); }

            return false;
        }

        private bool MemberOf(string what, string root, Reference reference, IEnumerable<string> known, SourceLocation location)
        {
            if (reference.Path.Count == 0) { return true; }

            var all = known.ToArray();
            if (all.Contains(reference.Path[0])) { return true; }

            Error("DMN101", $"The daemon declares no {what} '{reference.Path[0]}'.", location, Nearest.To(reference.Path[0], all) is { } meant ? $"write {root}.{meant}" : null);
            return false;
        }

        private bool StageOf(Reference reference, Names names, SourceLocation location)
        {
            if (reference.Path.Count == 0) { return true; }

            var id = reference.Path[0];
            if (!names.Stages.TryGetValue(id, out var output))
            {
                if (laterStages.TryGetValue(id, out var later)) { Error("DMN107", $"The stage '{id}' (at {later}) has not run here.", location); }
                else { Error("DMN101", $"There is no stage '{id}'.", location, Nearest.To(id, laterStages.Keys) is { } meant ? $"write stages.{meant}" : null); }

                return false;
            }

            if (reference.Path.Count > 1 && !StageMembers.Contains(reference.Path[1]))
            {
                Error("DMN101", $"A stage has output, status and error, and no '{reference.Path[1]}'.", location, Fix(Nearest.To(reference.Path[1], StageMembers)));
                return false;
            }

            if (reference.Path.Count > 2 && reference.Path[1] is "output" && output is { } shape) { Members($"stages.{id}.output", reference, shape, location, 2); }

            return true;
        }

        private void Members(string of, Reference reference, JsonElement shape, SourceLocation location, int from)
        {
            for (var at = from; at < reference.Path.Count; at++)
            {
                var (member, missing) = Member(shape, reference.Path[at]);
                if (missing)
                {
                    var meant = Nearest.To(reference.Path[at], shape.GetProperty("properties").EnumerateObject().Select(property => property.Name));
                    Error("DMN101", $"'{of}' has no '{reference.Path[at]}'.", location, meant is null ? null : $"write {of}.{meant}");
                    return;
                }

                if (member is not { } next) { return; }

                of = $"{of}.{reference.Path[at]}";
                shape = next;
            }
        }
    }
}
