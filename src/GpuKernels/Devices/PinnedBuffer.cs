namespace Platform.GpuKernels.Devices;

/// <summary>Memory of the host from and to which a device copies by itself, at the bus's rate. It must not be changed while a copy from it is under way.</summary>
internal sealed unsafe class PinnedBuffer : IDisposable
{
    private readonly AcceleratorStream _stream;
    private nint _address;

    /// <param name="stream">Of the accelerator; it must outlive the buffer. Other streams of the accelerator may copy too.</param>
    /// <param name="bytes">1 .. 2^31 - 1.</param>
    public PinnedBuffer(AcceleratorStream stream, int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 1);
        (_stream, Bytes) = (stream, bytes);
        _address = stream.AllocatePinned(bytes);
    }

    public int Bytes { get; }

    public Span<byte> Span => new((void*)Address, Bytes);

    private nint Address => _address == 0 ? throw new ObjectDisposedException(nameof(PinnedBuffer)) : _address;

    /// <summary>Starts a copy to the device, in order with the stream.</summary>
    public void Upload(AcceleratorStream stream, int from, MemoryBuffer to, long atByte, int bytes)
    {
        Check(from, bytes);
        to.Check(atByte, bytes);
        if (bytes > 0) { stream.UploadPinned(Address + from, to, atByte, bytes); }
    }

    /// <summary>Starts a copy from the device, in order with the stream; it is there when the stream has passed it.</summary>
    public void Download(AcceleratorStream stream, MemoryBuffer from, long atByte, int to, int bytes)
    {
        Check(to, bytes);
        from.Check(atByte, bytes);
        if (bytes > 0) { stream.DownloadPinned(from, atByte, Address + to, bytes); }
    }

    public void Dispose()
    {
        if (_address == 0) { return; }

        _stream.FreePinned(_address);
        _address = 0;
    }

    private void Check(int at, int bytes)
    {
        if (at < 0 || bytes < 0 || at > Bytes - bytes) { throw new ArgumentOutOfRangeException(nameof(at), $"Bytes {at} to {(long)at + bytes} of {Bytes}."); }
    }
}
