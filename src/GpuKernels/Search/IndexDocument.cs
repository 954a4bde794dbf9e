using System.Buffers.Binary;

namespace Platform.GpuKernels.Search;

/// <summary>What is found: usually a chunk of a longer text.</summary>
/// <param name="Id">Equal scores come in the order of ids, as <see cref="Guid.CompareTo(Guid)"/> has it.</param>
/// <param name="Text">What keywords are looked for in; may be empty.</param>
public sealed record IndexDocument(Guid Id, string Text)
{
    /// <summary>Counts <see cref="IndexSettings.TitleWeight"/> times.</summary>
    public string Title { get; init; } = "";

    /// <summary>Of the index's dimensions, finite; empty where there is none, and the document is then found by keywords only.</summary>
    public ReadOnlyMemory<float> Vector { get; init; }

    /// <summary>What <see cref="DocumentFilter.Tagged"/> asks for, compared byte by byte.</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];
}

/// <summary>Ids as numbers, in the same order.</summary>
internal static class DocumentId
{
    public static UInt128 ToNumber(Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        return BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    public static Guid FromNumber(UInt128 number)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, number);
        return new Guid(bytes, bigEndian: true);
    }
}
