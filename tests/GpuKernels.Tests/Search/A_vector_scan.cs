using System.Runtime.Intrinsics.X86;
using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Segments;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Tests.Search;

public sealed class A_vector_scan
{
    [Theory]
    [InlineData(Similarity.Cosine, 1)]
    [InlineData(Similarity.Cosine, 3)]
    [InlineData(Similarity.Cosine, 65)]
    [InlineData(Similarity.Cosine, 384)]
    [InlineData(Similarity.DotProduct, 2)]
    [InlineData(Similarity.DotProduct, 31)]
    [InlineData(Similarity.DotProduct, 256)]
    public void finds_exactly_what_comparing_every_vector_in_64_bits_finds(Similarity similarity, int dimensions)
    {
        for (var seed = 0; seed < 2; seed++)
        {
            var random = new Random(seed);
            var vectors = VectorData.Hard(random, 300, dimensions);
            float[][] queries = [.. VectorData.Hard(random, 8, dimensions), [.. vectors[5]], new float[dimensions], VectorData.Gaussian(random, dimensions, 1e30), VectorData.Gaussian(random, dimensions, 1e-44)];
            foreach (var hits in (int[])[1, 10, 299, 5000])
            {
                var found = Search(similarity, vectors, queries, hits, threads: 1 + (seed % 2));
                for (var at = 0; at < queries.Length; at++) { Assert.Equal(VectorData.BruteForce(similarity, vectors, queries[at], hits), found[at]); }
            }
        }
    }

    [Fact]
    public void breaks_ties_by_id_across_segments()
    {
        var same = VectorData.Gaussian(new Random(1), 48);
        var vectors = Enumerable.Repeat(same, 300).ToArray();
        using var segments = new Held(VectorData.Segment(Similarity.Cosine, vectors, at => VectorData.Id(2 * at)), VectorData.Segment(Similarity.Cosine, vectors, at => VectorData.Id((2 * at) + 1)));
        var found = segments.Search(Similarity.Cosine, [same], 100, 2)[0];
        Assert.Equal(Enumerable.Range(0, 600).Select(VectorData.Id).Order().Take(100), found.Select(hit => hit.Id));
    }

    [Fact]
    public void stays_exact_when_more_rows_are_near_than_it_keeps_undecided()
    {
        // 9,000 vectors within the codes' error of each other: only their originals tell them apart.
        var random = new Random(2);
        var near = VectorData.Gaussian(random, 24);
        var vectors = Enumerable.Range(0, 9_000).Select(_ => near.Select(component => component + (float)((random.NextDouble() - 0.5) * 1e-4)).ToArray()).ToArray();
        foreach (var threads in (int[])[1, 3])
        {
            Assert.Equal(VectorData.BruteForce(Similarity.Cosine, vectors, near, 50), Search(Similarity.Cosine, vectors, [near], 50, threads)[0]);
        }
    }

    [Fact]
    public void looks_only_at_allowed_rows()
    {
        var random = new Random(3);
        var vectors = VectorData.Hard(random, 1_000, 40);
        var query = VectorData.Gaussian(random, 40);
        using var segments = new Held(VectorData.Segment(Similarity.DotProduct, vectors));
        foreach (var share in (double[])[0, 0.001, 0.05, 0.5, 0.99])
        {
            var allowed = vectors.Select(_ => random.NextDouble() < share).ToArray();
            var bitmap = new Bitmap(1_000);
            for (var at = 0; at < 1_000; at++) { bitmap[segments.Rows[0].Find(DocumentId.ToNumber(VectorData.Id(at)))] = allowed[at]; }
            var found = segments.Search(Similarity.DotProduct, [query], 20, 1, bitmap)[0];
            Assert.Equal(VectorData.BruteForce(Similarity.DotProduct, vectors, query, 20, allowed: at => allowed[at]), found);
        }
    }

    [Fact]
    public void bounds_every_score()
    {
        // The proof beside QuantisedQuery, tried: the exact score is strictly inside of the bounds that the scan computes.
        var random = new Random(4);
        foreach (var similarity in Enum.GetValues<Similarity>())
        {
            var vectors = VectorData.Hard(random, 400, 100);
            var codes = new byte[Quantiser.Stride(100)];
            foreach (var query in VectorData.Hard(random, 40, 100))
            {
                var quantised = new QuantisedQuery(similarity, query);
                foreach (var vector in vectors)
                {
                    var bound = Quantiser.Quantise(similarity, vector, codes);
                    var dot = codes.Zip(quantised.Codes, (code, own) => code * own).Sum() - quantised.Bias;
                    var approximation = dot * (quantised.Scale * bound.Scale);
                    var margin = (quantised.OfError * bound.Error) + (quantised.OfNorm * bound.Norm) + QuantisedQuery.Floor;
                    var exact = quantised.InScan(VectorData.BruteForce(similarity, [vector], query, 1)[0].Score);
                    Assert.True(approximation - margin < exact && exact < approximation + margin, $"{similarity}: {approximation} -+ {margin} does not hold {exact}");
                }
            }
        }
    }

    [Fact]
    public unsafe void adds_up_the_same_integers_on_every_path()
    {
        var random = new Random(5);
        foreach (var stride in (int[])[64, 128, 384, 4096])
        {
            var (rows, query) = (new byte[8 * stride], new sbyte[stride]);
            foreach (var extreme in (bool[])[false, true])
            {
                for (var at = 0; at < rows.Length; at++) { rows[at] = (byte)(extreme ? random.Next(2) * 255 : random.Next(256)); }
                for (var at = 0; at < stride; at++) { query[at] = (sbyte)(extreme ? 127 : random.Next(-127, 128)); }
                var expected = Enumerable.Range(0, 8).Select(row => Enumerable.Range(0, stride).Sum(at => rows[(row * stride) + at] * query[at])).ToArray();
                fixed (byte* r = rows)
                {
                    fixed (sbyte* q = query)
                    {
                        Assert.Equal(expected, Numbers(IntegerDot.Dot(r, stride, q)));
                        Assert.Equal(expected, Numbers(IntegerDot.ByVector128(r, stride, q)));
                        if (AvxVnni.IsSupported) { Assert.Equal(expected, Numbers(IntegerDot.ByAvxVnni(r, stride, q))); }
                        if (Avx512BW.IsSupported) { Assert.Equal(expected, Numbers(IntegerDot.ByAvx512(r, stride, q))); }
                        if (Avx2.IsSupported) { Assert.Equal(expected, Numbers(IntegerDot.ByAvx2(r, stride, q))); }
                    }
                }
            }
        }

        static int[] Numbers(System.Runtime.Intrinsics.Vector256<int> sums) => [.. Enumerable.Range(0, 8).Select(at => sums[at])];
    }

    [Fact]
    public void ends_when_it_is_cancelled()
    {
        using var segments = new Held(VectorData.Segment(Similarity.Cosine, VectorData.Hard(new Random(6), 20_000, 8)));
        foreach (var threads in (int[])[1, 4])
        {
            Assert.ThrowsAny<OperationCanceledException>(() => segments.Search(Similarity.Cosine, [VectorData.Gaussian(new Random(7), 8)], 1, threads, cancelled: true));
        }
    }

    [Fact]
    public void refuses_vectors_that_cannot_be_compared()
    {
        Assert.Null(Quantiser.Refuse([1, 2], 2));
        Assert.Contains("3 components", Quantiser.Refuse([1, 2, 3], 2), StringComparison.Ordinal);
        Assert.Contains("component 1 is not a number", Quantiser.Refuse([1, float.NaN], 2), StringComparison.Ordinal);
        Assert.Contains("component 0 is infinite", Quantiser.Refuse([float.NegativeInfinity, 0], 2), StringComparison.Ordinal);
        Assert.Contains("2^120", Quantiser.Refuse([2e36f, 0], 2), StringComparison.Ordinal);
    }

    private static (Guid, double)[][] Search(Similarity similarity, float[][] vectors, float[][] queries, int hits, int threads)
    {
        using var segments = new Held(VectorData.Segment(similarity, vectors));
        return [.. segments.Search(similarity, queries, hits, threads).Select(found => found.Select(hit => (hit.Id, hit.Score)).ToArray())];
    }

    private sealed class Held(params Segment[] segments) : IDisposable
    {
        public Segment[] Rows => segments;

        public (Guid Id, double Score)[][] Search(Similarity similarity, float[][] queries, int hits, int threads, Bitmap? allowed = null, bool cancelled = false) =>
            [.. VectorScan.Search([.. segments.Select(segment => new VectorSource(segment.Vectors, allowed))], [.. queries.Select(query => new QuantisedQuery(similarity, query))], hits, threads, new CancellationToken(cancelled))
                .Select(found => found.Select(row => (DocumentId.FromNumber(row.Id), row.Score)).ToArray())];

        public void Dispose()
        {
            foreach (var segment in segments) { segment.LetGo(); }
        }
    }
}
