using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Tests.Kernels;

[Collection("devices")]
public class A_search_on_a_device
{
    private const int Width = 48;

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
                    return (Row: row, Bound: bound + ((of[(q * 3) + 2] * figures[(row * 3) + 1]) + (of[(q * 3) + 1] * figures[(row * 3) + 2])));
                })
                .OrderByDescending(one => one.Bound).ThenBy(one => one.Row).Take(40);
            Assert.Equal(expected, reference[(q * 40)..((q + 1) * 40)].Select(entry => (TopK.Row(entry), TopK.Bound(entry))));
        }
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
}
