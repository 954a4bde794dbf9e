using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Daemons.Format;

public static partial class DaemonChecker
{
    private const string LocalAgent = "local";

    private static readonly string[] Extractions = ["dates", "amounts", "emails", "urls", "key_phrases"];

    private sealed partial class Checking
    {
        private void Agent(AgentStage stage, Names names, JsonElement? error)
        {
            if (stage.Prompt is { } prompt) { Check(prompt, names, error); }

            foreach (var message in stage.Messages) { Check(message.Content, names, error); }

            foreach (var part in new[] { stage.Prompt, stage.Common.Input }.Concat(stage.Messages.Select(message => message.Content)).OfType<Template>()) { Secrets(part); }

            var available = stage.Agent.Models.Where(context.Agents.Contains).ToArray();
            foreach (var model in stage.Agent.Models.Except(available))
            {
                var location = Model(Node(stage)?["agent"], model) ?? ValueOf(stage, "agent");
                var offered = context.Agents.Count == 0 ? "none" : string.Join(", ", context.Agents.Order(StringComparer.Ordinal));
                if (available.Length == 0) { Error("DMN117", $"No agent '{model}' is available here; there is {offered}.", location, Fix(Nearest.To(model, context.Agents) ?? context.Agents.FirstOrDefault())); }
                else { Warn("DMN117", $"No agent '{model}' is available here; {available[0]} is asked instead.", location); }
            }

            if (!stage.Agent.Models.Contains(LocalAgent)) { return; }

            // With output.as the agent answers text, which is then reshaped.
            if (stage.Common.Output is { Schema: { } schema, As: null }) { LocalSchema(stage, schema); }

            if (stage.Common.Input is null && stage.Messages.Count == 0 && (stage.Prompt is null or { Expressions.Count: 0 }))
            {
                Error("DMN116", "The local agent answers from data, and this stage hands it none.", ValueOf(stage, "agent"), "add input or messages");
            }
        }

        private static SourceLocation? Model(YamlNode? node, string model)
        {
            if (node is null) { return null; }

            if (node.Kind is JsonValueKind.String) { return node.Location; }

            return node["model"] is { } one && one.Text == model ? one.Location : node["models"]?.Items.FirstOrDefault(item => item.Text == model)?.Location;
        }

        private void Secrets(Template template)
        {
            foreach (var expression in template.Expressions)
            {
                foreach (var reference in expression.References.Where(reference => reference.Name is "inputs" && reference.Path.Count > 0))
                {
                    if (daemon.Inputs.Any(input => input.Name == reference.Path[0] && input.Type is "secret"))
                    {
                        Error("DMN120", $"The secret '{reference.Path[0]}' must not reach an agent.", source.LocationOf(template, expression, reference.Offset));
                    }
                }
            }
        }

        // The built-in agent answers what the schema explains (docs/local-agent.md), and refuses the rest at run time; here it is said before.
        private void LocalSchema(AgentStage stage, JsonElement schema) =>
            Answerable(stage, null, schema, Node(stage)?["output"]?["schema"], Node(stage)?["output"]?["schema"]?.Location ?? stage.Common.Location);

        private void Answerable(AgentStage stage, string? name, JsonElement schema, YamlNode? node, SourceLocation location)
        {
            if (schema.ValueKind is JsonValueKind.Object && !schema.TryGetProperty("const", out _) && Annotation(schema, "x-extract") is null && Annotation(schema, "x-confidence-of") is null
                && schema.TryGetProperty("properties", out var properties) && properties.ValueKind is JsonValueKind.Object)
            {
                foreach (var property in properties.EnumerateObject())
                {
                    var member = node?["properties"]?.Find(property.Name);
                    Answerable(stage, property.Name, property.Value, member?.Value, member?.KeyLocation ?? location);
                }

                return;
            }

            if (CanAnswer(name, schema)) { return; }

            Error(
                "DMN116",
                name is null ? "The local agent cannot answer this schema." : $"The local agent cannot answer '{name}'.",
                location,
                "give it an enum, call it summary, sentiment or language, or add x-task or x-extract");
        }

        private static string? Annotation(JsonElement schema, string key) =>
            schema.TryGetProperty(key, out var value) && value.ValueKind is JsonValueKind.String ? value.GetString() : null;

        private static bool HasLabels(JsonElement schema) =>
            schema.ValueKind is JsonValueKind.Object && (schema.TryGetProperty("enum", out _) || schema.TryGetProperty("x-labels", out _));

        private static bool CanAnswer(string? name, JsonElement schema)
        {
            if (schema.ValueKind is not JsonValueKind.Object) { return false; }

            if (schema.TryGetProperty("const", out _) || Annotation(schema, "x-confidence-of") is not null || HasLabels(schema)) { return true; }

            if (Annotation(schema, "x-extract") is { } extract) { return Extractions.Contains(extract); }

            var type = Types.OfShape(schema);
            if (type is ExpressionType.List && schema.TryGetProperty("items", out var items) && HasLabels(items)) { return true; }

            var task = Annotation(schema, "x-task") ?? (name is null && type is ExpressionType.String ? "summary" : name);
            return task switch
            {
                "summary" or "language" => type is ExpressionType.Any or ExpressionType.String,
                "sentiment" => type is ExpressionType.Any or ExpressionType.Number,
                _ => false,
            };
        }

        // Scripts are never templated: what looks like an expression is a variable of the environment, which somebody must set.
        private void Script(ScriptStage stage, Names names)
        {
            var text = stage.Script;
            var shell = stage.Runtime is "sh" or "bash";
            foreach (var match in Variables.Matches(text).DistinctBy(match => match.Value).Take(100))
            {
                var braced = match.Groups[1].Success;
                var name = braced ? match.Groups[1].Value : match.Groups[2].Value;
                if (!braced && !shell) { continue; }

                if (UsualVariables.Contains(name) || stage.Common.Env.ContainsKey(name) || names.Values.ContainsKey(name)
                    || daemon.Vars.ContainsKey(name) || daemon.Inputs.Any(input => input.Name == name) || SetsItself(text, name, match.Index, match.Length))
                {
                    continue;
                }

                var node = Node(stage)?["script"];
                var meant = Nearest.To(name, daemon.Inputs.Select(input => input.Name).Concat(daemon.Vars.Keys).Concat(names.Values.Keys));
                Warn(
                    "DMN102",
                    $"The script reads {match.Value}, and no input, variable, output or env of this stage is called '{name}'; it is empty then.",
                    node?.LocationAt(match.Index) ?? stage.Common.Location,
                    meant is null ? $"declare an input '{name}', or set it in env" : $"write {meant}, declare an input '{name}', or set it in env");
            }
        }

        // The script mentions the name in another way too: it assigns it, declares it, or takes it as a parameter.
        private static bool SetsItself(string text, string name, int index, int length)
        {
            for (var at = text.IndexOf(name, StringComparison.Ordinal); at >= 0; at = text.IndexOf(name, at + 1, StringComparison.Ordinal))
            {
                if (at >= index && at < index + length) { continue; }

                var before = at == 0 ? ' ' : text[at - 1];
                var after = at + name.Length < text.Length ? text[at + name.Length] : ' ';
                if (before is not ('$' or '{') && !IsWord(before) && !IsWord(after)) { return true; }
            }

            return false;
        }

        private static bool IsWord(char c) => char.IsAsciiLetterOrDigit(c) || c == '_';

        private JsonElement? Tool(ToolStage stage, Names names, JsonElement? error)
        {
            var at = Node(stage) is { } node && node["tool"] is { } tool ? tool.Location : KeyOf(stage, "http");
            var types = stage.With.ToDictionary(argument => argument.Key, argument => Check(argument.Value, names, error));
            if (context.Capabilities.FirstOrDefault(one => one.Name == stage.Capability) is not { } capability)
            {
                Error("DMN111", $"There is no capability '{stage.Capability}' here.", at, Fix(Nearest.To(stage.Capability, context.Capabilities.Select(one => one.Name))));
                return null;
            }

            // An effect is not performed again because its result does not look as wished.
            if (capability.Class is not EffectClass.Pure && stage.Common.Output?.OnInvalid is not (null or OnInvalid.Fail))
            {
                Error("DMN020", $"not supported yet: output.on_invalid for {capability.Name}, which changes something", Node(stage)?["output"]?.Find("on_invalid")?.KeyLocation ?? at, "leave it out: the stage fails then");
            }

            Permitted(stage, capability, at);
            Arguments(stage, capability, types, at);
            if (capability.Class is EffectClass.Irreversible)
            {
                if (daemon.Permissions.Approve.Contains("irreversible")) { Error("DMN020", $"not supported yet: asking a person before {capability.Name}", at); }
                else { Error("DMN113", $"{capability.Name} cannot be undone, and nobody is asked before it (asking is not supported yet).", at); }
            }
            else if (!stage.Undo && capability.Class is not EffectClass.Pure)
            {
                Warn("DMN113", $"With undo: none the effect of {capability.Name} stays when the run is undone, and nobody is asked before it.", KeyOf(stage, "undo"), "leave undo out");
            }

            if (!capability.Idempotent && capability.Name.StartsWith("http.", StringComparison.Ordinal) && stage.Common.IdempotencyKey is null) { MissingKey(capability.Name, at); }

            return capability.Result;
        }

        private void MissingKey(string what, SourceLocation at) =>
            Error("DMN114", $"{what} done twice is not the same as once, and has no idempotency_key.", at, "add idempotency_key: an expression that is the same for the same thing");

        private void NonIdempotent(UnsupportedStage stage)
        {
            if (stage.Kind is "http POST" or "http PATCH" && stage.Common.IdempotencyKey is null) { MissingKey(stage.Kind, KeyOf(stage, "http")); }
        }

        private void Permitted(ToolStage stage, CapabilityDescriptor capability, SourceLocation at)
        {
            var permissions = daemon.Permissions;
            var name = capability.Name;
            if (!permissions.Allows(name))
            {
                Error("DMN112", $"permissions.capabilities does not allow {name}.", at, $"add {name} to permissions.capabilities");
            }

            if (name.StartsWith("files.", StringComparison.Ordinal))
            {
                var writes = capability.Class is not EffectClass.Pure;
                var roots = writes ? permissions.FilesWrite : [.. permissions.FilesWrite, .. permissions.FilesRead];
                if (roots.Count == 0)
                {
                    Error("DMN112", $"{name} needs permission to {(writes ? "write" : "read")} files.", at, $"add permissions: {{files: {{{(writes ? "write" : "read")}: [...]}}}}");
                    return;
                }

                foreach (var key in new[] { "path", "from", "to" })
                {
                    // Only what is certain is said: a literal path under no literal root, while every root is literal.
                    if (stage.With.TryGetValue(key, out var path) && Literal(path) is { } literal && roots.All(root => Literal(root) is { } one && !IsUnder(literal, one)))
                    {
                        Error("DMN112", $"{name} of '{literal}' is outside what permissions.files allows.", Node(path)?.Location ?? at);
                    }
                }
            }

            if (name.StartsWith("http.", StringComparison.Ordinal))
            {
                if (permissions.Network.Count == 0) { Error("DMN112", $"{name} needs permission for the network.", at, "add permissions: {network: [HOST]}"); }
                else if (stage.With.TryGetValue("url", out var url) && Host(url) is { } host && permissions.Network.All(one => Literal(one) is { } allowedHost && !HostFits(host, allowedHost)))
                {
                    Error("DMN112", $"permissions.network does not allow '{host}'.", Node(url)?.Location ?? at, $"add {host} to permissions.network");
                }
            }
        }

        private static string? Literal(Template template) =>
            template.Expressions.Count == 0 && template.Source.ValueKind is JsonValueKind.String ? template.Source.GetString() : null;

        private static bool IsUnder(string path, string root)
        {
            var folder = root.TrimEnd('/') + "/";
            return path == root || path.TrimEnd('/') + "/" == folder || path.StartsWith(folder, StringComparison.Ordinal);
        }

        private static string? Host(Template url)
        {
            if (url.Source.ValueKind is not JsonValueKind.String) { return null; }

            var text = url.Source.GetString()!;
            var start = text.IndexOf("://", StringComparison.Ordinal) + 3;
            if (start < 3) { return null; }

            var end = text.IndexOfAny(['/', '?', '#'], start);
            var host = end < 0 ? text[start..] : text[start..end];
            return host.Contains('$', StringComparison.Ordinal) || host.Contains('@', StringComparison.Ordinal) ? null : host.Split(':')[0].ToLowerInvariant();
        }

        private static bool HostFits(string host, string allowed) =>
            allowed == "*" || host.Equals(allowed, StringComparison.OrdinalIgnoreCase) || (allowed.StartsWith("*.", StringComparison.Ordinal) && host.EndsWith(allowed[1..], StringComparison.OrdinalIgnoreCase));

        private void Arguments(ToolStage stage, CapabilityDescriptor capability, Dictionary<string, ExpressionType> types, SourceLocation at)
        {
            if (capability.Arguments.ValueKind is not JsonValueKind.Object || !capability.Arguments.TryGetProperty("properties", out var properties)) { return; }

            foreach (var (key, template) in stage.With)
            {
                var node = Node(template);
                if (!properties.TryGetProperty(key, out var schema))
                {
                    var location = (Node(stage)?["with"] ?? Node(stage)?["http"])?.Find(key)?.KeyLocation ?? at;
                    Error("DMN121", $"{capability.Name} takes no '{key}'.", location, Fix(Nearest.To(key, properties.EnumerateObject().Select(property => property.Name))));
                }
                else if (template.Expressions.Count == 0)
                {
                    foreach (var wrong in JsonSchema.Parse(schema).Validate(template.Source)) { Error("DMN103", $"'{key}' of {capability.Name}: {wrong.Message}", node is null ? at : SourceMap.At(node, wrong.Pointer).Location); }
                }
                else if (Types.OfShape(schema) is not ExpressionType.Any and var wanted && types[key] is not ExpressionType.Any and var found && wanted != found)
                {
                    Error("DMN103", $"'{key}' of {capability.Name} is {Types.Named(wanted)}, and this is {Types.Named(found)}.", node?.Location ?? at);
                }
            }

            if (!capability.Arguments.TryGetProperty("required", out var required)) { return; }

            foreach (var key in required.EnumerateArray().Select(one => one.GetString()!).Where(key => !stage.With.ContainsKey(key)))
            {
                Error("DMN121", $"{capability.Name} needs '{key}'.", at, $"add with: {{{key}: ...}}");
            }
        }

        // Least that the run costs: agents that are asked on every way through the daemon, once, with the text that is written in the file.
        private void Budgets()
        {
            if (daemon.Budget is not { } budget) { return; }

            var always = daemon.Stages.Where(stage => stage.Common.If is null).ToArray();
            var agents = always.OfType<AgentStage>().ToArray();
            var characters = agents.Sum(agent => (long)Written(agent.Prompt) + (agent.System?.Length ?? 0) + agent.Messages.Sum(message => Written(message.Content)));
            var least = Math.Ceiling(context.AgentCreditsPer1000Characters * characters / 1000m * 10_000m) / 10_000m;
            var location = always.Length == 0 ? new SourceLocation(1, 1) : always[0].Common.Location;
            if (budget.Credits is { } credits && credits < least) { Error("DMN115", FormattableString.Invariant($"The budget of {credits} credits is below the least that the run costs, {least} credits."), BudgetLocation("credits") ?? location); }

            if (budget.Usd is { } usd && usd * context.CreditsPerUsd < least) { Error("DMN115", FormattableString.Invariant($"The budget of {usd} USD is below the least that the run costs, {least / context.CreditsPerUsd} USD."), BudgetLocation("usd") ?? location); }

            if (budget.Tokens is { } tokens && tokens < agents.Length) { Error("DMN115", $"The budget of {tokens} tokens is below what {agents.Length} agent stages need.", BudgetLocation("tokens") ?? location); }

            var calls = always.Count(stage => stage is ToolStage);
            if (budget.ToolCalls is { } most && most < calls) { Error("DMN115", $"The budget of {most} tool calls is below the {calls} that every run makes.", BudgetLocation("tool_calls") ?? location); }
        }

        private SourceLocation? BudgetLocation(string key) => daemon.Budget is { } budget ? Node(budget)?[key]?.Location : null;

        private static int Written(Template? template) => template is { Source.ValueKind: JsonValueKind.String } text && text.Expressions.Count == 0 ? text.Source.GetString()!.Length : 0;
    }
}
