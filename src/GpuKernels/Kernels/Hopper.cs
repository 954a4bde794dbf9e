using System.Runtime.InteropServices;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>The layers of an encoder that is 384 wide, in two kernels beside attention, for devices with <see cref="Accelerator.HasWarpgroups"/> (hopper.cl).</summary>
internal static class Hopper
{
    public const int Width = 384;

    /// <summary>Rows of a group: so many are made in about the time that one takes.</summary>
    public const int GroupRows = 128;

    /// <summary>The feed-forward's middle is a multiple of it, at least twice as much and at most <see cref="MaxMiddle"/>.</summary>
    public const int Part = 32;

    /// <summary>Its bias lies in local memory.</summary>
    public const int MaxMiddle = 2048;

    private const int Group = 256;
    private const int Deep = 64;
    private const int Slots = 5;

    /// <summary>Values of a piece of the weights.</summary>
    private const int Piece = 192 * Deep;

    /// <summary>Pieces of a weight [384, 384], and one of the vectors that belong to its sums.</summary>
    private const int Projected = (2 * Width / Deep) + 1;

    /// <summary>Groups that fetch their weights together: build-ptx says it to the compiler. A launch has a multiple of it along x.</summary>
    private const int Cluster = 2;

    /// <summary>The rows, the pieces, a place for 32 columns or for <see cref="MaxMiddle"/> floats, and two barriers for each slot: MEMORY of hopper.cl, in bytes.</summary>
    private const int LocalBytes = (2 * ((GroupRows * Width) + (Slots * Piece) + (GroupRows * Part))) + (Slots * 2 * sizeof(ulong));

    public static readonly KernelModule Module = new("hopper", ("project384", ProjectOnCpu), ("after_attention384", AfterAttentionOnCpu)) { IsCompiledByItself = true };

    public static bool Takes(int width, int middle) => width == Width && middle % Part == 0 && middle is >= 2 * Part and <= MaxMiddle;

    /// <summary>A linear layer's weight and bias as <see cref="Project"/> takes them.</summary>
    /// <param name="weight">[columns, 384] in bf16, columns a multiple of 384.</param>
    /// <param name="bias">[columns].</param>
    public static ushort[] PackProjection(ReadOnlySpan<ushort> weight, ReadOnlySpan<float> bias)
    {
        var packed = new ushort[bias.Length / Width * Projected * Piece];
        for (var column = 0; column < bias.Length; column += Width)
        {
            var to = packed.AsSpan(column / Width * Projected * Piece, Projected * Piece);
            PackSquare(weight.Slice(column * Width, Width * Width), to);
            PackVectors(to[^Piece..], bias.Slice(column, Width), [], []);
        }

        return packed;
    }

    /// <summary>What follows attention in a layer, as <see cref="AfterAttention"/> takes it. Weights in bf16, as torch keeps them: [outputs, inputs].</summary>
    public static ushort[] PackAfterAttention(in AfterAttentionWeights weights)
    {
        var middle = weights.Up.Length / Width;
        var parts = middle / Part;
        var packed = new ushort[(Projected + (2 * parts) + 1) * Piece];
        PackSquare(weights.Output, packed);
        PackVectors(packed.AsSpan((Projected - 1) * Piece), weights.OutputBias, weights.OutputGain, weights.OutputShift);
        for (var part = 0; part < parts; part++)
        {
            var up = packed.AsSpan((Projected + (2 * part)) * Piece);
            for (var column = 0; column < Width; column += Deep) { PackTile(weights.Up, Width, part * Part, Part, column, Deep, up[(column * Part)..]); }

            PackTile(weights.Down, middle, 0, Width, part * Part, Part, up[Piece..]);
        }

        PackVectors(packed.AsSpan(packed.Length - Piece), weights.DownBias, weights.DownGain, weights.DownShift);
        return packed;
    }

    /// <summary>to = a w^T + bias.</summary>
    /// <param name="a">[rows, 384] in bf16.</param>
    /// <param name="w">What <see cref="PackProjection"/> gives.</param>
    /// <param name="to">[rows, columns] in bf16; must not be <paramref name="a"/>.</param>
    public static void Project(AcceleratorStream stream, MemoryBuffer a, MemoryBuffer w, MemoryBuffer to, int rows, int columns)
    {
        if (columns < Width || columns % Width != 0) { throw new ArgumentOutOfRangeException(nameof(columns), columns, $"The columns are a multiple of {Width}."); }

        a.Check(0, 2L * rows * Width);
        w.Check(0, 2L * columns / Width * Projected * Piece);
        to.Check(0, 2L * rows * columns);
        var groups = Groups(rows);

        // With rows for most of the card a group makes all columns, since it has its rows at hand; with few, groups share them.
        var blocks = groups > stream.Accelerator.Info.ComputeUnits / 2 ? columns / Width : 1;
        stream.Launch(
            stream.Accelerator.Load(Module, "project384"),
            new LaunchGrid(groups, Group, columns / Width / blocks, LocalBytes: LocalBytes),
            a, w, to, rows, columns, blocks);
    }

    /// <summary>x = LayerNorm(input + context wo^T + bias); to = LayerNorm(x + gelu(x up^T + upBias) down^T + downBias).</summary>
    /// <param name="context">[rows, 384] in bf16.</param>
    /// <param name="input">[rows, 384] in bf16: what the layer began with.</param>
    /// <param name="w">What <see cref="PackAfterAttention"/> gives.</param>
    /// <param name="upBias">[middle] in float.</param>
    /// <param name="to">[rows, 384] in bf16; may be <paramref name="input"/>.</param>
    public static void AfterAttention(AcceleratorStream stream, MemoryBuffer context, MemoryBuffer input, MemoryBuffer w, MemoryBuffer upBias, MemoryBuffer to, int rows, int middle, float epsilon)
    {
        if (!Takes(Width, middle)) { throw new ArgumentOutOfRangeException(nameof(middle), middle, $"The middle is a multiple of {Part}, {2 * Part} to {MaxMiddle}."); }

        context.Check(0, 2L * rows * Width);
        input.Check(0, 2L * rows * Width);
        w.Check(0, 2L * (Projected + (2 * middle / Part) + 1) * Piece);
        upBias.Check(0, 4L * middle);
        to.Check(0, 2L * rows * Width);
        stream.Launch(
            stream.Accelerator.Load(Module, "after_attention384"),
            new LaunchGrid(Groups(rows), Group, LocalBytes: LocalBytes),
            context, input, w, upBias, to, rows, middle, epsilon);
    }

    private static int Groups(int rows) => (rows + (Cluster * GroupRows) - 1) / (Cluster * GroupRows) * Cluster;

    private static void PackSquare(ReadOnlySpan<ushort> weight, Span<ushort> to)
    {
        for (var piece = 0; piece < Projected - 1; piece++) { PackTile(weight, Width, piece % 2 * (Width / 2), Width / 2, piece / 2 * Deep, Deep, to[(piece * Piece)..]); }
    }

    private static void PackTile(ReadOnlySpan<ushort> weight, int columns, int firstRow, int rows, int firstColumn, int wide, Span<ushort> to)
    {
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < wide; column++) { to[Place(row, column, wide)] = weight[((firstRow + row) * columns) + firstColumn + column]; }
        }
    }

    private static void PackVectors(Span<ushort> to, ReadOnlySpan<float> bias, ReadOnlySpan<float> gain, ReadOnlySpan<float> shift)
    {
        var floats = MemoryMarshal.Cast<ushort, float>(to);
        bias.CopyTo(floats);
        gain.CopyTo(floats[Width..]);
        shift.CopyTo(floats[(2 * Width)..]);
    }

    /// <summary>Where a value lies in a tile of 64 or 32 columns: place and narrow_place of hopper.cl.</summary>
    private static int Place(int row, int column, int wide) => (row * wide) + (((column / 8) ^ (wide == Deep ? row % 8 : row / 2 % 4)) * 8) + (column % 8);

    private static float[] Square(ReadOnlySpan<ushort> pieces)
    {
        var weight = new float[Width * Width];
        for (var row = 0; row < Width; row++)
        {
            for (var column = 0; column < Width; column++)
            {
                var piece = (column / Deep * 2) + (row / (Width / 2));
                weight[(row * Width) + column] = Bf16.ToSingle(pieces[(piece * Piece) + Place(row % (Width / 2), column % Deep, Deep)]);
            }
        }

        return weight;
    }

    private static double Product(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++) { sum += (double)a[i] * b[i]; }

        return sum;
    }

    private static void ProjectOnCpu(CpuLaunch launch)
    {
        int rows = launch.Int(3), columns = launch.Int(4);
        var a = Bf16.ToSingles(launch.Buffer<ushort>(0)[..(rows * Width)]);
        var to = launch.Buffer<ushort>(2);
        for (var first = 0; first < columns; first += Width)
        {
            var pieces = launch.Buffer<ushort>(1).Slice(first / Width * Projected * Piece, Projected * Piece);
            var weight = Square(pieces);
            var bias = MemoryMarshal.Cast<ushort, float>(pieces[^Piece..]);
            for (var row = 0; row < rows; row++)
            {
                for (var column = 0; column < Width; column++)
                {
                    to[(row * columns) + first + column] = Bf16.FromSingle((float)(Product(a.AsSpan(row * Width, Width), weight.AsSpan(column * Width, Width)) + bias[column]));
                }
            }
        }
    }

    private static void AfterAttentionOnCpu(CpuLaunch launch)
    {
        int rows = launch.Int(5), middle = launch.Int(6);
        var epsilon = launch.Float(7);
        var context = Bf16.ToSingles(launch.Buffer<ushort>(0)[..(rows * Width)]);
        var input = Bf16.ToSingles(launch.Buffer<ushort>(1)[..(rows * Width)]);
        var pieces = launch.Buffer<ushort>(2)[..((Projected + (2 * middle / Part) + 1) * Piece)];
        var upBias = launch.Buffer<float>(3);
        var to = launch.Buffer<ushort>(4);
        var output = Square(pieces);
        var outputVectors = MemoryMarshal.Cast<ushort, float>(pieces.Slice((Projected - 1) * Piece, Piece));
        var downVectors = MemoryMarshal.Cast<ushort, float>(pieces[^Piece..]);
        var (up, down) = (new float[middle * Width], new float[Width * middle]);
        for (var row = 0; row < middle; row++)
        {
            var part = pieces[((Projected + (row / Part * 2)) * Piece)..];
            for (var column = 0; column < Width; column++)
            {
                up[(row * Width) + column] = Bf16.ToSingle(part[(column / Deep * Part * Deep) + Place(row % Part, column % Deep, Deep)]);
                down[(column * middle) + row] = Bf16.ToSingle(part[Piece + Place(column, row % Part, Part)]);
            }
        }

        var (sums, half, x) = (new double[Width], new float[middle], new float[Width]);
        for (var row = 0; row < rows; row++)
        {
            for (var i = 0; i < Width; i++) { sums[i] = input[(row * Width) + i] + Product(context.AsSpan(row * Width, Width), output.AsSpan(i * Width, Width)) + outputVectors[i]; }

            Normalise(sums, outputVectors, epsilon, x);
            for (var i = 0; i < middle; i++) { half[i] = Bf16.ToSingle(Bf16.FromSingle((float)Mathematics.Gelu(Product(x, up.AsSpan(i * Width, Width)) + upBias[i]))); }
            for (var i = 0; i < Width; i++) { sums[i] = x[i] + Product(half, down.AsSpan(i * middle, middle)) + downVectors[i]; }

            Normalise(sums, downVectors, epsilon, x);
            Bf16.From(x).CopyTo(to[(row * Width)..]);
        }
    }

    private static void Normalise(double[] sums, ReadOnlySpan<float> vectors, float epsilon, float[] to)
    {
        var mean = sums.Average();
        var factor = 1 / Math.Sqrt(sums.Average(sum => (sum - mean) * (sum - mean)) + epsilon);
        for (var i = 0; i < Width; i++) { to[i] = Bf16.ToSingle(Bf16.FromSingle((float)(((sums[i] - mean) * factor * vectors[Width + i]) + vectors[(2 * Width) + i]))); }
    }
}

/// <summary>The weights of <see cref="Hopper.PackAfterAttention"/>: attention's output with its LayerNorm, then the feed-forward network with its own.</summary>
internal readonly ref struct AfterAttentionWeights
{
    /// <summary>[384, 384] in bf16.</summary>
    public required ReadOnlySpan<ushort> Output { get; init; }

    public required ReadOnlySpan<float> OutputBias { get; init; }

    public required ReadOnlySpan<float> OutputGain { get; init; }

    public required ReadOnlySpan<float> OutputShift { get; init; }

    /// <summary>[middle, 384] in bf16.</summary>
    public required ReadOnlySpan<ushort> Up { get; init; }

    /// <summary>[384, middle] in bf16.</summary>
    public required ReadOnlySpan<ushort> Down { get; init; }

    public required ReadOnlySpan<float> DownBias { get; init; }

    public required ReadOnlySpan<float> DownGain { get; init; }

    public required ReadOnlySpan<float> DownShift { get; init; }
}
