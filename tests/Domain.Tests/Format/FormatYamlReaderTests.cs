using System.Text;
using System.Text.Json;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Tests.Format;

public class A_yaml_text_is_read
{
    private static YamlNode Root(string yaml)
    {
        var document = YamlReader.Read(yaml);
        Assert.Empty(document.Diagnostics);
        return document.Root!;
    }

    private static Diagnostic Refusal(string yaml)
    {
        var document = YamlReader.Read(yaml);
        Assert.Null(document.Root);
        return document.Diagnostics[0];
    }

    [Theory]
    [InlineData("null", "null")]
    [InlineData("~", "null")]
    [InlineData("true", "true")]
    [InlineData("False", "false")]
    [InlineData("yes", "\"yes\"")]
    [InlineData("on", "\"on\"")]
    [InlineData("0", "0")]
    [InlineData("-0", "-0")]
    [InlineData("007", "7")]
    [InlineData("+12", "12")]
    [InlineData("0x1F", "31")]
    [InlineData("0o17", "15")]
    [InlineData(".5", "0.5")]
    [InlineData("1.", "1")]
    [InlineData("1e3", "1e3")]
    [InlineData("1_000", "\"1_000\"")]
    [InlineData("12:30", "\"12:30\"")]
    [InlineData("1.2.0", "\"1.2.0\"")]
    [InlineData("2026-11-21", "\"2026-11-21\"")]
    [InlineData("'12'", "\"12\"")]
    [InlineData("\"a\\n\\u00e9\"", "\"a\\n\u00e9\"")]
    [InlineData("{a: [1, two, {b: null}]}", "{\"a\":[1,\"two\",{\"b\":null}]}")]
    [InlineData("404: gone", "{\"404\":\"gone\"}")]
    [InlineData("# comment\na: b # more", "{\"a\":\"b\"}")]
    [InlineData("\uFEFFa: b", "{\"a\":\"b\"}")]
    [InlineData("a: &x [1]\nb: *x", "{\"a\":[1],\"b\":[1]}")]
    public void with_the_core_schemas_meaning(string yaml, string json)
    {
        using var expected = JsonDocument.Parse(json);
        Assert.Equal(expected.RootElement.GetRawText(), Plain(Root(yaml).ToJson()));

        static string Plain(JsonElement element) => element.GetRawText().Replace("\\u00E9", "\u00e9", StringComparison.Ordinal);
    }

    [Fact]
    public void and_every_key_and_value_knows_its_line_and_column()
    {
        var root = Root("a: 1\nlist:\n  - x\n  -   'y'\n");
        Assert.Equal(new SourceLocation(1, 4), root["a"]!.Location);
        Assert.Equal(new SourceLocation(2, 1), root.Find("list")!.KeyLocation);
        Assert.Equal(new SourceLocation(3, 5), root["list"]!.Items[0].Location);
        Assert.Equal(new SourceLocation(4, 7), root["list"]!.Items[1].Location);
    }

    // In each text the place of the letter Q is asked for.
    [Theory]
    [InlineData("a: plain Q")]
    [InlineData("a: plain over\n  several\n\n\n  lines Q there")]
    [InlineData("a: 'it''s ''Q'''")]
    [InlineData("a: 'over   \n    lines\n\n    Q'")]
    [InlineData("a: \"tab\\t \\x41 \\u00e9 \\U0001F600 Q\"")]
    [InlineData("a: \"over \\\n    the line\n   and Q\"")]
    [InlineData("a: |\n  first\n  second Q\n")]
    [InlineData("a: |\n\n\n  first\n\n\n    deeper Q\n")]
    [InlineData("a: |2-\n    two more\n  Q\n")]
    [InlineData("a: >\n  folded\n  into one\n\n  Q here\n")]
    [InlineData("a: >-\n  folded\n    deeper\n  Q here\n")]
    [InlineData("a:\r\n  - |\r\n   first\r\n   Q\r\n")]
    [InlineData("a: [x, 'a Q']")]
    [InlineData("a: \uD83D\uDE00 Q")]
    public void and_every_character_of_a_text_knows_its_place(string yaml)
    {
        var node = Root(yaml)["a"]!;
        while (node.Kind is JsonValueKind.Array) { node = node.Items[^1]; }

        var index = yaml.IndexOf('Q', StringComparison.Ordinal);
        var line = yaml.AsSpan(0, index).Count('\n') + 1;
        var column = index - (yaml.LastIndexOf('\n', index) + 1) + 1;
        Assert.Equal(new SourceLocation(line, column), node.LocationAt(node.Text.IndexOf('Q', StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("a: 1\nb: 2\na: 3", "DMN003", 3, 1)]
    [InlineData("a: !!str 1", "DMN004", 1, 4)]
    [InlineData("a: !<tag:x> 1", "DMN004", 1, 4)]
    [InlineData("? [a]\n: b", "DMN004", 1, 3)]
    [InlineData("a: *nothing", "DMN004", 1, 4)]
    [InlineData("a: &x [*x]", "DMN004", 1, 8)]
    [InlineData("a: .nan", "DMN004", 1, 4)]
    [InlineData("a: -.inf", "DMN004", 1, 4)]
    [InlineData("", "DMN001", 1, 1)]
    [InlineData("# nothing", "DMN001", 1, 1)]
    [InlineData("a: 1\n---\nb: 2", "DMN001", 2, 1)]
    [InlineData("a: [1, 2", "DMN001", 2, 1)]
    [InlineData("a: b\n  c: d", "DMN001", 2, 4)]
    [InlineData("a: \"\\uD800\"", "DMN001", 1, 4)]
    [InlineData("a: b\0", "DMN001", 1, 5)]
    [InlineData("a:\n\t- b", "DMN001", 1, 1)]
    public void or_refused_with_the_place(string yaml, string code, int line, int column)
    {
        var refusal = Refusal(yaml);
        Assert.Equal((code, new SourceLocation(line, column)), (refusal.Code, refusal.Location));
    }

    [Fact]
    public void and_stops_at_its_limits()
    {
        Assert.Equal("DMN002", Refusal(new string('a', YamlReader.MaxCharacters + 1)).Code);
        Assert.Equal("DMN002", Refusal(new string('[', 100_000)).Code);
        Assert.Equal("DMN002", Refusal("a: " + new string('9', YamlReader.MaxNumberCharacters + 1)).Code);
        Assert.Equal("DMN002", Refusal(string.Concat(Enumerable.Repeat("- 1\n", YamlReader.MaxNodes))).Code);
    }

    [Fact]
    public void and_an_alias_bomb_does_not_go_off()
    {
        var bomb = new StringBuilder("l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
        for (var level = 1; level < 10; level++)
        {
            bomb.Append(System.Globalization.CultureInfo.InvariantCulture, $"l{level}: &l{level} [{string.Join(", ", Enumerable.Repeat($"*l{level - 1}", 10))}]\n");
        }

        Assert.Equal("DMN002", Refusal(bomb.ToString()).Code);
    }
}
