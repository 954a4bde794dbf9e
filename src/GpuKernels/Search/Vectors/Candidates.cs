using System.Diagnostics;

namespace Platform.GpuKernels.Search.Vectors;

/// <summary>A row that a query found.</summary>
/// <param name="Source">Which of the searched sources it is in.</param>
internal readonly record struct ScoredRow(double Score, UInt128 Id, int Source, int Row) : IComparable<ScoredRow>
{
    /// <summary>The best first; equal scores by id.</summary>
    public int CompareTo(ScoredRow other) => Score != other.Score ? other.Score.CompareTo(Score) : Id.CompareTo(other.Id);
}

/// <summary>The least lower bound that still counts, for one query: raised by every thread that finds enough better rows.</summary>
internal sealed class SharedFloor
{
    private float value = float.NegativeInfinity;

    public float Value => Volatile.Read(ref value);

    public void Raise(float to)
    {
        for (var seen = Value; to > seen;)
        {
            var before = Interlocked.CompareExchange(ref value, to, seen);
            if (before.Equals(seen)) { return; }
            seen = before;
        }
    }
}

/// <summary>
/// The rows of which one query of one thread cannot yet say that they are not among its best: a row falls out once <paramref name="hits"/> others
/// have lower bounds above its upper bound. Memory is bounded: when too many rows stay undecided, their exact scores decide at once.
/// </summary>
internal sealed unsafe class Candidates(QuantisedQuery query, IReadOnlyList<VectorSource> sources, int hits, SharedFloor shared)
{
    private readonly float[] lowers = new float[hits];
    private readonly int capacity = Math.Max(4096, hits * 2);
    private Candidate[] list = new Candidate[256];
    private int lowersCount, count;

    public QuantisedQuery Query => query;

    /// <summary>Rows whose upper bound is below cannot be hits.</summary>
    public float Floor { get; private set; } = float.NegativeInfinity;

    public void TakeSharedFloor() => Floor = Math.Max(Floor, shared.Value);

    public void Add(float approximation, float margin, int source, int row)
    {
        if (count == list.Length) { MakeRoom(); }

        list[count++] = new Candidate(approximation + margin, source, row, double.NaN);
        AddLower(approximation - margin);
    }

    /// <summary>The best rows of all threads of one query, decided by exact scores.</summary>
    public static ScoredRow[] Best(IReadOnlyList<Candidates> threads, int hits)
    {
        var all = threads.SelectMany(each => each.list.AsSpan(0, each.count).ToArray()).ToArray();
        Array.Sort(all, static (left, right) => right.Upper.CompareTo(left.Upper));

        // In the order of upper bounds: once enough exact scores lie above the next upper bound, no later row can be a hit.
        var best = new PriorityQueue<ScoredRow, ScoredRow>(hits, WorstFirst.Instance);
        var query = threads[0].Query;
        foreach (var candidate in all)
        {
            if (best.Count == hits && candidate.Upper < query.InScan(best.Peek().Score)) { break; }

            var scored = threads[0].Score(candidate);
            if (best.Count < hits) { best.Enqueue(scored, scored); }
            else { best.EnqueueDequeue(scored, scored); }
        }

        var ordered = best.UnorderedItems.Select(item => item.Element).ToArray();
        Array.Sort(ordered);
        return ordered;
    }

    private void AddLower(float lower)
    {
        if (lowersCount < hits)
        {
            lowers[lowersCount++] = lower;
            SiftUp(lowersCount - 1);
        }
        else if (lower > lowers[0])
        {
            lowers[0] = lower;
            SiftDown();
        }

        if (lowersCount == hits && lowers[0] > Floor)
        {
            Floor = lowers[0];
            shared.Raise(Floor);
        }
    }

    private void MakeRoom()
    {
        var kept = 0;
        for (var at = 0; at < count; at++)
        {
            if (list[at].Upper >= Floor) { list[kept++] = list[at]; }
        }

        count = kept;
        if (count > capacity / 2) { Decide(); }
        if (count > list.Length / 2) { Array.Resize(ref list, Math.Min(list.Length * 2, capacity)); }
    }

    /// <summary>Keeps the best by their exact scores; the others can be no hits.</summary>
    private void Decide()
    {
        var scored = new ScoredRow[count];
        for (var at = 0; at < count; at++) { scored[at] = Score(list[at]); }

        Array.Sort(scored);
        count = lowersCount = 0;
        foreach (var row in scored.AsSpan(0, Math.Min(hits, scored.Length)))
        {
            var bound = query.InScan(row.Score);
            list[count++] = new Candidate(RoundUp(bound), row.Source, row.Row, row.Score);
            AddLower(-RoundUp(-bound));
        }

        Debug.Assert(count < list.Length, "Half of the capacity holds all hits.");
    }

    private ScoredRow Score(in Candidate candidate)
    {
        var rows = sources[candidate.Source].Rows;
        var score = double.IsNaN(candidate.Score) ? query.ScoreOf(rows.OriginalOf(candidate.Row)) : candidate.Score;
        return new ScoredRow(score, rows.IdOf(candidate.Row), candidate.Source, candidate.Row);
    }

    private static float RoundUp(double value)
    {
        var rounded = (float)value;
        return rounded < value ? MathF.BitIncrement(rounded) : rounded;
    }

    private void SiftUp(int at)
    {
        for (; at > 0 && lowers[at] < lowers[(at - 1) / 2]; at = (at - 1) / 2) { (lowers[at], lowers[(at - 1) / 2]) = (lowers[(at - 1) / 2], lowers[at]); }
    }

    private void SiftDown()
    {
        for (var at = 0; ;)
        {
            var child = (2 * at) + 1;
            if (child >= lowersCount) { return; }
            if (child + 1 < lowersCount && lowers[child + 1] < lowers[child]) { child++; }
            if (lowers[at] <= lowers[child]) { return; }
            (lowers[at], lowers[child]) = (lowers[child], lowers[at]);
            at = child;
        }
    }

    /// <param name="Score">The exact score; not a number while it is not known.</param>
    private readonly record struct Candidate(float Upper, int Source, int Row, double Score);

    private sealed class WorstFirst : IComparer<ScoredRow>
    {
        public static readonly WorstFirst Instance = new();

        public int Compare(ScoredRow x, ScoredRow y) => y.CompareTo(x);
    }
}
