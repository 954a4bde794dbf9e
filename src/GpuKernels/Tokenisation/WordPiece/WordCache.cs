using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Platform.GpuKernels.Tokenisation.WordPiece;

/// <summary>
/// The tokens of words met before: two tables of fixed size, one for words of up to 15 bytes and one for up to 47. A place holds two words; a new one takes that of
/// the older. A key ends with its length, so that a word with zeros at its end is not taken for the shorter one.
/// </summary>
internal sealed unsafe class WordCache
{
    /// <summary>Longer words are not kept.</summary>
    public const int MaximalBytes = LongBytes;

    private const int ShortBytes = 15;
    private const int LongBytes = 47;

    /// <summary>So many tokens an entry holds; those of a word of more stand in a list that the entry points into.</summary>
    private const int InlineTokens = 4;

    /// <summary>512 KiB; a power of two. New words' tokens are written over those of the oldest.</summary>
    private const int ListedTokens = 1 << 17;
    private const int Line = 64;

    /// <summary>4 MiB. With half of it 30,000 words, as are frequent in a language, took each other's places often: a fifth of the time went into them.</summary>
    private const int ShortBits = 16;

    /// <summary>1 MiB.</summary>
    private const int LongBits = 13;

    /// <summary>Ids are below 2^23 (<see cref="Vocabulary.MaximalId"/>); the count of tokens stands above the first.</summary>
    private const int CountShift = 24;

    private const int PlaceMask = (1 << CountShift) - 1;

    private readonly byte[] room = GC.AllocateArray<byte>(((2 * sizeof(ShortEntry)) << ShortBits) + ((2 * sizeof(LongEntry)) << LongBits) + Line, pinned: true);
    private readonly ShortEntry* shortEntries;
    private readonly LongEntry* longEntries;
    private readonly int[] listed = new int[ListedTokens];
    private int listedCount;

    public WordCache()
    {
        var start = (nuint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(room));
        longEntries = (LongEntry*)((start + Line - 1) & ~(nuint)(Line - 1));
        shortEntries = (ShortEntry*)(longEntries + (2 << LongBits));
    }

    private struct ShortEntry
    {
        public Vector128<byte> Key;
        public Vector128<int> Ids;
    }

    private struct LongEntry
    {
        public Vector128<byte> Key0;
        public Vector128<byte> Key1;
        public Vector128<byte> Key2;
        public Vector128<int> Ids;
    }

    private static ReadOnlySpan<byte> Masks =>
    [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    /// <summary>Where a word would be, which is fetched from memory meanwhile; for <see cref="TryFind"/>.</summary>
    /// <param name="word">48 bytes can be read from here.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Place(ref byte word, int length)
    {
        if (length > ShortBytes) { return length > LongBytes ? -1 : LongPlace(ref word, length); }

        var place = ShortHash(ShortKey(ref word, length));
        if (Sse.IsSupported) { Sse.Prefetch0(shortEntries + (2 * place)); }

        return place;
    }

    /// <summary>Writes the tokens of a word to <paramref name="ids"/>, four places at once.</summary>
    /// <returns>How many tokens; 0: the word is not known.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int TryFind(ref byte word, int length, int place, ref int ids)
    {
        if (length > ShortBytes) { return place < 0 ? 0 : TryFindLong(ref word, length, place, ref ids); }

        var key = ShortKey(ref word, length);
        var entry = shortEntries + (2 * place);
        if (entry->Key == key) { return Write(entry->Ids, ref ids); }

        entry++;
        return entry->Key == key ? Write(entry->Ids, ref ids) : 0;
    }

    /// <summary>Remembers a word of some tokens.</summary>
    public void Add(ref byte word, int length, int place, ReadOnlySpan<int> ids)
    {
        var inline = ids.Length <= InlineTokens;
        if (place < 0) { return; }

        if (!inline) { MakeRoom(ids.Length); }

        Span<int> four = stackalloc int[InlineTokens];
        four.Clear();
        if (inline) { ids.CopyTo(four); }
        else
        {
            ids.CopyTo(listed.AsSpan(listedCount & (ListedTokens - 1)));
            four[0] = listedCount;
            listedCount += ids.Length;
        }

        four[0] |= ids.Length << CountShift;
        var kept = Vector128.Create<int>(four);
        if (length <= ShortBytes)
        {
            var entry = shortEntries + (2 * place);
            entry[1] = entry[0];
            entry[0] = new() { Key = ShortKey(ref word, length), Ids = kept };
        }
        else
        {
            var entry = longEntries + (2 * place);
            var (key0, key1, key2) = LongKey(ref word, length);
            entry[1] = entry[0];
            entry[0] = new() { Key0 = key0, Key1 = key1, Key2 = key2, Ids = kept };
        }
    }

    /// <summary>Goes to where so many tokens stand one behind the other.</summary>
    private void MakeRoom(int count)
    {
        var end = (listedCount | (ListedTokens - 1)) + 1;
        if (end - listedCount < count) { listedCount = end; }

        // An entry cannot tell places from here on from the first ones: once in millions of words all are forgotten.
        if (listedCount + count > PlaceMask)
        {
            room.AsSpan().Clear();
            listedCount = 0;
        }
    }

    private int LongPlace(ref byte word, int length)
    {
        var (key0, key1, key2) = LongKey(ref word, length);
        var mixed = (key0.AsUInt64() * 0x9E3779B97F4A7C15) ^ (key1.AsUInt64() * 0xC2B2AE3D27D4EB4F) ^ (key2.AsUInt64() * 0x165667B19E3779F9);
        var place = (int)(((mixed.GetElement(0) ^ (mixed.GetElement(1) >> 29)) * 0x9E3779B97F4A7C15) >> (64 - LongBits));
        if (Sse.IsSupported) { Sse.Prefetch0(longEntries + (2 * place)); }

        return place;
    }

    private int TryFindLong(ref byte word, int length, int place, ref int ids)
    {
        var (key0, key1, key2) = LongKey(ref word, length);
        var entry = longEntries + (2 * place);
        if (entry->Key0 == key0 && entry->Key1 == key1 && entry->Key2 == key2) { return Write(entry->Ids, ref ids); }

        entry++;
        return entry->Key0 == key0 && entry->Key1 == key1 && entry->Key2 == key2 ? Write(entry->Ids, ref ids) : 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Write(Vector128<int> kept, ref int ids)
    {
        var count = kept.ToScalar() >>> CountShift;
        if (count > InlineTokens) { return WriteListed(kept.ToScalar() & PlaceMask, count, ref ids); }

        (kept & Vector128.Create(PlaceMask, -1, -1, -1)).StoreUnsafe(ref ids);
        return count;
    }

    private int WriteListed(int at, int count, ref int ids)
    {
        if (listedCount - at > ListedTokens) { return 0; }

        listed.AsSpan(at & (ListedTokens - 1), count).CopyTo(MemoryMarshal.CreateSpan(ref ids, count));
        return count;
    }

    /// <summary>The first <paramref name="length"/> of 16 bytes, 0 to 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> First(ref byte word, int length) =>
        Vector128.LoadUnsafe(ref word) & Vector128.LoadUnsafe(ref Unsafe.Add(ref MemoryMarshal.GetReference(Masks), 16 - length));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> ShortKey(ref byte word, int length) => First(ref word, length).WithElement(15, (byte)length);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ShortHash(Vector128<byte> key) =>
        (int)(((key.AsUInt64().GetElement(0) * 0x9E3779B97F4A7C15) + (key.AsUInt64().GetElement(1) * 0xC2B2AE3D27D4EB4F)) >> (64 - ShortBits));

    private static (Vector128<byte> Key0, Vector128<byte> Key1, Vector128<byte> Key2) LongKey(ref byte word, int length) => (
        First(ref word, Math.Min(length, 16)),
        First(ref Unsafe.Add(ref word, 16), Math.Clamp(length - 16, 0, 16)),
        First(ref Unsafe.Add(ref word, 32), Math.Clamp(length - 32, 0, 15)).WithElement(15, (byte)length));
}
