using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Embedding.Numerics;

namespace Platform.GpuKernels.Tests.Embedding;

/// <summary>Each operation in each register width of this machine, against the same in 64 bits, written plainly.</summary>
public sealed unsafe class The_cpu_kernels
{
    public static TheoryData<int> Widths() => [.. CpuKernels.All().Select(kernels => kernels.Lanes)];

    [Theory]
    [MemberData(nameof(Widths))]
    public void multiply_matrices_of_any_shape(int lanes)
    {
        foreach (var (rows, depth, columns) in ((int, int, int)[])[(1, 1, 1), (3, 5, 7), (4, 64, 32), (5, 33, 48), (8, 20, 64), (9, 17, 49), (13, 40, 80), (17, 3, 100), (130, 9, 24)])
        {
            var (input, weights, bias) = (RandomModel.Values("a", rows * depth, 2), RandomModel.Values("w", columns * depth, 2), RandomModel.Values("b", columns, 2));
            foreach (var precision in Enum.GetValues<WeightPrecision>())
            {
                using var matrix = new PackedMatrix(Of(lanes), columns, depth, precision, (row, values) => weights.AsSpan(row * depth, depth).CopyTo(values), bias);
                var stride = CpuKernels.Stride(columns);
                using var output = new NativeBuffer<float>((long)rows * stride);
                fixed (float* from = input) { matrix.Multiply(from, depth, rows, output.Pointer, stride); }

                // A weight of 16 bits has 8 bits of fraction, so each product is off by 2^-9 at most; of 8 bits, by 1/254 of the weight and 2/255 of the input.
                var tolerance = precision switch
                {
                    WeightPrecision.Float32 => 1e-6 * depth,
                    WeightPrecision.BFloat16 => depth / 512.0,
                    WeightPrecision.Int8 => depth / 80.0,
                };
                for (var row = 0; row < rows; row++)
                {
                    for (var column = 0; column < columns; column++)
                    {
                        var expected = (double)bias[column];
                        for (var k = 0; k < depth; k++) { expected += (double)input[(row * depth) + k] * weights[(column * depth) + k]; }

                        AssertNear(expected, output.Pointer[((long)row * stride) + column], tolerance);
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(WeightPrecision.Float32)]
    [InlineData(WeightPrecision.BFloat16)]
    [InlineData(WeightPrecision.Int8)]
    public void multiply_to_the_same_bits_in_every_width(WeightPrecision precision)
    {
        var (input, weights) = (RandomModel.Values("a", 11 * 96, 2), RandomModel.Values("w", 70 * 96, 2));
        var results = CpuKernels.All().Select(kernels =>
        {
            using var matrix = new PackedMatrix(kernels, 70, 96, precision, (row, values) => weights.AsSpan(row * 96, 96).CopyTo(values), new float[70]);
            using var output = new NativeBuffer<float>(11 * CpuKernels.Stride(70));
            fixed (float* from = input) { matrix.Multiply(from, 96, 11, output.Pointer, CpuKernels.Stride(70)); }

            return Enumerable.Range(0, 11 * 70).Select(i => output.Pointer[(i / 70 * CpuKernels.Stride(70)) + (i % 70)]).ToArray();
        }).ToArray();
        Assert.All(results, result => Assert.Equal(results[0], result));
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void activate(int lanes)
    {
        float[] values = [.. Enumerable.Range(-4_000, 8_000).Select(i => i / 400f), .. (float[])[0, -0f, 1e-30f, -1e-30f, 50, -50, 1e4f, -1e4f, 13.2f, -13.2f, 88, -88, 3e38f, -3e38f, 0.5f, -0.5f]];
        foreach (var activation in Enum.GetValues<Activation>())
        {
            using var buffer = new NativeBuffer<float>(values.Length);
            values.CopyTo(buffer.Span(0, values.Length));
            Of(lanes).Activate(activation, buffer.Pointer, values.Length);
            for (var i = 0; i < values.Length; i++)
            {
                double x = values[i];
                var expected = activation switch
                {
                    Activation.Gelu => x / 2 * (1 + Erf(x / Math.Sqrt(2))),
                    Activation.GeluTanh => x / 2 * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))),
                    Activation.Relu => Math.Max(x, 0),
                };
                AssertNear(expected, buffer.Pointer[i], 4e-7 * Math.Max(1, Math.Abs(x)));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void normalise_layers_and_leave_what_is_behind_the_width_zero(int lanes)
    {
        foreach (var width in (int[])[3, 16, 40, 64, 100])
        {
            foreach (var added in (bool[])[false, true])
            {
                const int Rows = 3;
                const float Epsilon = 1e-5f;
                var stride = CpuKernels.Stride(width);
                using NativeBuffer<float> x = new(Rows * stride), y = new(Rows * stride), gain = new(stride), shift = new(stride);
                RandomModel.Values("gain", width, 1, 1).CopyTo(gain.Span(0, width));
                RandomModel.Values("shift", width, 1).CopyTo(shift.Span(0, width));
                for (var row = 0; row < Rows; row++)
                {
                    RandomModel.Values($"x{row}", width, 3, row).CopyTo(x.Span(row * stride, width));
                    if (added) { RandomModel.Values($"y{row}", width, 2).CopyTo(y.Span(row * stride, width)); }
                }

                var input = Enumerable.Range(0, Rows).Select(row => Enumerable.Range(0, width).Select(i => (double)x.Pointer[(row * stride) + i] + y.Pointer[(row * stride) + i]).ToArray()).ToArray();
                Of(lanes).NormaliseLayer(x.Pointer, added ? y.Pointer : null, Rows, width, stride, gain.Pointer, shift.Pointer, Epsilon);
                for (var row = 0; row < Rows; row++)
                {
                    var mean = input[row].Average();
                    var deviation = Math.Sqrt(input[row].Average(value => (value - mean) * (value - mean)) + Epsilon);
                    for (var i = 0; i < width; i++) { AssertNear(((input[row][i] - mean) / deviation * gain.Pointer[i]) + shift.Pointer[i], x.Pointer[(row * stride) + i], 3e-6); }
                    for (var i = width; i < stride; i++) { Assert.Equal(0, x.Pointer[(row * stride) + i]); }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void attend(int lanes)
    {
        foreach (var (tokens, size, heads) in ((int, int, int)[])[(1, 16, 2), (5, 26, 3), (16, 32, 1), (33, 64, 2), (70, 8, 2)])
        {
            var width = size * heads;
            var stride = CpuKernels.Stride(3 * width);
            using NativeBuffer<float> input = new(tokens * stride), output = new((tokens * CpuKernels.Stride(width)) + 64);
            for (var token = 0; token < tokens; token++) { RandomModel.Values($"t{token}", 3 * width, 3).CopyTo(input.Span(token * stride, 3 * width)); }

            // The last head has no bias.
            using NativeBuffer<float> bias = new(heads * 2 * tokens);
            RandomModel.Values("bias", heads * 2 * tokens, 4).CopyTo(bias.Span(0, heads * 2 * tokens));
            float* At(int head) => bias.Pointer + (((2 * head) + 1) * tokens);
            using var scratch = new AttentionScratch(tokens, size);
            for (var head = 0; head < heads; head++)
            {
                var at = input.Pointer + (head * size);
                Of(lanes).Attend(at, stride, width, tokens, size, head < heads - 1 ? At(head) : null, output.Pointer + (head * size), CpuKernels.Stride(width), scratch);
            }

            for (var head = 0; head < heads; head++)
            {
                double Of(int token, int part, int i) => input.Pointer[(token * stride) + (part * width) + (head * size) + i];
                for (var token = 0; token < tokens; token++)
                {
                    var scores = Enumerable.Range(0, tokens).Select(key => Enumerable.Range(0, size).Sum(i => Of(token, 0, i) * Of(key, 1, i)) + (head < heads - 1 ? At(head)[key - token] : 0)).ToArray();
                    var weights = scores.Select(score => Math.Exp(score - scores.Max())).ToArray();
                    for (var i = 0; i < size; i++)
                    {
                        var expected = Enumerable.Range(0, tokens).Sum(key => weights[key] * Of(key, 2, i)) / weights.Sum();
                        AssertNear(expected, output.Pointer[(token * CpuKernels.Stride(width)) + (head * size) + i], 2e-5);
                    }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void sum_rows(int lanes)
    {
        foreach (var stride in (int[])[16, 128, 272])
        {
            using NativeBuffer<float> rows = new(20 * stride), sum = new(stride);
            RandomModel.Values("rows", 20 * stride, 2).CopyTo(rows.Span(0, 20 * stride));
            int[] numbers = [3, 3, 19, 0, 7, 7, 7, 12, 1];
            var weights = RandomModel.Values("weights", numbers.Length, 2);
            foreach (var weighted in (bool[])[false, true])
            {
                fixed (float* weight = weights) { Of(lanes).SumRows(rows.Pointer, stride, numbers, weighted ? weight : null, sum.Pointer); }

                for (var i = 0; i < stride; i++) { AssertNear(numbers.Index().Sum(number => (double)rows.Pointer[(number.Item * stride) + i] * (weighted ? weights[number.Index] : 1)), sum.Pointer[i], 1e-5); }
            }
        }
    }

    private static CpuKernels Of(int lanes) => CpuKernels.All().Single(kernels => kernels.Lanes == lanes);

    private static void AssertNear(double expected, float actual, double tolerance) =>
        Assert.True(Math.Abs(expected - actual) <= tolerance, $"{actual:R} is not within {tolerance} of {expected:R}");

    /// <summary>By its power series, and by its asymptotic value where that is 1 to the last bit.</summary>
    private static double Erf(double x)
    {
        if (Math.Abs(x) > 4.5) { return Math.Sign(x); }

        var (sum, term) = (x, x);
        for (var n = 1; n < 120; n++)
        {
            term *= -x * x / n;
            sum += term / ((2 * n) + 1);
        }

        return 2 / Math.Sqrt(Math.PI) * sum;
    }
}
