using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Tests.Expressions;

public class A_template
{
    private static readonly JsonScope Scope = JsonScope.Of("""{"n": 12.50, "s": "a\"b", "list": [1, "x"], "nil": null, "t": true}""");

    private static Template Parse(string json) => Template.Parse(JsonElement.Parse(json));

    [Theory]
    [InlineData("""1""", "1")]
    [InlineData("\"plain\"", "\"plain\"")]
    [InlineData("\"${ n }\"", "12.50")]
    [InlineData("\"${list}\"", """[1, "x"]""")]
    [InlineData("\"${nil}\"", "null")]
    [InlineData("\" ${ n }\"", "\" 12.50\"")]
    [InlineData("\"${ n }${ n }\"", "\"12.5012.50\"")]
    [InlineData("\"s: ${ s }, list: ${ list }, nil: ${ nil }, t: ${ t }\"", """ "s: a\"b, list: [1,\"x\"], nil: null, t: true" """)]
    [InlineData("\"costs $5, $$, ${ n }$\"", "\"costs $5, $$, 12.50$\"")]
    [InlineData("\"$${ n }\"", "\"${ n }\"")]
    [InlineData("\"$${ n } is ${ n }\"", "\"${ n } is 12.50\"")]
    [InlineData("\"$$${ n }\"", "\"$${ n }\"")]
    [InlineData("\"${ '}' + '${' }\"", "\"}${\"")]
    [InlineData("\"${ {'a': {'b': n}} }!\"", """ "{\"a\":{\"b\":12.50}}!" """)]
    [InlineData("""{"a": "${ n }", "b": ["${ s }", 1.0, {"c": "x${ t }"}], "${ n }": 1}""", """{"a": 12.50, "b": ["a\"b", 1.0, {"c": "xtrue"}], "${ n }": 1}""")]
    [InlineData("""[[], {}, "${ [] }"]""", "[[], {}, []]")]
    public void is_evaluated(string template, string expected) =>
        Assert.Equal(JsonSerializer.Serialize(JsonElement.Parse(expected)), JsonSerializer.Serialize(Parse(template).Evaluate(Scope)));

    [Fact]
    public void says_where_its_expressions_are()
    {
        var template = Parse("""{"a/b": ["x", "1 ${ n } 2 ${s}"], "~": {"c": "${t}"}, "": "${ nil }"}""");
        Assert.Equal(
            ["/a~1b/1 4 ' n '", "/a~1b/1 13 's'", "/~0/c 2 't'", "/ 2 ' nil '"],
            template.Expressions.Select(expression => $"{expression.Pointer} {expression.Start} '{expression.Text}'"));
        Assert.Equal([1], template.Expressions[0].References.Select(reference => reference.Offset));
    }

    [Theory]
    [InlineData("""{"a": ["x ${ 1 + }"]}""", "/a/0", 9, "Expected a value")]
    [InlineData("\"${ n\"", "", 4, "Expected an operator or '}'")]
    [InlineData("\"x ${}\"", "", 4, "Expected a value")]
    [InlineData("\"${ '} \"", "", 3, "not closed")]
    public void is_refused_at_the_place_in_its_string(string template, string pointer, int offset, string message)
    {
        var error = Assert.Throws<ExpressionException>(() => Parse(template)).Error;
        Assert.Equal((pointer, offset), (error.Pointer, error.Offset));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void fails_at_the_place_in_its_string()
    {
        var error = Assert.Throws<ExpressionException>(() => Parse("""{"a": ["x ${ n.y }"]}""").Evaluate(Scope)).Error;
        Assert.Equal(new ExpressionError("'.y' is asked of a number, which has no members.", 7) { Pointer = "/a/0" }, error);
    }

    [Fact]
    public void outlives_the_document_it_was_read_from()
    {
        Template template;
        using (var document = JsonDocument.Parse("""{"a": "${ n }", "b": "kept"}""")) { template = Template.Parse(document.RootElement); }

        Assert.Equal("""{"a":12.50,"b":"kept"}""", template.Evaluate(Scope).GetRawText());
    }

    [Fact]
    public void is_bounded_like_a_single_expression()
    {
        var scope = JsonScope.Of($$"""{"text": "{{new string('a', 1024 * 1024)}}", "some": [{{string.Join(',', Enumerable.Range(0, 1000))}}]}""");
        string Strings(string text, int count) => $"[{string.Join(',', Enumerable.Repeat($"\"{text}\"", count))}]";
        Assert.Contains("longer than", Fails("\"${ text }${ text }${ text }${ text }!\"").Message, StringComparison.Ordinal);
        Assert.Contains("larger than", Fails(Strings("${ text }", 17)).Message, StringComparison.Ordinal);
        Assert.Contains("steps", Fails(Strings("${ some.map(x, some.any(y, y == 300)) }", 4)).Message, StringComparison.Ordinal);
        Assert.Contains("at most 4096 expressions", Assert.Throws<ExpressionException>(() => Parse(Strings("${1}", ExpressionLimits.TemplateExpressions + 1))).Message, StringComparison.Ordinal);
        Assert.Contains("at most 16384 characters", Assert.Throws<ExpressionException>(() => Parse($"\"${{{new string(' ', ExpressionLimits.SourceLength)}1}}\"")).Message, StringComparison.Ordinal);

        var deep = new JsonDocumentOptions { MaxDepth = 100 };
        using var nested = JsonDocument.Parse(new string('[', 65) + new string(']', 65), deep);
        Assert.Contains("at most 64 levels", Assert.Throws<ExpressionException>(() => Template.Parse(nested.RootElement)).Message, StringComparison.Ordinal);

        ExpressionException Fails(string template) => Assert.Throws<ExpressionException>(() => Parse(template).Evaluate(scope));
    }
}
