using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Platform.Domain.Daemons.Format;

/// <summary>One way in which a value does not fit, or in which a schema is none.</summary>
/// <param name="Pointer">JSON Pointer (RFC 6901) into the value; into the schema for an error of the schema itself. Empty: the whole.</param>
/// <param name="Message">A sentence for the author of the value.</param>
/// <param name="Keyword">The schema's keyword that refuses.</param>
/// <param name="Suggestion">For an unknown key: the known one that was probably meant.</param>
public sealed record SchemaError(string Pointer, string Message, string Keyword = "", string? Suggestion = null);

/// <summary>The value handed to <see cref="JsonSchema.Parse"/> is no schema that is supported.</summary>
public sealed class JsonSchemaException(SchemaError error) : Exception($"{error.Pointer}: {error.Message}")
{
    public SchemaError Error { get; } = error;
}

/// <summary>
/// JSON Schema 2020-12, the part that daemons use. Supported, with the standard's meaning:
/// <c>true</c>, <c>false</c>; <c>type enum const</c>; <c>properties required additionalProperties patternProperties propertyNames
/// minProperties maxProperties dependentRequired dependentSchemas</c>; <c>items prefixItems contains minContains maxContains
/// minItems maxItems uniqueItems</c>; <c>minimum maximum exclusiveMinimum exclusiveMaximum multipleOf</c>; <c>minLength maxLength
/// pattern</c>; <c>anyOf oneOf allOf not if then else</c>; <c>$ref</c> by JSON Pointer within the schema, <c>$defs</c> (and
/// <c>definitions</c>); <c>format</c>, asserted for <c>date</c>, <c>date-time</c>, <c>email</c> and <c>uri</c>, an annotation otherwise.
/// Annotations (<c>title description default examples deprecated readOnly writeOnly contentEncoding contentMediaType
/// contentSchema $comment $schema $id $vocabulary</c>) and keys beginning with <c>x-</c> are passed over.
/// Every other keyword is an error of the schema, so that nothing is believed to be checked that is not:
/// <c>$anchor $dynamicRef $dynamicAnchor unevaluatedProperties unevaluatedItems</c>, a nested <c>$id</c>, a reference to another document.
/// <para>Patterns are matched without backtracking, over UTF-16 units, with ECMA-262's meaning of <c>^ $ . \d \w</c>; look-around and back-references are refused.</para>
/// </summary>
public sealed partial class JsonSchema
{
    // The daemon format's own schema has some 600; a schema of 20,000 is a mistake.
    public const int MaxSchemas = 20_000;

    // As deep as a daemon's file may be.
    public const int MaxDepth = 64;

    // A schema that refers to itself goes one level down the value a turn; one that does not would go on for ever.
    public const int MaxEvaluationDepth = 160;

    // One step a schema and value: a value of 1 MB against the daemon format takes some 200,000. anyOf in anyOf grows exponentially, and stops here.
    public const int MaxSteps = 2_000_000;

    // After so many errors a person reads no more.
    public const int MaxErrors = 50;

    public const int MaxPatternCharacters = 1_000;

    // The engine without backtracking builds its automaton while matching; beyond this many states it is refused.
    private static readonly TimeSpan PatternTimeout = TimeSpan.FromSeconds(2);

    private readonly Node root;

    private JsonSchema(JsonElement source, Node root)
    {
        Source = source;
        this.root = root;
    }

    public JsonElement Source { get; }

    /// <exception cref="JsonSchemaException">The value is no schema, or uses what is not supported; the error's pointer leads into it.</exception>
    public static JsonSchema Parse(JsonElement schema)
    {
        var parsing = new Parsing(schema);
        return new JsonSchema(schema, parsing.Root());
    }

    /// <returns>Empty where the value fits; at most <see cref="MaxErrors"/>, in the value's order.</returns>
    public IReadOnlyList<SchemaError> Validate(JsonElement instance)
    {
        var errors = new List<SchemaError>();
        var evaluation = new Evaluation();
        try
        {
            evaluation.Fits(root, instance, Place.Whole, errors, 0);
        }
        catch (LimitException limit)
        {
            return [new SchemaError("", limit.Message, "$ref")];
        }

        return errors.Count > MaxErrors ? errors[..MaxErrors] : errors;
    }

    private sealed class LimitException(string message) : InvalidOperationException(message);

    [Flags]
    private enum Types
    {
        None = 0,
        Null = 1,
        Boolean = 2,
        Integer = 4,
        Number = 8,
        String = 16,
        Array = 32,
        Object = 64,
    }

    private sealed class Node
    {
        /// <summary>What the schema <c>true</c> or <c>false</c> says; null for an object.</summary>
        public bool? Constant { get; set; }

        public string? Title { get; set; }

        public Types Type { get; set; }

        public IReadOnlyList<JsonElement>? Enum { get; set; }

        public JsonElement? Const { get; set; }

        public Node? Reference { get; set; }

        public Dictionary<string, Node> Properties { get; } = [];

        public IReadOnlyList<(Regex Pattern, Node Schema)> PatternProperties { get; set; } = [];

        public Node? AdditionalProperties { get; set; }

        public Node? PropertyNames { get; set; }

        public IReadOnlyList<string> Required { get; set; } = [];

        public IReadOnlyList<(string Key, IReadOnlyList<string> Required)> DependentRequired { get; set; } = [];

        public IReadOnlyList<(string Key, Node Schema)> DependentSchemas { get; set; } = [];

        public long MinProperties { get; set; }

        public long MaxProperties { get; set; } = long.MaxValue;

        public Node[] PrefixItems { get; set; } = [];

        public Node? Items { get; set; }

        public Node? Contains { get; set; }

        public long MinContains { get; set; } = 1;

        public long MaxContains { get; set; } = long.MaxValue;

        public long MinItems { get; set; }

        public long MaxItems { get; set; } = long.MaxValue;

        public bool UniqueItems { get; set; }

        public long MinLength { get; set; }

        public long MaxLength { get; set; } = long.MaxValue;

        public Regex? Pattern { get; set; }

        public string? PatternText { get; set; }

        public string? Format { get; set; }

        public JsonElement? Minimum { get; set; }

        public JsonElement? Maximum { get; set; }

        public JsonElement? ExclusiveMinimum { get; set; }

        public JsonElement? ExclusiveMaximum { get; set; }

        public JsonElement? MultipleOf { get; set; }

        public Node[] AllOf { get; set; } = [];

        public Node[] AnyOf { get; set; } = [];

        public Node[] OneOf { get; set; } = [];

        public Node? Not { get; set; }

        public Node? If { get; set; }

        public Node? Then { get; set; }

        public Node? Else { get; set; }
    }

    /// <summary>A way into the value, written out only where an error needs it.</summary>
    private sealed record Place(Place? Parent, string Segment)
    {
        public static readonly Place Whole = new(null, "");

        public Place Then(string segment) => new(this, segment);

        public override string ToString()
        {
            var segments = new Stack<string>();
            for (var place = this; place.Parent is not null; place = place.Parent) { segments.Push(Escaped(place.Segment)); }

            return string.Concat(segments.Select(segment => "/" + segment));
        }
    }

    internal static string Escaped(string segment) =>
        segment.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    private static Types TypeOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => Types.Null,
        JsonValueKind.True or JsonValueKind.False => Types.Boolean,
        JsonValueKind.Number => JsonNumbers.IsInteger(value) ? Types.Integer | Types.Number : Types.Number,
        JsonValueKind.String => Types.String,
        JsonValueKind.Array => Types.Array,
        JsonValueKind.Object => Types.Object,
        JsonValueKind.Undefined or _ => Types.None,
    };

    private static string Named(Types types)
    {
        var names = new List<string>();
        if (types.HasFlag(Types.Object)) { names.Add("a mapping"); }

        if (types.HasFlag(Types.Array)) { names.Add("a list"); }

        if (types.HasFlag(Types.String)) { names.Add("text"); }

        if (types.HasFlag(Types.Number)) { names.Add("a number"); }

        if (types.HasFlag(Types.Integer) && !types.HasFlag(Types.Number)) { names.Add("a whole number"); }

        if (types.HasFlag(Types.Boolean)) { names.Add("true or false"); }

        if (types.HasFlag(Types.Null)) { names.Add("null"); }

        return Either(names);
    }

    internal static string Either(IReadOnlyList<string> words) => words.Count switch
    {
        0 => "nothing",
        1 => words[0],
        _ => $"{string.Join(", ", words.Take(words.Count - 1))} or {words[^1]}",
    };

    // Values are shown short: an error is a sentence, not a copy of the file.
    internal static string Shown(JsonElement value)
    {
        const int Longest = 60;
        var text = value.ValueKind is JsonValueKind.String ? $"'{value.GetString()}'" : value.GetRawText();
        return text.Length <= Longest ? text : text[..(char.IsHighSurrogate(text[Longest - 1]) ? Longest - 1 : Longest)] + "...";
    }

    private sealed class Evaluation
    {
        private int steps;

        /// <param name="errors">Null where only the answer is wanted.</param>
        public bool Fits(Node schema, JsonElement value, Place place, List<SchemaError>? errors, int depth)
        {
            if (++steps > MaxSteps) { throw new LimitException($"Checking took more than {MaxSteps} steps; the schema branches too much for this value."); }

            if (depth > MaxEvaluationDepth) { throw new LimitException("The schema refers to itself without end."); }

            if (errors is { Count: > MaxErrors }) { return false; }

            if (schema.Constant is { } constant)
            {
                return constant || Refuse(errors, place, "false", "Nothing is allowed here.");
            }

            var fits = true;
            if (schema.Reference is { } reference) { fits = Fits(reference, value, place, errors, depth + 1); }

            var type = TypeOf(value);
            if (schema.Type is not Types.None && (schema.Type & type) is Types.None)
            {
                // What follows would only say the same again in other words.
                return Refuse(errors, place, "type", $"This must be {Named(schema.Type)}, not {Shown(value)}.{Quoted(schema.Type, type)}");
            }

            if (schema.Const is { } expected && !JsonElement.DeepEquals(expected, value))
            {
                fits = Refuse(errors, place, "const", $"This must be {Shown(expected)}, not {Shown(value)}.");
            }

            if (schema.Enum is { } options && !options.Any(option => JsonElement.DeepEquals(option, value)))
            {
                fits = Refuse(
                    errors,
                    place,
                    "enum",
                    $"This must be {Either([.. options.Select(Shown)])}, not {Shown(value)}.",
                    value.ValueKind is JsonValueKind.String ? Nearest.To(value.GetString()!, options.Where(option => option.ValueKind is JsonValueKind.String).Select(option => option.GetString()!)) : null);
            }

            fits &= value.ValueKind switch
            {
                JsonValueKind.Object => FitsObject(schema, value, place, errors, depth),
                JsonValueKind.Array => FitsArray(schema, value, place, errors, depth),
                JsonValueKind.String => FitsText(schema, value, place, errors),
                JsonValueKind.Number => FitsNumber(schema, value, place, errors),
                JsonValueKind.Undefined or JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null or _ => true,
            };
            fits &= FitsCombined(schema, value, place, errors, depth);
            return fits;
        }

        private static string Quoted(Types wanted, Types found) =>
            (wanted & Types.String) is not Types.None && (found & (Types.Number | Types.Boolean)) is not Types.None ? " Write it in quotes." : "";

        private static bool Refuse(List<SchemaError>? errors, Place place, string keyword, string message, string? suggestion = null)
        {
            errors?.Add(new SchemaError(place.ToString(), message, keyword, suggestion));
            return false;
        }

        private bool FitsObject(Node schema, JsonElement value, Place place, List<SchemaError>? errors, int depth)
        {
            var fits = true;
            var count = 0L;
            foreach (var property in value.EnumerateObject())
            {
                count++;
                var here = place.Then(property.Name);
                if (schema.PropertyNames is { } names && !Fits(names, Text(property.Name), here, null, depth + 1))
                {
                    fits = Refuse(errors, here, "propertyNames", $"The key '{property.Name}' is not allowed.");
                }

                var known = false;
                if (schema.Properties.TryGetValue(property.Name, out var own))
                {
                    known = true;
                    fits &= Fits(own, property.Value, here, errors, depth + 1);
                }

                foreach (var (pattern, patternSchema) in schema.PatternProperties)
                {
                    if (!pattern.IsMatch(property.Name)) { continue; }

                    known = true;
                    fits &= Fits(patternSchema, property.Value, here, errors, depth + 1);
                }

                if (known || schema.AdditionalProperties is not { } others) { continue; }

                if (others.Constant is false)
                {
                    var meant = Nearest.To(property.Name, schema.Properties.Keys);
                    fits = Refuse(errors, here, "additionalProperties", $"Unknown key '{property.Name}'{(meant is null ? "" : $", did you mean '{meant}'")}{(meant is null ? "." : "?")}", meant);
                }
                else
                {
                    fits &= Fits(others, property.Value, here, errors, depth + 1);
                }
            }

            foreach (var key in schema.Required)
            {
                if (!value.TryGetProperty(key, out _)) { fits = Refuse(errors, place, "required", $"The key '{key}' is missing."); }
            }

            foreach (var (key, required) in schema.DependentRequired)
            {
                if (!value.TryGetProperty(key, out _)) { continue; }

                foreach (var needed in required.Where(needed => !value.TryGetProperty(needed, out _)))
                {
                    fits = Refuse(errors, place, "dependentRequired", $"The key '{needed}' is missing; '{key}' needs it.");
                }
            }

            foreach (var (key, dependent) in schema.DependentSchemas)
            {
                if (value.TryGetProperty(key, out _)) { fits &= Fits(dependent, value, place, errors, depth + 1); }
            }

            if (count < schema.MinProperties) { fits = Refuse(errors, place, "minProperties", $"At least {schema.MinProperties} keys are needed, here are {count}."); }

            if (count > schema.MaxProperties) { fits = Refuse(errors, place, "maxProperties", $"At most {schema.MaxProperties} keys are allowed, here are {count}."); }

            return fits;
        }

        private static JsonElement Text(string text)
        {
            using var document = JsonDocument.Parse($"\"{JsonEncodedText.Encode(text)}\"");
            return document.RootElement.Clone();
        }

        private bool FitsArray(Node schema, JsonElement value, Place place, List<SchemaError>? errors, int depth)
        {
            var fits = true;
            var index = 0;
            var contained = 0L;
            foreach (var item in value.EnumerateArray())
            {
                var here = place.Then(index.ToString(CultureInfo.InvariantCulture));
                var own = index < schema.PrefixItems.Length ? schema.PrefixItems[index] : schema.Items;
                if (own is not null) { fits &= Fits(own, item, here, errors, depth + 1); }

                if (schema.Contains is { } wanted && Fits(wanted, item, here, null, depth + 1)) { contained++; }

                index++;
            }

            if (index < schema.MinItems) { fits = Refuse(errors, place, "minItems", $"At least {schema.MinItems} entries are needed, here are {index}."); }

            if (index > schema.MaxItems) { fits = Refuse(errors, place, "maxItems", $"At most {schema.MaxItems} entries are allowed, here are {index}."); }

            if (schema.Contains is not null && contained < schema.MinContains)
            {
                fits = Refuse(errors, place, "contains", $"At least {schema.MinContains} entries of the wanted form are needed, here are {contained}.");
            }

            if (schema.Contains is not null && contained > schema.MaxContains)
            {
                fits = Refuse(errors, place, "maxContains", $"At most {schema.MaxContains} entries of this form are allowed, here are {contained}.");
            }

            if (schema.UniqueItems && Twice(value) is var (first, second)) { fits = Refuse(errors, place, "uniqueItems", $"The entries {first} and {second} (counted from 0) are equal."); }

            return fits;
        }

        private (int First, int Second)? Twice(JsonElement list)
        {
            var items = list.EnumerateArray().ToArray();
            for (var second = 1; second < items.Length; second++)
            {
                for (var first = 0; first < second; first++)
                {
                    if (++steps > MaxSteps) { throw new LimitException($"The list is too long for uniqueItems: more than {MaxSteps} comparisons."); }

                    if (JsonElement.DeepEquals(items[first], items[second])) { return (first, second); }
                }
            }

            return null;
        }

        private static bool FitsText(Node schema, JsonElement value, Place place, List<SchemaError>? errors)
        {
            var fits = true;
            if (schema.MinLength > 0 || schema.MaxLength < long.MaxValue)
            {
                // JSON Schema counts characters (RFC 8259), not UTF-16 units.
                var length = value.GetString()!.EnumerateRunes().LongCount();
                if (length < schema.MinLength) { fits = Refuse(errors, place, "minLength", $"At least {schema.MinLength} characters are needed, here are {length}."); }

                if (length > schema.MaxLength) { fits = Refuse(errors, place, "maxLength", $"At most {schema.MaxLength} characters are allowed, here are {length}."); }
            }

            if (schema.Pattern is { } pattern && !pattern.IsMatch(value.GetString()!))
            {
                fits = Refuse(errors, place, "pattern", $"{Shown(value)} is not of the form {schema.Title ?? schema.PatternText}.");
            }

            if (schema.Format is { } format && !Formats.Fits(format, value.GetString()!))
            {
                fits = Refuse(errors, place, "format", $"{Shown(value)} is no {Formats.Named(format)}.");
            }

            return fits;
        }

        private static bool FitsNumber(Node schema, JsonElement value, Place place, List<SchemaError>? errors)
        {
            var fits = true;
            if (schema.Minimum is { } minimum && JsonNumbers.Compare(value, minimum) < 0) { fits = Refuse(errors, place, "minimum", $"This must be at least {minimum.GetRawText()}, not {Shown(value)}."); }

            if (schema.Maximum is { } maximum && JsonNumbers.Compare(value, maximum) > 0) { fits = Refuse(errors, place, "maximum", $"This must be at most {maximum.GetRawText()}, not {Shown(value)}."); }

            if (schema.ExclusiveMinimum is { } above && JsonNumbers.Compare(value, above) <= 0) { fits = Refuse(errors, place, "exclusiveMinimum", $"This must be more than {above.GetRawText()}, not {Shown(value)}."); }

            if (schema.ExclusiveMaximum is { } below && JsonNumbers.Compare(value, below) >= 0) { fits = Refuse(errors, place, "exclusiveMaximum", $"This must be less than {below.GetRawText()}, not {Shown(value)}."); }

            if (schema.MultipleOf is { } unit && !JsonNumbers.IsMultiple(value, unit)) { fits = Refuse(errors, place, "multipleOf", $"This must be a multiple of {unit.GetRawText()}, not {Shown(value)}."); }

            return fits;
        }

        private bool FitsCombined(Node schema, JsonElement value, Place place, List<SchemaError>? errors, int depth)
        {
            var fits = true;
            foreach (var part in schema.AllOf) { fits &= Fits(part, value, place, errors, depth + 1); }

            if (schema.AnyOf.Length > 0 && !schema.AnyOf.Any(branch => Fits(branch, value, place, null, depth + 1)))
            {
                fits = false;
                if (errors is not null) { NoneFits(schema.AnyOf, value, place, errors, depth, "anyOf"); }
            }

            if (schema.OneOf.Length > 0)
            {
                var fitting = new List<int>();
                for (var index = 0; index < schema.OneOf.Length; index++)
                {
                    if (Fits(schema.OneOf[index], value, place, null, depth + 1)) { fitting.Add(index + 1); }
                }

                if (fitting.Count == 0)
                {
                    fits = false;
                    if (errors is not null) { NoneFits(schema.OneOf, value, place, errors, depth, "oneOf"); }
                }
                else if (fitting.Count > 1)
                {
                    fits = Refuse(errors, place, "oneOf", $"This fits the allowed forms {string.Join(" and ", fitting)} of {schema.OneOf.Length}; it must fit one only.");
                }
            }

            if (schema.Not is { } not && Fits(not, value, place, null, depth + 1)) { fits = Refuse(errors, place, "not", "This is of a form that is not allowed."); }

            if (schema.If is { } condition)
            {
                var chosen = Fits(condition, value, place, null, depth + 1) ? schema.Then : schema.Else;
                if (chosen is not null) { fits &= Fits(chosen, value, place, errors, depth + 1); }
            }

            return fits;
        }

        // A person meant one of the forms. It is the one whose kind of value this is; among several, the one that fits this value's own
        // keys best; its errors are the ones worth reading.
        private void NoneFits(Node[] branches, JsonElement value, Place place, List<SchemaError> errors, int depth, string keyword)
        {
            var here = place.ToString();
            List<SchemaError>? best = null;
            var bestScore = (Own: int.MaxValue, All: int.MaxValue);
            foreach (var branch in branches)
            {
                var found = new List<SchemaError>();
                Fits(branch, value, place, found, depth + 1);
                if (found.Count == 0 || found.Any(error => error.Pointer == here && error.Keyword is "type" or "const" or "enum" or "false")) { continue; }

                // A value that marks another form (a constant key) says that this form was not meant.
                var own = found.Count(error => error.Pointer == here || error.Keyword == "additionalProperties") + (found.Any(error => error.Keyword == "const") ? 100 : 0);
                if ((own, found.Count).CompareTo(bestScore) < 0)
                {
                    best = found;
                    bestScore = (own, found.Count);
                }
            }

            if (best is not null)
            {
                errors.AddRange(best);
                return;
            }

            var texts = branches.SelectMany(Texts).ToArray();
            var meant = value.ValueKind is JsonValueKind.String ? Nearest.To(value.GetString()!, texts) : null;
            errors.Add(new SchemaError(here, $"This must be {Either([.. branches.SelectMany(Described).Distinct()])}, not {Shown(value)}.", keyword, meant));
        }

        private static IEnumerable<string> Texts(Node node) =>
            (node.Reference is { } reference ? Texts(reference) : [])
                .Concat((node.Enum ?? []).Where(option => option.ValueKind is JsonValueKind.String).Select(option => option.GetString()!));

        private static IEnumerable<string> Described(Node node)
        {
            if (node.Reference is { } reference) { return Described(reference); }

            if (node.Const is { } constant) { return [Shown(constant)]; }

            if (node.Enum is { } options) { return options.Select(Shown); }

            return node.Type is Types.None ? node.AnyOf.Concat(node.OneOf).SelectMany(Described) : [node.Title is null ? Named(node.Type) : $"{Named(node.Type)} ({node.Title})"];
        }
    }

    private static partial class Formats
    {
        public static string Named(string format) => format switch
        {
            "date" => "date (2026-11-21)",
            "date-time" => "date and time (2026-11-21T08:30:00Z)",
            "email" => "e-mail address",
            "uri" => "URI with a scheme (https://example.org/)",
            _ => format,
        };

        public static bool Fits(string format, string text) => format switch
        {
            "date" => Date.IsMatch(text) && DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _),
            "date-time" => IsDateTime(text),
            "email" => text.Length <= 254 && Email.IsMatch(text),
            "uri" => UriShape.IsMatch(text) && Uri.TryCreate(text, UriKind.Absolute, out _),
            _ => true,
        };

        // RFC 3339 section 5.6; a leap second is allowed where one can be.
        private static bool IsDateTime(string text)
        {
            if (!DateTime.IsMatch(text) || !Fits("date", text[..10])) { return false; }

            var hour = int.Parse(text.AsSpan(11, 2), CultureInfo.InvariantCulture);
            var minute = int.Parse(text.AsSpan(14, 2), CultureInfo.InvariantCulture);
            var second = int.Parse(text.AsSpan(17, 2), CultureInfo.InvariantCulture);
            var offset = 0;
            if (text[^1] is not ('Z' or 'z'))
            {
                var offsetHour = int.Parse(text.AsSpan(text.Length - 5, 2), CultureInfo.InvariantCulture);
                var offsetMinute = int.Parse(text.AsSpan(text.Length - 2, 2), CultureInfo.InvariantCulture);
                if (offsetHour > 23 || offsetMinute > 59) { return false; }

                offset = ((offsetHour * 60) + offsetMinute) * (text[^6] == '-' ? -1 : 1);
            }

            if (hour > 23 || minute > 59 || second > 60) { return false; }

            return second < 60 || ((((hour * 60) + minute - offset) % 1440) + 1440) % 1440 == 1439;
        }

        [GeneratedRegex(@"^[0-9]{4}-[0-9]{2}-[0-9]{2}\z", RegexOptions.CultureInvariant)]
        private static partial Regex Date { get; }

        [GeneratedRegex(@"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?([Zz]|[-+][0-9]{2}:[0-9]{2})\z", RegexOptions.CultureInvariant)]
        private static partial Regex DateTime { get; }

        // RFC 5321 section 4.1.2 without quoted local parts and address literals, which no mailbox of a person has.
        [GeneratedRegex(@"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\uFFFF]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\uFFFF]+)*@[A-Za-z0-9\u0080-\uFFFF]([A-Za-z0-9\u0080-\uFFFF\-]*[A-Za-z0-9\u0080-\uFFFF])?(\.[A-Za-z0-9\u0080-\uFFFF]([A-Za-z0-9\u0080-\uFFFF\-]*[A-Za-z0-9\u0080-\uFFFF])?)*\z", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
        private static partial Regex Email { get; }

        // RFC 3986 appendix A, the characters; what they mean is left to the parser.
        [GeneratedRegex(@"^[A-Za-z][A-Za-z0-9+.\-]*:([A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*\z", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
        private static partial Regex UriShape { get; }
    }

    /// <summary>Turns ECMA-262's meaning into this library's: <c>$</c> is the very end, <c>\d</c> and <c>\w</c> are ASCII, <c>.</c> stops at every line break.</summary>
    internal static Regex Compile(string pattern)
    {
        var translated = new StringBuilder();
        var inClass = false;
        for (var index = 0; index < pattern.Length; index++)
        {
            var c = pattern[index];
            if (c == '\\' && index + 1 < pattern.Length)
            {
                var next = pattern[++index];
                translated.Append(next switch
                {
                    'd' => inClass ? "0-9" : "[0-9]",
                    'D' when !inClass => "[^0-9]",
                    'w' => inClass ? "A-Za-z0-9_" : "[A-Za-z0-9_]",
                    'W' when !inClass => "[^A-Za-z0-9_]",
                    '/' => "/",
                    _ => "\\" + next,
                });
            }
            else if (inClass)
            {
                inClass = c != ']';
                translated.Append(c == '[' ? "\\[" : c.ToString());
            }
            else
            {
                inClass = c == '[';
                translated.Append(c switch { '$' => @"\z", '.' => @"[^\n\r\u2028\u2029]", _ => c.ToString() });
            }
        }

        return new Regex(translated.ToString(), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, PatternTimeout);
    }
}

/// <summary>Numbers of any size as JSON writes them, compared exactly.</summary>
internal static class JsonNumbers
{
    // Beyond this a number is compared as a double: 10^400 as an integer would need 1,300 bits, 10^999999999 would need the machine.
    private const int LargestExponent = 400;

    public static bool IsInteger(JsonElement number) =>
        Exact(number) is { } exact ? exact.Scale <= 0 || System.Numerics.BigInteger.Remainder(exact.Digits, Ten(exact.Scale)).IsZero : double.IsInteger(number.GetDouble());

    public static int Compare(JsonElement left, JsonElement right)
    {
        if (Exact(left) is not { } a || Exact(right) is not { } b) { return left.GetDouble().CompareTo(right.GetDouble()); }

        var scale = Math.Max(a.Scale, b.Scale);
        return (a.Digits * Ten(scale - a.Scale)).CompareTo(b.Digits * Ten(scale - b.Scale));
    }

    public static bool IsMultiple(JsonElement value, JsonElement unit)
    {
        if (Exact(value) is not { } a || Exact(unit) is not { } b) { return double.IsInteger(value.GetDouble() / unit.GetDouble()); }

        var scale = Math.Max(a.Scale, b.Scale);
        return System.Numerics.BigInteger.Remainder(a.Digits * Ten(scale - a.Scale), b.Digits * Ten(scale - b.Scale)).IsZero;
    }

    private static System.Numerics.BigInteger Ten(int exponent) => System.Numerics.BigInteger.Pow(10, Math.Max(0, exponent));

    // digits * 10^-scale
    private static (System.Numerics.BigInteger Digits, int Scale)? Exact(JsonElement number)
    {
        var text = number.GetRawText();
        if (text.Length > LargestExponent) { return null; }

        var exponentAt = text.AsSpan().IndexOfAny('e', 'E');
        var exponent = 0;
        if (exponentAt >= 0 && (!int.TryParse(text.AsSpan(exponentAt + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out exponent) || Math.Abs(exponent) > LargestExponent)) { return null; }

        var mantissa = exponentAt < 0 ? text : text[..exponentAt];
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        var scale = point < 0 ? 0 : mantissa.Length - point - 1;
        var digits = System.Numerics.BigInteger.Parse(mantissa.Replace(".", "", StringComparison.Ordinal), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        scale -= exponent;
        return scale < 0 ? (digits * Ten(-scale), 0) : (digits, scale);
    }
}
