using System.Globalization;
using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Tests.Expressions;

/// <summary>A scope over one JSON object.</summary>
public sealed class JsonScope(JsonElement names) : IScope
{
    public static readonly DateTimeOffset Clock = new(2026, 3, 1, 10, 30, 0, 123, TimeSpan.FromHours(1));

    public DateTimeOffset Now => Clock;

    public static JsonScope Of(string json) => new(JsonElement.Parse(json));

    public bool TryGet(string name, out JsonElement value) => names.TryGetProperty(name, out value);
}

public class An_expression_answers
{
    private static readonly JsonScope Scope = ScopeOf("expressions.cases");

    private static string[] Lines(string file) => File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Expressions", file));

    private static JsonScope ScopeOf(string file) => JsonScope.Of(Lines(file).Single(line => line.StartsWith("scope ", StringComparison.Ordinal))[6..]);

    private static TheoryData<int, string> CasesOf(string file)
    {
        var cases = new TheoryData<int, string>();
        foreach (var (index, line) in Lines(file).Index())
        {
            if (line.StartsWith("# ", StringComparison.Ordinal)) { continue; }

            if (line.Contains(" => ", StringComparison.Ordinal) || line.Contains(" !! ", StringComparison.Ordinal)) { cases.Add(index + 1, line); }
        }

        return cases;
    }

    public static TheoryData<int, string> Cases() => CasesOf("expressions.cases");

    public static TheoryData<int, string> Examples() => CasesOf("expressions.md");

    [Theory, MemberData(nameof(Cases))]
    public void as_the_table_says(int line, string written) => Holds(line, written, Scope);

    [Theory, MemberData(nameof(Examples))]
    public void as_its_documentation_says(int line, string written) => Holds(line, written, ScopeOf("expressions.md"));

    private static void Holds(int line, string written, JsonScope scope)
    {
        if (written.Split(" => ") is [var text, var expected])
        {
            var answer = Expression.Parse(text).Evaluate(scope);
            Assert.True(JsonElement.DeepEquals(JsonElement.Parse(expected), answer), $"line {line}: {answer.GetRawText()}");
            return;
        }

        var failing = written.Split(" !! ");
        var offset = failing[1][..failing[1].IndexOf(',', StringComparison.Ordinal)];
        var error = Assert.Throws<ExpressionException>(() => Expression.Parse(failing[0]).Evaluate(scope)).Error;
        Assert.Contains(failing[1][(offset.Length + 2)..], error.Message, StringComparison.Ordinal);
        Assert.Equal(int.Parse(offset, CultureInfo.InvariantCulture), error.Offset);
    }

    [Fact]
    public void with_the_scopes_own_JSON_where_nothing_is_calculated()
    {
        Assert.Equal("12.50", Expression.Parse("price").Evaluate(Scope).GetRawText());
        Assert.Equal("1e400", Expression.Parse("f ? 1 : huge").Evaluate(Scope).GetRawText());
        Assert.Equal("[1e400,12.50,12.5]", Expression.Parse("[huge, price, price + 0]").Evaluate(Scope).GetRawText());
    }

    [Fact]
    public void the_same_with_and_without_the_braces_of_a_template()
    {
        Assert.Equal(3, Expression.Parse(" ${ one + 2 } \n").Evaluate(Scope).GetInt32());
        Assert.Equal(3, Expression.Parse(" \tone + 2\r\n").Evaluate(Scope).GetInt32());
        Assert.Equal(5, Assert.Throws<ExpressionException>(() => Expression.Parse("${ a # }")).Error.Offset);
        Assert.Equal(7, Assert.Throws<ExpressionException>(() => Expression.Parse("${ a } b")).Error.Offset);
    }

    [Fact]
    public void a_condition_only_with_a_boolean()
    {
        Assert.True(Expression.Parse("one == 1").EvaluateCondition(Scope));
        Assert.False(Expression.Parse("f").EvaluateCondition(Scope));
        var error = Assert.Throws<ExpressionException>(() => Expression.Parse(" one").EvaluateCondition(Scope)).Error;
        Assert.Equal(new ExpressionError("A condition must be true or false, and this is a number.", 1), error);
    }

    [Fact]
    public void nothing_for_text_in_the_data_that_is_not_Unicode()
    {
        var scope = JsonScope.Of("""{"half": "\ud800", "key": {"\ud800": 1}}""");
        Assert.Contains("not valid Unicode", Assert.Throws<ExpressionException>(() => Expression.Parse("half + ''").Evaluate(scope)).Message, StringComparison.Ordinal);
        Assert.Contains("not valid Unicode", Assert.Throws<ExpressionException>(() => Expression.Parse("[half]").Evaluate(scope)).Message, StringComparison.Ordinal);
        Assert.Contains("not valid Unicode", Assert.Throws<ExpressionException>(() => Expression.Parse("key.map(k, k)").Evaluate(scope)).Message, StringComparison.Ordinal);
    }
}

public class The_references_of_an_expression
{
    private static string Of(string text) => string.Join(" ", Expression.Parse(text).References
        .Select(reference => $"{reference.Offset}:{string.Join('.', reference.Path.Prepend(reference.Name))}{(reference.Guarded ? "?" : "")}"));

    [Theory]
    [InlineData("1 + 2", "")]
    [InlineData("a", "0:a")]
    [InlineData("a.b.c", "0:a.b.c")]
    [InlineData("a['b'].c", "0:a.b.c")]
    [InlineData("a.b[0].c", "0:a.b")]
    [InlineData("a[b.c].d", "0:a 2:b.c")]
    [InlineData("a.b.lower() + c", "0:a.b 14:c")]
    [InlineData("a + a", "0:a 4:a")]
    [InlineData("decision.reply ?? reply", "0:decision.reply? 18:reply")]
    [InlineData("a ?? b ?? c", "0:a? 5:b? 10:c")]
    [InlineData("has(a.b) ? a.b : c", "4:a.b? 11:a.b 17:c")]
    [InlineData("list.map(x, x.a + y)", "0:list 18:y")]
    [InlineData("list.map(x, x).filter(y, x)", "0:list 25:x")]
    [InlineData("x.map(x, x)", "0:x")]
    [InlineData("{'k': v, k2: [w]}", "6:v 9:k2 14:w")]
    [InlineData("now > now() && t", "15:t")]
    [InlineData("(a).b", "1:a.b")]
    public void are_its_free_names(string text, string expected) => Assert.Equal(expected, Of(text));
}

public class The_type_of_an_expression
{
    private sealed class Types : ITypeScope
    {
        public ExpressionType TypeOf(string name, IReadOnlyList<string> path) => (name, string.Join('.', path)) switch
        {
            ("text", "") => ExpressionType.String,
            ("count", "") => ExpressionType.Number,
            ("list", "") => ExpressionType.List,
            ("flag", "") => ExpressionType.Bool,
            ("map", "") => ExpressionType.Map,
            ("map", "text") => ExpressionType.String,
            ("map", "a.count") => ExpressionType.Number,
            _ => ExpressionType.Any,
        };
    }

    [Theory]
    [InlineData("1", ExpressionType.Number)]
    [InlineData("null", ExpressionType.Null)]
    [InlineData("text", ExpressionType.String)]
    [InlineData("map.text", ExpressionType.String)]
    [InlineData("map['a'].count + 1", ExpressionType.Number)]
    [InlineData("map.other", ExpressionType.Any)]
    [InlineData("unknown + 1", ExpressionType.Number)]
    [InlineData("unknown + unknown", ExpressionType.Any)]
    [InlineData("'a' + unknown", ExpressionType.String)]
    [InlineData("count > 1 && flag", ExpressionType.Bool)]
    [InlineData("flag ? 1 : 2", ExpressionType.Number)]
    [InlineData("flag ? 1 : text", ExpressionType.Any)]
    [InlineData("text ?? 'a'", ExpressionType.String)]
    [InlineData("null ?? 1", ExpressionType.Number)]
    [InlineData("list.map(x, x + 1)", ExpressionType.List)]
    [InlineData("list.any(x, x)", ExpressionType.Bool)]
    [InlineData("list[0]", ExpressionType.Any)]
    [InlineData("text.split(',')", ExpressionType.List)]
    [InlineData("size(text)", ExpressionType.Number)]
    [InlineData("[1]", ExpressionType.List)]
    [InlineData("{'a': 1}", ExpressionType.Map)]
    [InlineData("has(map.a)", ExpressionType.Bool)]
    public void is_inferred(string text, ExpressionType type)
    {
        var inferred = Expression.Parse(text).Infer(new Types());
        Assert.Empty(inferred.Errors);
        Assert.Equal(type, inferred.Type);
    }

    [Theory]
    [InlineData("text + count", 7, "'+' takes a string, and this is a number.")]
    [InlineData("unknown - text", 10, "'-' takes a number, and this is a string.")]
    [InlineData("text && flag", 0, "'&&' takes a boolean, and this is a string.")]
    [InlineData("count ? 1 : 2", 0, "'?' takes a boolean, and this is a number.")]
    [InlineData("text.first()", 0, "'first' takes a list, and this is a string.")]
    [InlineData("text.member", 5, "'.member' is asked of a string, which has no members.")]
    [InlineData("list['a']", 5, "A list's index takes a number, and this is a string.")]
    [InlineData("text < count", 7, "'<' takes a string, and this is a number.")]
    [InlineData("1 in text", 5, "'in' takes a list or a map, and this is a string.")]
    [InlineData("list.filter(x, 1)", 15, "'filter' takes a boolean, and this is a number.")]
    [InlineData("!count", 1, "'!' takes a boolean, and this is a number.")]
    public void shows_an_error_that_no_value_can_avoid(string text, int offset, string message) =>
        Assert.Equal([new ExpressionError(message, offset)], Expression.Parse(text).Infer(new Types()).Errors);
}
