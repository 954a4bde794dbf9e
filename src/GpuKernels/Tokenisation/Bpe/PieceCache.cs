using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>What short pieces became, the last one of each slot. Used by one thread at a time.</summary>
internal sealed class PieceCache
{
    /// <summary>Pieces with more bytes, or of more tokens, are not kept.</summary>
    public const int MaximalBytes = 32;

    /// <summary>See <see cref="MaximalBytes"/>.</summary>
    public const int MaximalTokens = 7;

    /// <summary>1 MiB in all: half of a core's second-level cache, and the words that make up nearly all of a text.</summary>
    private const int IndexBits = 14;

    private readonly Entry[] entries = GC.AllocateArray<Entry>((1 << IndexBits) + 1, pinned: true);

    // Entries begin at multiples of 64 bytes, so that each is one line of the processor's cache.
    private readonly int offset;

    public unsafe PieceCache()
    {
        var address = (nuint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(entries));
        offset = (int)(((nuint)sizeof(Entry) - (address % (nuint)sizeof(Entry))) % (nuint)sizeof(Entry));
    }

    /// <summary>The tokens of the <paramref name="count"/> bytes at <paramref name="start"/>; empty where they are not known. Eight can be read there, whatever their number.</summary>
    /// <param name="length">Of the text: what follows the piece is read too, within these bounds.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<int> Find(ref byte text, int start, int count, int length)
    {
        if (count > MaximalBytes) { return default; }

        var key = KeyOf(ref text, start, count, length);
        ref var entry = ref EntryOf(key);
        return entry.Key == key && entry.Length == count ? MemoryMarshal.CreateReadOnlySpan(ref entry.FirstToken, entry.Count) : default;
    }

    public void Add(ref byte text, int start, int count, int length, ReadOnlySpan<int> tokens)
    {
        if (count > MaximalBytes || tokens.Length > MaximalTokens) { return; }

        var key = KeyOf(ref text, start, count, length);
        ref var entry = ref EntryOf(key);
        entry.Key = key;
        entry.Length = (byte)count;
        entry.Count = (byte)tokens.Length;
        tokens.CopyTo(MemoryMarshal.CreateSpan(ref entry.FirstToken, MaximalTokens));
    }

    /// <summary>The piece's bytes and zeros after them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> KeyOf(ref byte text, int start, int count, int length)
    {
        if (start + Vector256<byte>.Count > length) { return KeyAtEnd(ref text, start, count); }

        var bytes = Vector256.LoadUnsafe(ref text, (nuint)start);
        return bytes & Vector256.GreaterThan(Vector256.Create((byte)count), Vector256<byte>.Indices);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector256<byte> KeyAtEnd(ref byte text, int start, int count)
    {
        Span<byte> padded = stackalloc byte[Vector256<byte>.Count];
        padded.Clear();
        MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref text, start), count).CopyTo(padded);
        return Vector256.Create<byte>(padded);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Entry EntryOf(Vector256<byte> key)
    {
        var folded = (key.GetLower() ^ key.GetUpper()).AsUInt64();
        var hash = (folded[0] * 0x9E3779B97F4A7C15) + (folded[1] * 0xC2B2AE3D27D4EB4F);
        ref var first = ref Unsafe.AddByteOffset(ref MemoryMarshal.GetArrayDataReference(entries), offset);
        return ref Unsafe.Add(ref first, (nint)(hash >> (64 - IndexBits)));
    }

    /// <summary>64 bytes. The length is kept beside the key since a piece may end in zero bytes.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 64)]
    private struct Entry
    {
        public Vector256<byte> Key;
        public int FirstToken;
        public Others Rest;
        public byte Length;
        public byte Count;

        [InlineArray(MaximalTokens - 1)]
        public struct Others
        {
            private int first;
        }
    }
}
