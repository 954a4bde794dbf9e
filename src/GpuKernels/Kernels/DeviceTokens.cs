using Platform.GpuKernels.Devices;

namespace Platform.GpuKernels.Kernels;

/// <summary>The ids of many texts on a device, until it is disposed of.</summary>
/// <param name="stream">Whose buffers these are.</param>
/// <param name="downloads">By which they come to the host, while the stream does what was asked of it since.</param>
/// <param name="made">The point of the stream at which they are there.</param>
/// <param name="ids">The ids, one text behind the other; what is behind them is undefined.</param>
/// <param name="offsets">[<paramref name="texts"/> + 1]: where each text's begin.</param>
/// <param name="complete">Asks the device by that other stream: how many ids there are, and the texts that are left to the CPU.</param>
internal sealed class DeviceTokens(
    AcceleratorStream stream,
    AcceleratorStream downloads,
    DeviceEvent made,
    MemoryBuffer ids,
    MemoryBuffer offsets,
    int texts,
    Func<(int Count, IReadOnlySet<int> Left)> complete) : IDisposable
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
        downloads.Download(ids, all.AsSpan());
        downloads.Download(offsets, ends.AsSpan());
        return (all, ends);
    }

    /// <summary>Copies the ids and then the offsets to the beginning of pinned memory, and waits.</summary>
    public void Download(PinnedBuffer idsTo, PinnedBuffer offsetsTo)
    {
        idsTo.Download(downloads, ids, 0, 0, Count * sizeof(int));
        offsetsTo.Download(downloads, offsets, 0, 0, (texts + 1) * sizeof(int));
        downloads.Synchronize();
    }

    public void Dispose()
    {
        made.Dispose();
        stream.Return(ids);
        stream.Return(offsets);
    }

    private (int Count, IReadOnlySet<int> Left) Complete()
    {
        if (_completed is { } known) { return known; }

        downloads.Wait(made);
        var completed = complete();
        _completed = completed;
        return completed;
    }
}
