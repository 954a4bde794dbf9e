using System.Runtime.InteropServices;
using System.Text;

namespace Platform.GpuKernels.Devices.Cuda;

/// <summary>
/// A card reached by NVIDIA's driver. It works in the device's primary context, which it shares with any other library of the process
/// (a context of our own would cost memory and switches). Modules are compiled from PTX by the driver, once for each driver and architecture.
/// </summary>
internal sealed unsafe class CudaAccelerator : Accelerator
{
    /// <summary>Ampere: the first with bf16 in its tensor cores and asynchronous copies to shared memory.</summary>
    public static readonly Version OldestArchitecture = new(8, 0);

    /// <summary>An error of the driver's compiler names its place at the end of a long line; 8 KB were seen to be too few at times.</summary>
    public const int JitLogBytes = 64 * 1024;

    private readonly Dictionary<string, nint> _modules = [];
    private readonly CubinCache _cache;

    public CudaAccelerator(CudaLibrary library, int ordinal, CubinCache? cache = null)
        : base(Describe(library, ordinal))
    {
        _cache = cache ?? CubinCache.OfThisUser();
        if (Info.ComputeCapability < OldestArchitecture)
        {
            throw new DeviceException(DeviceFailure.TooOld, "cuDeviceGetAttribute", 0, "ARCHITECTURE_TOO_OLD", $"{Info.Name} has compute capability {Info.ComputeCapability}; {OldestArchitecture} (Ampere) or newer is needed.");
        }

        Context = new CudaContext(library, ordinal);
    }

    /// <summary>Modules that came from the cache, and that were compiled, since this was made.</summary>
    public (int Cached, int Compiled) Modules { get; private set; }

    /// <inheritdoc/>
    /// <remarks>The PTX is of version 8.0, which CUDA 12.0 brought.</remarks>
    public override bool HasWarpgroups => Info.ComputeCapability == new Version(9, 0) && Context.Library.Version >= 12_000;

    internal CudaContext Context { get; }

    /// <summary>Every card that the driver shows (CUDA_VISIBLE_DEVICES is obeyed by it), without making a context on any.</summary>
    public static IReadOnlyList<DeviceInfo> Enumerate(CudaLibrary library)
    {
        int count;
        library.Check(library.DeviceGetCount(&count), "cuDeviceGetCount");
        return [.. Enumerable.Range(0, count).Select(ordinal => Describe(library, ordinal))];
    }

    public override AcceleratorStream CreateStream() => new CudaStream(this);

    protected override MemoryBuffer AllocateBytes(long bytes) => new CudaBuffer(Context, bytes);

    protected override Kernel LoadKernel(KernelModule module, string name)
    {
        var library = Context.Current();
        if (!_modules.TryGetValue(module.Name, out var loaded))
        {
            loaded = LoadModule(module);
            _modules.Add(module.Name, loaded);
        }

        nint function;
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'))
        {
            library.Check(library.ModuleGetFunction(&function, loaded, text), $"cuModuleGetFunction({name})");
        }

        return new CudaKernel(name, function);
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (!disposing || Context.IsClosed) { return; }

        var library = Context.Current();
        foreach (var module in _modules.Values) { _ = library.ModuleUnload(module); }
        _modules.Clear();
        Context.Dispose();
    }

    private static DeviceInfo Describe(CudaLibrary library, int ordinal)
    {
        const int multiprocessors = 16;
        const int major = 75;
        const int minor = 76;
        int device;
        library.Check(library.DeviceGet(&device, ordinal), "cuDeviceGet");
        const int nameBytes = 256;
        var name = stackalloc byte[nameBytes];
        library.Check(library.DeviceGetName(name, nameBytes, device), "cuDeviceGetName");
        nuint memory;
        library.Check(library.DeviceTotalMem(&memory, device), "cuDeviceTotalMem");
        var uuid = stackalloc byte[16];
        library.Check(library.DeviceGetUuid(uuid, device), "cuDeviceGetUuid");
        return new DeviceInfo(
            DeviceKind.Cuda,
            ordinal,
            Marshal.PtrToStringUTF8((nint)name) ?? "",
            $"CUDA {CudaLibrary.Written(library.Version)}{KernelModuleVersion()}",
            (long)memory,
            Attribute(library, device, multiprocessors),
            new Version(Attribute(library, device, major), Attribute(library, device, minor)),
            IsGpu: true,
            Uuid: $"GPU-{new Guid(new ReadOnlySpan<byte>(uuid, 16), bigEndian: true):D}");
    }

    private static int Attribute(CudaLibrary library, int device, int attribute)
    {
        int value;
        library.Check(library.DeviceGetAttribute(&value, attribute, device), "cuDeviceGetAttribute");
        return value;
    }

    /// <summary>The driver's own version, as nvidia-smi shows it; empty where the kernel module does not tell.</summary>
    private static string KernelModuleVersion()
    {
        try { return $", driver {File.ReadAllText("/sys/module/nvidia/version").Trim()}"; }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { return ""; }
    }

    private nint LoadModule(KernelModule module)
    {
        var library = Context.Library;
        var architecture = Info.ComputeCapability!;
        nint loaded;
        if (!module.IsCompiledByItself && _cache.Read(module, architecture, Info.Driver) is { } kept)
        {
            fixed (byte* image = kept)
            {
                if (library.ModuleLoadData(&loaded, image) == 0)
                {
                    Modules = Modules with { Cached = Modules.Cached + 1 };
                    return loaded;
                }
            }

            _cache.Remove(module, architecture, Info.Driver);
        }

        const int infoLog = 3;
        const int infoLogBytes = 4;
        const int errorLog = 5;
        const int errorLogBytes = 6;
        const int optionCount = 4;
        var log = (byte*)NativeMemory.AllocZeroed(2 * JitLogBytes);
        try
        {
            var options = stackalloc int[optionCount] { infoLog, infoLogBytes, errorLog, errorLogBytes };
            var values = stackalloc void*[optionCount] { log, (void*)JitLogBytes, log + JitLogBytes, (void*)JitLogBytes };
            var ptx = Encoding.UTF8.GetBytes(module.Ptx + '\0');
            if (module.IsCompiledByItself)
            {
                fixed (byte* text = ptx) { library.Check(library.ModuleLoadDataEx(&loaded, text, optionCount, options, values), $"cuModuleLoadDataEx({module.Name})", Log(log)); }
            }
            else
            {
                loaded = Link(module, ptx, optionCount, options, values, log);
            }

            Modules = Modules with { Compiled = Modules.Compiled + 1 };
            return loaded;
        }
        finally
        {
            NativeMemory.Free(log);
        }
    }

    /// <summary>By the linker, because it gives out the binary that it made.</summary>
    private nint Link(KernelModule module, byte[] ptx, uint optionCount, int* options, void** values, byte* log)
    {
        const int ptxInput = 1;
        var library = Context.Library;
        nint linker = 0;
        try
        {
            library.Check(library.LinkCreate(optionCount, options, values, &linker), "cuLinkCreate");
            int code;
            fixed (byte* text = ptx)
            fixed (byte* name = Encoding.UTF8.GetBytes(module.Name + ".ptx\0"))
            {
                code = library.LinkAddData(linker, ptxInput, text, (nuint)ptx.Length, name, 0, null, null);
            }

            library.Check(code, $"cuLinkAddData({module.Name})", Log(log));
            void* cubin;
            nuint bytes;
            library.Check(library.LinkComplete(linker, &cubin, &bytes), $"cuLinkComplete({module.Name})", Log(log));
            nint loaded;
            library.Check(library.ModuleLoadData(&loaded, cubin), $"cuModuleLoadData({module.Name})");
            _cache.Write(module, Info.ComputeCapability!, Info.Driver, new ReadOnlySpan<byte>(cubin, checked((int)bytes)));
            return loaded;
        }
        finally
        {
            // The binary belongs to the linker, and the logs are written until it is gone.
            if (linker != 0) { _ = library.LinkDestroy(linker); }
        }
    }

    private static string Log(byte* log)
    {
        return $"The compiler's log: {Text(log + JitLogBytes)} {Text(log)}";

        static string Text(byte* log)
        {
            var text = new ReadOnlySpan<byte>(log, JitLogBytes);
            var end = text.IndexOf((byte)0);
            return Encoding.UTF8.GetString(end < 0 ? text : text[..end]).Trim();
        }
    }
}

/// <summary>The primary context of a device, retained. Buffers hold it, so that it goes last.</summary>
internal sealed unsafe class CudaContext : SafeHandle
{
    private readonly int _device;

    public CudaContext(CudaLibrary library, int ordinal)
        : base(0, ownsHandle: true)
    {
        Library = library;
        int device;
        library.Check(library.DeviceGet(&device, ordinal), "cuDeviceGet");
        nint context;
        library.Check(library.DevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
        _device = device;
        SetHandle(context);
    }

    public CudaLibrary Library { get; }

    public override bool IsInvalid => handle == 0;

    /// <summary>The library, with this context as the calling thread's: each thread has its own, and any other library may have changed it.</summary>
    public CudaLibrary Current()
    {
        ObjectDisposedException.ThrowIf(IsClosed, typeof(CudaAccelerator));
        Library.Check(Library.CtxSetCurrent(handle), "cuCtxSetCurrent");
        return Library;
    }

    /// <summary>For what frees: true if the context could be made current; it is held by whoever frees.</summary>
    public bool Enter() => Library.CtxSetCurrent(handle) == 0;

    protected override bool ReleaseHandle() => Library.DevicePrimaryCtxRelease(_device) == 0;
}

/// <summary>A handle that needs its context to be freed in.</summary>
internal abstract class CudaHandle : SafeHandle
{
    protected CudaHandle(CudaContext context)
        : base(0, ownsHandle: true)
    {
        Context = context;
    }

    public override bool IsInvalid => handle == 0;

    public nint Value => IsClosed ? throw new ObjectDisposedException(GetType().Name) : handle;

    protected CudaContext Context { get; }

    protected void Own(nint value)
    {
        SetHandle(value);
        Hold(Context);
    }

    internal static void Hold(CudaContext context)
    {
        var held = false;
        context.DangerousAddRef(ref held);
    }

    /// <summary>Frees in the context. An error is ignored: after a failure of the device every call fails, and the context's end frees all.</summary>
    protected abstract void Free(nint value);

    protected override bool ReleaseHandle()
    {
        if (Context.Enter()) { Free(handle); }
        Context.DangerousRelease();
        return true;
    }
}

internal sealed unsafe class CudaBuffer : MemoryBuffer
{
    private readonly CudaContext _context;

    public CudaBuffer(CudaContext context, long bytes)
        : base(bytes)
    {
        var library = context.Current();
        _context = context;
        nint address;
        library.Check(library.MemAlloc(&address, (nuint)bytes), "cuMemAlloc", $"{bytes} bytes were asked for.");
        SetHandle(address);
        CudaHandle.Hold(context);
    }

    public nint Value => handle;

    protected override bool ReleaseHandle()
    {
        if (_context.Enter()) { _ = _context.Library.MemFree(handle); }
        _context.DangerousRelease();
        return true;
    }
}

internal sealed class CudaKernel(string name, nint function) : Kernel(name)
{
    /// <summary>What every kernel may have of local memory without asking.</summary>
    public const int UnaskedLocalBytes = 48 * 1024;

    private int _localBytes = UnaskedLocalBytes;

    public nint Function { get; } = function;

    /// <summary>Asks for as much local memory as a launch gives. The driver refuses what the device has not.</summary>
    public unsafe void Allow(CudaLibrary library, int localBytes)
    {
        const int maximalDynamicSharedBytes = 8;
        if (localBytes <= _localBytes) { return; }

        library.Check(library.FuncSetAttribute(Function, maximalDynamicSharedBytes, localBytes), $"cuFuncSetAttribute({Name})");
        _localBytes = localBytes;
    }

    // A function lives with its module.
    protected override void Dispose(bool disposing)
    {
    }
}
