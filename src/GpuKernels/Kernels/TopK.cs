using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Kernels;

/// <summary>The rows of a matrix of signed bytes that may be nearest to queries, by an upper bound of their inner product (topk.cl).</summary>
internal static class TopK
{
    /// <summary>Entries that one group sorts.</summary>
    public const int Sorted = 1024;

    /// <summary>The most candidates of one query: half of what is sorted, so that every merge at least halves.</summary>
    public const int MaxCandidates = 512;

    /// <summary>The longest row, which a group keeps of the query.</summary>
    public const int MaxWidth = 4096;

    private const int Group = 256;

    public static readonly KernelModule Module = new("topk", ("scan", ScanOnCpu), ("merge", MergeOnCpu));

    /// <summary>Bytes of the two buffers that <see cref="Launch"/> needs for entries.</summary>
    public static long WorkBytes(long rows, int queries, int candidates) => Math.Max(1, Groups(rows)) * queries * candidates * 8;

    /// <summary>
    /// The candidates of each query with the greatest bounds, greatest first: entries of 64 bits (see <see cref="Row"/> and <see cref="Bound"/>),
    /// at the beginning of the buffer that is returned, one of the two that were given.
    /// </summary>
    /// <param name="codes">[rows, width] signed bytes; width a multiple of 16, at most 4096.</param>
    /// <param name="figures">[rows, 3] floats: what a code is worth, the length of the row's rounding error, the length of the coded row.</param>
    /// <param name="filter">A bit for each row, in words of 32, or null.</param>
    /// <param name="queries">[queries, width] signed bytes.</param>
    /// <param name="queryFigures">[queries, 3] floats: what a code is worth, the length of the rounding error, the query's length.</param>
    public static MemoryBuffer Launch(AcceleratorStream stream, MemoryBuffer codes, MemoryBuffer figures, MemoryBuffer? filter, MemoryBuffer queries, MemoryBuffer queryFigures, MemoryBuffer work, MemoryBuffer otherWork, int rows, int width, int queryCount, int candidates)
    {
        if (width < 16 || width % 16 != 0 || width > MaxWidth) { throw new ArgumentOutOfRangeException(nameof(width), width, $"A row is a multiple of 16 bytes, at most {MaxWidth}."); }
        ArgumentOutOfRangeException.ThrowIfLessThan(candidates, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(candidates, MaxCandidates);
        ArgumentOutOfRangeException.ThrowIfLessThan(queryCount, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        codes.Check(0, (long)rows * width);
        figures.Check(0, 12L * rows);
        filter?.Check(0, (rows + 31L) / 32 * 4);
        queries.Check(0, (long)queryCount * width);
        queryFigures.Check(0, 12L * queryCount);
        work.Check(0, WorkBytes(rows, queryCount, candidates));
        otherWork.Check(0, WorkBytes(rows, queryCount, candidates));

        var groups = (int)Groups(rows);
        stream.Launch(
            stream.Accelerator.Load(Module, "scan"),
            new LaunchGrid(groups, Group, queryCount),
            codes, figures, filter ?? figures, queries, queryFigures, work, (uint)rows, width, candidates, filter is null ? 0 : 1);
        while (groups > 1)
        {
            var count = checked((uint)((long)groups * candidates));
            groups = (int)Groups(count);
            stream.Launch(stream.Accelerator.Load(Module, "merge"), new LaunchGrid(groups, Group, queryCount), work, otherWork, count, candidates);
            (work, otherWork) = (otherWork, work);
        }

        return work;
    }

    /// <summary>The row of an entry; -1 where there was none.</summary>
    public static int Row(ulong entry) => entry == 0 ? -1 : (int)~(uint)entry;

    /// <summary>The upper bound of an entry's inner product.</summary>
    public static float Bound(ulong entry)
    {
        var bits = (uint)(entry >> 32);
        return BitConverter.UInt32BitsToSingle((bits & 0x8000_0000) != 0 ? bits & 0x7FFF_FFFF : ~bits);
    }

    private static long Groups(long count) => (count + Sorted - 1) / Sorted;

    private static ulong Entry(float bound, uint row)
    {
        var bits = BitConverter.SingleToUInt32Bits(bound);
        bits = (bits & 0x8000_0000) != 0 ? ~bits : bits | 0x8000_0000;
        return ((ulong)bits << 32) | ~row;
    }

    private static void ScanOnCpu(CpuLaunch launch)
    {
        var rows = (uint)launch.Int(6);
        int n = launch.Int(7), k = launch.Int(8);
        var codes = launch.Buffer<sbyte>(0);
        var figures = launch.Buffer<float>(1);
        var filter = launch.Buffer<uint>(2);
        var entries = new ulong[Sorted];
        for (var query = 0; query < launch.Grid.Y; query++)
        {
            var q = launch.Buffer<sbyte>(3).Slice(query * n, n);
            var of = launch.Buffer<float>(4).Slice(query * 3, 3);
            for (var group = 0; group < launch.Grid.X; group++)
            {
                Array.Clear(entries);
                for (var i = 0; i < Sorted; i++)
                {
                    var row = (uint)((group * Sorted) + i);
                    if (row >= rows || (launch.Int(9) != 0 && (filter[(int)row / 32] >> (int)(row % 32) & 1) == 0)) { continue; }

                    var x = codes.Slice((int)row * n, n);
                    var sum = 0;
                    for (var j = 0; j < n; j++) { sum += x[j] * q[j]; }

                    var f = figures.Slice((int)row * 3, 3);
                    var bound = sum * (f[0] * of[0]);
                    entries[i] = Entry(bound + ((of[2] * f[1]) + (of[1] * f[2]) + QuantisedQuery.Floor), row);
                }

                Keep(entries, launch.Buffer<ulong>(5).Slice(((query * launch.Grid.X) + group) * k, k));
            }
        }
    }

    private static void MergeOnCpu(CpuLaunch launch)
    {
        var count = launch.Int(2);
        var k = launch.Int(3);
        var entries = new ulong[Sorted];
        for (var query = 0; query < launch.Grid.Y; query++)
        {
            for (var group = 0; group < launch.Grid.X; group++)
            {
                Array.Clear(entries);
                var here = Math.Min(Sorted, count - (group * Sorted));
                launch.Buffer<ulong>(0).Slice((query * count) + (group * Sorted), here).CopyTo(entries);
                Keep(entries, launch.Buffer<ulong>(1).Slice(((query * launch.Grid.X) + group) * k, k));
            }
        }
    }

    private static void Keep(ulong[] entries, Span<ulong> to)
    {
        Array.Sort(entries);
        Array.Reverse(entries);
        entries.AsSpan(0, to.Length).CopyTo(to);
    }
}
