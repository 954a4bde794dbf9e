using System.Runtime.InteropServices;
using System.Text;
using Platform.GpuKernels.Search.Keywords;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>Makes a segment of documents.</summary>
internal static class SegmentBuilder
{
    /// <param name="documents">Checked; each id once.</param>
    public static Segment Build(IReadOnlyList<IndexDocument> documents, Analyser analyser, IndexSettings settings)
    {
        var ordered = documents.Select(document => (Id: DocumentId.ToNumber(document.Id), Document: document)).OrderBy(entry => entry.Id).ToArray();
        var (terms, tags) = (new Occurrences(), new Occurrences());
        var lengths = new int[ordered.Length];
        var row = 0;
        void Count(ReadOnlySpan<char> term) => terms.Add(term);
        foreach (var (_, document) in ordered)
        {
            analyser.Analyse(document.Title, TermsFor.Index, Count);
            terms.Repeat(settings.TitleWeight);
            analyser.Analyse(document.Text, TermsFor.Index, Count);
            foreach (var tag in document.Tags.Distinct(StringComparer.Ordinal)) { tags.Add(tag); }

            lengths[row] = terms.EndRow(row);
            tags.EndRow(row);
            row++;
        }

        var vectorRows = Enumerable.Range(0, ordered.Length).Where(at => !ordered[at].Document.Vector.IsEmpty).ToArray();
        return SegmentWriter.Write(new SegmentContent(
            settings, analyser.Version, [.. ordered.Select(entry => entry.Id)], lengths, terms.ToTable(lengths), tags.ToTable(lengths), vectorRows, Put));

        RowBound Put(int vector, Span<byte> codes, Span<float> original)
        {
            var given = ordered[vectorRows[vector]].Document.Vector.Span;
            given.CopyTo(original);
            return Quantiser.Quantise(settings.Similarity, given, codes);
        }
    }

    /// <summary>Which key is in which row, how often: collected by rows, wanted by keys.</summary>
    private sealed class Occurrences
    {
        private readonly Dictionary<string, int> numbers = new(StringComparer.Ordinal);
        private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup;
        private readonly List<string> keys = [];
        private readonly List<int> ofRow = [];
        private readonly List<(int Key, int Row, int Frequency)> all = [];

        public Occurrences() => lookup = numbers.GetAlternateLookup<ReadOnlySpan<char>>();

        public void Add(ReadOnlySpan<char> key)
        {
            if (!lookup.TryGetValue(key, out var number))
            {
                number = keys.Count;
                keys.Add(key.ToString());
                numbers.Add(keys[number], number);
            }

            ofRow.Add(number);
        }

        /// <summary>What the row has so far counts as often as this.</summary>
        public void Repeat(int times)
        {
            var once = ofRow.Count;
            for (var time = 1; time < times; time++) { ofRow.AddRange(ofRow.GetRange(0, once)); }
        }

        /// <returns>How many were added for the row.</returns>
        public int EndRow(int row)
        {
            var length = ofRow.Count;
            ofRow.Sort();
            for (int from = 0, to; from < length; from = to)
            {
                for (to = from + 1; to < length && ofRow[to] == ofRow[from]; to++) { }
                all.Add((ofRow[from], row, to - from));
            }

            ofRow.Clear();
            return length;
        }

        public PostingsTableBuilder ToTable(int[] lengths)
        {
            // By keys, the rows of each staying in their order.
            var starts = new int[keys.Count + 1];
            foreach (var (key, _, _) in all) { starts[key + 1]++; }
            for (var key = 0; key < keys.Count; key++) { starts[key + 1] += starts[key]; }

            var (rows, frequencies, next) = (new int[all.Count], new int[all.Count], starts.ToArray());
            foreach (var (key, row, frequency) in CollectionsMarshal.AsSpan(all)) { (rows[next[key]], frequencies[next[key]++]) = (row, frequency); }

            var encoded = keys.Select((key, number) => (Bytes: Encoding.UTF8.GetBytes(key), Number: number)).ToArray();
            Array.Sort(encoded, static (left, right) => left.Bytes.AsSpan().SequenceCompareTo(right.Bytes));
            var table = new PostingsTableBuilder();
            foreach (var (bytes, number) in encoded)
            {
                var (from, count) = (starts[number], starts[number + 1] - starts[number]);
                table.Add(bytes, rows.AsSpan(from, count), frequencies.AsSpan(from, count), lengths);
            }

            table.Finish();
            return table;
        }
    }
}
