using System.Numerics;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>
/// Gives each node a base at which the places of all its children are free. Those with many children come first; a place at which one of some size found no room is
/// not tried again for others of that size, so that the whole takes time that is linear in the table.
/// </summary>
internal sealed class PiecePlaces
{
    /// <summary>A table of 320 MiB, ids included. 250,000 pieces in all scripts have 560,000 nodes; only a vocabulary that is made for it, of wide nodes that do not fit into one another, needs more.</summary>
    private const int MaximalPlaces = 1 << 24;

    /// <summary>After so many looks, and some for each child, a node is put behind all others.</summary>
    private const int LooksOfNode = 1024;
    private const int LooksOfChild = 16;

    private readonly BitSet taken = new();
    private readonly BitSet bases = new();
    private readonly int[] from = new int[32];
    private int end;

    /// <param name="nodes">Their bases are set.</param>
    /// <param name="most">The greatest code.</param>
    /// <exception cref="TokeniserFileException">The table would be too large.</exception>
    public PiecePlaces(Span<PieceNode> nodes, int most)
    {
        // The root's children stand first, at their codes, whether there are some or not.
        nodes[0].Base = 1;
        end = nodes[0].Base + most + 1;
        from.AsSpan().Fill(end);
        Span<int> counts = stackalloc int[from.Length + 1];
        foreach (ref readonly var node in nodes[1..]) { counts[SizeOf(node) + 1]++; }

        for (var size = 1; size < counts.Length; size++) { counts[size] += counts[size - 1]; }

        var order = new int[nodes.Length];
        for (var i = 1; i < nodes.Length; i++) { order[counts[SizeOf(nodes[i])]++] = i; }

        foreach (var i in order.AsSpan(0, nodes.Length - 1))
        {
            if (nodes[i].FirstChild < nodes[i].LastChild) { Place(ref nodes[i], nodes); }
        }

        // Whatever code is looked for, from whatever base, is within the table.
        Count = end + most + 1;
    }

    /// <summary>How many places the table has.</summary>
    public int Count { get; }

    /// <summary>0 for those with most children.</summary>
    private int SizeOf(in PieceNode node) => from.Length - 1 - BitOperations.Log2((uint)(node.LastChild - node.FirstChild) | 1);

    private void Place(ref PieceNode node, Span<PieceNode> nodes)
    {
        var children = node.Children(nodes);
        ref var at = ref from[SizeOf(node)];
        var looks = LooksOfNode + (LooksOfChild * children.Length);
        ulong free;
        while (true)
        {
            // The places for the first child, 64 at once; a bit is left for each where the others have room too.
            free = ~bases.From(at - children[0].Code);
            foreach (ref readonly var child in children)
            {
                free &= ~taken.From(at - children[0].Code + child.Code);
                looks--;
                if (free == 0) { break; }
            }

            if (free != 0) { break; }

            at = looks < 0 ? Math.Max(at + 64, end) : at + 64;
        }

        var place = at + BitOperations.TrailingZeroCount(free);
        node.Base = place - children[0].Code;
        bases.Add(node.Base);
        foreach (ref readonly var child in children) { taken.Add(node.Base + child.Code); }

        end = Math.Max(end, node.Base + children[^1].Code + 1);
        if (end > MaximalPlaces) { throw new TokeniserFileException($"The vocabulary's pieces need a table of more than {MaximalPlaces} places, which is the limit."); }
    }

    private sealed class BitSet
    {
        private ulong[] words = new ulong[1024];

        public void Add(int bit)
        {
            if (bit >> 6 >= words.Length) { Array.Resize(ref words, Math.Max(words.Length * 2, (bit >> 6) + 1)); }

            words[bit >> 6] |= 1UL << bit;
        }

        /// <summary>The bit and the 63 after it.</summary>
        public ulong From(int bit)
        {
            var (word, shift) = (bit >> 6, bit & 63);
            var low = word < words.Length ? words[word] >> shift : 0;
            return shift == 0 || word + 1 >= words.Length ? low : low | (words[word + 1] << (64 - shift));
        }
    }
}
