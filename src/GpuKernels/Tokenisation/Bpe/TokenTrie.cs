using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>The longest token that a text begins with: a double-array trie over bytes (Aoe 1989), whose first two steps are one table.</summary>
internal sealed class TokenTrie
{
    public const int None = -1;

    private const int Block = 256;

    /// <summary>How many places a node's children are tried in before they get a new block.</summary>
    private const int Tries = 24;

    // A node is a cell: the byte that leads to it + 1, above it where its children are, above that its token + 1, or 0. The child by a byte is the cell at that
    // place ^ byte if it has this byte: no two nodes have the same place, and 0 is that of a node without children.
    private const int LabelMask = (1 << RoomShift) - 1;
    private const int RoomShift = 9;
    private const int RoomMask = (1 << RoomBits) - 1;
    private const int RoomBits = 24;
    private const int TokenShift = RoomShift + RoomBits;

    private readonly ulong[] cells;
    private readonly Start[] starts;

    private TokenTrie(ulong[] cells, Start[] starts) => (this.cells, this.starts) = (cells, starts);

    /// <param name="tokens">By id, all different; null where an id has no token.</param>
    /// <returns>null where the tokens' bytes are so scattered that the table would be mostly empty.</returns>
    public static TokenTrie? TryMake(IReadOnlyList<byte[]?> tokens) => new Builder(tokens).TryMake();

    /// <param name="text">What begins at <paramref name="start"/> and ends at <paramref name="end"/>, at least one byte.</param>
    /// <param name="looked">Where the last byte stands that was looked at.</param>
    /// <returns>The token, or <see cref="None"/>.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Longest(ref byte text, int start, int end, out int tokenEnd, out int looked)
    {
        var first = Unsafe.Add(ref text, start);
        if (end - start < 2)
        {
            tokenEnd = looked = end;
            return Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(starts), first).Token;
        }

        ref var begin = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(starts), Block + ((first << 8) | Unsafe.Add(ref text, start + 1)));
        var token = begin.Token;
        tokenEnd = start + begin.Length;
        var at = start + 2;
        ref var cells = ref MemoryMarshal.GetArrayDataReference(this.cells);
        for (var room = begin.Room; at < end; at++)
        {
            var label = Unsafe.Add(ref text, at);
            var cell = Unsafe.Add(ref cells, room ^ label);
            if (((int)cell & LabelMask) != label + 1) { break; }

            room = (int)(cell >> RoomShift) & RoomMask;
            if ((int)(cell >> TokenShift) is var found and > 0) { (token, tokenEnd) = (found - 1, at + 1); }
        }

        looked = at;
        return token;
    }

    /// <summary>
    /// The longest token of the first one or two bytes, or <see cref="None"/>, and where the children of the node behind two are; 0 where it has none.
    /// </summary>
    private struct Start
    {
        public int Room;
        public int Token;
        public int Length;
    }

    private sealed class Builder
    {
        /// <summary>The table has at most so many cells for each byte of all tokens, and some more: what is in use needs less than one.</summary>
        private const int MostCells = 2;

        private readonly int[] ids;
        private readonly byte[][] sorted;
        private readonly long limit;
        private readonly Queue<(int Node, int From, int To, int Depth)> waiting = new();
        private ulong[] cells = [];
        private bool[] rooms = [];
        private int used;

        // Free cells are a ring in both directions, through cell 0, which is never used.
        private int[] nextFree = [];
        private int[] previousFree = [];

        public Builder(IReadOnlyList<byte[]?> tokens)
        {
            ids = [.. Enumerable.Range(0, tokens.Count).Where(id => tokens[id] is { Length: > 0 })];
            sorted = [.. ids.Select(id => tokens[id]!)];
            Array.Sort(sorted, ids, Comparer<byte[]>.Create((left, right) => left.AsSpan().SequenceCompareTo(right)));
            limit = Math.Min(1 << RoomBits, (Block * Block) + (sorted.Sum(token => (long)token.Length) * MostCells)) - Block;
        }

        public TokenTrie? TryMake()
        {
            Grow();
            rooms[0] = true;
            var starts = new Start[Block + (Block * Block)];
            Array.Fill(starts, new() { Token = None });
            var nodes = new List<(int Start, int From, int To)>();
            for (var from = 0; from < sorted.Length;)
            {
                var first = sorted[from][0];
                if (sorted[from].Length == 1) { starts[first] = new() { Token = ids[from++], Length = 1 }; }

                starts.AsSpan(Block + (first << 8), Block).Fill(starts[first]);
                while (from < sorted.Length && sorted[from][0] == first)
                {
                    var second = sorted[from][1];
                    var to = EndOf(from, sorted.Length, 0, first);
                    to = EndOf(from, to, 1, second);
                    var start = Block + ((first << 8) | second);
                    if (sorted[from].Length == 2) { (starts[start].Token, starts[start].Length) = (ids[from++], 2); }

                    if (from < to) { nodes.Add((start, from, to)); }

                    from = to;
                }
            }

            foreach (var (start, from, to) in nodes)
            {
                if (Place(from, to, depth: 2) is not { } room) { return null; }

                starts[start].Room = room;
            }

            // Breadth first: the many children of short beginnings find room first, and stand together.
            while (waiting.TryDequeue(out var node))
            {
                if (Place(node.From, node.To, node.Depth) is not { } room) { return null; }

                cells[node.Node] |= (ulong)room << RoomShift;
            }

            return new(cells[..used], starts);
        }

        /// <summary>Places the children of a node.</summary>
        /// <returns>Where they are; null where the table would be too large.</returns>
        private int? Place(int from, int to, int depth)
        {
            Span<byte> labels = stackalloc byte[Block];
            var count = 0;
            for (var i = from; i < to; i++)
            {
                if (count == 0 || labels[count - 1] != sorted[i][depth]) { labels[count++] = sorted[i][depth]; }
            }

            if (RoomFor(labels[..count]) is not { } room) { return null; }

            rooms[room] = true;
            foreach (var label in labels[..count])
            {
                var end = EndOf(from, to, depth, label);
                var child = room ^ label;
                (nextFree[previousFree[child]], previousFree[nextFree[child]]) = (nextFree[child], previousFree[child]);
                cells[child] = label + 1ul;
                if (sorted[from].Length == depth + 1) { cells[child] |= (ulong)(ids[from++] + 1) << TokenShift; }

                if (from < end) { waiting.Enqueue((child, from, end, depth + 1)); }

                from = end;
            }

            return room;
        }

        private int EndOf(int from, int to, int depth, byte label)
        {
            while (from < to && sorted[from][depth] == label) { from++; }

            return from;
        }

        private int? RoomFor(ReadOnlySpan<byte> labels)
        {
            var (early, late) = (nextFree[0], previousFree[0]);
            for (var tried = 0; tried < Tries && early != 0; tried++)
            {
                if (Fits(early ^ labels[0], labels)) { return early ^ labels[0]; }

                if (Fits(late ^ labels[0], labels)) { return late ^ labels[0]; }

                (early, late) = (nextFree[early], previousFree[late]);
            }

            return used < limit ? Grow() : null;
        }

        private bool Fits(int room, ReadOnlySpan<byte> labels)
        {
            if (rooms[room]) { return false; }

            foreach (var label in labels)
            {
                if ((room ^ label) == 0 || cells[room ^ label] != 0) { return false; }
            }

            return true;
        }

        /// <summary>A new block at the end of the ring.</summary>
        /// <returns>Its first cell.</returns>
        private int Grow()
        {
            var from = used;
            used += Block;
            if (used > cells.Length)
            {
                Array.Resize(ref cells, used * 2);
                Array.Resize(ref rooms, used * 2);
                Array.Resize(ref nextFree, used * 2);
                Array.Resize(ref previousFree, used * 2);
            }

            for (var cell = Math.Max(from, 1); cell < used; cell++)
            {
                var last = previousFree[0];
                (nextFree[last], previousFree[cell], nextFree[cell], previousFree[0]) = (cell, last, 0, cell);
            }

            return from;
        }
    }
}
