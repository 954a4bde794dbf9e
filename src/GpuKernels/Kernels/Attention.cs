using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>Attention of every sequence by itself over packed tokens, without writing scores (attention.cl).</summary>
internal static class Attention
{
    private const int Group = 128;

    /// <summary>A bias reaches so much further than a sequence, since the kernels compute rows and columns beyond it.</summary>
    private const int Beyond = 64;

    public static readonly KernelModule Module = new(
        "attention",
        ("attention32", launch => OnCpu(launch, 32)),
        ("attention64", launch => OnCpu(launch, 64)),
        ("attention32_biased", launch => OnCpu(launch, 32, launch.Buffer<float>(5), launch.Int(6))),
        ("attention64_biased", launch => OnCpu(launch, 64, launch.Buffer<float>(5), launch.Int(6))));

    /// <summary>Whether heads of this width can be done.</summary>
    public static bool Takes(int headWidth) => headWidth is 32 or 64;

    /// <summary>What a launch walks over: for each <see cref="Queries"/> queries of a sequence its first token, its length, and the first of the queries.</summary>
    /// <param name="offsets">[sequences + 1], in tokens.</param>
    public static int[] Tiles(ReadOnlySpan<int> offsets, int headWidth)
    {
        var tiles = new List<int>();
        for (var s = 0; s + 1 < offsets.Length; s++)
        {
            for (var first = 0; first < offsets[s + 1] - offsets[s]; first += Queries(headWidth)) { tiles.AddRange([offsets[s], offsets[s + 1] - offsets[s], first]); }
        }

        return [.. tiles];
    }

    /// <summary>How far to either side a bias is for sequences of up to so many tokens.</summary>
    public static int Reach(int tokens) => tokens + Beyond;

    /// <summary>out = softmax(q k^T / sqrt(headWidth) + bias) v.</summary>
    /// <param name="qkv">[tokens, 3, heads, headWidth] in bf16: of each token queries, keys, values.</param>
    /// <param name="to">[tokens, heads, headWidth] in bf16.</param>
    /// <param name="tiles">What <see cref="Tiles"/> gives, on the device; and as many of three zeros as there are more.</param>
    /// <param name="tileCount">At most <see cref="LaunchGrid.MaxYz"/>.</param>
    /// <param name="bias">[heads, 2 reach] floats, of each head that of every distance from a query to a key, from -<paramref name="reach"/> on; null: none.</param>
    /// <param name="reach">What <see cref="Reach"/> gives for the longest sequence, or more.</param>
    public static void Launch(AcceleratorStream stream, MemoryBuffer qkv, MemoryBuffer to, MemoryBuffer tiles, int tileCount, int tokens, int heads, int headWidth, MemoryBuffer? bias = null, int reach = 0)
    {
        if (!Takes(headWidth)) { throw new ArgumentOutOfRangeException(nameof(headWidth), headWidth, "A head is 32 or 64 wide."); }

        qkv.Check(0, 6L * tokens * heads * headWidth);
        to.Check(0, 2L * tokens * heads * headWidth);
        tiles.Check(0, 12L * tileCount);
        var (grid, scale) = (new LaunchGrid(heads, Group, tileCount), 1f / MathF.Sqrt(headWidth));
        if (bias is null)
        {
            stream.Launch(stream.Accelerator.Load(Module, $"attention{headWidth}"), grid, qkv, to, tiles, heads, scale);
            return;
        }

        bias.Check(0, 8L * heads * reach);
        stream.Launch(stream.Accelerator.Load(Module, $"attention{headWidth}_biased"), grid, qkv, to, tiles, heads, scale, bias, reach);
    }

    /// <summary>Queries of a tile.</summary>
    private static int Queries(int headWidth) => headWidth == 32 ? 128 : 64;

    private static void OnCpu(CpuLaunch launch, int width, ReadOnlySpan<float> bias = default, int reach = 0)
    {
        var heads = launch.Int(3);
        var scale = (double)launch.Float(4);
        var all = heads * width;
        var qkv = launch.Buffer<ushort>(0);
        var to = launch.Buffer<ushort>(1);
        var tiles = launch.Buffer<int>(2);
        for (var tile = 0; tile < launch.Grid.Y; tile++)
        {
            int first = tiles[tile * 3], length = tiles[(tile * 3) + 1], firstQuery = tiles[(tile * 3) + 2];
            var scores = new double[length];
            for (var query = firstQuery; query < Math.Min(firstQuery + Queries(width), length); query++)
            {
                for (var head = 0; head < heads; head++)
                {
                    var q = qkv.Slice(((first + query) * 3 * all) + (head * width), width);
                    for (var key = 0; key < length; key++)
                    {
                        var k = qkv.Slice(((first + key) * 3 * all) + all + (head * width), width);
                        scores[key] = 0;
                        for (var i = 0; i < width; i++) { scores[key] += (double)Bf16.ToSingle(q[i]) * Bf16.ToSingle(k[i]); }
                        scores[key] = (scores[key] * scale) + (bias.IsEmpty ? 0 : bias[(((2 * head) + 1) * reach) + key - query]);
                    }

                    var most = scores.Max();
                    for (var key = 0; key < length; key++) { scores[key] = Math.Exp(scores[key] - most); }

                    var total = scores.Sum();
                    var sums = new double[width];
                    for (var key = 0; key < length; key++)
                    {
                        var v = qkv.Slice(((first + key) * 3 * all) + (2 * all) + (head * width), width);
                        for (var i = 0; i < width; i++) { sums[i] += scores[key] / total * Bf16.ToSingle(v[i]); }
                    }

                    for (var i = 0; i < width; i++) { to[((first + query) * all) + (head * width) + i] = Bf16.FromSingle((float)sums[i]); }
                }
            }
        }
    }
}
