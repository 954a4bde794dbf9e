namespace Platform.Inference.Local;

/// <summary>TextRank (Mihalcea and Tarau 2004): the sentences that most resemble the others, in their own order.</summary>
internal static class Summary
{
    private const int Rounds = 30;
    private const double Damping = 0.85;

    /// <summary>How much more the first sentence counts than a late one: authors put first what matters.</summary>
    private const double LeadBonus = 0.5;

    /// <summary>Share of common words at which two sentences say the same.</summary>
    private const double Redundant = 0.6;

    /// <summary>A sentence of fewer words is a greeting or a heading.</summary>
    private const int FewWords = 4;

    private sealed record Ranked(Sentence Sentence, int Order, Dictionary<string, double> Terms, double Norm, bool Short);

    public static string Of(string text, int sentences, int length)
    {
        var candidates = Candidates(text);
        if (candidates.Count == 0) { return ""; }

        var scores = Rank(candidates);
        var chosen = new List<Ranked>();
        var used = 0;
        foreach (var index in Enumerable.Range(0, candidates.Count).OrderByDescending(index => scores[index]).ThenBy(index => index))
        {
            var candidate = candidates[index];
            if (chosen.Count >= sentences) { break; }

            var needed = candidate.Sentence.Text.Length + (chosen.Count > 0 ? 1 : 0);
            if (used + needed > length || chosen.Exists(other => Similarity(candidate, other) > Redundant)) { continue; }

            chosen.Add(candidate);
            used += needed;
        }

        if (chosen.Count > 0) { return string.Join(' ', chosen.OrderBy(candidate => candidate.Order).Select(candidate => candidate.Sentence.Text)); }

        // Not even the shortest good sentence fits: the best one, cut.
        var best = Enumerable.Range(0, candidates.Count).MaxBy(index => scores[index]);
        return Cut(candidates[best].Sentence.Text, length);
    }

    /// <summary>Cut at a space where there is one, with an ellipsis within the length.</summary>
    public static string Cut(string text, int length)
    {
        if (text.Length <= length) { return text; }

        if (length <= 0) { return ""; }

        var end = length - 1;
        var space = text.LastIndexOf(' ', end);
        if (space > end / 2) { end = space; }

        if (end > 0 && char.IsHighSurrogate(text[end - 1])) { end--; }

        return text[..end].TrimEnd(' ', ',', ';', ':') + "…";
    }

    private static List<Ranked> Candidates(string text)
    {
        var sentences = Sentences.Of(text);
        var words = sentences.ConvertAll(sentence => Words.Of(sentence.Text));
        var stop = Languages.StopWordsOf(Languages.Detect([.. words.SelectMany(list => list).Take(2_000)]));

        var spread = new Dictionary<string, int>(StringComparer.Ordinal);
        var terms = words.ConvertAll(list => list
            .Where(word => !stop.Contains(word.Folded) && (word.Folded.Length > 1 || Words.IsIdeographic(word.Folded[0])))
            .Select(word => word.Stem).ToList());
        foreach (var list in terms)
        {
            foreach (var term in list.Distinct(StringComparer.Ordinal)) { spread[term] = spread.GetValueOrDefault(term) + 1; }
        }

        var candidates = new List<Ranked>();
        for (var i = 0; i < sentences.Count; i++)
        {
            if (words[i].Count == 0) { continue; }

            var vector = new Dictionary<string, double>(StringComparer.Ordinal);
            foreach (var term in terms[i]) { vector[term] = vector.GetValueOrDefault(term) + Math.Log(1 + ((double)sentences.Count / spread[term])); }

            var isShort = words[i].Count < FewWords && !sentences[i].Text.Any(c => Words.IsIdeographic(c));
            candidates.Add(new Ranked(sentences[i], i, vector, Math.Sqrt(vector.Values.Sum(weight => weight * weight)), isShort));
        }

        if (candidates.Exists(candidate => !candidate.Short)) { candidates.RemoveAll(candidate => candidate.Short); }

        if (candidates.Count <= LocalAgentLimits.RankedSentences) { return candidates; }

        // Of a long text those are ranked that are closest to the whole: this takes linear time, the ranking does not.
        return [.. candidates
            .Select(candidate => (Candidate: candidate, Weight: candidate.Terms.Keys.Sum(term => Math.Log(spread[term])) / (5 + candidate.Terms.Count)))
            .OrderByDescending(entry => Math.Round(entry.Weight, 6)).ThenBy(entry => entry.Candidate.Order)
            .Take(LocalAgentLimits.RankedSentences)
            .Select(entry => entry.Candidate)
            .OrderBy(candidate => candidate.Order)];
    }

    private static double[] Rank(List<Ranked> candidates)
    {
        var count = candidates.Count;
        var edges = new double[count][];
        for (var i = 0; i < count; i++) { edges[i] = new double[count]; }

        var totals = new double[count];
        for (var i = 0; i < count; i++)
        {
            for (var j = 0; j < i; j++)
            {
                var similarity = Similarity(candidates[i], candidates[j]);
                edges[i][j] = edges[j][i] = similarity;
                totals[i] += similarity;
                totals[j] += similarity;
            }
        }

        var scores = new double[count];
        Array.Fill(scores, 1.0);
        for (var round = 0; round < Rounds; round++)
        {
            var next = new double[count];
            for (var i = 0; i < count; i++)
            {
                var sum = 0.0;
                for (var j = 0; j < count; j++)
                {
                    if (edges[i][j] > 0) { sum += edges[i][j] / totals[j] * scores[j]; }
                }

                next[i] = 1 - Damping + (Damping * sum);
            }

            scores = next;
        }

        // Rounded, so that the last bits of two equal sums do not decide.
        for (var i = 0; i < count; i++) { scores[i] = Math.Round(scores[i] * (1 + (LeadBonus / (1 + candidates[i].Order))), 6); }

        return scores;
    }

    private static double Similarity(Ranked one, Ranked other)
    {
        if (one.Norm == 0 || other.Norm == 0) { return 0; }

        var (small, large) = one.Terms.Count < other.Terms.Count ? (one, other) : (other, one);
        var product = 0.0;
        foreach (var (term, weight) in small.Terms)
        {
            if (large.Terms.TryGetValue(term, out var there)) { product += weight * there; }
        }

        return product / (one.Norm * other.Norm);
    }
}
