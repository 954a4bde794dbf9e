using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.RegularExpressions;

namespace Platform.GpuKernels.Tests.Tokenisation.RegularExpressions;

/// <summary>Against what Hugging Face's tokenizers makes of the same expressions and texts (bench/parity/pattern-fixtures.mjs).</summary>
public class A_regular_expression
{
    private static readonly string Fixture = Path.Combine(AppContext.BaseDirectory, "Tokenisation", "RegularExpressions", "Fixtures", "patterns.jsonl");

    [Fact]
    public void splits_and_replaces_as_the_reference()
    {
        var (compared, refused) = (0, 0);
        foreach (var line in File.ReadLines(Fixture).Select(line => JsonNode.Parse(line)!))
        {
            var pattern = new { Regex = (string)line["pattern"]! };
            IPreTokeniser split;
            INormaliser replace;
            try
            {
                split = Split(pattern, (string)line["behavior"]!, (bool)line["invert"]!);
                replace = TokeniserStages.Normaliser(Options(new { type = "Replace", pattern, content = "<>" }))[0];
            }
            catch (TokeniserFileException)
            {
                Assert.False((bool)line["published"]!, pattern.Regex);
                refused++;
                continue;
            }

            foreach (var each in line["texts"]!.AsArray())
            {
                var text = (string)each!["text"]!;
                var says = $"{pattern.Regex} in {JsonSerializer.Serialize(text)}";
                var expected = each["pieces"]!.AsArray().Select(piece => (string)piece!).ToList();
                Assert.True(expected.SequenceEqual(Pieces(split, text)), says);
                Assert.True((string)each["replaced"]! == Replaced(replace, text), says);
                compared++;
            }
        }

        // Of random ones some are refused.
        Assert.InRange(refused, 1, 100);
        Assert.True(compared > 700);
    }

    [Theory]
    [InlineData("a(", "a group that is not closed")]
    [InlineData("a)", "a closing parenthesis that nothing opened")]
    [InlineData("[a", "a class that is not closed")]
    [InlineData("*a", "a quantifier of nothing")]
    [InlineData("(?=a)*", "a quantifier of a place, a look around or nothing")]
    [InlineData("(a)\\1", "'\\1'")]
    [InlineData("\\R", "'\\R'")]
    [InlineData("a\\", "a backslash at its end")]
    [InlineData("(?x)a", "'(?x'")]
    [InlineData("(a*)*", "a repetition of what can match nothing")]
    [InlineData("(?<=ab*)c", "a look behind at something else than a choice of characters")]
    [InlineData("(?<!|a)c", "a look behind at something else than a choice of characters")]
    [InlineData("(?>a+b*)c", "an atomic group or possessive quantifier of what can match in several ways")]
    [InlineData("a{2,1}", "an interval whose upper bound is the lower")]
    [InlineData("a{2}?", "{n}?")]
    [InlineData("a{123456789}", "a number of repetitions that high")]
    [InlineData("(?i)ss", "'ss' without regard to case, which is one character too")]
    [InlineData("(?i)\u00df", "'\u00df' without regard to case, which is several characters too")]
    [InlineData("\\p{Nonsense}", "the property 'Nonsense'")]
    [InlineData("[[:nonsense:]]", "the bracket '[:nonsense'")]
    [InlineData("[\\w-a]", "a range of a class that begins with more than one character")]
    [InlineData("[a[^\\s\\S]]", "a class within a class that leaves no character but ASCII")]
    [InlineData("[b-a]", "a range of a class that ends before it begins")]
    [InlineData("\\x{110000}", "the number of a character that is none")]
    public void that_is_not_supported_is_refused_by_what_it_has(string pattern, string says)
    {
        var wrong = Assert.Throws<TokeniserFileException>(() => Split(new { Regex = pattern }, "Isolated", invert: false));
        Assert.Equal($"tokenizer.json: pre_tokenizer.pattern is the regular expression '{pattern}', which has {says}, which is not supported", wrong.Message);
    }

    [Fact]
    public void has_limits()
    {
        Refused(new string('a', PatternParser.MaximalLength + 1), "has 8193 characters; the limit is 8192");
        Refused(new string('(', PatternParser.MaximalDepth + 1), "has more than 50 groups in one another");
        Refused(string.Concat(Enumerable.Repeat("(?i)", 51)) + "a", "has more than 50 groups in one another");
        Refused("a?????????", "has so many quantifiers of one another");
        Refused("(?>a{1,102})", "repeats what is atomic more than 100 times");
        Refused($"a{{{PatternProgram.MaximalSteps}}}", "has more than 2000 steps with its repetitions written out");
        Refused("((((a{9}){9}){9}){9}){9}", "has more than 2000 steps");
        Refused(string.Concat(Enumerable.Range(0, 300).Select(i => char.ConvertFromUtf32(0x4E00 + i))), "tells more than 255 classes of characters apart");
        Refused($"(?<=a{string.Concat(Enumerable.Repeat("[ab]", 9))})", "looks behind at more than 256 different things");

        static void Refused(string pattern, string says) =>
            Assert.Contains(says, Assert.Throws<TokeniserFileException>(() => Split(new { Regex = pattern }, "Isolated", invert: false)).Message, StringComparison.Ordinal);
    }

    /// <summary>A backtracking engine takes years for the first, and for the others as many steps as the square of the text.</summary>
    [Theory]
    [InlineData("(a|aa)+(b|c)?(a+)+$", "a", 1)]
    [InlineData("(?:a+b|a)", "a", 300_000)]
    [InlineData("a*?a*?a*?b|(?=a*c)a", "a", 0)]
    [InlineData("\\s+(?!\\S)|\\s+\\S", " ", 1)]
    public void takes_a_text_of_any_length(string pattern, string unit, int matches)
    {
        var text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(unit, 300_000)));
        using var found = TextPattern.Read(Options(new { Regex = pattern })).In(text);
        var count = 0;
        while (found.TryNext(out _, out _)) { count++; }

        Assert.Equal(matches, count);
    }

    /// <summary>What is known is forgotten now and then, and a text is taken in blocks: neither may show.</summary>
    [Fact]
    public void finds_in_a_long_text_what_it_finds_in_its_parts()
    {
        // An unambiguous end of each part; what stands before it needs to be known far ahead.
        var random = new Random(5);
        var pattern = TextPattern.Read(Options(new { Regex = "(?:[ab]*?a[ab]{12}c|[ab中])[^;]?|(?<=;|中b)é" }));
        var parts = Enumerable.Range(0, 3000).Select(_ => string.Concat(random.GetItems("ababababc中é".ToCharArray(), random.Next(1, 40))) + ";").ToList();

        var (whole, apart) = (Matches(pattern, string.Concat(parts)), new List<string>());
        for (var i = 0; i < parts.Count; i++)
        {
            var before = i == 0 ? "" : ";";
            apart.AddRange(Matches(pattern, before + parts[i]));
        }

        Assert.Equal(apart, whole);
        Assert.True(whole.Count > 10_000);
    }

    [Fact]
    public void serves_many_threads()
    {
        var split = Split(new { Regex = "\\p{L}+|\\d{1,3}(?=(?:\\d{3})*\\b)|\\s" }, "Isolated", invert: false);
        var texts = Enumerable.Range(0, 200).Select(i => $"abc {i * 7919} été {new string('x', i * 50)}1234567").ToList();
        var expected = texts.Select(text => Pieces(split, text)).ToList();
        Parallel.For(0, texts.Count, i => Assert.Equal(expected[i], Pieces(split, texts[i])));
    }

    private static List<string> Matches(TextPattern pattern, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var found = new List<string>();
        using var matches = pattern.In(bytes);
        while (matches.TryNext(out var start, out var end)) { found.Add(Encoding.UTF8.GetString(bytes, start, end - start)); }

        return found;
    }

    private static IPreTokeniser Split(object pattern, string behavior, bool invert) =>
        Assert.Single(TokeniserStages.PreTokeniser(new StageOptions("pre_tokenizer", JsonSerializer.SerializeToElement(new { type = "Split", pattern, behavior, invert }))));

    private static StageOptions Options(object options) => new("options", JsonSerializer.SerializeToElement(options));

    private static List<string> Pieces(IPreTokeniser split, string text)
    {
        var working = new WorkingText();
        var bytes = Encoding.UTF8.GetBytes(text);
        working.Begin(bytes, 0, aligned: false);
        working.Split(split);
        return [.. working.Pieces.Select(piece => Encoding.UTF8.GetString(bytes, piece.Start, piece.End - piece.Start))];
    }

    private static string Replaced(INormaliser replace, string text)
    {
        var working = new WorkingText();
        working.Begin(Encoding.UTF8.GetBytes(text), 0, aligned: false);
        working.Normalise(replace);
        return Encoding.UTF8.GetString(working.Bytes);
    }
}
