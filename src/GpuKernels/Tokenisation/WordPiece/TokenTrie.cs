using System.Numerics;
using System.Runtime.CompilerServices;

namespace Platform.GpuKernels.Tokenisation.WordPiece;

/// <summary>The spellings of a vocabulary as a tree of bytes, whose steps are looked up in one open table: a step is one read.</summary>
internal sealed class TokenTrie
{
    /// <summary>A step's key is a node and a byte in 32 bits. The largest vocabularies in use have some 3 million nodes.</summary>
    public const int MaximalNodes = 1 << 24;

    private readonly (uint Key, int Next)[] steps;
    private readonly int[] tokenOf;
    private readonly int mask;

    public TokenTrie(Vocabulary vocabulary)
    {
        var bytes = vocabulary.Entries.Sum(entry => (long)entry.Key.Length);
        if (bytes >= MaximalNodes) { throw StageOptions.Wrong("model.vocab", $"has {bytes} bytes; the limit is {MaximalNodes}"); }

        // At most half full, so that a search ends soon.
        steps = new (uint, int)[BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, bytes * 2))];
        mask = steps.Length - 1;
        var tokens = new List<int> { -1 };
        foreach (var (token, id) in vocabulary.Entries)
        {
            var node = 0;
            foreach (var value in token)
            {
                ref var step = ref Find(node, value);
                if (step.Next == 0)
                {
                    step = (Key(node, value), tokens.Count);
                    tokens.Add(-1);
                }

                node = step.Next;
            }

            tokens[node] = id;
        }

        tokenOf = [.. tokens];
    }

    /// <summary>The node that a spelling leads to, or -1.</summary>
    public int NodeOf(ReadOnlySpan<byte> spelling)
    {
        var node = 0;
        foreach (var value in spelling)
        {
            node = Find(node, value).Next;
            if (node == 0) { return -1; }
        }

        return node;
    }

    /// <summary>The longest token that the text goes on with from <paramref name="node"/>.</summary>
    public bool TryLongest(int node, ReadOnlySpan<byte> text, out int length, out int id)
    {
        (length, id) = (0, -1);
        for (var at = 0; at < text.Length; at++)
        {
            node = Find(node, text[at]).Next;
            if (node == 0) { break; }

            if (tokenOf[node] >= 0) { (length, id) = (at + 1, tokenOf[node]); }
        }

        return id >= 0;
    }

    private static uint Key(int node, byte value) => ((uint)node << 8) | value;

    /// <summary>The step from a node by a byte, or the empty place for it; a step never leads to node 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref (uint Key, int Next) Find(int node, byte value)
    {
        var key = Key(node, value);
        var at = (int)((key * 0x9E3779B1u) >> 7) & mask;
        while (steps[at].Next != 0 && steps[at].Key != key) { at = (at + 1) & mask; }

        return ref steps[at];
    }
}
