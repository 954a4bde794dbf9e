using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>The module tokens.cl and its references: what tokenisers on a device have in common.</summary>
internal static class TokenKernels
{
    public const int Group = 256;

    /// <summary>How many places can be named of those that a device leaves to the CPU (shim.h); with more, all texts are.</summary>
    public const int Left = 1023;

    public static readonly KernelModule Module = new(
        "tokens",
        ("scan_totals", ScanTotals),
        ("count_tokens", CountTokens),
        ("scatter", Scatter),
        ("text_offsets", TextOffsets));

    public static int Groups(int items) => (items + Group - 1) / Group;

    /// <summary>What `leave` of shim.h does.</summary>
    public static void Leave(Span<uint> left, uint at)
    {
        if (left[0] < Left) { left[1 + (int)left[0]] = at; }

        left[0]++;
    }

    private static void ScanTotals(CpuLaunch launch)
    {
        var totals = launch.Buffer<uint>(0);
        var carried = 0u;
        for (var i = 0; i < launch.Int(1); i++) { (totals[i], carried) = (carried, carried + totals[i]); }

        totals[launch.Int(1)] = carried;
    }

    private static void CountTokens(CpuLaunch launch)
    {
        var totals = launch.Buffer<uint>(2);
        totals[..launch.Grid.X].Clear();
        for (var at = 0; at < launch.Int(1); at++) { totals[at / Group] += launch.Buffer<uint>(0)[at]; }
    }

    private static void Scatter(CpuLaunch launch)
    {
        var to = 0;
        for (var at = 0; at < launch.Int(1); at++)
        {
            launch.Buffer<uint>(5)[at] = (uint)to;
            for (var i = 0; i < launch.Buffer<uint>(0)[at]; i++) { launch.Buffer<uint>(4)[to++] = launch.Buffer<uint>(3)[at + i]; }
        }
    }

    private static void TextOffsets(CpuLaunch launch)
    {
        var texts = launch.Int(1);
        for (var text = 0; text <= texts; text++)
        {
            var at = text < texts ? (int)launch.Buffer<uint>(0)[text] : launch.Int(2);
            launch.Buffer<uint>(6)[text] = at < launch.Int(2) ? launch.Buffer<uint>(3)[at] : launch.Buffer<uint>(4)[launch.Int(5)];
        }
    }
}
