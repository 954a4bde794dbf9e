namespace Platform.GpuKernels.Devices;

/// <summary>By which interface a device is reached.</summary>
public enum DeviceKind
{
    /// <summary>This process itself, in C#: always there.</summary>
    Cpu,

    /// <summary>Any driver that the OpenCL loader (libOpenCL.so.1) finds.</summary>
    OpenCl,

    /// <summary>NVIDIA's driver (libcuda.so.1); no toolkit is needed.</summary>
    Cuda,
}

/// <summary>One device as its driver describes it.</summary>
/// <param name="Kind">The interface that it was found by.</param>
/// <param name="Ordinal">Its place in that interface's list, from 0.</param>
/// <param name="Name">The driver's name for it.</param>
/// <param name="Driver">The driver's version, as the interface writes it.</param>
/// <param name="MemoryBytes">Memory of the device, in bytes; of the machine for the CPU.</param>
/// <param name="ComputeUnits">Multiprocessors, compute units or logical cores.</param>
/// <param name="ComputeCapability">NVIDIA's architecture number (8.0 is Ampere, 9.0 Hopper); null elsewhere.</param>
/// <param name="IsGpu">Whether the driver calls it a GPU or an accelerator rather than a CPU.</param>
/// <param name="Uuid">NVIDIA's id of the card as <c>nvidia-smi -L</c> writes it; null elsewhere.</param>
public sealed record DeviceInfo(
    DeviceKind Kind,
    int Ordinal,
    string Name,
    string Driver,
    long MemoryBytes,
    int ComputeUnits,
    Version? ComputeCapability = null,
    bool IsGpu = false,
    string? Uuid = null)
{
    /// <summary>The id by which a device is asked for: <c>cuda:0</c>, <c>opencl:1</c>, <c>cpu:0</c>.</summary>
    public string Id => $"{Kind.ToString().ToLowerInvariant()}:{Ordinal}";
}
