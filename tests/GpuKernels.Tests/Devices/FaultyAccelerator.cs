using Platform.GpuKernels.Devices;

namespace Platform.GpuKernels.Tests.Devices;

/// <summary>A real device around which every call may fail: the call numbered <paramref name="failing"/> does, and all after it, as with a lost card.</summary>
internal sealed class FaultyAccelerator(Accelerator inner, int failing, DeviceFailure failure) : Accelerator(inner.Info)
{
    private int _calls;

    /// <summary>So far.</summary>
    public int Calls => _calls;

    /// <summary>Whether a call has failed.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Streams that were created.</summary>
    public int Streams { get; private set; }

    /// <summary>Those that were not disposed of.</summary>
    public int OpenStreams { get; private set; }

    public override AcceleratorStream CreateStream()
    {
        Call("creating a stream");
        Streams++;
        OpenStreams++;
        return new FaultyStream(this, inner.CreateStream());
    }

    protected override MemoryBuffer AllocateBytes(long bytes)
    {
        Call("allocating");
        return inner.Allocate(bytes);
    }

    protected override Kernel LoadKernel(KernelModule module, string name)
    {
        Call("loading a kernel");
        return new Shared(inner.Load(module, name));
    }

    private void Call(string what)
    {
        if (_calls++ < failing) { return; }

        HasFailed = true;
        throw new DeviceException(failure, what, 719, "INJECTED", "The test makes this call fail.");
    }

    /// <summary>A kernel of the inner device, which keeps it.</summary>
    private sealed class Shared(Kernel kernel) : Kernel(kernel.Name)
    {
        public Kernel Inner { get; } = kernel;

        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class FaultyStream(FaultyAccelerator accelerator, AcceleratorStream stream) : AcceleratorStream(accelerator)
    {
        public override DeviceEvent Record()
        {
            accelerator.Call("recording");
            return stream.Record();
        }

        public override void Wait(DeviceEvent other)
        {
            accelerator.Call("waiting");
            stream.Wait(other);
        }

        public override void Synchronize()
        {
            accelerator.Call("synchronising");
            stream.Synchronize();
        }

        protected internal override nint AllocatePinned(long bytes) => stream.AllocatePinned(bytes);

        protected internal override void FreePinned(nint pinned) => stream.FreePinned(pinned);

        protected internal override void UploadPinned(nint from, MemoryBuffer to, long atByte, long bytes) => stream.UploadPinned(from, to, atByte, bytes);

        protected internal override void DownloadPinned(MemoryBuffer from, long atByte, nint to, long bytes) => stream.DownloadPinned(from, atByte, to, bytes);

        protected override void UploadBytes(ReadOnlySpan<byte> from, MemoryBuffer to, long atByte)
        {
            accelerator.Call("uploading");
            stream.Upload(from, to, atByte);
        }

        protected override void DownloadBytes(MemoryBuffer from, long atByte, Span<byte> to)
        {
            accelerator.Call("downloading");
            stream.Download(from, to, atByte);
        }

        protected override void CopyBytes(MemoryBuffer from, long fromByte, MemoryBuffer to, long toByte, long bytes)
        {
            accelerator.Call("copying");
            stream.Copy(from, fromByte, to, toByte, bytes);
        }

        protected override void FillBytes(MemoryBuffer buffer, byte value, long atByte, long bytes)
        {
            accelerator.Call("filling");
            stream.Fill(buffer, value, atByte, bytes);
        }

        protected override void LaunchKernel(Kernel kernel, LaunchGrid grid, ReadOnlySpan<KernelArgument> arguments)
        {
            accelerator.Call("launching");
            stream.Launch(((Shared)kernel).Inner, grid, arguments);
        }

        protected override void Dispose(bool disposing)
        {
            base.Dispose(disposing);
            stream.Dispose();
            accelerator.OpenStreams--;
        }
    }
}
