using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;
using Platform.GpuKernels.Devices.Cuda;
using Platform.GpuKernels.Devices.OpenCl;

namespace Platform.GpuKernels.Tests.Devices;

/// <summary>The accelerators of this machine, each opened once for all tests; a test whose device is not there is skipped with the reason.</summary>
internal static class Each
{
    private static readonly Lazy<Accelerator> Cpu = new(() => new CpuAccelerator());
    private static readonly Lazy<Accelerator> OpenCl = new(() => new OpenClAccelerator(new OpenClLibrary(), 0));
    private static readonly Lazy<Accelerator> Cuda = new(() => new CudaAccelerator(new CudaLibrary(), 0));

    public static TheoryData<DeviceKind> Kind => [.. Enum.GetValues<DeviceKind>()];

    public static Accelerator Of(DeviceKind kind)
    {
        var one = kind switch
        {
            DeviceKind.Cpu => Cpu,
            DeviceKind.OpenCl => OpenCl,
            DeviceKind.Cuda => Cuda,
        };
        try { return one.Value; }
        catch (DeviceException e) when (e.Failure == DeviceFailure.Missing)
        {
            Assert.Skip($"{kind} was not run: {e.Message}");
            throw;
        }
    }
}
