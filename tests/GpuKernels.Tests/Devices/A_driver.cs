using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cuda;
using Platform.GpuKernels.Devices.OpenCl;

namespace Platform.GpuKernels.Tests.Devices;

public class A_driver
{
    private const string Missing = "libno-such-driver.so.1";

    [Fact]
    public void that_is_not_there_is_named()
    {
        var cuda = Assert.Throws<DeviceException>(() => new CudaLibrary(Missing));
        var opencl = Assert.Throws<DeviceException>(() => new OpenClLibrary(Missing));
        Assert.Equal((DeviceFailure.Missing, DeviceFailure.Missing), (cuda.Failure, opencl.Failure));
        Assert.Contains(Missing, cuda.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void without_an_entry_point_is_called_too_old()
    {
        // libc is a library that is there and has none of them.
        var refused = Assert.Throws<DeviceException>(() => new CudaLibrary("libc.so.6"));
        Assert.Equal(DeviceFailure.TooOld, refused.Failure);
        Assert.Contains("cuInit", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void fails_with_its_own_name_for_the_error_its_number_and_what_it_means()
    {
        var refused = Assert.Throws<DeviceException>(() => OpenClLibrary.Check(-54, "clEnqueueNDRangeKernel"));
        Assert.Equal((-54, "CL_INVALID_WORK_GROUP_SIZE", "clEnqueueNDRangeKernel"), (refused.Code, refused.Name, refused.Call));
        Assert.Contains("group size", refused.Message, StringComparison.Ordinal);
        Assert.Equal(DeviceFailure.OutOfMemory, OpenClErrors.Exception(-4, "clCreateBuffer").Failure);
    }

    [Fact]
    public void of_nvidia_without_its_icd_file_is_put_beside_the_others()
    {
        var root = Directory.CreateTempSubdirectory("icd-").FullName;
        try
        {
            var system = Directory.CreateDirectory(Path.Combine(root, "system")).FullName;
            var own = Directory.CreateDirectory(Path.Combine(root, "own")).FullName;
            File.WriteAllText(Path.Combine(system, "pocl.icd"), "libpocl.so.2\n");
            Assert.True(IcdVendors.Write(system, own));
            Assert.Equal(["nvidia.icd", "pocl.icd"], Directory.EnumerateFiles(own).Select(Path.GetFileName).Order());
            File.WriteAllText(Path.Combine(system, "other.icd"), "/usr/lib/libnvidia-opencl.so.1\n");
            Assert.False(IcdVendors.Write(system, own));
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }
}
