using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tests.Tokenisation.Bpe;

public class A_split_of_DeepSeek
{
    // Of every class that the expressions name, in kana and Han and beside them; on these .NET's tables and the reference's agree.
    private static readonly string[] Atoms =
    [
        "a", "Z", "é", "ß", "\u0301", "一", "龥", "龦", "ひ", "ヿ", "\u3099", "゛", "・", "\u3097", "ㄅ", "ก", "ิ", "1", "٣", "½", " ", "  ", "\t", "\r", "\n", "\u00A0", "\u3000", "!", "'", "\\",
        "]", "~", "€", "«", "×", "。", "я", "жжжжжжжжжжжжжжж", "Кириллицакириллицей", "Ω", "\u0001", "\u200B", "\uE000", "long-words-of-thirty-two-letters-or-more", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    ];

    [Fact]
    public void cuts_in_one_pass_where_three_splits_of_a_backtracking_engine_cut()
    {
        var regexes = SplitPatterns.DeepSeekV3.Select(expression => new Regex(expression, RegexOptions.CultureInvariant)).ToList();
        var scanner = Assert.IsType<ScannedPreTokeniser>(Assert.Single(Read(SplitPatterns.DeepSeekV3, "Isolated")));
        var random = new Random(11);
        for (var i = 0; i < 20_000; i++)
        {
            var text = string.Concat(random.GetItems(Atoms, random.Next(1, 13)));
            Assert.Equal(regexes.Aggregate((IEnumerable<string>)[text], (pieces, regex) => pieces.SelectMany(piece => Pieces(regex, piece))), Pieces(scanner, text));
        }
    }

    [Fact]
    public void is_made_of_all_three_that_keep_their_matches()
    {
        Assert.Equal(2, Read(SplitPatterns.DeepSeekV3.Take(2), "Isolated").Count);
        Assert.Equal(3, Read(SplitPatterns.DeepSeekV3, "Removed").Count);
        Assert.Equal(3, Read(SplitPatterns.DeepSeekV3.Reverse(), "Isolated").Count);
    }

    private static IReadOnlyList<IPreTokeniser> Read(IEnumerable<string> expressions, string behaviour)
    {
        var splits = expressions.Select(expression => new { type = "Split", pattern = new { Regex = expression }, behavior = behaviour, invert = false });
        return TokeniserStages.PreTokeniser(new StageOptions("pre_tokenizer", JsonSerializer.SerializeToElement(new { type = "Sequence", pretokenizers = splits })));
    }

    private static List<string> Pieces(Regex regex, string text)
    {
        var pieces = new List<string>();
        var at = 0;
        foreach (Match match in regex.Matches(text))
        {
            if (match.Index > at) { pieces.Add(text[at..match.Index]); }

            pieces.Add(match.Value);
            at = match.Index + match.Length;
        }

        if (at < text.Length) { pieces.Add(text[at..]); }

        return pieces;
    }

    private static List<string> Pieces(ScannedPreTokeniser split, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var working = new WorkingText();
        working.Begin(bytes, 0, aligned: false);
        working.Split(split);
        return [.. working.Pieces.Select(piece => Encoding.UTF8.GetString(bytes, piece.Start, piece.End - piece.Start))];
    }
}
