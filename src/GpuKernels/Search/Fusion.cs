namespace Platform.GpuKernels.Search;

/// <summary>How the hits by keywords and those by a vector become one list. Equal scores come in the order of ids.</summary>
public abstract record Fusion
{
    private Fusion()
    {
    }

    /// <summary>Reciprocal-rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009): 1 / (k + rank) of each side. Needs no scores that compare.</summary>
    /// <param name="k">60 in the paper; greater: the first ranks count less against the later ones.</param>
    /// <exception cref="ArgumentOutOfRangeException"/>
    public static Fusion ReciprocalRank(double k = 60) => k is >= 0 and <= 1e6 ? new ByRank(k) : throw new ArgumentOutOfRangeException(nameof(k), "k is 0 to 1,000,000.");

    /// <summary>Each side's scores brought to 0..1 over the hits of that side (the least becomes 0, the greatest 1), and added by weight.</summary>
    /// <param name="vectorWeight">0: only keywords order; 1: only the vector does.</param>
    /// <exception cref="ArgumentOutOfRangeException"/>
    public static Fusion Weighted(double vectorWeight) => vectorWeight is >= 0 and <= 1 ? new ByScore(vectorWeight) : throw new ArgumentOutOfRangeException(nameof(vectorWeight), "The weight is 0 to 1.");

    /// <summary>Joins two lists, the best first.</summary>
    internal IEnumerable<FusedHit> Join(IReadOnlyList<(UInt128 Id, double Score)> keywords, IReadOnlyList<(UInt128 Id, double Score)> vectors)
    {
        var joined = new Dictionary<UInt128, FusedHit>();
        foreach (var (id, part) in Parts(keywords, 0)) { joined[id] = new FusedHit(id, part.Share, part, null); }
        foreach (var (id, part) in Parts(vectors, 1))
        {
            joined[id] = joined.TryGetValue(id, out var other) ? other with { Score = other.Score + part.Share, Vector = part } : new FusedHit(id, part.Share, null, part);
        }

        return joined.Values.OrderByDescending(hit => hit.Score).ThenBy(hit => hit.Id);
    }

    private IEnumerable<(UInt128 Id, SidePart Part)> Parts(IReadOnlyList<(UInt128 Id, double Score)> side, int number)
    {
        for (var at = 0; at < side.Count; at++) { yield return (side[at].Id, new SidePart(at + 1, side[at].Score, Share(number, at + 1, side[at].Score, side[0].Score, side[^1].Score))); }
    }

    private protected abstract double Share(int side, int rank, double score, double greatest, double least);

    private sealed record ByRank(double K) : Fusion
    {
        private protected override double Share(int side, int rank, double score, double greatest, double least) => 1 / (K + rank);
    }

    private sealed record ByScore(double VectorWeight) : Fusion
    {
        private protected override double Share(int side, int rank, double score, double greatest, double least) =>
            (side == 1 ? VectorWeight : 1 - VectorWeight) * (greatest > least ? (score - least) / (greatest - least) : 1);
    }
}

/// <summary>A hit of either side, or of both.</summary>
internal sealed record FusedHit(UInt128 Id, double Score, SidePart? Keywords, SidePart? Vector);
