using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Devices.Cuda;

/// <summary>
/// The entry points of NVIDIA's driver that we use (docs.nvidia.com/cuda/cuda-driver-api): a machine with the driver needs nothing else.
/// The names with _v2 are those that cuda.h gives to the plain ones since CUDA 4; the driver keeps both.
/// </summary>
internal sealed unsafe class CudaLibrary
{
    public const string DefaultName = "libcuda.so.1";

    /// <summary>CUDA 11.4 (driver 470, 2021): the first with every entry point here; its compiler takes PTX up to 7.4, and ours is 7.0.</summary>
    public const int OldestDriver = 11_040;

    public readonly delegate* unmanaged<uint, int> Init;
    public readonly delegate* unmanaged<int*, int> DriverGetVersion;
    public readonly delegate* unmanaged<int, byte**, int> GetErrorName;
    public readonly delegate* unmanaged<int, byte**, int> GetErrorString;
    public readonly delegate* unmanaged<int*, int> DeviceGetCount;
    public readonly delegate* unmanaged<int*, int, int> DeviceGet;
    public readonly delegate* unmanaged<byte*, int, int, int> DeviceGetName;
    public readonly delegate* unmanaged<byte*, int, int> DeviceGetUuid;
    public readonly delegate* unmanaged<nuint*, int, int> DeviceTotalMem;
    public readonly delegate* unmanaged<int*, int, int, int> DeviceGetAttribute;
    public readonly delegate* unmanaged<nint*, int, int> DevicePrimaryCtxRetain;
    public readonly delegate* unmanaged<int, int> DevicePrimaryCtxRelease;
    public readonly delegate* unmanaged<nint, int> CtxSetCurrent;
    public readonly delegate* unmanaged<uint, int*, void**, nint*, int> LinkCreate;
    public readonly delegate* unmanaged<nint, int, void*, nuint, byte*, uint, int*, void**, int> LinkAddData;
    public readonly delegate* unmanaged<nint, void**, nuint*, int> LinkComplete;
    public readonly delegate* unmanaged<nint, int> LinkDestroy;
    public readonly delegate* unmanaged<nint*, void*, int> ModuleLoadData;
    public readonly delegate* unmanaged<nint*, void*, uint, int*, void**, int> ModuleLoadDataEx;
    public readonly delegate* unmanaged<nint, int> ModuleUnload;
    public readonly delegate* unmanaged<nint*, nint, byte*, int> ModuleGetFunction;
    public readonly delegate* unmanaged<nint, int, int, int> FuncSetAttribute;
    public readonly delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int> LaunchKernel;
    public readonly delegate* unmanaged<nint*, nuint, int> MemAlloc;
    public readonly delegate* unmanaged<nint, int> MemFree;
    public readonly delegate* unmanaged<void**, nuint, uint, int> MemHostAlloc;
    public readonly delegate* unmanaged<void*, int> MemFreeHost;
    public readonly delegate* unmanaged<nint, void*, nuint, nint, int> MemcpyHtoDAsync;
    public readonly delegate* unmanaged<void*, nint, nuint, nint, int> MemcpyDtoHAsync;
    public readonly delegate* unmanaged<nint, nint, nuint, nint, int> MemcpyDtoDAsync;
    public readonly delegate* unmanaged<nint, byte, nuint, nint, int> MemsetD8Async;
    public readonly delegate* unmanaged<nint*, uint, int> StreamCreate;
    public readonly delegate* unmanaged<nint, int> StreamDestroy;
    public readonly delegate* unmanaged<nint, int> StreamSynchronize;
    public readonly delegate* unmanaged<nint, nint, uint, int> StreamWaitEvent;
    public readonly delegate* unmanaged<nint, int, int> StreamBeginCapture;
    public readonly delegate* unmanaged<nint, nint*, int> StreamEndCapture;
    public readonly delegate* unmanaged<nint*, uint, int> EventCreate;
    public readonly delegate* unmanaged<nint, nint, int> EventRecord;
    public readonly delegate* unmanaged<nint, int> EventSynchronize;
    public readonly delegate* unmanaged<float*, nint, nint, int> EventElapsedTime;
    public readonly delegate* unmanaged<nint, int> EventDestroy;
    public readonly delegate* unmanaged<nint*, nint, ulong, int> GraphInstantiateWithFlags;
    public readonly delegate* unmanaged<nint, nint, int> GraphLaunch;
    public readonly delegate* unmanaged<nint, int> GraphDestroy;
    public readonly delegate* unmanaged<nint, int> GraphExecDestroy;

    /// <exception cref="DeviceException">No library, an old one, or no device behind it.</exception>
    public CudaLibrary(string name = DefaultName)
    {
        var library = new NativeTable(name);
        Init = (delegate* unmanaged<uint, int>)library.Find("cuInit");
        DriverGetVersion = (delegate* unmanaged<int*, int>)library.Find("cuDriverGetVersion");
        GetErrorName = (delegate* unmanaged<int, byte**, int>)library.Find("cuGetErrorName");
        GetErrorString = (delegate* unmanaged<int, byte**, int>)library.Find("cuGetErrorString");
        DeviceGetCount = (delegate* unmanaged<int*, int>)library.Find("cuDeviceGetCount");
        DeviceGet = (delegate* unmanaged<int*, int, int>)library.Find("cuDeviceGet");
        DeviceGetName = (delegate* unmanaged<byte*, int, int, int>)library.Find("cuDeviceGetName");
        DeviceGetUuid = (delegate* unmanaged<byte*, int, int>)library.Find("cuDeviceGetUuid");
        DeviceTotalMem = (delegate* unmanaged<nuint*, int, int>)library.Find("cuDeviceTotalMem_v2");
        DeviceGetAttribute = (delegate* unmanaged<int*, int, int, int>)library.Find("cuDeviceGetAttribute");
        DevicePrimaryCtxRetain = (delegate* unmanaged<nint*, int, int>)library.Find("cuDevicePrimaryCtxRetain");
        DevicePrimaryCtxRelease = (delegate* unmanaged<int, int>)library.Find("cuDevicePrimaryCtxRelease_v2");
        CtxSetCurrent = (delegate* unmanaged<nint, int>)library.Find("cuCtxSetCurrent");
        LinkCreate = (delegate* unmanaged<uint, int*, void**, nint*, int>)library.Find("cuLinkCreate_v2");
        LinkAddData = (delegate* unmanaged<nint, int, void*, nuint, byte*, uint, int*, void**, int>)library.Find("cuLinkAddData_v2");
        LinkComplete = (delegate* unmanaged<nint, void**, nuint*, int>)library.Find("cuLinkComplete");
        LinkDestroy = (delegate* unmanaged<nint, int>)library.Find("cuLinkDestroy");
        ModuleLoadData = (delegate* unmanaged<nint*, void*, int>)library.Find("cuModuleLoadData");
        ModuleLoadDataEx = (delegate* unmanaged<nint*, void*, uint, int*, void**, int>)library.Find("cuModuleLoadDataEx");
        ModuleUnload = (delegate* unmanaged<nint, int>)library.Find("cuModuleUnload");
        ModuleGetFunction = (delegate* unmanaged<nint*, nint, byte*, int>)library.Find("cuModuleGetFunction");
        FuncSetAttribute = (delegate* unmanaged<nint, int, int, int>)library.Find("cuFuncSetAttribute");
        LaunchKernel = (delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int>)library.Find("cuLaunchKernel");
        MemAlloc = (delegate* unmanaged<nint*, nuint, int>)library.Find("cuMemAlloc_v2");
        MemFree = (delegate* unmanaged<nint, int>)library.Find("cuMemFree_v2");
        MemHostAlloc = (delegate* unmanaged<void**, nuint, uint, int>)library.Find("cuMemHostAlloc");
        MemFreeHost = (delegate* unmanaged<void*, int>)library.Find("cuMemFreeHost");
        MemcpyHtoDAsync = (delegate* unmanaged<nint, void*, nuint, nint, int>)library.Find("cuMemcpyHtoDAsync_v2");
        MemcpyDtoHAsync = (delegate* unmanaged<void*, nint, nuint, nint, int>)library.Find("cuMemcpyDtoHAsync_v2");
        MemcpyDtoDAsync = (delegate* unmanaged<nint, nint, nuint, nint, int>)library.Find("cuMemcpyDtoDAsync_v2");
        MemsetD8Async = (delegate* unmanaged<nint, byte, nuint, nint, int>)library.Find("cuMemsetD8Async");
        StreamCreate = (delegate* unmanaged<nint*, uint, int>)library.Find("cuStreamCreate");
        StreamDestroy = (delegate* unmanaged<nint, int>)library.Find("cuStreamDestroy_v2");
        StreamSynchronize = (delegate* unmanaged<nint, int>)library.Find("cuStreamSynchronize");
        StreamWaitEvent = (delegate* unmanaged<nint, nint, uint, int>)library.Find("cuStreamWaitEvent");
        StreamBeginCapture = (delegate* unmanaged<nint, int, int>)library.Find("cuStreamBeginCapture_v2");
        StreamEndCapture = (delegate* unmanaged<nint, nint*, int>)library.Find("cuStreamEndCapture");
        EventCreate = (delegate* unmanaged<nint*, uint, int>)library.Find("cuEventCreate");
        EventRecord = (delegate* unmanaged<nint, nint, int>)library.Find("cuEventRecord");
        EventSynchronize = (delegate* unmanaged<nint, int>)library.Find("cuEventSynchronize");
        EventElapsedTime = (delegate* unmanaged<float*, nint, nint, int>)library.Find("cuEventElapsedTime");
        EventDestroy = (delegate* unmanaged<nint, int>)library.Find("cuEventDestroy_v2");
        GraphInstantiateWithFlags = (delegate* unmanaged<nint*, nint, ulong, int>)library.Find("cuGraphInstantiateWithFlags");
        GraphLaunch = (delegate* unmanaged<nint, nint, int>)library.Find("cuGraphLaunch");
        GraphDestroy = (delegate* unmanaged<nint, int>)library.Find("cuGraphDestroy");
        GraphExecDestroy = (delegate* unmanaged<nint, int>)library.Find("cuGraphExecDestroy");

        int version;
        Check(DriverGetVersion(&version), "cuDriverGetVersion");
        Version = version;
        if (version < OldestDriver)
        {
            throw new DeviceException(DeviceFailure.TooOld, "cuDriverGetVersion", version, "DRIVER_TOO_OLD", $"The driver is for CUDA {Written(version)}; {Written(OldestDriver)} or newer is needed.");
        }

        Check(Init(0), "cuInit");
    }

    /// <summary>1000 times the major version and 10 times the minor one of the newest CUDA that the driver is for.</summary>
    public int Version { get; }

    public static string Written(int version) => $"{version / 1000}.{version % 1000 / 10}";

    /// <summary>Throws what a call's answer means, in the driver's words, unless it is success.</summary>
    public void Check(int code, string call, string? detail = null)
    {
        if (code == 0) { return; }

        // The numbers are cuda.h's CUresult.
        var failure = code switch
        {
            2 => DeviceFailure.OutOfMemory,
            3 or 4 or 34 or 46 or 100 or 101 or 802 or 803 or 804 => DeviceFailure.Missing,
            35 or 222 or 223 => DeviceFailure.TooOld,
            200 or 209 or 218 or 220 or 221 => DeviceFailure.Build,
            201 or 214 or 226 or 700 or 702 or 709 or >= 714 and <= 719 or 721 or 999 => DeviceFailure.Lost,
            _ => DeviceFailure.Invalid,
        };
        byte* name;
        byte* meaning;
        var named = GetErrorName(code, &name) == 0 ? Marshal.PtrToStringUTF8((nint)name) : null;
        var said = GetErrorString(code, &meaning) == 0 ? Marshal.PtrToStringUTF8((nint)meaning) : null;
        throw new DeviceException(failure, call, code, named ?? "CUDA_ERROR", $"{said ?? "The driver has no text for it"}.{(detail is null ? "" : " " + detail)}");
    }
}
