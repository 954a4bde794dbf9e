using System.Runtime.InteropServices;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>The parts of a segment, in the order in which they lie.</summary>
internal enum Section
{
    /// <summary>[rows] 128-bit ids, ascending: a row is found by its id, and equal scores come in the order of ids.</summary>
    Ids,

    /// <summary>[rows] 32-bit lengths in terms, for BM25.</summary>
    Lengths,

    /// <summary>The table of terms, see <see cref="PostingsTable"/>, its keys and its postings.</summary>
    Terms,
    TermKeys,
    TermPostings,

    /// <summary>The same for tags.</summary>
    Tags,
    TagKeys,
    TagPostings,

    /// <summary>[vectors] 32-bit row of each vector, ascending.</summary>
    VectorRows,

    /// <summary>[vectors, padded to 8] 32-bit floats each.</summary>
    Scales,
    Errors,
    Norms,

    /// <summary>[vectors, padded to 8; stride] bytes.</summary>
    Codes,

    /// <summary>[vectors] CRC-32C of each original: they are read one by one, and checked then.</summary>
    OriginalChecksums,

    /// <summary>[vectors, dimensions] 32-bit floats.</summary>
    Originals,
}

/// <summary>Where a section lies.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal readonly record struct SectionPlace(long Offset, long Length, uint Checksum);

/// <summary>The first bytes of a segment: what it holds, and where. Little-endian, as every machine that .NET runs on is.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal record struct SegmentHeader
{
    /// <summary>"PLATSEG" and the version of the layout.</summary>
    public const ulong CurrentMagic = 0x0147455354414c50;

    public ulong Magic;

    /// <summary>Of all bytes, this header included.</summary>
    public long Length;

    public int Rows;
    public int Vectors;
    public int Dimensions;
    public Similarity Similarity;

    /// <summary>How text was cut into terms: another way would not find them.</summary>
    public ulong Analysis;

    /// <summary>Terms of all rows together.</summary>
    public long TotalLength;
}

/// <summary>Header, places of the sections, a checksum of both; then the sections, each at a multiple of 64.</summary>
internal static unsafe class SegmentLayout
{
    public static readonly Section[] Sections = Enum.GetValues<Section>();

    /// <summary>Rows of a segment: its bitmaps and postings then stay small enough to be made anew.</summary>
    public const int Rows = 1 << 22;

    /// <summary>Zero bytes behind every section: bits are unpacked eight bytes at a time.</summary>
    private const int Tail = 8;

    private static readonly int HeaderLength = sizeof(SegmentHeader) + (Sections.Length * sizeof(SectionPlace)) + sizeof(uint);

    /// <summary>Vectors with the rows that pad them to whole calls of <see cref="IntegerDot"/>.</summary>
    public static long Padded(int vectors) => (vectors + IntegerDot.Rows - 1L) / IntegerDot.Rows * IntegerDot.Rows;

    /// <returns>The length that a section of fixed width must have; -1 where the content decides.</returns>
    public static long LengthOf(Section section, in SegmentHeader header) => section switch
    {
        Section.Ids => header.Rows * (long)sizeof(UInt128),
        Section.Lengths => header.Rows * (long)sizeof(int),
        Section.VectorRows or Section.OriginalChecksums => header.Vectors * (long)sizeof(int),
        Section.Scales or Section.Errors or Section.Norms => Padded(header.Vectors) * sizeof(float),
        Section.Codes => Padded(header.Vectors) * Quantiser.Stride(header.Dimensions),
        Section.Originals => header.Vectors * (long)header.Dimensions * sizeof(float),
        Section.Terms or Section.TermKeys or Section.TermPostings or Section.Tags or Section.TagKeys or Section.TagPostings => -1,
    };

    public static uint HeaderChecksum(SegmentMemory memory) => *(uint*)(memory.Pointer + HeaderLength - sizeof(uint));

    /// <summary>Memory for a segment, the header not yet sealed.</summary>
    public static (SegmentMemory Memory, SectionPlace[] Places) Allocate(ref SegmentHeader header, Func<Section, long> contentLength)
    {
        var places = new SectionPlace[Sections.Length];
        var offset = Aligned(HeaderLength);
        foreach (var section in Sections)
        {
            var length = LengthOf(section, header) is >= 0 and var known ? known : contentLength(section);
            places[(int)section] = new SectionPlace(offset, length, 0);
            offset = Aligned(offset + length + Tail);
        }

        (header.Magic, header.Length) = (SegmentHeader.CurrentMagic, offset);
        return (SegmentMemory.Allocate(offset), places);
    }

    /// <summary>Computes the checksums and writes the header.</summary>
    public static void Seal(SegmentMemory memory, in SegmentHeader header, SectionPlace[] places)
    {
        for (var at = 0; at < places.Length; at++) { places[at] = places[at] with { Checksum = Stored(Sections[at], memory, places[at], End(places, at, header.Length)) }; }

        *(SegmentHeader*)memory.Pointer = header;
        places.CopyTo(new Span<SectionPlace>(memory.Pointer + sizeof(SegmentHeader), places.Length));
        *(uint*)(memory.Pointer + HeaderLength - sizeof(uint)) = Checksum.Of(memory.Pointer, HeaderLength - sizeof(uint));
    }

    /// <summary>Reads and checks everything but the originals.</summary>
    /// <exception cref="CorruptIndexException"/>
    public static SectionPlace[] Open(SegmentMemory memory, string name, out SegmentHeader header)
    {
        if (memory.Length < HeaderLength) { throw new CorruptIndexException(name, $"it has {memory.Length} bytes, less than its header"); }

        header = *(SegmentHeader*)memory.Pointer;
        if (header.Magic != SegmentHeader.CurrentMagic) { throw new CorruptIndexException(name, "it is no segment of this version"); }
        if (HeaderChecksum(memory) != Checksum.Of(memory.Pointer, HeaderLength - sizeof(uint))) { throw new CorruptIndexException(name, "the checksum of its header is wrong"); }
        if (header.Length != memory.Length) { throw new CorruptIndexException(name, $"it has {memory.Length} bytes and should have {header.Length}"); }
        if (header.Rows is < 1 or > Rows || header.Vectors < 0 || header.Vectors > header.Rows || header.Dimensions is < 0 or > SearchLimits.Dimensions || header.TotalLength < 0)
        {
            throw new CorruptIndexException(name, "its header counts what cannot be");
        }

        var places = new ReadOnlySpan<SectionPlace>(memory.Pointer + sizeof(SegmentHeader), Sections.Length).ToArray();
        var offset = Aligned(HeaderLength);
        for (var at = 0; at < places.Length; at++)
        {
            var (section, place) = (Sections[at], places[at]);
            var length = LengthOf(section, header);
            if (place.Offset != offset || place.Length < 0 || place.Length > memory.Length || (length >= 0 && place.Length != length)) { throw new CorruptIndexException(name, $"its section {section} is not where it should be"); }
            offset = Aligned(offset + place.Length + Tail);
            if (offset > memory.Length) { throw new CorruptIndexException(name, $"its section {section} ends beyond the file"); }
            if (Stored(section, memory, place, offset) != place.Checksum) { throw new CorruptIndexException(name, $"the checksum of its section {section} is wrong"); }
        }

        return offset == memory.Length ? places : throw new CorruptIndexException(name, "more follows its last section");
    }

    private static long End(SectionPlace[] places, int at, long length) => at + 1 < places.Length ? places[at + 1].Offset : length;

    /// <summary>The checksum up to the next section; of the originals only of what follows them, since they have one each.</summary>
    private static uint Stored(Section section, SegmentMemory memory, SectionPlace place, long end)
    {
        var from = section == Section.Originals ? place.Offset + place.Length : place.Offset;
        return Checksum.Of(memory.Pointer + from, end - from);
    }

    private static long Aligned(long offset) => (offset + 63) / 64 * 64;
}
