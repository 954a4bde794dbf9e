using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Tests.Kernels;

/// <summary>
/// The kernels for warpgroups. Of the cards only Hopper has them; others are skipped.
/// </summary>
[Collection("devices")]
public class A_layer_for_hopper
{
    private const int Width = Hopper.Width;

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void projects_rows_of_one_group_and_of_parts_of_one(DeviceKind kind)
    {
        SkipOthers(kind);
        // With 300 a group makes all columns, on a device of few multiprocessors: then it fetches a piece's place again.
        foreach (var rows in kind == DeviceKind.Cuda ? (int[])[1, 130, 300] : [1, 130])
        {
            var packed = Hopper.PackProjection(Same.Halves(2, 2 * Width * Width, 0.2f), Same.Floats(3, 2 * Width));
            var pair = Same.Run<ushort>(kind, rows * 2 * Width, (on, to) => Hopper.Project(on.Stream, on.Up(Same.Halves(1, rows * Width)), on.Up(packed), to, rows, 2 * Width));
            Assert.InRange(Same.Error(pair), 0, 1e-3);
        }
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void puts_every_product_where_it_belongs(DeviceKind kind)
    {
        SkipOthers(kind);

        // With small integers every sum is exact, so that one value in a wrong place shows.
        const int rows = 70;
        var a = Bf16.From([.. Enumerable.Range(0, rows * Width).Select(i => (float)((i * 7 % 5) - 2))]);
        var w = Bf16.From([.. Enumerable.Range(0, Width * Width).Select(i => i * 11 % 97 == 0 ? (float)((i % 7) - 3) : 0)]);
        var (reference, found) = Same.Run<ushort>(kind, rows * Width, (on, to) => Hopper.Project(on.Stream, on.Up(a), on.Up(Hopper.PackProjection(w, new float[Width])), to, rows, Width));
        Assert.Equal(reference, found);
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void makes_what_follows_attention(DeviceKind kind)
    {
        SkipOthers(kind);

        // Two parts are the fewest, and four more pieces than the slots hold; in place, as the encoder does it.
        foreach (var (rows, middle) in new[] { (130, 2 * Hopper.Part), (3, 4 * Hopper.Part) })
        {
            var packed = Hopper.PackAfterAttention(new AfterAttentionWeights
            {
                Output = Same.Halves(1, Width * Width, 0.1f),
                OutputBias = Same.Floats(2, Width),
                OutputGain = Same.Floats(3, Width),
                OutputShift = Same.Floats(4, Width),
                Up = Same.Halves(5, middle * Width, 0.1f),
                Down = Same.Halves(6, Width * middle, 0.1f),
                DownBias = Same.Floats(7, Width),
                DownGain = Same.Floats(8, Width),
                DownShift = Same.Floats(9, Width),
            });
            var pair = Same.Run<ushort>(kind, rows * Width, (on, to) =>
            {
                on.Stream.Copy(on.Up(Same.Halves(11, rows * Width)), 0, to, 0, 2L * rows * Width);
                Hopper.AfterAttention(on.Stream, on.Up(Same.Halves(10, rows * Width)), to, on.Up(packed), on.Up(Same.Floats(12, middle)), to, rows, middle, 1e-12f);
            });
            Assert.InRange(Same.Error(pair), 0, 2e-3);
        }
    }

    [Fact]
    public void refuses_a_shape_that_it_has_not()
    {
        using var on = new Same.On(Tests.Devices.Each.Of(DeviceKind.Cpu));
        var buffer = on.New(1 << 16);
        Assert.True(Hopper.Takes(Width, 1536));
        Assert.False(Hopper.Takes(Width, 1552));
        Assert.False(Hopper.Takes(768, 3072));
        Assert.Throws<ArgumentOutOfRangeException>(() => Hopper.Project(on.Stream, buffer, buffer, buffer, 4, 400));
        Assert.Throws<ArgumentOutOfRangeException>(() => Hopper.Project(on.Stream, buffer, buffer, buffer, 4, Width));
        Assert.Throws<ArgumentOutOfRangeException>(() => Hopper.AfterAttention(on.Stream, buffer, buffer, buffer, buffer, buffer, 4, Hopper.Part, 1e-12f));
        Assert.Throws<ArgumentOutOfRangeException>(() => Hopper.AfterAttention(on.Stream, buffer, buffer, buffer, buffer, buffer, 4, 1536, 1e-12f));
    }

    private static void SkipOthers(DeviceKind kind)
    {
        if (kind != DeviceKind.Cuda) { return; }

        var card = Tests.Devices.Each.Of(kind);
        Assert.SkipUnless(card.HasWarpgroups, $"{card.Info.Name} has no warpgroups.");
    }
}
