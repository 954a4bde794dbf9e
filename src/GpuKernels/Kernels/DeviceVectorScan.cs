using System.Runtime.InteropServices;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// The nearest vectors, exactly, with the scan on an accelerator: it finds the rows with the greatest upper bounds, and their exact scores decide here,
/// as in <see cref="VectorScan"/>. The codes stay on the device; the originals are read where they are. One thread at a time.
/// </summary>
internal sealed unsafe class DeviceVectorScan : IDisposable
{
    private readonly VectorRows _rows;
    private readonly AcceleratorStream _stream;
    private readonly MemoryBuffer _codes;
    private readonly MemoryBuffer _figures;

    /// <param name="rows">At least one; at most <see cref="TopK.MaxWidth"/> bytes of codes each.</param>
    public DeviceVectorScan(Accelerator accelerator, VectorRows rows)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rows.Count, 1, nameof(rows));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows.Stride, TopK.MaxWidth, nameof(rows));
        _rows = rows;
        _stream = accelerator.CreateStream();
        _codes = accelerator.Allocate((long)rows.Count * rows.Stride);
        _figures = accelerator.Allocate(12L * rows.Count);

        // The index keeps codes as bytes of code + 128; a device multiplies signed ones.
        const int some = 1 << 14;
        var codes = new byte[some * rows.Stride];
        var figures = new float[some * 3];
        for (var first = 0; first < rows.Count; first += some)
        {
            var count = Math.Min(some, rows.Count - first);
            var bytes = count * rows.Stride;
            new ReadOnlySpan<byte>(rows.Codes + ((long)first * rows.Stride), bytes).CopyTo(codes);
            foreach (ref var code in codes.AsSpan(0, bytes)) { code ^= 0x80; }
            for (var i = 0; i < count; i++)
            {
                (figures[i * 3], figures[(i * 3) + 1], figures[(i * 3) + 2]) = (rows.Scales[first + i], rows.Errors[first + i], rows.Norms[first + i]);
            }

            _stream.Upload<byte>(codes.AsSpan(0, bytes), _codes, (long)first * rows.Stride);
            _stream.Upload<float>(figures.AsSpan(0, count * 3), _figures, 12L * first);
        }
    }

    /// <summary>Whether so many hits can be found on a device; with more, <see cref="Search"/> decides nothing.</summary>
    public static bool Takes(int hits) => hits <= TopK.MaxCandidates / 2;

    /// <summary>For each query its hits, the best first; null where bounds leave more than <see cref="TopK.MaxCandidates"/> rows undecided, which the CPU then does.</summary>
    /// <param name="allowed">The rows that may be hits; null: all.</param>
    public ScoredRow[]?[] Search(IReadOnlyList<QuantisedQuery> queries, int hits, Bitmap? allowed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(hits, 1);
        var found = new ScoredRow[]?[queries.Count];
        if (!Takes(hits)) { return found; }

        MemoryBuffer? filter = null;
        try
        {
            if (allowed is not null)
            {
                var words = MemoryMarshal.Cast<ulong, uint>(allowed.Words);
                filter = _stream.Rent(4L * words.Length);
                _stream.Upload<uint>(words, filter);
            }

            var open = Enumerable.Range(0, queries.Count).ToList();
            for (var candidates = Math.Max(64, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)hits * 4)); open.Count > 0 && candidates <= TopK.MaxCandidates; candidates *= 2)
            {
                var entries = Scan([.. open.Select(query => queries[query])], candidates, filter);
                for (var i = 0; i < open.Count; i++) { found[open[i]] = Decide(queries[open[i]], entries.AsSpan(i * candidates, candidates), hits); }
                open.RemoveAll(query => found[query] is not null);
            }
        }
        finally
        {
            if (filter is not null) { _stream.Return(filter); }
        }

        return found;
    }

    public void Dispose()
    {
        _codes.Dispose();
        _figures.Dispose();
        _stream.Dispose();
    }

    private ulong[] Scan(List<QuantisedQuery> queries, int candidates, MemoryBuffer? filter)
    {
        var codes = new sbyte[queries.Count * _rows.Stride];
        var figures = new float[queries.Count * 3];
        for (var i = 0; i < queries.Count; i++)
        {
            queries[i].Codes.CopyTo(codes, i * _rows.Stride);
            (figures[i * 3], figures[(i * 3) + 1], figures[(i * 3) + 2]) = (queries[i].Scale, queries[i].OfNorm, queries[i].OfError);
        }

        var work = TopK.WorkBytes(_rows.Count, queries.Count, candidates);
        MemoryBuffer[] rented = [_stream.Rent(codes.Length), _stream.Rent(4L * figures.Length), _stream.Rent(work), _stream.Rent(work)];
        try
        {
            _stream.Upload<sbyte>(codes, rented[0]);
            _stream.Upload<float>(figures, rented[1]);
            var result = TopK.Launch(_stream, _codes, _figures, filter, rented[0], rented[1], rented[2], rented[3], _rows.Count, _rows.Stride, queries.Count, candidates);
            var entries = new ulong[queries.Count * candidates];
            _stream.Download(result, entries.AsSpan());
            return entries;
        }
        finally
        {
            foreach (var buffer in rented) { _stream.Return(buffer); }
        }
    }

    /// <summary>The best by exact scores, if no row that is not among the entries can be one of them; else null.</summary>
    private ScoredRow[]? Decide(QuantisedQuery query, ReadOnlySpan<ulong> entries, int hits)
    {
        var scored = new List<ScoredRow>(entries.Length);
        foreach (var entry in entries)
        {
            if (TopK.Row(entry) is var row and >= 0) { scored.Add(new ScoredRow(query.ScoreOf(_rows.OriginalOf(row)), _rows.IdOf(row), 0, row)); }
        }

        scored.Sort();
        var best = scored.Take(hits).ToArray();

        // Any other row's bound is at most the last entry's, and its score is below its bound.
        var all = scored.Count < entries.Length;
        return all || query.InScan(best[^1].Score) >= TopK.Bound(entries[^1]) ? best : null;
    }
}
