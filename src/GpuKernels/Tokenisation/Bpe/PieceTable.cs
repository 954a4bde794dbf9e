using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>Tokens by their bytes and bytes by their token: one block of bytes, and open addressing over it.</summary>
internal sealed class PieceTable
{
    private readonly byte[] bytes;
    private readonly int[] starts;
    private readonly long[] slots;
    private readonly int longest;

    // Chosen anew for each table: no file can be written whose tokens all fall on one slot.
    private readonly ulong multiplier;

    /// <param name="tokens">By id; null where an id has no token. Of two with the same bytes the first counts.</param>
    public PieceTable(ReadOnlySpan<byte[]?> tokens)
    {
        Span<byte> random = stackalloc byte[8];
        RandomNumberGenerator.Fill(random);
        multiplier = BitConverter.ToUInt64(random) | 1;
        starts = new int[tokens.Length + 1];
        var count = 0;
        for (var id = 0; id < tokens.Length; id++)
        {
            var length = tokens[id]?.Length ?? 0;
            starts[id + 1] = checked(starts[id] + length);
            longest = Math.Max(longest, length);
            count += Math.Min(length, 1);
        }

        bytes = new byte[starts[^1]];
        slots = new long[(int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(count, 8) * 2)];
        for (var id = 0; id < tokens.Length; id++)
        {
            if (tokens[id] is not { Length: > 0 } token) { continue; }

            token.CopyTo(bytes, starts[id]);
            if (TryGetId(token, out _)) { continue; }

            var hash = Hash(token);
            var at = (int)hash & (slots.Length - 1);
            while (slots[at] != 0) { at = (at + 1) & (slots.Length - 1); }

            slots[at] = Slot(hash, id);
        }
    }

    /// <summary>What a device looks tokens up in: for each slot the upper half of a hash above an id + 1, 0 where it is free.</summary>
    public ReadOnlySpan<long> Slots => slots;

    /// <summary>[ids + 1]: where in <see cref="Bytes"/> each token begins.</summary>
    public ReadOnlySpan<int> Starts => starts;

    public ReadOnlySpan<byte> Bytes => bytes;

    public ulong Multiplier => multiplier;

    /// <summary>One more than the highest id.</summary>
    public int IdLimit => starts.Length - 1;

    /// <summary>Empty where the id has no token.</summary>
    public ReadOnlySpan<byte> BytesOf(int id) => bytes.AsSpan(starts[id], starts[id + 1] - starts[id]);

    public bool TryGetId(ReadOnlySpan<byte> token, out int id)
    {
        id = 0;
        if (token.Length > longest || token.Length == 0) { return false; }

        var hash = Hash(token);
        for (var at = (int)hash & (slots.Length - 1); slots[at] is var slot && slot != 0; at = (at + 1) & (slots.Length - 1))
        {
            if ((uint)(slot >> 32) != (uint)(hash >> 32)) { continue; }

            id = (int)(uint)slot - 1;
            if (BytesOf(id).SequenceEqual(token)) { return true; }
        }

        return false;
    }

    private static long Slot(ulong hash, int id) => (long)((hash & 0xFFFFFFFF00000000) | ((uint)id + 1));

    private ulong Hash(ReadOnlySpan<byte> token)
    {
        ref var first = ref MemoryMarshal.GetReference(token);
        var hash = (ulong)token.Length * multiplier;
        var at = 0;
        for (; at + 8 <= token.Length; at += 8) { hash = Mix(hash ^ Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref first, at))); }

        var rest = 0ul;
        for (; at < token.Length; at++) { rest = (rest << 8) | Unsafe.Add(ref first, at); }

        return Mix(hash ^ rest);
    }

    private ulong Mix(ulong value)
    {
        value *= multiplier;
        return value ^ (value >> 32);
    }
}
