using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Kernels;

/// <summary>Tokens by their bytes as bpe.cl looks them up, 16 bytes at a time.</summary>
/// <param name="Slots">
/// [slots][8]: 16 bytes with zeros behind; how many they are (0: the slot is free; <see cref="GoesOn"/>: more follow); the token, or a number for these bytes and what is before
/// them; the number for what is before them (0: nothing); nothing.
/// </param>
/// <param name="ByteRanks">[256][256]: the rank of two bytes, or <see cref="NoRank"/>.</param>
/// <param name="Pairs">[fours][4]: two ids of 22 bits and the rank at which they merge, of 20; all ones where it is free. What does not fit is in the next four.</param>
/// <param name="Multiplier">Of both hashes, chosen anew for each table: no file can be written whose tokens all fall on one slot.</param>
internal sealed record BytePairTable(uint[] Slots, uint[] ByteRanks, ulong[] Pairs, ulong Multiplier)
{
    public const int KeyBytes = 16;

    public const uint GoesOn = KeyBytes + 1;

    public const int SlotWords = 8;

    public const uint NoRank = uint.MaxValue;

    private const int Four = 4;

    private const int SymbolBits = 22;

    private const int RankBits = 20;

    /// <summary>How far the upper half of a pair's hash is shifted.</summary>
    public int PairShift => 32 - BitOperations.Log2((uint)(Pairs.Length / Four));

    public static BytePairTable Make(PieceTable tokens, ReadOnlySpan<int> byteIds, MergeTable merges)
    {
        Span<byte> random = stackalloc byte[8];
        RandomNumberGenerator.Fill(random);
        var multiplier = BitConverter.ToUInt64(random) | 1;
        var byteRanks = new uint[256 * 256];
        for (var pair = 0; pair < byteRanks.Length; pair++)
        {
            var rank = merges.Rank(byteIds[pair >> 8], byteIds[pair & 255]);
            byteRanks[pair] = rank == MergeTable.NoRank ? NoRank : (uint)rank;
        }

        return new BytePairTable(SlotsOf(tokens, multiplier), byteRanks, PairsOf(merges, multiplier), multiplier);
    }

    private static ulong[] PairsOf(MergeTable merges, ulong multiplier)
    {
        // One of four on an average: few of them are full.
        var all = merges.InOrder().ToList();
        var fours = BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, all.Count));
        var pairs = new ulong[fours * Four];
        pairs.AsSpan().Fill(ulong.MaxValue);
        foreach (var (left, right, _) in all)
        {
            var pair = ((ulong)(uint)left << SymbolBits) | (uint)right;
            var at = ((uint)(pair * multiplier >> 32) >> (32 - BitOperations.Log2(fours))) * Four;
            while (pairs[at] != ulong.MaxValue) { at = (at + 1) & ((fours * Four) - 1); }

            pairs[at] = (pair << RankBits) | (uint)merges.Rank(left, right);
        }

        return pairs;
    }

    private static uint[] SlotsOf(PieceTable tokens, ulong multiplier)
    {
        // What is before the 16 bytes, and they; then the number of these.
        var numbers = new Dictionary<(uint Before, UInt128 Bytes), uint>();
        var entries = new List<(UInt128 Bytes, uint There, uint Value, uint Before)>();
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
                    entries.Add((bytes, GoesOn, number, before));
                }

                before = number;
            }

            entries.Add((Key(rest), (uint)rest.Length, (uint)id, before));
        }

        var slots = new uint[SlotWords * BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, entries.Count * 2))];
        var mask = (uint)(slots.Length / SlotWords) - 1;
        foreach (var (bytes, there, value, before) in entries)
        {
            var hash = Mix((((ulong)before << 32) | there) * multiplier ^ (ulong)bytes, multiplier);
            var at = (uint)Mix(hash ^ (ulong)(bytes >> 64), multiplier) & mask;
            while (slots[(at * SlotWords) + 4] != 0) { at = (at + 1) & mask; }

            var slot = slots.AsSpan((int)at * SlotWords, SlotWords);
            for (var i = 0; i < KeyBytes / 4; i++) { slot[i] = (uint)(bytes >> (32 * i)); }

            (slot[4], slot[5], slot[6]) = (there, value, before);
        }

        return slots;
    }

    private static UInt128 Key(ReadOnlySpan<byte> bytes)
    {
        Span<byte> key = stackalloc byte[KeyBytes];
        key.Clear();
        bytes.CopyTo(key);
        return BinaryPrimitives.ReadUInt128LittleEndian(key);
    }

    private static ulong Mix(ulong value, ulong multiplier)
    {
        value *= multiplier;
        return value ^ (value >> 32);
    }
}
