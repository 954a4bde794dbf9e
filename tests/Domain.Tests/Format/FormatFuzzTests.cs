using System.Globalization;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Tests.Format;

public class Whatever_the_text
{
    private const int Mutations = 20_000;

    // Texts that mean something to a parser somewhere.
    private static readonly string[] Pieces =
    [
        "${", "}", "${ }", "$${", "'", "\"", "\\", "|", ">", "- ", ": ", "? ", "&a ", "*a", "!!str ", "%", "@", "`", "\t", "\n", "\r\n", "\r", "\u2028", "\u0085", "\uFEFF", "\uD800", "\0",
        "{", "[", "]", "#", "---\n", "...\n", "~", "null", "true", ".nan", "0x", "1e999", "-", "999999999999999999999999", "stages:", "daemon:", "if: ", "foreach: ", "output: ", "schema: ", "$ref", "pattern: '(a'",
        "\uD83D\uDE00", "do: []", "then: [x]", "on_error: undo", "<<: *a", "inputs.", "((((((", "??", "&&", "retry: -1", "timeout: P", "2026-02-30",
    ];

    private static string Mutated(string text, Random random)
    {
        for (var change = random.Next(1, 5); change > 0; change--)
        {
            var at = random.Next(text.Length + 1);
            var length = Math.Min(text.Length - at, random.Next(1, random.Next(2, 40)));
            text = random.Next(6) switch
            {
                0 => text.Remove(at, length),
                1 => text.Insert(at, Pieces[random.Next(Pieces.Length)]),
                2 => text.Insert(at, text.Substring(at, length)),
                3 => text.Insert(random.Next(text.Length + 1), text.Substring(at, length)),
                4 => text.Insert(at, ((char)random.Next(0x10000)).ToString()),
                _ => text[..at] + Pieces[random.Next(Pieces.Length)] + text[(at + length)..],
            };
            if (text.Length == 0) { text = "a"; }
        }

        return text;
    }

    [Fact]
    public void the_answer_is_diagnostics_within_the_text()
    {
        var times = int.TryParse(Environment.GetEnvironmentVariable("PLATFORM_FUZZ"), CultureInfo.InvariantCulture, out var given) ? Math.Max(given, Mutations) : Mutations;
        var seed = int.TryParse(Environment.GetEnvironmentVariable("PLATFORM_FUZZ_SEED"), CultureInfo.InvariantCulture, out var chosen) ? chosen : 20_261_121;
        string[] texts =
        [
            .. Cases.Named("seeds", "*.yaml").Concat(Cases.Named("check", "*.yaml")).Select(Cases.Read),
            Cases.Example("sort-folder", "daemon.yaml"),
            Cases.Example("hello", "daemon.yaml"),
        ];
        Parallel.For(0, times, new ParallelOptions { MaxDegreeOfParallelism = 2 }, number =>
        {
            var random = new Random(seed + number);
            var text = Mutated(texts[random.Next(texts.Length)], random);
            try
            {
                var lines = text.Split(["\r\n", "\n", "\r", "\u2028", "\u2029", "\u0085"], StringSplitOptions.None);
                foreach (var diagnostic in DaemonChecker.Check(DaemonParser.Parse(text), Installation.Here))
                {
                    Assert.InRange(diagnostic.Location.Line, 1, lines.Length + 1);
                    Assert.True(diagnostic.Location.Column >= 1, diagnostic.ToString());
                    Assert.NotEmpty(diagnostic.Message);
                }
            }
            catch (Exception fault)
            {
                throw new InvalidOperationException($"Mutation {number} of seed {seed}:\n{text}", fault);
            }
        });
    }
}
