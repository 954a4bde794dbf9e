using System.Text.Json;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Tests.Format;

public class Inputs_are_bound
{
    private const string Daemon = """
        daemon:
          name: T
          inputs:
            - { name: folder, type: file, required: true }
            - { name: count, type: integer, default: 3 }
            - { name: tone, type: enum, options: [formal, friendly, 7], default: friendly }
            - { name: share, type: number, required: false }
            - { name: loud, type: boolean, required: false }
            - { name: day, type: date, required: false }
            - { name: at, type: datetime, required: false }
            - { name: mail, type: email, required: false }
            - { name: site, type: url, required: false }
            - { name: list, type: array, required: false, schema: { items: { type: integer } } }
            - { name: map, type: object, required: false }
            - { name: note, type: text, required: false, max_bytes: 10 }
          stages: [{ set: { a: 1 } }]
        """;

    private static readonly IReadOnlyList<InputDefinition> Declared = DaemonParser.Parse(Daemon).Definition!.Inputs;

    private static BoundInputs Text(params (string Name, string Value)[] given) =>
        InputBinding.Bind(Declared, null, [.. given.Select(one => KeyValuePair.Create(one.Name, one.Value))]);

    [Fact]
    public void with_defaults_for_what_is_not_given()
    {
        var bound = Text(("folder", "/srv/in"));
        Assert.Empty(bound.Problems);
        Assert.Equal("""{"folder":"/srv/in","count":3,"tone":"friendly","share":null,"loud":null,"day":null,"at":null,"mail":null,"site":null,"list":null,"map":null,"note":null}""", bound.Values!.Value.GetRawText());
    }

    [Theory]
    [InlineData("count", "12", "12")]
    [InlineData("tone", "formal", "\"formal\"")]
    [InlineData("tone", "7", "7")]
    [InlineData("share", "1.5e2", "1.5e2")]
    [InlineData("loud", "true", "true")]
    [InlineData("day", "2026-02-28", "\"2026-02-28\"")]
    [InlineData("at", "2026-02-28T08:00:00Z", "\"2026-02-28T08:00:00Z\"")]
    [InlineData("mail", "a@example.org", "\"a@example.org\"")]
    [InlineData("site", "https://example.org/x", "\"https://example.org/x\"")]
    [InlineData("list", "[1, 2]", "[1,2]")]
    [InlineData("map", "{\"a\": null}", "{\"a\":null}")]
    [InlineData("note", "12", "\"12\"")]
    public void as_their_types_say_when_they_come_as_text(string name, string text, string json)
    {
        var bound = Text(("folder", "x"), (name, text));
        Assert.Empty(bound.Problems);
        Assert.Equal(json, bound.Values!.Value.GetProperty(name).GetRawText());
    }

    [Theory]
    [InlineData("count", "1.5", "inputs.type")]
    [InlineData("count", "", "inputs.type")]
    [InlineData("count", "\"1\"", "inputs.type")]
    [InlineData("tone", "rude", "inputs.not-an-option")]
    [InlineData("share", "NaN", "inputs.type")]
    [InlineData("loud", "yes", "inputs.type")]
    [InlineData("day", "2026-02-30", "inputs.type")]
    [InlineData("at", "2026-02-28", "inputs.type")]
    [InlineData("mail", "nobody", "inputs.type")]
    [InlineData("site", "ftp://example.org", "inputs.type")]
    [InlineData("list", "[1", "inputs.type")]
    [InlineData("list", "[\"a\"]", "inputs.schema")]
    [InlineData("map", "[]", "inputs.type")]
    [InlineData("note", "more than ten", "inputs.too-large")]
    [InlineData("folder", "", "inputs.type")]
    [InlineData("cuont", "1", "inputs.unknown")]
    public void or_refused_with_the_reason(string name, string text, string code)
    {
        var bound = Text(name == "folder" ? [(name, text)] : [("folder", "x"), (name, text)]);
        Assert.Null(bound.Values);
        var problem = Assert.Single(bound.Problems);
        Assert.Equal(code, problem.Code);
        Assert.Contains(name, problem.Detail, StringComparison.Ordinal);
        Assert.Equal(name, problem.Extensions!["input"]);
    }

    [Fact]
    public void and_what_is_missing_or_given_twice_is_named()
    {
        Assert.Equal("The input 'folder' (a path) is missing.", Assert.Single(Text().Problems).Detail);
        Assert.Equal("inputs.twice", Assert.Single(Text(("folder", "a"), ("folder", "b")).Problems).Code);
        Assert.Equal("The daemon has no input 'foldr'; did you mean 'folder'?", Text(("foldr", "a")).Problems[0].Detail);
    }

    [Fact]
    public void from_json_with_the_text_on_top()
    {
        var bound = InputBinding.Bind(Declared, JsonElement.Parse("""{"folder": "a", "count": 5, "loud": null}"""), [KeyValuePair.Create("folder", "b")]);
        Assert.Equal(("b", 5), (bound.Values!.Value.GetProperty("folder").GetString(), bound.Values.Value.GetProperty("count").GetInt32()));
        Assert.Equal("inputs.not-an-object", InputBinding.Bind(Declared, JsonElement.Parse("[]")).Problems[0].Code);
        Assert.Equal("inputs.type", Assert.Single(InputBinding.Bind(Declared, JsonElement.Parse("""{"folder": 1}""")).Problems).Code);
        Assert.Equal("inputs.type", Assert.Single(InputBinding.Bind(Declared, JsonElement.Parse("""{"folder": null}""")).Problems).Code);
    }

    [Fact]
    public void within_a_limit_that_holds_for_every_type() =>
        Assert.Equal("inputs.too-large", Assert.Single(Text(("folder", new string('a', InputBinding.MaxBytes + 1))).Problems).Code);
}
