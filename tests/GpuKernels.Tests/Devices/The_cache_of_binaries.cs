using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cuda;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Tests.Devices;

public sealed class The_cache_of_binaries : IDisposable
{
    private static readonly Version Hopper = new(9, 0);
    private readonly string _folder = Directory.CreateTempSubdirectory("cubin-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void gives_back_what_was_kept_for_the_same_module_architecture_and_driver_only()
    {
        var cache = new CubinCache(_folder);
        cache.Write(Probe.Module, Hopper, "CUDA 13.0, driver 580.1", [1, 2, 3]);
        Assert.Equal([1, 2, 3], cache.Read(Probe.Module, Hopper, "CUDA 13.0, driver 580.1"));
        Assert.Null(cache.Read(Probe.Module, new Version(8, 0), "CUDA 13.0, driver 580.1"));
        Assert.Null(cache.Read(Probe.Module, Hopper, "CUDA 13.1, driver 590.2"));
        Assert.Null(cache.Read(Gemm.Module, Hopper, "CUDA 13.0, driver 580.1"));
        Assert.Single(Directory.EnumerateFiles(_folder));
        cache.Remove(Probe.Module, Hopper, "CUDA 13.0, driver 580.1");
        Assert.Empty(Directory.EnumerateFiles(_folder));
    }

    [Fact]
    public void does_not_read_a_file_that_is_empty_or_larger_than_a_binary_can_be()
    {
        var cache = new CubinCache(_folder);
        cache.Write(Probe.Module, Hopper, "d", [1]);
        using (var file = File.OpenWrite(Directory.EnumerateFiles(_folder).Single())) { file.SetLength(CubinCache.Bytes + 1L); }

        Assert.Null(cache.Read(Probe.Module, Hopper, "d"));
        cache.Write(Probe.Module, Hopper, "d", []);
        Assert.Null(cache.Read(Probe.Module, Hopper, "d"));
    }

    [Fact]
    public void is_done_without_where_no_folder_can_be_had()
    {
        var cache = new CubinCache(null);
        cache.Write(Probe.Module, Hopper, "d", [1]);
        Assert.Null(cache.Read(Probe.Module, Hopper, "d"));
        new CubinCache(Path.Combine(_folder, "not", "there")).Write(Probe.Module, Hopper, "d", [1]);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public void does_not_use_a_folder_in_which_others_may_write()
    {
        var own = KernelCache.Folder("test", _folder);
        Assert.NotNull(own);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(own));
        File.SetUnixFileMode(own, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherWrite);
        Assert.Null(KernelCache.Folder("test", _folder));
    }
}
