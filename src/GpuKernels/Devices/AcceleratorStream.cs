using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Devices;

/// <summary>Things that a device does one after the other. One thread at a time.</summary>
internal abstract class AcceleratorStream : IDisposable
{
    private readonly Dictionary<long, Stack<MemoryBuffer>> _pool = [];
    private List<Action>? _recording;
    private bool _capturing;
    private PinnedRing? _ring;

    protected AcceleratorStream(Accelerator accelerator) => Accelerator = accelerator;

    public Accelerator Accelerator { get; }

    /// <summary>Bytes that the pool holds ready, not rented.</summary>
    public long PooledBytes { get; private set; }

    /// <summary>Copies to the device by way of pinned memory. The span may be changed once this returns; the copy is in order with the stream.</summary>
    public void Upload<T>(ReadOnlySpan<T> from, MemoryBuffer to, long atByte = 0)
        where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(from);
        to.Check(atByte, bytes.Length);
        NotWhileRecording();
        if (bytes.Length > 0) { UploadBytes(bytes, to, atByte); }
    }

    /// <summary>Copies from the device once everything before has been done, and waits for it.</summary>
    public void Download<T>(MemoryBuffer from, Span<T> to, long atByte = 0)
        where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(to);
        from.Check(atByte, bytes.Length);
        NotWhileRecording();
        if (bytes.Length > 0) { DownloadBytes(from, atByte, bytes); }
    }

    /// <summary>Copies within the device. The ranges must not overlap.</summary>
    public void Copy(MemoryBuffer from, long fromByte, MemoryBuffer to, long toByte, long bytes)
    {
        from.Check(fromByte, bytes);
        to.Check(toByte, bytes);
        if (bytes > 0) { Do(() => CopyBytes(from, fromByte, to, toByte, bytes)); }
    }

    /// <summary>Sets every byte of a range.</summary>
    public void Fill(MemoryBuffer buffer, byte value, long atByte, long bytes)
    {
        buffer.Check(atByte, bytes);
        if (bytes > 0) { Do(() => FillBytes(buffer, value, atByte, bytes)); }
    }

    /// <summary>Runs a kernel. Arguments are in the order of the kernel's parameters; an empty grid does nothing.</summary>
    public void Launch(Kernel kernel, LaunchGrid grid, params ReadOnlySpan<KernelArgument> arguments)
    {
        grid.Check();
        foreach (var argument in arguments)
        {
            if (argument.ScalarBytes == 0) { ObjectDisposedException.ThrowIf(argument.Buffer is not { IsClosed: false }, argument.Buffer ?? (object)this); }
        }

        if (grid.IsEmpty) { return; }

        if (_recording is null) { LaunchKernel(kernel, grid, arguments); }
        else
        {
            var kept = arguments.ToArray();
            _recording.Add(() => LaunchKernel(kernel, grid, kept));
        }
    }

    /// <summary>A point in the stream, reached when everything before it has been done.</summary>
    public abstract DeviceEvent Record();

    /// <summary>What comes after waits on the device for a point of another stream of the same accelerator.</summary>
    public abstract void Wait(DeviceEvent other);

    /// <summary>Waits until the device has done everything that was asked.</summary>
    public abstract void Synchronize();

    /// <summary>
    /// Keeps launches, copies within the device and fills, instead of doing them, to be done again and again by <see cref="Run"/>: one call
    /// to the driver where it has graphs. Arguments are kept as they are now; the buffers must outlive the graph.
    /// </summary>
    public LaunchGraph Capture(Action record)
    {
        NotWhileRecording();
        _capturing = true;
        try { return CaptureGraph(record); }
        finally { _capturing = false; }
    }

    public virtual void Run(LaunchGraph graph)
    {
        foreach (var action in ((RecordedGraph)graph).Actions) { action(); }
    }

    /// <summary>
    /// Memory for a while: what was given back before on this stream, or new. Its size is rounded up to a class, so that batches of different
    /// lengths reuse it. Safe without waiting, because whoever rents it next on this stream comes after in order.
    /// </summary>
    public MemoryBuffer Rent(long bytes)
    {
        var size = SizeClass(bytes);
        if (_pool.TryGetValue(size, out var free) && free.TryPop(out var buffer))
        {
            PooledBytes -= size;
            return buffer;
        }

        try { return Accelerator.Allocate(size); }
        catch (DeviceException e) when (e.Failure == DeviceFailure.OutOfMemory && PooledBytes > 0)
        {
            // What the pool keeps in other sizes may be what is missing.
            Synchronize();
            Trim();
            return Accelerator.Allocate(size);
        }
    }

    /// <summary>Gives rented memory back; work that uses it may still be running on this stream.</summary>
    public void Return(MemoryBuffer buffer)
    {
        Debug.Assert(SizeClass(buffer.Bytes) == buffer.Bytes, "Only what was rented can be returned.");
        if (!_pool.TryGetValue(buffer.Bytes, out var free)) { _pool.Add(buffer.Bytes, free = new()); }
        free.Push(buffer);
        PooledBytes += buffer.Bytes;
    }

    /// <summary>Frees what the pool holds ready.</summary>
    public void Trim()
    {
        foreach (var buffer in _pool.Values.SelectMany(free => free)) { buffer.Dispose(); }
        _pool.Clear();
        PooledBytes = 0;
    }

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>The next size of 2^n, 1.25, 1.5 or 1.75 times 2^n, at least 256 bytes: at most a quarter is wasted.</summary>
    internal static long SizeClass(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Accelerator.BufferBytes);
        const long smallest = 256;
        if (bytes <= smallest) { return smallest; }

        var step = 1L << (61 - (int)long.LeadingZeroCount(bytes - 1));
        return (bytes + step - 1) / step * step;
    }

    /// <summary>Memory of the host from which the device copies by itself, freed by <see cref="FreePinned"/>.</summary>
    protected internal abstract nint AllocatePinned(long bytes);

    protected internal abstract void FreePinned(nint pinned);

    /// <summary>Starts a copy from pinned memory, which must stay as it is until the stream has passed it.</summary>
    protected internal abstract void UploadPinned(nint from, MemoryBuffer to, long atByte, long bytes);

    protected internal abstract void DownloadPinned(MemoryBuffer from, long atByte, nint to, long bytes);

    protected abstract void CopyBytes(MemoryBuffer from, long fromByte, MemoryBuffer to, long toByte, long bytes);

    protected abstract void FillBytes(MemoryBuffer buffer, byte value, long atByte, long bytes);

    protected abstract void LaunchKernel(Kernel kernel, LaunchGrid grid, ReadOnlySpan<KernelArgument> arguments);

    /// <summary>The calls themselves are kept, where the driver has no graphs.</summary>
    protected virtual LaunchGraph CaptureGraph(Action record)
    {
        var recorded = new List<Action>();
        _recording = recorded;
        try { record(); }
        finally { _recording = null; }

        return new RecordedGraph(recorded);
    }

    protected virtual void UploadBytes(ReadOnlySpan<byte> from, MemoryBuffer to, long atByte) => Ring().Upload(from, to, atByte);

    protected virtual void DownloadBytes(MemoryBuffer from, long atByte, Span<byte> to) => Ring().Download(from, atByte, to);

    protected void NotWhileRecording([CallerMemberName] string call = "")
    {
        if (_capturing) { throw new InvalidOperationException($"{call} cannot be part of a graph: only launches, copies within the device and fills can."); }
    }

    protected virtual void Dispose(bool disposing)
    {
        if (!disposing) { return; }

        _ring?.Dispose();
        Trim();
    }

    private PinnedRing Ring() => _ring ??= new PinnedRing(this);

    private void Do(Action action)
    {
        if (_recording is null) { action(); }
        else { _recording.Add(action); }
    }
}

/// <summary>A point of a stream.</summary>
internal abstract class DeviceEvent : IDisposable
{
    /// <summary>Waits until the device has passed it.</summary>
    public abstract void Synchronize();

    /// <summary>The device's time from <paramref name="earlier"/> to this point; both are waited for.</summary>
    public abstract TimeSpan Since(DeviceEvent earlier);

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>What <see cref="AcceleratorStream.Capture"/> kept.</summary>
internal abstract class LaunchGraph : IDisposable
{
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>A graph where the driver has none: the calls, made again.</summary>
internal sealed class RecordedGraph(IReadOnlyList<Action> actions) : LaunchGraph
{
    public IReadOnlyList<Action> Actions { get; } = actions;

    protected override void Dispose(bool disposing)
    {
    }
}
