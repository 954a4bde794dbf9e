using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Devices.OpenCl;

/// <summary>
/// In NVIDIA's containers libnvidia-opencl.so.1 is often mounted without the <c>.icd</c> file that tells the OpenCL loader of it. Then a
/// folder of ours, with the system's files and the missing one, is named to the loader. The loader reads it at its first call, once.
/// </summary>
internal static partial class IcdVendors
{
    public const string SystemFolder = "/etc/OpenCL/vendors";
    public const string Variable = "OCL_ICD_VENDORS";
    private const string NvidiaLibrary = "libnvidia-opencl.so.1";

    /// <summary>More drivers than any machine has; a folder with more is not copied further.</summary>
    private const int Drivers = 64;

    private static readonly Lazy<bool> Prepared = new(() =>
    {
        if (Environment.GetEnvironmentVariable(Variable) is not null || !NativeLibrary.TryLoad(NvidiaLibrary, out _)) { return false; }

        var folder = KernelCache.Folder("opencl-vendors");
        return folder is not null && Write(SystemFolder, folder) && SetVariable(Variable, folder, 1) == 0;
    });

    /// <summary>Does what is needed before the loader's first call; true if it named a folder of ours.</summary>
    public static bool Prepare() => Prepared.Value;

    /// <summary>Fills <paramref name="folder"/>; false where the system's own folder already names NVIDIA's driver, and ours is not needed.</summary>
    internal static bool Write(string system, string folder)
    {
        try
        {
            var files = Directory.Exists(system) ? Directory.EnumerateFiles(system, "*.icd").Take(Drivers).ToList() : [];
            if (files.Any(file => File.ReadAllText(file).Contains("libnvidia-opencl", StringComparison.Ordinal))) { return false; }

            foreach (var file in files) { File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true); }
            File.WriteAllText(Path.Combine(folder, "nvidia.icd"), NvidiaLibrary + "\n");
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    // .NET's own copy of the environment is not the one that a C library reads.
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
