// WordPiece from UTF-8 to ids, exactly, of many texts at once. The texts lie one behind the other, each followed by one white-space character, so
// that no word joins two of them; they are valid UTF-8. Every kernel here has a work item for each byte.
//
// A character's entry (two levels: pages[c >> 8] * 256 + (c & 255)) says what normalisation makes of it, which looks at one character at a time:
// bits 0-21 where its bytes begin in `spelled`, 22-25 how many they are, and the flags below. A text with a character that cannot be done so is
// tokenised on the CPU.

#define KEPT 0x04000000u    // its own bytes are its normal form
#define SPACE 0x08000000u   // ends a word; one byte, a space
#define ALONE 0x10000000u   // a word by itself: punctuation, Chinese
#define SPECIAL 0x20000000u // not to be done here
#define GROUP 256

// Classes of normalised bytes.
#define INSIDE 0
#define LETTER 1
#define SINGLE 2
#define GAP 3

FORCE_INLINE uint entry_at(__global const uchar *text, uint at, uint count, __global const ushort *pages, __global const uint *entries, int *bytes)
{
    *bytes = 0;
    if (at >= count || (text[at] & 0xC0u) == 0x80u) { return 0; }
    uint c = character_at(text, at, bytes);
    return entries[(uint)pages[c >> 8] * 256u + (c & 255u)];
}

FORCE_INLINE uint normal_bytes(uint entry, int bytes) { return entry & KEPT ? (uint)bytes : entry >> 22 & 15u; }

// totals[group] = bytes of the normal form of the group's bytes; left: where characters are that cannot be done here.
__kernel GROUP_SIZE(GROUP) void measure(__global const uchar *text, uint count, __global const ushort *pages, __global const uint *entries,
    __global uint *totals, __global uint *left)
{
    __local uint sums[GROUP];
    uint at = (uint)GROUP_X * GROUP + LOCAL_ID;
    int bytes;
    uint entry = entry_at(text, at, count, pages, entries, &bytes);
    if (entry & SPECIAL) { leave(left, at); }
    uint all;
    before_in_group(normal_bytes(entry, bytes), &all, sums, GROUP);
    if (LOCAL_ID == 0) { totals[GROUP_X] = all; }
}

// The normal form, of each of its bytes the class, and of each byte of the text where its normal form begins.
__kernel GROUP_SIZE(GROUP) void normalise(__global const uchar *text, uint count, __global const ushort *pages, __global const uint *entries,
    __global const uchar *spelled, __global const uint *totals, __global uchar *normal, __global uchar *classes, __global uint *places)
{
    __local uint sums[GROUP];
    uint at = (uint)GROUP_X * GROUP + LOCAL_ID;
    int bytes;
    uint entry = entry_at(text, at, count, pages, entries, &bytes);
    uint length = normal_bytes(entry, bytes);
    uint all;
    uint to = totals[GROUP_X] + before_in_group(length, &all, sums, GROUP);
    if (at < count) { places[at] = to; }
    for (uint i = 0; i < length; i++)
    {
        uchar value = entry & KEPT ? text[at + i] : spelled[(entry & 0x3FFFFFu) + i];
        normal[to + i] = value;
        classes[to + i] = (value & 0xC0u) == 0x80u ? INSIDE : entry & SPACE ? GAP : entry & ALONE ? SINGLE : LETTER;
    }
}

FORCE_INLINE int begins_word(__global const uchar *classes, uint at)
{
    int class = classes[at];
    if (class == SINGLE) { return 1; }
    if (class != LETTER) { return 0; }
    if (at == 0) { return 1; }
    uint last = at - 1;
    while (last > 0 && classes[last] == INSIDE) { last--; }
    return classes[last] != LETTER;
}

// FNV-1a of 64 bits, then mixed so that its low bits are good enough for a table.
FORCE_INLINE ulong hash_more(ulong hash, uchar value) { return (hash ^ value) * 0x100000001b3ul; }
FORCE_INLINE uint slot_of(ulong hash) { return (uint)((hash ^ hash >> 32) * 0x9E3779B1u); }

// The token of these bytes in a table of open addressing, or -1: slots [mask + 1] of {hash's upper half, token + 1}; tokens [..][3] of where its
// bytes begin in `spelling`, how many they are, and its id. The bytes are compared, since a text may be made to have any hash.
FORCE_INLINE int find(ulong hash, __global const uchar *bytes, uint length, __global const uint *slots, uint mask, __global const uint *tokens,
    __global const uchar *spelling)
{
    for (uint at = slot_of(hash) & mask; slots[at * 2 + 1] != 0u; at = at + 1 & mask)
    {
        if (slots[at * 2] != (uint)(hash >> 32)) { continue; }
        uint token = slots[at * 2 + 1] - 1;
        if (tokens[token * 3 + 1] != length) { continue; }
        __global const uchar *own = spelling + tokens[token * 3];
        uint same = 0;
        while (same < length && own[same] == bytes[same]) { same++; }
        if (same == length) { return (int)token; }
    }
    return -1;
}

// Of each word, at its first byte: how many tokens (counts), and the tokens at found[first byte..]: a word of n bytes has at most n.
// Two tables: of tokens that begin a word and of those that continue one, without their prefix.
__kernel GROUP_SIZE(GROUP) void match(__global const uchar *normal, __global const uchar *classes, uint count,
    __global const uint *beginSlots, uint beginMask, __global const uint *goonSlots, uint goonMask, __global const uint *tokens,
    __global const uchar *spelling, uint longest, uint most, uint unknown, __global uint *found, __global uint *counts)
{
    uint at = (uint)GROUP_X * GROUP + LOCAL_ID;
    if (at >= count) { return; }
    if (!begins_word(classes, at))
    {
        counts[at] = 0;
        return;
    }

    // A character alone ends after itself; a word ends before what is not of it, or where it is too long to be looked at further.
    uint end = at + 1;
    uint characters = 1;
    int single = classes[at] == SINGLE;
    while (end < count && characters <= most && (classes[end] == INSIDE || (!single && classes[end] == LETTER))) { characters += classes[end++] == LETTER; }

    uint made = 0;
    uint from = at;
    while (from < end && characters <= most)
    {
        ulong hash = 0xcbf29ce484222325ul;
        int best = -1;
        uint bestEnd = from;
        for (uint i = from; i < end && i - from < longest; i++)
        {
            hash = hash_more(hash, normal[i]);
            if (i + 1 < end && classes[i + 1] == INSIDE) { continue; }
            int token = find(hash, normal + from, i + 1 - from, from == at ? beginSlots : goonSlots, from == at ? beginMask : goonMask, tokens, spelling);
            if (token >= 0)
            {
                best = token;
                bestEnd = i + 1;
            }
        }
        if (best < 0) { break; }
        found[at + made++] = tokens[best * 3 + 2];
        from = bestEnd;
    }

    if (from < end)
    {
        found[at] = unknown;
        made = 1;
    }
    counts[at] = made;
}

// starts[t], which text t's first byte is at, becomes where its normal form is; a work item for each text.
__kernel GROUP_SIZE(GROUP) void normal_starts(__global uint *starts, uint texts, __global const uint *places)
{
    uint text = (uint)GROUP_X * GROUP + LOCAL_ID;
    if (text < texts) { starts[text] = places[starts[text]]; }
}
