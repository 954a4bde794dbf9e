namespace Platform.GpuKernels.Search.Segments;

/// <summary>Goes through one list of postings by ascending rows, a block of 128 at a time. Whoever holds it keeps the segment alive.</summary>
internal sealed class PostingsCursor
{
    /// <summary>The row behind the last.</summary>
    public const int End = int.MaxValue;

    private readonly int[] rows = new int[Postings.BlockRows];
    private readonly int[] frequencies = new int[Postings.BlockRows];

    private readonly string name;
    private readonly SegmentMemory memory;
    private readonly int rowsOfSegment;

    private PostingsEntry entry;
    private long offset;
    private int length, blocks, block, at, inBlock, bits, frequenciesAt, seenBlock;
    private bool frequenciesRead;
    private PostingsBound seen;

    public PostingsCursor(string name, SegmentMemory memory, int rowsOfSegment) => (this.name, this.memory, this.rowsOfSegment) = (name, memory, rowsOfSegment);

    /// <summary>Of the whole list.</summary>
    public PostingsBound Bound => new(End, entry.GreatestFrequency, entry.LeastLength);

    /// <summary>Where it stands; <see cref="End"/> behind the last.</summary>
    public int Row { get; private set; }

    /// <summary>How often the term is in the row.</summary>
    public int Frequency
    {
        get
        {
            if (!frequenciesRead) { ReadFrequencies(); }
            return frequencies[at] + 1;
        }
    }

    /// <summary>Goes to the first row of a list.</summary>
    /// <param name="at">Where its bytes begin in the segment.</param>
    /// <param name="bytes">Its bytes, and eight beyond.</param>
    public void Begin(in PostingsEntry list, long at, int bytes)
    {
        (entry, offset, length, blocks, seenBlock, seen) = (list, at, bytes, Postings.Blocks(list.Rows), -1, default);
        Read(0);
    }

    public void Next()
    {
        if (++at < inBlock) { Row = rows[at]; }
        else { Read(block + 1); }
    }

    /// <summary>Goes on to the first row that is not less.</summary>
    public void Advance(int row)
    {
        if (row <= Row) { return; }
        if (block < blocks && rows[inBlock - 1] < row)
        {
            // The block that BoundAt looked at is where a search for its row ends.
            var to = seenBlock > block && (seenBlock >= blocks || BoundOf(seenBlock - 1).LastRow < row) ? seenBlock : block + 1;
            while (to < blocks && BoundOf(to).LastRow < row) { to++; }
            Read(to);
        }

        while (Row < row) { Next(); }
    }

    /// <summary>The bound of the block in which a row would be, without reading it. A row less than <see cref="Row"/> is not asked for.</summary>
    public PostingsBound BoundAt(int row)
    {
        if (blocks == 1) { return row > rows[inBlock - 1] ? new PostingsBound(End, 0, 1) : new PostingsBound(rows[inBlock - 1], entry.GreatestFrequency, entry.LeastLength); }
        if (seenBlock < block)
        {
            seenBlock = block;
            seen = BoundOf(seenBlock);
        }

        while (seen.LastRow < row)
        {
            seenBlock++;
            seen = BoundOf(seenBlock);
        }

        return seen;
    }

    private PostingsBound BoundOf(int of) => of < blocks ? Postings.Directory(Bytes(), of, out _) : new PostingsBound(End, 0, 1);

    private ReadOnlySpan<byte> Bytes() => memory.Slice(offset, length);

    private void Read(int next)
    {
        (block, at) = (next, 0);
        if (next >= blocks)
        {
            Row = End;
            return;
        }

        var bytes = Bytes();
        var (start, before) = (0, -1);
        if (blocks > 1)
        {
            start = blocks * Postings.DirectoryEntry;
            if (next > 0)
            {
                before = Postings.Directory(bytes, next - 1, out var end).LastRow;
                start = end >= 0 && end < length - start && before >= 0 ? start + end : throw Corrupt();
            }
        }

        if (start > length - 10) { throw Corrupt(); }

        inBlock = Math.Min(Postings.BlockRows, entry.Rows - (next * Postings.BlockRows));
        var (gapBits, countBits) = (bytes[start], bytes[start + 1]);
        frequenciesAt = start + 2 + Postings.PackedLength(inBlock, gapBits);
        if (gapBits > 31 || countBits > 31 || frequenciesAt + Postings.PackedLength(inBlock, countBits) > length - 8) { throw Corrupt(); }

        Postings.Unpack(bytes[(start + 2)..], gapBits, rows.AsSpan(0, inBlock));
        long row = before;
        for (var i = 0; i < inBlock; i++)
        {
            row += rows[i] + 1L;
            rows[i] = (int)row;
        }

        if (row >= rowsOfSegment) { throw Corrupt(); }
        (bits, frequenciesRead, Row) = (countBits, false, rows[0]);
    }

    private void ReadFrequencies()
    {
        Postings.Unpack(Bytes()[frequenciesAt..], bits, frequencies.AsSpan(0, inBlock));
        frequenciesRead = true;
    }

    private CorruptIndexException Corrupt() => new(name, "a list of rows is not what was written");
}
