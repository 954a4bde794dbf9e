using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// BPE of a piece from left to right, without merging. Used by one thread at a time.
/// </summary>
/// <remarks>
/// Tokens are the encoding of their bytes if and only if each two neighbours are the encoding of theirs: the first merge across a place where two tokens meet
/// would be done in these two alone as well. So a token is followed by the longest one that can be its neighbour and behind which the text can be encoded to
/// its end; that is found by going back from places where no token fits. Which token ends at a place depends on nothing behind it, so that each place is
/// given up once at most (H. van Antwerpen, A. Neubeck, "So many tokens, so little time", GitHub's blog, 2024).
/// </remarks>
/// <param name="splits">The tokens.</param>
internal sealed class BoundaryEncoder(TokenSplits splits)
{
    /// <summary>512 KiB: pairs that come again in a text are nearly all found, also those of Chinese, which are many.</summary>
    private const int MemoBits = 17;

    /// <summary>For each byte of a piece so many steps may be taken before it is left to merging: text in any language takes three to ten.</summary>
    private const int StepsPerByte = 64;

    private const int StepsAtLeast = 4096;

    private const int PairBits = 2 * MergeTable.SymbolBits;
    private const int SharedBits = MemoBits + 31 - PairBits;

    // Which pairs can be neighbours, the last one of each slot: 31 bits of the pair's hash above a bit. A hash has as many bits as two ids, and no two pairs have the
    // same: its lowest bits and the slot's number are all of it, with four bits in both. At first those are of another slot.
    private readonly uint[] memo = [.. Enumerable.Range(0, 1 << MemoBits).Select(slot => ~(uint)slot << (32 - SharedBits))];
    private ulong[] closed = [];

    // Used only where merges are not in order.
    private readonly PairMerger merger = new(splits.Merges);

    /// <summary>Writes the tokens of the <paramref name="count"/> bytes (at least one) at <paramref name="text"/>.</summary>
    /// <param name="tokens">Room for as many as there are bytes.</param>
    /// <returns>How many there are; 0 where it would take too long, or a character is no token.</returns>
    public int Encode(ref byte text, int count, Span<int> tokens)
    {
        var steps = StepsAtLeast + ((long)count * StepsPerByte);
        var closedPlaces = 0;
        var made = 0;
        var at = 0;
        var last = TokenTrie.None;
        var token = splits.Trie.Longest(ref text, 0, count, out var end, out var looked);
        while (true)
        {
            if (token == TokenTrie.None || --steps < 0)
            {
                made = 0;
                break;
            }

            if ((closedPlaces == 0 || !IsClosed(end)) && (last == TokenTrie.None || Meet(last, token, ref steps)))
            {
                tokens[made++] = token;
                at = end;
                if (at == count) { break; }

                last = token;
                token = splits.Trie.Longest(ref text, at, count, out end, out looked);
                steps -= looked - at;
            }
            else if (splits.Shorter(token) is var shorter and not TokenTrie.None)
            {
                token = shorter;
                end = at + splits.Length(token);
            }
            else
            {
                Close(at, count, ref closedPlaces);
                token = last;
                end = at;
                made--;
                at -= splits.Length(token);
                last = made == 0 ? TokenTrie.None : tokens[made - 1];
            }
        }

        if (closedPlaces > 0) { closed.AsSpan(0, (count / 64) + 1).Clear(); }

        return made;
    }

    private bool IsClosed(int place) => (closed[place / 64] >> (place % 64) & 1) != 0;

    private void Close(int place, int count, ref int closedPlaces)
    {
        if (closed.Length <= count / 64) { closed = new ulong[(count / 64) + 1]; }

        closed[place / 64] |= 1ul << (place % 64);
        closedPlaces++;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Meet(int left, int right, ref long steps)
    {
        // An odd factor keeps pairs apart in the upper bits.
        var pair = ((ulong)(uint)left << MergeTable.SymbolBits) | (uint)right;
        var hash = (pair << (64 - PairBits)) * 0x9E3779B97F4A7C15;
        ref var known = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(memo), (nint)(hash >> (64 - MemoBits)));
        var key = (uint)(hash >> (63 - PairBits));
        return known >> 1 == key >> 1 ? (known & 1) != 0 : MeetNew(left, right, key, ref known, ref steps);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool MeetNew(int left, int right, uint key, ref uint known, ref long steps)
    {
        var meet = splits.IsInOrder ? splits.Meet(left, right, MergeTable.NoRank, out var looked) : splits.NeverMerge(left, right, out looked);
        steps -= looked;
        if (!meet && !splits.IsInOrder)
        {
            meet = AreMerged(left, right, out looked);
            steps -= looked;
        }

        known = key | (meet ? 1u : 0);
        return meet;
    }

    /// <summary>Whether merging the bytes of both ends with these two.</summary>
    private bool AreMerged(int left, int right, out int steps)
    {
        var first = splits.Text(left);
        var second = splits.Text(right);
        steps = first.Length + second.Length;
        var symbols = merger.Begin(steps);
        var count = splits.Begin.Spell(first, symbols);
        count += splits.Begin.Spell(second, symbols[count..]);
        return merger.Merge(count) == 2 && symbols[0] == left && symbols[1] == right;
    }
}
