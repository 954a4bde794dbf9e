using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Tokenisation.WordPiece;

/// <summary>
/// The tokens of words met before: two tables of fixed size, one for words of up to 15 bytes and one for up to 47, where a new word takes the place of an old one. A key
/// ends with its length, so that a word with zeros at its end is not taken for the shorter one.
/// </summary>
internal sealed class WordCache
{
    private const int ShortBytes = 15;
    private const int LongBytes = 47;
    private const int MaximalTokens = 4;

    /// <summary>1 MiB: the second-level cache of a core holds it, and the frequent words of a language fit.</summary>
    private const int ShortEntries = 1 << 15;

    /// <summary>512 KiB.</summary>
    private const int LongEntries = 1 << 13;

    /// <summary>Ids are below 2^23 (<see cref="Vocabulary.MaximalId"/>); the count of tokens stands above the first.</summary>
    private const int CountShift = 24;

    private readonly ShortEntry[] shortEntries = new ShortEntry[ShortEntries];
    private readonly LongEntry[] longEntries = new LongEntry[LongEntries];

    [StructLayout(LayoutKind.Sequential)]
    private struct ShortEntry
    {
        public Vector128<byte> Key;
        public Vector128<int> Ids;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct LongEntry
    {
        public Vector128<byte> Key0;
        public Vector128<byte> Key1;
        public Vector128<byte> Key2;
        public Vector128<int> Ids;
    }

    /// <summary>Writes the tokens of a word to <paramref name="ids"/>, four places at once.</summary>
    /// <param name="word">48 bytes can be read from here.</param>
    /// <returns>How many tokens; 0: the word is not known.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int TryFind(ref byte word, int length, ref int ids)
    {
        if (length > ShortBytes) { return length > LongBytes ? 0 : TryFindLong(ref word, length, ref ids); }

        var key = ShortKey(ref word, length);
        ref var entry = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(shortEntries), ShortHash(key));
        return entry.Key == key ? Write(entry.Ids, ref ids) : 0;
    }

    /// <summary>Remembers a word of some tokens.</summary>
    public void Add(ref byte word, int length, ReadOnlySpan<int> ids)
    {
        if (length > LongBytes || ids.Length > MaximalTokens) { return; }

        Span<int> four = stackalloc int[MaximalTokens];
        four.Clear();
        ids.CopyTo(four);
        four[0] |= ids.Length << CountShift;
        var kept = Vector128.Create<int>(four);
        if (length <= ShortBytes)
        {
            var key = ShortKey(ref word, length);
            shortEntries[ShortHash(key)] = new() { Key = key, Ids = kept };
            return;
        }

        var (key0, key1, key2) = LongKey(ref word, length);
        longEntries[LongHash(key0, key1, key2)] = new() { Key0 = key0, Key1 = key1, Key2 = key2, Ids = kept };
    }

    private int TryFindLong(ref byte word, int length, ref int ids)
    {
        var (key0, key1, key2) = LongKey(ref word, length);
        ref var entry = ref longEntries[LongHash(key0, key1, key2)];
        return entry.Key0 == key0 && entry.Key1 == key1 && entry.Key2 == key2 ? Write(entry.Ids, ref ids) : 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Write(Vector128<int> kept, ref int ids)
    {
        (kept & Vector128.Create((1 << CountShift) - 1, -1, -1, -1)).StoreUnsafe(ref ids);
        return kept.ToScalar() >>> CountShift;
    }

    private static ReadOnlySpan<byte> Masks =>
    [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    /// <summary>The first <paramref name="length"/> of 16 bytes, 0 to 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> First(ref byte word, int length) =>
        Vector128.LoadUnsafe(ref word) & Vector128.LoadUnsafe(ref Unsafe.Add(ref MemoryMarshal.GetReference(Masks), 16 - length));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> ShortKey(ref byte word, int length) => First(ref word, length).WithElement(15, (byte)length);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ShortHash(Vector128<byte> key) =>
        (int)(((key.AsUInt64().GetElement(0) * 0x9E3779B97F4A7C15) + (key.AsUInt64().GetElement(1) * 0xC2B2AE3D27D4EB4F)) >> (64 - 15));

    private static int LongHash(Vector128<byte> key0, Vector128<byte> key1, Vector128<byte> key2)
    {
        var mixed = (key0.AsUInt64() * 0x9E3779B97F4A7C15) ^ (key1.AsUInt64() * 0xC2B2AE3D27D4EB4F) ^ (key2.AsUInt64() * 0x165667B19E3779F9);
        return (int)(((mixed.GetElement(0) ^ (mixed.GetElement(1) >> 29)) * 0x9E3779B97F4A7C15) >> (64 - 13));
    }

    private static (Vector128<byte> Key0, Vector128<byte> Key1, Vector128<byte> Key2) LongKey(ref byte word, int length) => (
        First(ref word, Math.Min(length, 16)),
        First(ref Unsafe.Add(ref word, 16), Math.Clamp(length - 16, 0, 16)),
        First(ref Unsafe.Add(ref word, 32), Math.Clamp(length - 32, 0, 15)).WithElement(15, (byte)length));
}
