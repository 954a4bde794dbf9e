using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Keywords;

namespace Platform.GpuKernels.Tests.Search;

/// <summary>The index as one would write it without caring for time: a dictionary, every document scored.</summary>
internal sealed class NaiveIndex(IndexSettings settings)
{
    private readonly Analyser analyser = new(settings.Stemming, settings.FoldAccents);

    public Dictionary<Guid, IndexDocument> Documents { get; } = [];

    public void Apply(IEnumerable<IndexDocument> adds, IEnumerable<Guid> deletes)
    {
        foreach (var id in deletes) { Documents.Remove(id); }
        foreach (var document in adds) { Documents[document.Id] = document; }
    }

    public (Guid Id, double Score)[] Keywords(string query, int hits, Func<IndexDocument, bool> allowed)
    {
        var terms = new List<string>();
        analyser.Analyse(query, TermsFor.Query, found => terms.Add(found.ToString()));
        var counted = terms.Distinct().Take(SearchLimits.QueryTerms).ToArray();
        var all = Documents.Values.Select(document => (Document: document, Counts: Counts(document))).ToArray();
        double average = all.Sum(entry => (double)entry.Counts.Values.Sum()) / all.Length;
        var scored = new List<(Guid Id, double Score)>();
        foreach (var (document, counts) in all.Where(entry => allowed(entry.Document)))
        {
            var (score, any) = (0.0, false);
            foreach (var term in counted)
            {
                if (!counts.TryGetValue(term, out var frequency)) { continue; }

                any = true;
                var having = all.Count(entry => entry.Counts.ContainsKey(term));
                var idf = Math.Log(1 + ((all.Length - having + 0.5) / (having + 0.5)));
                var norm = settings.K1 * (1 - settings.B + (settings.B * counts.Values.Sum() / average));
                score += terms.Count(each => each == term) * idf * (settings.K1 + 1) * frequency / (frequency + norm);
            }

            if (any) { scored.Add((document.Id, score)); }
        }

        return [.. scored.OrderByDescending(entry => entry.Score).ThenBy(entry => entry.Id).Take(hits)];
    }

    public (Guid Id, double Score)[] Nearest(float[] query, int hits, Func<IndexDocument, bool> allowed)
    {
        var with = Documents.Values.Where(document => !document.Vector.IsEmpty && allowed(document)).ToArray();
        return with.Length == 0 ? [] : VectorData.BruteForce(settings.Similarity, [.. with.Select(document => document.Vector.ToArray())], query, hits, at => with[at].Id);
    }

    private Dictionary<string, int> Counts(IndexDocument document)
    {
        var counts = new Dictionary<string, int>();
        void Add(string term, int times) => counts[term] = counts.GetValueOrDefault(term) + times;
        analyser.Analyse(document.Title, TermsFor.Index, found => Add(found.ToString(), settings.TitleWeight));
        analyser.Analyse(document.Text, TermsFor.Index, found => Add(found.ToString(), 1));
        return counts;
    }
}
