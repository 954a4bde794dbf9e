using System.Text;
using System.Text.Json;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>Binds what the caller gave to what a daemon declares.</summary>
public static class RunInputs
{
    /// <summary>Of all inputs together: they are part of the run's first event.</summary>
    public const int MaxBytes = 1 << 20;

    /// <summary>The bound inputs as an object in canonical form, or why not.</summary>
    public static (JsonElement Bound, Problem? Problem) Bind(DaemonDefinition daemon, JsonElement given)
    {
        if (given.ValueKind is not (JsonValueKind.Object or JsonValueKind.Null or JsonValueKind.Undefined))
        {
            return Refuse("run.inputs", "Inputs are an object: a value for each name.");
        }

        var values = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        if (given.ValueKind == JsonValueKind.Object)
        {
            var canonical = CanonicalJson.Bytes(given);
            if (canonical.Length > MaxBytes) { return Refuse("run.inputs-too-large", FormattableString.Invariant($"Inputs take {canonical.Length} bytes, at most {MaxBytes} are allowed. Give large content as a file.")); }
            foreach (var member in JsonElement.Parse(canonical).EnumerateObject()) { values.Add(member.Name, member.Value); }
        }

        var bound = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var input in daemon.Inputs)
        {
            if (!values.Remove(input.Name, out var value) || value.ValueKind == JsonValueKind.Null)
            {
                if (input.Default is null && input.Required) { return Refuse("run.input-missing", $"The input '{input.Name}' ({input.Type}) is required."); }
                bound.Add(input.Name, input.Default is { } standard ? CanonicalJson.Of(standard) : CanonicalJson.Null);
                continue;
            }

            if (WrongWith(input, value) is { } wrong) { return Refuse("run.input-invalid", $"The input '{input.Name}' {wrong}"); }
            bound.Add(input.Name, value);
        }

        return values.Count == 0
            ? (CanonicalJson.Object(bound), null)
            : Refuse("run.input-unknown", $"The daemon '{daemon.Name}' declares no input '{values.Keys.Order(StringComparer.Ordinal).First()}'.");
    }

    private static (JsonElement, Problem) Refuse(string code, string detail) => (CanonicalJson.Null, new Problem(code, detail));

    private static string? WrongWith(InputDefinition input, JsonElement value)
    {
        var kind = value.ValueKind;
        var fits = input.Type switch
        {
            "integer" => kind == JsonValueKind.Number && value.TryGetDecimal(out var number) && number == decimal.Truncate(number),
            "number" => kind == JsonValueKind.Number,
            "boolean" => kind is JsonValueKind.True or JsonValueKind.False,
            "array" => kind == JsonValueKind.Array,
            "object" or "contact" or "lead" or "mail" => kind == JsonValueKind.Object,
            "enum" => input.Options.Any(o => JsonElement.DeepEquals(o, value)),
            _ => kind == JsonValueKind.String,
        };
        if (!fits)
        {
            return input.Type == "enum"
                ? $"is none of {string.Join(", ", input.Options.Select(o => o.ToString()))}."
                : $"is {kind.ToString().ToLowerInvariant()}, not {input.Type}.";
        }

        if (input.MaxBytes is { } most && kind == JsonValueKind.String && Encoding.UTF8.GetByteCount(value.GetString()!) > most)
        {
            return FormattableString.Invariant($"is longer than its {most} bytes.");
        }

        return input.Schema is { } schema && SchemaCheck.FirstError(input, schema, value) is { } error ? $"does not fit its schema: {error}" : null;
    }
}
