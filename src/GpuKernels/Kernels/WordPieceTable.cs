using System.Buffers.Binary;
using System.Numerics;

namespace Platform.GpuKernels.Kernels;

/// <summary>A vocabulary as wordpiece.cl looks it up: a table of whole words, which has most tokens, and a tree of bytes, which has all.</summary>
/// <param name="Wholes">[slots][8]: the token's bytes with zeros behind, how many they are (0 is free), its id, nothing.</param>
/// <param name="Steps">[slots][4]: a node of the tree and a byte, the node that they lead to (0 is free), the id + 1 of the token that ends there, nothing.</param>
/// <param name="GoOn">The node of what a continuing token begins with, or <see cref="NoNode"/>.</param>
internal sealed record WordPieceTable(uint[] Wholes, uint[] Steps, uint GoOn)
{
    public const uint NoNode = uint.MaxValue;

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
        var wholes = new uint[WholeWords * BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, tokens.Count * 2))];
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

        var steps = new uint[StepWords * BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, nodes.Count * 2))];
        var mask = (uint)((steps.Length / StepWords) - 1);
        foreach (var (key, node) in nodes)
        {
            var at = (key * 0x9E37_79B1 >> 7) & mask;
            while (steps[(at * StepWords) + 1] != 0) { at = (at + 1) & mask; }
            (steps[at * StepWords], steps[(at * StepWords) + 1]) = (key, node);
            if (ends.TryGetValue(node, out var id)) { steps[(at * StepWords) + 2] = (uint)id + 1; }
        }

        var goOn = 0u;
        foreach (var value in continuation)
        {
            if (!nodes.TryGetValue((goOn << 8) | value, out goOn)) { return new WordPieceTable(wholes, steps, NoNode); }
        }

        return new WordPieceTable(wholes, steps, goOn);
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
