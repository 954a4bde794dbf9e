using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Search.Segments;

/// <summary>What a block of postings, or a whole list, cannot exceed: no row in it has a higher frequency, nor a shorter text.</summary>
internal readonly record struct PostingsBound(int LastRow, int GreatestFrequency, int LeastLength);

/// <summary>
/// The bytes of one list of (row, frequency): where there are more blocks than one a directory, four 32-bit numbers a block (its last row, where its bytes
/// end, its greatest frequency, the least length of its rows); then the blocks of up to 128 rows: the two widths in bits, the gaps of the rows, the frequencies less one.
/// </summary>
internal static class Postings
{
    public const int BlockRows = 128;

    public const int DirectoryEntry = 4 * sizeof(int);

    public static int Blocks(int rows) => (rows + BlockRows - 1) / BlockRows;

    /// <param name="rows">Ascending, each once.</param>
    /// <param name="lengthOf">The length of every row of the segment.</param>
    /// <returns>The bound of the whole list.</returns>
    public static PostingsBound Encode(ByteBuffer into, ReadOnlySpan<int> rows, ReadOnlySpan<int> frequencies, ReadOnlySpan<int> lengthOf)
    {
        var blocks = Blocks(rows.Length);
        var directory = into.Length;
        if (blocks > 1) { into.Append(blocks * DirectoryEntry); }

        var (start, before, bound) = (into.Length, -1, new PostingsBound(-1, 0, int.MaxValue));
        Span<uint> gaps = stackalloc uint[BlockRows];
        Span<uint> counts = stackalloc uint[BlockRows];
        Span<byte> entry = stackalloc byte[DirectoryEntry];
        for (var block = 0; block < blocks; block++)
        {
            var from = block * BlockRows;
            var count = Math.Min(BlockRows, rows.Length - from);
            var own = new PostingsBound(rows[from + count - 1], 0, int.MaxValue);
            for (var at = 0; at < count; at++)
            {
                var row = rows[from + at];
                (gaps[at], counts[at], before) = ((uint)(row - before - 1), (uint)(frequencies[from + at] - 1), row);
                own = own with { GreatestFrequency = Math.Max(own.GreatestFrequency, frequencies[from + at]), LeastLength = Math.Min(own.LeastLength, lengthOf[row]) };
            }

            bound = new PostingsBound(own.LastRow, Math.Max(bound.GreatestFrequency, own.GreatestFrequency), Math.Min(bound.LeastLength, own.LeastLength));
            var (gapBits, countBits) = (Bits(gaps[..count]), Bits(counts[..count]));
            into.Append([(byte)gapBits, (byte)countBits]);
            Pack(into.Append(PackedLength(count, gapBits)), gaps[..count], gapBits);
            Pack(into.Append(PackedLength(count, countBits)), counts[..count], countBits);
            if (blocks == 1) { break; }

            BinaryPrimitives.WriteInt32LittleEndian(entry, own.LastRow);
            BinaryPrimitives.WriteInt32LittleEndian(entry[4..], into.Length - start);
            BinaryPrimitives.WriteInt32LittleEndian(entry[8..], own.GreatestFrequency);
            BinaryPrimitives.WriteInt32LittleEndian(entry[12..], own.LeastLength);
            into.Overwrite(directory + (block * DirectoryEntry), entry);
        }

        return bound;
    }

    public static PostingsBound Directory(ReadOnlySpan<byte> list, int block, out int end)
    {
        var numbers = MemoryMarshal.Cast<byte, int>(list.Slice(block * DirectoryEntry, DirectoryEntry));
        end = numbers[1];
        return new PostingsBound(numbers[0], numbers[2], numbers[3]);
    }

    public static int PackedLength(int count, int bits) => ((count * bits) + 7) / 8;

    /// <param name="packed">With eight bytes of anything behind what was packed.</param>
    public static void Unpack(ReadOnlySpan<byte> packed, int bits, Span<int> numbers)
    {
        if (bits == 0)
        {
            numbers.Clear();
            return;
        }

        var mask = (1UL << bits) - 1;
        for (int at = 0, bit = 0; at < numbers.Length; at++, bit += bits)
        {
            numbers[at] = (int)(BinaryPrimitives.ReadUInt64LittleEndian(packed[(bit >> 3)..]) >> (bit & 7) & mask);
        }
    }

    private static int Bits(ReadOnlySpan<uint> numbers)
    {
        var all = 0u;
        foreach (var number in numbers) { all |= number; }
        return 32 - BitOperations.LeadingZeroCount(all);
    }

    private static void Pack(Span<byte> packed, ReadOnlySpan<uint> numbers, int bits)
    {
        var (held, heldBits, at) = (0UL, 0, 0);
        foreach (var number in numbers)
        {
            held |= (ulong)number << heldBits;
            for (heldBits += bits; heldBits >= 8; heldBits -= 8, held >>= 8) { packed[at++] = (byte)held; }
        }

        if (heldBits > 0) { packed[at] = (byte)held; }
    }
}
