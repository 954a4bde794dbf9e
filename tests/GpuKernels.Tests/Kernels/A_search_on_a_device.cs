using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Tests.Kernels;

[Collection("devices")]
public class A_search_on_a_device
{
    private const int Width = 48;

    public static TheoryData<DeviceKind> Kinds => [DeviceKind.Cpu, DeviceKind.OpenCl, DeviceKind.Cuda];

    public static MatrixTheoryData<DeviceKind, int> Counts => new([DeviceKind.OpenCl, DeviceKind.Cuda], [1, 900, 5000]);

    [Theory, MemberData(nameof(Counts))]
    public void finds_the_candidates_that_the_reference_finds_bit_for_bit(DeviceKind kind, int rows)
    {
        var (reference, found) = Search(kind, rows, 20, filter: null);
        Assert.Equal(reference, found);
        Assert.Equal(rows == 1 ? 1 : 20, reference[..20].Count(entry => TopK.Row(entry) >= 0));
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void leaves_out_what_the_filter_leaves_out(DeviceKind kind)
    {
        const int rows = 3000;
        var filter = new uint[(rows + 31) / 32];
        for (var i = 0; i < filter.Length; i++) { filter[i] = 0x8000_0101; }
        var (reference, found) = Search(kind, rows, 33, filter);
        Assert.Equal(reference, found);
        Assert.All(found, entry => Assert.Contains(TopK.Row(entry) % 32, new[] { 0, 8, 31 }));
    }

    [Fact]
    public void ranks_by_the_bound_and_then_by_the_lower_row()
    {
        const int rows = 2500, queries = 3;
        var (codes, figures, query, of) = Data(rows);
        var (reference, _) = Search(DeviceKind.Cpu, rows, 40, filter: null);
        for (var q = 0; q < queries; q++)
        {
            var expected = Enumerable.Range(0, rows)
                .Select(row =>
                {
                    var dot = Enumerable.Range(0, Width).Sum(i => codes[(row * Width) + i] * query[(q * Width) + i]);
                    var bound = dot * (figures[row * 3] * of[q * 3]);
                    return (Row: row, Bound: bound + ((of[(q * 3) + 2] * figures[(row * 3) + 1]) + (of[(q * 3) + 1] * figures[(row * 3) + 2]) + QuantisedQuery.Floor));
                })
                .OrderByDescending(one => one.Bound).ThenBy(one => one.Row).Take(40);
            Assert.Equal(expected, reference[(q * 40)..((q + 1) * 40)].Select(entry => (TopK.Row(entry), TopK.Bound(entry))));
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public unsafe void finds_the_hits_that_the_cpu_finds(DeviceKind kind)
    {
        const int count = 2500, dimensions = 40;
        var vectors = Same.Floats(22, count * dimensions);
        var device = Devices.Each.Of(kind);
        using var rows = new InMemory(vectors, dimensions);
        using var scan = new DeviceVectorScan(device, rows);
        var queries = Enumerable.Range(0, 3).Select(q => new QuantisedQuery(Similarity.Cosine, vectors.AsSpan(q * 300 * dimensions, dimensions))).ToList();
        var allowed = new Bitmap(count);
        for (var i = 0; i < count; i += 3) { allowed[i] = true; }
        foreach (var filter in new[] { null, allowed })
        {
            var expected = VectorScan.Search([new VectorSource(rows, filter)], queries, 10, 1, TestContext.Current.CancellationToken);
            var found = scan.Search(queries, 10, filter);
            for (var q = 0; q < queries.Count; q++) { Assert.Equal(expected[q], found[q]); }
        }
    }

    [Fact]
    public void leaves_to_the_cpu_what_its_bounds_do_not_decide()
    {
        // All rows are the same: no bound can say which ten of them are hits.
        const int count = 2000, dimensions = 16;
        using var rows = new InMemory([.. Enumerable.Repeat(0.3f, count * dimensions)], dimensions);
        using var scan = new DeviceVectorScan(Devices.Each.Of(DeviceKind.Cpu), rows);
        Assert.Null(scan.Search([new QuantisedQuery(Similarity.Cosine, Same.Floats(23, dimensions))], 10, null)[0]);
    }

    private static (ulong[] Reference, ulong[] Found) Search(DeviceKind kind, int rows, int candidates, uint[]? filter)
    {
        const int queries = 3;
        var (codes, figures, query, of) = Data(rows);
        return Same.Run<ulong>(kind, queries * candidates, (on, to) =>
        {
            var bytes = TopK.WorkBytes(rows, queries, candidates);
            var result = TopK.Launch(on.Stream, on.Up(codes), on.Up(figures), filter is null ? null : on.Up(filter), on.Up(query), on.Up(of), on.New(bytes), on.New(bytes), rows, Width, queries, candidates);
            on.Stream.Copy(result, 0, to, 0, queries * candidates * 8L);
        });
    }

    private static (sbyte[] Codes, float[] Figures, sbyte[] Queries, float[] QueryFigures) Data(int rows)
    {
        var random = new Random(17);
        var codes = new sbyte[rows * Width];
        random.NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(codes.AsSpan()));
        var query = new sbyte[3 * Width];
        random.NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(query.AsSpan()));

        // A few rows are equal, so that ties are decided too.
        for (var row = 7; row + 5 < rows; row += 100) { codes.AsSpan(row * Width, Width).CopyTo(codes.AsSpan((row + 5) * Width)); }
        var figures = Enumerable.Range(0, rows * 3).Select(i => 0.001f + (i % 3 == 0 ? 0.004f : (i / 3 % 5) * 0.01f)).ToArray();
        return (codes, figures, query, [0.01f, 0.02f, 1f, 0.011f, 0.01f, 0.9f, 0.012f, 0.03f, 1.1f]);
    }

    /// <summary>Vectors with the codes that the index gives them.</summary>
    private sealed unsafe class InMemory : VectorRows, IDisposable
    {
        private readonly nint _memory;

        public InMemory(float[] vectors, int dimensions)
            : this(vectors, dimensions, vectors.Length / dimensions, (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)((vectors.Length * 4) + (((vectors.Length / dimensions) + 8) * (Quantiser.Stride(dimensions) + 12))), 64))
        {
        }

        private InMemory(float[] vectors, int dimensions, int count, byte* memory)
            : base(count, dimensions, memory, (float*)(memory + ((count + 8L) * Quantiser.Stride(dimensions))), (float*)(memory + ((count + 8L) * (Quantiser.Stride(dimensions) + 4))), (float*)(memory + ((count + 8L) * (Quantiser.Stride(dimensions) + 8))), (float*)(memory + ((count + 8L) * (Quantiser.Stride(dimensions) + 12))))
        {
            _memory = (nint)memory;
            for (var row = 0; row < count; row++)
            {
                var vector = vectors.AsSpan(row * dimensions, dimensions);
                var bound = Quantiser.Quantise(Similarity.Cosine, vector, new Span<byte>(Codes + ((long)row * Stride), Stride));
                (Scales[row], Errors[row], Norms[row]) = (bound.Scale, bound.Error, bound.Norm);
                vector.CopyTo(new Span<float>(OriginalOf(row), dimensions));
            }
        }

        public override UInt128 IdOf(int vector) => (UInt128)vector;

        public void Dispose() => System.Runtime.InteropServices.NativeMemory.AlignedFree((void*)_memory);
    }
}
