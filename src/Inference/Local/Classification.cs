using System.Collections.Frozen;

namespace Platform.Inference.Local;

/// <param name="Description">What belongs there; may be empty.</param>
internal sealed record Label(string Name, string Description, IReadOnlyList<string> Examples);

/// <param name="Score">0..1 or a little more; comparable within one classification only.</param>
internal readonly record struct Scored(int Label, double Score);

/// <summary>Compares a text with what is said of each label: words by tf-idf, concepts that have many names, pieces of words, and examples.</summary>
internal static class Classification
{
    /// <summary>Below this nothing speaks for a label but chance.</summary>
    public const double Floor = 0.03;

    private const double NameWeight = 3;
    private const double ConceptWeight = 2;
    private const double RelatedWeight = 0.7;
    private const double PieceWeight = 0.25;
    private const double ExampleWeight = 0.7;

    /// <summary>UTF-16 units at the start, title or subject, that count more.</summary>
    private const int LeadLength = 120;
    private const double LeadWeight = 1.6;
    private const int PieceLength = 5;

    private static readonly (FrozenDictionary<string, string[]> Names, FrozenDictionary<string, string[]> Related) Concepts = ReadConcepts();

    /// <returns>Best first; equal ones in the order of the labels.</returns>
    public static List<Scored> Rank(string text, IReadOnlyList<Label> labels)
    {
        var profiles = labels.Select(Profile).ToList();
        var spread = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var term in profiles.SelectMany(profile => profile.Keys)) { spread[term] = spread.GetValueOrDefault(term) + 1; }

        var document = TextVector(text);
        var scores = new List<Scored>();
        for (var i = 0; i < labels.Count; i++)
        {
            var score = Likeness(document, profiles[i], term => Math.Log(1 + ((double)labels.Count / spread.GetValueOrDefault(term, labels.Count))));
            foreach (var example in labels[i].Examples)
            {
                score = Math.Max(score, score + (ExampleWeight * Likeness(document, TextVector(example), _ => 1)));
            }

            // Rounded, so that the last bits of two equal sums do not decide.
            scores.Add(new Scored(i, Math.Round(score, 6)));
        }

        return [.. scores.OrderByDescending(scored => scored.Score).ThenBy(scored => scored.Label)];
    }

    /// <summary>How sure the first is, 0..1, two decimals: near 1 where it is far above the second and above chance.</summary>
    public static double Confidence(IReadOnlyList<Scored> ranked)
    {
        if (ranked.Count == 0 || ranked[0].Score < Floor) { return 0; }

        var second = ranked.Count > 1 ? ranked[1].Score : 0;
        var margin = 1 - (second / ranked[0].Score);
        return Math.Round((0.5 + (0.5 * margin)) * (1 - Math.Exp(-12 * ranked[0].Score)), 2);
    }

    private static Dictionary<string, double> Profile(Label label)
    {
        var profile = new Dictionary<string, double>(StringComparer.Ordinal);
        Add(profile, SpacedOut(label.Name), NameWeight, related: false);
        Add(profile, label.Description, 1, related: false);
        foreach (var example in label.Examples) { Add(profile, example, 1.0 / label.Examples.Count, related: false); }

        return profile;
    }

    private static Dictionary<string, double> TextVector(string text)
    {
        var counts = new Dictionary<string, double>(StringComparer.Ordinal);
        Add(counts, text, 1, related: true);

        // A word said ten times does not say ten times as much.
        return counts.ToDictionary(entry => entry.Key, entry => 1 + Math.Log(1 + entry.Value), StringComparer.Ordinal);
    }

    private static void Add(Dictionary<string, double> vector, string text, double weight, bool related)
    {
        var words = Words.Of(text);
        var stop = Languages.StopWordsOf(Languages.Detect(words));
        Word? before = null;
        foreach (var word in words)
        {
            if (stop.Contains(word.Folded) || Words.IsNumber(word.Folded)) { continue; }

            var here = related && word.Start < LeadLength ? weight * LeadWeight : weight;
            Increase("w:" + word.Stem, here);
            AddConcepts(Concepts.Names, word, before, here * ConceptWeight);
            if (related) { AddConcepts(Concepts.Related, word, before, here * RelatedWeight); }

            for (var i = 0; i + PieceLength <= word.Stem.Length; i++) { Increase(string.Concat("p:", word.Stem.AsSpan(i, PieceLength)), here * PieceWeight); }

            before = word;
        }

        void AddConcepts(FrozenDictionary<string, string[]> concepts, in Word word, Word? previous, double amount)
        {
            if (previous is { } one && concepts.TryGetValue($"{one.Stem}_{word.Stem}", out var pair)) { IncreaseAll(pair, amount); }

            if (concepts.TryGetValue(word.Stem, out var found)) { IncreaseAll(found, amount); }
            else if (TryCompound(concepts, word.Folded, out found)) { IncreaseAll(found, amount * 0.7); }
        }

        void IncreaseAll(string[] concepts, double amount)
        {
            foreach (var concept in concepts) { Increase("c:" + concept, amount); }
        }

        void Increase(string term, double amount) => vector[term] = vector.GetValueOrDefault(term) + amount;
    }

    /// <summary>Dutch and German write compounds as one word: Rechnungsnummer, huurovereenkomst.</summary>
    private static bool TryCompound(FrozenDictionary<string, string[]> concepts, string word, out string[] found)
    {
        const int ShortestPart = 6;
        for (var length = word.Length - 2; length >= ShortestPart; length--)
        {
            if (concepts.TryGetValue(word[..length], out found!) || concepts.TryGetValue(word[^length..], out found!)) { return true; }
        }

        found = [];
        return false;
    }

    private static double Likeness(Dictionary<string, double> text, Dictionary<string, double> profile, Func<string, double> rarity)
    {
        var (product, textNorm, profileNorm) = (0.0, 0.0, 0.0);
        foreach (var (term, weight) in profile)
        {
            var rare = weight * rarity(term);
            profileNorm += rare * rare;
            if (text.TryGetValue(term, out var there)) { product += rare * there; }
        }

        foreach (var weight in text.Values) { textNorm += weight * weight; }

        return product == 0 ? 0 : product / Math.Sqrt(profileNorm * textNorm);
    }

    /// <summary>customerComplaint, customer_complaint and customer-complaint are two words.</summary>
    private static string SpacedOut(string name) =>
        string.Concat(name.Select((c, i) => c is '_' or '-' or '/' ? " " : i > 0 && char.IsUpper(c) && char.IsLower(name[i - 1]) ? $" {c}" : c.ToString()));

    private static (FrozenDictionary<string, string[]> Names, FrozenDictionary<string, string[]> Related) ReadConcepts()
    {
        var entries = Data.Lines("concepts.txt").Select(line => line.Split(" = ", 2)).Select(parts => (Concept: parts[0], Lists: parts[1].Split(" ~ ", 2))).ToList();
        return (Index(entries.Select(entry => (entry.Concept, entry.Lists[0]))), Index(entries.Select(entry => (entry.Concept, entry.Lists[1]))));

        static FrozenDictionary<string, string[]> Index(IEnumerable<(string Concept, string Words)> lists) => lists
            .SelectMany(list => list.Words.Split(' ').SelectMany(word => new[] { (Key: word, list.Concept), (Key: string.Join('_', word.Split('_').Select(Words.StemOf)), list.Concept) }))
            .GroupBy(entry => entry.Key, StringComparer.Ordinal)
            .ToFrozenDictionary(group => group.Key, group => group.Select(entry => entry.Concept).Distinct(StringComparer.Ordinal).ToArray(), StringComparer.Ordinal);
    }
}
