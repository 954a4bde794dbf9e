using System.Runtime.CompilerServices;
using System.Text.Json;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Daemons;

/// <summary>Checks values against the schemas of a definition, each of which is read once.</summary>
public static class SchemaCheck
{
    private static readonly ConditionalWeakTable<object, JsonSchema> Parsed = [];

    /// <param name="owner">The part of the definition that holds the schema.</param>
    /// <returns>Null when it fits.</returns>
    public static string? FirstError(object owner, JsonElement schema, JsonElement value)
    {
        var errors = Parsed.GetValue(owner, _ => JsonSchema.Parse(schema)).Validate(value);
        return errors.Count == 0 ? null : errors[0].Pointer.Length == 0 ? errors[0].Message : $"{errors[0].Pointer}: {errors[0].Message}";
    }
}
