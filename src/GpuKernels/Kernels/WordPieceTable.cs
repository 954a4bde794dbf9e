namespace Platform.GpuKernels.Kernels;

/// <summary>A vocabulary as wordpiece.cl looks it up: two tables of open addressing, of the tokens that begin a word and of those that go on.</summary>
/// <param name="BeginSlots">[mask + 1][2]: the upper half of the token's hash, and its number + 1; 0 is free.</param>
/// <param name="GoOnSlots">The same, of the tokens that continue a word, without their prefix.</param>
/// <param name="Tokens">[numbers][3]: where the token's bytes begin in <see cref="Spelling"/>, how many they are, and its id.</param>
/// <param name="Longest">Bytes of the longest token.</param>
internal sealed record WordPieceTable(uint[] BeginSlots, uint[] GoOnSlots, uint[] Tokens, byte[] Spelling, int Longest)
{
    private const ulong FnvStart = 0xcbf2_9ce4_8422_2325;

    /// <param name="tokens">Every token of the vocabulary with its id.</param>
    /// <param name="continuation">What the spelling of a token begins with that continues a word: ##.</param>
    public static WordPieceTable Make(IReadOnlyList<(byte[] Token, int Id)> tokens, byte[] continuation)
    {
        var size = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, tokens.Count * 4));
        uint[] begin = new uint[size * 2], goOn = new uint[size * 2];
        var entries = new List<uint>();
        var spelling = new List<byte>();
        var longest = 1;
        foreach (var (token, id) in tokens)
        {
            if (token.Length == 0) { continue; }

            Add(begin, token, id);
            if (token.AsSpan().StartsWith(continuation) && token.Length > continuation.Length) { Add(goOn, token.AsSpan(continuation.Length), id); }
        }

        if (spelling.Count == 0) { spelling.Add(0); }
        if (entries.Count == 0) { entries.AddRange([0, 0, 0]); }
        return new WordPieceTable(begin, goOn, [.. entries], [.. spelling], longest);

        void Add(uint[] slots, ReadOnlySpan<byte> bytes, int id)
        {
            var hash = FnvStart;
            foreach (var value in bytes) { hash = More(hash, value); }

            var mask = (uint)((slots.Length / 2) - 1);
            var at = Slot(hash) & mask;
            while (slots[(at * 2) + 1] != 0) { at = (at + 1) & mask; }
            (slots[at * 2], slots[(at * 2) + 1]) = ((uint)(hash >> 32), ((uint)entries.Count / 3) + 1);
            entries.AddRange([(uint)spelling.Count, (uint)bytes.Length, (uint)id]);
            spelling.AddRange(bytes);
            longest = Math.Max(longest, bytes.Length);
        }
    }

    private static ulong More(ulong hash, byte value) => unchecked((hash ^ value) * 0x100_0000_01b3);

    private static uint Slot(ulong hash) => unchecked((uint)((hash ^ (hash >> 32)) * 0x9E37_79B1));
}
