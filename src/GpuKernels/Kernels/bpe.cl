// Byte-level BPE from UTF-8 to ids, exactly, of many texts that lie one behind the other; a group takes a tile of them.
//
// It has a window in local memory: a little of what is before the tile, the tile, and what its last stretch may take beyond. A work item classifies 16
// bytes; a bit for each byte says what is of a class, of all the bytes of a character alike. Between some two characters no pattern's match goes on, such as
// from a letter to a space: these places are certain whatever stands before, and they are divided among the work items, each of which goes by the pattern
// from one such place to the next. The stretches that begin in the tile are its own. A piece that is one token is found in a table; the others are merged, by one
// work item each. Every token has a home, the place of its first byte, and a bit for each home says where tokens are, so that they are in order without being sorted.

#include "texts.h"
#include "patterns.h"

#define GROUP 256
#define BLOCK 16     // bytes of a work item
#define WINDOW 4096  // GROUP * BLOCK
#define HISTORY 32   // of the window, before the tile
#define SPAN 4064    // WINDOW - HISTORY: the homes
#define TILE 3072    // leaves 992 bytes for the last stretch: languages without spaces have long ones
#define MOST 1024    // pieces of fewer bytes are merged, so that their symbols' sizes have 10 bits
#define LENGTHS 64   // of missed pieces, the last for what is longer
#define BITS (WINDOW / 32 + 2) // of a bit for each byte, and what is read behind them

// The character whose bytes are the first of four.
FORCE_INLINE uint scalar_of(uint four, int length)
{
    uint b = four >> 8 & 0x3Fu, c = four >> 16 & 0x3Fu, d = four >> 24 & 0x3Fu;
    return length == 2 ? (four & 0x1Fu) << 6 | b : length == 3 ? (four & 0x0Fu) << 12 | b << 6 | c : (four & 0x07u) << 18 | b << 12 | c << 6 | d;
}

// The character beyond ASCII that begins at a byte; 0 bytes where none does, or another text begins in it.
FORCE_INLINE uint decode(__local const uchar *raw, __local const uint *breaks, uint at, int *bytes)
{
    __local const uint *words = (__local const uint *)raw + at / 4;
    uint four = four_from(words[0], words[1], (at & 3u) * 8u);
    uint a = four & 255u;
    int length = a < 0xC2u ? 0 : a < 0xE0u ? 2 : a < 0xF0u ? 3 : a < 0xF5u ? 4 : 0;
    uint scalar = scalar_of(four, length);
    // Of the bytes that follow none may be another's first, and none another text's.
    uint others = length == 0 ? 0 : 0xFFFFFFFFu >> (32 - 8 * length);
    int there = length > 0 && ((four ^ 0x80808000u) & 0xC0C0C000u & others) == 0;
    there &= length != 3 || (scalar >= 0x800u && scalar - 0xD800u >= 0x800u);
    there &= length != 4 || scalar - 0x10000u < 0x100000u;
    uint follow = at + 1;
    uint stops = four_from(breaks[follow / 32], breaks[follow / 32 + 1], follow & 31u);
    there &= (stops & ((1u << (length & 7)) - 1u) >> 1) == 0;
    *bytes = there ? length : 0;
    return there ? scalar : 0;
}

// A bit for each of 16 bytes that is 0x80 or more.
FORCE_INLINE uint beyond_ascii(uint4 value)
{
    uint4 high = value >> 7u & 0x01010101u;
    return (high.x * 0x10204080u >> 28) | (high.y * 0x10204080u >> 28) << 4 | (high.z * 0x10204080u >> 28) << 8 | (high.w * 0x10204080u >> 28) << 12;
}

// What a byte of ASCII is, for the bits of eight bytes: x has whether it is a letter, a number, white space, and whether it needs another look;
// y whether it is a capital, a line break, a space, a quote.
#define FOR_LETTER 0x01u
#define FOR_NUMBER 0x0100u
#define FOR_SPACE 0x010000u
#define FOR_LOOK 0x01000000u
#define FOR_UPPER 0x01u
#define FOR_BREAK 0x0100u
#define FOR_BLANK 0x010000u
#define FOR_QUOTE 0x01000000u

FORCE_INLINE uint2 kinds_of(__local const uint2 *kinds, uint bytes)
{
    return kinds[bytes & 255u] | kinds[bytes >> 8 & 255u] << 1u | kinds[bytes >> 16 & 255u] << 2u | kinds[bytes >> 24] << 3u;
}

// The eight bits of each half of 16 bytes.
FORCE_INLINE uint both(uint front, uint back, uint shift) { return (front >> shift & 255u) | (back >> shift & 255u) << 8; }

#define KEY_BYTES 16
#define GOES_ON (KEY_BYTES + 1)

// The bytes of a key that has so many.
FORCE_INLINE uint4 kept_of(uint length)
{
    uint kept[KEY_BYTES / 4];
    UNROLL for (int i = 0; i < KEY_BYTES / 4; i++)
    {
        int beyond = 4 * i + 4 - (int)length;
        kept[i] = beyond <= 0 ? 0xFFFFFFFFu : beyond >= 4 ? 0u : 0xFFFFFFFFu >> 8 * beyond;
    }
    return (uint4)(kept[0], kept[1], kept[2], kept[3]);
}

// A table of pieces, of which each has a slot of its own (Kernels/BytePairTable.cs): the first bits of its hash lead to a seed, and this to its slot. The
// multipliers are the vocabulary's own, so that no text can be made for them.
typedef struct
{
    __global const uint4 *slots;
    __global const uint *seeds;
    __global const ulong *multipliers;
    int seedShift;
    int slotShift;
} Pieces;

// The token that has all the bytes of a piece, or -1. Slots of two: 16 bytes with zeros behind; how many they are (0: free; GOES_ON: more follow), the token,
// or a number for these and what is before them, and the number for what is before them (0: nothing).
FORCE_INLINE int find_piece(__local const uint *words, __local const uint4 *kept, uint place, uint length, Pieces pieces)
{
    uint before = 0;
    while (1)
    {
        uint key[KEY_BYTES / 4];
        uint low = words[place / 4];
        UNROLL for (int i = 0; i < KEY_BYTES / 4; i++)
        {
            uint high = words[place / 4 + i + 1];
            key[i] = four_from(low, high, (place & 3u) * 8u);
            low = high;
        }
        uint4 mine = (uint4)(key[0], key[1], key[2], key[3]) & kept[length < KEY_BYTES ? length : KEY_BYTES];
        uint there = length <= KEY_BYTES ? length : GOES_ON;
        ulong hash = mine.x * pieces.multipliers[0] + mine.y * pieces.multipliers[1] + mine.z * pieces.multipliers[2] + mine.w * pieces.multipliers[3]
            + (before << 5 | there) * pieces.multipliers[4];
        uint slot = (uint)(hash >> 16) * pieces.seeds[(uint)(hash >> 32) >> pieces.seedShift] >> pieces.slotShift;
        uint4 bytes = pieces.slots[slot * 2] ^ mine, rest = pieces.slots[slot * 2 + 1];
        if ((bytes.x | bytes.y | bytes.z | bytes.w | (rest.x ^ there) | (rest.z ^ before)) != 0) { return -1; }
        if (length <= KEY_BYTES) { return (int)rest.y; }
        before = rest.y;
        place += KEY_BYTES;
        length -= KEY_BYTES;
    }
}

// While a piece is merged, a symbol's place has its id and how many bytes it is, and its last byte's place how many too. The keys of places where no pair
// begins that merges are NO_RANK; the others have the rank and where in the piece the pair is, so that the least is the next merge. byteSymbols and byteKeys
// have them for each byte and, at the first place, for each two.
#define ID_BITS 22
#define ID ((1u << ID_BITS) - 1)
#define RANK_BITS 20
#define NO_RANK 0xFFFFFFFFu

// The rank of two ids above the place of their pair. Four slots of two ids and a rank are looked at together, and where they are all taken the next
// four too.
FORCE_INLINE uint key_of(uint left, uint right, uint at, __global const ulong2 *pairs, uint mask, int shift, ulong multiplier)
{
    ulong pair = (ulong)left << ID_BITS | right;
    for (uint four = (uint)(pair * multiplier >> 32) >> shift;; four = four + 1 & mask)
    {
        ulong2 front = pairs[four * 2], back = pairs[four * 2 + 1];
        ulong a = front.x ^ pair << RANK_BITS, b = front.y ^ pair << RANK_BITS, c = back.x ^ pair << RANK_BITS, d = back.y ^ pair << RANK_BITS;
        ulong least = a < b ? a : b;
        least = c < least ? c : least;
        least = d < least ? d : least;
        if (least >> RANK_BITS == 0) { return (uint)least * MOST | at; }
        if (back.y == ~0ul) { return NO_RANK; }
    }
}

#define EIGHT 8
// A piece of more bytes has the least key of each eight that are all its own, so that not all are looked at for each merge.
#define DIRECT 24

FORCE_INLINE uint least_of_eight(__local const uint4 *keys, uint eight)
{
    uint4 front = keys[eight * 2], back = keys[eight * 2 + 1];
    uint4 least = (uint4)(front.x < back.x ? front.x : back.x, front.y < back.y ? front.y : back.y, front.z < back.z ? front.z : back.z, front.w < back.w ? front.w : back.w);
    uint low = least.x < least.y ? least.x : least.y, high = least.z < least.w ? least.z : least.w;
    return low < high ? low : high;
}

FORCE_INLINE uint least_of(__local const uint *keys, uint from, uint end, uint least)
{
    for (uint i = from; i < end; i++) { least = keys[i] < least ? keys[i] : least; }
    return least;
}

// Of each tile its ids at slots[tile - firstTile][SPAN] and how many; of each text that begins in it how many of them are before the text; flags of texts.
// text has as many bytes behind it as make it a multiple of 16; prefixed: texts begin with a space, others are left; suspects: a bit for each byte that an
// added token begins with.
__kernel GROUP_SIZE(GROUP) void tokenise_pieces(__global const uint4 *text, uint count, uint firstTile, __global const uint *starts, uint texts,
    __global const uint *firsts, __global const uchar *classes, uint pattern, uint prefixed, __global const uint4 *slotsOfPieces,
    __global const uint *seeds, __global const ulong *multipliers, int seedShift, int slotShift, __global const uint *byteSymbols,
    __global const uint *byteKeys, __global const ulong2 *pairs, uint pairMask, int pairShift, ulong pairMultiplier, __global const uint *merged,
    __global const uint *suspects, __global uint *slots, __global uint *counts, __global uint *before, __global uint *flags)
{
    __local uint4 aligned[WINDOW / BLOCK + 2];
    __local uint found[WINDOW];
    __local uint4 shared[WINDOW / 4];
    __local ushort misses[SPAN / 2]; // of two bytes or more each
    __local uint homes[WINDOW / 32];
    __local uint lengths[LENGTHS];
    __local uint minima[WINDOW / EIGHT];
    __local uint4 kept[KEY_BYTES + 1];
    __local uint ours, missed;

    // What says where pieces are is not needed when they are merged, nor are the keys when the tokens are laid one behind the other.
    __local uchar *raw = (__local uchar *)aligned;
    __local uint *keys = (__local uint *)shared;
    __local uint *letters = keys;
    __local uint *numeric = letters + BITS;
    __local uint *white = numeric + BITS;
    __local uint *lineBreaks = white + BITS;
    __local uint *heads = lineBreaks + BITS;
    __local uint *tails = heads + BITS;
    __local uint *breaks = tails + BITS;
    __local uint2 *kinds = (__local uint2 *)(breaks + BITS + 2);
    __local uint *sums = (__local uint *)(kinds + 256);
    __local ushort *certain = (__local ushort *)(sums + GROUP);

    uint tile = firstTile + (uint)GROUP_X;
    int start = (int)(tile * TILE) - HISTORY;
    uint first = firsts[tile];
    uint block = (uint)LOCAL_ID;

    // Text beside the texts is white space.
    for (int i = (int)block; i < WINDOW / BLOCK + 2; i += GROUP)
    {
        int at = start + i * BLOCK;
        uint4 value = (uint4)(0x20202020u);
        if (at >= 0 && at < (int)count && i <= WINDOW / BLOCK) { value = text[at / BLOCK]; }
        aligned[i] = value;
        if (at < (int)count && at + BLOCK > (int)count) { for (int j = (int)count - at; j < BLOCK; j++) { raw[i * BLOCK + j] = ' '; } }
    }
    for (uint i = block; i < 7 * BITS; i += GROUP) { letters[i] = 0; }
    if (block < WINDOW / 32) { homes[block] = 0; }
    if (block < LENGTHS) { lengths[block] = 0; }
    if (block < KEY_BYTES + 1) { kept[block] = kept_of(block); }
    uint kind = block < 128 ? classes[block] : 0u;
    uint look = block < 128 ? suspects[block / 32] >> (block & 31u) & 1u : 0u;
    kinds[block] = (uint2)(
        (kind & LETTER ? FOR_LETTER : 0u) | (kind == NUMBER ? FOR_NUMBER : 0u) | (kind == SPACE ? FOR_SPACE : 0u) | (look ? FOR_LOOK : 0u),
        (kind == UPPER ? FOR_UPPER : 0u) | (is_break(block) ? FOR_BREAK : 0u) | (block == ' ' ? FOR_BLANK : 0u) | (block == '\'' ? FOR_QUOTE : 0u));
    if (block == 0) { missed = 0; }
    BARRIER();
    for (uint i = first + block; i <= texts; i += GROUP)
    {
        int at = (i < texts ? (int)starts[i] : (int)count) - start;
        if (at >= WINDOW + 32) { break; }
        or_local(breaks + at / 32, 1u << (at & 31));
    }
    BARRIER();

    // The classes of this block's bytes.
    uint at = block * BLOCK;
    int isOwn = at >= HISTORY && at < HISTORY + TILE;
    uint textBefore = first > 0 ? first - 1 : 0;
    uint4 value = aligned[block];
    uint2 front = kinds_of(kinds, value.x) | kinds_of(kinds, value.y) << 4u;
    uint2 back = kinds_of(kinds, value.z) | kinds_of(kinds, value.w) << 4u;
    uint letter = both(front.x, back.x, 0);
    uint number = both(front.x, back.x, 8);
    uint space = both(front.x, back.x, 16);
    uint head = both(front.y, back.y, 0);
    uint tail = letter & ~head;
    uint lineBreak = both(front.y, back.y, 8);
    uint blank = both(front.y, back.y, 16);
    uint quote = both(front.y, back.y, 24);
    uint inside = 0;

    // Where case does not count, marks are like what is of no class.
    uint mark = CASED(pattern) ? MARK : 0u;
    uint broken = breaks[at / 32] >> (at & 31u) & 0xFFFFu;
    for (uint left = beyond_ascii(value); left != 0;)
    {
        // Of a character that begins in the block before, what is here.
        uint i = lowest_bit(left);
        uint gone = 0;
        while (gone < 3 && gone < at + i && (raw[at + i - gone] & 0xC0u) == 0x80u) { gone++; }
        int bytes;
        uint scalar = decode(raw, breaks, at + i - gone, &bytes);
        int isThere = bytes > (int)gone;
        uint own = (isThere ? (1u << (bytes - (int)gone)) - 1u : 1u) << i & 0xFFFFu;
        uint class = isThere ? classes[scalar] : 0u;
        letter |= class & LETTER ? own : 0;
        number |= class == NUMBER ? own : 0;
        space |= class == SPACE ? own : 0;
        head |= class & (UPPER | CASELESS | mark) ? own : 0;
        tail |= class & (LOWER | CASELESS | mark) ? own : 0;
        inside |= gone ? own : own & own - 1;
        left &= ~own;
        uint c = raw[at + i];
        uint flag = (isThere ? 0 : LEAVE) | (suspects[c / 32] >> (c & 31u) & 1u ? SUSPECT : 0);
        if (flag != 0 && isOwn && start + (int)(at + i) < (int)count) { flag_text(flags, starts, textBefore, texts, (uint)start + at + i, flag); }
    }
    uint looks = both(front.x, back.x, 24);
    uint bare = prefixed ? broken & ~blank : 0;
    if (isOwn && (looks | bare) != 0)
    {
        for (uint left = looks | bare; left != 0; left &= left - 1)
        {
            uint i = lowest_bit(left);
            uint flag = (looks >> i & 1u ? SUSPECT : 0) | (bare >> i & 1u ? LEAVE : 0);
            if (start + (int)(at + i) < (int)count) { flag_text(flags, starts, textBefore, texts, (uint)start + at + i, flag); }
        }
    }
    ((__local ushort *)letters)[block] = (ushort)letter;
    ((__local ushort *)numeric)[block] = (ushort)number;
    ((__local ushort *)white)[block] = (ushort)space;
    ((__local ushort *)lineBreaks)[block] = (ushort)lineBreak;
    ((__local ushort *)heads)[block] = (ushort)head;
    ((__local ushort *)tails)[block] = (ushort)tail;
    BARRIER();

    // Where a piece begins whatever comes before: at ends of most words.
    uint none = 0xFFFFu & ~(letter | number | space | head | tail);
    uint last = at > 0 ? at - 1 : 0;
    uint letterBefore = letter << 1 | bit_at(letters, last);
    uint numberBefore = number << 1 | bit_at(numeric, last);
    uint noneBefore = none << 1 | !(bit_at(letters, last) | bit_at(numeric, last) | bit_at(white, last) | bit_at(heads, last) | bit_at(tails, last));
    uint blankBefore = blank << 1 | (raw[last] == ' ');
    uint sure = (numberBefore & ~number) | (~numberBefore & number & ~blankBefore)
        | (~numberBefore & ~number & ((letterBefore & (space | (none & ~quote))) | (noneBefore & space & ~lineBreak)));
    sure = at < HISTORY ? 0 : (broken | (sure & ~inside)) & 0xFFFFu;
    uint all;
    uint to = before_in_group((uint)ones(sure), &all, sums, GROUP);
    if (at == HISTORY + TILE) { ours = to; }
    for (; sure != 0; sure &= sure - 1) { certain[to++] = (ushort)(at + lowest_bit(sure)); }
    if (block == 0) { certain[all] = WINDOW; }
    BARRIER();

    // Whole pieces; of the others the lengths are at their homes.
    uint mine = ours;
    Pieces pieces = {slotsOfPieces, seeds, multipliers, seedShift, slotShift};
    for (uint i = block; i < mine; i += GROUP)
    {
        uint place = certain[i];
        uint end = certain[i + 1];
        if (start + (int)place >= (int)count) { continue; }
        Stretch s = {raw, letters, numeric, white, lineBreaks, heads, tails, end, bit_at(breaks, end)};
        if (i + 1 == all && !s.isLast)
        {
            // It goes on where the window ends.
            flag_text(flags, starts, textBefore, texts, (uint)start + place, LEAVE);
            continue;
        }
        while (place < end)
        {
            uint next = pattern == GPT2 ? gpt2_end(s, place)
                : CASED(pattern) ? o200k_end(s, place, DIGITS(pattern), pattern != TEKKEN)
                : cl100k_end(s, place, DIGITS(pattern));
            // Bytes that are no text match nothing.
            next = next > place ? next : place + 1;
            uint length = next - place;
            int id = find_piece((__local const uint *)raw, kept, place, length, pieces);
            if (id < 0 && length == 1) { id = (int)(byteSymbols[raw[place]] & ID); }
            found[place] = id >= 0 ? (uint)id : length;
            if (id >= 0) { or_local(homes + place / 32, 1u << (place & 31u)); }
            else if (length < MOST)
            {
                misses[add_local(&missed, 1)] = (ushort)place;
                add_local(lengths + (LENGTHS - 1 - (length < LENGTHS ? length : LENGTHS - 1)), 1);
            }
            else { flag_text(flags, starts, textBefore, texts, (uint)start + place, LEAVE); }
            place = next;
        }
    }
    BARRIER();

    // The longest first, so that those of a warp are of about a length.
    to = before_in_group(block < LENGTHS ? lengths[block] : 0, &all, sums, GROUP);
    if (block < LENGTHS) { lengths[block] = to; }
    BARRIER();
    for (uint i = block; i < missed; i += GROUP)
    {
        uint length = found[misses[i]];
        certain[add_local(lengths + (LENGTHS - 1 - (length < LENGTHS ? length : LENGTHS - 1)), 1)] = misses[i];
    }
    BARRIER();
    for (uint i = block; i < missed; i += GROUP) { misses[i] = certain[i]; }
    BARRIER();
    for (uint i = block; i < missed; i += GROUP)
    {
        uint place = misses[i];
        uint length = found[place];
        __local uint *symbols = found + place;
        __local uint *ranks = keys + place;
        uint left = raw[place];
        for (uint j = 0; j < length; j++)
        {
            uint right = raw[place + j + 1];
            symbols[j] = byteSymbols[left];
            ranks[j] = byteKeys[left << 8 | right] | j;
            left = right;
        }
        ranks[length - 1] = NO_RANK;
        uint firstEight = (place + EIGHT - 1) / EIGHT;
        uint endEight = length > DIRECT ? (place + length) / EIGHT : 0;
        for (uint j = firstEight; j < endEight; j++) { minima[j] = least_of_eight(shared, j); }
        while (1)
        {
            uint least;
            if (endEight == 0) { least = least_of(keys, place, place + length, NO_RANK); }
            else
            {
                least = least_of(keys, place, firstEight * EIGHT, NO_RANK);
                least = least_of(minima, firstEight, endEight, least);
                least = least_of(keys, endEight * EIGHT, place + length, least);
            }
            if (least == NO_RANK) { break; }
            uint here = least % MOST;
            uint gone = here + (symbols[here] >> ID_BITS);
            uint next = gone + (symbols[gone] >> ID_BITS);
            uint becomes = merged[least / MOST];
            ranks[gone] = NO_RANK;
            symbols[next - 1] = (next - here) << ID_BITS;
            symbols[here] = (next - here) << ID_BITS | becomes;
            ranks[here] = next < length ? key_of(becomes, symbols[next] & ID, here, pairs, pairMask, pairShift, pairMultiplier) : NO_RANK;
            uint neighbour = here;
            if (here > 0)
            {
                neighbour = here - (symbols[here - 1] >> ID_BITS);
                ranks[neighbour] = key_of(symbols[neighbour] & ID, becomes, neighbour, pairs, pairMask, pairShift, pairMultiplier);
            }

            uint eight = (place + neighbour) / EIGHT;
            uint behind = (place + gone) / EIGHT + 1 < endEight ? (place + gone) / EIGHT + 1 : endEight;
            for (eight = eight > firstEight ? eight : firstEight; eight < behind; eight++) { minima[eight] = least_of_eight(shared, eight); }
        }
        for (uint j = 0; j < length;)
        {
            uint size = symbols[j] >> ID_BITS;
            symbols[j] &= ID;
            or_local(homes + (place + j) / 32, 1u << (place + j & 31u));
            j += size;
        }
    }
    BARRIER();

    // The tokens one behind the other, by way of local memory.
    sums = (__local uint *)aligned;
    __local uint *numbered = sums + GROUP;
    uint here = homes[block / 2] >> (block & 1u) * 16 & 0xFFFFu;
    to = before_in_group((uint)ones(here), &all, sums, GROUP);
    numbered[block] = to;
    for (; here != 0; here &= here - 1) { keys[to++] = found[at + lowest_bit(here)]; }
    BARRIER();
    __global uint *slot = slots + (ulong)GROUP_X * SPAN;
    for (uint i = block; i < all; i += GROUP) { slot[i] = keys[i]; }
    if (block == 0) { counts[GROUP_X] = all; }
    for (uint i = first + block; i < texts; i += GROUP)
    {
        int place = (int)starts[i] - start;
        if (place >= HISTORY + TILE) { break; }
        if (place < HISTORY) { continue; }
        uint below = homes[place / 32] & ((1u << (place & 31)) - 1u);
        if (place & 16) { below >>= 16; }
        before[i] = numbered[place / 16] + (uint)ones(below & 0xFFFFu);
    }
}
