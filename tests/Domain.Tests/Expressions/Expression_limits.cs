using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Tests.Expressions;

public class An_expression_is_refused
{
    private static readonly JsonScope Scope = JsonScope.Of($$"""
        {"text": "{{new string('a', 1024 * 1024)}}",
         "list": [{{string.Join(',', Enumerable.Range(0, ExpressionLimits.ListLength + 1))}}],
         "some": [{{string.Join(',', Enumerable.Range(0, 2000))}}]}
        """);

    private static void Refuses(string text, string message)
    {
        var error = Assert.Throws<ExpressionException>(() => Expression.Parse(text).Evaluate(Scope));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    private static string Repeat(string part, int count) => string.Concat(Enumerable.Repeat(part, count));

    [Fact]
    public void when_its_text_is_too_long()
    {
        Assert.Equal(JsonValueKind.String, Expression.Parse($"'{new string('a', ExpressionLimits.SourceLength - 2)}'").Evaluate(Scope).ValueKind);
        Refuses($"'{new string('a', ExpressionLimits.SourceLength - 1)}'", "at most 16384 characters");
        Refuses($"${{'{new string('a', ExpressionLimits.SourceLength - 1)}'}}", "at most 16384 characters");
    }

    [Theory]
    [InlineData("(", ")")]
    [InlineData("[", "]")]
    [InlineData("!", "")]
    [InlineData("-", "")]
    [InlineData("{'a':", "}")]
    [InlineData("1+", "")]
    [InlineData("f??", "")]
    [InlineData("true?1:", "")]
    [InlineData("size(", ")")]
    [InlineData("", ".a")]
    [InlineData("", "[0]")]
    [InlineData("", ".map(x, x)")]
    [InlineData("[].map(x, ", ")")]
    public void when_it_nests_too_deep(string before, string after)
    {
        foreach (var levels in new[] { ExpressionLimits.Depth + 1, 1_200 })
        {
            var error = Assert.Throws<ExpressionException>(() => Expression.Parse(Repeat(before, levels) + "1" + Repeat(after, levels)));
            Assert.Contains("nests at most 100 levels", error.Message, StringComparison.Ordinal);
        }

        Expression.Parse(Repeat(before, (ExpressionLimits.Depth / 2) - 2) + "1" + Repeat(after, (ExpressionLimits.Depth / 2) - 2));
    }

    [Fact]
    public void when_it_has_too_many_parts()
    {
        Expression.Parse($"[{Repeat("1,", ExpressionLimits.Nodes - 1)}]");
        Refuses($"[{Repeat("1,", ExpressionLimits.Nodes)}]", "at most 4096 parts");
    }

    [Fact]
    public void when_it_takes_too_many_steps()
    {
        Refuses("some.map(x, some.map(y, x + y))", "more than 1000000 steps");
        Refuses("some.any(x, some == some.map(y, y) && false)", "more than 1000000 steps");
        Refuses("some.map(x, text.contains('b'))", "more than 1000000 steps");
        Refuses("some.map(x, text.matches('b'))", "more than 1000000 steps");
        Refuses("some.map(x, json(text))", "more than 1000000 steps");
        Refuses("text.contains(text)", "more than 1000000 steps");
        Refuses("text.matches('(a{10}){100}b')", "more than 1000000 steps");
    }

    [Fact]
    public void when_a_text_it_makes_is_too_long()
    {
        Assert.Equal(ExpressionLimits.TextLength, Expression.Parse("size(text + text + text + text)").Evaluate(Scope).GetInt32());
        Refuses("text + text + text + text + 'a'", "longer than 4194304 characters");
        Refuses("[text, text, text, text, text].join()", "longer than 4194304 characters");
        Refuses("text.replace('a', 'aaaaa')", "longer than 4194304 characters");
        Refuses("json([text, text, text, text])", "longer than 4194304 characters");
        Refuses("'\\n'.replace('\\n', text + text + text + text).replace('a', 'b') + 'c'", "longer than 4194304 characters");
    }

    [Fact]
    public void when_a_list_is_too_long()
    {
        Refuses("list.map(x, 1)", "more than 100000 elements");
        Refuses("list.filter(x, true)", "more than 100000 elements");
        Refuses("list.join()", "more than 100000 elements");
        Refuses("list + list", "more than 100000 elements");
        Refuses("text.split('a')", "more than 100000 elements");
        Refuses("text.split('')", "more than 100000 elements");
        Assert.Equal(ExpressionLimits.ListLength + 1, Expression.Parse("list").Evaluate(Scope).GetArrayLength());
    }

    [Fact]
    public void when_its_result_is_too_large()
    {
        Refuses("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17].map(x, text)", "larger than 16777216 bytes");
        Refuses(Repeat("[", ExpressionLimits.ResultDepth + 1) + "1" + Repeat("]", ExpressionLimits.ResultDepth + 1), "nested deeper than 64 levels");
        Assert.Equal(1, Expression.Parse(Repeat("[", ExpressionLimits.ResultDepth) + "1" + Repeat("]", ExpressionLimits.ResultDepth)).Evaluate(Scope).GetArrayLength());
    }

    [Fact]
    public void when_a_pattern_is_too_long()
    {
        Assert.True(Expression.Parse($"''.matches('{new string('|', ExpressionLimits.PatternLength)}')").Evaluate(Scope).GetBoolean());
        Refuses($"''.matches('{new string('|', ExpressionLimits.PatternLength + 1)}')", "at most 256 characters");
    }

    [Fact]
    public void never_because_many_patterns_came_before()
    {
        for (var i = 0; i < (2 * ExpressionLimits.CachedPatterns) + 1; i++)
        {
            Assert.True(Expression.Parse($"'{i}'.matches('^' + '{i}' + '$')").EvaluateCondition(Scope));
        }
    }

    [Fact]
    public void when_compared_values_are_nested_deeper_than_JSON_readers_take()
    {
        var options = new JsonDocumentOptions { MaxDepth = 2_000 };
        using var deep = JsonDocument.Parse($$"""{"a": {{Repeat("[", 1_000)}}{{Repeat("]", 1_000)}}}""", options);
        var scope = new JsonScope(deep.RootElement);
        Assert.Contains("nested too deeply", Assert.Throws<ExpressionException>(() => Expression.Parse("a == a").Evaluate(scope)).Message, StringComparison.Ordinal);
        Assert.Contains("nested deeper", Assert.Throws<ExpressionException>(() => Expression.Parse("[a]").Evaluate(scope)).Message, StringComparison.Ordinal);
    }
}
