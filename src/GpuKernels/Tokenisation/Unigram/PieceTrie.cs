using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>
/// All pieces as one trie over characters. The steps from its root stand in a table by character, all others in one table where each has a slot of its own, so that a
/// step is one read of memory whatever the script.
/// </summary>
internal sealed class PieceTrie
{
    /// <summary>Where there is no piece.</summary>
    public const int None = -1;

    private const int Root = 0;

    /// <summary>Only a file that is made for it needs so many: the 250,000 pieces of XLM-R take half a million. They take 512 MB.</summary>
    private const int MaximalNodes = 1 << 23;

    private const int ScalarBits = 21;

    private readonly IReadOnlyList<byte[]> pieces;
    private readonly int unknown;
    private readonly CharacterMap<Step> firsts;

    private readonly PerfectHash hash;
    private readonly Slot[] slots;

    /// <param name="pieces">By id. Empty ones are left out; of equal ones the last counts.</param>
    /// <param name="scores">By id.</param>
    /// <param name="unknown">What a character without a piece counts as.</param>
    /// <param name="unknownScore">Its score.</param>
    public PieceTrie(IReadOnlyList<byte[]> pieces, IReadOnlyList<double> scores, int unknown, double unknownScore)
    {
        (this.pieces, this.unknown) = (pieces, unknown);
        var nodes = new Dictionary<ulong, int>();
        var ids = new List<int> { None };
        for (var id = 0; id < pieces.Count; id++)
        {
            var node = Root;
            for (var at = 0; at < pieces[id].Length;)
            {
                ref var next = ref CollectionsMarshal.GetValueRefOrAddDefault(nodes, KeyOf(node, Utf8Text.ScalarAt(pieces[id], at, out var size)), out var known);
                if (!known)
                {
                    next = ids.Count < MaximalNodes ? ids.Count : throw new TokeniserFileException($"The vocabulary's pieces need a trie of more than {MaximalNodes} nodes, which is the limit.");
                    ids.Add(None);
                }

                node = next;
                at += size;
            }

            if (node != Root) { ids[node] = id; }
        }

        var following = new ulong[ids.Count];
        foreach (var key in nodes.Keys) { following[NodeOf(key)] |= 1UL << (int)ScalarOf(key); }

        hash = new([.. nodes.Keys]);
        slots = new Slot[hash.Slots];
        Array.Fill(slots, new Slot { Step = new(double.NegativeInfinity, None, Root, 0) });
        var begins = new List<KeyValuePair<uint, Step>>();
        foreach (var (key, node) in nodes)
        {
            var id = ids[node];
            var step = new Step(id == None ? double.NegativeInfinity : scores[id], id, node, following[node]);
            slots[hash.SlotOf(key)] = new() { Key = key, Step = step };
            if (NodeOf(key) == Root) { begins.Add(new(ScalarOf(key), id == None ? step with { Score = unknownScore, Id = unknown } : step)); }
        }

        firsts = new(begins, new(unknownScore, unknown, Root, 0));
    }

    /// <summary>What a character comes to by itself: its piece, or the unknown one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref readonly Step First(uint scalar) => ref firsts[scalar];

    /// <summary>What a piece that has come to <paramref name="node"/> comes to by one more character; neither piece nor node where none does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref readonly Step Next(int node, uint scalar)
    {
        var key = KeyOf(node, scalar);
        ref var all = ref MemoryMarshal.GetArrayDataReference(slots);
        var at = hash.SlotOf(key);

        // Which of the two it is is hard to foretell: nothing branches on it. No key has the first slot, and none 48 bits.
        var there = -(int)(((Unsafe.Add(ref all, at).Key ^ key) - 1) >> 63);
        return ref Unsafe.Add(ref all, at & there).Step;
    }

    public bool TryGetId(ReadOnlySpan<byte> piece, out int id)
    {
        id = None;
        if (piece.IsEmpty) { return false; }

        var step = First(Utf8Text.ScalarAt(piece, 0, out var at));
        while (at < piece.Length && step.Following != 0)
        {
            step = Next(step.Node, Utf8Text.ScalarAt(piece, at, out var size));
            at += size;
        }

        // A character without a piece has the id of the unknown one.
        id = at == piece.Length && (step.Id != unknown || piece.SequenceEqual(pieces[unknown])) ? step.Id : None;
        return id != None;
    }

    private static ulong KeyOf(int node, uint scalar) => (((ulong)(uint)node << ScalarBits) | scalar) + 1;

    private static int NodeOf(ulong key) => (int)((key - 1) >> ScalarBits);

    private static uint ScalarOf(ulong key) => (uint)(key - 1) & ((1u << ScalarBits) - 1);

    /// <param name="Score">Of the piece that ends here; less than any where none does.</param>
    /// <param name="Id">That piece, or <see cref="None"/>.</param>
    /// <param name="Node">What has been come to.</param>
    /// <param name="Following">A bit, by the last six of a character's, for each that a longer piece goes on with; 0 where none does.</param>
    public readonly record struct Step(double Score, int Id, int Node, ulong Following)
    {
        /// <summary>1 where a longer piece may go on with the character, else 0.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public int MayGoOn(uint scalar) => (int)(Following >> (int)scalar) & 1;
    }

    /// <summary>A key of zero is none.</summary>
    private struct Slot
    {
        public ulong Key;
        public Step Step;
    }
}
