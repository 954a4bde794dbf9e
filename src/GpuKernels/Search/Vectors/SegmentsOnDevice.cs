using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Search.Segments;

namespace Platform.GpuKernels.Search.Vectors;

/// <summary>
/// The nearest vectors of an index whose large segments are scanned on a device: the hits of <see cref="VectorScan"/>, to the bit, whoever finds them. A
/// segment is uploaded when it is first searched, and dropped at the first search after it was merged away. What the device does not decide, small
/// segments, and everything once it has failed, is the CPU's. Safe for several threads.
/// </summary>
internal sealed class SegmentsOnDevice(DeviceInfo device, Func<Accelerator> open, Action<DeviceSetAside> setAside, int leastVectors = SegmentsOnDevice.LeastVectors) : IDisposable
{
    /// <summary>A smaller segment is scanned by the CPU in about the time of a launch: 3 MB of codes at 384 dimensions.</summary>
    public const int LeastVectors = 8192;

    private readonly DeviceWork<Scans> work = new(device, open, accelerator => new Scans(accelerator), setAside);

    /// <param name="sources">[segments]: the vectors of each and those that may be hits.</param>
    /// <returns>For each query its hits, the best first.</returns>
    public ScoredRow[][] Search(IReadOnlyList<Segment> segments, IReadOnlyList<VectorSource> sources, IReadOnlyList<QuantisedQuery> queries, int hits, int threads, CancellationToken cancellation)
    {
        var large = Enumerable.Range(0, sources.Count).Where(source => sources[source].Rows.Count >= leastVectors).ToArray();
        if (large.Length == 0 || !DeviceVectorScan.Takes(hits) || work.IsSetAside) { return VectorScan.Search(sources, queries, hits, threads, cancellation); }

        var found = work.Run<ScoredRow[]?[][]?>(scans => scans.Search(segments, large, sources, queries, hits, cancellation), () => null);
        if (found is null) { return VectorScan.Search(sources, queries, hits, threads, cancellation); }

        // The same sources are left to the CPU for most queries: the small ones.
        var best = new ScoredRow[queries.Count][];
        foreach (var alike in Enumerable.Range(0, queries.Count).GroupBy(query => string.Join(',', large.Where((_, at) => found[at][query] is null))))
        {
            var query = alike.First();
            var left = Enumerable.Range(0, sources.Count).Where(source => Array.IndexOf(large, source) is var at && (at < 0 || found[at][query] is null)).ToArray();
            var onCpu = left.Length == 0 ? null : VectorScan.Search([.. left.Select(source => sources[source])], [.. alike.Select(each => queries[each])], hits, threads, cancellation);
            foreach (var (number, each) in alike.Index())
            {
                var rows = onCpu is null ? [] : onCpu[number].Select(row => row with { Source = left[row.Source] });
                best[each] = [.. rows.Concat(large.SelectMany((source, at) => (found[at][each] ?? []).Select(row => row with { Source = source }))).Order().Take(hits)];
            }
        }

        return best;
    }

    public void Dispose() => work.Dispose();

    /// <summary>The segments that are on the device. One thread at a time.</summary>
    private sealed class Scans(Accelerator accelerator) : IDisposable
    {
        private readonly Dictionary<Segment, DeviceVectorScan> scans = [];

        /// <returns>[large segments][queries] hits; null where the bounds do not decide.</returns>
        public ScoredRow[]?[][] Search(IReadOnlyList<Segment> segments, int[] large, IReadOnlyList<VectorSource> sources, IReadOnlyList<QuantisedQuery> queries, int hits, CancellationToken cancellation)
        {
            foreach (var gone in scans.Keys.Where(segment => segment.IsFreed).ToList())
            {
                scans.Remove(gone, out var scan);
                scan!.Dispose();
            }

            return Array.ConvertAll(large, source =>
            {
                cancellation.ThrowIfCancellationRequested();
                if (!scans.TryGetValue(segments[source], out var scan)) { scans.Add(segments[source], scan = new DeviceVectorScan(accelerator, sources[source].Rows)); }

                return scan.Search(queries, hits, sources[source].Allowed);
            });
        }

        public void Dispose()
        {
            foreach (var scan in scans.Values) { scan.Dispose(); }
        }
    }
}
