using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>The nodes of the pieces' trie, the root first and short ones before long ones, children of a node side by side in the order of their codes.</summary>
internal sealed class PieceNodes
{
    /// <summary>Only a file that is made for it needs so many: the 250,000 pieces of XLM-R take half a million.</summary>
    private const int MaximalNodes = 1 << 23;

    private readonly IReadOnlyList<byte[]> pieces;
    private readonly List<PieceNode> nodes = [];

    /// <exception cref="TokeniserFileException">There are too many.</exception>
    public PieceNodes(IReadOnlyList<byte[]> pieces)
    {
        this.pieces = pieces;
        var order = InOrder();
        nodes.Add(new() { High = order.Length, Id = PieceTrie.None });
        for (var parent = 0; parent < nodes.Count; parent++)
        {
            var (low, high, depth) = (nodes[parent].Low, nodes[parent].High, nodes[parent].Bytes);
            for (; low < high && pieces[order[low]].Length == depth; low++) { CollectionsMarshal.AsSpan(nodes)[parent].Id = order[low]; }

            CollectionsMarshal.AsSpan(nodes)[parent].FirstChild = nodes.Count;
            while (low < high)
            {
                var scalar = Utf8Text.ScalarAt(pieces[order[low]], depth, out var size);
                var end = low + 1;
                while (end < high && Utf8Text.ScalarAt(pieces[order[end]], depth, out _) == scalar) { end++; }

                if (nodes.Count == MaximalNodes) { throw new TokeniserFileException($"The vocabulary's pieces need a trie of more than {MaximalNodes} nodes, which is the limit."); }

                nodes.Add(new() { Low = low, High = end, Bytes = depth + size, Code = (int)scalar, Id = PieceTrie.None });
                low = end;
            }

            CollectionsMarshal.AsSpan(nodes)[parent].LastChild = nodes.Count;
        }
    }

    public Span<PieceNode> All => CollectionsMarshal.AsSpan(nodes);

    /// <summary>Ids by what the pieces are, equal ones by id; without empty ones.</summary>
    private int[] InOrder()
    {
        var order = new List<int>(pieces.Count);
        for (var id = 0; id < pieces.Count; id++)
        {
            if (pieces[id].Length > 0) { order.Add(id); }
        }

        // Most differ in their first bytes: these are compared as numbers.
        int[] ids = [.. order];
        var keys = Array.ConvertAll(ids, id => Beginning(pieces[id]));
        Array.Sort(keys, ids);
        for (var from = 0; from < ids.Length;)
        {
            var to = from + 1;
            while (to < ids.Length && keys[to] == keys[from]) { to++; }

            ids.AsSpan(from, to - from).Sort((one, other) => pieces[one].AsSpan().SequenceCompareTo(pieces[other]) is var by && by != 0 ? by : one.CompareTo(other));
            from = to;
        }

        return ids;
    }

    private static ulong Beginning(byte[] piece)
    {
        Span<byte> first = stackalloc byte[sizeof(ulong)];
        piece.AsSpan(0, Math.Min(piece.Length, first.Length)).CopyTo(first);
        return BinaryPrimitives.ReadUInt64BigEndian(first);
    }
}

/// <summary>What pieces of a vocabulary begin with.</summary>
internal struct PieceNode
{
    /// <summary>Which pieces, in their order.</summary>
    public int Low;
    public int High;

    /// <summary>How many bytes they have in common.</summary>
    public int Bytes;

    /// <summary>The last character: its scalar value, until the trie puts its code there.</summary>
    public int Code;

    /// <summary>The piece that is no longer, or <see cref="PieceTrie.None"/>.</summary>
    public int Id;

    public int FirstChild;
    public int LastChild;

    /// <summary>Where its children stand in the table, less their codes; 0 where it has none.</summary>
    public int Base;

    public readonly Span<PieceNode> Children(Span<PieceNode> nodes) => nodes[FirstChild..LastChild];
}
