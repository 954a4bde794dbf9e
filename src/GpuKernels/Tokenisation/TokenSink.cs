using System.Runtime.CompilerServices;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>Tokens as they come, in arrays that grow and are kept between texts.</summary>
internal sealed class TokenSink
{
    private int[] ids = new int[1024];
    private int[] starts = [];
    private int[] ends = [];

    /// <summary>Whether ranges are kept; a tokeniser may leave them out otherwise.</summary>
    public bool WantsOffsets { get; private set; }

    public int Count { get; private set; }

    /// <summary>How many tokens it holds without growing.</summary>
    public int Room => ids.Length;

    public ReadOnlySpan<int> Ids => ids.AsSpan(0, Count);

    /// <summary>The first byte of each token within its piece.</summary>
    public Span<int> Starts => starts.AsSpan(0, WantsOffsets ? Count : 0);

    /// <summary>The byte after the last of each token within its piece.</summary>
    public Span<int> Ends => ends.AsSpan(0, WantsOffsets ? Count : 0);

    public void Clear(bool wantsOffsets)
    {
        Count = 0;
        WantsOffsets = wantsOffsets;
        if (wantsOffsets && starts.Length < ids.Length)
        {
            starts = new int[ids.Length];
            ends = new int[ids.Length];
        }
    }

    /// <summary>Takes back the tokens after the first <paramref name="count"/>.</summary>
    public void TakeBackTo(int count) => Count = count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(int id, int start, int end)
    {
        var at = Count;
        if ((uint)at >= (uint)ids.Length) { Grow(1); }

        ids[at] = id;
        if (WantsOffsets)
        {
            starts[at] = start;
            ends[at] = end;
        }

        Count = at + 1;
    }

    /// <summary>Adds ids; only where no offsets are wanted.</summary>
    public void AddAll(ReadOnlySpan<int> more)
    {
        more.CopyTo(Reserve(more.Length));
        Advance(more.Length);
    }

    /// <summary>Room for <paramref name="count"/> ids after the present ones, to be filled and then <see cref="Advance"/>d; only where no offsets are wanted.</summary>
    public Span<int> Reserve(int count)
    {
        if (ids.Length - Count < count) { Grow(count); }

        return ids.AsSpan(Count);
    }

    /// <summary>Counts <paramref name="count"/> ids that were written to what <see cref="Reserve"/> gave.</summary>
    public void Advance(int count) => Count += count;

    private void Grow(int atLeast)
    {
        var length = Math.Max(ids.Length * 2, checked(Count + atLeast));
        Array.Resize(ref ids, length);
        if (WantsOffsets)
        {
            Array.Resize(ref starts, length);
            Array.Resize(ref ends, length);
        }
    }
}
