using System.Runtime.InteropServices;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>Puts a vector's codes and its original where they belong.</summary>
/// <param name="codes">All codes are zero.</param>
internal delegate RowBound PutVector(int vector, Span<byte> codes, Span<float> original);

/// <summary>What goes into a segment.</summary>
/// <param name="Ids">Ascending.</param>
/// <param name="VectorRows">The row of every vector, ascending.</param>
internal sealed record SegmentContent(
    IndexSettings Settings, ulong Analysis, UInt128[] Ids, int[] Lengths, PostingsTableBuilder Terms, PostingsTableBuilder Tags, int[] VectorRows, PutVector Put);

/// <summary>Lays a segment out in memory, as its file will be.</summary>
internal static unsafe class SegmentWriter
{
    public static Segment Write(SegmentContent content)
    {
        var header = new SegmentHeader
        {
            Rows = content.Ids.Length,
            Vectors = content.VectorRows.Length,
            Dimensions = content.Settings.Dimensions,
            Similarity = content.Settings.Similarity,
            Analysis = content.Analysis,
            TotalLength = content.Lengths.Sum(length => (long)length),
        };

        var (memory, places) = SegmentLayout.Allocate(ref header, section => BytesOf(section, content).Length);
        try
        {
            foreach (var section in SegmentLayout.Sections) { BytesOf(section, content).CopyTo(new Span<byte>(memory.Pointer + places[(int)section].Offset, (int)Math.Min(places[(int)section].Length, int.MaxValue))); }

            WriteVectors(memory, places, header, content.Put);
            SegmentLayout.Seal(memory, header, places);
        }
        catch
        {
            memory.Dispose();
            throw;
        }

        return new Segment(memory);
    }

    private static void WriteVectors(SegmentMemory memory, SectionPlace[] places, in SegmentHeader header, PutVector put)
    {
        byte* At(Section section) => memory.Pointer + places[(int)section].Offset;
        var stride = Quantiser.Stride(header.Dimensions);
        new Span<byte>(At(Section.Codes) + (header.Vectors * (long)stride), (int)(SegmentLayout.Padded(header.Vectors) - header.Vectors) * stride).Fill(Quantiser.ZeroCode);
        for (var vector = 0; vector < header.Vectors; vector++)
        {
            var codes = new Span<byte>(At(Section.Codes) + (vector * (long)stride), stride);
            codes.Fill(Quantiser.ZeroCode);
            var original = (float*)At(Section.Originals) + (vector * (long)header.Dimensions);
            var bound = put(vector, codes, new Span<float>(original, header.Dimensions));
            (((float*)At(Section.Scales))[vector], ((float*)At(Section.Errors))[vector], ((float*)At(Section.Norms))[vector]) = (bound.Scale, bound.Error, bound.Norm);
            ((uint*)At(Section.OriginalChecksums))[vector] = Checksum.Of(original, header.Dimensions);
        }
    }

    /// <summary>Those that are there before the segment is; empty for those of vectors.</summary>
    private static ReadOnlySpan<byte> BytesOf(Section section, SegmentContent content) => section switch
    {
        Section.Ids => MemoryMarshal.AsBytes(content.Ids.AsSpan()),
        Section.Lengths => MemoryMarshal.AsBytes(content.Lengths.AsSpan()),
        Section.Terms => content.Terms.Entries.Written,
        Section.TermKeys => content.Terms.Keys.Written,
        Section.TermPostings => content.Terms.Postings.Written,
        Section.Tags => content.Tags.Entries.Written,
        Section.TagKeys => content.Tags.Keys.Written,
        Section.TagPostings => content.Tags.Postings.Written,
        Section.VectorRows => MemoryMarshal.AsBytes(content.VectorRows.AsSpan()),
        Section.Scales or Section.Errors or Section.Norms or Section.Codes or Section.OriginalChecksums or Section.Originals => default,
    };
}
