using System.Buffers;
using System.Collections.Frozen;
using System.Globalization;

namespace Platform.Inference.Local;

/// <summary>Sums the weights of known words, with negation and emphasis, as VADER does (Hutto and Gilbert 2014).</summary>
internal static class Sentiment
{
    /// <summary>Words before a weighted one in which a negation or an emphasis counts.</summary>
    private const int Reach = 3;

    /// <summary>A negated word says the opposite, more weakly.</summary>
    private const double Negated = -0.74;

    /// <summary>VADER's constant: brings a sum of word weights to -1..1.</summary>
    private const double Normaliser = 15;

    private static readonly SearchValues<char> SentenceEnds = SearchValues.Create(".!?;\n。");
    private static readonly FrozenDictionary<string, double> Weights = Read("weight");
    private static readonly FrozenSet<string> Negations = ReadWords("negation");
    private static readonly FrozenSet<string> Emphases = ReadWords("emphasis");

    /// <returns>-1..1, three decimals; 0 where nothing is known of the words.</returns>
    public static double Of(string text)
    {
        var words = Words.Of(text);
        var sum = 0.0;
        for (var i = 0; i < words.Count; i++)
        {
            if (!TryWeight(words[i], out var weight)) { continue; }

            var factor = 1.0;
            for (var j = Math.Max(0, i - Reach); j < i; j++)
            {
                if (SentenceEndsBetween(text, words[j], words[i])) { continue; }

                if (Negations.Contains(words[j].Folded)) { factor *= factor < 0 ? 1 : Negated; }
                else if (Emphases.Contains(words[j].Folded)) { factor *= 1.3; }
            }

            sum += weight * factor;
        }

        return Math.Round(sum / Math.Sqrt((sum * sum) + Normaliser), 3) + 0.0;
    }

    private static bool TryWeight(in Word word, out double weight) => Weights.TryGetValue(word.Folded, out weight) || Weights.TryGetValue(word.Stem, out weight);

    private static bool SentenceEndsBetween(string text, in Word one, in Word other) =>
        one.End <= other.Start && text.AsSpan(one.End, other.Start - one.End).ContainsAny(SentenceEnds);

    private static FrozenDictionary<string, double> Read(string kind)
    {
        var weights = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var parts in Data.Lines("sentiment.txt").Select(line => line.Split(' ')).Where(parts => parts[0] == kind))
        {
            var weight = double.Parse(parts[1], CultureInfo.InvariantCulture);
            foreach (var word in parts.Skip(2))
            {
                weights.TryAdd(word, weight);
                weights.TryAdd(Words.StemOf(word), weight);
            }
        }

        return weights.ToFrozenDictionary(StringComparer.Ordinal);
    }

    private static FrozenSet<string> ReadWords(string kind) =>
        Data.Lines("sentiment.txt").Select(line => line.Split(' ')).Where(parts => parts[0] == kind).SelectMany(parts => parts.Skip(1)).ToFrozenSet(StringComparer.Ordinal);
}
