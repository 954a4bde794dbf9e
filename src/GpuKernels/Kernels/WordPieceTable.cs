using System.Buffers.Binary;
using System.Numerics;

namespace Platform.GpuKernels.Kernels;

/// <summary>A vocabulary as wordpiece.cl looks it up: a table of whole words, which has most tokens, and a tree of bytes, which has all.</summary>
/// <param name="Wholes">[slots][8]: the token's bytes with zeros behind, how many they are (0 is free), its id, nothing; a power of two of them.</param>
/// <param name="BucketSeeds">
/// A power of two. A token's hash has a bucket by its first bits, and its product with the bucket's seed a slot by its first bits (Belazzougui, Botelho and Dietzfelbinger, "Hash, displace,
/// and compress", 2009).
/// </param>
/// <param name="Steps">
/// [slots][4], a double array (Aoe, "An Efficient Digital Search Algorithm by Using a Double-Array Structure", 1989): a node is a slot, the root slot 0; by a byte it leads to the slot at
/// its base plus the byte, if that says that it comes from there. Where it comes from (<see cref="NoNode"/>: free), its base, the id + 1 of the token that ends there, nothing.
/// </param>
/// <param name="GoOn">The node of what a continuing token begins with, or <see cref="NoNode"/>.</param>
internal sealed record WordPieceTable(uint[] Wholes, uint[] BucketSeeds, uint[] Steps, uint GoOn)
{
    public const uint NoNode = uint.MaxValue;

    /// <summary>The base of the root.</summary>
    public const uint RootBase = 1;

    /// <summary>Places that are tried for the steps of a node before it gets one behind all others.</summary>
    private const int Tries = 256;

    /// <summary>The longest token among the whole words.</summary>
    public const int KeyBytes = 16;

    private const int TokensOfBucket = 4;

    /// <summary>More are not given a place. A token without one is found in the tree, so that no vocabulary makes looking or loading long.</summary>
    private const int MostOfBucket = 32;

    /// <summary>Seeds that are tried for a bucket. A slot is free in one of three cases or more, so that for few of a usual vocabulary's none is found.</summary>
    private const int Seeds = 4096;

    private const int WholeWords = 8;
    private const int StepWords = 4;

    public int BucketShift => Shift(BucketSeeds.Length);

    public int SlotShift => Shift(Wholes.Length / WholeWords);

    /// <param name="tokens">Every token of the vocabulary with its id, of at most 2^24 bytes together (<see cref="Tokenisation.WordPiece.TokenTrie.MaximalNodes"/>).</param>
    /// <param name="continuation">What the spelling of a token begins with that continues a word: ##.</param>
    public static WordPieceTable Make(IReadOnlyList<(byte[] Token, int Id)> tokens, byte[] continuation)
    {
        var nodes = new Dictionary<uint, uint>();
        var ends = new Dictionary<uint, int>();

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
        }

        var (wholes, seeds) = PlaceWholes([.. tokens.Where(each => each.Token.Length is > 0 and <= KeyBytes)]);
        var (steps, slots) = Place(nodes, ends);
        var goOn = 0u;
        foreach (var value in continuation)
        {
            if (!nodes.TryGetValue((goOn << 8) | value, out goOn)) { return new WordPieceTable(wholes, seeds, steps, NoNode); }
        }

        return new WordPieceTable(wholes, seeds, steps, slots[goOn]);
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

    /// <summary>Tokens with a slot of their own each: a bucket's seed leads all of its tokens to free ones.</summary>
    private static (uint[] Wholes, uint[] Seeds) PlaceWholes(IReadOnlyList<(byte[] Token, int Id)> tokens)
    {
        var slots = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, tokens.Count * 3 / 2));
        var seeds = new uint[(int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, tokens.Count / TokensOfBucket))];
        var (bucketShift, slotShift) = (Shift(seeds.Length), Shift(slots));
        var wholes = new uint[WholeWords * slots];
        var keys = new uint[KeyBytes / 4];
        var hashes = new uint[tokens.Count];
        for (var i = 0; i < hashes.Length; i++)
        {
            Key(tokens[i].Token, keys);
            hashes[i] = Hash(keys);
        }

        // Large buckets are put first, while there is much room.
        foreach (var bucket in Enumerable.Range(0, hashes.Length).GroupBy(i => hashes[i] >> bucketShift).OrderByDescending(each => each.Count()))
        {
            // Of those of one hash but one has a place, and of very many the first ones.
            var some = bucket.DistinctBy(i => hashes[i]).Take(MostOfBucket).ToArray();
            var seed = 1u;
            for (var tries = 0; tries < Seeds && !Fits(seed); tries++) { seed = (seed * 0x2C1B_3C6D) + 0x297A_2D38 | 1; }

            if (!Fits(seed)) { continue; }

            seeds[bucket.Key] = seed;
            foreach (var i in some)
            {
                var slot = wholes.AsSpan((int)(hashes[i] * seed >> slotShift) * WholeWords, WholeWords);
                Key(tokens[i].Token, slot);
                (slot[KeyBytes / 4], slot[(KeyBytes / 4) + 1]) = ((uint)tokens[i].Token.Length, (uint)tokens[i].Id);
            }

            bool Fits(uint tried)
            {
                for (var i = 0; i < some.Length; i++)
                {
                    var slot = hashes[some[i]] * tried >> slotShift;
                    if (wholes[((int)slot * WholeWords) + (KeyBytes / 4)] != 0) { return false; }
                    for (var j = 0; j < i; j++)
                    {
                        if (hashes[some[j]] * tried >> slotShift == slot) { return false; }
                    }
                }

                return true;
            }
        }

        return (wholes, seeds);
    }

    private static int Shift(int count) => 32 - BitOperations.Log2((uint)count);

    private static void Key(ReadOnlySpan<byte> token, Span<uint> key)
    {
        Span<byte> bytes = stackalloc byte[KeyBytes];
        bytes.Clear();
        token.CopyTo(bytes);
        for (var i = 0; i < KeyBytes / 4; i++) { key[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(i * 4)..]); }
    }

    private static uint Hash(ReadOnlySpan<uint> key)
    {
        var both = ((ulong)(key[0] ^ 0x9E37_79B1) * (key[1] ^ 0x85EB_CA77)) ^ ((ulong)(key[2] ^ 0xC2B2_AE3D) * (key[3] ^ 0x27D4_EB2F));
        return (uint)both ^ (uint)(both >> 32);
    }
}
