using System.Text;
using Platform.GpuKernels.Search.Segments;

namespace Platform.GpuKernels.Search.Keywords;

/// <summary>A document that has some of a query's terms.</summary>
internal readonly record struct KeywordHit(double Score, UInt128 Id, int Segment, int Row) : IComparable<KeywordHit>
{
    /// <summary>The best first; equal scores by id.</summary>
    public int CompareTo(KeywordHit other) => Score != other.Score ? other.Score.CompareTo(Score) : Id.CompareTo(other.Id);
}

/// <summary>
/// The best documents by BM25, exactly those of scoring every document: block-max WAND (Ding and Suel, SIGIR 2011) skips only rows whose bound is less than
/// the worst hit so far.
/// </summary>
internal static class KeywordSearch
{
    /// <summary>More than what adding up to 64 bounds in 64-bit floats loses.</summary>
    private const double Slack = 1 + 1e-12;

    /// <summary>Rows between two looks at the cancellation.</summary>
    private const int CancellationRows = 4096;

    /// <param name="allowed">For each segment the rows that may be hits, the living ones only; null: all.</param>
    public static KeywordHit[] Search(IReadOnlyList<SegmentView> segments, IReadOnlyList<Bitmap?> allowed, QueryTerm[] terms, double k1, double b, int hits, CancellationToken cancellation)
    {
        var (documents, totalLength) = (segments.Sum(view => (long)view.LiveRows), segments.Sum(view => view.LiveLength));
        var bm25 = new Bm25(k1, b, documents, totalLength);
        var at = segments.Select(view => terms.Select(term => view.Segment.Terms.Find(Encoding.UTF8.GetBytes(term.Text))).ToArray()).ToArray();
        var weights = terms.Select((term, number) =>
        {
            var having = segments.Select((view, segment) => at[segment][number] < 0 ? 0L : view.LiveRowsOf(at[segment][number])).Sum();
            return bm25.WeightOf(having, term.Count);
        }).ToArray();

        var best = new PriorityQueue<KeywordHit, KeywordHit>(WorstFirst.Instance);
        for (var segment = 0; segment < segments.Count; segment++)
        {
            Search(segments[segment].Segment, segment, allowed[segment], at[segment], weights, bm25, hits, best, cancellation);
        }

        var ordered = best.UnorderedItems.Select(item => item.Element).ToArray();
        Array.Sort(ordered);
        return ordered;
    }

    private static void Search(
        Segment segment, int number, Bitmap? allowed, int[] at, double[] weights, Bm25 bm25, int hits, PriorityQueue<KeywordHit, KeywordHit> best, CancellationToken cancellation)
    {
        var lists = at.Select((term, index) => (Term: term, Index: index)).Where(entry => entry.Term >= 0)
            .Select(entry => new TermList(segment.Terms.Open(entry.Term), entry.Index, weights[entry.Index], bm25)).ToArray();
        var parts = new double[weights.Length];
        var looked = 0;
        while (true)
        {
            Order(lists);
            var worst = best.Count == hits ? best.Peek().Score : double.NegativeInfinity;
            if (++looked % CancellationRows == 0) { cancellation.ThrowIfCancellationRequested(); }

            // The pivot: the first row that enough lists may have to reach the worst hit.
            var (pivot, bound) = (-1, 0.0);
            for (var list = 0; list < lists.Length && lists[list].Cursor.Row != PostingsCursor.End; list++)
            {
                bound += lists[list].Bound;
                if (bound * Slack >= worst)
                {
                    pivot = list;
                    break;
                }
            }

            if (pivot < 0) { return; }

            var row = lists[pivot].Cursor.Row;
            while (pivot + 1 < lists.Length && lists[pivot + 1].Cursor.Row == row) { pivot++; }

            var (blocks, next) = (0.0, pivot + 1 < lists.Length ? lists[pivot + 1].Cursor.Row : PostingsCursor.End);
            foreach (var list in lists.AsSpan(0, pivot + 1))
            {
                blocks += list.BoundAt(row, bm25, out var last);
                if (last < next) { next = last + 1; }
            }

            if (blocks * Slack < worst)
            {
                // No row up to the end of the first of these blocks, and before the next list begins, reaches the worst hit.
                foreach (var list in lists.AsSpan(0, pivot + 1)) { list.Cursor.Advance(next); }
                continue;
            }

            if (lists[0].Cursor.Row < row)
            {
                foreach (var list in lists.AsSpan(0, pivot + 1)) { list.Cursor.Advance(row); }
                continue;
            }

            var length = segment.Lengths[row];
            foreach (var list in lists.AsSpan(0, pivot + 1))
            {
                parts[list.Index] = bm25.Part(list.Weight, list.Cursor.Frequency, length);
                list.Cursor.Next();
            }

            var score = 0.0;
            foreach (var part in parts) { score += part; }
            Array.Clear(parts);
            if (allowed is not null && !allowed[row]) { continue; }

            var hit = new KeywordHit(score, segment.IdOf(row), number, row);
            if (best.Count < hits) { best.Enqueue(hit, hit); }
            else { best.EnqueueDequeue(hit, hit); }
        }
    }

    /// <summary>By rows: few lists move between two looks.</summary>
    private static void Order(TermList[] lists)
    {
        for (var from = 1; from < lists.Length; from++)
        {
            var list = lists[from];
            var at = from;
            for (; at > 0 && lists[at - 1].Cursor.Row > list.Cursor.Row; at--) { lists[at] = lists[at - 1]; }
            lists[at] = list;
        }
    }

    private sealed class TermList(PostingsCursor cursor, int index, double weight, Bm25 bm25)
    {
        private int boundRow = -1;
        private double blockBound;

        public PostingsCursor Cursor => cursor;

        /// <summary>Of the term in the query.</summary>
        public int Index => index;

        public double Weight => weight;

        /// <summary>No row's part is more.</summary>
        public double Bound { get; } = bm25.Part(weight, cursor.Bound.GreatestFrequency, cursor.Bound.LeastLength);

        /// <summary>No part in the block of a row is more.</summary>
        public double BoundAt(int row, Bm25 with, out int last)
        {
            var bound = cursor.BoundAt(row);
            last = bound.LastRow;
            if (boundRow != last)
            {
                boundRow = last;
                blockBound = bound.GreatestFrequency == 0 ? 0 : with.Part(weight, bound.GreatestFrequency, bound.LeastLength);
            }

            return blockBound;
        }
    }

    private sealed class WorstFirst : IComparer<KeywordHit>
    {
        public static readonly WorstFirst Instance = new();

        public int Compare(KeywordHit x, KeywordHit y) => y.CompareTo(x);
    }
}
