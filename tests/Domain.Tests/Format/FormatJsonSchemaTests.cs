using System.Text.Json;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Tests.Format;

public class A_value_is_checked_against_a_json_schema
{
    private static JsonElement Json(string text)
    {
        using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 500 });
        return document.RootElement.Clone();
    }

    private static SchemaError Only(string schema, string value) => Assert.Single(JsonSchema.Parse(Json(schema)).Validate(Json(value)));

    [Fact]
    public void as_the_table_of_cases_says()
    {
        var wrong = new List<string>();
        var checks = 0;
        foreach (var group in Json(Cases.Read("json-schema.json")).EnumerateArray())
        {
            var schema = JsonSchema.Parse(group.GetProperty("schema"));
            foreach (var (expected, name) in new[] { (true, "valid"), (false, "invalid") })
            {
                foreach (var value in group.GetProperty(name).EnumerateArray())
                {
                    checks++;
                    if (schema.Validate(value).Count == 0 != expected) { wrong.Add($"{schema.Source.GetRawText()} should call {value.GetRawText()} {name}"); }
                }
            }
        }

        Assert.Empty(wrong);
        Assert.True(checks > 300, $"only {checks} checks");
    }

    [Theory]
    [InlineData("""{"type": "text"}""", "/type")]
    [InlineData("""{"requird": ["a"]}""", "/requird")]
    [InlineData("""{"properties": {"a": {"minimun": 1}}}""", "/properties/a/minimun")]
    [InlineData("""{"unevaluatedProperties": false}""", "/unevaluatedProperties")]
    [InlineData("""{"$dynamicRef": "#x"}""", "/$dynamicRef")]
    [InlineData("""{"$anchor": "x"}""", "/$anchor")]
    [InlineData("""{"properties": {"a": {"$id": "http://x"}}}""", "/properties/a/$id")]
    [InlineData("""{"$ref": "http://example.org/x.json"}""", "/$ref")]
    [InlineData("""{"$ref": "#anchor"}""", "/$ref")]
    [InlineData("""{"$ref": "#/$defs/none"}""", "/$ref")]
    [InlineData("""{"items": [{}]}""", "/items")]
    [InlineData("""{"pattern": "("}""", "/pattern")]
    [InlineData("""{"pattern": "(?=a)"}""", "/pattern")]
    [InlineData("""{"pattern": "(a)\\1"}""", "/pattern")]
    [InlineData("""{"minLength": -1}""", "/minLength")]
    [InlineData("""{"minLength": 1.5}""", "/minLength")]
    [InlineData("""{"multipleOf": 0}""", "/multipleOf")]
    [InlineData("""{"anyOf": []}""", "/anyOf")]
    [InlineData("""{"required": "a"}""", "/required")]
    [InlineData("""[]""", "")]
    public void and_a_schema_that_is_none_is_refused_with_the_place(string schema, string pointer) =>
        Assert.Equal(pointer, Assert.Throws<JsonSchemaException>(() => JsonSchema.Parse(Json(schema))).Error.Pointer);

    [Theory]
    [InlineData("""{"properties": {"a": {"items": {"type": "string"}}}}""", """{"a": ["x", 1]}""", "/a/1", "This must be text, not 1. Write it in quotes.")]
    [InlineData("""{"properties": {"prompt": {}}, "additionalProperties": false}""", """{"promt": 1}""", "/promt", "Unknown key 'promt', did you mean 'prompt'?")]
    [InlineData("""{"properties": {"a/b~": {"type": "null"}}}""", """{"a/b~": 1}""", "/a~1b~0", "This must be null, not 1.")]
    [InlineData("""{"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"a": {"type": "string"}}}]}""", """{"a": 1}""", "/a", "This must be text, not 1. Write it in quotes.")]
    [InlineData("""{"anyOf": [{"type": "integer"}, {"type": "object"}]}""", "\"x\"", "", "This must be a whole number or a mapping, not 'x'.")]
    [InlineData("""{"anyOf": [{"enum": ["fail", "continue"]}, {"type": "array"}]}""", "\"contine\"", "", "This must be 'fail', 'continue' or a list, not 'contine'.")]
    [InlineData("""{"oneOf": [{"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}}, {"properties": {"kind": {"const": "b"}, "y": {"type": "integer"}}}]}""", """{"kind": "b", "x": 1, "y": "z"}""", "/y", "This must be a whole number, not 'z'.")]
    public void and_the_message_speaks_of_the_form_that_was_meant(string schema, string value, string pointer, string message)
    {
        var error = Only(schema, value);
        Assert.Equal((pointer, message), (error.Pointer, error.Message));
    }

    [Fact]
    public void without_going_on_for_ever()
    {
        Assert.Equal("The schema refers to itself without end.", Only("""{"$ref": "#"}""", "1").Message);

        var branching = """{"$defs": {"d0": {"type": "integer"}""" + string.Concat(Enumerable.Range(1, 40).Select(level =>
            $$$""", "d{{{level}}}": {"anyOf": [{"$ref": "#/$defs/d{{{level - 1}}}"}, {"$ref": "#/$defs/d{{{level - 1}}}"}]}""")) + """}, "$ref": "#/$defs/d40"}""";
        Assert.Contains("steps", Only(branching, "\"x\"").Message, StringComparison.Ordinal);

        var many = "[" + string.Join(",", Enumerable.Range(0, 5_000)) + "]";
        Assert.Contains("too long for uniqueItems", Only("""{"uniqueItems": true}""", many).Message, StringComparison.Ordinal);

        Assert.Equal(JsonSchema.MaxErrors, JsonSchema.Parse(Json("""{"items": {"type": "string"}}""")).Validate(Json(many)).Count);

        var deep = string.Concat(Enumerable.Repeat("""{"not":""", JsonSchema.MaxDepth)) + "{}" + new string('}', JsonSchema.MaxDepth);
        Assert.Throws<JsonSchemaException>(() => JsonSchema.Parse(Json(deep)));

        var wide = "{\"allOf\": [" + string.Join(",", Enumerable.Repeat("{}", JsonSchema.MaxSchemas)) + "]}";
        Assert.Throws<JsonSchemaException>(() => JsonSchema.Parse(Json(wide)));

        var pattern = $$"""{"pattern": "{{new string('a', JsonSchema.MaxPatternCharacters + 1)}}"}""";
        Assert.Throws<JsonSchemaException>(() => JsonSchema.Parse(Json(pattern)));
    }
}

public class The_daemon_schema
{
    public static TheoryData<string> Seeds => [.. Cases.Named("seeds", "*.yaml")];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void takes_the_design_examples_verbatim(string file)
    {
        var document = YamlReader.Read(Cases.Read(file));
        Assert.Empty(document.Diagnostics);
        Assert.Empty(DaemonSchema.Schema.Validate(document.Root!.ToJson()));
    }

    [Theory]
    [InlineData("90s", true)]
    [InlineData("1.5h", true)]
    [InlineData("250ms", true)]
    [InlineData("PT5M", true)]
    [InlineData("P1D", true)]
    [InlineData("P1DT2H3M4.5S", true)]
    [InlineData("PT", true)]
    [InlineData("${ inputs.wait }", true)]
    [InlineData("P", false)]
    [InlineData("5 minutes", false)]
    [InlineData("90", false)]
    [InlineData("90s\n", false)]
    [InlineData("P1M", false)]
    public void takes_durations_as_the_published_pattern_does(string duration, bool fits)
    {
        var node = YamlReader.Read($"stages: [{{wait: {JsonEncoded(duration)}}}]").Root!;
        Assert.Equal(fits, DaemonSchema.Schema.Validate(node.ToJson()).Count == 0);

        static string JsonEncoded(string text) => $"\"{JsonEncodedText.Encode(text)}\"";
    }
}
