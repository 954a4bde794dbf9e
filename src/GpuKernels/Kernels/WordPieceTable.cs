using System.Buffers.Binary;
using System.Numerics;

namespace Platform.GpuKernels.Kernels;

/// <summary>A vocabulary as wordpiece.cl looks it up: a table of whole words, which has most tokens, and a tree of bytes, which has all.</summary>
/// <param name="Wholes">[slots][8]: the token's bytes with zeros behind, how many they are (0 is free), its id, nothing.</param>
/// <param name="Steps">
/// [slots][4], a double array (Aoe, "An Efficient Digital Search Algorithm by Using a Double-Array Structure", 1989): a node is a slot, the root slot 0; by a byte it leads to the slot at
/// its base plus the byte, if that says that it comes from there. Where it comes from (<see cref="NoNode"/>: free), its base, the id + 1 of the token that ends there, nothing.
/// </param>
/// <param name="GoOn">The node of what a continuing token begins with, or <see cref="NoNode"/>.</param>
internal sealed record WordPieceTable(uint[] Wholes, uint[] Steps, uint GoOn)
{
    public const uint NoNode = uint.MaxValue;

    /// <summary>The base of the root.</summary>
    public const uint RootBase = 1;

    /// <summary>Places that are tried for the steps of a node before it gets one behind all others.</summary>
    private const int Tries = 256;

    /// <summary>The longest token among the whole words.</summary>
    public const int KeyBytes = 16;

    /// <summary>Slots that are looked at. A token that does not fit there is found in the tree, so that no vocabulary makes the search long.</summary>
    private const int Probes = 8;

    private const int WholeWords = 8;
    private const int StepWords = 4;

    /// <param name="tokens">Every token of the vocabulary with its id, of at most 2^24 bytes together (<see cref="Tokenisation.WordPiece.TokenTrie.MaximalNodes"/>).</param>
    /// <param name="continuation">What the spelling of a token begins with that continues a word: ##.</param>
    public static WordPieceTable Make(IReadOnlyList<(byte[] Token, int Id)> tokens, byte[] continuation)
    {
        var nodes = new Dictionary<uint, uint>();
        var ends = new Dictionary<uint, int>();

        // A warp looks as often as that of its words that is looked for longest, so that the table is a quarter full at most.
        var wholes = new uint[WholeWords * BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, tokens.Count * 4))];
        foreach (var (token, id) in tokens)
        {
            if (token.Length == 0) { continue; }

            var node = 0u;
            foreach (var value in token)
            {
                var key = (node << 8) | value;
                if (!nodes.TryGetValue(key, out node)) { nodes.Add(key, node = (uint)nodes.Count + 1); }
            }

            ends[node] = id;
            if (token.Length <= KeyBytes) { AddWhole(wholes, token, id); }
        }

        var (steps, slots) = Place(nodes, ends);
        var goOn = 0u;
        foreach (var value in continuation)
        {
            if (!nodes.TryGetValue((goOn << 8) | value, out goOn)) { return new WordPieceTable(wholes, steps, NoNode); }
        }

        return new WordPieceTable(wholes, steps, slots[goOn]);
    }

    /// <summary>The double array, and of each node its slot.</summary>
    /// <param name="nodes">By a node's number and a byte the node that they lead to, which has a greater number.</param>
    private static (uint[] Steps, uint[] Slots) Place(Dictionary<uint, uint> nodes, Dictionary<uint, int> ends)
    {
        var keys = nodes.Keys.ToArray();
        Array.Sort(keys);
        var slots = new uint[nodes.Count + 1];
        var steps = new List<uint>(StepWords * (nodes.Count + 512));
        void Reach(uint last)
        {
            while (steps.Count <= last * StepWords) { steps.AddRange([NoNode, 0, 0, 0]); }
        }

        Reach(0);
        steps[1] = RootBase;

        // The first free slot, about where several that fit may be found, and the first behind all.
        uint free = 1, sparse = 1, beyond = 1;
        for (int from = 0, to; from < keys.Length; from = to)
        {
            var parent = keys[from] >> 8;
            to = from + 1;
            while (to < keys.Length && keys[to] >> 8 == parent) { to++; }

            var children = keys.AsSpan(from, to - from);
            var least = children[0] & 0xFF;
            var first = parent == 0 ? RootBase + least : Math.Max(children.Length == 1 ? free : sparse, 1 + least);
            for (var tries = 0; parent != 0; first++, tries++)
            {
                if (tries == Tries) { (sparse, first) = (Math.Max(sparse, first), Math.Max(beyond, 1 + least)); }

                Reach(first + 255);
                if (steps[(int)first * StepWords] != NoNode) { continue; }

                var fits = true;
                foreach (var child in children) { fits &= steps[(int)(first - least + (child & 0xFF)) * StepWords] == NoNode; }

                if (fits) { break; }
            }

            var start = first - least;
            Reach(start + 255);
            steps[((int)slots[parent] * StepWords) + 1] = start;
            foreach (var child in children)
            {
                var (slot, node) = (start + (child & 0xFF), nodes[child]);
                steps[(int)slot * StepWords] = slots[parent];
                if (ends.TryGetValue(node, out var id)) { steps[((int)slot * StepWords) + 2] = (uint)id + 1; }

                slots[node] = slot;
                beyond = Math.Max(beyond, slot + 1);
            }

            while (steps.Count > (int)free * StepWords && steps[(int)free * StepWords] != NoNode) { free++; }
        }

        Reach(beyond + 255);
        return ([.. steps], slots);
    }

    private static void AddWhole(uint[] wholes, ReadOnlySpan<byte> token, int id)
    {
        Span<byte> bytes = stackalloc byte[KeyBytes];
        bytes.Clear();
        token.CopyTo(bytes);
        Span<uint> key = stackalloc uint[KeyBytes / 4];
        var hash = (uint)token.Length;
        for (var i = 0; i < key.Length; i++)
        {
            key[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(i * 4)..]);
            hash = (hash ^ key[i]) * 0x9E37_79B1;
            hash ^= hash >> 15;
        }

        var mask = (uint)((wholes.Length / WholeWords) - 1);
        for (var probe = 0u; probe < Probes; probe++)
        {
            var slot = wholes.AsSpan((int)((hash + probe) & mask) * WholeWords, WholeWords);
            if (slot[KeyBytes / 4] != 0) { continue; }

            key.CopyTo(slot);
            (slot[key.Length], slot[key.Length + 1]) = ((uint)token.Length, (uint)id);
            return;
        }
    }
}
