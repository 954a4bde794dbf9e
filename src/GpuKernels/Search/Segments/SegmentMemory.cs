using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>The bytes of a segment: allocated while it is only in memory, mapped once it is a file. Freed by its owner, or by the finaliser of what it holds.</summary>
internal sealed unsafe class SegmentMemory : IDisposable
{
    private readonly IDisposable owner;

    private SegmentMemory(IDisposable owner, SafeBuffer buffer, long length, string? file)
    {
        (this.owner, Length, File) = (owner, length, file);

        // The owner, which this holds, keeps the address good; a count beside it would keep a forgotten segment from its finaliser.
        byte* pointer = null;
        buffer.AcquirePointer(ref pointer);
        buffer.ReleasePointer();
        Pointer = pointer;
    }

    public byte* Pointer { get; private set; }

    public long Length { get; }

    /// <summary>The mapped file; null for memory.</summary>
    public string? File { get; }

    /// <summary>Zeroed memory, aligned to 64 bytes.</summary>
    public static SegmentMemory Allocate(long length)
    {
        var allocation = new Allocation(length);
        return new SegmentMemory(allocation, allocation, length, null);
    }

    /// <exception cref="CorruptIndexException">It is empty.</exception>
    /// <exception cref="IOException"/>
    public static SegmentMemory Map(string file)
    {
        var length = new FileInfo(file).Length;
        if (length == 0) { throw new CorruptIndexException(file, "it is empty"); }

        using var mapped = MemoryMappedFile.CreateFromFile(file, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        var view = mapped.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        return new SegmentMemory(view, view.SafeMemoryMappedViewHandle, length, file);
    }

    /// <exception cref="ArgumentOutOfRangeException">It is not all inside.</exception>
    public ReadOnlySpan<byte> Slice(long offset, long length)
    {
        if (offset < 0 || length < 0 || length > int.MaxValue || offset > Length - length) { throw new ArgumentOutOfRangeException(nameof(offset), $"{length} bytes at {offset} are not inside {Length}."); }
        return new ReadOnlySpan<byte>(Pointer + offset, (int)length);
    }

    public void Dispose()
    {
        Pointer = null;
        owner.Dispose();
    }

    private sealed class Allocation : SafeBuffer
    {
        public Allocation(long length)
            : base(ownsHandle: true)
        {
            SetHandle((nint)NativeMemory.AlignedAlloc((nuint)length, 64));
            NativeMemory.Clear((void*)handle, (nuint)length);
            Initialize((ulong)length);
        }

        protected override bool ReleaseHandle()
        {
            NativeMemory.AlignedFree((void*)handle);
            return true;
        }
    }
}
