using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Devices;

/// <summary>A driver's library, loaded when it is asked for: a machine without it is normal and costs nothing.</summary>
internal sealed class NativeTable
{
    private readonly string _library;
    private readonly nint _handle;

    /// <exception cref="DeviceException">There is no such library, or it does not load.</exception>
    public NativeTable(string library)
    {
        _library = library;
        if (!NativeLibrary.TryLoad(library, out _handle))
        {
            throw DeviceException.Library(library, $"{library} is not on this machine, or its own libraries are missing.");
        }
    }

    /// <summary>The address of an entry point.</summary>
    /// <exception cref="DeviceException">The library is too old to have it.</exception>
    public nint Find(string name) => NativeLibrary.TryGetExport(_handle, name, out var address) ? address : throw DeviceException.EntryPoint(_library, name);
}
