using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Platform.GpuKernels.Devices.OpenCl;

/// <summary>A device reached by OpenCL 1.2: PoCL on any CPU, or a GPU's own driver. Modules are built from their source.</summary>
internal sealed unsafe class OpenClAccelerator : Accelerator
{
    private const uint DeviceType = 0x1000;
    private const uint DeviceMaxComputeUnits = 0x1002;
    private const uint DeviceMaxAllocation = 0x1010;
    private const uint DeviceGlobalMemory = 0x101F;
    private const uint DeviceLocalMemory = 0x1023;
    private const uint DeviceMaxGroup = 0x1004;
    private const uint DeviceName = 0x102B;
    private const uint DeviceDriver = 0x102D;
    private const uint PlatformName = 0x0902;
    private const ulong AnyDevice = 0xFFFFFFFF;
    private const ulong CpuType = 1 << 1;
    private const uint BuildLog = 0x1183;
    private const int NotFound = -1;
    private const int NoPlatform = -1001;

    /// <summary>More platforms, or devices of one, than any machine has.</summary>
    private const int Listed = 64;

    /// <summary>What the largest kernel's __local arrays take with the scratch of the emulated collectives, 58 KB, and GPUs have.</summary>
    private const int LocalBytes = 64 * 1024;

    private readonly nint _device;
    private readonly Dictionary<string, nint> _programs = [];
    private readonly ulong _largestBuffer;

    public OpenClAccelerator(OpenClLibrary library, int ordinal)
        : this(library, Devices(library).ElementAtOrDefault(ordinal) is { Device: not 0 } found ? found : throw OpenClErrors.Exception(NotFound, "clGetDeviceIDs"), ordinal)
    {
    }

    private OpenClAccelerator(OpenClLibrary library, (nint Platform, nint Device) found, int ordinal)
        : base(Describe(library, found.Platform, found.Device, ordinal))
    {
        Library = library;
        _device = found.Device;
        _largestBuffer = Number(library, _device, DeviceMaxAllocation);
        if (Number(library, _device, DeviceMaxGroup) < 256 || Number(library, _device, DeviceLocalMemory) < LocalBytes)
        {
            throw new DeviceException(DeviceFailure.TooOld, "clGetDeviceInfo", 0, "TOO_SMALL", $"{Info.Name} allows groups of less than 256 work items or less than {LocalBytes} bytes of local memory.");
        }

        int code;
        var device = _device;
        Context = new OpenClContext(library, library.CreateContext(null, 1, &device, 0, 0, &code));
        OpenClLibrary.Check(code, "clCreateContext");
    }

    internal OpenClLibrary Library { get; }

    internal OpenClContext Context { get; }

    /// <summary>Every device of every platform, without making a context on any.</summary>
    public static IReadOnlyList<DeviceInfo> Enumerate(OpenClLibrary library) =>
        [.. Devices(library).Select((one, ordinal) => Describe(library, one.Platform, one.Device, ordinal))];

    public override AcceleratorStream CreateStream()
    {
        const ulong profiling = 1 << 1;
        int code;
        var queue = Library.CreateCommandQueue(Context.Value, _device, profiling, &code);
        OpenClLibrary.Check(code, "clCreateCommandQueue");
        return new OpenClStream(this, new OpenClQueue(Library, queue));
    }

    protected override MemoryBuffer AllocateBytes(long bytes)
    {
        if ((ulong)bytes > _largestBuffer) { throw OpenClErrors.Exception(-61, "clCreateBuffer", $"{bytes} bytes were asked for, {_largestBuffer} are allowed."); }

        return new OpenClBuffer(this, bytes);
    }

    protected override Kernel LoadKernel(KernelModule module, string name)
    {
        if (!_programs.TryGetValue(module.Name, out var program))
        {
            program = Build(module);
            _programs.Add(module.Name, program);
        }

        int code;
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'))
        {
            var kernel = Library.CreateKernel(program, text, &code);
            OpenClLibrary.Check(code, $"clCreateKernel({name})");
            return new OpenClKernel(name, Library, kernel);
        }
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (!disposing) { return; }

        foreach (var program in _programs.Values) { _ = Library.ReleaseProgram(program); }
        _programs.Clear();
        Context.Dispose();
    }

    private nint Build(KernelModule module)
    {
        int code;
        nint program;
        fixed (byte* text = Encoding.UTF8.GetBytes(module.OpenClSource + '\0'))
        {
            program = Library.CreateProgramWithSource(Context.Value, 1, &text, null, &code);
            OpenClLibrary.Check(code, "clCreateProgramWithSource");
        }

        var device = _device;
        fixed (byte* options = "-cl-std=CL1.2\0"u8) { code = Library.BuildProgram(program, 1, &device, options, 0, 0); }
        if (code == 0) { return program; }

        var log = Text((size, value, needed) => Library.GetProgramBuildInfo(program, _device, BuildLog, size, value, needed));
        _ = Library.ReleaseProgram(program);
        throw OpenClErrors.Exception(code, $"clBuildProgram({module.Name})", $"Its log: {log}");
    }

    private static List<(nint Platform, nint Device)> Devices(OpenClLibrary library)
    {
        uint count;
        var platforms = stackalloc nint[Listed];
        var code = library.GetPlatformIDs(Listed, platforms, &count);
        if (code == NoPlatform) { return []; }

        OpenClLibrary.Check(code, "clGetPlatformIDs");
        var found = new List<(nint, nint)>();
        var devices = stackalloc nint[Listed];
        for (var p = 0; p < Math.Min(count, Listed); p++)
        {
            uint here;
            code = library.GetDeviceIDs(platforms[p], AnyDevice, Listed, devices, &here);
            if (code == NotFound) { continue; }

            OpenClLibrary.Check(code, "clGetDeviceIDs");
            for (var d = 0; d < Math.Min(here, Listed); d++) { found.Add((platforms[p], devices[d])); }
        }

        return found;
    }

    private static DeviceInfo Describe(OpenClLibrary library, nint platform, nint device, int ordinal)
    {
        var name = Text((size, value, needed) => library.GetDeviceInfo(device, DeviceName, size, value, needed)).Trim();
        var driver = Text((size, value, needed) => library.GetDeviceInfo(device, DeviceDriver, size, value, needed)).Trim();
        var from = Text((size, value, needed) => library.GetPlatformInfo(platform, PlatformName, size, value, needed)).Trim();
        return new DeviceInfo(
            DeviceKind.OpenCl,
            ordinal,
            name,
            string.Create(CultureInfo.InvariantCulture, $"{from} {driver}"),
            (long)Math.Min(long.MaxValue, Number(library, device, DeviceGlobalMemory)),
            (int)Number(library, device, DeviceMaxComputeUnits),
            IsGpu: (Number(library, device, DeviceType) & CpuType) == 0);
    }

    /// <summary>A number of a device, whether the driver keeps it in 4 or in 8 bytes.</summary>
    private static ulong Number(OpenClLibrary library, nint device, uint what)
    {
        ulong value = 0;
        OpenClLibrary.Check(library.GetDeviceInfo(device, what, sizeof(ulong), &value, null), "clGetDeviceInfo");
        return value;
    }

    private static string Text(TextQuery ask)
    {
        nuint size;
        OpenClLibrary.Check(ask(0, null, &size), "clGet...Info");

        // A build log of a driver can be long; what explains the failure is at its beginning.
        const int longest = 1024 * 1024;
        var bytes = new byte[Math.Min(size, longest)];
        if (bytes.Length == 0 || size > longest) { return ""; }

        fixed (byte* value = bytes) { OpenClLibrary.Check(ask(size, value, null), "clGet...Info"); }
        return Encoding.UTF8.GetString(bytes).TrimEnd('\0');
    }

    private delegate int TextQuery(nuint size, byte* value, nuint* needed);
}

internal sealed unsafe class OpenClContext : SafeHandleZeroOrMinusOneIsInvalid
{
    private readonly OpenClLibrary _library;

    public OpenClContext(OpenClLibrary library, nint context)
        : base(ownsHandle: true)
    {
        _library = library;
        SetHandle(context);
    }

    public nint Value => handle;

    protected override bool ReleaseHandle() => _library.ReleaseContext(handle) == 0;
}

internal sealed unsafe class OpenClQueue : SafeHandleZeroOrMinusOneIsInvalid
{
    private readonly OpenClLibrary _library;

    public OpenClQueue(OpenClLibrary library, nint queue)
        : base(ownsHandle: true)
    {
        _library = library;
        SetHandle(queue);
    }

    public nint Value => IsClosed ? throw new ObjectDisposedException(nameof(OpenClStream)) : handle;

    protected override bool ReleaseHandle() => _library.ReleaseCommandQueue(handle) == 0;
}

internal sealed unsafe class OpenClBuffer : MemoryBuffer
{
    private readonly OpenClLibrary _library;

    public OpenClBuffer(OpenClAccelerator accelerator, long bytes)
        : base(bytes)
    {
        const ulong readWrite = 1;
        _library = accelerator.Library;
        int code;
        SetHandle(_library.CreateBuffer(accelerator.Context.Value, readWrite, (nuint)bytes, null, &code));
        OpenClLibrary.Check(code, "clCreateBuffer");
    }

    public nint Value => handle;

    protected override bool ReleaseHandle() => _library.ReleaseMemObject(handle) == 0;
}

internal sealed unsafe class OpenClKernel(string name, OpenClLibrary library, nint kernel) : Kernel(name)
{
    private nint _kernel = kernel;

    /// <summary>Arguments are a state of the kernel: they are set and the launch enqueued under this lock.</summary>
    public Lock Arguments { get; } = new();

    public nint Value => _kernel == 0 ? throw new ObjectDisposedException(Name) : _kernel;

    protected override void Dispose(bool disposing)
    {
        if (!disposing || _kernel == 0) { return; }

        _ = library.ReleaseKernel(_kernel);
        _kernel = 0;
    }
}

internal sealed unsafe class OpenClStream(OpenClAccelerator accelerator, OpenClQueue queue) : AcceleratorStream(accelerator)
{
    private readonly OpenClLibrary _library = accelerator.Library;

    public override DeviceEvent Record()
    {
        NotWhileRecording();
        nint marker;
        OpenClLibrary.Check(_library.EnqueueMarkerWithWaitList(queue.Value, 0, null, &marker), "clEnqueueMarkerWithWaitList");
        OpenClLibrary.Check(_library.Flush(queue.Value), "clFlush");
        return new OpenClEvent(_library, marker);
    }

    public override void Wait(DeviceEvent other)
    {
        NotWhileRecording();
        var waited = ((OpenClEvent)other).Value;
        OpenClLibrary.Check(_library.EnqueueBarrierWithWaitList(queue.Value, 1, &waited, null), "clEnqueueBarrierWithWaitList");
    }

    public override void Synchronize() => OpenClLibrary.Check(_library.Finish(queue.Value), "clFinish");

    // OpenCL 1.2 has no pinned memory apart from mapped buffers; aligned memory lets a driver pin it in passing.
    protected internal override nint AllocatePinned(long bytes) => (nint)NativeMemory.AlignedAlloc((nuint)bytes, 4096);

    protected internal override void FreePinned(nint pinned) => NativeMemory.AlignedFree((void*)pinned);

    protected internal override void UploadPinned(nint from, MemoryBuffer to, long atByte, long bytes) =>
        OpenClLibrary.Check(_library.EnqueueWriteBuffer(queue.Value, ((OpenClBuffer)to).Value, 0, (nuint)atByte, (nuint)bytes, (void*)from, 0, null, null), "clEnqueueWriteBuffer");

    protected internal override void DownloadPinned(MemoryBuffer from, long atByte, nint to, long bytes) =>
        OpenClLibrary.Check(_library.EnqueueReadBuffer(queue.Value, ((OpenClBuffer)from).Value, 0, (nuint)atByte, (nuint)bytes, (void*)to, 0, null, null), "clEnqueueReadBuffer");

    protected override void CopyBytes(MemoryBuffer from, long fromByte, MemoryBuffer to, long toByte, long bytes) =>
        OpenClLibrary.Check(_library.EnqueueCopyBuffer(queue.Value, ((OpenClBuffer)from).Value, ((OpenClBuffer)to).Value, (nuint)fromByte, (nuint)toByte, (nuint)bytes, 0, null, null), "clEnqueueCopyBuffer");

    protected override void FillBytes(MemoryBuffer buffer, byte value, long atByte, long bytes) =>
        OpenClLibrary.Check(_library.EnqueueFillBuffer(queue.Value, ((OpenClBuffer)buffer).Value, &value, 1, (nuint)atByte, (nuint)bytes, 0, null, null), "clEnqueueFillBuffer");

    protected override void LaunchKernel(Kernel kernel, LaunchGrid grid, ReadOnlySpan<KernelArgument> arguments)
    {
        var own = (OpenClKernel)kernel;
        var global = stackalloc nuint[] { (nuint)grid.X * (nuint)grid.GroupSize, (nuint)grid.Y, (nuint)grid.Z };
        var local = stackalloc nuint[] { (nuint)grid.GroupSize, 1, 1 };
        lock (own.Arguments)
        {
            for (var i = 0; i < arguments.Length; i++)
            {
                var argument = arguments[i];
                var bits = argument.Buffer is OpenClBuffer buffer ? buffer.Value : argument.Bits;
                var bytes = argument.ScalarBytes == 0 ? sizeof(nint) : argument.ScalarBytes;
                OpenClLibrary.Check(_library.SetKernelArg(own.Value, (uint)i, (nuint)bytes, &bits), $"clSetKernelArg({kernel.Name}, {i})");
            }

            OpenClLibrary.Check(_library.EnqueueNDRangeKernel(queue.Value, own.Value, 3, null, global, local, 0, null, null), $"clEnqueueNDRangeKernel({kernel.Name})");
        }
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing) { queue.Dispose(); }
    }
}

internal sealed unsafe class OpenClEvent(OpenClLibrary library, nint handle) : DeviceEvent
{
    private nint _handle = handle;

    public nint Value => _handle == 0 ? throw new ObjectDisposedException(nameof(OpenClEvent)) : _handle;

    public override void Synchronize()
    {
        var handle = Value;
        OpenClLibrary.Check(library.WaitForEvents(1, &handle), "clWaitForEvents");
    }

    public override TimeSpan Since(DeviceEvent earlier)
    {
        earlier.Synchronize();
        Synchronize();
        return TimeSpan.FromMicroseconds((Ended() - ((OpenClEvent)earlier).Ended()) / 1000.0);
    }

    protected override void Dispose(bool disposing)
    {
        if (_handle == 0) { return; }

        _ = library.ReleaseEvent(_handle);
        _handle = 0;
    }

    private double Ended()
    {
        const uint commandEnd = 0x1283;
        ulong nanoseconds;
        OpenClLibrary.Check(library.GetEventProfilingInfo(Value, commandEnd, sizeof(ulong), &nanoseconds, null), "clGetEventProfilingInfo");
        return nanoseconds;
    }
}
