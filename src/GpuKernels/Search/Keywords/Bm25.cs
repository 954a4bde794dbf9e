namespace Platform.GpuKernels.Search.Keywords;

/// <summary>
/// The scores of keywords: BM25 (Robertson and Zaragoza, 2009) with the idf that is never negative, ln(1 + (N - n + 0.5) / (n + 0.5)). A term's part is
/// written as weight / (1 + K / frequency), so that it grows with the frequency and shrinks with the length after rounding too: what bounds a block does.
/// </summary>
/// <param name="documents">Living documents.</param>
/// <param name="totalLength">Terms of all of them.</param>
internal readonly struct Bm25(double k1, double b, long documents, long totalLength)
{
    private readonly double perTerm = totalLength == 0 ? 0 : b * k1 / (totalLength / (double)documents);

    /// <param name="having">Living documents that have the term.</param>
    /// <param name="inQuery">How often the query has it.</param>
    public double WeightOf(long having, int inQuery) => inQuery * (k1 + 1) * Math.Log(1 + ((documents - having + 0.5) / (having + 0.5)));

    /// <param name="length">Terms of the document.</param>
    public double Part(double weight, int frequency, int length) => weight / (1 + (((k1 * (1 - b)) + (perTerm * length)) / frequency));
}

/// <summary>A term of a query.</summary>
internal readonly record struct QueryTerm(string Text, int Count)
{
    /// <summary>The first different terms of a query, in its order: the order in which parts of a score are added.</summary>
    public static QueryTerm[] Of(string query, Analyser analyser)
    {
        var terms = new List<string>();
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        analyser.Analyse(query, TermsFor.Query, Add);
        return [.. terms.Select(term => new QueryTerm(term, counts[term]))];

        void Add(ReadOnlySpan<char> found)
        {
            var term = found.ToString();
            if (counts.TryGetValue(term, out var count)) { counts[term] = count + 1; }
            else if (terms.Count < SearchLimits.QueryTerms)
            {
                counts[term] = 1;
                terms.Add(term);
            }
        }
    }
}
