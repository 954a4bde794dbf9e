using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>Which token vectors become a sequence's (rows.cl).</summary>
internal enum RowPooling
{
    Mean = 0,
    First = 1,
    Last = 2,
}

/// <summary>What works on whole rows of packed tokens: embeddings, LayerNorm, pooling, static models (rows.cl).</summary>
internal static class Rows
{
    /// <summary>The widest row that embeddings and LayerNorm keep in registers: BERT-large's and XLM-R-large's.</summary>
    public const int MaxWidth = 1024;

    private const int Group = 128;
    private const int PoolGroup = 256;
    private const int RowsPerGroup = 4;

    public static readonly KernelModule Module = new(
        "rows",
        ("layer_norm512", LayerNormOnCpu),
        ("layer_norm1024", LayerNormOnCpu),
        ("embed512", EmbedOnCpu),
        ("embed1024", EmbedOnCpu),
        ("pool", PoolOnCpu),
        ("gather_mean", GatherMeanOnCpu));

    /// <summary>LayerNorm of <paramref name="rows"/> rows of <paramref name="width"/> values in bf16; gamma and beta in float.</summary>
    public static void LayerNorm(AcceleratorStream stream, MemoryBuffer from, MemoryBuffer gamma, MemoryBuffer beta, MemoryBuffer to, int rows, int width, float epsilon)
    {
        CheckWidth(width);
        from.Check(0, 2L * rows * width);
        to.Check(0, 2L * rows * width);
        gamma.Check(0, 4L * width);
        beta.Check(0, 4L * width);
        stream.Launch(stream.Accelerator.Load(Module, $"layer_norm{Kept(width)}"), LaunchGrid.Cover(rows, RowsPerGroup) with { GroupSize = Group }, from, gamma, beta, to, rows, width, epsilon);
    }

    /// <summary>LayerNorm of the sums of three embeddings. Ids, positions and types are ints, one each for a row, and must lie in their tables (bf16).</summary>
    public static void Embed(AcceleratorStream stream, MemoryBuffer ids, MemoryBuffer positions, MemoryBuffer types, MemoryBuffer words, MemoryBuffer places, MemoryBuffer kinds, MemoryBuffer gamma, MemoryBuffer beta, MemoryBuffer to, int rows, int width, float epsilon)
    {
        CheckWidth(width);
        ids.Check(0, 4L * rows);
        positions.Check(0, 4L * rows);
        types.Check(0, 4L * rows);
        to.Check(0, 2L * rows * width);
        stream.Launch(stream.Accelerator.Load(Module, $"embed{Kept(width)}"), LaunchGrid.Cover(rows, RowsPerGroup) with { GroupSize = Group }, ids, positions, types, words, places, kinds, gamma, beta, to, rows, width, epsilon);
    }

    /// <summary>One vector in float for each sequence of packed rows in bf16, normalised to unit length if asked.</summary>
    /// <param name="offsets">[sequences + 1], ints, in rows.</param>
    public static void Pool(AcceleratorStream stream, MemoryBuffer from, MemoryBuffer offsets, MemoryBuffer to, int sequences, int width, RowPooling pooling, bool normalise)
    {
        CheckWidth(width);
        offsets.Check(0, 4L * (sequences + 1));
        to.Check(0, 4L * sequences * width);
        stream.Launch(stream.Accelerator.Load(Module, "pool"), new LaunchGrid(sequences, PoolGroup), from, offsets, to, width, (int)pooling, normalise ? 1 : 0);
    }

    /// <summary>A static model: of each text the mean of its ids' rows, each times its weight where there are weights.</summary>
    /// <param name="weights">[vocabulary] in float, or null.</param>
    public static void GatherMean(AcceleratorStream stream, MemoryBuffer ids, MemoryBuffer offsets, MemoryBuffer table, MemoryBuffer? weights, MemoryBuffer to, int texts, int width, bool normalise)
    {
        if (width < 2 || width % 2 != 0) { throw new ArgumentOutOfRangeException(nameof(width), width, "A row has an even number of values."); }

        offsets.Check(0, 4L * (texts + 1));
        to.Check(0, 4L * texts * width);
        stream.Launch(stream.Accelerator.Load(Module, "gather_mean"), new LaunchGrid(texts, Group), ids, offsets, table, weights ?? table, to, width, weights is null ? 0 : 1, normalise ? 1 : 0);
    }

    private static int Kept(int width) => width <= 512 ? 512 : 1024;

    private static void CheckWidth(int width)
    {
        if (width is < 2 or > MaxWidth || width % 2 != 0) { throw new ArgumentOutOfRangeException(nameof(width), width, $"A row has an even number of values, at most {MaxWidth}."); }
    }

    private static void LayerNormOnCpu(CpuLaunch launch)
    {
        int rows = launch.Int(4), n = launch.Int(5);
        var from = launch.Buffer<ushort>(0);
        for (var row = 0; row < rows; row++)
        {
            var values = new double[n];
            for (var i = 0; i < n; i++) { values[i] = Bf16.ToSingle(from[(row * n) + i]); }

            Normalise(values, launch.Buffer<float>(1), launch.Buffer<float>(2), launch.Float(6), launch.Buffer<ushort>(3).Slice(row * n, n));
        }
    }

    private static void EmbedOnCpu(CpuLaunch launch)
    {
        int rows = launch.Int(9), n = launch.Int(10);
        for (var row = 0; row < rows; row++)
        {
            var values = new double[n];
            for (var table = 0; table < 3; table++)
            {
                var from = launch.Buffer<ushort>(3 + table).Slice(launch.Buffer<int>(table)[row] * n, n);
                for (var i = 0; i < n; i++) { values[i] += Bf16.ToSingle(from[i]); }
            }

            Normalise(values, launch.Buffer<float>(6), launch.Buffer<float>(7), launch.Float(11), launch.Buffer<ushort>(8).Slice(row * n, n));
        }
    }

    private static void Normalise(double[] values, ReadOnlySpan<float> gamma, ReadOnlySpan<float> beta, float epsilon, Span<ushort> to)
    {
        var mean = values.Average();
        var factor = 1 / Math.Sqrt(values.Average(value => (value - mean) * (value - mean)) + epsilon);
        for (var i = 0; i < values.Length; i++) { to[i] = Bf16.FromSingle((float)(((values[i] - mean) * factor * gamma[i]) + beta[i])); }
    }

    private static void PoolOnCpu(CpuLaunch launch)
    {
        var n = launch.Int(3);
        var kind = (RowPooling)launch.Int(4);
        var from = launch.Buffer<ushort>(0);
        var offsets = launch.Buffer<int>(1);
        for (var sequence = 0; sequence < launch.Grid.X; sequence++)
        {
            int first = offsets[sequence], end = offsets[sequence + 1];
            if (end > first && kind == RowPooling.First) { end = first + 1; }
            if (end > first && kind == RowPooling.Last) { first = end - 1; }
            var sums = new double[n];
            for (var row = first; row < end; row++)
            {
                for (var i = 0; i < n; i++) { sums[i] += Bf16.ToSingle(from[(row * n) + i]) / (double)(end - first); }
            }

            ToUnit(sums, launch.Int(5) != 0, launch.Buffer<float>(2).Slice(sequence * n, n));
        }
    }

    private static void GatherMeanOnCpu(CpuLaunch launch)
    {
        var n = launch.Int(5);
        var ids = launch.Buffer<int>(0);
        var offsets = launch.Buffer<int>(1);
        var table = launch.Buffer<ushort>(2);
        for (var text = 0; text < launch.Grid.X; text++)
        {
            var sums = new double[n];
            for (var at = offsets[text]; at < offsets[text + 1]; at++)
            {
                double weight = launch.Int(6) != 0 ? launch.Buffer<float>(3)[ids[at]] : 1;
                for (var i = 0; i < n; i++) { sums[i] += Bf16.ToSingle(table[(ids[at] * n) + i]) * weight / (offsets[text + 1] - offsets[text]); }
            }

            ToUnit(sums, launch.Int(7) != 0, launch.Buffer<float>(4).Slice(text * n, n));
        }
    }

    private static void ToUnit(double[] sums, bool normalise, Span<float> to)
    {
        var length = normalise ? Math.Sqrt(sums.Sum(value => value * value)) : 0;
        for (var i = 0; i < sums.Length; i++) { to[i] = (float)(length > 0 ? sums[i] / length : sums[i]); }
    }
}
