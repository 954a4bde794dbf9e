using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tests.Tokenisation.Bpe;

public class A_split_of_DeepSeek
{
    // Of every class that the expressions name; on these .NET's tables and the reference's agree.
    private static readonly string[] Atoms =
        ["a", "Z", "é", "ß", "\u0301", "一", "龥", "龦", "ひ", "ヿ", "ㄅ", "ก", "ิ", "1", "٣", "½", " ", "  ", "\t", "\r", "\n", "\u00A0", "\u3000", "!", "'", "\\", "]", "~", "€", "«", "。", "\u0001", "\u200B", "\uE000"];

    public static TheoryData<string> Expressions => [.. DeepSeekSplit.Supported];

    [Theory]
    [MemberData(nameof(Expressions))]
    public void cuts_where_a_backtracking_engine_cuts(string expression)
    {
        var regex = new Regex(expression, RegexOptions.CultureInvariant);
        var options = JsonSerializer.SerializeToElement(new { type = "Split", pattern = new { Regex = expression }, behavior = "Isolated", invert = false });
        var split = Assert.IsType<DeepSeekSplit>(Assert.Single(TokeniserStages.PreTokeniser(new StageOptions("pre_tokenizer", options))));
        var random = new Random(11);
        for (var i = 0; i < 2_000; i++)
        {
            var text = string.Concat(random.GetItems(Atoms, random.Next(1, 13)));
            Assert.Equal(Pieces(regex, text), Pieces(split, text));
        }
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

    private static List<string> Pieces(DeepSeekSplit split, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var working = new WorkingText();
        working.Begin(bytes, 0, aligned: false);
        working.Split(split);
        return [.. working.Pieces.Select(piece => Encoding.UTF8.GetString(bytes, piece.Start, piece.End - piece.Start))];
    }
}
