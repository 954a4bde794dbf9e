using System.Collections.Concurrent;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>A segment as one snapshot sees it: without the rows that were deleted.</summary>
internal sealed class SegmentView
{
    /// <summary>Terms whose count of living rows is remembered: those that are asked for again and again.</summary>
    private const int RememberedTerms = 4096;

    private readonly ConcurrentDictionary<int, int> liveRowsOfTerm = new();

    /// <param name="live">The rows that live; null: all.</param>
    public SegmentView(Segment segment, Bitmap? live)
    {
        (Segment, Live) = (segment, live);
        (LiveRows, LiveLength) = (segment.Rows, segment.Header.TotalLength);
        if (live is null) { return; }

        LiveRows = live.Count();
        LiveLength = 0;
        foreach (var row in live.Rows()) { LiveLength += segment.Lengths[row]; }
    }

    public Segment Segment { get; }

    public Bitmap? Live { get; }

    public int LiveRows { get; }

    /// <summary>Terms of all living rows.</summary>
    public long LiveLength { get; }

    public bool IsLive(int row) => Live is null || Live[row];

    /// <returns>The view without these rows, which live.</returns>
    public SegmentView Without(IReadOnlyCollection<int> rows)
    {
        var live = Live?.Copy() ?? new Bitmap(Segment.Rows, full: true);
        foreach (var row in rows) { live[row] = false; }
        return new SegmentView(Segment, live);
    }

    /// <summary>Living rows that have a term: scores are the same whether deleted rows are still there or not.</summary>
    public int LiveRowsOf(int term)
    {
        if (Live is null) { return Segment.Terms.RowsAt(term); }
        if (liveRowsOfTerm.TryGetValue(term, out var known)) { return known; }

        var count = Segment.Terms.RowsAt(term);
        var cursor = Segment.Terms.Open(term);
        foreach (var deleted in Live.Not().Rows())
        {
            cursor.Advance(deleted);
            if (cursor.Row == PostingsCursor.End) { break; }
            if (cursor.Row == deleted) { count--; }
        }

        if (liveRowsOfTerm.Count < RememberedTerms) { liveRowsOfTerm[term] = count; }
        return count;
    }
}
