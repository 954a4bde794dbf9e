using System.Text;
using Platform.GpuKernels.Search.Keywords;
using Platform.GpuKernels.Search.Segments;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search;

/// <summary>The index at one position: what is written meanwhile is not seen. To be disposed soon, since it keeps the memory of that position. Safe for several threads.</summary>
public sealed class IndexReader : IDisposable
{
    private readonly IndexSnapshot snapshot;
    private readonly IndexSettings settings;
    private readonly SegmentsOnDevice? device;
    private int disposed;

    /// <param name="device">null: vectors are searched on the CPU.</param>
    internal IndexReader(IndexSnapshot held, IndexSettings settings, SegmentsOnDevice? device) => (snapshot, this.settings, this.device) = (held, settings, device);

    /// <summary>Of the last event that it holds.</summary>
    public long Position => snapshot.Position;

    public long Documents => snapshot.Segments.Sum(view => (long)view.LiveRows);

    /// <summary>Bytes that the index takes, in memory or as mapped files of which the operating system keeps what is used.</summary>
    public long Bytes => snapshot.Segments.Sum(view => view.Segment.Memory.Length);

    internal IReadOnlyList<SegmentView> Segments => snapshot.Segments;

    public bool Contains(Guid id)
    {
        var number = DocumentId.ToNumber(id);
        return snapshot.Segments.Any(view => view.Segment.Find(number) is >= 0 and var row && view.IsLive(row));
    }

    /// <summary>The best documents, the best first.</summary>
    /// <exception cref="ArgumentException">The query cannot be answered; the message says why.</exception>
    /// <exception cref="CorruptIndexException">A file of the index was changed after it was opened.</exception>
    public IReadOnlyList<SearchHit> Search(HybridQuery query, CancellationToken cancellation) => Search([query], cancellation)[0];

    /// <summary>The same for several queries: vectors are read once for those that have the same filter and depth.</summary>
    /// <exception cref="ArgumentException"/>
    /// <exception cref="CorruptIndexException"/>
    public IReadOnlyList<IReadOnlyList<SearchHit>> Search(IReadOnlyList<HybridQuery> queries, CancellationToken cancellation)
    {
        ObjectDisposedException.ThrowIf(disposed != 0, this);
        foreach (var query in queries) { Check(query); }

        var found = new IReadOnlyList<SearchHit>[queries.Count];
        var analyser = new Analyser(settings.Stemming, settings.FoldAccents);
        foreach (var alike in Enumerable.Range(0, queries.Count).GroupBy(at => (queries[at].Filter, DepthOf(queries[at]))))
        {
            var (filter, depth) = alike.Key;
            var allowed = snapshot.Segments.Select(view => Allowed(view, filter)).ToArray();
            var withVector = alike.Where(at => !queries[at].Vector.IsEmpty).ToArray();
            var near = withVector.Zip(Nearest([.. withVector.Select(at => queries[at])], allowed, depth, cancellation)).ToDictionary();
            foreach (var at in alike) { found[at] = Join(queries[at], depth, allowed, near.GetValueOrDefault(at, []), analyser, cancellation); }
        }

        return found;
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref disposed, 1) == 0) { snapshot.LetGo(); }
    }

    private static int DepthOf(HybridQuery query) => query.Text.Length == 0 || query.Vector.IsEmpty ? query.Hits : Math.Max(query.Hits, query.Depth);

    private static Bitmap? Allowed(SegmentView view, DocumentFilter? filter)
    {
        if (filter is null) { return view.Live; }

        var passing = filter.Evaluate(view.Segment);
        return view.Live is null ? passing : passing.And(view.Live);
    }

    private ScoredRow[][] Nearest(HybridQuery[] queries, Bitmap?[] allowed, int depth, CancellationToken cancellation)
    {
        if (queries.Length == 0) { return []; }

        var sources = snapshot.Segments.Select((view, at) => new VectorSource(view.Segment.Vectors, OfVectors(view.Segment, allowed[at]))).ToArray();
        var quantised = queries.Select(query => new QuantisedQuery(settings.Similarity, query.Vector.Span)).ToArray();
        var threads = settings.Threads == 0 ? Environment.ProcessorCount : settings.Threads;
        return device is null
            ? VectorScan.Search(sources, quantised, depth, threads, cancellation)
            : device.Search([.. snapshot.Segments.Select(view => view.Segment)], sources, quantised, depth, threads, cancellation);
    }

    /// <summary>The same set in numbers of vectors instead of rows.</summary>
    private static Bitmap? OfVectors(Segment segment, Bitmap? rows)
    {
        if (rows is null || segment.RowOfVector.Length == segment.Rows) { return rows; }

        var vectors = new Bitmap(segment.RowOfVector.Length);
        for (var vector = 0; vector < vectors.Length; vector++)
        {
            if (rows[segment.RowOfVector[vector]]) { vectors[vector] = true; }
        }

        return vectors;
    }

    private List<SearchHit> Join(HybridQuery query, int depth, Bitmap?[] allowed, ScoredRow[] near, Analyser analyser, CancellationToken cancellation)
    {
        var terms = QueryTerm.Of(query.Text, analyser);
        var matching = terms.Length == 0 ? [] : KeywordSearch.Search(snapshot.Segments, allowed, terms, settings.K1, settings.B, depth, cancellation);
        var fused = (query.Text.Length == 0, query.Vector.IsEmpty) switch
        {
            (true, _) => near.Select((row, at) => new FusedHit(row.Id, row.Score, null, new SidePart(at + 1, row.Score, row.Score))),
            (_, true) => matching.Select((hit, at) => new FusedHit(hit.Id, hit.Score, new SidePart(at + 1, hit.Score, hit.Score), null)),
            _ => query.Fusion.Join([.. matching.Select(hit => (hit.Id, hit.Score))], [.. near.Select(row => (row.Id, row.Score))]),
        };
        return [.. fused.Take(query.Hits).Select(hit => new SearchHit(DocumentId.FromNumber(hit.Id), hit.Score, hit.Keywords, hit.Vector, Matched(hit.Id, terms)))];
    }

    private List<string> Matched(UInt128 id, QueryTerm[] terms)
    {
        var matched = new List<string>();
        foreach (var view in snapshot.Segments)
        {
            if (view.Segment.Find(id) is not (>= 0 and var row) || !view.IsLive(row)) { continue; }
            foreach (var term in terms)
            {
                if (view.Segment.Terms.Find(Encoding.UTF8.GetBytes(term.Text)) is not (>= 0 and var at)) { continue; }

                var cursor = view.Segment.Terms.Open(at);
                cursor.Advance(row);
                if (cursor.Row == row) { matched.Add(term.Text); }
            }
        }

        return matched;
    }

    private void Check(HybridQuery query)
    {
        if (query.Hits is < 1 or > SearchLimits.Hits) { throw new ArgumentException($"A query asks for 1 to {SearchLimits.Hits} hits, not {query.Hits}."); }
        if (query.Depth is < 1 or > SearchLimits.Hits) { throw new ArgumentException($"A query's depth is 1 to {SearchLimits.Hits}, not {query.Depth}."); }
        if (query.Text.Length > SearchLimits.TextLength) { throw new ArgumentException($"A query's text has up to {SearchLimits.TextLength} UTF-16 units, not {query.Text.Length}."); }
        if (!query.Vector.IsEmpty && Quantiser.Refuse(query.Vector.Span, settings.Dimensions) is { } wrong) { throw new ArgumentException($"The query's vector cannot be compared: {wrong}."); }
    }
}
