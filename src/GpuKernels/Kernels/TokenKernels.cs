using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>The module tokens.cl and its references: what tokenisers on a device have in common.</summary>
internal static class TokenKernels
{
    public const int Group = 256;

    /// <summary>A text's flag: the CPU tokenises it.</summary>
    public const uint Leave = 1;

    /// <summary>A text's flag: it has a byte with which an added token begins.</summary>
    public const uint Suspect = 2;

    public static readonly KernelModule Module = new(
        "tokens",
        ("texts_of_tiles", TextsOfTiles),
        ("place_tiles", PlaceTiles));

    public static int Groups(int items) => (items + Group - 1) / Group;

    /// <summary>Flags the text of a byte, and behind the flags and their texts' count that there is one.</summary>
    public static void Flag(Span<uint> flags, ReadOnlySpan<int> starts, int at, uint flag)
    {
        var text = starts.Length - 1;
        while (text > 0 && starts[text] > at) { text--; }

        flags[text] |= flag;
        flags[starts.Length + 1] = 1;
    }

    private static void TextsOfTiles(CpuLaunch launch)
    {
        var starts = launch.Buffer<int>(0)[..launch.Int(1)];
        for (var tile = 0; tile < launch.Int(2); tile++)
        {
            var first = 0;
            while (first < starts.Length && starts[first] < (tile * launch.Int(3)) - launch.Int(4)) { first++; }

            launch.Buffer<int>(5)[tile] = first;
        }
    }

    private static void PlaceTiles(CpuLaunch launch)
    {
        var (count, firstTile, tileBytes, isLast) = (launch.Int(2), launch.Int(3), launch.Int(5), launch.Int(3) + launch.Grid.X == launch.Int(4));
        var texts = launch.Int(8);
        var starts = launch.Buffer<int>(7)[..texts];
        var totals = launch.Buffer<int>(11);
        var offsets = launch.Buffer<int>(14);
        var to = totals[launch.Int(12)];
        for (var tile = 0; tile < launch.Grid.X; tile++)
        {
            var from = (firstTile + tile) * tileBytes;
            var own = launch.Buffer<int>(1)[tile];
            for (var text = 0; text < texts; text++)
            {
                if (starts[text] >= from && starts[text] < from + tileBytes && starts[text] < count) { offsets[text] = to + launch.Buffer<int>(10)[text]; }
            }

            launch.Buffer<uint>(0).Slice(tile * launch.Int(6), own).CopyTo(launch.Buffer<uint>(13)[to..]);
            to += own;
        }

        totals[launch.Int(12) + 1] = to;
        if (!isLast) { return; }

        for (var text = 0; text <= texts; text++)
        {
            if (text == texts || starts[text] >= count) { offsets[text] = to; }
        }

        launch.Buffer<int>(15)[texts] = to;
    }
}
