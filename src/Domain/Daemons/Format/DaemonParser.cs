using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Daemons.Format;

/// <summary>A daemon's file as read.</summary>
/// <param name="Definition">Null where the file has not the format's shape. With errors in <paramref name="Diagnostics"/> it may still be there, for showing; it is run only where <see cref="HasErrors"/> is false.</param>
public sealed record DaemonParseResult(DaemonDefinition? Definition, IReadOnlyList<Diagnostic> Diagnostics)
{
    public bool HasErrors => Diagnostics.Any(diagnostic => diagnostic.Severity is Severity.Error);

    internal SourceMap Source { get; init; } = new();
}

/// <summary>Where the parts of a definition stand in their file.</summary>
internal sealed class SourceMap
{
    private readonly Dictionary<object, (YamlNode Node, int Shift)> places = new(ReferenceEqualityComparer.Instance);

    public void Add(object part, YamlNode node, int shift = 0) => places[part] = (node, shift);

    public YamlNode? NodeOf(object part) => places.TryGetValue(part, out var place) ? place.Node : null;

    /// <param name="part">The template or condition that holds the expression.</param>
    public SourceLocation LocationOf(object part, Expression expression, int offset)
    {
        if (!places.TryGetValue(part, out var place)) { return new SourceLocation(1, 1); }

        var node = At(place.Node, expression.Pointer);
        return node.LocationAt(Math.Max(0, expression.Start + offset - place.Shift));
    }

    public static YamlNode At(YamlNode node, string pointer)
    {
        foreach (var segment in pointer.Split('/').Skip(1).Select(segment => segment.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)))
        {
            var next = node.Kind is JsonValueKind.Array && int.TryParse(segment, out var index) && index >= 0 && index < node.Items.Count ? node.Items[index] : node[segment];
            if (next is null) { return node; }

            node = next;
        }

        return node;
    }
}

/// <summary>Reads a daemon's file: YAML, the schema, then what the schema cannot say. Pure and bounded; whatever the text, the answer is a result.</summary>
public static partial class DaemonParser
{
    /// <summary>The file as bytes: UTF-8, strictly.</summary>
    public static DaemonParseResult Parse(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return Parse(new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(utf8), Convert.ToHexStringLower(SHA256.HashData(utf8)));
        }
        catch (DecoderFallbackException)
        {
            return new DaemonParseResult(null, [new Diagnostic(Severity.Error, "DMN001", "The file is not UTF-8 text.", new SourceLocation(1, 1))]);
        }
    }

    public static DaemonParseResult Parse(string yaml) => Parse(yaml, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(yaml))));

    private static DaemonParseResult Parse(string yaml, string hash)
    {
        var document = YamlReader.Read(yaml);
        if (document.Root is not { } root) { return new DaemonParseResult(null, document.Diagnostics); }

        var violations = DaemonSchema.Schema.Validate(root.ToJson());
        if (violations.Count > 0) { return new DaemonParseResult(null, [.. violations.Select(violation => Told(root, violation))]); }

        var reading = new Reading(hash);
        var definition = reading.Daemon(root);
        return new DaemonParseResult(definition, reading.Sorted()) { Source = reading.Source };
    }

    // A schema error, at its key where the key is what is wrong, with the stage that it is in.
    private static Diagnostic Told(YamlNode root, SchemaError violation)
    {
        var node = root;
        var location = root.Location;
        string? stage = null;
        var inStages = false;
        foreach (var segment in violation.Pointer.Split('/').Skip(1).Select(segment => segment.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)))
        {
            if (node.Kind is JsonValueKind.Array && int.TryParse(segment, out var index) && index < node.Items.Count)
            {
                node = node.Items[index];
                location = node.Location;
                if (inStages && node.Kind is JsonValueKind.Object)
                {
                    stage = node["name"] is { Kind: JsonValueKind.String } name ? name.Text : node["id"] is { Kind: JsonValueKind.String } id ? id.Text : stage;
                }
            }
            else if (node.Find(segment) is { } member)
            {
                inStages = segment is "stages" or "do" or "then" or "else" or "fallback" or "on_error" or "finally" or "parallel";
                node = member.Value;
                location = violation.Keyword is "additionalProperties" or "propertyNames" ? member.KeyLocation : node.Location;
            }
        }

        var message = stage is null ? violation.Message : $"Stage '{stage}': {char.ToLowerInvariant(violation.Message[0])}{violation.Message[1..]}";
        return new Diagnostic(
            Severity.Error,
            violation.Keyword is "additionalProperties" ? "DMN011" : "DMN010",
            message,
            location,
            violation.Suggestion is null ? null : $"write '{violation.Suggestion}'");
    }

    [GeneratedRegex("[^a-z0-9]+", RegexOptions.CultureInvariant)]
    private static partial Regex NotInSlug { get; }

    /// <summary>The kinds of stages and the keys that only they have.</summary>
    private static readonly (string Kind, string Key, string[] Own)[] Kinds =
    [
        ("hybrid", "", ["agent", "prompt", "prompt_template", "system", "agent_role", "tools", "max_steps", "messages", "files", "working_directory", "script", "runtime", "image", "sandbox", "exit_codes"]),
        ("agent", "agent", ["agent", "prompt", "prompt_template", "system", "agent_role", "tools", "max_steps", "messages", "files", "working_directory"]),
        ("script", "script", ["script", "runtime", "image", "sandbox", "exit_codes", "env", "working_directory"]),
        ("tool", "tool", ["tool", "with", "undo", "idempotency_key"]),
        ("http", "http", ["http", "undo", "idempotency_key"]),
        ("foreach", "foreach", ["foreach", "as", "index", "parallelism", "rate", "on_item_error", "do"]),
        ("parallel", "parallel", ["parallel", "join"]),
        ("switch", "switch", ["switch"]),
        ("if", "then", ["then", "else"]),
        ("approval", "approval", ["approval"]),
        ("wait", "wait", ["wait"]),
        ("daemon", "daemon", ["daemon", "version", "detach", "with"]),
        ("mail", "mail", ["mail", "undo", "idempotency_key"]),
        ("crm", "crm", ["crm", "undo", "idempotency_key"]),
        ("search", "search", ["search"]),
        ("set", "set", ["set"]),
        ("emit", "emit", ["emit"]),
        ("raise", "raise", ["raise"]),
    ];

    private static readonly HashSet<string> CommonKeys =
    [
        "id", "name", "description", "type", "if", "needs", "input", "output", "retry", "timeout", "fallback", "on_error", "budget", "permissions", "cache", "approve", "env",
    ];

    // Kinds that do work which can be tried again; the daemon's defaults for retry, timeout and on_error are theirs.
    private static readonly HashSet<string> WorkKinds = ["agent", "script", "tool", "http"];

    private static readonly HashSet<string> SupportedKinds = ["agent", "script", "tool", "http", "foreach", "switch", "if", "set", "emit", "raise"];

    private static readonly string[] Runtimes = ["sh", "bash", "python", "node"];
}
