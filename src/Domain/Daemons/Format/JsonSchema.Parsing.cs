using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Platform.Domain.Daemons.Format;

public sealed partial class JsonSchema
{
    private static readonly HashSet<string> Annotations =
    [
        "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
        "contentEncoding", "contentMediaType", "contentSchema", "$comment", "$schema", "$vocabulary",
    ];

    private static readonly string[] Keywords =
    [
        "type", "enum", "const", "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
        "maxProperties", "dependentRequired", "dependentSchemas", "items", "prefixItems", "contains", "minContains", "maxContains",
        "minItems", "maxItems", "uniqueItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
        "maxLength", "pattern", "format", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "$ref", "$defs", "definitions", "$id",
    ];

    private sealed class Parsing(JsonElement source)
    {
        private readonly Dictionary<string, Node> byPointer = [];
        private readonly Queue<(Node Node, string Reference, string Pointer)> references = [];

        public Node Root()
        {
            var root = Schema(source, "", 1);
            while (references.TryDequeue(out var waiting))
            {
                waiting.Node.Reference = Referenced(waiting.Reference, waiting.Pointer);
            }

            return root;
        }

        private static JsonSchemaException Wrong(string pointer, string message, string keyword, string? suggestion = null) =>
            new(new SchemaError(pointer, message, keyword, suggestion));

        private Node Referenced(string reference, string pointer)
        {
            if (!reference.StartsWith('#')) { throw Wrong(pointer, $"'{reference}' refers to another document; only references within the schema (#/$defs/...) are supported.", "$ref"); }

            var target = Uri.UnescapeDataString(reference[1..]);
            if (target.Length > 0 && target[0] != '/') { throw Wrong(pointer, $"'{reference}' refers to an anchor; only JSON Pointers (#/$defs/...) are supported.", "$ref"); }

            if (byPointer.TryGetValue(target, out var known)) { return known; }

            var element = source;
            foreach (var segment in target.Split('/').Skip(1).Select(segment => segment.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)))
            {
                var found = element.ValueKind switch
                {
                    JsonValueKind.Object => element.TryGetProperty(segment, out element),
                    JsonValueKind.Array when int.TryParse(segment, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < element.GetArrayLength() => Entry(ref element, index),
                    JsonValueKind.Array or JsonValueKind.Undefined or JsonValueKind.String or JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null or _ => false,
                };
                if (!found) { throw Wrong(pointer, $"'{reference}' leads nowhere in the schema.", "$ref"); }
            }

            return Schema(element, target, 1);
        }

        private static bool Entry(ref JsonElement element, int index)
        {
            element = element[index];
            return true;
        }

        private Node Schema(JsonElement element, string pointer, int depth)
        {
            if (byPointer.Count >= MaxSchemas) { throw Wrong(pointer, $"More than {MaxSchemas} schemas in one.", ""); }

            if (depth > MaxDepth) { throw Wrong(pointer, $"Nested more than {MaxDepth} levels deep.", ""); }

            if (byPointer.TryGetValue(pointer, out var known)) { return known; }

            var node = new Node();
            byPointer[pointer] = node;
            if (element.ValueKind is JsonValueKind.True or JsonValueKind.False)
            {
                node.Constant = element.ValueKind is JsonValueKind.True;
                return node;
            }

            if (element.ValueKind is not JsonValueKind.Object) { throw Wrong(pointer, $"A schema is a mapping, true or false, not {Shown(element)}.", ""); }

            foreach (var member in element.EnumerateObject())
            {
                Keyword(node, member.Name, member.Value, $"{pointer}/{Escaped(member.Name)}", depth);
            }

            return node;
        }

        private void Keyword(Node node, string name, JsonElement value, string pointer, int depth)
        {
            switch (name)
            {
                case "type": node.Type = TypeNames(value, pointer); break;
                case "enum": node.Enum = [.. List(value, pointer, name)]; break;
                case "const": node.Const = value; break;
                case "$ref": references.Enqueue((node, Text(value, pointer, name), pointer)); break;
                case "$defs" or "definitions":
                    foreach (var definition in Members(value, pointer, name)) { Schema(definition.Value, $"{pointer}/{Escaped(definition.Name)}", depth + 1); }

                    break;
                case "properties":
                    foreach (var property in Members(value, pointer, name)) { node.Properties[property.Name] = Schema(property.Value, $"{pointer}/{Escaped(property.Name)}", depth + 1); }

                    break;
                case "patternProperties":
                    node.PatternProperties = [.. Members(value, pointer, name).Select(member => (Pattern(member.Name, pointer), Schema(member.Value, $"{pointer}/{Escaped(member.Name)}", depth + 1)))];
                    break;
                case "additionalProperties": node.AdditionalProperties = Schema(value, pointer, depth + 1); break;
                case "propertyNames": node.PropertyNames = Schema(value, pointer, depth + 1); break;
                case "required": node.Required = Texts(value, pointer, name); break;
                case "dependentRequired":
                    node.DependentRequired = [.. Members(value, pointer, name).Select(member => (member.Name, Texts(member.Value, pointer, name)))];
                    break;
                case "dependentSchemas":
                    node.DependentSchemas = [.. Members(value, pointer, name).Select(member => (member.Name, Schema(member.Value, $"{pointer}/{Escaped(member.Name)}", depth + 1)))];
                    break;
                case "minProperties": node.MinProperties = Size(value, pointer, name); break;
                case "maxProperties": node.MaxProperties = Size(value, pointer, name); break;
                case "prefixItems": node.PrefixItems = Schemas(value, pointer, name, depth); break;
                case "items" when value.ValueKind is JsonValueKind.Array:
                    throw Wrong(pointer, "'items' takes one schema; a list of schemas is 'prefixItems' since 2020-12.", name, "prefixItems");
                case "items": node.Items = Schema(value, pointer, depth + 1); break;
                case "contains": node.Contains = Schema(value, pointer, depth + 1); break;
                case "minContains": node.MinContains = Size(value, pointer, name); break;
                case "maxContains": node.MaxContains = Size(value, pointer, name); break;
                case "minItems": node.MinItems = Size(value, pointer, name); break;
                case "maxItems": node.MaxItems = Size(value, pointer, name); break;
                case "uniqueItems": node.UniqueItems = Flag(value, pointer, name); break;
                case "minLength": node.MinLength = Size(value, pointer, name); break;
                case "maxLength": node.MaxLength = Size(value, pointer, name); break;
                case "pattern":
                    node.PatternText = Text(value, pointer, name);
                    node.Pattern = Pattern(node.PatternText, pointer);
                    break;
                case "format": node.Format = Text(value, pointer, name); break;
                case "minimum": node.Minimum = Number(value, pointer, name); break;
                case "maximum": node.Maximum = Number(value, pointer, name); break;
                case "exclusiveMinimum": node.ExclusiveMinimum = Number(value, pointer, name); break;
                case "exclusiveMaximum": node.ExclusiveMaximum = Number(value, pointer, name); break;
                case "multipleOf":
                    node.MultipleOf = Number(value, pointer, name);
                    if (value.GetDouble() <= 0) { throw Wrong(pointer, "'multipleOf' must be more than 0.", name); }

                    break;
                case "allOf": node.AllOf = Branches(value, pointer, name, depth); break;
                case "anyOf": node.AnyOf = Branches(value, pointer, name, depth); break;
                case "oneOf": node.OneOf = Branches(value, pointer, name, depth); break;
                case "not": node.Not = Schema(value, pointer, depth + 1); break;
                case "if": node.If = Schema(value, pointer, depth + 1); break;
                case "then": node.Then = Schema(value, pointer, depth + 1); break;
                case "else": node.Else = Schema(value, pointer, depth + 1); break;
                case "title": node.Title = value.ValueKind is JsonValueKind.String ? value.GetString() : null; break;
                case "description": node.Title ??= value.ValueKind is JsonValueKind.String ? value.GetString() : null; break;
                case "$id" when depth == 1: break;
                default:
                    if (Annotations.Contains(name) || name.StartsWith("x-", StringComparison.Ordinal)) { break; }

                    var meant = Nearest.To(name, Keywords);
                    throw Wrong(pointer, $"The keyword '{name}' is not supported in a schema{(meant is null ? "." : $"; did you mean '{meant}'?")}", name, meant);
            }
        }

        private static Types TypeNames(JsonElement value, string pointer)
        {
            if (value.ValueKind is JsonValueKind.Array && value.GetArrayLength() > 0)
            {
                return value.EnumerateArray().Aggregate(Types.None, (types, entry) => types | TypeName(entry, pointer));
            }

            return TypeName(value, pointer);
        }

        private static Types TypeName(JsonElement value, string pointer)
        {
            var name = Text(value, pointer, "type");
            return name switch
            {
                "null" => Types.Null,
                "boolean" => Types.Boolean,
                "integer" => Types.Integer,
                "number" => Types.Number | Types.Integer,
                "string" => Types.String,
                "array" => Types.Array,
                "object" => Types.Object,
                _ => throw Wrong(pointer, $"'{name}' is no type of JSON Schema: object, array, string, number, integer, boolean, null.", "type", Nearest.To(name, ["null", "boolean", "integer", "number", "string", "array", "object"])),
            };
        }

        private static Regex Pattern(string pattern, string pointer)
        {
            if (pattern.Length > MaxPatternCharacters) { throw Wrong(pointer, $"A pattern of more than {MaxPatternCharacters} characters.", "pattern"); }

            try
            {
                return Compile(pattern);
            }
            catch (ArgumentException malformed)
            {
                throw Wrong(pointer, $"'{pattern}' is no regular expression: {malformed.Message}", "pattern");
            }
            catch (NotSupportedException)
            {
                throw Wrong(pointer, $"'{pattern}' is not supported: patterns are matched without backtracking, so without look-around and back-references, and with small repetition counts.", "pattern");
            }
        }

        private static string Text(JsonElement value, string pointer, string keyword) =>
            value.ValueKind is JsonValueKind.String ? value.GetString()! : throw Wrong(pointer, $"'{keyword}' must be text, not {Shown(value)}.", keyword);

        private static JsonElement Number(JsonElement value, string pointer, string keyword) =>
            value.ValueKind is JsonValueKind.Number ? value : throw Wrong(pointer, $"'{keyword}' must be a number, not {Shown(value)}.", keyword);

        private static bool Flag(JsonElement value, string pointer, string keyword) =>
            value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.ValueKind is JsonValueKind.True : throw Wrong(pointer, $"'{keyword}' must be true or false, not {Shown(value)}.", keyword);

        // A size may be written 2.0.
        private static long Size(JsonElement value, string pointer, string keyword) =>
            value.ValueKind is JsonValueKind.Number && JsonNumbers.IsInteger(value) && value.GetDouble() is >= 0 and < 1e15 and var size
                ? (long)size
                : throw Wrong(pointer, $"'{keyword}' must be a whole number from 0, not {Shown(value)}.", keyword);

        private static JsonElement.ArrayEnumerator List(JsonElement value, string pointer, string keyword) =>
            value.ValueKind is JsonValueKind.Array ? value.EnumerateArray() : throw Wrong(pointer, $"'{keyword}' must be a list, not {Shown(value)}.", keyword);

        private static JsonElement.ObjectEnumerator Members(JsonElement value, string pointer, string keyword) =>
            value.ValueKind is JsonValueKind.Object ? value.EnumerateObject() : throw Wrong(pointer, $"'{keyword}' must be a mapping, not {Shown(value)}.", keyword);

        private static string[] Texts(JsonElement value, string pointer, string keyword) =>
            [.. List(value, pointer, keyword).Select(entry => Text(entry, pointer, keyword))];

        private Node[] Schemas(JsonElement value, string pointer, string keyword, int depth) =>
            [.. List(value, pointer, keyword).Select((entry, index) => Schema(entry, $"{pointer}/{index}", depth + 1))];

        private Node[] Branches(JsonElement value, string pointer, string keyword, int depth)
        {
            var branches = Schemas(value, pointer, keyword, depth);
            return branches.Length > 0 ? branches : throw Wrong(pointer, $"'{keyword}' needs at least one schema.", keyword);
        }
    }
}
