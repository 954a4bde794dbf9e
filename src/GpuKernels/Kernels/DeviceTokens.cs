using Platform.GpuKernels.Devices;

namespace Platform.GpuKernels.Kernels;

/// <summary>The ids of many texts on a device, until it is disposed of.</summary>
/// <param name="ids">The ids, one text behind the other; what is behind them is undefined.</param>
/// <param name="offsets">[<paramref name="texts"/> + 1]: where each text's begin.</param>
/// <param name="complete">Waits for the device: how many ids there are, and the texts that are left to the CPU.</param>
internal sealed class DeviceTokens(AcceleratorStream stream, MemoryBuffer ids, MemoryBuffer offsets, int texts, Func<(int Count, IReadOnlySet<int> Left)> complete) : IDisposable
{
    private (int Count, IReadOnlySet<int> Left)? _completed;

    public MemoryBuffer Ids => ids;

    public MemoryBuffer Offsets => offsets;

    public int Texts => texts;

    /// <summary>How many ids there are; waits for the device.</summary>
    public int Count => Complete().Count;

    /// <summary>The texts that the CPU must do; their ids here are of no use. Waits for the device.</summary>
    public IReadOnlySet<int> Left => Complete().Left;

    public (int[] Ids, int[] Offsets) Download()
    {
        var (all, ends) = (new int[Count], new int[texts + 1]);
        stream.Download(ids, all.AsSpan());
        stream.Download(offsets, ends.AsSpan());
        return (all, ends);
    }

    /// <summary>Copies the ids and then the offsets to the beginning of pinned memory, and waits.</summary>
    public void Download(PinnedBuffer idsTo, PinnedBuffer offsetsTo)
    {
        idsTo.Download(stream, ids, 0, 0, Count * sizeof(int));
        offsetsTo.Download(stream, offsets, 0, 0, (texts + 1) * sizeof(int));
        stream.Synchronize();
    }

    public void Dispose()
    {
        stream.Return(ids);
        stream.Return(offsets);
    }

    private (int Count, IReadOnlySet<int> Left) Complete() => _completed ??= complete();
}
