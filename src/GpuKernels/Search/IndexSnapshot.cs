using Platform.GpuKernels.Search.Segments;

namespace Platform.GpuKernels.Search;

/// <summary>The index as it is at one position: segments without their deleted rows. Counted by those who read it.</summary>
internal sealed class IndexSnapshot
{
    private int holders = 1;

    /// <summary>Holds every segment.</summary>
    public IndexSnapshot(IReadOnlyList<SegmentView> segments, long position)
    {
        (Segments, Position) = (segments, position);
        foreach (var view in segments)
        {
            if (!view.Segment.TryHold()) { throw new InvalidOperationException($"{view.Segment.Name} was freed before its snapshot."); }
        }
    }

    public IReadOnlyList<SegmentView> Segments { get; }

    public long Position { get; }

    /// <summary>False: it was let go already.</summary>
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
        if (Interlocked.Decrement(ref holders) > 0) { return; }
        foreach (var view in Segments) { view.Segment.LetGo(); }
    }
}
