// WordPiece with BERT's stages, from UTF-8 to ids, exactly, of many texts that lie one behind the other; a group takes a tile of them.
//
// It has a window in local memory: a little of what is before the tile, to know whether a word goes on into it, the tile, and what its last word
// may take beyond. The words that begin in the tile are its own. A work item normalises 16 bytes, then words are divided among the work items:
// one that is a token as a whole is found in a table, the others are cut by a tree of bytes. Every token has a home, the place in the tile where
// its word begins and as many places on as tokens of the word are before it; a word has no more tokens than bytes. A bit for each home says where
// tokens are, so that they are in order without being sorted.
//
// A character's entry (two levels: pages[c >> 8] * 256 + (c & 255)) says what normalisation makes of it, which looks at one character at a time:
// bits 0-21 where its bytes begin in `spelled`, 22-25 how many they are, and the flags below. It has no more characters than the character had
// bytes, no more than three times the bytes, and one byte where the character has one.

#define KEPT 0x04000000u    // its own bytes are its normal form
#define SPACE 0x08000000u   // ends a word
#define ALONE 0x10000000u   // a word by itself: punctuation, Chinese
#define SPECIAL 0x20000000u // not to be done here

#define GROUP 256
#define PIECE 16     // bytes of a work item
#define WINDOW 4096  // GROUP * PIECE
#define HISTORY 32   // of the window, before the tile
#define SPAN 4064    // WINDOW - HISTORY: the homes
#define TILE 3584    // leaves 480 bytes for the last word: BERT's longest word that is not unknown has 100 characters of at most 4
#define GROWTH 3
#define KEY_BYTES 16 // of the longest token in the table of whole words
#define PROBES 8     // slots of that table that are looked at; what is not there is in the tree
#define CUT 0x80000000u
#define ROOT_BASE 1u

// Flags of a text: it is to be tokenised on the CPU, or to be looked at there for an added token.
#define LEAVE 1u
#define SUSPECT 2u

// Classes of a byte, each for the bits of eight bytes: of a word, a word by itself, nothing; and whether it needs another look. None: a gap.
#define LETTER 0x01u
#define SINGLE 0x0100u
#define NOTHING 0x010000u
#define LOOK 0x01000000u

// Where a piece of 16 bytes ends: in a word, outside of one, or where the piece before it did.
#define OUTSIDE 0
#define WITHIN 1
#define THROUGH 2

FORCE_INLINE uint bit_at(__local const uint *bits, uint at) { return bits[at / 32] >> (at & 31u) & 1u; }

FORCE_INLINE uint class_of(uint entry, uint length)
{
    if (entry & (SPECIAL | SPACE)) { return 0; }
    return length == 0 ? NOTHING : entry & ALONE ? SINGLE : LETTER;
}

FORCE_INLINE uint length_of(uint entry, int bytes) { return entry & KEPT ? (uint)bytes : entry >> 22 & 15u; }

// The character whose bytes are the first of four.
FORCE_INLINE uint scalar_of(uint four, int length)
{
    uint b = four >> 8 & 0x3Fu, c = four >> 16 & 0x3Fu, d = four >> 24 & 0x3Fu;
    return length == 2 ? (four & 0x1Fu) << 6 | b : length == 3 ? (four & 0x0Fu) << 12 | b << 6 | c : (four & 0x07u) << 18 | b << 12 | c << 6 | d;
}

// The character that begins at a byte of 0x80 or more; 0 bytes where that is none, or another text begins in it.
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

// Of four bytes; none of those of 0x80 or more, which are looked at one by one.
FORCE_INLINE uint classes_of(__local const uint *classes, uint bytes)
{
    return classes[bytes & 255u] | classes[bytes >> 8 & 255u] << 1 | classes[bytes >> 16 & 255u] << 2 | classes[bytes >> 24] << 3;
}

// A bit for each of 16 bytes that is 0x80 or more.
FORCE_INLINE uint beyond_ascii(uint4 value)
{
    uint4 high = value >> 7u & 0x01010101u;
    return (high.x * 0x10204080u >> 28) | (high.y * 0x10204080u >> 28) << 4 | (high.z * 0x10204080u >> 28) << 8 | (high.w * 0x10204080u >> 28) << 12;
}

// Whether a continuation byte belongs to a character.
FORCE_INLINE int is_claimed(__local const uchar *raw, __local const uint *breaks, uint at)
{
    for (int i = 1; i < 4 && i <= (int)at; i++)
    {
        uint value = raw[at - i];
        if ((value & 0xC0u) == 0x80u) { continue; }
        int bytes = 0;
        if (value >= 0x80u) { decode(raw, breaks, at - i, &bytes); }
        return bytes > i;
    }
    return 0;
}

FORCE_INLINE uint entry_of(uint scalar, __global const ushort *pages, __global const uint *entries) { return entries[(uint)pages[scalar >> 8] * 256u + (scalar & 255u)]; }

// Flags the text of a byte: the last that begins at it or before, `first` or later; and at [texts + 1], that there is one.
FORCE_INLINE void flag_text(__global uint *flags, __global const uint *starts, uint first, uint texts, uint at, uint flag)
{
    uint end = texts;
    while (end - first > 1)
    {
        uint middle = first + (end - first) / 2;
        if (starts[middle] <= at) { first = middle; }
        else { end = middle; }
    }
    if ((flags[first] & flag) == 0) { or_atomic(flags + first, flag); }
    flags[texts + 1] = 1;
}

// The places of a piece's bytes that are in a word: letters, and what is nothing behind them.
FORCE_INLINE uint spread(uint letters, uint through)
{
    uint within = letters;
    for (uint more = within << 1 & through & ~within; more != 0; more = within << 1 & through & ~within) { within |= more; }
    return within;
}

// The id of a word that is a token as a whole, or -1; slots of the token's bytes with zeros behind, how many they are (0: free), and its id.
FORCE_INLINE int find_whole(__local const uint *normal, uint place, uint length, __global const uint4 *wholes, uint mask)
{
    uint key[KEY_BYTES / 4];
    uint hash = length;
    __local const uint *from = normal + place / 4;
    uint shift = (place & 3u) * 8u;
    uint low = from[0];
    UNROLL for (int i = 0; i < KEY_BYTES / 4; i++)
    {
        uint high = from[i + 1];
        int beyond = 4 * i + 4 - (int)length;
        uint kept = beyond <= 0 ? 0xFFFFFFFFu : beyond >= 4 ? 0u : 0xFFFFFFFFu >> 8 * beyond;
        key[i] = four_from(low, high, shift) & kept;
        low = high;
        hash = (hash ^ key[i]) * 0x9E3779B1u;
        hash ^= hash >> 15;
    }
    uint at = hash & mask;
    for (int probe = 0; probe < PROBES; probe++)
    {
        uint4 bytes = wholes[at * 2], rest = wholes[at * 2 + 1];
        if (rest.x == 0) { return -1; }
        if (((bytes.x ^ key[0]) | (bytes.y ^ key[1]) | (bytes.z ^ key[2]) | (bytes.w ^ key[3]) | (rest.x ^ length)) == 0) { return (int)rest.y; }
        at = at + 1 & mask;
    }
    return -1;
}

// Of each tile its ids at slots[tile - firstTile][SPAN] and how many; of each text that begins in it how many of them are before the text; flags of texts.
// text has as many bytes behind it as make it a multiple of 16; steps: a double array of nodes, each with the node that it comes from, its base, to which a byte
// is added, and the id + 1 of the token that is spelled there (0: none); goOn: the node of what continuing tokens begin with, or -1, and its base; suspects:
// a bit for each byte that an added token begins with.
__kernel GROUP_SIZE(GROUP) void tokenise_tiles(__global const uint4 *text, uint count, uint firstTile, __global const uint *starts, uint texts,
    __global const uint *firsts, __global const ushort *pages, __global const uint *entries, __global const uchar *spelled,
    __global const uint4 *wholes, uint wholeMask, __global const uint4 *steps, uint goOnBase, uint goOn, uint most, uint unknown,
    __global const uint *suspects, __global uint *slots, __global uint *counts, __global uint *before, __global uint *flags)
{
    __local uint normalWords[(SPAN + PIECE) * GROWTH / 4 + 8];
    __local uint4 aligned[SPAN / 4];
    __local uint words[TILE + 1];
    __local uint homes[WINDOW / 32];
    __local uint ours, misses, cut;

    // What is needed only before tokens are found shares their memory; what only after it, that of the normal form.
    __local uint *found = (__local uint *)aligned;
    __local uchar *normal = (__local uchar *)normalWords;
    __local uchar *raw = (__local uchar *)found;
    __local uint *breaks = found + WINDOW / 4 + 4;
    __local uint *classes = breaks + WINDOW / 32 + 1;
    __local uint *sums = classes + 256;
    __local uchar *bytesOf = (__local uchar *)(sums + GROUP);
    __local uchar *ends = bytesOf + 128;

    uint tile = firstTile + (uint)GROUP_X;
    int start = (int)(tile * TILE) - HISTORY;
    uint first = firsts[tile];
    uint piece = (uint)LOCAL_ID;

    // Text beside the texts is white space.
    for (int i = (int)piece; i < GROUP + 1; i += GROUP)
    {
        int at = start + i * PIECE;
        uint4 value = (uint4)(0x20202020u);
        if (at >= 0 && at < (int)count) { value = text[at / PIECE]; }
        aligned[i] = value;
        if (at < (int)count && at + PIECE > (int)count) { for (int j = (int)count - at; j < PIECE; j++) { raw[i * PIECE + j] = ' '; } }
    }
    if (piece < WINDOW / 32 + 1) { breaks[piece] = 0; }
    if (piece < WINDOW / 32) { homes[piece] = 0; }
    if (piece < 128)
    {
        uint entry = entry_of(piece, pages, entries);
        uint length = length_of(entry, 1);
        uint look = entry & SPECIAL || suspects[piece / 32] >> (piece & 31u) & 1u ? LOOK : 0;
        classes[piece] = class_of(entry, length) | look;
        bytesOf[piece] = entry & KEPT || length == 0 ? (uchar)piece : spelled[entry & 0x3FFFFFu];
        classes[128 + piece] = 0;
    }
    if (piece == 0) { misses = 0; }
    BARRIER();
    for (uint i = first + piece; i < texts; i += GROUP)
    {
        int at = (int)starts[i] - start;
        if (at >= WINDOW + 32) { break; }
        or_local(breaks + at / 32, 1u << (at & 31));
    }
    BARRIER();

    // The classes of this piece's bytes, and how many bytes its normal form has more than characters.
    uint at = piece * PIECE;
    int isOwn = at >= HISTORY && at < HISTORY + TILE;
    uint textBefore = first > 0 ? first - 1 : 0;
    uint more = 0;
    uint4 value = aligned[piece];
    uint front = classes_of(classes, value.x) | classes_of(classes, value.y) << 4;
    uint back = classes_of(classes, value.z) | classes_of(classes, value.w) << 4;
    uint letters = (front & 255u) | (back & 255u) << 8;
    uint singles = (front >> 8 & 255u) | (back >> 8 & 255u) << 8;
    uint nothing = (front >> 16 & 255u) | (back >> 16 & 255u) << 8;
    uint high = beyond_ascii(value);
    for (uint left = high; left != 0;)
    {
        uint i = lowest_bit(left);
        uint c = raw[at + i];
        uint flag;
        uint own = 1u << i;
        if ((c & 0xC0u) == 0x80u)
        {
            nothing |= own;
            flag = isOwn && !is_claimed(raw, breaks, at + i) ? LEAVE : 0;
        }
        else
        {
            int bytes;
            uint scalar = decode(raw, breaks, at + i, &bytes);
            uint entry = bytes == 0 ? SPECIAL : entry_of(scalar, pages, entries);
            uint length = length_of(entry, bytes);
            uint class = class_of(entry, length);
            letters |= class & LETTER ? own : 0;
            singles |= class & SINGLE ? own : 0;
            nothing |= class & NOTHING ? own : 0;
            more += class & (LETTER | SINGLE) ? length - 1 : 0;
            flag = (entry & SPECIAL ? LEAVE : 0) | (suspects[c / 32] >> (c & 31u) & 1u ? SUSPECT : 0);
            // Its other bytes are nothing.
            uint others = (((1u << bytes) - 1u) << i) & 0xFFFFu & ~own;
            nothing |= others;
            own |= others;
        }
        left &= ~own;
        if (flag != 0 && isOwn && start + (int)(at + i) < (int)count) { flag_text(flags, starts, textBefore, texts, (uint)start + at + i, flag); }
    }
    if (isOwn && (front | back) >= LOOK)
    {
        for (uint looks = front >> 24 | back >> 24 << 8; looks != 0; looks &= looks - 1)
        {
            uint i = lowest_bit(looks);
            uint c = raw[at + i];
            uint flag = (entry_of(c, pages, entries) & SPECIAL ? LEAVE : 0) | (suspects[c / 32] >> (c & 31u) & 1u ? SUSPECT : 0);
            if (start + (int)(at + i) < (int)count) { flag_text(flags, starts, textBefore, texts, (uint)start + at + i, flag); }
        }
    }
    uint broken = breaks[at / 32] >> (at & 31u) & 0xFFFFu;
    uint through = nothing & ~broken;
    uint within = spread(letters, through);
    ends[piece] = through == 0xFFFFu ? THROUGH : within >> 15 & 1u ? WITHIN : OUTSIDE;
    BARRIER();

    // Whether the piece begins within a word. Where all that the window has before the tile is nothing it cannot be known.
    int last = (int)piece - 1;
    while (last >= 0 && ends[last] == THROUGH) { last--; }
    uint carried = last >= 0 && ends[last] == WITHIN ? 1 : 0;
    if (last < 0 && at == HISTORY && (broken & 1u) == 0 && start + HISTORY < (int)count) { flag_text(flags, starts, textBefore, texts, (uint)start + HISTORY, LEAVE); }
    within = spread(letters | (carried & through), through);
    uint begins = at < HISTORY ? 0 : singles | (letters & (~(within << 1 | carried) | broken));
    uint spelt = at < HISTORY ? 0 : letters | singles;
    uint all;
    uint own = before_in_group(((uint)ones(spelt) + (spelt != 0 ? more : 0)) | (uint)ones(begins) << 16, &all, sums, GROUP);
    uint to = own & 0xFFFFu;
    uint word = own >> 16;
    if (at == HISTORY + TILE) { ours = word; }
    if (piece == GROUP - 1)
    {
        // The last word of the tile may go on where the window ends.
        cut = within >> 15 & 1u && start + WINDOW < (int)count && !bit_at(breaks, WINDOW) ? 1 : 0;
        if (all >> 16 < TILE + 1) { words[all >> 16] = (all & 0xFFFFu) << 12; }
    }

    // The normal form, without gaps, and of each word where it begins there and its home. Characters beyond ASCII come first: how many bytes more than one
    // they take is kept in four bits for each byte of the piece.
    value = aligned[piece];
    ulong gaps = 0;
    uint further = to;
    for (uint left = spelt & high; left != 0; left &= left - 1)
    {
        uint i = lowest_bit(left);
        __local const uint *bytesAt = (__local const uint *)raw + (at + i) / 4;
        uint four = four_from(bytesAt[0], bytesAt[1], (i & 3u) * 8u);
        uint a = four & 255u;
        int bytes = a < 0xE0u ? 2 : a < 0xF0u ? 3 : 4;
        uint entry = entry_of(scalar_of(four, bytes), pages, entries);
        uint length = length_of(entry, bytes);
        uint place = further + (uint)ones(spelt & ((1u << i) - 1u));
        for (uint j = 0; j < length; j++) { normal[place + j] = entry & KEPT ? raw[at + i + j] : spelled[(entry & 0x3FFFFFu) + j]; }
        further += length - 1;
        gaps |= (ulong)(length - 1) << i * 4;
    }
    uint part[4] = {value.x, value.y, value.z, value.w};
    UNROLL for (int i = 0; i < PIECE; i++)
    {
        uint c = part[i / 4] >> i % 4 * 8 & 255u;
        if (begins >> i & 1u)
        {
            if (word < TILE + 1) { words[word] = to << 12 | (at + i - HISTORY); }
            word++;
        }
        if (spelt >> i & 1u)
        {
            if (c < 0x80u) { normal[to] = bytesOf[c]; }
            to += 1 + ((uint)(gaps >> i * 4) & 15u);
        }
    }
    BARRIER();

    // Whole words; the others are listed at the beginning of the words, whose places have been read by then, their lengths at their homes.
    uint mine = ours;
    uint isCut = cut != 0 && all >> 16 == mine;
    for (uint from = 0; from < mine; from += GROUP)
    {
        uint i = from + piece;
        uint record = 0;
        uint length = 0;
        if (i < mine)
        {
            record = words[i];
            length = (words[i + 1] >> 12) - (record >> 12);
        }
        BARRIER();
        if (i < mine)
        {
            uint home = record & 0xFFFu;
            uint cutHere = isCut && i == mine - 1 ? CUT : 0;
            int id = cutHere == 0 && length <= KEY_BYTES && length <= most ? find_whole(normalWords, record >> 12, length, wholes, wholeMask) : -1;
            found[home] = id >= 0 ? (uint)id : length | cutHere;
            if (id >= 0) { or_local(homes + home / 32, 1u << (home & 31u)); }
            else { words[add_local(&misses, 1)] = record; }
        }
    }
    BARRIER();

    for (uint i = piece; i < misses; i += GROUP)
    {
        uint home = words[i] & 0xFFFu;
        uint place = words[i] >> 12;
        uint end = place + (found[home] & ~CUT);
        int known = (found[home] & CUT) == 0;
        uint characters = 0;
        if (end - place > most || !known) { for (uint j = place; j < end && characters <= most; j++) { characters += (normal[j] & 0xC0u) != 0x80u; } }
        if (characters <= most && !known) { flag_text(flags, starts, textBefore, texts, (uint)start + HISTORY + home, LEAVE); }
        uint made = 0;
        uint from = place;
        while (known && characters <= most && from < end)
        {
            uint node = from == place ? 0u : goOn;
            uint base = from == place ? ROOT_BASE : goOnBase;
            uint best = 0;
            uint next = from;
            for (uint j = from; j < end && node != 0xFFFFFFFFu; j++)
            {
                uint slot = base + normal[j];
                uint4 step = steps[slot];
                if (step.x != node) { break; }
                node = slot;
                base = step.y;
                if (step.z != 0)
                {
                    best = step.z;
                    next = j + 1;
                }
            }
            if (best == 0 || home + made >= SPAN) { break; }
            found[home + made++] = best - 1;
            from = next;
        }
        if (from < end)
        {
            found[home] = unknown;
            made = 1;
        }
        for (uint j = home; j < home + made; j++) { or_local(homes + j / 32, 1u << (j & 31u)); }
    }
    BARRIER();

    // The tokens one behind the other, by way of local memory, of which the words are not needed any more.
    uint here = homes[piece / 2] >> (piece & 1u) * 16 & 0xFFFFu;
    uint number = before_in_group((uint)ones(here), &all, normalWords, GROUP);
    __local uint *numbers = normalWords + GROUP;
    numbers[piece] = number;
    __global uint *slot = slots + (ulong)GROUP_X * SPAN;
    for (; here != 0; here &= here - 1)
    {
        uint id = found[at + lowest_bit(here)];
        if (number < TILE + 1) { words[number] = id; }
        else { slot[number] = id; }
        number++;
    }
    BARRIER();
    for (uint i = piece; i < all && i < TILE + 1; i += GROUP) { slot[i] = words[i]; }
    if (piece == 0) { counts[GROUP_X] = all; }
    for (uint i = first + piece; i < texts; i += GROUP)
    {
        int home = (int)starts[i] - start - HISTORY;
        if (home >= TILE) { break; }
        if (home < 0) { continue; }
        uint below = homes[home / 32] & ((1u << (home & 31)) - 1u);
        if (home & 16) { below >>= 16; }
        before[i] = numbers[home / 16] + (uint)ones(below & 0xFFFFu);
    }
}
