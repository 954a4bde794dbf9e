using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Tests.Kernels;

[Collection("devices")]
public class Rows_on_a_device
{
    /// <summary>For results in bf16: both sides round the same value, and differ where it falls on the other side of a half (measured: 1e-4).</summary>
    private const double Rounded = 1e-3;

    /// <summary>For results in float: sums of some hundred values in another order.</summary>
    private const double Summed = 1e-6;

    public static MatrixTheoryData<DeviceKind, int> Widths => new([DeviceKind.OpenCl, DeviceKind.Cuda], [64, 384, 1024]);

    public static MatrixTheoryData<DeviceKind, int> Poolings => new([DeviceKind.OpenCl, DeviceKind.Cuda], [0, 1, 2]);

    [Theory, MemberData(nameof(Widths))]
    public void are_normalised(DeviceKind kind, int width)
    {
        const int rows = 7;
        var pair = Same.Run<ushort>(kind, rows * width, (on, to) => Rows.LayerNorm(
            on.Stream, on.Up(Same.Halves(6, rows * width, 3)), on.Up(Same.Floats(7, width)), on.Up(Same.Floats(8, width)), to, rows, width, 1e-12f));
        Assert.InRange(Same.Error(pair), 0, Rounded);
    }

    [Theory, MemberData(nameof(Widths))]
    public void are_the_sum_of_three_embeddings_normalised(DeviceKind kind, int width)
    {
        int[] ids = [4, 0, 9, 3, 9], positions = [0, 1, 2, 0, 1], types = [0, 0, 1, 0, 1];
        var pair = Same.Run<ushort>(kind, ids.Length * width, (on, to) => Rows.Embed(
            on.Stream, on.Up(ids), on.Up(positions), on.Up(types), on.Up(Same.Halves(9, 10 * width)), on.Up(Same.Halves(10, 3 * width)), on.Up(Same.Halves(11, 2 * width)), on.Up(Same.Floats(12, width)), on.Up(Same.Floats(13, width)), to, ids.Length, width, 1e-12f));
        Assert.InRange(Same.Error(pair), 0, Rounded);
    }

    [Theory, MemberData(nameof(Poolings))]
    public void become_one_vector_for_each_sequence(DeviceKind kind, int pooling)
    {
        const int width = 72;
        int[] offsets = [0, 3, 3, 4, 40];
        foreach (var normalise in new[] { true, false })
        {
            var (reference, found) = Same.Run<float>(kind, (offsets.Length - 1) * width, (on, to) =>
                Rows.Pool(on.Stream, on.Up(Same.Halves(14, 40 * width)), on.Up(offsets), to, offsets.Length - 1, width, (RowPooling)pooling, normalise));
            Assert.InRange(Same.Error(reference, found), 0, Summed);
            Assert.All(found[width..(2 * width)], value => Assert.Equal(0, value));
        }
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void of_a_static_model_are_averaged(DeviceKind kind)
    {
        const int width = 258;
        int[] ids = [3, 1, 4, 1, 5, 9, 2, 6], offsets = [0, 1, 5, 5, 8];
        foreach (var weighted in new[] { true, false })
        {
            var (reference, found) = Same.Run<float>(kind, (offsets.Length - 1) * width, (on, to) => Rows.GatherMean(
                on.Stream, on.Up(ids), on.Up(offsets), on.Up(Same.Halves(15, 10 * width)), weighted ? on.Up(Same.Floats(16, 10)) : null, to, offsets.Length - 1, width, weighted));
            Assert.InRange(Same.Error(reference, found), 0, Summed);
        }
    }

    [Fact]
    public void of_the_references_gelu_follow_the_error_function()
    {
        // Abramowitz and Stegun, table 7.1: erf to ten places.
        Assert.Equal(0.5204998778, Mathematics.Erf(0.5), 10);
        Assert.Equal(0.8427007929, Mathematics.Erf(1), 10);
        Assert.Equal(-0.9953222650, Mathematics.Erf(-2), 10);
        Assert.Equal(0.9999779095, Mathematics.Erf(3), 10);
    }
}
