using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// Places between two characters over which no merge reaches, whatever stands around them: a text may be cut there, and what is between two of them be merged by itself.
/// In files of SentencePiece, which merge whole texts, nearly every word begins at one. One instance serves all threads.
/// </summary>
internal sealed class CertainCuts
{
    /// <summary>Bits for each pair that meets in a merge: one in sixteen other pairs is taken for one of them, and not cut.</summary>
    private const int BitsPerPair = 16;

    private const int AsciiPairs = 128 * 128;
    private const int BitsOfWord = 64;

    // Whether two characters meet in a merge: those of ASCII exactly, others by a hash.
    private readonly ulong[] asciiMeet = new ulong[AsciiPairs / BitsOfWord];
    private readonly ulong[] meet;
    private readonly int shift;

    // Whether a character that is no token may be merged with, or is joined to others like it.
    private readonly bool onlyTokens;

    private CertainCuts(int pairs, BaseTokens characters, bool onlyTokens)
    {
        var bits = Math.Max(6, BitOperations.Log2((uint)Math.Max(1, pairs * BitsPerPair)) + 1);
        meet = new ulong[1 << (bits - 6)];
        shift = 64 - bits;
        (Characters, this.onlyTokens) = (characters, onlyTokens);
    }

    /// <summary>Those that are tokens.</summary>
    public BaseTokens Characters { get; }

    /// <param name="options">Of a model over characters.</param>
    /// <param name="allBytes">Whether each character that is no token becomes the tokens of its bytes.</param>
    /// <returns>null where what a character becomes depends on its place, or on the whole piece.</returns>
    public static CertainCuts? TryMake(BpeOptions options, bool allBytes)
    {
        if (options.ByteLevel || options.IgnoreMerges || options.Prefix.Length > 0 || options.Suffix.Length > 0) { return null; }

        var spelled = new Dictionary<int, byte[]>();
        foreach (var (token, id) in options.Vocabulary.Entries) { spelled[id] = token; }

        var merges = options.Merges.InOrder();
        var onlyTokens = !allBytes || merges.Any(merge => IsByte(spelled[merge.Left]) || IsByte(spelled[merge.Right]));
        var cuts = new CertainCuts(merges.Count, new(options.Vocabulary.Entries), onlyTokens);
        foreach (var (left, right, _) in merges)
        {
            if (spelled[left].Length == 0 || spelled[right].Length == 0) { return null; }

            var (before, after) = (Utf8Text.ScalarBefore(spelled[left], spelled[left].Length, out _), Utf8Text.ScalarAt(spelled[right], 0, out _));
            if ((before | after) < 0x80) { Set(cuts.asciiMeet, (before << 7) | after); }
            else { Set(cuts.meet, (uint)(Hash(before, after) >> cuts.shift)); }
        }

        return cuts;
    }

    /// <summary>Whether there is such a place between two characters.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool AreApart(uint before, uint after) => !Meet(before, after) && (!onlyTokens || (Characters.OfCharacter(before) != BaseTokens.None && Characters.OfCharacter(after) != BaseTokens.None));

    /// <summary>The first such place behind <paramref name="start"/>, or the text's end.</summary>
    /// <param name="text">Valid UTF-8, not at its end.</param>
    /// <param name="start">Between two characters.</param>
    /// <param name="space">The character that a space stands for.</param>
    public int Next(ReadOnlySpan<byte> text, int start, uint space = ' ')
    {
        ref var first = ref MemoryMarshal.GetReference(text);
        var before = ScalarAt(ref first, start, space, out var size);
        for (var at = start + size; at < text.Length; at += size)
        {
            var after = ScalarAt(ref first, at, space, out size);
            if (AreApart(before, after)) { return at; }

            before = after;
        }

        return text.Length;
    }

    /// <summary>Appends all such places of a text behind its beginning to <paramref name="places"/>.</summary>
    /// <returns>How many there are then.</returns>
    public int List(ReadOnlySpan<byte> text, int start, uint space, Span<int> places, int count)
    {
        ref var first = ref MemoryMarshal.GetReference(text);
        var before = ScalarAt(ref first, start, space, out var size);
        for (var at = start + size; at < text.Length; at += size)
        {
            var after = ScalarAt(ref first, at, space, out size);
            places[count] = at;
            count += AreApart(before, after) ? 1 : 0;
            before = after;
        }

        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint ScalarAt(ref byte text, int at, uint space, out int size)
    {
        var scalar = Utf8Text.ScalarAt(ref text, at, out size);
        return scalar == ' ' ? space : scalar;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Meet(uint before, uint after) => (before | after) < 0x80 ? Has(asciiMeet, (before << 7) | after) : Has(meet, (uint)(Hash(before, after) >> shift));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Hash(uint before, uint after) => (((ulong)before << 21) | after) * 0x9E3779B97F4A7C15;

    private static bool IsByte(ReadOnlySpan<byte> token) => token.Length == 6 && token.StartsWith("<0x"u8) && token[^1] == '>' && char.IsAsciiHexDigitUpper((char)token[3]) && char.IsAsciiHexDigitUpper((char)token[4]);

    private static void Set(ulong[] bits, uint at) => bits[at / BitsOfWord] |= 1ul << (int)(at % BitsOfWord);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Has(ulong[] bits, uint at) => (Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(bits), at / BitsOfWord) >> (int)at & 1) != 0;
}
