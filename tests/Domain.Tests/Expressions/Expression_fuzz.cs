using System.Globalization;
using System.Text;
using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Tests.Expressions;

/// <summary>PLATFORM_FUZZ is the number of texts of each kind, PLATFORM_FUZZ_SEED the seed of an earlier run.</summary>
public class Any_text(ITestOutputHelper output)
{
    private const int UsualCount = 100_000;

    private static readonly JsonScope Scope = JsonScope.Of("""
        {"a": {"b": [1, 2.50, "x", null, true], "c": "d😀"}, "s": "some text", "n": -7.25, "list": [3, 1, 2, 1e400], "nil": null, "t": true, "half": "\ud800"}
        """);

    private static readonly string[] Fragments =
    [
        "a", "a.b", "a.c", "s", "n", "list", "nil", "t", "half", "x", "missing", "null", "true", "false", "in", "now", "has", "(", ")", "[", "]", "{", "}", "${", "$${",
        ",", ".", "?", ":", "??", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "!", "+", "-", "*", "/", "%", "'", "\"", "\\", "'x'", "\"y\"", "0", "1", "2.5", "1e28",
        "1e-28", "9999999999999999999999999999", ".map(x,", ".filter(x,", ".any(x,", ".all(x,", "size(", "matches(", "'[a-z]+'", "split(", "join(", "replace(", "json(",
        "string(", "number(", "int(", "first(", "last(", "lower(", "trim(", " ", "\n", "\0", "é", "😀", "\ud800", "\udc00", "=", "&", "|", "#", "@", "\u00a0", "_", "e", "\\u00e9",
    ];

    private static readonly string[] Unary = ["!", "-"];
    private static readonly string[] Binary = ["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "%", "in", "??"];
    private static readonly string[] Calls = ["size", "lower", "upper", "trim", "first", "last", "json", "string", "number", "int"];
    private static readonly string[] Calls2 = ["startsWith", "endsWith", "contains", "matches", "split", "join"];
    private static readonly string[] Macros = ["map", "filter", "any", "all"];
    private static readonly string[] Leaves = ["a", "a.b", "a.c", "s", "n", "list", "nil", "t", "x", "y", "missing", "null", "true", "false", "now()", "'x'", "'some'", "''", "0", "1", "-2.5", "1e27", "[]", "{}"];

    private static int Count => int.TryParse(Environment.GetEnvironmentVariable("PLATFORM_FUZZ"), NumberStyles.None, CultureInfo.InvariantCulture, out var count) ? count : UsualCount;

    private Random Seeded()
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("PLATFORM_FUZZ_SEED"), NumberStyles.None, CultureInfo.InvariantCulture, out var given) ? given : Random.Shared.Next();
        output.WriteLine($"PLATFORM_FUZZ_SEED={seed}");
        return new Random(seed);
    }

    [Fact]
    public void is_an_expression_or_an_error_with_a_place_in_it()
    {
        var random = Seeded();
        var text = new StringBuilder();
        for (var i = 0; i < Count; i++)
        {
            text.Clear();
            for (var parts = random.Next(1, 24); parts > 0; parts--)
            {
                if (random.Next(8) == 0) { text.Append((char)random.Next(random.Next(2) == 0 ? 128 : 0x10000)); } else { text.Append(random.GetItems(Fragments, 1)[0]); }
            }

            Try(text.ToString());
        }
    }

    [Fact]
    public void that_follows_the_grammar_parses_and_answers_the_same_twice()
    {
        var random = Seeded();
        var answered = 0;
        for (var i = 0; i < Count; i++)
        {
            var text = Grammatical(random, random.Next(1, 6));
            var expression = Expression.Parse(text);
            expression.Infer(new Unknown());
            var (first, second) = (Outcome(expression), Outcome(expression));
            Assert.Equal(first, second);
            answered += first.StartsWith("error", StringComparison.Ordinal) ? 0 : 1;

            // The inferred type is never contradicted by a value.
            var type = expression.Infer(new Unknown()).Type;
            if (type != ExpressionType.Any && !first.StartsWith("error", StringComparison.Ordinal)) { Assert.Equal(TypeOf(first), type); }
        }

        output.WriteLine($"{answered} of {Count} answered with a value");
        Assert.True(answered > Count / 20, "The generator makes too few expressions that have a value.");
    }

    private static void Try(string text)
    {
        try
        {
            var expression = Expression.Parse(text);
            Assert.All(expression.References, reference => Assert.InRange(reference.Offset, 0, text.Length));
            _ = expression.Evaluate(Scope);
        }
        catch (ExpressionException failed)
        {
            Assert.InRange(failed.Error.Offset, 0, text.Length);
            Assert.NotEmpty(failed.Message);
        }

        try
        {
            // Half a surrogate pair becomes U+FFFD on its way to JSON.
            _ = Template.Parse(JsonSerializer.SerializeToElement(text)).Evaluate(Scope);
        }
        catch (ExpressionException failed)
        {
            Assert.InRange(failed.Error.Offset, 0, text.Length);
        }
    }

    private static string Outcome(Expression expression)
    {
        try
        {
            return expression.Evaluate(Scope).GetRawText();
        }
        catch (ExpressionException failed)
        {
            Assert.InRange(failed.Error.Offset, 0, expression.Text.Length);
            return $"error {failed.Error.Offset} {failed.Message}";
        }
    }

    private static ExpressionType TypeOf(string json) => json[0] switch
    {
        'n' => ExpressionType.Null,
        't' or 'f' => ExpressionType.Bool,
        '"' => ExpressionType.String,
        '[' => ExpressionType.List,
        '{' => ExpressionType.Map,
        _ => ExpressionType.Number,
    };

    private static string Grammatical(Random random, int depth)
    {
        if (depth == 0) { return random.GetItems(Leaves, 1)[0]; }

        string Part() => Grammatical(random, random.Next(depth));
        string One(string[] choices) => random.GetItems(choices, 1)[0];
        return random.Next(14) switch
        {
            0 => $"{One(Unary)}{Part()}",
            1 or 2 or 3 => $"{Part()} {One(Binary)} {Part()}",
            4 => $"({Part()} {One(Binary)} {Part()})",
            5 => $"({Part()} ? {Part()} : {Part()})",
            6 => $"{One(Calls)}({Part()})",
            7 => $"({Part()}).{One(Calls2)}({One(["s", "'x'", "'e'", "','", "a.c"])})",
            8 => $"[{Part()}, {Part()}]",
            9 => $"{{'k': {Part()}, {One(["s", "'m'", "string(n)"])}: {Part()}}}",
            10 or 11 => $"({Part()}).{One(Macros)}({One(["x", "y", "a"])}, {Part()})",
            12 => $"({Part()})[{Part()}]",
            _ => $"has({One(["a.b", "a.z", "missing", "list[9]", "nil.x"])})",
        };
    }

    private sealed class Unknown : ITypeScope
    {
        public ExpressionType TypeOf(string name, IReadOnlyList<string> path) => ExpressionType.Any;
    }
}
