using System.Buffers;
using System.Text;
using System.Text.Json;
using Platform.Messaging;

namespace Platform.Domain.Daemons.Format;

/// <summary>A run's inputs as its daemon declares them, or why they do not fit.</summary>
/// <param name="Values">An object with every declared input: as given, else the default, else null. Null where there are problems.</param>
public sealed record BoundInputs(JsonElement? Values, IReadOnlyList<Problem> Problems);

/// <summary>Fits what a caller gives to what a daemon declares: names, types, options, sizes, defaults.</summary>
public static class InputBinding
{
    // An input is kept in the run's first event; larger content belongs in a file that the run is pointed to.
    public const int MaxBytes = 1 << 20;

    /// <param name="json">An object, from the API or a file.</param>
    /// <param name="text">From <c>--input name=value</c>; goes before what is in <paramref name="json"/>.</param>
    public static BoundInputs Bind(IReadOnlyList<InputDefinition> inputs, JsonElement? json, IReadOnlyList<KeyValuePair<string, string>>? text = null)
    {
        var problems = new List<Problem>();
        var given = new Dictionary<string, JsonElement>();
        if (json is { ValueKind: not (JsonValueKind.Object or JsonValueKind.Null or JsonValueKind.Undefined) })
        {
            problems.Add(new Problem("inputs.not-an-object", "The inputs must be a JSON object of names and values."));
        }
        else if (json is { ValueKind: JsonValueKind.Object } values)
        {
            foreach (var member in values.EnumerateObject())
            {
                if (Declared(inputs, member.Name, problems) is not null) { given[member.Name] = member.Value; }
            }
        }

        var seen = new HashSet<string>();
        foreach (var (name, value) in text ?? [])
        {
            if (Declared(inputs, name, problems) is not { } input) { continue; }

            if (!seen.Add(name)) { problems.Add(About(input, "inputs.twice", $"The input '{name}' is given twice.")); }
            else if (FromText(input, value) is { } converted) { given[name] = converted; }
            else { problems.Add(About(input, "inputs.type", $"The input '{name}' must be {Expected(input)}, not '{Short(value)}'.")); }
        }

        foreach (var input in inputs)
        {
            if (given.TryGetValue(input.Name, out var value) && !(value.ValueKind is JsonValueKind.Null && !input.Required))
            {
                if (Check(input, value) is { } problem) { problems.Add(problem); }
            }
            else if (input.Required && input.Default is null && !problems.Any(problem => problem.Extensions?["input"] == input.Name))
            {
                problems.Add(About(input, "inputs.required", $"The input '{input.Name}' ({Expected(input)}) is missing."));
            }
        }

        return problems.Count > 0 ? new BoundInputs(null, problems) : new BoundInputs(Together(inputs, given), []);
    }

    /// <summary>Whether one value fits its declaration.</summary>
    /// <returns>Null where it does.</returns>
    public static Problem? Check(InputDefinition input, JsonElement value)
    {
        var bytes = value.ValueKind is JsonValueKind.String ? Encoding.UTF8.GetByteCount(value.GetString()!) : Encoding.UTF8.GetByteCount(value.GetRawText());
        var most = Math.Min(input.MaxBytes ?? MaxBytes, MaxBytes);
        if (bytes > most) { return About(input, "inputs.too-large", $"The input '{input.Name}' has {bytes} bytes; at most {most} are allowed."); }

        if (input.Type is "enum")
        {
            return input.Options.Any(option => JsonElement.DeepEquals(option, value))
                ? null
                : About(input, "inputs.not-an-option", $"The input '{input.Name}' must be {Expected(input)}, not {JsonSchema.Shown(value)}.");
        }

        if (!FitsType(input.Type, value)) { return About(input, "inputs.type", $"The input '{input.Name}' must be {Expected(input)}, not {JsonSchema.Shown(value)}."); }

        if (input.Schema is not { } schema) { return null; }

        var errors = JsonSchema.Parse(schema).Validate(value);
        return errors.Count == 0 ? null : About(input, "inputs.schema", $"The input '{input.Name}' does not fit its schema{(errors[0].Pointer.Length == 0 ? "" : $" at {errors[0].Pointer}")}: {errors[0].Message}");
    }

    private static readonly JsonSchema Date = JsonSchema.Parse(JsonElement.Parse("""{"type": "string", "format": "date"}"""u8));

    private static readonly JsonSchema DateAndTime = JsonSchema.Parse(JsonElement.Parse("""{"type": "string", "format": "date-time"}"""u8));

    private static readonly JsonSchema Email = JsonSchema.Parse(JsonElement.Parse("""{"type": "string", "format": "email"}"""u8));

    private static readonly JsonSchema Url = JsonSchema.Parse(JsonElement.Parse("""{"type": "string", "format": "uri", "pattern": "^[hH][tT][tT][pP][sS]?://[^/]"}"""u8));

    private static readonly JsonSchema Path = JsonSchema.Parse(JsonElement.Parse("""{"type": "string", "pattern": "^[^\\u0000]+$"}"""u8));

    private static bool FitsType(string type, JsonElement value) => type switch
    {
        "string" or "text" or "secret" => value.ValueKind is JsonValueKind.String,
        "integer" => value.ValueKind is JsonValueKind.Number && JsonNumbers.IsInteger(value),
        "number" => value.ValueKind is JsonValueKind.Number,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "date" => Date.Validate(value).Count == 0,
        "datetime" => DateAndTime.Validate(value).Count == 0,
        "email" => Email.Validate(value).Count == 0,
        "url" => Url.Validate(value).Count == 0,
        "file" => Path.Validate(value).Count == 0,
        "array" => value.ValueKind is JsonValueKind.Array,
        _ => value.ValueKind is JsonValueKind.Object,
    };

    private static string Expected(InputDefinition input) => input.Type switch
    {
        "string" or "text" or "secret" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "enum" => JsonSchema.Either([.. input.Options.Select(JsonSchema.Shown)]),
        "date" => "a date (2026-11-21)",
        "datetime" => "a date and time (2026-11-21T08:30:00Z)",
        "email" => "an e-mail address",
        "url" => "an http or https URL",
        "file" => "a path",
        "array" => "a list (JSON)",
        _ => "an object (JSON)",
    };

    private static JsonElement? FromText(InputDefinition input, string text)
    {
        switch (input.Type)
        {
            case "string" or "text" or "secret" or "date" or "datetime" or "email" or "url" or "file":
                return Text(text);
            case "enum":
                var option = input.Options.FirstOrDefault(option => option.ValueKind is JsonValueKind.String ? option.GetString() == text : option.GetRawText() == text);
                return option.ValueKind is JsonValueKind.Undefined ? Text(text) : option;
            default:
                // Whether the value is of the declared type is asked of every value, however it was given.
                try
                {
                    var parsed = JsonElement.Parse(text);
                    return FitsType(input.Type, parsed) ? parsed : null;
                }
                catch (JsonException)
                {
                    return null;
                }
        }
    }

    private static JsonElement Text(string text)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer)) { writer.WriteStringValue(text); }

        return JsonElement.Parse(buffer.WrittenSpan);
    }

    private static InputDefinition? Declared(IReadOnlyList<InputDefinition> inputs, string name, List<Problem> problems)
    {
        if (inputs.FirstOrDefault(input => input.Name == name) is { } declared) { return declared; }

        var meant = Nearest.To(name, inputs.Select(input => input.Name));
        problems.Add(new Problem(
            "inputs.unknown",
            $"The daemon has no input '{Short(name)}'{(meant is null ? "" : $"; did you mean '{meant}'?")}{(meant is null ? inputs.Count == 0 ? "; it takes none." : $"; it takes {string.Join(", ", inputs.Select(input => input.Name))}." : "")}",
            Extensions: new Dictionary<string, string> { ["input"] = Short(name) }));
        return null;
    }

    private static Problem About(InputDefinition input, string code, string detail) =>
        new(code, detail, Extensions: new Dictionary<string, string> { ["input"] = input.Name });

    private static string Short(string text) => text.Length <= 60 ? text : text[..60] + "...";

    private static JsonElement Together(IReadOnlyList<InputDefinition> inputs, Dictionary<string, JsonElement> given)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            foreach (var input in inputs)
            {
                writer.WritePropertyName(input.Name);
                if (given.TryGetValue(input.Name, out var value)) { value.WriteTo(writer); }
                else if (input.Default is { } usual) { usual.WriteTo(writer); }
                else { writer.WriteNullValue(); }
            }

            writer.WriteEndObject();
        }

        return JsonElement.Parse(buffer.WrittenSpan);
    }
}
