using Platform.GpuKernels.Embedding.Numerics;

namespace Platform.GpuKernels.Tests.Embedding;

/// <summary>Products of quantised matrices on each path that this machine has, against whole numbers of 64 bits.</summary>
public sealed unsafe class The_byte_kernels
{
    private static readonly (int Rows, int Depth, int Columns)[] Shapes = [(1, 1, 1), (3, 5, 7), (4, 64, 32), (5, 33, 48), (7, 20, 65), (9, 17, 49), (13, 384, 80), (6, 3, 104)];

    public static TheoryData<string> Paths() => [.. ByteGemm.All().Select(gemm => gemm.Name)];

    [Theory]
    [MemberData(nameof(Paths))]
    public void sum_whole_numbers_exactly(string path)
    {
        var gemm = Of(path);
        foreach (var (rows, depth, columns) in Shapes)
        {
            // Weights are whole numbers of which each row has one of 127, and inputs of which each row has 0 and 255: so their scales are 1 and nothing is rounded.
            var weights = Whole("w", columns, depth, -127, 127, [127]);
            var input = Whole("a", rows, depth, -128, 127, [-128, 127]);
            var bias = Whole("b", 1, columns, -9, 9, []);
            var output = Multiply(gemm, input, rows, weights, columns, depth, bias);
            for (var row = 0; row < rows; row++)
            {
                for (var column = 0; column < columns; column++)
                {
                    var expected = (long)bias[column];
                    for (var k = 0; k < depth; k++) { expected += (long)input[(row * depth) + k] * (long)weights[(column * depth) + k]; }

                    // A row of one or two values has not both ends of the range, so its scale is another one.
                    if (depth > 1) { Assert.Equal(expected, (double)output[(row * columns) + column]); }
                    else { Assert.InRange(output[(row * columns) + column], expected - 1, expected + 1); }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public void do_not_saturate_where_all_products_are_the_greatest(string path)
    {
        const int Depth = 1_536;
        foreach (var sign in (float[])[1, -1])
        {
            float[] weights = [.. Enumerable.Repeat(127 * sign, Depth)];
            float[] input = [.. Enumerable.Repeat(255f, Depth)];
            Assert.Equal(sign * 127 * 255 * Depth, Multiply(Of(path), input, 1, weights, 1, Depth, [0]).Single());
        }
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public void leave_what_is_behind_the_columns_zero(string path)
    {
        var gemm = Of(path);
        using var matrix = new QuantisedMatrix(gemm, 5, 8, (_, values) => values.Fill(1), new float[5]);
        using var output = new NativeBuffer<float>(CpuKernels.Stride(5));
        var input = RandomModel.Values("a", 8, 2);
        fixed (float* from = input) { matrix.Multiply(from, 8, 1, output.Pointer, CpuKernels.Stride(5)); }

        Assert.All(output.Span(5, CpuKernels.Stride(5) - 5).ToArray(), value => Assert.Equal(0, value));
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public void give_no_numbers_where_weights_or_inputs_are_none(string path)
    {
        foreach (var bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
        {
            for (var at = 0; at < 40; at += 13)
            {
                float[] some = [.. Enumerable.Repeat(1f, 80)];
                some[at] = bad;
                float[] good = [.. Enumerable.Repeat(1f, 80)];

                // The other row and the other output do not suffer from it.
                var byInput = Multiply(Of(path), some, 2, good[..40], 1, 40, [0]);
                Assert.True(float.IsNaN(byInput[0]));
                Assert.InRange(byInput[1], 39.99f, 40.01f);
                var byWeight = Multiply(Of(path), good[..40], 1, some, 2, 40, [0, 0]);
                Assert.True(float.IsNaN(byWeight[0]));
                Assert.InRange(byWeight[1], 39.99f, 40.01f);
            }
        }
    }

    [Fact]
    public void quantise_each_value_to_half_a_step_and_zero_exactly()
    {
        foreach (var (spread, centre) in ((float, float)[])[(2, 0), (1e-20f, 0), (1e20f, 0), (2, 5), (2, -5), (3e38f, 0), (0, 1), (0, 0), (1e-40f, 0)])
        {
            for (var count = 1; count < 100; count += 7)
            {
                var values = RandomModel.Values($"q{count}", count, spread);
                for (var i = 0; i < count; i++) { values[i] = i % 9 == 8 ? 0 : values[i] + centre; }

                var bytes = new byte[count];
                ByteRange range;
                fixed (float* from = values)
                fixed (byte* to = bytes) { range = ByteRange.Quantise(from, count, to); }

                Assert.InRange(range.Zero, 0, 255);
                for (var i = 0; i < count; i++)
                {
                    // At the ends of the range rounding can meet a byte that is not there.
                    var back = ((double)bytes[i] - range.Zero) * range.Scale;
                    var step = range.Scale == 0 ? 2.6e-28 : range.Scale * (bytes[i] == 255 ? 1.001 : 0.501);
                    Assert.InRange(back - values[i], -step, step);
                    if (values[i] == 0) { Assert.Equal(range.Zero, bytes[i]); }
                }
            }
        }
    }

    [Fact]
    public void quantise_a_value_to_the_same_byte_wherever_it_stands_in_a_row()
    {
        float[] values = [.. RandomModel.Values("order", 67, 3), -1.5f, 1.5f];
        var turned = values.Reverse().ToArray();
        byte[] there = new byte[values.Length], back = new byte[values.Length];
        fixed (float* from = values, other = turned)
        fixed (byte* to = there, to2 = back) { Assert.Equal(ByteRange.Quantise(from, values.Length, to), ByteRange.Quantise(other, values.Length, to2)); }

        Assert.Equal(there, back.Reverse());
    }

    private static ByteGemm Of(string path) => ByteGemm.All().Single(gemm => gemm.Name == path);

    private static float[] Multiply(ByteGemm gemm, float[] input, int rows, float[] weights, int columns, int depth, float[] bias)
    {
        using var matrix = new QuantisedMatrix(gemm, columns, depth, (row, values) => weights.AsSpan(row * depth, depth).CopyTo(values), bias);
        var stride = CpuKernels.Stride(columns);
        using var output = new NativeBuffer<float>((long)rows * stride);
        fixed (float* from = input) { matrix.Multiply(from, depth, rows, output.Pointer, stride); }

        return [.. Enumerable.Range(0, rows * columns).Select(i => output.Pointer[(i / columns * stride) + (i % columns)])];
    }

    /// <summary>[rows, columns] of whole numbers, each row with the fixed values first, as far as there is room.</summary>
    private static float[] Whole(string name, int rows, int columns, int least, int most, float[] first)
    {
        float[] values = [.. RandomModel.Values(name, rows * columns, 1).Select(value => MathF.Round(((value + 0.5f) * (most - least)) + least))];
        for (var row = 0; row < rows; row++) { first.AsSpan(0, Math.Min(first.Length, columns)).CopyTo(values.AsSpan(row * columns)); }

        return values;
    }
}
