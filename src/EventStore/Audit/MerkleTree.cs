using System.Numerics;
using System.Security.Cryptography;

namespace Platform.EventStore.Audit;

/// <summary>RFC 6962 section 2.1: the Merkle tree over a log, SHA-256, with its proofs. Hashes are 32 bytes each.</summary>
public static class MerkleTree
{
    public const int HashSize = 32;

    /// <summary>The root of no leaves: SHA-256 of nothing.</summary>
    public static byte[] EmptyRoot => SHA256.HashData([]);

    /// <summary>SHA-256(0x00 || entry).</summary>
    public static byte[] Leaf(ReadOnlySpan<byte> entry)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData([0]);
        hash.AppendData(entry);
        return hash.GetHashAndReset();
    }

    /// <summary>SHA-256(0x01 || left || right).</summary>
    public static void Node(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> target)
    {
        Span<byte> joined = stackalloc byte[1 + HashSize + HashSize];
        joined[0] = 1;
        left.CopyTo(joined[1..]);
        right.CopyTo(joined[(1 + HashSize)..]);
        SHA256.HashData(joined, target);
    }

    /// <summary>The root over the first <paramref name="size"/> leaves.</summary>
    public static byte[] Root(Func<long, ReadOnlyMemory<byte>> leaf, long size) => size == 0 ? EmptyRoot : Range(leaf, 0, size);

    /// <summary>Section 2.1.1: what shows that a leaf is in the tree of this size; lowest first.</summary>
    public static IReadOnlyList<byte[]> InclusionProof(Func<long, ReadOnlyMemory<byte>> leaf, long index, long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);
        var proof = new List<byte[]>();
        Path(leaf, index, 0, size, proof);
        return proof;
    }

    /// <summary>RFC 9162 section 2.1.3.2.</summary>
    public static bool VerifyInclusion(ReadOnlySpan<byte> leafHash, long index, long size, IReadOnlyList<byte[]> proof, ReadOnlySpan<byte> root)
    {
        if (index < 0 || index >= size) { return false; }
        var (fn, sn) = (index, size - 1);
        var hash = leafHash.ToArray();
        foreach (var step in proof)
        {
            if (sn == 0 || step.Length != HashSize) { return false; }
            if ((fn & 1) == 1 || fn == sn)
            {
                Node(step, hash, hash);
                while ((fn & 1) == 0 && fn != 0) { fn >>= 1; sn >>= 1; }
            }
            else
            {
                Node(hash, step, hash);
            }

            fn >>= 1;
            sn >>= 1;
        }

        return sn == 0 && root.SequenceEqual(hash);
    }

    /// <summary>Section 2.1.2: what shows that the tree of the first size is the beginning of the second's.</summary>
    public static IReadOnlyList<byte[]> ConsistencyProof(Func<long, ReadOnlyMemory<byte>> leaf, long first, long second)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, second);
        var proof = new List<byte[]>();
        if (first > 0 && first < second) { SubProof(leaf, first, 0, second, complete: true, proof); }
        return proof;
    }

    /// <summary>RFC 9162 section 2.1.4.2.</summary>
    public static bool VerifyConsistency(long first, ReadOnlySpan<byte> firstRoot, long second, ReadOnlySpan<byte> secondRoot, IReadOnlyList<byte[]> proof)
    {
        if (first > second || first < 0) { return false; }
        if (first == second) { return proof.Count == 0 && firstRoot.SequenceEqual(secondRoot); }
        if (first == 0) { return proof.Count == 0 && firstRoot.SequenceEqual(EmptyRoot); }

        var path = new List<byte[]>(proof.Count + 1);
        if (BitOperations.IsPow2(first)) { path.Add(firstRoot.ToArray()); }
        path.AddRange(proof);
        if (path.Count == 0 || path.Any(step => step.Length != HashSize)) { return false; }

        var (fn, sn) = (first - 1, second - 1);
        while ((fn & 1) == 1) { fn >>= 1; sn >>= 1; }
        var (fr, sr) = ((byte[])path[0].Clone(), (byte[])path[0].Clone());
        foreach (var step in path.Skip(1))
        {
            if (sn == 0) { return false; }
            if ((fn & 1) == 1 || fn == sn)
            {
                Node(step, fr, fr);
                Node(step, sr, sr);
                while ((fn & 1) == 0 && fn != 0) { fn >>= 1; sn >>= 1; }
            }
            else
            {
                Node(sr, step, sr);
            }

            fn >>= 1;
            sn >>= 1;
        }

        return sn == 0 && firstRoot.SequenceEqual(fr) && secondRoot.SequenceEqual(sr);
    }

    private static byte[] Range(Func<long, ReadOnlyMemory<byte>> leaf, long from, long count)
    {
        if (count == 1) { return leaf(from).ToArray(); }
        var split = Split(count);
        var hash = Range(leaf, from, split);
        Node(hash, Range(leaf, from + split, count - split), hash);
        return hash;
    }

    private static void Path(Func<long, ReadOnlyMemory<byte>> leaf, long index, long from, long count, List<byte[]> proof)
    {
        if (count == 1) { return; }
        var split = Split(count);
        if (index < split)
        {
            Path(leaf, index, from, split, proof);
            proof.Add(Range(leaf, from + split, count - split));
        }
        else
        {
            Path(leaf, index - split, from + split, count - split, proof);
            proof.Add(Range(leaf, from, split));
        }
    }

    private static void SubProof(Func<long, ReadOnlyMemory<byte>> leaf, long first, long from, long count, bool complete, List<byte[]> proof)
    {
        if (first == count)
        {
            if (!complete) { proof.Add(Range(leaf, from, count)); }
            return;
        }

        var split = Split(count);
        if (first <= split)
        {
            SubProof(leaf, first, from, split, complete, proof);
            proof.Add(Range(leaf, from + split, count - split));
        }
        else
        {
            SubProof(leaf, first - split, from + split, count - split, complete: false, proof);
            proof.Add(Range(leaf, from, split));
        }
    }

    /// <summary>The largest power of two below the count.</summary>
    private static long Split(long count) => 1L << (63 - BitOperations.LeadingZeroCount((ulong)(count - 1)));
}

/// <summary>
/// A growing tree, kept as the roots of its complete subtrees, largest first: all that is needed to append and to tell the root.
/// </summary>
public sealed class MerkleFrontier
{
    private readonly byte[] roots = new byte[64 * MerkleTree.HashSize];
    private int count;

    public MerkleFrontier() { }

    /// <param name="size">Leaves so far.</param>
    /// <param name="state">As <see cref="State"/> gave it.</param>
    public MerkleFrontier(long size, ReadOnlySpan<byte> state)
    {
        if (state.Length != BitOperations.PopCount((ulong)size) * MerkleTree.HashSize) { throw new ArgumentException($"A tree of {size} leaves has {BitOperations.PopCount((ulong)size)} complete subtrees.", nameof(state)); }
        state.CopyTo(roots);
        count = state.Length / MerkleTree.HashSize;
        Size = size;
    }

    public long Size { get; private set; }

    public ReadOnlySpan<byte> State => roots.AsSpan(0, count * MerkleTree.HashSize);

    public void Append(ReadOnlySpan<byte> leafHash)
    {
        leafHash.CopyTo(Slot(count++));

        // Each trailing one of the size is a subtree that the new leaf completes.
        for (var carry = Size; (carry & 1) == 1; carry >>= 1)
        {
            MerkleTree.Node(Slot(count - 2), Slot(count - 1), Slot(count - 2));
            count--;
        }

        Size++;
    }

    public byte[] Root()
    {
        if (count == 0) { return MerkleTree.EmptyRoot; }
        var hash = Slot(count - 1).ToArray();
        for (var i = count - 2; i >= 0; i--) { MerkleTree.Node(Slot(i), hash, hash); }
        return hash;
    }

    private Span<byte> Slot(int index) => roots.AsSpan(index * MerkleTree.HashSize, MerkleTree.HashSize);
}
