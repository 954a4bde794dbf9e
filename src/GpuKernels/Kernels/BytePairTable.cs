using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Kernels;

/// <summary>A vocabulary as bpe.cl looks it up: tokens by their bytes, 16 bytes at a time, and ranks of pairs.</summary>
/// <param name="Slots">
/// [slots][8]: 16 bytes with zeros behind; how many they are (0: the slot is free; <see cref="GoesOn"/>: more follow); the token, or a number for these bytes and what is before
/// them; the number for what is before them (0: nothing); nothing.
/// </param>
/// <param name="Seeds">
/// The first bits of a hash lead to a seed, and its product with the middle of the hash, by its first bits, to a slot (Belazzougui, Botelho and Dietzfelbinger, "Hash, displace, and compress", 2009).
/// </param>
/// <param name="Multipliers">
/// Of four bytes of the 16 each, and of what is before them and how many they are; the hash is the products' sum (Thorup, "High Speed Hashing for Integers and Strings", 2015). Chosen
/// anew for each table, so that nothing can be written whose hashes are alike.
/// </param>
/// <param name="ByteSymbols">[256]: a byte's token, and above its bits the number of its bytes, 1.</param>
/// <param name="ByteKeys">[256][256]: the rank of two bytes times one more than <see cref="BytePairKernels.MergedBytes"/>, all ones where they do not merge.</param>
/// <param name="Pairs">[fours][4]: two ids of 22 bits and the rank at which they merge, of 20; all ones where it is free. What does not fit is in the next four.</param>
/// <param name="PairMultiplier">Of a pair's hash, chosen anew too.</param>
internal sealed record BytePairTable(uint[] Slots, uint[] Seeds, ulong[] Multipliers, uint[] ByteSymbols, uint[] ByteKeys, ulong[] Pairs, ulong PairMultiplier)
{
    public const int KeyBytes = 16;

    public const uint GoesOn = KeyBytes + 1;

    public const int SlotWords = 8;

    /// <summary>Of a token in a pair or a symbol, as <see cref="MergeTable"/> has them.</summary>
    public const int SymbolBits = 22;

    private const int There = KeyBytes / 4;

    private const int KeysOfSeed = 4;

    /// <summary>More than any but a few of a table's last keys need.</summary>
    private const int MostTries = 1 << 16;

    private const int Four = 4;

    private const int RankBits = 20;

    /// <summary>How far the upper half of a hash is shifted to the number of its seed.</summary>
    public int SeedShift => Shift(Seeds.Length);

    /// <summary>How far the product with it is shifted to the number of its slot.</summary>
    public int SlotShift => Shift(Slots.Length / SlotWords);

    /// <summary>How far the upper half of a pair's hash is shifted.</summary>
    public int PairShift => Shift(Pairs.Length / Four);

    public static BytePairTable Make(PieceTable tokens, ReadOnlySpan<int> byteIds, MergeTable merges)
    {
        var byteSymbols = new uint[256];
        for (var value = 0; value < byteSymbols.Length; value++) { byteSymbols[value] = (uint)byteIds[value] | (1u << SymbolBits); }

        var byteKeys = new uint[256 * 256];
        for (var pair = 0; pair < byteKeys.Length; pair++)
        {
            var rank = merges.Rank(byteIds[pair >> 8], byteIds[pair & 255]);
            byteKeys[pair] = rank == MergeTable.NoRank ? uint.MaxValue : (uint)rank * (BytePairKernels.MergedBytes + 1);
        }

        var entries = EntriesOf(tokens);
        while (true)
        {
            var multipliers = Random(There + 1);
            if (Place(entries, multipliers) is not var (slots, seeds)) { continue; }

            var pairMultiplier = Random(1)[0] | 1;
            return new BytePairTable(slots, seeds, multipliers, byteSymbols, byteKeys, PairsOf(merges, pairMultiplier), pairMultiplier);
        }
    }

    private static int Shift(int count) => 32 - BitOperations.Log2((uint)count);

    private static ulong[] Random(int count)
    {
        var random = new ulong[count];
        RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(random.AsSpan()));
        return random;
    }

    private static List<Entry> EntriesOf(PieceTable tokens)
    {
        // What is before the 16 bytes, and they; then the number of these.
        var numbers = new Dictionary<(uint Before, UInt128 Bytes), uint>();
        var entries = new List<Entry>();
        for (var id = 0; id < tokens.IdLimit; id++)
        {
            var rest = tokens.BytesOf(id);

            // Of two with the same bytes the first counts.
            if (rest.IsEmpty || !tokens.TryGetId(rest, out var first) || first != id) { continue; }

            var before = 0u;
            for (; rest.Length > KeyBytes; rest = rest[KeyBytes..])
            {
                var bytes = Key(rest[..KeyBytes]);
                ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(numbers, (before, bytes), out var isKnown);
                if (!isKnown)
                {
                    number = (uint)numbers.Count;
                    entries.Add(new(bytes, GoesOn, number, before));
                }

                before = number;
            }

            entries.Add(new(Key(rest), (uint)rest.Length, (uint)id, before));
        }

        return entries;
    }

    private static UInt128 Key(ReadOnlySpan<byte> bytes)
    {
        Span<byte> key = stackalloc byte[KeyBytes];
        key.Clear();
        bytes.CopyTo(key);
        return BinaryPrimitives.ReadUInt128LittleEndian(key);
    }

    /// <summary>A slot for each entry; null where the hashes of two are too much alike, which others hardly have with other multipliers.</summary>
    private static (uint[] Slots, uint[] Seeds)? Place(List<Entry> entries, ulong[] multipliers)
    {
        // Two of three at most are taken.
        var slots = new uint[SlotWords * BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, entries.Count * 3L / 2))];
        var seeds = new uint[BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, entries.Count / KeysOfSeed))];
        var (seedShift, slotShift) = (Shift(seeds.Length), Shift(slots.Length / SlotWords));
        var hashes = new ulong[entries.Count];
        for (var i = 0; i < hashes.Length; i++) { hashes[i] = entries[i].Hash(multipliers); }

        // Where many have one seed it is found first, while there is much room.
        foreach (var group in Enumerable.Range(0, hashes.Length).GroupBy(i => (uint)(hashes[i] >> 32) >> seedShift).OrderByDescending(group => group.Count()))
        {
            var own = group.ToArray();
            var seed = 1u;
            for (var tries = 1; !Fits(own, seed); tries++)
            {
                if (tries == MostTries) { return null; }

                seed = (seed * 0x2C1B_3C6D) + 0x297A_2D38;
            }

            seeds[group.Key] = seed;
            foreach (var i in own) { entries[i].Write(slots.AsSpan((int)SlotOf(i, seed) * SlotWords, SlotWords)); }
        }

        return (slots, seeds);

        uint SlotOf(int entry, uint seed) => (uint)(hashes[entry] >> 16) * seed >> slotShift;

        bool Fits(int[] own, uint seed)
        {
            for (var i = 0; i < own.Length; i++)
            {
                var slot = SlotOf(own[i], seed);
                if (slots[(slot * SlotWords) + There] != 0) { return false; }

                for (var j = 0; j < i; j++)
                {
                    if (SlotOf(own[j], seed) == slot) { return false; }
                }
            }

            return true;
        }
    }

    private static ulong[] PairsOf(MergeTable merges, ulong multiplier)
    {
        // One of four on an average: few of them are full.
        var all = merges.InOrder();
        var pairs = new ulong[Four * BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, all.Count))];
        pairs.AsSpan().Fill(ulong.MaxValue);
        foreach (var (left, right, _) in all)
        {
            var pair = ((ulong)(uint)left << SymbolBits) | (uint)right;
            var at = ((uint)(pair * multiplier >> 32) >> Shift(pairs.Length / Four)) * Four;
            while (pairs[at] != ulong.MaxValue) { at = (at + 1) & (uint)(pairs.Length - 1); }

            pairs[at] = (pair << RankBits) | (uint)merges.Rank(left, right);
        }

        return pairs;
    }

    private readonly record struct Entry(UInt128 Bytes, uint There, uint Value, uint Before)
    {
        public ulong Hash(ulong[] multipliers)
        {
            var hash = ((Before << 5) | There) * multipliers[^1];
            for (var i = 0; i < KeyBytes / 4; i++) { hash += (uint)(Bytes >> (32 * i)) * multipliers[i]; }

            return hash;
        }

        public void Write(Span<uint> slot)
        {
            for (var i = 0; i < KeyBytes / 4; i++) { slot[i] = (uint)(Bytes >> (32 * i)); }

            (slot[BytePairTable.There], slot[BytePairTable.There + 1], slot[BytePairTable.There + 2]) = (There, Value, Before);
        }
    }
}
