using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Devices.Cpu;

/// <summary>The device that is always there: this process. Its kernels are the references in C#, its streams do everything at once.</summary>
internal sealed class CpuAccelerator() : Accelerator(Describe())
{
    public static DeviceInfo Describe() => new(
        DeviceKind.Cpu,
        0,
        $"{RuntimeInformation.ProcessArchitecture} CPU".ToLowerInvariant().Replace("cpu", "CPU", StringComparison.Ordinal),
        $".NET {Environment.Version}",
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
        Environment.ProcessorCount);

    public override AcceleratorStream CreateStream() => new CpuStream(this);

    protected override MemoryBuffer AllocateBytes(long bytes)
    {
        if (bytes > Info.MemoryBytes)
        {
            throw new DeviceException(DeviceFailure.OutOfMemory, "allocating", 0, "OUT_OF_MEMORY", $"{bytes} bytes were asked for; the machine has {Info.MemoryBytes}.");
        }

        return new CpuBuffer(bytes);
    }

    protected override Kernel LoadKernel(KernelModule module, string name) =>
        module.References.TryGetValue(name, out var run)
            ? new CpuKernel(name, run)
            : throw new DeviceException(DeviceFailure.Invalid, "loading a kernel", 0, "NOT_FOUND", $"Module {module.Name} has no kernel {name}.");
}

internal sealed unsafe class CpuBuffer : MemoryBuffer
{
    public CpuBuffer(long bytes)
        : base(bytes)
    {
        SetHandle((nint)NativeMemory.AlignedAlloc((nuint)bytes, 64));
        GC.AddMemoryPressure(Bytes);
    }

    public byte* Address => (byte*)handle;

    protected override bool ReleaseHandle()
    {
        NativeMemory.AlignedFree((void*)handle);
        GC.RemoveMemoryPressure(Bytes);
        return true;
    }
}

internal sealed class CpuKernel(string name, Action<CpuLaunch> run) : Kernel(name)
{
    public Action<CpuLaunch> Run { get; } = run;

    protected override void Dispose(bool disposing)
    {
    }
}

/// <summary>What a reference is given: the grid, and the arguments by their place.</summary>
internal readonly unsafe ref struct CpuLaunch(LaunchGrid grid, ReadOnlySpan<KernelArgument> arguments)
{
    private readonly ReadOnlySpan<KernelArgument> _arguments = arguments;

    public LaunchGrid Grid { get; } = grid;

    /// <summary>The whole buffer at a place; longer than 2^31 elements is cut, since no reference is used at that size.</summary>
    public Span<T> Buffer<T>(int place)
        where T : unmanaged
    {
        var buffer = (CpuBuffer)_arguments[place].Buffer!;
        return new Span<T>(buffer.Address, (int)Math.Min(int.MaxValue, buffer.Bytes / sizeof(T)));
    }

    public int Int(int place) => (int)_arguments[place].Bits;

    public long Long(int place) => _arguments[place].Bits;

    public float Float(int place) => BitConverter.Int32BitsToSingle((int)_arguments[place].Bits);
}

internal sealed unsafe class CpuStream(Accelerator accelerator) : AcceleratorStream(accelerator)
{
    public override DeviceEvent Record() => new CpuEvent(Stopwatch.GetTimestamp());

    public override void Wait(DeviceEvent other)
    {
    }

    public override void Synchronize()
    {
    }

    protected internal override nint AllocatePinned(long bytes) => (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);

    protected internal override void FreePinned(nint pinned) => NativeMemory.AlignedFree((void*)pinned);

    protected internal override void UploadPinned(nint from, MemoryBuffer to, long atByte, long bytes) =>
        Buffer.MemoryCopy((void*)from, ((CpuBuffer)to).Address + atByte, to.Bytes - atByte, bytes);

    protected internal override void DownloadPinned(MemoryBuffer from, long atByte, nint to, long bytes) =>
        Buffer.MemoryCopy(((CpuBuffer)from).Address + atByte, (void*)to, bytes, bytes);

    protected override void UploadBytes(ReadOnlySpan<byte> from, MemoryBuffer to, long atByte) =>
        from.CopyTo(new Span<byte>(((CpuBuffer)to).Address + atByte, from.Length));

    protected override void DownloadBytes(MemoryBuffer from, long atByte, Span<byte> to) =>
        new ReadOnlySpan<byte>(((CpuBuffer)from).Address + atByte, to.Length).CopyTo(to);

    protected override void CopyBytes(MemoryBuffer from, long fromByte, MemoryBuffer to, long toByte, long bytes) =>
        Buffer.MemoryCopy(((CpuBuffer)from).Address + fromByte, ((CpuBuffer)to).Address + toByte, to.Bytes - toByte, bytes);

    protected override void FillBytes(MemoryBuffer buffer, byte value, long atByte, long bytes) =>
        NativeMemory.Fill(((CpuBuffer)buffer).Address + atByte, (nuint)bytes, value);

    protected override void LaunchKernel(Kernel kernel, LaunchGrid grid, ReadOnlySpan<KernelArgument> arguments) =>
        ((CpuKernel)kernel).Run(new CpuLaunch(grid, arguments));
}

internal sealed class CpuEvent(long timestamp) : DeviceEvent
{
    private readonly long _timestamp = timestamp;

    public override void Synchronize()
    {
    }

    public override TimeSpan Since(DeviceEvent earlier) => Stopwatch.GetElapsedTime(((CpuEvent)earlier)._timestamp, _timestamp);

    protected override void Dispose(bool disposing)
    {
    }
}
