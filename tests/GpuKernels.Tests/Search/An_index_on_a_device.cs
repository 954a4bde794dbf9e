using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Vectors;
using Platform.GpuKernels.Tests.Devices;

namespace Platform.GpuKernels.Tests.Search;

[Collection("devices")]
public sealed class An_index_on_a_device
{
    private const int Dimensions = 19;

    public static MatrixTheoryData<DeviceKind, Similarity> Kinds => new([DeviceKind.Cpu, DeviceKind.OpenCl, DeviceKind.Cuda], [Similarity.Cosine, Similarity.DotProduct]);

    /// <summary>Two indices of the same documents, hard to tell apart, while they are added, deleted, merged and compacted.</summary>
    [Theory, MemberData(nameof(Kinds))]
    public void finds_what_one_on_the_cpu_finds_to_the_bit(DeviceKind kind, Similarity similarity)
    {
        var device = Each.Of(kind);
        using var plain = New(similarity);
        using var index = New(similarity);
        index.Use(new SegmentsOnDevice(device.Info, () => new FaultyAccelerator(device, int.MaxValue, DeviceFailure.Lost), _ => Assert.Fail("The device does not fail."), leastVectors: 20));
        var random = new Random(3);
        for (var position = 1; position <= 12; position++)
        {
            foreach (var one in (HybridIndex[])[plain, index])
            {
                one.Apply(Documents(position, position % 4 == 0 ? 300 : 40), [.. Enumerable.Range(0, 9).Select(at => VectorData.Id((position * 1000) - 1000 + (at * 4)))], position);
                if (position == 10) { one.Compact(); }
            }

            Compare(plain, index, random);
        }
    }

    [Theory, MemberData(nameof(Kernels.Same.Devices), MemberType = typeof(Kernels.Same))]
    public void whose_device_fails_at_any_call_answers_from_the_cpu(DeviceKind kind)
    {
        var device = Each.Of(kind);
        using var plain = New(Similarity.Cosine);
        plain.Apply(Documents(1, 300), [], 1);
        var failures = 0;
        for (var failing = 0; ; failing++)
        {
            var told = new List<DeviceSetAside>();
            var faulty = new FaultyAccelerator(device, failing, DeviceFailure.Lost);
            using var index = New(Similarity.Cosine);
            index.Use(new SegmentsOnDevice(device.Info, () => faulty, told.Add, leastVectors: 20));
            index.Apply(Documents(1, 300), [], 1);
            Compare(plain, index, new Random(1));
            if (!faulty.HasFailed) { break; }

            failures++;
            Assert.Equal(DeviceFailure.Lost, Assert.Single(told).Failure);
        }

        Assert.InRange(failures, 10, 200);
    }

    [Fact]
    public void uploads_a_segment_once_and_drops_it_when_it_is_merged_away()
    {
        var counting = Cpu();
        using var index = New(Similarity.Cosine);
        index.Use(new SegmentsOnDevice(counting.Info, () => counting, _ => Assert.Fail("The device does not fail."), leastVectors: 20));
        for (var position = 1; position <= 3; position++) { index.Apply(Documents(position, 40), [], position); }

        Search(index);
        Search(index);
        Assert.Equal(3, counting.Streams);
        index.Compact();
        Search(index);
        Assert.Equal((4, 1), (counting.Streams, counting.OpenStreams));
    }

    [Fact]
    public void takes_one_device()
    {
        using var index = New(Similarity.Cosine);
        index.UseDevice(Each.Of(DeviceKind.Cpu).Info, _ => { });
        index.Use(new SegmentsOnDevice(Each.Of(DeviceKind.Cpu).Info, () => Cpu(), _ => { }));
        Assert.Throws<InvalidOperationException>(() => index.Use(new SegmentsOnDevice(Each.Of(DeviceKind.Cpu).Info, () => Cpu(), _ => { })));
    }

    private static FaultyAccelerator Cpu() => new(Each.Of(DeviceKind.Cpu), int.MaxValue, DeviceFailure.Lost);

    private static HybridIndex New(Similarity similarity) => HybridIndex.InMemory(new IndexSettings { Dimensions = Dimensions, Similarity = similarity, Threads = 1 });

    private static List<IndexDocument> Documents(int position, int count)
    {
        var vectors = VectorData.Hard(new Random(position), count, Dimensions);
        return [.. vectors.Select((vector, at) => new IndexDocument(VectorData.Id((position * 1000) + at), "mail") { Vector = at % 5 == 4 ? default(ReadOnlyMemory<float>) : vector, Tags = at % 3 == 0 ? ["third"] : [] })];
    }

    private static void Compare(HybridIndex plain, HybridIndex index, Random random)
    {
        HybridQuery[] queries =
        [
            .. VectorData.Hard(random, 6, Dimensions).Select((vector, at) => new HybridQuery
            {
                Vector = vector,
                Text = at == 5 ? "mail" : "",
                Hits = at < 3 ? 7 : 300,
                Filter = at % 2 == 0 ? null : DocumentFilter.Tagged("third"),
            }),
        ];
        using var one = plain.OpenReader();
        using var other = index.OpenReader();
        foreach (var (expected, found) in one.Search(queries, CancellationToken.None).Zip(other.Search(queries, CancellationToken.None)))
        {
            Assert.Equal(expected.Select(hit => (hit.Id, hit.Score)), found.Select(hit => (hit.Id, hit.Score)));
        }
    }

    private static void Search(HybridIndex index) => Assert.NotEmpty(index.Search(new HybridQuery { Vector = VectorData.Gaussian(new Random(9), Dimensions), Hits = 5 }, CancellationToken.None));
}
