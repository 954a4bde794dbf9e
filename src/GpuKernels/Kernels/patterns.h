// The patterns of byte-level BPE over the bits of a window: where a piece ends that begins at a place.

// Classes of characters, as Tokenisation/Bpe/UnicodeClasses.cs has them; 0 is what is in none.
#define UPPER 1u
#define LOWER 2u
#define CASELESS 4u
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

// The bits of a window. end: the certain place where this stretch ends; isLast: a text ends there too. heads: capitals, and what may stand with capitals
// and with small letters, letters without case and (o200k_base, Tekken) marks; tails: small letters, and those.
typedef struct
{
    __local const uchar *raw;
    __local const uint *letters, *numbers, *spaces, *lineBreaks, *heads, *tails;
    uint end;
    uint isLast;
} Stretch;

FORCE_INLINE uint kind_at(Stretch s, uint at)
{
    if (at == s.end && s.isLast) { return END; }
    return bit_at(s.letters, at) ? LETTER : bit_at(s.spaces, at) ? SPACE : bit_at(s.numbers, at) ? NUMBER : bit_at(s.heads, at) ? MARK : 0u;
}

// The bytes of the character that begins here.
FORCE_INLINE uint size_at(Stretch s, uint at)
{
    uint first = s.raw[at];
    uint size = first < 0x80u ? 1u : first < 0xE0u ? 2u : first < 0xF0u ? 3u : 4u;
    return size < s.end - at ? size : s.end - at;
}

FORCE_INLINE uint run(__local const uint *bits, uint at, uint end)
{
    while (at < end)
    {
        uint stop = ~four_from(bits[at / 32], bits[at / 32 + 1], at & 31u);
        if (stop)
        {
            at += lowest_bit(stop);
            break;
        }
        at += 32;
    }
    return at < end ? at : end;
}

// [^\s\p{L}\p{N}]*
FORCE_INLINE uint others(Stretch s, uint at)
{
    while (at < s.end)
    {
        uint i = at / 32;
        uint stop = four_from(s.letters[i] | s.numbers[i] | s.spaces[i], s.letters[i + 1] | s.numbers[i + 1] | s.spaces[i + 1], at & 31u);
        if (stop)
        {
            at += lowest_bit(stop);
            break;
        }
        at += 32;
    }
    return at < s.end ? at : s.end;
}

// Behind the last of these between two places; 0 where there is none.
FORCE_INLINE uint behind_last(__local const uint *bits, uint from, uint to)
{
    while (to > from)
    {
        uint i = (to - 1) / 32;
        uint some = bits[i] & 0xFFFFFFFFu >> (31u - (to - 1 & 31u));
        to = i * 32;
        if (some)
        {
            to += 32u - (uint)leading_zeros(some);
            return to > from ? to : 0u;
        }
    }
    return 0;
}

FORCE_INLINE int is_break(uint value) { return value == '\r' || value == '\n'; }

FORCE_INLINE uint line_breaks(Stretch s, uint at, int slash)
{
    while (at < s.end && (is_break(s.raw[at]) || (slash && s.raw[at] == '/'))) { at++; }
    return at;
}

// \p{N}, and as many more
FORCE_INLINE uint numbers(Stretch s, uint at, uint more)
{
    for (uint i = 0; i < more && at < s.end && bit_at(s.numbers, at); i++) { at += size_at(s, at); }
    return at;
}

// \s*[\r\n]+ where `newlines`, then \s+(?!\S)|\s+: at start is white space.
FORCE_INLINE uint spaces(Stretch s, uint start, int newlines)
{
    uint at = run(s.spaces, start, s.end);
    if (newlines)
    {
        uint behind = behind_last(s.lineBreaks, start, at);
        if (behind) { return behind; }
    }

    // The last one belongs to what follows, unless there is no other.
    uint last = at - 1;
    while (last > start && (s.raw[last] & 0xC0u) == 0x80u) { last--; }
    return last == start || (at == s.end && s.isLast) ? at : last;
}

// 's 't 're 've 'm 'll 'd, in any case where `cases`, when U+017F is an s too: where it ends, or start.
FORCE_INLINE uint contraction(Stretch s, uint start, int cases)
{
    uint bit = cases ? 0x20u : 0u;
    uint next = start + 1 < s.end ? s.raw[start + 1] : 0u;
    uint second = start + 2 < s.end ? s.raw[start + 2] : 0u;
    uint first = next | bit;
    if (first == 's' || first == 't' || first == 'm' || first == 'd') { return start + 2; }
    if (cases && next == 0xC5u && second == 0xBFu) { return start + 3; }
    return (first == 'r' || first == 'v' || first == 'l') && (second | bit) == (first == 'l' ? 'l' : 'e') ? start + 3 : start;
}

// [Lu Lt Lm Lo M]*[Ll Lm Lo M]+, and where that does not match [Lu Lt Lm Lo M]+[Ll Lm Lo M]*: where it ends, start if neither matches; tail: whether
// a character of the second class is in it.
FORCE_INLINE uint word(Stretch s, uint start, int *tail)
{
    uint at = run(s.heads, start, s.end);
    if (at < s.end && bit_at(s.tails, at))
    {
        *tail = 1;
        return run(s.tails, at, s.end);
    }

    // The head gives back what it took until one character is left that may stand in the tail.
    uint behind = behind_last(s.tails, start, at);
    *tail = behind != 0;
    return behind ? behind : at;
}

FORCE_INLINE uint gpt2_end(Stretch s, uint start)
{
    uint first = s.raw[start];
    if (first == '\'')
    {
        uint end = contraction(s, start, 0);
        if (end > start) { return end; }
    }
    uint at = first == ' ' ? start + 1 : start;
    uint kind = kind_at(s, at);
    if (kind == LETTER) { return run(s.letters, at, s.end); }
    if (kind == NUMBER) { return run(s.numbers, at, s.end); }
    return kind & (SPACE | END) ? spaces(s, start, 0) : others(s, at);
}

FORCE_INLINE uint cl100k_end(Stretch s, uint start, uint digits)
{
    uint first = s.raw[start];
    if (first == '\'')
    {
        uint end = contraction(s, start, 1);
        if (end > start) { return end; }
    }
    uint kind = kind_at(s, start);
    uint next = start + size_at(s, start);
    if (kind == NUMBER) { return numbers(s, next, digits); }
    uint nextKind = kind_at(s, next);
    if (kind == LETTER || (nextKind == LETTER && !is_break(first))) { return run(s.letters, next, s.end); }
    if (kind != SPACE || (first == ' ' && !(nextKind & (NUMBER | SPACE | END)))) { return line_breaks(s, others(s, next), 0); }
    return spaces(s, start, 1);
}

FORCE_INLINE uint o200k_end(Stretch s, uint start, uint digits, int contractions)
{
    uint first = s.raw[start];
    uint kind = kind_at(s, start);
    uint next = start + size_at(s, start);
    if (kind == NUMBER) { return numbers(s, next, digits); }
    uint end = start;
    if (kind == LETTER || !is_break(first))
    {
        int tail;
        uint from = kind == LETTER ? start : next;
        end = word(s, from, &tail);

        // A mark may also be the word itself, which is tried before a word of capitals alone.
        if (kind != LETTER && (end == next || (kind == MARK && !tail))) { end = kind == MARK ? next : start; }
    }
    if (end > start) { return contractions && end < s.end && s.raw[end] == '\'' ? contraction(s, end, 1) : end; }
    uint nextKind = kind_at(s, next);
    if (kind != SPACE || (first == ' ' && !(nextKind & (LETTER | NUMBER | SPACE | END)))) { return line_breaks(s, others(s, next), 1); }
    return spaces(s, start, 1);
}
