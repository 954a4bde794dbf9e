using System.Text;
using Platform.GpuKernels.Search.Segments;

namespace Platform.GpuKernels.Search;

/// <summary>Which documents may be hits. Evaluated to a bitmap a segment, before anything is scored: a narrow filter makes a search faster.</summary>
public abstract class DocumentFilter
{
    /// <summary>How deep filters may contain each other.</summary>
    public const int Depth = 64;

    private readonly int depth;

    private DocumentFilter(params ReadOnlySpan<DocumentFilter> parts)
    {
        foreach (var part in parts) { depth = Math.Max(depth, part.depth + 1); }
        if (depth > Depth) { throw new ArgumentException($"A filter contains others at most {Depth} deep."); }
    }

    /// <summary>Documents with a tag.</summary>
    public static DocumentFilter Tagged(string tag) => new WithTag(tag);

    /// <summary>Documents with one of these ids.</summary>
    public static DocumentFilter WithId(IEnumerable<Guid> ids) => new OneOf([.. ids.Select(DocumentId.ToNumber)]);

    /// <summary>Documents that pass all; all documents where there is none.</summary>
    public static DocumentFilter All(params IReadOnlyList<DocumentFilter> filters) => new Every([.. filters]);

    /// <summary>Documents that pass one at least; no document where there is none.</summary>
    public static DocumentFilter Any(params IReadOnlyList<DocumentFilter> filters) => new Some([.. filters]);

    /// <summary>Documents that do not pass.</summary>
    public static DocumentFilter Not(DocumentFilter filter) => new None(filter);

    internal abstract Bitmap Evaluate(Segment segment);

    private sealed class WithTag(string tag) : DocumentFilter
    {
        internal override Bitmap Evaluate(Segment segment)
        {
            var passing = new Bitmap(segment.Rows);
            var at = segment.Tags.Find(Encoding.UTF8.GetBytes(tag));
            if (at >= 0) { segment.Tags.Add(at, passing); }
            return passing;
        }
    }

    private sealed class OneOf(UInt128[] ids) : DocumentFilter
    {
        internal override Bitmap Evaluate(Segment segment)
        {
            var passing = new Bitmap(segment.Rows);
            foreach (var id in ids)
            {
                if (segment.Find(id) is >= 0 and var row) { passing[row] = true; }
            }

            return passing;
        }
    }

    private sealed class Every(DocumentFilter[] filters) : DocumentFilter(filters)
    {
        internal override Bitmap Evaluate(Segment segment) => filters.Aggregate(new Bitmap(segment.Rows, full: true), (passing, filter) => passing.And(filter.Evaluate(segment)));
    }

    private sealed class Some(DocumentFilter[] filters) : DocumentFilter(filters)
    {
        internal override Bitmap Evaluate(Segment segment) => filters.Aggregate(new Bitmap(segment.Rows), (passing, filter) => passing.Or(filter.Evaluate(segment)));
    }

    private sealed class None(DocumentFilter filter) : DocumentFilter(filter)
    {
        internal override Bitmap Evaluate(Segment segment) => filter.Evaluate(segment).Not();
    }
}
