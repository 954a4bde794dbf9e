using System.Globalization;
using System.Text;
using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Tests.Expressions;

public class For_any_values(ITestOutputHelper output)
{
    private const int Count = 2_000;

    private static readonly JsonScope Nothing = JsonScope.Of("{}");

    private Random Seeded()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        return new Random(seed);
    }

    private static JsonElement Evaluate(string text, string scope = "{}") => Expression.Parse(text).Evaluate(JsonScope.Of(scope));

    [Fact]
    public void JSON_is_an_expression_of_itself()
    {
        var random = Seeded();
        for (var i = 0; i < Count; i++)
        {
            var json = Json(random, random.Next(5));
            Assert.True(JsonElement.DeepEquals(JsonElement.Parse(json), Evaluate(json)), json);
            Assert.True(Evaluate("a == " + json, $$"""{"a": {{json}}}""").GetBoolean(), json);
            Assert.True(Evaluate($"json({json}) == json({json})").GetBoolean());
        }
    }

    [Fact]
    public void arithmetic_is_that_of_decimals()
    {
        var random = Seeded();
        for (var i = 0; i < Count; i++)
        {
            var (a, b) = (Decimal(random), Decimal(random));
            var scope = string.Create(CultureInfo.InvariantCulture, $$"""{"a": {{a}}, "b": {{b}}}""");
            Assert.Equal(a + b, Evaluate("a + b", scope).GetDecimal());
            Assert.Equal(a - b, Evaluate("a - b", scope).GetDecimal());
            Assert.Equal(a * b, Evaluate("a * b", scope).GetDecimal());
            Assert.Equal(a < b, Evaluate("a < b", scope).GetBoolean());
            Assert.Equal(a >= b, Evaluate("a >= b", scope).GetBoolean());
            if (b == 0) { continue; }

            Assert.Equal(a / b, Evaluate("a / b", scope).GetDecimal());
            Assert.Equal(a % b, Evaluate("a % b", scope).GetDecimal());
        }
    }

    [Fact]
    public void split_undoes_join_and_size_counts_characters()
    {
        var random = Seeded();
        for (var i = 0; i < Count; i++)
        {
            var text = Text(random);
            var scope = $$"""{"s": {{JsonSerializer.Serialize(text)}}}""";
            Assert.Equal(text, Evaluate("s.split(',').join(',')", scope).GetString());
            Assert.Equal(text, Evaluate("s.split('').join()", scope).GetString());
            Assert.Equal(text.EnumerateRunes().Count(), Evaluate("size(s)", scope).GetInt32());
            Assert.Equal(text.EnumerateRunes().Count(), Evaluate("s.split('').size()", scope).GetInt32());
            Assert.True(Evaluate("s.startsWith('') && s.endsWith('') && s.contains(s) && s + '' == s", scope).GetBoolean());
        }
    }

    [Fact]
    public void the_deepest_expression_fits_half_a_threads_stack()
    {
        // Half of what .NET gives its threads; an unoptimised build needs several times the frames of a released one.
        const int SmallStack = 768 * 1024;
        Exception? failed = null;
        var thread = new Thread(
            () =>
            {
                try
                {
                    foreach (var (before, after) in new[] { ("(", ")"), ("[", "]"), ("{'a':", "}"), ("1+(", ")"), ("json(", ")"), ("[1].map(x,", ")"), ("true?1:(", ")"), ("nothing ?? (", ")"), ("has(a[", "])?1:1") })
                    {
                        for (var levels = 45; levels <= 120; levels += 5)
                        {
                            var text = new StringBuilder().Insert(0, before, levels).Append('1').Insert(0, "size([").Append(new StringBuilder().Insert(0, after, levels)).Append("])").ToString();
                            try
                            {
                                var expression = Expression.Parse(text);
                                expression.Infer(new Unknown());
                                _ = expression.Evaluate(Nothing);
                            }
                            catch (ExpressionException)
                            {
                                // Too deep: refused, which is the point.
                            }
                        }
                    }
                }
                catch (Exception unexpected)
                {
                    failed = unexpected;
                }
            },
            SmallStack);
        thread.Start();
        thread.Join();
        Assert.Null(failed);
    }

    private static decimal Decimal(Random random) => new(random.Next(), random.Next(1 << 12), 0, random.Next(2) == 0, (byte)random.Next(7));

    private static string Text(Random random) => string.Concat(random.GetItems(["a", "b", ",", " ", "é", "😀", "\"", "\\", "\n", "漢"], random.Next(12)));

    private static string Json(Random random, int depth) => random.Next(depth == 0 ? 4 : 6) switch
    {
        0 => random.GetItems(["null", "true", "false"], 1)[0],
        1 => Decimal(random).ToString(CultureInfo.InvariantCulture),
        2 or 3 => JsonSerializer.Serialize(Text(random)),
        4 => $"[{string.Join(", ", Enumerable.Range(0, random.Next(4)).Select(_ => Json(random, depth - 1)))}]",
        _ => $"{{{string.Join(", ", Enumerable.Range(0, random.Next(4)).Select(i => $"\"k{i}\": {Json(random, depth - 1)}"))}}}",
    };

    private sealed class Unknown : ITypeScope
    {
        public ExpressionType TypeOf(string name, IReadOnlyList<string> path) => ExpressionType.Any;
    }
}
