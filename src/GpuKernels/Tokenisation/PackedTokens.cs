namespace Platform.GpuKernels.Tokenisation;

/// <summary>The ids of many texts one after another, without padding: those of text i are `Ids[Starts[i]..Starts[i + 1]]`. Filled again and again, it keeps its room.</summary>
public sealed class PackedTokens
{
    private int[] ids = [];
    private int[] starts = [0];

    /// <summary>How many texts there are.</summary>
    public int Count { get; private set; }

    public ReadOnlySpan<int> Ids => ids.AsSpan(0, starts[Count]);

    /// <summary>One more than there are texts, the first 0: what encoders call cu_seqlens.</summary>
    public ReadOnlySpan<int> Starts => starts.AsSpan(0, Count + 1);

    public ReadOnlySpan<int> this[int text] => ids.AsSpan(starts[text], starts[text + 1] - starts[text]);

    /// <summary>Begins anew with texts of no tokens; the counts are then written to what is returned, and <see cref="Lay"/> called.</summary>
    internal Span<int> Begin(int texts)
    {
        if (starts.Length < texts + 1) { starts = new int[texts + 1]; }

        Count = texts;
        starts[0] = 0;
        return starts.AsSpan(1, texts);
    }

    /// <summary>Turns the counts into starts, and gives the room for all ids.</summary>
    internal int[] Lay()
    {
        for (var i = 1; i <= Count; i++) { starts[i] = checked(starts[i] + starts[i - 1]); }

        if (ids.Length < starts[Count]) { ids = new int[Math.Max(starts[Count], ids.Length * 2)]; }

        return ids;
    }
}
