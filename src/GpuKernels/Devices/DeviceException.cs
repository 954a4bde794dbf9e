namespace Platform.GpuKernels.Devices;

/// <summary>What a failure of a device means for whoever used it.</summary>
public enum DeviceFailure
{
    /// <summary>There is no driver library, no device, or it has gone.</summary>
    Missing,

    /// <summary>The driver lacks an entry point or refuses the code because it is older than this program needs.</summary>
    TooOld,

    /// <summary>The device has not the memory that was asked for.</summary>
    OutOfMemory,

    /// <summary>The driver's compiler refused a kernel.</summary>
    Build,

    /// <summary>The device failed in the middle of its work; nothing on it can be trusted any more.</summary>
    Lost,

    /// <summary>A call was wrong: a mistake of this program.</summary>
    Invalid,

    /// <summary>The device computes something else than the CPU.</summary>
    Wrong,

    /// <summary>The device did not answer in time. Calls that free what is on it would wait as well.</summary>
    Silent,
}

/// <summary>A call to a device's driver failed. Carries the interface, the call, the driver's number and name for the error, and what it means.</summary>
public sealed class DeviceException(DeviceFailure failure, string call, int code, string name, string meaning, Exception? inner = null)
    : Exception($"{call} failed with {name} ({code}): {meaning}", inner)
{
    /// <summary>What the failure means for whoever used the device.</summary>
    public DeviceFailure Failure { get; } = failure;

    /// <summary>The driver's call, for example <c>clBuildProgram</c>.</summary>
    public string Call { get; } = call;

    /// <summary>The driver's number for the error; 0 where no call was reached.</summary>
    public int Code { get; } = code;

    /// <summary>The driver's name for the error, for example <c>CUDA_ERROR_OUT_OF_MEMORY</c>.</summary>
    public string Name { get; } = name;

    internal static DeviceException Library(string library, string reason) =>
        new(DeviceFailure.Missing, $"loading {library}", 0, "LIBRARY_NOT_FOUND", reason);

    internal static DeviceException EntryPoint(string library, string name) =>
        new(DeviceFailure.TooOld, $"looking up {name}", 0, "ENTRY_POINT_NOT_FOUND", $"{library} has no {name}: the driver is older than this program needs.");
}
