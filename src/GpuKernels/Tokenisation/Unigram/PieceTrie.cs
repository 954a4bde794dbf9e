using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>
/// All pieces as one trie over characters. The steps from its root stand in a table by character, all others in one table by open addressing, so that a step is one
/// read of memory whatever the script.
/// </summary>
internal sealed class PieceTrie
{
    /// <summary>Where there is no piece, and no node that goes on.</summary>
    public const int None = -1;

    private const int Root = 0;

    /// <summary>Only a file that is made for it needs so many: the 250,000 pieces of XLM-R take half a million.</summary>
    private const int MaximalNodes = 1 << 25;

    private const int ScalarBits = 21;

    private readonly CharacterMap<Step> first;

    // Chosen anew for each table: no file can be written whose steps all fall on one slot.
    private readonly ulong multiplier;
    private Slot[] slots = new Slot[1024];
    private int shift = 64 - 10;
    private int nodes = 1;

    /// <param name="pieces">By id. Empty ones are left out; of equal ones the last counts.</param>
    public PieceTrie(IReadOnlyList<byte[]> pieces)
    {
        Span<byte> random = stackalloc byte[8];
        RandomNumberGenerator.Fill(random);
        multiplier = BitConverter.ToUInt64(random) | 1;
        for (var id = 0; id < pieces.Count; id++)
        {
            var node = Root;
            for (var at = 0; at < pieces[id].Length;)
            {
                ref var slot = ref SlotFor(node, Utf8Text.ScalarAt(pieces[id], at, out var size));
                node = slot.Next;
                at += size;
                if (at == pieces[id].Length) { slot.Id = id; }
            }
        }

        var goesOn = new bool[nodes];
        foreach (var slot in slots) { goesOn[slot.Key == 0 ? Root : NodeOf(slot)] = true; }

        var begins = new List<KeyValuePair<uint, Step>>();
        foreach (ref var slot in slots.AsSpan())
        {
            if (slot.Key == 0) { continue; }

            if (!goesOn[slot.Next]) { slot.Next = None; }

            if (NodeOf(slot) == Root) { begins.Add(new((uint)(slot.Key - 1) & ((1u << ScalarBits) - 1), new(slot.Next, slot.Id))); }
        }

        first = new(begins, new(None, None));
    }

    /// <summary>What a piece that begins with the character comes to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Step First(uint scalar) => first[scalar];

    /// <summary>What a piece that has come to <paramref name="node"/> comes to by one more character; neither piece nor node where none does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Step Next(int node, uint scalar)
    {
        var key = KeyOf(node, scalar);
        ref var all = ref MemoryMarshal.GetArrayDataReference(slots);
        for (var at = (int)((key * multiplier) >> shift); ; at = (at + 1) & (slots.Length - 1))
        {
            ref var slot = ref Unsafe.Add(ref all, at);
            if (slot.Key == key) { return new(slot.Next, slot.Id); }

            if (slot.Key == 0) { return new(None, None); }
        }
    }

    public bool TryGetId(ReadOnlySpan<byte> piece, out int id)
    {
        id = None;
        if (piece.IsEmpty) { return false; }

        var step = First(Utf8Text.ScalarAt(piece, 0, out var at));
        while (at < piece.Length && step.Node != None)
        {
            step = Next(step.Node, Utf8Text.ScalarAt(piece, at, out var size));
            at += size;
        }

        id = at == piece.Length ? step.Id : None;
        return id != None;
    }

    private static ulong KeyOf(int node, uint scalar) => (((ulong)(uint)node << ScalarBits) | scalar) + 1;

    private static int NodeOf(in Slot slot) => (int)((slot.Key - 1) >> ScalarBits);

    private ref Slot SlotFor(int node, uint scalar)
    {
        // Half of the slots stay empty, so that what is not there is seen at once.
        if (nodes > slots.Length / 2) { Grow(); }

        ref var slot = ref Find(KeyOf(node, scalar));
        if (slot.Key != 0) { return ref slot; }

        if (nodes == MaximalNodes) { throw new TokeniserFileException($"The vocabulary's pieces need a trie of more than {MaximalNodes} nodes, which is the limit."); }

        slot = new() { Key = KeyOf(node, scalar), Next = nodes++, Id = None };
        return ref slot;
    }

    private ref Slot Find(ulong key)
    {
        var at = (int)((key * multiplier) >> shift);
        while (slots[at].Key != 0 && slots[at].Key != key) { at = (at + 1) & (slots.Length - 1); }

        return ref slots[at];
    }

    private void Grow()
    {
        var old = slots;
        slots = new Slot[old.Length * 2];
        shift = 64 - BitOperations.Log2((uint)slots.Length);
        foreach (var slot in old)
        {
            if (slot.Key != 0) { Find(slot.Key) = slot; }
        }
    }

    /// <param name="Node">With which longer pieces go on, or <see cref="None"/>.</param>
    /// <param name="Id">The piece that ends here, or <see cref="None"/>.</param>
    public readonly record struct Step(int Node, int Id);

    /// <summary>A key of zero is none.</summary>
    private struct Slot
    {
        public ulong Key;
        public int Next;
        public int Id;
    }
}
