using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>All pieces as one double-array trie over bytes: the child of a node by a byte is at the node's base exclusive-or the byte.</summary>
internal sealed class PieceTrie
{
    /// <summary>The node with which every walk begins.</summary>
    public const int Root = 0;

    /// <summary>Where there is no child.</summary>
    public const int None = -1;

    /// <summary>384 MB. Only a file that is made for it needs so many: the 250,000 pieces of XLM-R take about one million.</summary>
    private const int MaximalNodes = 1 << 25;

    /// <summary>Free places that are tried for the children of a node before room is made at the end.</summary>
    private const int Tries = 64;

    private const int Fanout = 256;

    private const int Free = -2;

    private Node[] nodes = new Node[1024];

    // The free places, as a ring of those before `end`, through Base (next) and Id (previous).
    private int free = None;
    private int end;

    /// <param name="pieces">By id. Empty ones are left out; of equal ones the last counts.</param>
    public PieceTrie(IReadOnlyList<byte[]> pieces)
    {
        var order = new int[pieces.Count];
        for (var i = 0; i < order.Length; i++) { order[i] = i; }

        Array.Sort(order, (left, right) => pieces[left].AsSpan().SequenceCompareTo(pieces[right]) is var compared && compared != 0 ? compared : left.CompareTo(right));
        Extend();
        Take(Root, None);
        var waiting = new Stack<(int Node, int From, int To, int Depth)>();
        waiting.Push((Root, 0, order.Length, 0));
        Span<byte> bytes = stackalloc byte[Fanout];
        Span<int> starts = stackalloc int[Fanout + 1];
        while (waiting.TryPop(out var range))
        {
            var (node, from, to, depth) = range;
            while (from < to && pieces[order[from]].Length == depth)
            {
                nodes[node].Id = depth == 0 ? None : order[from];
                from++;
            }

            if (from == to) { continue; }

            var children = 0;
            for (var i = from; i < to; i++)
            {
                var next = pieces[order[i]][depth];
                if (children > 0 && bytes[children - 1] == next) { continue; }

                bytes[children] = next;
                starts[children++] = i;
            }

            starts[children] = to;
            var place = PlaceFor(bytes[..children]);
            nodes[node].Base = place;
            for (var i = 0; i < children; i++)
            {
                Take(place ^ bytes[i], node);
                waiting.Push((place ^ bytes[i], starts[i], starts[i + 1], depth + 1));
            }
        }

        Array.Resize(ref nodes, end);
    }

    /// <summary>The child of <paramref name="node"/> by <paramref name="value"/>, or <see cref="None"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Child(int node, byte value)
    {
        // A base is below the length, and its 256 places lie together: so does what it leads to.
        ref var first = ref MemoryMarshal.GetArrayDataReference(nodes);
        var child = Unsafe.Add(ref first, node).Base ^ value;
        return Unsafe.Add(ref first, child).Parent == node ? child : None;
    }

    /// <summary>The piece that ends at the node, or <see cref="None"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int IdAt(int node) => Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(nodes), node).Id;

    public bool TryGetId(ReadOnlySpan<byte> piece, out int id)
    {
        var node = Root;
        for (var i = 0; i < piece.Length && node != None; i++) { node = Child(node, piece[i]); }

        id = node == None ? None : IdAt(node);
        return id != None;
    }

    private int PlaceFor(ReadOnlySpan<byte> bytes)
    {
        var at = free;
        for (var tries = 0; at != None && tries < Tries; tries++)
        {
            var place = at ^ bytes[0];
            var fits = true;
            for (var i = 1; i < bytes.Length && fits; i++) { fits = nodes[place ^ bytes[i]].Parent == Free; }

            if (fits) { return place; }

            at = nodes[at].Base;
            if (at == free) { break; }
        }

        Extend();
        return end - Fanout;
    }

    private void Extend()
    {
        if (end + Fanout > MaximalNodes) { throw new TokeniserFileException($"The vocabulary's pieces need a trie of more than {MaximalNodes} nodes, which is the limit."); }

        if (nodes.Length < end + Fanout) { Array.Resize(ref nodes, nodes.Length * 2); }

        for (var i = end; i < end + Fanout; i++)
        {
            nodes[i].Parent = Free;
            if (free == None)
            {
                free = i;
                (nodes[i].Base, nodes[i].Id) = (i, i);
                continue;
            }

            var last = nodes[free].Id;
            (nodes[i].Base, nodes[i].Id) = (free, last);
            nodes[last].Base = i;
            nodes[free].Id = i;
        }

        // Of the newest room most is free.
        free = end;
        end += Fanout;
    }

    private void Take(int at, int parent)
    {
        var (next, previous) = (nodes[at].Base, nodes[at].Id);
        nodes[previous].Base = next;
        nodes[next].Id = previous;
        if (free == at) { free = next == at ? None : next; }

        nodes[at] = new Node { Base = 0, Parent = parent, Id = None };
    }

    private struct Node
    {
        public int Base;
        public int Parent;
        public int Id;
    }
}
