using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Devices;

/// <summary>
/// A device that runs kernels, in ILGPU's words: it has memory buffers, streams that do things in order, and kernels loaded from a module.
/// Implemented by CUDA's driver interface, by OpenCL and by the CPU itself. Every member may be called from several threads;
/// a stream belongs to one thread at a time.
/// </summary>
internal abstract class Accelerator(DeviceInfo info) : IDisposable
{
    /// <summary>The largest buffer: 1 TiB, more than any device has, so that a size is wrong before it overflows.</summary>
    public const long BufferBytes = 1L << 40;

    private readonly Dictionary<(string Module, string Kernel), Kernel> _kernels = [];
    private readonly Lock _loading = new();

    public DeviceInfo Info { get; } = info;

    /// <summary>Whether its tensor cores work for warpgroups (NVIDIA's Hopper, and no other architecture): what the module hopper is for.</summary>
    public virtual bool HasWarpgroups => false;

    /// <summary>New memory, its content undefined.</summary>
    /// <param name="bytes">1 .. <see cref="BufferBytes"/>.</param>
    public MemoryBuffer Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, BufferBytes);
        return AllocateBytes(bytes);
    }

    /// <summary>New memory that holds <paramref name="values"/>; it is there when this returns.</summary>
    public MemoryBuffer Allocate<T>(ReadOnlySpan<T> values, AcceleratorStream stream)
        where T : unmanaged
    {
        var buffer = Allocate(Math.Max(1, (long)values.Length * Marshal.SizeOf<T>()));
        stream.Upload(values, buffer);
        stream.Synchronize();
        return buffer;
    }

    public abstract AcceleratorStream CreateStream();

    /// <summary>A kernel of a module. The module is built at most once; the kernel lives as long as the accelerator.</summary>
    /// <exception cref="DeviceException">The driver refuses the module (its log is in the message) or the module has no such kernel.</exception>
    public Kernel Load(KernelModule module, string name)
    {
        lock (_loading)
        {
            if (!_kernels.TryGetValue((module.Name, name), out var kernel))
            {
                kernel = LoadKernel(module, name);
                _kernels.Add((module.Name, name), kernel);
            }

            return kernel;
        }
    }

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract MemoryBuffer AllocateBytes(long bytes);

    protected abstract Kernel LoadKernel(KernelModule module, string name);

    protected virtual void Dispose(bool disposing)
    {
        if (!disposing) { return; }

        foreach (var kernel in _kernels.Values) { kernel.Dispose(); }
        _kernels.Clear();
    }
}

/// <summary>Memory of an accelerator, addressed in bytes.</summary>
internal abstract class MemoryBuffer(long bytes) : SafeHandle(0, ownsHandle: true)
{
    public long Bytes { get; } = bytes;

    public override bool IsInvalid => handle == 0;

    /// <summary>Throws unless [<paramref name="at"/>, <paramref name="at"/> + <paramref name="count"/>) lies in the buffer.</summary>
    public void Check(long at, long count)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        if (at < 0 || count < 0 || at > Bytes || count > Bytes - at)
        {
            throw new ArgumentOutOfRangeException(nameof(at), $"Bytes {at} to {at + count} of a buffer of {Bytes} bytes.");
        }
    }
}

/// <summary>A function of a module on one accelerator.</summary>
internal abstract class Kernel(string name) : IDisposable
{
    public string Name { get; } = name;

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>How many groups run, and of how many work items each.</summary>
/// <param name="X">Groups along the first axis.</param>
/// <param name="GroupSize">Work items of a group: what the kernel's source requires.</param>
/// <param name="Y">Groups along the second axis, at most 65,535 (CUDA's limit).</param>
/// <param name="Z">Groups along the third axis, at most 65,535.</param>
/// <param name="LocalBytes">Of CUDA, the bytes of local memory that the kernel leaves to its launch, where they are more than it may declare (48 KB).</param>
internal readonly record struct LaunchGrid(int X, int GroupSize, int Y = 1, int Z = 1, int LocalBytes = 0)
{
    /// <summary>CUDA's limit on a group, and what every OpenCL device for which we build allows.</summary>
    public const int MaxGroupSize = 1024;

    public const int MaxYz = 65_535;

    public bool IsEmpty => X == 0 || Y == 0 || Z == 0;

    /// <summary>As many groups as <paramref name="items"/> need.</summary>
    public static LaunchGrid Cover(long items, int groupSize) => new(checked((int)((items + groupSize - 1) / groupSize)), groupSize);

    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(X);
        ArgumentOutOfRangeException.ThrowIfNegative(Y);
        ArgumentOutOfRangeException.ThrowIfNegative(Z);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Y, MaxYz);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Z, MaxYz);
        ArgumentOutOfRangeException.ThrowIfLessThan(GroupSize, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(GroupSize, MaxGroupSize);
    }
}

/// <summary>One argument of a launch: a buffer, or a scalar of 4 or 8 bytes.</summary>
internal readonly struct KernelArgument
{
    private KernelArgument(MemoryBuffer? buffer, long bits, int bytes) => (Buffer, Bits, ScalarBytes) = (buffer, bits, bytes);

    public MemoryBuffer? Buffer { get; }

    /// <summary>The scalar's bytes, little-endian, low first.</summary>
    public long Bits { get; }

    /// <summary>4 or 8; 0 for a buffer.</summary>
    public int ScalarBytes { get; }

    public static implicit operator KernelArgument(MemoryBuffer buffer) => new(buffer, 0, 0);

    public static implicit operator KernelArgument(int value) => new(null, value, 4);

    public static implicit operator KernelArgument(uint value) => new(null, value, 4);

    public static implicit operator KernelArgument(float value) => new(null, BitConverter.SingleToInt32Bits(value), 4);

    public static implicit operator KernelArgument(long value) => new(null, value, 8);
}
