using System.Collections.Frozen;
using System.Text;

namespace Platform.Inference.Local;

/// <summary>Lines of the data files that are built into this assembly.</summary>
internal static class Data
{
    public static IEnumerable<string> Lines(string name)
    {
        using var stream = typeof(Data).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"The resource {name} is not in the assembly.");
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            if (line.Length > 0 && line[0] != '#') { yield return line; }
        }
    }
}

/// <summary>Tells the language of a text by its most frequent words, or by its script.</summary>
internal static class Languages
{
    /// <summary>BCP 47 for undetermined.</summary>
    public const string Unknown = "und";

    /// <summary>Words looked at: more would not change the answer.</summary>
    private const int Sample = 2_000;

    private static readonly (string Language, FrozenSet<string> Words)[] StopWords = [.. Data.Lines("stopwords.txt")
        .Select(line => line.Split(": ", 2))
        .Select(parts => (parts[0], parts[1].Split(' ').ToFrozenSet(StringComparer.Ordinal)))];

    private static readonly FrozenSet<string> AllStopWords = StopWords.SelectMany(entry => entry.Words).ToFrozenSet(StringComparer.Ordinal);

    /// <returns>en, nl, de, fr, es, it, pt, zh, ja; or <see cref="Unknown"/>.</returns>
    public static string Detect(IReadOnlyList<Word> words)
    {
        var sample = Math.Min(words.Count, Sample);
        var (pairs, kana) = (0, 0);
        for (var i = 0; i < sample; i++)
        {
            if (Words.IsIdeographic(Rune.GetRuneAt(words[i].Folded, 0).Value)) { pairs++; }

            if (words[i].Folded[0] is >= '\u3040' and <= '\u30ff') { kana++; }
        }

        if (pairs * 2 > sample) { return kana * 10 > pairs ? "ja" : "zh"; }

        var (best, most, second) = (Unknown, 0, 0);
        foreach (var (language, stopWords) in StopWords)
        {
            var count = 0;
            for (var i = 0; i < sample; i++) { count += stopWords.Contains(words[i].Folded) ? 1 : 0; }

            if (count > most) { (best, most, second) = (language, count, most); }
            else if (count > second) { second = count; }
        }

        return most > second ? best : Unknown;
    }

    /// <returns>The stop words of a language; of all languages together for an unknown one.</returns>
    public static FrozenSet<string> StopWordsOf(string language)
    {
        foreach (var (known, words) in StopWords)
        {
            if (known == language) { return words; }
        }

        return AllStopWords;
    }
}
