using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>
/// A slot of its own for each of some keys, so that a look in a table is one read that is never guessed wrongly. Keys share a bucket's displacement, which is chosen
/// so that they fall on free slots; other keys fall anywhere.
/// </summary>
/// <seealso href="https://doi.org/10.1007/978-3-642-04128-0_61">Belazzougui, Botelho and Dietzfelbinger, Hash, displace, and compress, 2009</seealso>
internal sealed class PerfectHash
{
    private const int KeysOfBucket = 4;

    /// <summary>More fall into one bucket once in many million tables; another one is tried then.</summary>
    private const int MostOfBucket = 64;

    /// <summary>Of random tables nearly each can be filled; who knows the keys does not know the numbers.</summary>
    private const int MostTables = 32;

    private ulong first;
    private ulong second;
    private readonly int bucketShift;
    private readonly int slotShift;
    private readonly ushort[] displacements;

    /// <param name="keys">All different.</param>
    public PerfectHash(ReadOnlySpan<ulong> keys)
    {
        // A fifth of the slots or more stays free; none falls on the first, which is the caller's.
        Slots = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, keys.Length + (keys.Length / 4) + 1));
        var buckets = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, keys.Length / KeysOfBucket));
        (bucketShift, slotShift, displacements) = (64 - BitOperations.Log2((uint)buckets), 64 - BitOperations.Log2((uint)Slots), new ushort[buckets]);
        var (taken, order) = (new bool[Slots], new int[keys.Length]);
        Span<ulong> random = stackalloc ulong[2];
        for (var tables = 0; ; tables++)
        {
            if (tables == MostTables) { throw new InvalidOperationException($"No table was found for {keys.Length} keys; are they all different?"); }

            RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(random));
            (first, second) = (random[0] | 1, random[1] | 1);
            if (TryFill(keys, order, taken)) { return; }
        }
    }

    /// <summary>A power of two.</summary>
    public int Slots { get; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int SlotOf(ulong key)
    {
        var mixed = Mix(key);
        return SlotOf(mixed, Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(displacements), (nint)(mixed >> bucketShift)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong Mix(ulong key)
    {
        var product = key * first;
        return product ^ (product >> 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int SlotOf(ulong mixed, uint displacement) => (int)(((mixed ^ displacement) * second) >> slotShift);

    private bool TryFill(ReadOnlySpan<ulong> keys, int[] order, bool[] taken)
    {
        var ends = new int[displacements.Length + 1];
        foreach (var key in keys) { ends[(Mix(key) >> bucketShift) + 1]++; }

        var sizes = ends[1..];
        for (var bucket = 1; bucket < ends.Length; bucket++) { ends[bucket] += ends[bucket - 1]; }

        for (var i = 0; i < keys.Length; i++) { order[ends[Mix(keys[i]) >> bucketShift]++] = i; }

        if (sizes.Max() > MostOfBucket) { return false; }

        // Large buckets are put first, while there is much room.
        var bySize = new int[displacements.Length];
        for (var bucket = 0; bucket < bySize.Length; bucket++) { bySize[bucket] = bucket; }

        Array.Sort(Array.ConvertAll(sizes, size => -size), bySize);
        Array.Clear(taken);
        taken[0] = true;
        foreach (var bucket in bySize)
        {
            if (sizes[bucket] == 0) { break; }

            if (!TryPlace(keys, order.AsSpan(ends[bucket] - sizes[bucket], sizes[bucket]), taken, out displacements[bucket])) { return false; }
        }

        return true;
    }

    private bool TryPlace(ReadOnlySpan<ulong> keys, ReadOnlySpan<int> bucket, bool[] taken, out ushort displacement)
    {
        for (uint tried = 0; tried <= ushort.MaxValue; tried++)
        {
            displacement = (ushort)tried;
            var placed = 0;
            while (placed < bucket.Length)
            {
                ref var slot = ref taken[SlotOf(Mix(keys[bucket[placed]]), tried)];
                if (slot) { break; }

                slot = true;
                placed++;
            }

            if (placed == bucket.Length) { return true; }

            while (placed > 0) { taken[SlotOf(Mix(keys[bucket[--placed]]), tried)] = false; }
        }

        displacement = 0;
        return false;
    }
}
