namespace Platform.GpuKernels.Devices.Cuda;

/// <summary>A stream that does not wait for the default one; its graphs are the driver's.</summary>
internal sealed unsafe class CudaStream : AcceleratorStream
{
    private readonly CudaContext _context;
    private readonly CudaStreamHandle _stream;

    public CudaStream(CudaAccelerator accelerator)
        : base(accelerator)
    {
        _context = accelerator.Context;
        _stream = new CudaStreamHandle(_context);
    }

    public override DeviceEvent Record()
    {
        NotWhileRecording();
        var library = _context.Current();
        var recorded = new CudaEvent(_context);
        library.Check(library.EventRecord(recorded.Value, _stream.Value), "cuEventRecord");
        return recorded;
    }

    public override void Wait(DeviceEvent other)
    {
        NotWhileRecording();
        var library = _context.Current();
        library.Check(library.StreamWaitEvent(_stream.Value, ((CudaEvent)other).Value, 0), "cuStreamWaitEvent");
    }

    public override void Synchronize()
    {
        NotWhileRecording();
        var library = _context.Current();
        library.Check(library.StreamSynchronize(_stream.Value), "cuStreamSynchronize");
    }

    public override void Run(LaunchGraph graph)
    {
        var library = _context.Current();
        library.Check(library.GraphLaunch(((CudaGraph)graph).Value, _stream.Value), "cuGraphLaunch");
    }

    protected override LaunchGraph CaptureGraph(Action record)
    {
        // Relaxed: a kernel's module may be loaded while capturing, and other threads are not concerned.
        const int relaxed = 2;
        var library = _context.Current();
        library.Check(library.StreamBeginCapture(_stream.Value, relaxed), "cuStreamBeginCapture");
        nint graph = 0;
        try
        {
            record();
        }
        catch
        {
            if (library.StreamEndCapture(_stream.Value, &graph) == 0 && graph != 0) { _ = library.GraphDestroy(graph); }
            throw;
        }

        library.Check(library.StreamEndCapture(_stream.Value, &graph), "cuStreamEndCapture");
        try { return new CudaGraph(_context, graph); }
        finally { _ = library.GraphDestroy(graph); }
    }

    protected internal override nint AllocatePinned(long bytes)
    {
        var library = _context.Current();
        void* pinned;
        library.Check(library.MemHostAlloc(&pinned, (nuint)bytes, 0), "cuMemHostAlloc", $"{bytes} bytes were asked for.");
        return (nint)pinned;
    }

    protected internal override void FreePinned(nint pinned)
    {
        // As with buffers: after a failure of the device this fails too, and there is nothing more to do.
        if (_context.Enter()) { _ = _context.Library.MemFreeHost((void*)pinned); }
    }

    protected internal override void UploadPinned(nint from, MemoryBuffer to, long atByte, long bytes)
    {
        var library = _context.Current();
        library.Check(library.MemcpyHtoDAsync(((CudaBuffer)to).Value + (nint)atByte, (void*)from, (nuint)bytes, _stream.Value), "cuMemcpyHtoDAsync");
    }

    protected internal override void DownloadPinned(MemoryBuffer from, long atByte, nint to, long bytes)
    {
        var library = _context.Current();
        library.Check(library.MemcpyDtoHAsync((void*)to, ((CudaBuffer)from).Value + (nint)atByte, (nuint)bytes, _stream.Value), "cuMemcpyDtoHAsync");
    }

    protected override void CopyBytes(MemoryBuffer from, long fromByte, MemoryBuffer to, long toByte, long bytes)
    {
        var library = _context.Current();
        library.Check(library.MemcpyDtoDAsync(((CudaBuffer)to).Value + (nint)toByte, ((CudaBuffer)from).Value + (nint)fromByte, (nuint)bytes, _stream.Value), "cuMemcpyDtoDAsync");
    }

    protected override void FillBytes(MemoryBuffer buffer, byte value, long atByte, long bytes)
    {
        var library = _context.Current();
        library.Check(library.MemsetD8Async(((CudaBuffer)buffer).Value + (nint)atByte, value, (nuint)bytes, _stream.Value), "cuMemsetD8Async");
    }

    protected override void LaunchKernel(Kernel kernel, LaunchGrid grid, ReadOnlySpan<KernelArgument> arguments)
    {
        // CUDA's limit on a kernel's parameters is 4 KB; ours have a dozen.
        const int most = 64;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(arguments.Length, most, nameof(arguments));
        var library = _context.Current();
        var values = stackalloc long[arguments.Length];
        var addresses = stackalloc void*[arguments.Length];
        for (var i = 0; i < arguments.Length; i++)
        {
            values[i] = arguments[i].Buffer is CudaBuffer buffer ? buffer.Value : arguments[i].Bits;
            addresses[i] = values + i;
        }

        var own = (CudaKernel)kernel;
        own.Allow(library, grid.LocalBytes);
        library.Check(
            library.LaunchKernel(own.Function, (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)grid.GroupSize, 1, 1, (uint)grid.LocalBytes, _stream.Value, addresses, null),
            $"cuLaunchKernel({kernel.Name})");
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing) { _stream.Dispose(); }
    }
}

internal sealed unsafe class CudaStreamHandle : CudaHandle
{
    public CudaStreamHandle(CudaContext context)
        : base(context)
    {
        const uint nonBlocking = 1;
        var library = context.Current();
        nint stream;
        library.Check(library.StreamCreate(&stream, nonBlocking), "cuStreamCreate");
        Own(stream);
    }

    protected override void Free(nint value) => _ = Context.Library.StreamDestroy(value);
}

internal sealed unsafe class CudaEventHandle : CudaHandle
{
    public CudaEventHandle(CudaContext context)
        : base(context)
    {
        var library = context.Current();
        nint made;
        library.Check(library.EventCreate(&made, 0), "cuEventCreate");
        Own(made);
    }

    protected override void Free(nint value) => _ = Context.Library.EventDestroy(value);
}

internal sealed unsafe class CudaEvent(CudaContext context) : DeviceEvent
{
    private readonly CudaEventHandle _event = new(context);

    public nint Value => _event.Value;

    public override void Synchronize()
    {
        var library = context.Current();
        library.Check(library.EventSynchronize(Value), "cuEventSynchronize");
    }

    public override TimeSpan Since(DeviceEvent earlier)
    {
        earlier.Synchronize();
        Synchronize();
        var library = context.Current();
        float milliseconds;
        library.Check(library.EventElapsedTime(&milliseconds, ((CudaEvent)earlier).Value, Value), "cuEventElapsedTime");
        return TimeSpan.FromMilliseconds(milliseconds);
    }

    protected override void Dispose(bool disposing) => _event.Dispose();
}

internal sealed unsafe class CudaGraphHandle : CudaHandle
{
    public CudaGraphHandle(CudaContext context, nint graph)
        : base(context)
    {
        var library = context.Current();
        nint executable;
        library.Check(library.GraphInstantiateWithFlags(&executable, graph, 0), "cuGraphInstantiateWithFlags");
        Own(executable);
    }

    protected override void Free(nint value) => _ = Context.Library.GraphExecDestroy(value);
}

internal sealed class CudaGraph(CudaContext context, nint graph) : LaunchGraph
{
    private readonly CudaGraphHandle _executable = new(context, graph);

    public nint Value => _executable.Value;

    protected override void Dispose(bool disposing) => _executable.Dispose();
}
