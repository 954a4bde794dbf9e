using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>Which two neighbouring tokens become one, and how soon: open addressing, one 64-bit slot for each merge.</summary>
internal sealed class MergeTable
{
    /// <summary>A slot holds two ids of 22 bits and a rank of 20. The largest files in use have 262,144 tokens and 514,906 merges.</summary>
    public const int MaximalId = (1 << SymbolBits) - 2;

    /// <summary>One more than the highest rank.</summary>
    public const int MaximalMerges = 1 << RankBits;

    /// <summary>The rank of a pair that does not merge.</summary>
    public const int NoRank = int.MaxValue;

    public const int SymbolBits = 22;
    private const int RankBits = 20;
    private const ulong Empty = ulong.MaxValue;

    /// <summary>So many times as many as slots: few pairs that do not merge have a bit that one that merges has too.</summary>
    private const int MarkBits = 3;

    private readonly ulong[] slots;

    // A bit for each pair that merges, by its hash: most pairs of a text do not, and their slots are not looked at.
    private readonly ulong[] marks;
    private readonly int[] merged;
    private readonly int shift;

    // Chosen anew for each table: no file can be written whose merges all fall on one slot.
    private readonly ulong multiplier;

    /// <param name="merges">How many will be added at most.</param>
    public MergeTable(int merges)
    {
        var bits = BitOperations.Log2((uint)Math.Max(merges, 16)) + 2;
        slots = new ulong[1 << bits];
        slots.AsSpan().Fill(Empty);
        marks = new ulong[slots.Length >> (6 - MarkBits)];
        merged = new int[merges];
        shift = 64 - bits;
        Span<byte> random = stackalloc byte[8];
        RandomNumberGenerator.Fill(random);
        multiplier = BitConverter.ToUInt64(random) | 1;
    }

    /// <summary>What a device looks pairs up in: two ids and a rank in each slot, all ones where it is free.</summary>
    public ReadOnlySpan<ulong> Slots => slots;

    /// <summary>By rank: the token that the merge makes.</summary>
    public ReadOnlySpan<int> Merged => merged;

    public int Shift => shift;

    public ulong Multiplier => multiplier;

    /// <summary>The merges in the order of their ranks.</summary>
    public IReadOnlyList<(int Left, int Right, int Becomes)> InOrder()
    {
        var byRank = new ulong[merged.Length];
        byRank.AsSpan().Fill(Empty);
        foreach (var slot in slots)
        {
            if (slot != Empty) { byRank[RankOf(slot)] = slot; }
        }

        var merges = new List<(int Left, int Right, int Becomes)>(byRank.Length);
        foreach (var slot in byRank)
        {
            if (slot != Empty) { merges.Add(((int)(slot >> (RankBits + SymbolBits)), (int)(slot >> RankBits) & ((1 << SymbolBits) - 1), merged[RankOf(slot)])); }
        }

        return merges;
    }

    /// <summary>Adds a merge; one with the same pair gives way.</summary>
    public void Add(int left, int right, int rank, int becomes)
    {
        var key = Key(left, right);
        var hash = key * multiplier;
        var mark = hash >> (shift - MarkBits);
        marks[mark / 64] |= 1ul << (int)(mark % 64);
        var at = (int)(hash >> shift);
        while (slots[at] != Empty && slots[at] >> RankBits != key) { at = (at + 1) & (slots.Length - 1); }

        slots[at] = (key << RankBits) | (uint)rank;
        merged[rank] = becomes;
    }

    /// <summary>The lower, the sooner; <see cref="NoRank"/> where the pair does not merge.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Rank(int left, int right)
    {
        var key = Key(left, right);
        var hash = key * multiplier;
        var mark = hash >> (shift - MarkBits);
        if (((Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(marks), (nint)(mark / 64)) >> (int)mark) & 1) == 0) { return NoRank; }

        ref var first = ref MemoryMarshal.GetArrayDataReference(slots);
        for (var at = (int)(hash >> shift); ; at = (at + 1) & (slots.Length - 1))
        {
            var slot = Unsafe.Add(ref first, at);
            if (slot >> RankBits == key) { return RankOf(slot); }

            if (slot == Empty) { return NoRank; }
        }
    }

    /// <summary>The token that the merge of this rank makes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Becomes(int rank) => merged[rank];

    private static int RankOf(ulong slot) => (int)slot & ((1 << RankBits) - 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Key(int left, int right) => ((ulong)(uint)left << SymbolBits) | (uint)right;
}
