using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Platform.GpuKernels.Tokenisation.Unigram;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>
/// Normalises a word cluster by cluster: a character that stages take apart from what is before it, and those behind it that they do not. A text has few different ones:
/// what became of each is remembered, in a table of fixed size where a new one takes the place of an old. Used by one thread at a time.
/// </summary>
internal sealed class ClusterNormaliser(WordStages stages, WorkingText working)
{
    /// <summary>Of a cluster, and of what becomes of it. A longer one sends its word through the stages as a whole.</summary>
    private const int MaximalBytes = 15;

    /// <summary>128 KiB.</summary>
    private const int TableBits = 12;

    /// <summary>Room for longer words is not kept.</summary>
    private const int KeptRoom = 1024 * 1024;

    private readonly Entry[] table = new Entry[1 << TableBits];
    private byte[] made = new byte[1024];

    /// <summary>Both end with a length, so that no cluster is all zeros.</summary>
    private readonly record struct Entry(Vector128<byte> Cluster, Vector128<byte> Becomes);

    /// <summary>What a cluster becomes that does not stand by itself: something longer than there is room for.</summary>
    private static Vector128<byte> NotAlone => Vector128<byte>.AllBitsSet;

    /// <summary>Normalises a word that was read, but for what the model sees before it.</summary>
    /// <param name="piece">16 bytes can be read from each of its characters on.</param>
    /// <param name="read">The same.</param>
    /// <param name="before">So many characters stand before the word.</param>
    /// <param name="normalised">Valid up to the next call; empty where a cluster does not stand by itself.</param>
    public bool TryNormalise(ReadOnlySpan<byte> piece, PieceLattice read, int before, out ReadOnlySpan<byte> normalised)
    {
        normalised = [];
        if (made.Length > KeptRoom) { made = new byte[1024]; }

        ref var first = ref MemoryMarshal.GetReference(piece);
        var characters = read.Characters;
        var offsets = read.Offsets;
        var length = offsets[before];
        piece[..length].CopyTo(made);
        for (var i = before; i < characters.Length;)
        {
            if (made.Length < length + Vector128<byte>.Count) { Array.Resize(ref made, checked(made.Length * 2)); }

            ref var from = ref Unsafe.Add(ref first, offsets[i]);
            ref var to = ref made[length];
            var start = i++;
            while (i < characters.Length && !stages.BeginsCluster(characters[i])) { i++; }

            var size = offsets[i] - offsets[start];
            if (i == start + 1 && stages.IsClusterThatStays(characters[start]))
            {
                Unsafe.WriteUnaligned(ref to, Unsafe.ReadUnaligned<uint>(ref from));
                length += size;
                continue;
            }

            var becomes = size > MaximalBytes ? NotAlone : Find(Key(ref from, size));
            if (becomes.GetElement(MaximalBytes) > MaximalBytes) { return false; }

            becomes.StoreUnsafe(ref to);
            length += becomes.GetElement(MaximalBytes);
        }

        normalised = made.AsSpan(0, length);
        return length > offsets[before];
    }

    /// <summary>The bytes of a cluster, and its length in the last.</summary>
    private static Vector128<byte> Key(ref byte cluster, int size) =>
        (Vector128.LoadUnsafe(ref cluster) & Vector128.LessThan(Vector128<byte>.Indices, Vector128.Create((byte)size))).WithElement(MaximalBytes, (byte)size);

    private Vector128<byte> Find(Vector128<byte> cluster)
    {
        var halves = cluster.AsUInt64();
        var hash = (halves.GetElement(0) * 0x9E3779B97F4A7C15) + (halves.GetElement(1) * 0xC2B2AE3D27D4EB4F);
        ref var entry = ref table[hash >> (64 - TableBits)];
        if (entry.Cluster != cluster) { entry = new(cluster, Normalise(cluster)); }

        return entry.Becomes;
    }

    private Vector128<byte> Normalise(Vector128<byte> cluster)
    {
        Span<byte> bytes = stackalloc byte[Vector128<byte>.Count];
        cluster.CopyTo(bytes);
        if (!stages.TryNormaliseCluster(bytes[..bytes[MaximalBytes]], working) || working.Bytes.Length > MaximalBytes) { return NotAlone; }

        bytes[MaximalBytes] = (byte)working.Bytes.Length;
        working.Bytes.CopyTo(bytes);
        return Vector128.Create<byte>(bytes);
    }
}
