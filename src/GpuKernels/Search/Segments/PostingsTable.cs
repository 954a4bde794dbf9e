using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>One key of a table: a term or a tag. The entry behind the last says where that one ends.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal readonly record struct PostingsEntry(int KeyOffset, int Rows, int GreatestFrequency, int LeastLength, int PostingsOffset);

/// <summary>Keys in the order of their bytes, each with the rows that have it.</summary>
/// <param name="name">The segment, for errors.</param>
internal sealed unsafe class PostingsTable(SegmentMemory memory, SectionPlace entries, SectionPlace keys, SectionPlace postings, int rows, string name)
{
    private readonly PostingsEntry* table = (PostingsEntry*)(memory.Pointer + entries.Offset);

    public int Count { get; } = entries.Length >= sizeof(PostingsEntry) && entries.Length % sizeof(PostingsEntry) == 0
        ? (int)Math.Min(int.MaxValue, (entries.Length / sizeof(PostingsEntry)) - 1)
        : throw new CorruptIndexException(name, "a table of keys has no whole number of entries");

    public ReadOnlySpan<byte> KeyAt(int at) => Slice(keys, table[at].KeyOffset, table[at + 1].KeyOffset, 0);

    /// <returns>-1 where no row has it.</returns>
    public int Find(ReadOnlySpan<byte> key)
    {
        var (from, to) = (0, Count - 1);
        while (from <= to)
        {
            var middle = (from + to) >>> 1;
            var order = KeyAt(middle).SequenceCompareTo(key);
            if (order == 0) { return middle; }
            if (order < 0) { from = middle + 1; }
            else { to = middle - 1; }
        }

        return -1;
    }

    public int RowsAt(int at) => table[at].Rows;

    public PostingsCursor NewCursor() => new(name, memory, rows);

    public PostingsCursor Open(int at)
    {
        var cursor = NewCursor();
        Begin(cursor, at);
        return cursor;
    }

    /// <summary>Sets a cursor of this table to the first row of a key.</summary>
    public void Begin(PostingsCursor cursor, int at)
    {
        var entry = table[at];
        if (entry.Rows < 1 || entry.Rows > rows) { throw new CorruptIndexException(name, "a list counts more rows than there are"); }
        cursor.Begin(entry, postings.Offset + entry.PostingsOffset, Slice(postings, entry.PostingsOffset, table[at + 1].PostingsOffset, 8).Length);
    }

    /// <summary>Sets the rows of a key in a bitmap.</summary>
    public void Add(int at, Bitmap to)
    {
        for (var cursor = Open(at); cursor.Row != PostingsCursor.End; cursor.Next()) { to[cursor.Row] = true; }
    }

    private ReadOnlySpan<byte> Slice(SectionPlace section, int from, int to, int beyond)
    {
        if (from < 0 || to < from || to > section.Length) { throw new CorruptIndexException(name, "an entry points outside of its section"); }
        return memory.Slice(section.Offset + from, to - from + beyond);
    }
}

/// <summary>Collects a table, its keys in the order of their bytes.</summary>
internal sealed class PostingsTableBuilder
{
    public ByteBuffer Entries { get; } = new();

    public ByteBuffer Keys { get; } = new();

    public ByteBuffer Postings { get; } = new();

    public void Add(ReadOnlySpan<byte> key, ReadOnlySpan<int> rows, ReadOnlySpan<int> frequencies, ReadOnlySpan<int> lengthOf)
    {
        var (keyOffset, postingsOffset) = (Keys.Length, Postings.Length);
        Keys.Append(key);
        var bound = Segments.Postings.Encode(Postings, rows, frequencies, lengthOf);
        Entries.Append(new PostingsEntry(keyOffset, rows.Length, bound.GreatestFrequency, bound.LeastLength, postingsOffset));
    }

    public void Finish() => Entries.Append(new PostingsEntry(Keys.Length, 0, 0, 0, Postings.Length));
}
