using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tests.Devices;

/// <summary>
/// <c>PLATFORM_TEST_LIBCUDA</c>, the full path of a libcuda.so.1 that <c>cuda-stand-in/build</c> made, is loaded before anything asks for a driver: whoever then loads
/// libcuda.so.1 gets it, since the loader knows a library by its own name. Its binaries must not come to those of a driver: <c>PLATFORM_KERNEL_CACHE</c> is a folder beside it.
/// </summary>
internal static class StandInLibrary
{
    [ModuleInitializer]
    internal static void Load()
    {
        if (Environment.GetEnvironmentVariable("PLATFORM_TEST_LIBCUDA") is not { Length: > 0 } library) { return; }

        Environment.SetEnvironmentVariable("PLATFORM_KERNEL_CACHE", Path.Combine(Path.GetDirectoryName(library)!, "cache"));
        NativeLibrary.Load(library);
    }
}
