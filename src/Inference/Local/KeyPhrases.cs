namespace Platform.Inference.Local;

/// <summary>RAKE (Rose et al. 2010): runs of content words, scored by how long the company of their words is.</summary>
internal static class KeyPhrases
{
    private const int LongestPhrase = 3;

    private sealed class Candidate(string text, string[] stems, int order)
    {
        public string Text { get; } = text;

        public string[] Stems { get; } = stems;

        public int Order { get; } = order;

        public int Count { get; set; } = 1;

        public double Score { get; set; }
    }

    /// <returns>Best first, as first written.</returns>
    public static List<string> In(string text, int most)
    {
        var words = Words.Of(text);
        var stop = Languages.StopWordsOf(Languages.Detect(words));
        var candidates = new Dictionary<string, Candidate>(StringComparer.Ordinal);
        var frequency = new Dictionary<string, int>(StringComparer.Ordinal);
        var degree = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var i = 0; i < words.Count;)
        {
            var end = i;
            while (end < words.Count && IsContent(words[end]) && (end == i || Touch(text, words[end - 1], words[end]))) { end++; }

            if (end == i)
            {
                i++;
                continue;
            }

            // A longer run is a list or data rather than a phrase: it counts by its parts.
            for (var from = i; from < end; from += LongestPhrase) { Add(from, Math.Min(from + LongestPhrase, end)); }

            i = end;
        }

        foreach (var candidate in candidates.Values)
        {
            foreach (var stem in candidate.Stems) { candidate.Score += (double)degree[stem] / frequency[stem]; }

            candidate.Score = Math.Round(candidate.Score * (1 + Math.Log(candidate.Count)), 6);
        }

        return Choose(candidates.Values, most);

        bool IsContent(in Word word) => !stop.Contains(word.Folded) && !Words.IsNumber(word.Folded) && (word.Folded.Length > 2 || Words.IsIdeographic(word.Folded[0]));

        void Add(int from, int to)
        {
            var stems = words[from..to].Select(word => word.Stem).ToArray();
            foreach (var stem in stems)
            {
                frequency[stem] = frequency.GetValueOrDefault(stem) + 1;
                degree[stem] = degree.GetValueOrDefault(stem) + stems.Length;
            }

            var key = string.Join(' ', stems);
            if (candidates.TryGetValue(key, out var known)) { known.Count++; }
            else { candidates.Add(key, new Candidate(text[words[from].Start..words[to - 1].End], stems, candidates.Count)); }
        }
    }

    /// <summary>Only a space or a hyphen, or in Chinese and Japanese nothing, stands between the words of a phrase.</summary>
    private static bool Touch(string text, in Word one, in Word other) =>
        other.Start <= one.End || (other.Start == one.End + 1 && text[one.End] is ' ' or '-' or '\u00a0');

    private static List<string> Choose(IEnumerable<Candidate> candidates, int most)
    {
        var chosen = new List<Candidate>();
        foreach (var candidate in candidates.OrderByDescending(candidate => candidate.Score).ThenBy(candidate => candidate.Order))
        {
            if (chosen.Count >= most) { break; }

            // A phrase inside a better one says nothing new.
            if (!chosen.Exists(better => candidate.Stems.All(better.Stems.Contains))) { chosen.Add(candidate); }
        }

        return [.. chosen.Select(candidate => candidate.Text)];
    }
}
