using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// Byte-pair merging of one piece: of all pairs of neighbours the one of the lowest rank becomes one token, the leftmost first, until none is left.
/// Used by one thread at a time.
/// </summary>
internal sealed class PairMerger(MergeTable table)
{
    /// <summary>
    /// The longest piece, in symbols: what lies between two places where the pre-tokeniser cuts, or the whole text where it cuts nowhere. Merging keeps
    /// some 40 bytes for each symbol at hand, so that this is 640 MB.
    /// </summary>
    public const int MaximalSymbols = 16 * 1024 * 1024;

    /// <summary>Up to here every step looks at all pairs; above, a heap holds them, so that time grows with n log n.</summary>
    private const int Small = 64;

    private const int Dead = -1;

    /// <summary>Scratch that is kept between pieces; what a longer one needed is given back.</summary>
    private const int KeptSymbols = 64 * 1024;

    private int[] symbols = new int[Small];
    private int[] positions = new int[Small];
    private int[] ranks = [];
    private int[] before = [];
    private int[] after = [];
    private ulong[] heap = [];
    private int heaped;

    /// <summary>Room for the symbols of a piece; <see cref="Merge"/> leaves the tokens there.</summary>
    public Span<int> Begin(int count)
    {
        if (count > MaximalSymbols)
        {
            throw new ArgumentException($"The text has a piece of {count} characters or bytes without a place to split it; the limit is {MaximalSymbols}. Split the text first.");
        }

        if (symbols.Length < count || (symbols.Length > KeptSymbols && count <= KeptSymbols))
        {
            symbols = new int[Math.Max(count, Small)];
            positions = new int[symbols.Length];
            ranks = before = after = [];
            heap = [];
        }

        return symbols;
    }

    public ReadOnlySpan<int> Symbols => symbols;

    /// <summary>For each token that <see cref="Merge"/> left: the number of the first symbol that it was made of.</summary>
    public ReadOnlySpan<int> Positions => positions;

    /// <summary>Merges the first <paramref name="count"/> of the symbols.</summary>
    /// <returns>How many tokens are left.</returns>
    public int Merge(int count) => count <= Small ? MergeSmall(count) : MergeLarge(count);

    [SkipLocalsInit]
    private int MergeSmall(int count)
    {
        if (count == 0) { return 0; }

        // Rank and place in one number: the least is the next merge, the leftmost of equals.
        Span<int> keys = stackalloc int[Small];
        ref var key = ref MemoryMarshal.GetReference(keys);
        ref var symbol = ref MemoryMarshal.GetArrayDataReference(symbols);
        var vectors = (nuint)(count + Vector256<int>.Count - 1) & ~((nuint)Vector256<int>.Count - 1);
        for (var i = Math.Max(0, count - 1); i < (int)vectors; i++) { Unsafe.Add(ref key, i) = MergeTable.NoRank; }

        for (var i = 0; i < count - 1; i++) { Unsafe.Add(ref key, i) = Key(Unsafe.Add(ref symbol, i), Unsafe.Add(ref symbol, i + 1), i); }

        var live = count == Small ? ulong.MaxValue : (1ul << count) - 1;
        while (true)
        {
            var least = Vector256.LoadUnsafe(ref key);
            for (var i = (nuint)Vector256<int>.Count; i < vectors; i += (nuint)Vector256<int>.Count) { least = Vector256.Min(least, Vector256.LoadUnsafe(ref key, i)); }

            var half = Vector128.Min(least.GetLower(), least.GetUpper());
            half = Vector128.Min(half, Vector128.Shuffle(half, Vector128.Create(2, 3, 0, 1)));
            half = Vector128.Min(half, Vector128.Shuffle(half, Vector128.Create(1, 0, 3, 2)));
            var next = half.ToScalar();
            if (next == MergeTable.NoRank) { break; }

            var at = next & (Small - 1);
            var become = table.Becomes(next / Small);
            Unsafe.Add(ref symbol, at) = become;
            var right = live & (ulong.MaxValue << at << 1);
            var gone = BitOperations.TrailingZeroCount(right);
            live &= ~(1ul << gone);
            Unsafe.Add(ref key, gone) = MergeTable.NoRank;
            right &= right - 1;
            Unsafe.Add(ref key, at) = right == 0 ? MergeTable.NoRank : Key(become, Unsafe.Add(ref symbol, BitOperations.TrailingZeroCount(right)), at);
            var left = live & ((1ul << at) - 1);
            if (left != 0)
            {
                var neighbour = BitOperations.Log2(left);
                Unsafe.Add(ref key, neighbour) = Key(Unsafe.Add(ref symbol, neighbour), become, neighbour);
            }
        }

        var tokens = 0;
        for (; live != 0; live &= live - 1)
        {
            var at = BitOperations.TrailingZeroCount(live);
            positions[tokens] = at;
            symbols[tokens++] = symbols[at];
        }

        return tokens;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Key(int left, int right, int at)
    {
        var rank = table.Rank(left, right);
        return rank == MergeTable.NoRank ? rank : (rank * Small) | at;
    }

    private int MergeLarge(int count)
    {
        if (ranks.Length < count)
        {
            ranks = new int[symbols.Length];
            before = new int[symbols.Length];
            after = new int[symbols.Length];
        }

        heaped = 0;
        if (heap.Length < count) { heap = new ulong[symbols.Length]; }

        for (var i = 0; i < count; i++)
        {
            before[i] = i - 1;
            after[i] = i + 1;
            ranks[i] = i + 1 < count ? table.Rank(symbols[i], symbols[i + 1]) : MergeTable.NoRank;
            if (ranks[i] != MergeTable.NoRank) { heap[heaped++] = Entry(ranks[i], i); }
        }

        for (var i = (heaped / 2) - 1; i >= 0; i--) { SiftDown(i); }

        while (heaped > 0)
        {
            var top = heap[0];
            heap[0] = heap[--heaped];
            SiftDown(0);
            var at = (int)(uint)top;
            var rank = (int)(top >> 32);

            // What was put there for a pair that has changed since is passed over.
            if (ranks[at] != rank) { continue; }

            var gone = after[at];
            var next = after[gone];
            symbols[at] = table.Becomes(rank);
            symbols[gone] = Dead;
            ranks[gone] = MergeTable.NoRank;
            after[at] = next;
            if (next < count) { before[next] = at; }

            Renew(at, next, count);
            if (before[at] >= 0) { Renew(before[at], at, count); }
        }

        var tokens = 0;
        for (var i = 0; i < count; i++)
        {
            if (symbols[i] == Dead) { continue; }

            positions[tokens] = i;
            symbols[tokens++] = symbols[i];
        }

        return tokens;
    }

    private void Renew(int at, int next, int count)
    {
        ranks[at] = next < count ? table.Rank(symbols[at], symbols[next]) : MergeTable.NoRank;
        if (ranks[at] == MergeTable.NoRank) { return; }

        if (heaped == heap.Length) { Array.Resize(ref heap, heap.Length * 2); }

        var entry = Entry(ranks[at], at);
        var hole = heaped++;
        while (hole > 0 && heap[(hole - 1) / 2] > entry)
        {
            heap[hole] = heap[(hole - 1) / 2];
            hole = (hole - 1) / 2;
        }

        heap[hole] = entry;
    }

    private void SiftDown(int hole)
    {
        if (hole >= heaped) { return; }

        var entry = heap[hole];
        while (true)
        {
            var child = (hole * 2) + 1;
            if (child >= heaped) { break; }

            if (child + 1 < heaped && heap[child + 1] < heap[child]) { child++; }

            if (heap[child] >= entry) { break; }

            heap[hole] = heap[child];
            hole = child;
        }

        heap[hole] = entry;
    }

    private static ulong Entry(int rank, int at) => ((ulong)(uint)rank << 32) | (uint)at;
}
