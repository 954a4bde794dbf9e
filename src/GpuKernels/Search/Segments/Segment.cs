using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>
/// Documents that are indexed together and never change: what is deleted later is masked from outside. Counted by those who read it; the memory goes
/// when the last one lets go.
/// </summary>
internal sealed unsafe class Segment
{
    private readonly SegmentHeader header;
    private readonly SectionPlace[] places;
    private readonly UInt128* ids;
    private readonly int* lengths;
    private readonly int* vectorRows;
    private int holders = 1;

    /// <summary>Takes the memory over.</summary>
    /// <exception cref="CorruptIndexException">And the memory is freed.</exception>
    public Segment(SegmentMemory memory)
    {
        Memory = memory;
        try
        {
            Name = memory.File ?? "a segment in memory";
            places = SegmentLayout.Open(memory, Name, out header);
            ids = (UInt128*)At(Section.Ids);
            lengths = (int*)At(Section.Lengths);
            vectorRows = (int*)At(Section.VectorRows);
            Terms = new PostingsTable(memory, Place(Section.Terms), Place(Section.TermKeys), Place(Section.TermPostings), Rows, Name);
            Tags = new PostingsTable(memory, Place(Section.Tags), Place(Section.TagKeys), Place(Section.TagPostings), Rows, Name);
            CheckOrder();
            Vectors = new SegmentVectors(this);
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    public SegmentMemory Memory { get; }

    public string Name { get; }

    public ref readonly SegmentHeader Header => ref header;

    /// <summary>Of the header, which has those of all sections: it tells this segment from every other.</summary>
    public uint HeaderChecksum => SegmentLayout.HeaderChecksum(Memory);

    public int Rows => header.Rows;

    public PostingsTable Terms { get; }

    public PostingsTable Tags { get; }

    /// <summary>Those rows that have a vector.</summary>
    public VectorRows Vectors { get; }

    /// <summary>The length of every row in terms.</summary>
    public ReadOnlySpan<int> Lengths => new(lengths, Rows);

    /// <summary>The row of every vector, ascending.</summary>
    public ReadOnlySpan<int> RowOfVector => new(vectorRows, header.Vectors);

    public UInt128 IdOf(int row) => ids[row];

    /// <returns>Less than 0 where it has no such row.</returns>
    public int Find(UInt128 id) => new ReadOnlySpan<UInt128>(ids, Rows).BinarySearch(id);

    /// <summary>Whether nobody holds it any more, and its memory is gone.</summary>
    public bool IsFreed => Volatile.Read(ref holders) == 0;

    /// <summary>False: it was freed already.</summary>
    public bool TryHold()
    {
        for (var seen = Volatile.Read(ref holders); seen > 0;)
        {
            var before = Interlocked.CompareExchange(ref holders, seen + 1, seen);
            if (before == seen) { return true; }
            seen = before;
        }

        return false;
    }

    public void LetGo()
    {
        if (Interlocked.Decrement(ref holders) == 0) { Memory.Dispose(); }
    }

    public byte* At(Section section) => Memory.Pointer + places[(int)section].Offset;

    public SectionPlace Place(Section section) => places[(int)section];

    /// <summary>What reads without further checks: rows of vectors inside, ids and rows in order, lengths that can be.</summary>
    private void CheckOrder()
    {
        for (var row = 0; row < Rows; row++)
        {
            if (lengths[row] < 0 || (row > 0 && ids[row] <= ids[row - 1])) { throw new CorruptIndexException(Name, "its rows are not in order"); }
        }

        for (var vector = 0; vector < header.Vectors; vector++)
        {
            if (vectorRows[vector] >= Rows || vectorRows[vector] <= (vector == 0 ? -1 : vectorRows[vector - 1])) { throw new CorruptIndexException(Name, "its vectors are not in order"); }
        }
    }

    /// <summary>The vectors, whose originals are checked when they are first read: a scan reads few of them.</summary>
    private sealed class SegmentVectors(Segment segment) : VectorRows(
        segment.header.Vectors, segment.header.Dimensions, segment.At(Section.Codes), (float*)segment.At(Section.Scales), (float*)segment.At(Section.Errors), (float*)segment.At(Section.Norms),
        (float*)segment.At(Section.Originals))
    {
        private readonly int[] whole = new int[(segment.header.Vectors + 31L) / 32];

        public override UInt128 IdOf(int vector) => segment.ids[segment.vectorRows[vector]];

        public override float* OriginalOf(int vector)
        {
            var original = base.OriginalOf(vector);
            if ((Volatile.Read(ref whole[vector >> 5]) >> vector & 1) == 0)
            {
                if (Checksum.Of(original, Dimensions) != ((uint*)segment.At(Section.OriginalChecksums))[vector]) { throw new CorruptIndexException(segment.Name, $"the checksum of its vector {vector} is wrong"); }
                Interlocked.Or(ref whole[vector >> 5], 1 << vector);
            }

            return original;
        }
    }
}
