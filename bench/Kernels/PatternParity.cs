using System.Text;
using System.Text.Json;
using Platform.GpuKernels.Tokenisation;

namespace Platform.Kernels;

/// <summary>What Split and Replace make of a regular expression, as the records of bench/parity/patterns.mjs have it.</summary>
internal sealed class PatternParity
{
    private const int RefusedByReference = -2;
    private static readonly string[] Behaviours = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"];

    private readonly WorkingText working = new();
    private readonly SortedDictionary<string, int> refusals = new(StringComparer.Ordinal);
    private string head = "";
    private IPreTokeniser? split;
    private INormaliser? replace;

    /// <summary>null: the expression is refused, here or by the reference.</summary>
    public int[]? Of(byte[] record, ReadOnlySpan<int> expected)
    {
        var end = Array.IndexOf(record, (byte)0);
        var here = Encoding.UTF8.GetString(record, 0, end);
        if (here != head) { Read(here); }

        if (split is null || replace is null || expected is [RefusedByReference]) { return null; }

        var text = record.AsSpan(end + 1);
        working.Begin(text, 0, aligned: false);
        working.Split(split);
        var made = new List<int>();
        foreach (var piece in working.Pieces) { made.AddRange([Scalars(text[..piece.Start]), Scalars(text[..piece.End])]); }

        working.Begin(text, 0, aligned: false);
        working.Normalise(replace);
        return [.. made, -1, .. Encoding.UTF8.GetString(working.Bytes).EnumerateRunes().Select(rune => rune.Value)];
    }

    public void PrintRefusals()
    {
        Console.WriteLine($"{refusals.Values.Sum()} expressions refused");
        foreach (var (why, count) in refusals) { Console.WriteLine($"  {count}: {why}"); }
    }

    private void Read(string record)
    {
        head = record;
        var options = JsonSerializer.SerializeToElement(new
        {
            split = new { type = "Split", pattern = new { Regex = record[2..] }, behavior = Behaviours[record[0] - '0'], invert = record[1] == '1' },
            replace = new { type = "Replace", pattern = new { Regex = record[2..] }, content = "<>" },
        });
        try
        {
            split = TokeniserStages.PreTokeniser(new StageOptions("pre_tokenizer", options.GetProperty("split")))[0];
            replace = TokeniserStages.Normaliser(new StageOptions("normalizer", options.GetProperty("replace")))[0];
        }
        catch (TokeniserFileException refused)
        {
            split = null;
            var why = refused.Message[(refused.Message.LastIndexOf("which has", StringComparison.Ordinal) + "which has".Length)..];
            refusals[why] = refusals.GetValueOrDefault(why) + 1;
        }
    }

    private static int Scalars(ReadOnlySpan<byte> text)
    {
        var count = 0;
        foreach (var value in text) { count += (value & 0xC0) != 0x80 ? 1 : 0; }

        return count;
    }
}
