using System.Runtime.InteropServices;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>Makes one segment of the living rows of several. A vector is copied as it is, so that scores stay the same to the bit.</summary>
internal static unsafe class SegmentMerger
{
    /// <summary>Bytes of postings or keys that one segment may come to: offsets in its tables are 31 bits.</summary>
    public const long TableBytes = 1L << 30;

    /// <returns>Null where no row lives.</returns>
    public static Segment? Merge(IReadOnlyList<SegmentView> parts, ulong analysis, IndexSettings settings)
    {
        var rows = new List<(UInt128 Id, int Part, int Row)>(parts.Sum(part => part.LiveRows));
        for (var part = 0; part < parts.Count; part++)
        {
            var view = parts[part];
            for (var row = 0; row < view.Segment.Rows; row++)
            {
                if (view.IsLive(row)) { rows.Add((view.Segment.IdOf(row), part, row)); }
            }
        }

        if (rows.Count == 0) { return null; }

        rows.Sort(static (left, right) => left.Id.CompareTo(right.Id));
        var newRows = parts.Select(part => Filled(part.Segment.Rows)).ToArray();
        var (ids, lengths) = (new UInt128[rows.Count], new int[rows.Count]);
        for (var row = 0; row < ids.Length; row++)
        {
            var (id, part, old) = rows[row];
            (ids[row], lengths[row], newRows[part][old]) = (id, parts[part].Segment.Lengths[old], row);
        }

        var vectors = Vectors(parts, newRows);
        var stride = Quantiser.Stride(settings.Dimensions);
        return SegmentWriter.Write(new SegmentContent(
            settings, analysis, ids, lengths,
            Table([.. parts.Select(part => part.Segment.Terms)], newRows, lengths), Table([.. parts.Select(part => part.Segment.Tags)], newRows, lengths),
            [.. vectors.Select(vector => vector.Row)], Put));

        RowBound Put(int vector, Span<byte> codes, Span<float> original)
        {
            var from = parts[vectors[vector].Part].Segment.Vectors;
            var at = vectors[vector].Vector;
            new ReadOnlySpan<byte>(from.Codes + (at * (long)stride), stride).CopyTo(codes);
            new ReadOnlySpan<float>(from.OriginalOf(at), settings.Dimensions).CopyTo(original);
            return new RowBound(from.Scales[at], from.Errors[at], from.Norms[at]);
        }
    }

    private static (int Row, int Part, int Vector)[] Vectors(IReadOnlyList<SegmentView> parts, int[][] newRows)
    {
        var vectors = new List<(int Row, int Part, int Vector)>();
        for (var part = 0; part < parts.Count; part++)
        {
            var rowOf = parts[part].Segment.RowOfVector;
            for (var vector = 0; vector < rowOf.Length; vector++)
            {
                if (newRows[part][rowOf[vector]] is >= 0 and var row) { vectors.Add((row, part, vector)); }
            }
        }

        vectors.Sort(static (left, right) => left.Row.CompareTo(right.Row));
        return [.. vectors];
    }

    private static PostingsTableBuilder Table(PostingsTable[] tables, int[][] newRows, int[] lengths)
    {
        var table = new PostingsTableBuilder();
        var (next, cursors) = (new int[tables.Length], Array.ConvertAll(tables, each => each.NewCursor()));
        var (rows, frequencies) = (new List<int>(), new List<int>());
        while (true)
        {
            ReadOnlySpan<byte> least = default;
            var any = false;
            for (var at = 0; at < tables.Length; at++)
            {
                if (next[at] == tables[at].Count) { continue; }

                var key = tables[at].KeyAt(next[at]);
                if (any && key.SequenceCompareTo(least) >= 0) { continue; }

                least = key;
                any = true;
            }

            if (!any) { break; }

            var parts = 0;
            for (var at = 0; at < tables.Length; at++)
            {
                if (next[at] == tables[at].Count || !tables[at].KeyAt(next[at]).SequenceEqual(least)) { continue; }

                parts++;
                tables[at].Begin(cursors[at], next[at]++);
                for (var cursor = cursors[at]; cursor.Row != PostingsCursor.End; cursor.Next())
                {
                    if (newRows[at][cursor.Row] is not (>= 0 and var row)) { continue; }
                    rows.Add(row);
                    frequencies.Add(cursor.Frequency);
                }
            }

            if (rows.Count > 0)
            {
                var ordered = CollectionsMarshal.AsSpan(rows);
                var counts = CollectionsMarshal.AsSpan(frequencies);
                if (parts > 1) { ordered.Sort(counts); }
                table.Add(least, ordered, counts, lengths);
            }

            rows.Clear();
            frequencies.Clear();
        }

        table.Finish();
        return table;
    }

    private static int[] Filled(int length)
    {
        var filled = new int[length];
        Array.Fill(filled, -1);
        return filled;
    }
}
