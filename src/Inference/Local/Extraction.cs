using System.Text.Json;
using Platform.Domain.Inference;

namespace Platform.Inference.Local;

/// <summary>One request: each part of its schema is answered by the task that the schema names.</summary>
internal sealed class Extraction(AgentRequest request, List<string> notes, CancellationToken cancellation)
{
    private static readonly string[] OtherLabels = ["other", "others", "misc", "miscellaneous", "none", "unknown", "overig", "anders", "andere", "sonstiges", "autre", "autres", "otro", "otros"];

    private readonly Dictionary<string, SourceText> sources = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<Scored>> rankings = new(StringComparer.Ordinal);
    private int properties;

    public void Write(Utf8JsonWriter writer)
    {
        if (request.OutputSchema is not { } schema)
        {
            writer.WriteStringValue(Summary.Of(Source(null).Prose, LocalAgentLimits.SummarySentences, SummaryLength(null)));
            return;
        }

        if (TryWrite(writer, null, schema, default, 0)) { return; }

        if (!AllowsNull(schema)) { throw Cannot(null, "nothing was found, and it may not be null"); }

        writer.WriteNullValue();
    }

    /// <param name="name">Of the property; null for the answer itself.</param>
    /// <param name="siblings">The properties beside it, for <c>x-confidence-of</c>.</param>
    /// <returns>False, with nothing written, where there is no answer.</returns>
    private bool TryWrite(Utf8JsonWriter writer, string? name, JsonElement schema, JsonElement siblings, int depth)
    {
        cancellation.ThrowIfCancellationRequested();
        if (schema.ValueKind != JsonValueKind.Object) { throw Cannot(name, "its schema is not an object"); }

        if (depth > LocalAgentLimits.Depth) { throw Cannot(name, $"its schema nests deeper than {LocalAgentLimits.Depth} levels"); }

        if (schema.TryGetProperty("const", out var constant))
        {
            constant.WriteTo(writer);
            return true;
        }

        var type = TypeOf(schema);
        if (Text(schema, "x-confidence-of") is { } of) { return WriteConfidence(writer, name, of, siblings); }

        if (Text(schema, "x-extract") is { } kind) { return WriteExtracted(writer, name, schema, kind, type); }

        if (schema.TryGetProperty("properties", out var members) && members.ValueKind == JsonValueKind.Object) { return WriteObject(writer, schema, members, depth); }

        if (type == "array" && schema.TryGetProperty("items", out var items) && HasLabels(items)) { return WriteLabels(writer, name, schema, items); }

        if (HasLabels(schema)) { return WriteLabel(writer, name, schema); }

        switch (Text(schema, "x-task") ?? (name is "summary" or "sentiment" or "language" ? name : name is null && type == "string" ? "summary" : null))
        {
            case "summary" when type is null or "string":
                var sentences = Number(schema, "x-sentences") ?? LocalAgentLimits.SummarySentences;
                writer.WriteStringValue(Summary.Of(Source(schema).Prose, sentences, SummaryLength(schema)));
                return true;
            case "sentiment" when type is null or "number" or "integer":
                WriteSentiment(writer, schema, type == "integer");
                return true;
            case "language" when type is null or "string":
                writer.WriteStringValue(Languages.Detect(Words.Of(Source(schema).Prose)));
                return true;
            case null:
                throw Cannot(name, "nothing in its schema says how to find it");
            case var task:
                throw Cannot(name, $"the task '{task}' does not give the type {type ?? "any"}");
        }
    }

    private bool WriteObject(Utf8JsonWriter writer, JsonElement schema, JsonElement members, int depth)
    {
        var required = schema.TryGetProperty("required", out var list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!).ToHashSet(StringComparer.Ordinal)
            : [];
        writer.WriteStartObject();
        foreach (var member in members.EnumerateObject())
        {
            if (++properties > LocalAgentLimits.Properties) { throw Cannot(member.Name, $"an answer has at most {LocalAgentLimits.Properties} properties"); }

            // Nothing found and nothing demanded: the property is left out. The name is only written once there is a value.
            using var value = new MemoryStream();
            bool found;
            using (var inner = new Utf8JsonWriter(value, writer.Options)) { found = TryWrite(inner, member.Name, member.Value, members, depth + 1); }

            if (found)
            {
                writer.WritePropertyName(member.Name);
                writer.WriteRawValue(value.GetBuffer().AsSpan(0, (int)value.Length));
            }
            else if (AllowsNull(member.Value))
            {
                writer.WriteNull(member.Name);
            }
            else if (required.Remove(member.Name))
            {
                throw Cannot(member.Name, "nothing was found for it; let it be null or not required, or give x-default");
            }

            required.Remove(member.Name);
        }

        if (required.Count > 0) { throw Cannot(required.Order(StringComparer.Ordinal).First(), "it is required and has no schema"); }

        writer.WriteEndObject();
        return true;
    }

    private bool WriteLabel(Utf8JsonWriter writer, string? name, JsonElement schema)
    {
        var (values, labels) = LabelsOf(name, schema);
        var ranked = Ranked(schema, labels);
        var chosen = Chosen(ranked) ?? Default(schema, values, labels);
        if (chosen is not { } label) { return false; }

        values[label].WriteTo(writer);
        return true;
    }

    /// <summary>Every label that fits nearly as well as the best.</summary>
    private bool WriteLabels(Utf8JsonWriter writer, string? name, JsonElement schema, JsonElement items)
    {
        const double NearlyAsWell = 0.6;
        var (values, labels) = LabelsOf(name, items);
        var ranked = Ranked(items, labels);
        var most = Number(schema, "maxItems") ?? labels.Count;
        writer.WriteStartArray();
        foreach (var scored in ranked.Where(scored => scored.Score >= Classification.Floor && scored.Score >= NearlyAsWell * ranked[0].Score).Take(most)) { values[scored.Label].WriteTo(writer); }

        writer.WriteEndArray();
        return true;
    }

    private bool WriteConfidence(Utf8JsonWriter writer, string? name, string of, JsonElement siblings)
    {
        if (siblings.ValueKind != JsonValueKind.Object || !siblings.TryGetProperty(of, out var schema) || !HasLabels(schema)) { throw Cannot(name, $"x-confidence-of names '{of}', which is not classified beside it"); }

        writer.WriteNumberValue(Classification.Confidence(Ranked(schema, LabelsOf(of, schema).Labels)));
        return true;
    }

    private void WriteSentiment(Utf8JsonWriter writer, JsonElement schema, bool whole)
    {
        var score = Sentiment.Of(Source(schema).Prose);
        var (low, high) = (Decimal(schema, "minimum") ?? -1, Decimal(schema, "maximum") ?? 1);
        var scaled = Math.Round(low + (((decimal)score + 1) / 2 * (high - low)), whole ? 0 : 3, MidpointRounding.AwayFromZero);
        if (whole) { writer.WriteNumberValue((long)Math.Clamp(scaled, long.MinValue, long.MaxValue)); } else { writer.WriteNumberValue((double)scaled + 0.0); }
    }

    private bool WriteExtracted(Utf8JsonWriter writer, string? name, JsonElement schema, string kind, string? type)
    {
        var list = type is null or "array";
        var item = list && schema.TryGetProperty("items", out var items) && items.ValueKind == JsonValueKind.Object ? items : schema;
        var most = list ? Number(schema, "maxItems") ?? (kind == "key_phrases" ? LocalAgentLimits.KeyPhrases : LocalAgentLimits.ExtractedItems) : 1;
        most = Math.Clamp(most, 0, LocalAgentLimits.ExtractedItems);
        var text = kind == "key_phrases" ? Source(schema).Prose : Source(schema).All;

        List<Action> found = kind switch
        {
            "dates" => Strings(Dates.In(text, Order(schema), most)),
            "emails" => Strings(Addresses.EmailsIn(text, most)),
            "urls" => Strings(Addresses.UrlsIn(text, most)),
            "key_phrases" => Strings(KeyPhrases.In(text, most)),
            "amounts" => Amounts.In(text, most).ConvertAll<Action>(amount => () => Write(writer, amount, TypeOf(item))),
            _ => throw Cannot(name, $"x-extract is '{kind}'; there are dates, amounts, emails, urls, key_phrases"),
        };

        if (!list)
        {
            if (type is not ("string" or "number" or "integer" or "object") || (type != "string" && kind != "amounts")) { throw Cannot(name, $"{kind} do not give the type {type}"); }

            if (found.Count == 0) { return false; }

            found[0]();
            return true;
        }

        writer.WriteStartArray();
        foreach (var write in found) { write(); }

        writer.WriteEndArray();
        return true;

        List<Action> Strings(List<string> strings) => strings.ConvertAll<Action>(value => () => writer.WriteStringValue(value));
    }

    private static void Write(Utf8JsonWriter writer, Amount amount, string? type)
    {
        switch (type)
        {
            case "number":
                writer.WriteNumberValue(amount.Value);
                break;
            case "integer":
                writer.WriteNumberValue(decimal.Truncate(amount.Value));
                break;
            case "string":
                writer.WriteStringValue(amount.ToString());
                break;
            default:
                writer.WriteStartObject();
                writer.WriteNumber("amount", amount.Value);
                writer.WriteString("currency", amount.Currency);
                writer.WriteEndObject();
                break;
        }
    }

    private SourceText Source(JsonElement? schema)
    {
        var from = schema is { } given ? Text(given, "x-from") : null;
        if (from is not null && !request.Parts.Any(part => part.Name == from)) { throw new AgentException("provider_error", $"The local agent is extractive: x-from names the data part '{from}', and there is none of that name."); }

        if (!sources.TryGetValue(from ?? "", out var source)) { sources[from ?? ""] = source = SourceText.Of(request.Parts, from, notes); }

        return source;
    }

    private List<Scored> Ranked(JsonElement schema, List<Label> labels)
    {
        var key = schema.GetRawText();
        if (!rankings.TryGetValue(key, out var ranked)) { rankings[key] = ranked = Classification.Rank(Source(schema).All, labels); }

        return ranked;
    }

    private static int? Chosen(List<Scored> ranked) => ranked.Count > 0 && ranked[0].Score >= Classification.Floor ? ranked[0].Label : null;

    /// <summary>What the schema gives for a text that fits no label: <c>x-default</c>, else null if allowed, else a label that says so.</summary>
    private static int? Default(JsonElement schema, List<JsonElement> values, List<Label> labels)
    {
        if (schema.TryGetProperty("x-default", out var given)) { return values.FindIndex(value => JsonElement.DeepEquals(value, given)) is >= 0 and var at ? at : null; }

        if (AllowsNull(schema)) { return null; }

        return labels.FindIndex(label => OtherLabels.Contains(label.Name.ToLowerInvariant())) is >= 0 and var other ? other : null;
    }

    private static bool HasLabels(JsonElement schema) =>
        schema.ValueKind == JsonValueKind.Object && (schema.TryGetProperty("enum", out _) || schema.TryGetProperty("x-labels", out _));

    private static (List<JsonElement> Values, List<Label> Labels) LabelsOf(string? name, JsonElement schema)
    {
        var described = schema.TryGetProperty("x-labels", out var annotations) && annotations.ValueKind == JsonValueKind.Object ? annotations : default;
        var values = schema.TryGetProperty("enum", out var given) && given.ValueKind == JsonValueKind.Array
            ? [.. given.EnumerateArray().Where(value => value.ValueKind != JsonValueKind.Null)]
            : described.ValueKind != JsonValueKind.Object ? []
            : TypeOf(schema) == "boolean" ? [JsonElement.Parse("true"u8), JsonElement.Parse("false"u8)]
            : described.EnumerateObject().Select(label => JsonSerializer.SerializeToElement(label.Name, LocalJson.Default.String)).ToList();
        if (values.Count is 0 or > LocalAgentLimits.Labels) { throw Cannot(name, $"it has {values.Count} labels; there must be 1 to {LocalAgentLimits.Labels}"); }

        return (values, values.ConvertAll(value =>
        {
            var label = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
            if (described.ValueKind != JsonValueKind.Object || !described.TryGetProperty(label, out var says)) { return new Label(label, "", []); }

            if (says.ValueKind == JsonValueKind.String) { return new Label(label, says.GetString()!, []); }

            var examples = says.ValueKind == JsonValueKind.Object && says.TryGetProperty("examples", out var list) && list.ValueKind == JsonValueKind.Array
                ? list.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!).ToList()
                : [];
            return new Label(label, Text(says, "description") ?? "", examples);
        }));
    }

    private int SummaryLength(JsonElement? schema)
    {
        var length = schema is { } given ? Number(given, "maxLength") ?? LocalAgentLimits.SummaryLength : LocalAgentLimits.SummaryLength;
        return request.MaxOutputTokens > 0 ? (int)Math.Min(length, (long)request.MaxOutputTokens * LocalAgent.BytesPerToken) : length;
    }

    private static DateOrder Order(JsonElement schema) => Text(schema, "x-date-order") switch
    {
        "dmy" => DateOrder.DayFirst,
        "mdy" => DateOrder.MonthFirst,
        _ => DateOrder.Guess,
    };

    /// <returns>The type that is not null; null where the schema names none or several.</returns>
    private static string? TypeOf(JsonElement schema)
    {
        if (!schema.TryGetProperty("type", out var type)) { return null; }

        if (type.ValueKind == JsonValueKind.String) { return type.GetString(); }

        var types = type.ValueKind == JsonValueKind.Array ? type.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String && item.GetString() != "null").ToList() : [];
        return types.Count == 1 ? types[0].GetString() : null;
    }

    private static bool AllowsNull(JsonElement schema) =>
        (schema.TryGetProperty("type", out var type) && ((type.ValueKind == JsonValueKind.Array && type.EnumerateArray().Any(IsNull)) || IsNull(type)))
        || (schema.TryGetProperty("enum", out var values) && values.ValueKind == JsonValueKind.Array && values.EnumerateArray().Any(value => value.ValueKind == JsonValueKind.Null));

    private static bool IsNull(JsonElement type) => type.ValueKind == JsonValueKind.String && type.GetString() == "null";

    private static string? Text(JsonElement schema, string key) =>
        schema.ValueKind == JsonValueKind.Object && schema.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static int? Number(JsonElement schema, string key) =>
        schema.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= 0 ? number : null;

    private static decimal? Decimal(JsonElement schema, string key) =>
        schema.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetDecimal(out var number) ? number : null;

    private static AgentException Cannot(string? name, string why) =>
        new("provider_error", $"The local agent is extractive: it cannot answer {(string.IsNullOrEmpty(name) ? "this schema" : $"'{name}'")} ({why}). Annotate the schema (enum with x-labels, x-extract, x-task) or choose a model.");
}
