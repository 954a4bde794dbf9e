using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Daemons.Format;

/// <summary>What an installation offers, so that a daemon can be checked against it.</summary>
/// <param name="Agents">Names of models that are answered here, for example <c>local</c>.</param>
public sealed record CheckContext(IReadOnlyList<CapabilityDescriptor> Capabilities, IReadOnlyCollection<string> Agents)
{
    /// <summary>Credits for 1000 characters sent to the cheapest agent; what a budget is compared with.</summary>
    public decimal AgentCreditsPer1000Characters { get; init; } = 0.01m;

    /// <summary>Credits that a budget of one dollar is held to.</summary>
    public decimal CreditsPerUsd { get; init; } = 100m;
}

/// <summary>
/// Finds what is wrong with a daemon before it runs: names, types, order, permissions, money. Pure; says the same of the same file.
/// The rules and their codes are in docs/daemon-format.md.
/// </summary>
public static partial class DaemonChecker
{
    /// <returns>What the parser said and what is found here, in the file's order.</returns>
    public static IReadOnlyList<Diagnostic> Check(DaemonParseResult parsed, CheckContext context)
    {
        if (parsed.Definition is not { } daemon) { return parsed.Diagnostics; }

        var checking = new Checking(daemon, parsed.Source, context);
        checking.All();
        return
        [
            .. parsed.Diagnostics.Concat(checking.Found).Distinct()
                .OrderBy(diagnostic => diagnostic.Location.Line).ThenBy(diagnostic => diagnostic.Location.Column).ThenBy(diagnostic => diagnostic.Code, StringComparer.Ordinal),
        ];
    }

    /// <summary>Names that always mean the run's own things.</summary>
    private static readonly HashSet<string> Reserved = ["inputs", "vars", "run", "stages", "now", "env", "error", "output"];

    /// <summary>What is known of a name at one place of the file.</summary>
    /// <param name="Shape">A JSON Schema; null: unknown.</param>
    /// <param name="Certain">It is set on every way that leads here.</param>
    private sealed record Known(JsonElement? Shape, bool Certain, bool ByOutput);

    /// <summary>The names visible at one place; copied where ways part.</summary>
    private sealed class Names
    {
        public Dictionary<string, Known> Values { get; private init; } = [];

        /// <summary>Stages before this place, with the shape of their output.</summary>
        public Dictionary<string, JsonElement?> Stages { get; private init; } = [];

        public Names Copy() => new() { Values = new(Values), Stages = new(Stages) };

        /// <summary>What is known after one of several ways was taken.</summary>
        public void Become(IReadOnlyList<Names> ways)
        {
            if (ways.Count == 0) { return; }

            var all = ways.SelectMany(way => way.Values.Keys).Distinct().ToArray();
            var merged = new Dictionary<string, Known>();
            foreach (var name in all)
            {
                var known = ways.Select(way => way.Values.GetValueOrDefault(name)).ToArray();
                var first = known.First(one => one is not null)!;
                merged[name] = new Known(
                    known.All(one => one is not null && ReferenceEquals(one, first)) ? first.Shape : known.All(one => one?.Shape is { } shape && first.Shape is { } same && JsonElement.DeepEquals(shape, same)) ? first.Shape : null,
                    known.All(one => one is { Certain: true }),
                    first.ByOutput);
            }

            Values.Clear();
            foreach (var (name, known) in merged) { Values[name] = known; }

            foreach (var (id, shape) in ways.SelectMany(way => way.Stages)) { Stages[id] = shape; }
        }
    }

    /// <summary>Types by the schemas of the names.</summary>
    private sealed class Types(Func<string, IReadOnlyList<string>, JsonElement?> shapeOf) : ITypeScope
    {
        public ExpressionType TypeOf(string name, IReadOnlyList<string> path) => OfShape(shapeOf(name, path));

        public static ExpressionType OfShape(JsonElement? shape)
        {
            if (shape is not { ValueKind: JsonValueKind.Object } schema) { return ExpressionType.Any; }

            if (schema.TryGetProperty("type", out var type))
            {
                return type.ValueKind is not JsonValueKind.String ? ExpressionType.Any : type.GetString() switch
                {
                    "string" => ExpressionType.String,
                    "integer" or "number" => ExpressionType.Number,
                    "boolean" => ExpressionType.Bool,
                    "array" => ExpressionType.List,
                    "object" => ExpressionType.Map,
                    "null" => ExpressionType.Null,
                    _ => ExpressionType.Any,
                };
            }

            if (schema.TryGetProperty("enum", out var options) && options.ValueKind is JsonValueKind.Array && options.GetArrayLength() > 0 && options.EnumerateArray().All(option => option.ValueKind is JsonValueKind.String))
            {
                return ExpressionType.String;
            }

            return ExpressionType.Any;
        }

        public static string Named(ExpressionType type) => type switch
        {
            ExpressionType.Any => "anything",
            ExpressionType.Null => "null",
            ExpressionType.Bool => "true or false",
            ExpressionType.Number => "a number",
            ExpressionType.String => "text",
            ExpressionType.List => "a list",
            ExpressionType.Map => "a map",
        };
    }

    private sealed class NoNames : IScope
    {
        public DateTimeOffset Now => DateTimeOffset.UnixEpoch;

        public bool TryGet(string name, out JsonElement value)
        {
            value = default;
            return false;
        }
    }
}
