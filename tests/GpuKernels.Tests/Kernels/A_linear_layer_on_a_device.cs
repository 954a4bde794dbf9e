using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Tests.Kernels;

[Collection("devices")]
public class A_linear_layer_on_a_device
{
    /// <summary>Both sides round to bf16 at the end; they differ only where float sums fall on the other side of a half (measured: below 2e-4).</summary>
    private const double Bound = 1e-3;

    public static MatrixTheoryData<DeviceKind, int> Cases => new([DeviceKind.OpenCl, DeviceKind.Cuda], [64, 128]);

    [Theory, MemberData(nameof(Cases))]
    public void is_what_the_reference_computes(DeviceKind kind, int wide) => Compare(kind, wide, Epilogue.Plain, m: 150, n: 72, k: 96);

    [Theory, MemberData(nameof(Cases))]
    public void applies_gelu(DeviceKind kind, int wide) => Compare(kind, wide, Epilogue.Gelu, m: 129, n: 136, k: 64);

    [Fact]
    public void has_a_gelu_that_is_off_by_less_than_five_millionths()
    {
        // What a kernel gives is rounded to bf16, which hides more than that: so by the kernels' own numbers.
        var gelu = KernelModule.Resource("shim.h").Split("float gelu(float x)")[1].Split('}')[0];
        float[] factors = [.. System.Text.RegularExpressions.Regex.Matches(gelu, @"-?[0-9]+\.[0-9]{6,}(?=f)").Select(match => float.Parse(match.Value, System.Globalization.CultureInfo.InvariantCulture))];
        Assert.Equal(6, factors.Length);
        for (var x = -100f; x <= 100; x += 1f / 512)
        {
            var u = MathF.Abs(x);
            var power = factors[1..].Aggregate(factors[0], (sum, factor) => MathF.FusedMultiplyAdd(sum, u, factor));
            Assert.InRange(MathF.FusedMultiplyAdd(-u, MathF.Pow(2, power), MathF.Max(x, 0)) - Mathematics.Gelu(x), -5e-6 - (u * 1e-7), 5e-6 + (u * 1e-7));
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void adds_a_residual(DeviceKind kind, int wide) => Compare(kind, wide, Epilogue.Residual, m: 33, n: 200, k: 32);

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void puts_every_product_where_it_belongs(DeviceKind kind)
    {
        // With small integers every sum is exact, so that one value in a wrong place shows.
        const int m = 130, n = 136, k = 64;
        var a = Enumerable.Range(0, m * k).Select(i => (float)((i * 7 % 5) - 2)).ToArray();
        var w = Enumerable.Range(0, n * k).Select(i => (float)((i * 11 % 7) - 3)).ToArray();
        var (reference, found) = Same.Run<ushort>(kind, m * n, (on, c) =>
            Gemm.Launch(on.Stream, Epilogue.Plain, on.Up(Bf16.From(a)), on.Up(Bf16.From(w)), on.Up(new float[n]), c, c, m, n, k));
        Assert.Equal(reference, found);
    }

    [Fact]
    public void refuses_a_shape_that_it_has_not()
    {
        using var on = new Same.On(Tests.Devices.Each.Of(DeviceKind.Cpu));
        var buffer = on.New(1 << 16);
        Assert.Throws<ArgumentOutOfRangeException>(() => Gemm.Launch(on.Stream, Epilogue.Plain, buffer, buffer, buffer, buffer, buffer, 4, 12, 32));
        Assert.Throws<ArgumentOutOfRangeException>(() => Gemm.Launch(on.Stream, Epilogue.Plain, buffer, buffer, buffer, buffer, buffer, 4, 16, 48));
        Assert.Throws<ArgumentOutOfRangeException>(() => Gemm.Launch(on.Stream, Epilogue.Plain, buffer, buffer, buffer, buffer, buffer, 4096, 16, 64));
    }

    private static void Compare(DeviceKind kind, int wide, Epilogue epilogue, int m, int n, int k)
    {
        var pair = Same.Run<ushort>(kind, m * n, (on, c) => Gemm.Launch(
            on.Stream, epilogue, on.Up(Same.Halves(1, m * k)), on.Up(Same.Halves(2, n * k, 0.2f)), on.Up(Same.Floats(3, n)), on.Up(Same.Halves(4, m * n)), c, m, n, k, wide));
        Assert.InRange(Same.Error(pair), 0, Bound);
    }
}
