using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Embedding.Numerics;

/// <summary>Zeroed memory outside of the collector's heap, at addresses that are multiples of a cache line: weights and activations, which vectors load from.</summary>
internal sealed unsafe class NativeBuffer<T> : SafeHandle
    where T : unmanaged
{
    private const nuint CacheLine = 64;

    /// <summary>Vectors may be loaded this far behind the last element.</summary>
    private const nuint Slack = 256;

    public NativeBuffer(long length)
        : base(0, ownsHandle: true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = length;
        var bytes = checked((nuint)length * (nuint)sizeof(T)) + Slack;
        SetHandle((nint)NativeMemory.AlignedAlloc(bytes, CacheLine));
        NativeMemory.Clear(Pointer, bytes);
        GC.AddMemoryPressure((long)bytes);
    }

    public long Length { get; }

    public T* Pointer => (T*)handle;

    public override bool IsInvalid => handle == 0;

    public Span<T> Span(long start, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - start);
        return new Span<T>(Pointer + start, length);
    }

    protected override bool ReleaseHandle()
    {
        NativeMemory.AlignedFree((void*)handle);
        GC.RemoveMemoryPressure((long)(((nuint)Length * (nuint)sizeof(T)) + Slack));
        return true;
    }
}
