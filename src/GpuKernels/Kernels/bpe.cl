// Byte-level BPE from UTF-8 to ids, exactly, of many texts at once: split by a pattern, look whole pieces up, merge those that are not there.
// The texts lie one behind the other, each followed by the byte 0xFF, which is of no character and ends every piece; they are valid UTF-8.

#define GROUP 256
#define END_OF_TEXT 0xFFu

// Classes of characters, as Tokenisation/Bpe/UnicodeClasses.cs has them; 0 is what is in none.
#define UPPER 1u
#define LOWER 2u
#define LETTER 7u
#define MARK 8u
#define NUMBER 16u
#define SPACE 32u
#define END 64u

// Patterns, as Tokenisation/Bpe/SplitPattern.cs numbers them; the ways in which they differ.
#define GPT2 0u
#define CASED(pattern) ((pattern) >= 3u) // o200k_base and Tekken: words are cut where case changes
#define DIGITS(pattern) ((pattern) == 1u || (pattern) == 3u ? 2u : 0u) // cl100k_base and o200k_base: digits of a piece after the first
#define TEKKEN 4u

// limit: where this work item may read no further, and takes the text to end.
typedef struct
{
    __global const uchar *bytes;
    __global const ushort *pages;
    __global const uchar *classes;
    uint limit;
} Text;

FORCE_INLINE uint kind_at(Text text, uint at, int *size)
{
    *size = 1;
    if (at >= text.limit || text.bytes[at] == END_OF_TEXT) { return END; }
    uint c = character_at(text.bytes, at, size);
    return text.classes[(uint)text.pages[c >> 8] * 256u + (c & 255u)];
}

FORCE_INLINE uint run(Text text, uint at, uint kinds, uint most)
{
    int size;
    for (uint i = 0; i < most && (kind_at(text, at, &size) & kinds); i++) { at += size; }
    return at;
}

#define ANY 0xFFFFFFFFu

// [^\s\p{L}\p{N}]*
FORCE_INLINE uint others(Text text, uint at)
{
    int size;
    while (!(kind_at(text, at, &size) & (LETTER | NUMBER | SPACE | END))) { at += size; }
    return at;
}

FORCE_INLINE int is_break(uint value) { return value == '\r' || value == '\n'; }

FORCE_INLINE uint line_breaks(Text text, uint at, int slash)
{
    while (at < text.limit && (is_break(text.bytes[at]) || (slash && text.bytes[at] == '/'))) { at++; }
    return at;
}

// \s*[\r\n]+ where `newlines`, then \s+(?!\S)|\s+: at start is white space.
FORCE_INLINE uint spaces(Text text, uint start, int newlines)
{
    uint at = start;
    uint last = start;
    uint lastBreak = 0;
    int size;
    uint kind;
    while ((kind = kind_at(text, at, &size)) == SPACE)
    {
        last = at;
        at += size;
        if (newlines && is_break(text.bytes[last])) { lastBreak = at; }
    }
    if (lastBreak) { return lastBreak; }

    // The last one belongs to what follows, unless there is no other.
    return kind == END || last == start ? at : last;
}

// 's 't 're 've 'm 'll 'd, in any case where `cases`, when U+017F is an s too: where it ends, or start.
FORCE_INLINE uint contraction(Text text, uint start, int cases)
{
    uint bit = cases ? 0x20u : 0u;
    uint first = text.bytes[start + 1] == END_OF_TEXT ? 0u : text.bytes[start + 1] | bit;
    if (first == 's' || first == 't' || first == 'm' || first == 'd') { return start + 2; }
    if (first != 'r' && first != 'v' && first != 'l' && !(cases && text.bytes[start + 1] == 0xC5)) { return start; }
    uint second = text.bytes[start + 2];
    if (text.bytes[start + 1] == 0xC5) { return second == 0xBF ? start + 3 : start; }
    return second != END_OF_TEXT && (second | bit) == (first == 'l' ? 'l' : 'e') ? start + 3 : start;
}

// [Lu Lt Lm Lo M]*[Ll Lm Lo M]+, and where that does not match [Lu Lt Lm Lo M]+[Ll Lm Lo M]*: where it ends, start if neither matches; tail: whether
// a character of the second class is in it.
FORCE_INLINE uint word(Text text, uint start, int *tail)
{
    uint at = start;
    uint lastTail = 0;
    int size;
    uint kind;
    while ((kind = kind_at(text, at, &size)) & (LETTER | MARK))
    {
        if (kind == LOWER)
        {
            *tail = 1;
            while ((kind_at(text, at, &size) & (LETTER | MARK)) && kind_at(text, at, &size) != UPPER) { at += size; }
            return at;
        }
        at += size;
        if (kind != UPPER) { lastTail = at; }
    }

    // The head gives back what it took until one character is left that may stand in the tail.
    *tail = lastTail != 0;
    return lastTail ? lastTail : at;
}

FORCE_INLINE uint gpt2_end(Text text, uint start)
{
    uint first = text.bytes[start];
    if (first == '\'')
    {
        uint end = contraction(text, start, 0);
        if (end > start) { return end; }
    }
    uint at = first == ' ' ? start + 1 : start;
    int size;
    uint kind = kind_at(text, at, &size);
    if (kind & LETTER) { return run(text, at, LETTER, ANY); }
    if (kind == NUMBER) { return run(text, at, NUMBER, ANY); }
    return kind & (SPACE | END) ? spaces(text, start, 0) : others(text, at);
}

FORCE_INLINE uint cl100k_end(Text text, uint start, uint digits)
{
    uint first = text.bytes[start];
    if (first == '\'')
    {
        uint end = contraction(text, start, 1);
        if (end > start) { return end; }
    }
    int size;
    uint kind = kind_at(text, start, &size);
    uint next = start + size;
    if (kind & LETTER) { return run(text, next, LETTER, ANY); }
    if (kind == NUMBER) { return run(text, next, NUMBER, digits); }
    uint nextKind = kind_at(text, next, &size);
    if ((nextKind & LETTER) && !is_break(first)) { return run(text, next, LETTER, ANY); }
    if (kind != SPACE || (first == ' ' && !(nextKind & (LETTER | NUMBER | SPACE | END)))) { return line_breaks(text, others(text, next), 0); }
    return spaces(text, start, 1);
}

FORCE_INLINE uint o200k_end(Text text, uint start, uint digits, int contractions)
{
    uint first = text.bytes[start];
    int size;
    uint kind = kind_at(text, start, &size);
    uint next = start + size;
    int tail;
    uint end = start;
    if (kind == NUMBER) { return run(text, next, NUMBER, digits); }
    if (kind & LETTER) { end = word(text, start, &tail); }
    else if (!is_break(first))
    {
        end = word(text, next, &tail);

        // A mark may also be the word itself, which is tried before a word of capitals alone.
        if (end == next || (kind == MARK && !tail)) { end = kind == MARK ? next : start; }
    }
    if (end > start) { return contractions && end < text.limit && text.bytes[end] == '\'' ? contraction(text, end, 1) : end; }
    uint nextKind = kind_at(text, next, &size);
    if (kind != SPACE || (first == ' ' && !(nextKind & (LETTER | NUMBER | SPACE | END)))) { return line_breaks(text, others(text, next), 1); }
    return spaces(text, start, 1);
}

// Whether a piece begins here whatever comes before: between these two characters no pattern has a match that goes on. From one such place to the
// next, one work item goes by the pattern. They are the ends of most words.
FORCE_INLINE int is_certain(Text text, uint at)
{
    if (text.bytes[at] == END_OF_TEXT || (text.bytes[at] & 0xC0u) == 0x80u) { return 0; }
    if (at == 0 || text.bytes[at - 1] == END_OF_TEXT) { return 1; }
    uint last = at - 1;
    while ((text.bytes[last] & 0xC0u) == 0x80u) { last--; }
    int size;
    uint before = kind_at(text, last, &size);
    uint kind = kind_at(text, at, &size);
    if (before == NUMBER) { return kind != NUMBER; }
    if (kind == NUMBER) { return text.bytes[last] != ' '; }
    if (before & LETTER) { return kind == SPACE || (kind == 0 && text.bytes[at] != '\''); }
    return before == 0 && kind == SPACE && !is_break(text.bytes[at]);
}

// lengths[first byte of a piece] = its bytes; it is 0 everywhere before. A stretch of more than `most` bytes without a certain place is left.
__kernel GROUP_SIZE(GROUP) void split(__global const uchar *bytes, uint count, __global const ushort *pages, __global const uchar *classes, uint pattern,
    uint most, __global ushort *lengths, __global uint *left)
{
    uint at = (uint)GROUP_X * GROUP + LOCAL_ID;
    if (at >= count) { return; }
    Text text = {bytes, pages, classes, count};
    if (!is_certain(text, at)) { return; }

    // Past the limit a character, and what is looked at behind it, is still within the batch.
    uint limit = count - at > most ? at + most : count;
    while (limit < count && (bytes[limit] & 0xC0u) == 0x80u) { limit--; }
    text.limit = limit;
    do
    {
        uint end = pattern == GPT2 ? gpt2_end(text, at)
            : CASED(pattern) ? o200k_end(text, at, DIGITS(pattern), pattern != TEKKEN)
            : cl100k_end(text, at, DIGITS(pattern));
        if (end >= limit && limit < count)
        {
            leave(left, at);
            return;
        }
        lengths[at] = (ushort)(end - at);
        at = end;
    } while (bytes[at] != END_OF_TEXT && !is_certain(text, at));
}

// PieceTable's hash (Tokenisation/Bpe/PieceTable.cs); its multiplier is of the vocabulary's own, so that no text can be made for it.
FORCE_INLINE ulong mix(ulong value, ulong multiplier)
{
    value *= multiplier;
    return value ^ value >> 32;
}

FORCE_INLINE ulong hash_of(__global const uchar *bytes, uint length, ulong multiplier)
{
    ulong hash = length * multiplier;
    uint at = 0;
    for (; at + 8 <= length; at += 8)
    {
        ulong eight = 0;
        for (int i = 7; i >= 0; i--) { eight = eight << 8 | bytes[at + i]; }
        hash = mix(hash ^ eight, multiplier);
    }
    ulong rest = 0;
    for (; at < length; at++) { rest = rest << 8 | bytes[at]; }
    return mix(hash ^ rest, multiplier);
}

// Of each piece, at its first byte: its one token where it has one. Of the others the numbers: numbers[0] of those that `merge` does, whose places go
// to misses, numbers[1] of those with more than `most` bytes, whose places and lengths go to longs.
// slots [mask + 1]: a hash's upper half above a token + 1, 0 is free; starts [tokens + 1] of where a token's bytes are in `spelled`.
__kernel GROUP_SIZE(GROUP) void look_up(__global const uchar *bytes, uint count, __global const ushort *lengths, __global const ulong *slots, uint mask,
    __global const uint *starts, __global const uchar *spelled, ulong multiplier, uint most, __global uint *found, __global uint *counts,
    __global uint *numbers, __global uint *misses, __global uint *longs)
{
    __local uint own, first;
    uint at = (uint)GROUP_X * GROUP + LOCAL_ID;
    uint length = at < count ? lengths[at] : 0;
    int token = -1;
    if (LOCAL_ID == 0) { own = 0; }
    if (length > most)
    {
        uint number = add_atomic(numbers + 1, 1u);
        longs[number * 2] = at;
        longs[number * 2 + 1] = length;
    }
    else if (length > 0)
    {
        ulong hash = hash_of(bytes + at, length, multiplier);
        for (uint slot = (uint)hash & mask; token < 0 && slots[slot] != 0ul; slot = slot + 1 & mask)
        {
            if ((uint)(slots[slot] >> 32) != (uint)(hash >> 32)) { continue; }
            uint other = (uint)slots[slot] - 1;
            uint from = starts[other];
            if (starts[other + 1] - from != length) { continue; }
            uint same = 0;
            while (same < length && spelled[from + same] == bytes[at + same]) { same++; }
            if (same == length) { token = (int)other; }
        }
    }
    if (at < count) { counts[at] = token >= 0; }
    if (token >= 0) { found[at] = (uint)token; }

    // A group's misses are counted at once, since all groups share the number.
    BARRIER();
    int isMiss = length > 0 && length <= most && token < 0;
    uint number = isMiss ? add_local(&own, 1u) : 0;
    BARRIER();
    if (LOCAL_ID == 0 && own > 0) { first = add_atomic(numbers, own); }
    BARRIER();
    if (isMiss) { misses[first + number] = at; }
}

#define MERGE_GROUP 64
#define LANES 8
#define SYMBOLS 64
// The four pieces of a warp begin eight banks apart.
#define PITCH (SYMBOLS + 8)
#define PIECES (MERGE_GROUP / LANES)
#define NO_RANK 0xFFFFFFFFu

// MergeTable's slots (Tokenisation/Bpe/MergeTable.cs): two ids of 22 bits and a rank of 20. Rank and place in one number: the least is the next merge.
FORCE_INLINE uint key_of(uint left, uint right, uint at, __global const ulong *slots, uint mask, int shift, ulong multiplier)
{
    ulong pair = (ulong)left << 22 | right;
    for (uint slot = (uint)(pair * multiplier >> shift); slots[slot] != ~0ul; slot = slot + 1 & mask)
    {
        if (slots[slot] >> 20 == pair) { return ((uint)slots[slot] & 0xFFFFFu) * SYMBOLS | at; }
    }
    return NO_RANK;
}

// Pieces of at most SYMBOLS bytes, each by LANES work items: as long as there is a pair that merges, the one of the least rank does, the leftmost of
// equals. `live` has a bit for each symbol that is not yet part of the one before it; every lane of a piece has the same.
__kernel GROUP_SIZE(MERGE_GROUP) void merge_pieces(__global const uchar *bytes, __global const ushort *lengths, __global const uint *misses, uint pieces,
    __global const uint *byteIds, __global const ulong *slots, uint mask, int shift, ulong multiplier, __global const uint *merged,
    __global uint *found, __global uint *counts)
{
    __local uint symbols[PIECES * PITCH];
    __local uint keys[PIECES * PITCH];
    __local uint sizes[PIECES];
    SCRATCH(scratch, MERGE_GROUP);
    int lane = LOCAL_ID % LANES;
    uint piece = (uint)GROUP_X * PIECES + LOCAL_ID / LANES;
    uint at = piece < pieces ? misses[piece] : 0u;
    uint length = piece < pieces ? lengths[at] : 0u;
    __local uint *symbol = symbols + LOCAL_ID / LANES * PITCH;
    __local uint *key = keys + LOCAL_ID / LANES * PITCH;
    if (lane == 0) { sizes[LOCAL_ID / LANES] = length; }
    for (uint i = lane; i < length; i += LANES) { symbol[i] = byteIds[bytes[at + i]]; }
    BARRIER();
    for (uint i = lane; i < SYMBOLS; i += LANES) { key[i] = i + 1 < length ? key_of(symbol[i], symbol[i + 1], i, slots, mask, shift, multiplier) : NO_RANK; }
    uint longest = 0;
    for (int i = 0; i < PIECES; i++) { longest = sizes[i] > longest ? sizes[i] : longest; }
    BARRIER();

    ulong live = length == SYMBOLS ? ~0ul : (1ul << length) - 1;
    for (uint step = 1; step < longest; step++)
    {
        uint least = NO_RANK;
        for (uint i = lane; i < longest; i += LANES) { least = key[i] < least ? key[i] : least; }
        for (int other = 1; other < LANES; other *= 2)
        {
            uint theirs = lane_xor_bits(least, other, scratch);
            least = theirs < least ? theirs : least;
        }
        if (least != NO_RANK)
        {
            uint here = least % SYMBOLS;
            ulong right = live & ~0ul << here << 1;
            int gone = lowest_one(right);
            live &= ~(1ul << gone);
            right &= right - 1;
            uint becomes = merged[least / SYMBOLS];
            if (lane == 0)
            {
                symbol[here] = becomes;
                key[gone] = NO_RANK;
                key[here] = right ? key_of(becomes, symbol[lowest_one(right)], here, slots, mask, shift, multiplier) : NO_RANK;
            }
            ulong before = live & ((1ul << here) - 1);
            if (lane == 1 && before)
            {
                int neighbour = highest_one(before);
                key[neighbour] = key_of(symbol[neighbour], becomes, neighbour, slots, mask, shift, multiplier);
            }
        }
        BARRIER();
    }

    for (uint i = lane; i < length; i += LANES)
    {
        if (live >> i & 1ul) { found[at + ones_of(live & ((1ul << i) - 1))] = symbol[i]; }
    }
    if (lane == 0 && length > 0) { counts[at] = (uint)ones_of(live); }
}

// The tokens of pieces that the CPU merged: piece i, whose place is longs[2i], has tokens[firsts[i] .. firsts[i + 1]]; a work item for each.
__kernel GROUP_SIZE(GROUP) void place(__global const uint *longs, uint pieces, __global const uint *firsts, __global const uint *tokens,
    __global uint *found, __global uint *counts)
{
    uint piece = (uint)GROUP_X * GROUP + LOCAL_ID;
    if (piece >= pieces) { return; }
    uint at = longs[piece * 2];
    uint first = firsts[piece];
    uint own = firsts[piece + 1] - first;
    for (uint i = 0; i < own; i++) { found[at + i] = tokens[first + i]; }
    counts[at] = own;
}
