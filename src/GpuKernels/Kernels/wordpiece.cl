// WordPiece with BERT's stages, from UTF-8 to ids, exactly, of many texts that lie one behind the other; a group takes a tile of them.
//
// It has a window in local memory: a little of what is before the tile, to know whether a word goes on into it, the tile, and what its last word
// may take beyond. The words that begin in the tile are its own. A work item classifies 16 bytes, four at a time, and lowers their letters where they lie;
// characters beyond ASCII and controls are listed and looked at one by each work item. Where words begin and stop is then known as a bit for each byte,
// and words are divided among the work items: one of ASCII is looked for as it lies there, others are spelled first, and what is no token as a whole is
// cut by a tree of bytes. Every token has a home, the place in the tile where its word begins and as many places on as tokens of the word are before it; a
// word has no more tokens than bytes. A bit for each home says where tokens are, so that they are in order without being sorted, though words are not.
//
// A character's entry (two levels: pages[c >> 8] * 256 + (c & 255)) says what normalisation makes of it, which looks at one character at a time: the flags below,
// none for a letter that stays as it is, and where it is changed in bits 0-23 its bytes, at most three, with zeros behind, or where LONG says so their number (bits
// 20-23) and where they begin in `spelled`. It has no more characters than the character had bytes, no more than three times the bytes, and one byte where the
// character has one. Of ASCII only controls have entries that matter: letters, digits, punctuation and the space are the same for all vocabularies.

#include "texts.h"

#define NOTHING 0x40000000u // is removed
#define ALONE 0x80000000u   // a word by itself: punctuation, Chinese; with NOTHING: ends a word
#define CHANGED 0x20000000u // its own bytes are not its normal form
#define SPECIAL 0x10000000u // not to be done here
#define FLAGS 0xF0000000u
#define LONG 0x08000000u
#define SPELLED 0x00FFFFFFu

#define GROUP 256
#define PIECE 16     // bytes of a work item
#define WINDOW 4096  // GROUP * PIECE
#define HISTORY 32   // of the window, before the tile
#define SPAN 4064    // WINDOW - HISTORY: the homes
#define TILE 3584    // leaves 480 bytes for the last word: BERT's longest word that is not unknown has 100 characters of at most 4
#define KEY_BYTES 16 // of the longest token in the table of whole words
#define BATCH 512    // words that are looked up before those that were not found are cut
#define BATCHES 7    // TILE / BATCH
#define ROOT_BASE 1u

// Local memory by words and by bytes: the window, two pieces behind it to be read beyond its end, and four bytes for each home.
#define FOUND 1032 // the first home's word
#define SLACK 3    // words behind the last home: the window's last character may be longer than what is of it in the window

// Where a piece of 16 bytes ends: in a word, outside of one, or where the piece before it did.
#define OUTSIDE 0
#define WITHIN 1
#define THROUGH 2

// Of a record of a word: where it begins, and from which bit on how many tokens it has beyond the first, 15 if more.
#define PLACE 0xFFFu
#define MORE 12

// Of a record of a word that is to be cut: its number, from which bit on how many bytes it has, and whether they are spelled.
#define NUMBER 0xFFFu
#define LENGTH 12
#define IS_SPELLED 0x80000000u

#define HIGHS 0x80808080u

// The character whose bytes are the first of four, its first being 0xC0 or more; 1 byte where they are none.
FORCE_INLINE uint decode(uint four, int *bytes)
{
    int length = leading_zeros(~four << 24);
    uint joined = (four & 0x7Fu >> (length & 7)) << 18 | (four >> 8 & 0x3Fu) << 12 | (four >> 16 & 0x3Fu) << 6 | (four >> 24 & 0x3Fu);
    uint scalar = joined >> (24 - 6 * length & 31);
    uint least = length == 2 ? 0x80u : length == 3 ? 0x800u : 0x10000u;
    uint others = ((four ^ 0x80808000u) & 0xC0C0C000u) << (32 - 8 * length & 31);
    int there = (length <= 4) & (others == 0) & (scalar - least < 0x110000u - least) & (scalar - 0xD800u >= 0x800u);
    *bytes = there ? length : 1;
    return scalar;
}

FORCE_INLINE uint four_at(__local const uint *words, uint at) { return four_from(words[at / 4], words[at / 4 + 1], (at & 3u) * 8u); }

FORCE_INLINE uint bits_from(__local const uint *bits, uint at) { return four_from(bits[at / 32], bits[at / 32 + 1], at & 31u); }

// The top bits of 16 bytes, as 16 bits: of signed bytes -128 times -1, -2, -4 and so on.
FORCE_INLINE uint top_bits(const uint *tops)
{
    int low = dot4((int)tops[1], (int)0x80C0E0F0u, dot4((int)tops[0], (int)0xF8FCFEFFu, 0));
    int high = dot4((int)tops[3], (int)0x80C0E0F0u, dot4((int)tops[2], (int)0xF8FCFEFFu, 0));
    return (uint)low >> 7 | (uint)high << 1;
}

// Whether a continuation byte belongs to a character.
FORCE_INLINE int is_claimed(__local const uint *words, uint at)
{
    for (int i = 1; i < 4 && i <= (int)at; i++)
    {
        uint four = four_at(words, at - i);
        if ((four & 0xC0u) == 0x80u) { continue; }
        int bytes = 1;
        if ((four & 0x80u) != 0) { decode(four, &bytes); }
        return bytes > i;
    }
    return 0;
}

FORCE_INLINE uint entry_of(uint scalar, __global const ushort *pages, __global const uint *entries) { return entries[(uint)pages[scalar >> 8] * 256u + (scalar & 255u)]; }

// The places of a piece's bytes that are in a word: letters, and what is nothing behind them, which a sum carries through.
FORCE_INLINE uint spread(uint letters, uint through, uint carried) { return letters | (through & ~(through + ((letters << 1 | carried) & through))); }

// The id of a word of at most 16 bytes that is a token as a whole, or -1. Tokens have a slot of their own, which their bucket's seed leads to: the token's bytes
// with zeros behind, how many they are (0: free), and its id. keeps: for each length the bits of a key that are the word's. What is behind a word is not the word's
// own where others write at the same time (isAlone): it is not read then.
FORCE_INLINE int find_whole(__local const uint *memory, uint place, uint length, const int isAlone, __local const uint4 *keeps, __global const uint4 *wholes, __global const uint *seeds, uint bucketShift, uint slotShift)
{
    __local const uint *from = memory + place / 4;
    uint shift = (place & 3u) * 8u;
    uint there = (place & 3u) + length;
    uint a = from[0];
    uint b = !isAlone || there > 4 ? from[1] : 0;
    uint c = !isAlone || there > 8 ? from[2] : 0;
    uint d = !isAlone || there > 12 ? from[3] : 0;
    uint e = !isAlone || there > 16 ? from[4] : 0;
    uint4 keep = keeps[length];
    uint4 key = (uint4)(four_from(a, b, shift) & keep.x, four_from(b, c, shift) & keep.y, four_from(c, d, shift) & keep.z, four_from(d, e, shift) & keep.w);
    ulong both = ((ulong)(key.x ^ 0x9E3779B1u) * (key.y ^ 0x85EBCA77u)) ^ ((ulong)(key.z ^ 0xC2B2AE3Du) * (key.w ^ 0x27D4EB2Fu));
    uint hash = (uint)both ^ (uint)(both >> 32);
    __global const uint4 *whole = wholes + (ulong)(hash * seeds[hash >> bucketShift] >> slotShift) * 2;
    uint4 bytes = whole[0];
    uint2 rest = *(__global const uint2 *)(whole + 1);
    return ((bytes.x ^ key.x) | (bytes.y ^ key.y) | (bytes.z ^ key.z) | (bytes.w ^ key.w) | (rest.x ^ length)) == 0 ? (int)rest.y : -1;
}

// At most four bytes.
FORCE_INLINE void put(__local uchar *to, uint four, uint length)
{
    if (length > 0) { to[0] = (uchar)four; }
    if (length > 1) { to[1] = (uchar)(four >> 8); }
    if (length > 2) { to[2] = (uchar)(four >> 16); }
    if (length > 3) { to[3] = (uchar)(four >> 24); }
}

// Where a word stops: the first stop behind its first byte.
FORCE_INLINE uint end_of(__local const uint *stops, uint at)
{
    uint word = (at + 1) / 32;
    uint left = stops[word] & 0xFFFFFFFFu << (at + 1 & 31u);
    while (left == 0) { left = stops[++word]; }
    return word * 32 + lowest_bit(left);
}

// How many bits are set from one on, before another.
FORCE_INLINE uint count_from(__local const uint *bits, uint at, uint end)
{
    uint sum = 0;
    for (; at < end; at += 32) { sum += (uint)ones(bits_from(bits, at) & (end - at < 32 ? (1u << (end - at)) - 1u : 0xFFFFFFFFu)); }
    return sum;
}

// Of each tile its ids at slots[tile - firstTile][SPAN] and how many; of each text that begins in it how many of them are before the text; flags of texts.
// text has as many bytes behind it as make it a multiple of 16; lowers: all bits where letters are lowered; steps: a double array of nodes, each with the node that
// it comes from, its base, to which a byte is added, and the id + 1 of the token that is spelled there (0: none); goOn: the node of what continuing tokens begin
// with, or -1, and its base; suspects: a bit for each byte that an added token begins with; suspect: four times the ASCII character that is the only such byte, and
// several: whether there are others.
__kernel GROUP_SIZE(GROUP) void tokenise_tiles(__global const uint4 *text, uint count, uint firstTile, __global const uint *starts, uint texts,
    __global const uint *firsts, __global const ushort *pages, __global const uint *entries, __global const uchar *spelled, uint lowers,
    __global const uint4 *wholes, __global const uint *seeds, uint bucketShift, uint slotShift, __global const uint4 *steps, uint goOnBase, uint goOn, uint most,
    uint unknown, __global const uint *suspects, uint suspect, uint several, __global uint *slots, __global uint *counts, __global uint *before, __global uint *flags)
{
    __local uint4 aligned[(FOUND + SPAN + SLACK + 5) / 4];
    __local uint lists[TILE / 2 + BATCH];
    __local uint breaks[WINDOW / 32 + 2];
    __local uint exceptions[2 * WINDOW / 32];
    __local uint changed[WINDOW / 32 + 1];
    __local uint stops[WINDOW / 32 + 1];
    __local uint homes[WINDOW / 32];
    __local uint spelt[WINDOW / 32 + 1];
    __local uint4 keeps[KEY_BYTES + 1];
    __local uchar ends[GROUP];
    __local uint listed, own, cut, unclaimed, others[BATCHES], cuts[BATCHES];

    __local uint *memory = (__local uint *)aligned;
    __local uint *found = memory + FOUND;
    __local uchar *bytes = (__local uchar *)aligned;
    __local ushort *words = (__local ushort *)lists;
    __local uint *toCut = lists + TILE / 2;
    // What is needed only before words are known, only while they are looked up, or only after it.
    __local ushort *list = (__local ushort *)lists;
    __local ushort *toSpell = (__local ushort *)exceptions;
    __local uint *sums = exceptions;
    __local ushort *numbers = (__local ushort *)exceptions;

    uint tile = firstTile + (uint)GROUP_X;
    int start = (int)(tile * TILE) - HISTORY;
    uint first = firsts[tile];
    uint textBefore = first > 0 ? first - 1 : 0;
    uint piece = (uint)LOCAL_ID;
    uint at = piece * PIECE;
    int isOwn = at >= HISTORY && at < HISTORY + TILE;

    // Text beside the texts is white space.
    uint position = (uint)start + at;
    uint4 value = (uint4)(0x20202020u);
    if (position < count) { value = text[position / PIECE]; }
    uint part[4] = {value.x, value.y, value.z, value.w};
    if (position < count && count - position < PIECE)
    {
        UNROLL for (int i = 0; i < 4; i++)
        {
            int there = (int)(count - position) - i * 4;
            uint kept = there >= 4 ? 0xFFFFFFFFu : there <= 0 ? 0u : 0xFFFFFFFFu >> (32 - 8 * there);
            part[i] = (part[i] & kept) | (0x20202020u & ~kept);
        }
    }

    // The classes of this piece's bytes: of letters and digits, and of punctuation, the top bits of each byte, by sums that carry into it.
    uint wordTops[4], singleTops[4];
    uint anyListed = 0;
    uint anySuspect = 0;
    UNROLL for (int i = 0; i < 4; i++)
    {
        uint four = part[i];
        uint plain = ~four & HIGHS;
        uint seven = four & ~HIGHS;
        uint small = seven | 0x20202020u;
        uint letter = ((small + 0x1F1F1F1Fu) ^ (small + 0x05050505u)) & plain;
        wordTops[i] = letter | (((seven + 0x50505050u) ^ (seven + 0x46464646u)) & plain);
        uint delete = seven + 0x01010101u;
        singleTops[i] = (((seven + 0x5F5F5F5Fu) ^ delete) & plain) ^ wordTops[i];
        anyListed |= (~(seven + 0x60606060u) | delete | four) & HIGHS;
        anySuspect |= ~((seven ^ suspect) + 0x7F7F7F7Fu) & plain;
        part[i] = four | (letter >> 2 & lowers);
    }
    if (isOwn && (anySuspect | several) != 0)
    {
        for (int i = 0; i < PIECE; i++)
        {
            uint c = i < 4 ? value.x >> i * 8 : i < 8 ? value.y >> (i - 4) * 8 : i < 12 ? value.z >> (i - 8) * 8 : value.w >> (i - 12) * 8;
            c &= 255u;
            if (position + i < count && suspects[c / 32] >> (c & 31u) & 1u) { flag_text(flags, starts, textBefore, texts, position + i, SUSPECT); }
        }
    }
    aligned[piece] = (uint4)(part[0], part[1], part[2], part[3]);
    uint letters = top_bits(wordTops);
    uint singles = top_bits(singleTops);
    uint looks = 0;
    uint high = 0;
    int claims = 0;
    if (piece < WINDOW / 32 + 2) { breaks[piece] = 0; }
    if (piece < WINDOW / 32 + 1) { changed[piece] = 0; }
    exceptions[piece] = 0;
    if (piece <= KEY_BYTES)
    {
        uint keep[4];
        UNROLL for (int i = 0; i < 4; i++)
        {
            int there = (int)piece - i * 4;
            keep[i] = there >= 4 ? 0xFFFFFFFFu : there <= 0 ? 0u : 0xFFFFFFFFu >> (32 - 8 * there);
        }
        keeps[piece] = (uint4)(keep[0], keep[1], keep[2], keep[3]);
    }
    if (piece == 0)
    {
        uint4 behind = (uint4)(0x20202020u);
        if ((uint)start + WINDOW < count) { behind = text[((uint)start + WINDOW) / PIECE]; }
        aligned[WINDOW / PIECE] = behind;
        aligned[WINDOW / PIECE + 1] = (uint4)(0x20202020u);
        stops[WINDOW / 32] = 0xFFFFFFFFu;
        spelt[WINDOW / 32] = 0;
        listed = 0;
        own = 0;
        unclaimed = 0;
        for (int i = 0; i < BATCHES; i++) { others[i] = 0; cuts[i] = 0; }
    }
    BARRIER();

    for (uint i = first + piece; i < texts; i += GROUP)
    {
        int begin = (int)starts[i] - start;
        if (begin >= WINDOW + 32) { break; }
        or_local(breaks + begin / 32, 1u << (begin & 31));
    }
    if (anyListed != 0)
    {
        // Bytes from 0xC0 on, and controls.
        uint4 four = aligned[piece];
        uint4 seven = four & ~HIGHS;
        uint4 listTops = (four & (four << 1u | ~HIGHS) & HIGHS) | ((~(seven + 0x60606060u) | (seven + 0x01010101u)) & ~four & HIGHS);
        uint tops[4] = {listTops.x, listTops.y, listTops.z, listTops.w};
        uint highs[4] = {four.x & HIGHS, four.y & HIGHS, four.z & HIGHS, four.w & HIGHS};
        looks = top_bits(tops);
        high = top_bits(highs);
        // Continuation bytes, but for those of a character that begins before the window.
        uint goingOn = high & ~looks;
        claims = -ones(piece == 0 ? goingOn & (goingOn + 1) : goingOn);
        if (looks != 0)
        {
            uint to = add_local(&listed, (uint)ones(looks));
            for (uint left = looks; left != 0; left &= left - 1) { list[to++] = (ushort)(at + lowest_bit(left)); }
        }
    }
    BARRIER();

    // Characters beyond ASCII and controls are letters that stay as they are unless their bits say something else.
    for (uint i = piece; i < listed; i += GROUP)
    {
        uint place = list[i];
        uint four = four_at(memory, place);
        int length = 1;
        uint scalar = four & 255u;
        int isOne = 1;
        if (scalar >= 0x80u)
        {
            scalar = decode(four, &length);
            isOne = length > 1;
            claims += length - 1 < WINDOW - 1 - (int)place ? length - 1 : WINDOW - 1 - (int)place;
        }
        uint entry = NOTHING | ALONE | SPECIAL;
        if (isOne) { entry = entry_of(scalar, pages, entries); }
        // Of a character in which a text ends only what its homes have room for is spelled: nothing.
        if (entry & LONG && (bits_from(breaks, place + 1) & ((1u << length) - 1u) >> 1) != 0) { entry = NOTHING | ALONE | SPECIAL; }
        if (entry & FLAGS)
        {
            uint bit = 1u << (place & 31u);
            if (entry & NOTHING) { or_local(exceptions + place / 32, bit); }
            if (entry & ALONE) { or_local(exceptions + WINDOW / 32 + place / 32, bit); }
            if (place >= HISTORY && entry & CHANGED)
            {
                or_local(changed + place / 32, bit);
                found[place - HISTORY] = entry;
            }
            if (entry & SPECIAL && place >= HISTORY && place < HISTORY + TILE) { flag_text(flags, starts, textBefore, texts, (uint)start + place, LEAVE); }
        }
    }
    if (claims != 0) { add_local(&unclaimed, (uint)claims); }
    BARRIER();

    uint broken = breaks[at / 32] >> (at & 31u) & 0xFFFFu;
    uint nothing = 0;
    uint goesOn = 0;
    if (anyListed != 0)
    {
        uint x = exceptions[at / 32] >> (at & 31u);
        uint y = exceptions[WINDOW / 32 + at / 32] >> (at & 31u);
        letters |= looks & ~(x | y);
        singles |= looks & y & ~x;
        goesOn = high & ~looks;
        nothing = (looks & x & ~y) | goesOn;
        if (isOwn && (broken & goesOn) != 0)
        {
            // A text ends in a character, and what is left of it is another's.
            for (uint left = broken & goesOn; left != 0; left &= left - 1)
            {
                uint i = lowest_bit(left);
                flag_text(flags, starts, textBefore, texts, position + i, LEAVE);
                if (is_claimed(memory, at + i)) { flag_text(flags, starts, 0, texts, position + i - 1, LEAVE); }
            }
        }
        if (unclaimed != 0 && isOwn)
        {
            for (uint left = goesOn; left != 0; left &= left - 1)
            {
                uint i = lowest_bit(left);
                if (!is_claimed(memory, at + i)) { flag_text(flags, starts, textBefore, texts, position + i, LEAVE); }
            }
        }
    }
    uint through = nothing & ~broken;
    ends[piece] = through == 0xFFFFu ? THROUGH : spread(letters, through, 0) >> 15 & 1u ? WITHIN : OUTSIDE;
    BARRIER();

    // Whether the piece begins within a word. Where all that the window has before the tile is nothing it cannot be known.
    int last = (int)piece - 1;
    while (last >= 0 && ends[last] == THROUGH) { last--; }
    uint carried = last >= 0 && ends[last] == WITHIN ? 1 : 0;
    if (last < 0 && at == HISTORY && (broken & 1u) == 0 && position < count) { flag_text(flags, starts, textBefore, texts, position, LEAVE); }
    uint within = spread(letters, through, carried);
    uint begins = letters & (~(within << 1 | carried) | broken);
    ((__local ushort *)stops)[piece] = (ushort)((~within & ~(goesOn & ~broken)) | begins);
    ((__local ushort *)spelt)[piece] = (ushort)(letters | singles);
    begins = isOwn ? begins | singles : 0;
    ((__local ushort *)homes)[piece] = (ushort)begins;
    // The last word of the tile may go on where the window ends.
    if (piece == GROUP - 1) { cut = within >> 15 & 1u && (uint)start + WINDOW < count && !bit_at(breaks, WINDOW) ? 1 : 0; }
    if (begins != 0)
    {
        uint to = add_local(&own, (uint)ones(begins));
        for (uint left = begins; left != 0; left &= left - 1) { words[to++] = (ushort)(at + lowest_bit(left)); }
    }
    BARRIER();

    uint mine = own;
    uint isCut = cut;
    for (uint batch = 0; batch * BATCH < mine; batch++)
    {
        // Words whose characters stay as they are are looked for where they lie.
        uint end = mine < (batch + 1) * BATCH ? mine : (batch + 1) * BATCH;
        for (uint i = batch * BATCH + piece; i < end; i += GROUP)
        {
            uint place = words[i];
            uint ahead = bits_from(stops, place + 1);
            uint length = lowest_bit(ahead | 0x80000000u) + 1;
            uint isChanged = bits_from(changed, place) & 0xFFFFFFFFu >> (32 - length);
            if (ahead == 0)
            {
                length = end_of(stops, place) - place;
                isChanged = count_from(changed, place, place + length);
            }
            int id = -1;
            if (length <= KEY_BYTES && length <= most && isChanged == 0) { id = find_whole(memory, place, length, 0, keeps, wholes, seeds, bucketShift, slotShift); }
            if (id >= 0) { found[place - HISTORY] = (uint)id; }
            else if (isChanged) { toSpell[add_local(others + batch, 1)] = (ushort)i; }
            else { toCut[add_local(cuts + batch, 1)] = i | length << LENGTH; }
        }
        BARRIER();

        // Others are spelled from their end, at the end of their homes, which have four bytes for each of theirs: so no character's entry is written over
        // before it has been read, nor later what is not cut yet by the tokens of what is.
        for (uint i = piece; i < others[batch]; i += GROUP)
        {
            uint number = toSpell[i];
            uint place = words[number];
            uint stop = end_of(stops, place);
            uint last = (FOUND + stop - HISTORY + (stop == WINDOW ? SLACK : 0)) * 4;
            uint to = last;
            int id = (int)unknown;
            // Each character becomes one or more.
            if (count_from(spelt, place, stop) <= most)
            {
                uint chunk = stop / 32;
                uint left = changed[chunk] & ((1u << (stop & 31u)) - 1u);
                uint behind = stop;
                while (behind > place)
                {
                    if (chunk == place / 32) { left &= 0xFFFFFFFFu << (place & 31u); }
                    else if (left == 0)
                    {
                        left = changed[--chunk];
                        continue;
                    }
                    // The last character that is changed, and before it what is not and lies behind it.
                    uint at = place;
                    uint same = place;
                    uint normal = 0;
                    if (left != 0)
                    {
                        uint bit = 31 - (uint)leading_zeros(left);
                        left ^= 1u << bit;
                        at = chunk * 32 + bit;
                        uint c = bytes[at];
                        same = at + (c < 0x80u ? 1 : (uint)leading_zeros(~c << 24));
                        normal = found[at - HISTORY];
                    }
                    while (behind > same)
                    {
                        uint length = behind - same < 4 ? behind - same : 4;
                        behind -= length;
                        to -= length;
                        put(bytes + to, four_at(memory, behind), length);
                    }
                    behind = at;
                    uint length = normal & LONG ? normal >> 20 & 15u : 4 - (uint)leading_zeros(normal & SPELLED) / 8;
                    to -= length;
                    if (normal & LONG) { for (uint j = 0; j < length; j++) { bytes[to + j] = spelled[(normal & 0xFFFFFu) + j]; } }
                    else { put(bytes + to, normal, length); }
                }
                id = -1;
                uint length = last - to;
                if (length <= KEY_BYTES && length <= most) { id = find_whole(memory, to, length, 1, keeps, wholes, seeds, bucketShift, slotShift); }
            }
            if (id >= 0) { found[place - HISTORY] = (uint)id; }
            else { toCut[add_local(cuts + batch, 1)] = number | (last - to) << LENGTH | IS_SPELLED; }
        }
        BARRIER();

        for (uint i = piece; i < cuts[batch]; i += GROUP)
        {
            uint record = toCut[i];
            uint number = record & NUMBER;
            uint place = words[number];
            uint length = record >> LENGTH & 0x3FFFu;
            uint from = place;
            uint stop = place + length;
            uint end = stop;
            if (record & IS_SPELLED)
            {
                stop = end_of(stops, place);
                end = (FOUND + stop - HISTORY + (stop == WINDOW ? SLACK : 0)) * 4;
                from = end - length;
            }
            int known = stop != WINDOW || isCut == 0;
            uint characters = 0;
            if (length > most || !known)
            {
                // Of what is spelled, which ends with four bytes, all but continuation bytes.
                if (record & IS_SPELLED)
                {
                    uint goingOn = HIGHS << (from & 3u) * 8;
                    characters = length;
                    for (uint j = from / 4; j < end / 4; j++)
                    {
                        uint four = memory[j];
                        characters -= (uint)ones(four & ~(four << 1) & goingOn);
                        goingOn = HIGHS;
                    }
                }
                else { characters = count_from(spelt, place, stop); }
            }
            if (characters <= most && !known) { flag_text(flags, starts, textBefore, texts, (uint)start + place, LEAVE); }
            if (characters > most || !known) { from = end + 1; }
            __local uint *home = found + place - HISTORY;
            uint room = stop - place;
            uint made = 0;
            uint node = 0;
            uint base = ROOT_BASE;
            while (from < end)
            {
                uint best = 0;
                uint next = from;
                uint j = from;
                while (j < end)
                {
                    uint slot = base + bytes[j];
                    uint4 step = steps[slot];
                    if (step.x != node) { break; }
                    j++;
                    node = slot;
                    base = step.y;
                    best = step.z != 0 ? step.z : best;
                    next = step.z != 0 ? j : next;
                }
                if (best == 0 || made >= room) { break; }
                home[made++] = best - 1;
                from = next;
                node = goOn;
                base = goOnBase;
            }
            if (from != end)
            {
                home[0] = unknown;
                made = 1;
            }
            if (made > 1)
            {
                words[number] = (ushort)(place | (made > 15 ? 15u : made - 1) << MORE);
                for (uint j = place + 1; j < place + made; j++) { or_local(homes + j / 32, 1u << (j & 31u)); }
            }
        }
        BARRIER();
    }

    // Words' tokens, wherever those before them end.
    uint all;
    uint number = before_in_group((uint)ones(((__local ushort *)homes)[piece]), &all, sums, GROUP);
    numbers[piece] = (ushort)number;
    BARRIER();
    __global uint *slot = slots + (ulong)GROUP_X * SPAN;
    for (uint i = piece; i < mine; i += GROUP)
    {
        uint record = words[i];
        uint place = record & PLACE;
        uint more = record >> MORE;
        uint to = numbers[place / 16] + (uint)ones(((__local ushort *)homes)[place / 16] & ((1u << (place & 15u)) - 1u));
        __local const uint *home = found + place - HISTORY;
        slot[to] = home[0];
        if (more == 15) { while (!bit_at(stops, place + more + 1) && bit_at(homes, place + more + 1)) { more++; } }
        for (uint j = 1; j <= more; j++) { slot[to + j] = home[j]; }
    }
    if (piece == 0) { counts[GROUP_X] = all; }
    for (uint i = first + piece; i < texts; i += GROUP)
    {
        int begin = (int)starts[i] - start;
        if (begin >= HISTORY + TILE) { break; }
        if (begin < HISTORY) { continue; }
        before[i] = numbers[begin / 16] + (uint)ones(((__local ushort *)homes)[begin / 16] & ((1u << (begin & 15)) - 1u));
    }
}
