// What the tokenisers' kernels share: texts that lie one behind the other, and a bit for each byte of a window.

// Flags of a text: it is to be tokenised on the CPU, or to be looked at there for an added token.
#define LEAVE 1u
#define SUSPECT 2u

FORCE_INLINE uint bit_at(__local const uint *bits, uint at) { return bits[at / 32] >> (at & 31u) & 1u; }

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
