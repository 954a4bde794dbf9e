using System.Diagnostics;
using System.Runtime.Intrinsics;
using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Keywords;
using Platform.GpuKernels.Search.Segments;
using Platform.GpuKernels.Search.Vectors;

/// <summary>Exact search on one core: the scan of codes beside a plain scan of 32-bit floats, and beside pgvector's exact scan as measured elsewhere.</summary>
internal static class SearchPart
{
    private const int Rows = 200_000, Dimensions = 384, Hits = 10;

    /// <summary>pgvector's exact scan of the same shape on one core of another machine: pgvector cannot be had here.</summary>
    private const double PgVector = 10.1;

    public static void Measure(TextWriter output)
    {
        output.WriteLine($"search: {Rows:N0} x {Dimensions}, {Hits} hits, one thread, {IntegerDot.Path}");
        output.WriteLine("| vectors | ours, 1 query | 16 queries a pass | filter of 1 % | plain 32-bit scan | ours / plain | ours / pgvector's 10.1 | recall |");
        output.WriteLine("|---|---|---|---|---|---|---|---|");
        foreach (var clustered in (bool[])[false, true]) { MeasureVectors(output, clustered); }
    }

    private static void MeasureVectors(TextWriter output, bool clustered)
    {
        var random = new Random(1);
        var centres = Enumerable.Range(0, 500).Select(_ => Gaussian(random, 1)).ToArray();
        float[] Vector()
        {
            var vector = Gaussian(random, clustered ? 0.6f : 1);
            var centre = clustered ? centres[random.Next(centres.Length)] : new float[Dimensions];
            var sum = vector.Zip(centre, (own, its) => own + its).ToArray();
            var norm = MathF.Sqrt(Dot(sum, sum));
            return [.. sum.Select(component => component / norm)];
        }

        var vectors = Enumerable.Range(0, Rows).Select(_ => Vector()).ToArray();
        var queries = Enumerable.Range(0, 64).Select(_ => Vector()).ToArray();
        var segment = SegmentBuilder.Build([.. vectors.Select((vector, at) => new IndexDocument(new Guid(at, 0, 0, new byte[8]), "") { Vector = vector })],
            new Analyser(Stemming.None, true), new IndexSettings { Dimensions = Dimensions });
        var flat = vectors.SelectMany(vector => vector).ToArray();
        var one = new Bitmap(Rows);
        for (var row = 0; row < Rows; row++) { one[row] = random.Next(100) == 0; }

        VectorSource[] all = [new(segment.Vectors, null)], few = [new(segment.Vectors, one)];
        ScoredRow[][] Ours(VectorSource[] sources, float[][] asked) => VectorScan.Search(sources, [.. asked.Select(query => new QuantisedQuery(Similarity.Cosine, query))], Hits, 1, CancellationToken.None);

        double single = 0, batch = 0, filtered = 0, plain = 0;
        for (var round = 0; round < 5; round++)
        {
            single = Math.Max(single, Rate(queries.Length, () => { foreach (var query in queries) { Ours(all, [query]); } }));
            batch = Math.Max(batch, Rate(queries.Length, () => { foreach (var sixteen in queries.Chunk(16)) { Ours(all, sixteen); } }));
            filtered = Math.Max(filtered, Rate(queries.Length, () => { foreach (var query in queries) { Ours(few, [query]); } }));
            plain = Math.Max(plain, Rate(16, () => { foreach (var query in queries.AsSpan(0, 16)) { Plain(flat, query); } }));
        }

        var right = queries.AsSpan(0, 16).ToArray().Sum(query => Ours(all, [query])[0].Select(hit => hit.Row).Intersect(Exact(vectors, query)).Count());
        output.WriteLine($"| {(clustered ? "500 clusters" : "random")} | {single:F0}/s | {batch:F0}/s | {filtered:F0}/s | {plain:F0}/s | {single / plain:F1} | {single / PgVector:F1} | {right / (16.0 * Hits):F3} |");
        segment.LetGo();
    }

    private static double Rate(int queries, Action run)
    {
        var watch = Stopwatch.StartNew();
        run();
        return queries / watch.Elapsed.TotalSeconds;
    }

    /// <summary>Every original multiplied in 32-bit floats, the best kept in a heap: what a scan without codes does.</summary>
    private static int[] Plain(float[] flat, float[] query)
    {
        var best = new PriorityQueue<int, float>(Hits + 1);
        for (var row = 0; row < Rows; row++)
        {
            var score = Dot(flat.AsSpan(row * Dimensions, Dimensions), query);
            if (best.Count < Hits) { best.Enqueue(row, score); }
            else if (best.TryPeek(out _, out var worst) && score > worst) { best.DequeueEnqueue(row, score); }
        }

        return [.. best.UnorderedItems.Select(item => item.Element)];
    }

    private static float Dot(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        var (a, b) = (Vector512<float>.Zero, Vector512<float>.Zero);
        for (var at = 0; at < Dimensions; at += 32)
        {
            a = Vector512.FusedMultiplyAdd(Vector512.Create(left[at..]), Vector512.Create(right[at..]), a);
            b = Vector512.FusedMultiplyAdd(Vector512.Create(left[(at + 16)..]), Vector512.Create(right[(at + 16)..]), b);
        }

        return Vector512.Sum(a + b);
    }

    /// <summary>In 64-bit floats, without our code.</summary>
    private static IEnumerable<int> Exact(float[][] vectors, float[] query) => vectors
        .Select((vector, row) => (Row: row, Score: vector.Zip(query, (left, right) => (double)left * right).Sum() / Math.Sqrt(vector.Sum(component => (double)component * component))))
        .OrderByDescending(entry => entry.Score).Take(Hits).Select(entry => entry.Row);

    private static float[] Gaussian(Random random, float scale)
    {
        var vector = new float[Dimensions];
        for (var i = 0; i < Dimensions; i++) { vector[i] = scale * (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())); }
        return vector;
    }
}
