using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Platform.Domain.Daemons.Format;

/// <summary>A YAML text read, or what keeps it from being read.</summary>
/// <param name="Root">Null where a diagnostic is an error.</param>
public sealed record YamlDocument(YamlNode? Root, IReadOnlyList<Diagnostic> Diagnostics);

/// <summary>
/// Reads the part of YAML 1.2 that is JSON with comments: one document, the core schema's scalars, text keys, no tags, no merge keys.
/// Anchors and aliases are values that occur twice; what they stand for counts against the limits each time.
/// </summary>
public static partial class YamlReader
{
    // A daemon of a hundred stages has some 50 KB; a megabyte is a mistake, or an attack on the parser.
    public const int MaxCharacters = 1 << 20;

    // Stages in stages in stages: 60 levels are some 15 of them. JSON readers stop at 64.
    public const int MaxDepth = 60;

    // Ten times what a megabyte of ordinary YAML holds; an alias bomb passes it at once.
    public const int MaxNodes = 100_000;

    // Longer than any number that a double or a decimal can hold.
    public const int MaxNumberCharacters = 64;

    public static YamlDocument Read(string text)
    {
        if (text.Length > MaxCharacters)
        {
            return Refused("DMN002", $"The file has {text.Length} characters; at most {MaxCharacters} are read.", new SourceLocation(1, 1));
        }

        if (text.StartsWith('\uFEFF')) { text = text[1..]; }

        if (UnreadableAt(text) is var unreadable and >= 0)
        {
            return Refused("DMN001", $"The character U+{(int)text[unreadable]:X4} does not belong in a text file.", LocationOf(text, unreadable));
        }

        var reading = new Reading(text);
        try
        {
            var root = reading.Document();
            return new YamlDocument(reading.Diagnostics.Count == 0 ? root : null, reading.Diagnostics);
        }
        catch (RefusedException refused)
        {
            return new YamlDocument(null, [.. reading.Diagnostics, refused.Diagnostic]);
        }
        catch (YamlException malformed)
        {
            return Refused("DMN001", $"This is not YAML: {Sentence(malformed.Message)}", At(malformed.Start));
        }
        catch (Exception fault) when (fault is ArgumentException or InvalidOperationException or IndexOutOfRangeException or FormatException or OverflowException or NullReferenceException)
        {
            // The YAML library's scanner answers some broken texts with these instead of its own exception.
            return Refused("DMN001", "This is not YAML.", new SourceLocation(1, 1));
        }
    }

    private static YamlDocument Refused(string code, string message, SourceLocation location) =>
        new(null, [new Diagnostic(Severity.Error, code, message, location)]);

    private static SourceLocation At(Mark mark) => new((int)Math.Max(1, mark.Line), (int)Math.Max(1, mark.Column));

    private static string Sentence(string message)
    {
        var trimmed = message.Trim();
        return trimmed.EndsWith('.') ? trimmed : trimmed + ".";
    }

    private static SourceLocation LocationOf(string text, int index)
    {
        var lineStart = index == 0 ? -1 : text.LastIndexOf('\n', index - 1);
        return new SourceLocation(text.AsSpan(0, index).Count('\n') + 1, index - lineStart);
    }

    private static int UnreadableAt(string text)
    {
        for (var index = 0; index < text.Length; index++)
        {
            var c = text[index];
            if (char.IsHighSurrogate(c) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
            {
                index++;
            }
            else if (char.IsSurrogate(c) || (char.IsControl(c) && c is not ('\t' or '\n' or '\r')))
            {
                return index;
            }
        }

        return -1;
    }

    [GeneratedRegex(@"^[-+]?[0-9]+$", RegexOptions.CultureInvariant)]
    private static partial Regex Integer { get; }

    [GeneratedRegex(@"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?$", RegexOptions.CultureInvariant)]
    private static partial Regex Float { get; }

    [GeneratedRegex(@"^(0o[0-7]{1,21}|0x[0-9a-fA-F]{1,16})$", RegexOptions.CultureInvariant)]
    private static partial Regex OtherBase { get; }

    [GeneratedRegex(@"^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$", RegexOptions.CultureInvariant)]
    private static partial Regex NotFinite { get; }

    private sealed class RefusedException(Diagnostic diagnostic) : FormatException
    {
        public Diagnostic Diagnostic { get; } = diagnostic;
    }

    private sealed class Reading(string text)
    {
        private readonly Parser parser = new(new Scanner(new StringReader(text), skipComments: true));
        private readonly Dictionary<string, YamlNode> anchors = [];
        private long nodes;

        public List<Diagnostic> Diagnostics { get; } = [];

        public YamlNode Document()
        {
            Next();
            Next();
            if (parser.Current is StreamEnd or null)
            {
                throw Refuse("DMN001", "The file is empty.", new SourceLocation(1, 1));
            }

            Next();
            var root = Node(1);
            Next();
            Next();
            if (parser.Current is DocumentStart another)
            {
                throw Refuse("DMN001", "A daemon is one YAML document; here a second one begins.", At(another.Start));
            }

            return root;
        }

        private void Next() => parser.MoveNext();

        private static RefusedException Refuse(string code, string message, SourceLocation location) =>
            new(new Diagnostic(Severity.Error, code, message, location));

        // Reads the node that the current event begins, and leaves the parser on the node's last event.
        private YamlNode Node(int depth)
        {
            var location = At(parser.Current!.Start);
            if (depth > MaxDepth) { throw Refuse("DMN002", $"Nested more than {MaxDepth} levels deep.", location); }

            Count(1, location);
            if (parser.Current is AnchorAlias alias)
            {
                if (!anchors.TryGetValue(alias.Value.Value, out var target))
                {
                    throw Refuse("DMN004", $"The alias *{alias.Value.Value} stands for nothing that is complete here.", location);
                }

                if (depth + target.Depth - 1 > MaxDepth) { throw Refuse("DMN002", $"Nested more than {MaxDepth} levels deep.", location); }

                Count(target.Count - 1, location);
                return target;
            }

            if (parser.Current is not NodeEvent node) { throw Refuse("DMN001", "A value is missing here.", location); }

            if (!node.Tag.IsEmpty)
            {
                throw Refuse("DMN004", $"Tags have no meaning in a daemon; remove {node.Tag}.", location);
            }

            var anchor = node.Anchor;
            var read = node switch
            {
                Scalar scalar => Value(scalar, location),
                SequenceStart => List(location, depth),
                MappingStart => Map(location, depth),
                _ => throw Refuse("DMN001", "A value is missing here.", location),
            };
            if (!anchor.IsEmpty) { anchors[anchor.Value] = read; }

            return read;
        }

        private void Count(long more, SourceLocation location)
        {
            nodes += more;
            if (nodes > MaxNodes) { throw Refuse("DMN002", $"More than {MaxNodes} values, aliases expanded.", location); }
        }

        private YamlNode List(SourceLocation location, int depth)
        {
            var items = new List<YamlNode>();
            for (Next(); parser.Current is not SequenceEnd; Next()) { items.Add(Node(depth + 1)); }

            return YamlNode.List(items, location);
        }

        private YamlNode Map(SourceLocation location, int depth)
        {
            var members = new List<YamlMember>();
            var first = new Dictionary<string, SourceLocation>();
            for (Next(); parser.Current is not MappingEnd; Next())
            {
                var keyLocation = At(parser.Current!.Start);
                if (parser.Current is not Scalar { Tag.IsEmpty: true } key)
                {
                    throw Refuse("DMN004", "A key must be plain text.", keyLocation);
                }

                if (!key.Anchor.IsEmpty) { throw Refuse("DMN004", "A key takes no anchor.", keyLocation); }

                if (UnreadableAt(key.Value) >= 0) { throw Refuse("DMN004", "A key must be printable text.", keyLocation); }

                if (!first.TryAdd(key.Value, keyLocation))
                {
                    Diagnostics.Add(new Diagnostic(Severity.Error, "DMN003", $"The key '{key.Value}' stands here for the second time; the first is at {first[key.Value]}.", keyLocation));
                }

                Next();
                members.Add(new YamlMember(key.Value, keyLocation, Node(depth + 1)));
            }

            return YamlNode.Map(members, location);
        }

        private YamlNode Value(Scalar scalar, SourceLocation location)
        {
            var start = (int)Math.Clamp(scalar.Start.Index, 0, text.Length);
            var end = (int)Math.Clamp(scalar.End.Index, start, text.Length);
            var value = scalar.Value;
            var (kind, json) = scalar.Style is ScalarStyle.Plain ? Plain(value, location) : (JsonValueKind.String, value);
            for (var index = 0; index < json.Length; index++)
            {
                if (!char.IsSurrogate(json[index])) { continue; }

                if (char.IsHighSurrogate(json[index]) && index + 1 < json.Length && char.IsLowSurrogate(json[index + 1]))
                {
                    index++;
                    continue;
                }

                throw Refuse("DMN001", "This text holds half a character (a lone surrogate).", location);
            }

            return YamlNode.Scalar(kind, json, location, text, start, end, scalar.Style);
        }

        // YAML 1.2.2 section 10.3.2, the core schema.
        private static (JsonValueKind Kind, string Text) Plain(string value, SourceLocation location)
        {
            switch (value)
            {
                case "" or "~" or "null" or "Null" or "NULL": return (JsonValueKind.Null, "");
                case "true" or "True" or "TRUE": return (JsonValueKind.True, "");
                case "false" or "False" or "FALSE": return (JsonValueKind.False, "");
                default: break;
            }

            if (value[0] is not ((>= '0' and <= '9') or '-' or '+' or '.')) { return (JsonValueKind.String, value); }

            if (NotFinite.IsMatch(value)) { throw Refuse("DMN004", $"{value} is no number that JSON has; write it in quotes if text is meant.", location); }

            if (OtherBase.IsMatch(value))
            {
                var number = value[1] == 'x'
                    ? ulong.Parse(value.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture)
                    : value.AsSpan(2).ToArray().Aggregate(0UL, (sum, digit) => (sum << 3) + (ulong)(digit - '0'));
                return (JsonValueKind.Number, number.ToString(CultureInfo.InvariantCulture));
            }

            if (!Integer.IsMatch(value) && !Float.IsMatch(value)) { return (JsonValueKind.String, value); }

            if (value.Length > MaxNumberCharacters) { throw Refuse("DMN002", $"A number of more than {MaxNumberCharacters} characters; write it in quotes if text is meant.", location); }

            return (JsonValueKind.Number, JsonNumber(value));
        }

        // JSON wants no leading plus, no leading zeros, and digits on both sides of the point.
        private static string JsonNumber(string value)
        {
            var sign = value[0] == '-' ? "-" : "";
            var rest = value.TrimStart('-', '+');
            var exponentAt = rest.IndexOfAny(['e', 'E']);
            var exponent = exponentAt < 0 ? "" : rest[exponentAt..];
            var mantissa = exponentAt < 0 ? rest : rest[..exponentAt];
            var parts = mantissa.Split('.');
            var whole = parts[0].TrimStart('0');
            var fraction = parts.Length > 1 && parts[1].Length > 0 ? "." + parts[1] : "";
            return $"{sign}{(whole.Length == 0 ? "0" : whole)}{fraction}{exponent}";
        }
    }
}
