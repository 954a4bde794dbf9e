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
/// <param name="Multiplier">Of the hash, chosen anew for each table: no file can be written whose tokens all fall on one slot.</param>
internal sealed record BytePairTable(uint[] Slots, ulong Multiplier)
{
    public const int KeyBytes = 16;

    public const uint GoesOn = KeyBytes + 1;

    public const int SlotWords = 8;

    public static BytePairTable Make(PieceTable tokens)
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

        Span<byte> random = stackalloc byte[8];
        RandomNumberGenerator.Fill(random);
        var multiplier = BitConverter.ToUInt64(random) | 1;
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

        return new BytePairTable(slots, multiplier);
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
