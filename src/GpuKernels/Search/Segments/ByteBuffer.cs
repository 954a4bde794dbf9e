using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>Bytes that grow at their end.</summary>
internal sealed class ByteBuffer
{
    private byte[] bytes = new byte[256];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Written => bytes.AsSpan(0, Length);

    /// <summary>Zeroed bytes to write to.</summary>
    public Span<byte> Append(int count)
    {
        if (count > bytes.Length - Length) { Array.Resize(ref bytes, (int)Math.Min(Array.MaxLength, Math.Max(bytes.Length * 2L, Length + (long)count))); }

        var added = bytes.AsSpan(Length, count);
        Length += count;
        return added;
    }

    public void Append(ReadOnlySpan<byte> added) => added.CopyTo(Append(added.Length));

    public void Overwrite(int at, ReadOnlySpan<byte> with) => with.CopyTo(bytes.AsSpan(at, Length - at));

    public void Append<T>(in T value)
        where T : unmanaged => MemoryMarshal.Write(Append(System.Runtime.CompilerServices.Unsafe.SizeOf<T>()), value);
}
