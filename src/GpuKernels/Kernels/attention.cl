// Softmax(Q K^T / sqrt(d)) V of every sequence by itself, over packed tokens: qkv [tokens, 3 heads d] in bf16 (queries, keys, values), out
// [tokens, heads d]. A group of 4 warps makes 64 T queries, each warp 16 T (T: 2 where d is 32, 1 where it is 64): those of one head, or, of a sequence
// of at most half or a quarter as many, those of two or four heads. It passes over the keys 64 at a time and keeps each row's greatest score and sum (online
// softmax, Milakov and Gimelshein, arXiv 1805.02867), so that no score is written out.
// With a bias the scores are Q K^T / sqrt(d) + bias [heads, 2 reach], of each head that of every distance from a query to a key, from -reach on; a reach is 64 more than
// tokens of a sequence at least, since rows and columns beyond it are computed too.
// tiles [3 x groups along y]: a sequence's first token, its length (0: nothing to do), and the first query of the tile within it. Along x are the heads:
// groups of one sequence follow each other, since its lines of memory have several heads.
// A row of d values is 8 or 4 chunks of 16 bytes, its place permuted for the banks as in gemm.cl.

#define KEYS 64
#define KEY_ROWS (2 * KEYS)

FORCE_INLINE int place(uint row, uint chunk, const int d) { return (int)(row * d + (d == 64 ? chunk ^ (row % 8) : chunk ^ (row / 2 % 4)) * 8); }

// `rows` rows, 1 << `each` (no less than a pass has) of a head, of so many heads; zeros where there are no more.
FORCE_INLINE void copy_rows(__local ushort *to, __global const ushort *from, int pitch, int count, int each, int heads, const int rows, const int d)
{
    const int pass = 128 / (d / 8);
    uint chunk = (uint)LOCAL_ID % (d / 8);
    uint own = (uint)LOCAL_ID / (d / 8);
    __local ushort *at = to + place(own, chunk, d);
    from += own * pitch + chunk * 8;
    UNROLL for (int i = 0; i < rows; i += pass)
    {
        int head = i >> each;
        int row = i - (head << each);
        int there = (int)own < count - row && head < heads;
        copy16(at + i * d, from + (row * pitch + head * d), there);
    }
}

FORCE_INLINE void attention(__global const ushort *qkv, __global ushort *out, __global const int *tiles, int heads, float scale,
    __global const float *bias, int reach, const int T, const int d, __local ushort *query, __local ushort *key, __local ushort *value, __local uint *scratch)
{
    const int queries = 64 * T;
    int warp = UNIFORM(LOCAL_ID / WARP);
    uint lane = (uint)LOCAL_ID % WARP;
    int first = UNIFORM(tiles[GROUP_Y * 3]);
    int length = UNIFORM(tiles[GROUP_Y * 3 + 1]);
    int firstQuery = UNIFORM(tiles[GROUP_Y * 3 + 2]);
    // Heads that the group has, as a power of two.
    int bits = length <= queries / 4 ? 2 : length <= queries / 2 ? 1 : 0;
    int firstHead = GROUP_X << bits;
    if (length == 0 || firstHead >= heads) { return; }

    int width = heads * d;
    int pitch = 3 * width;
    __global const ushort *base = qkv + (long)first * pitch + firstHead * d;
    copy_rows(query, base + firstQuery * pitch, pitch, length - firstQuery, (T == 2 ? 7 : 6) - bits, heads - firstHead, queries, d);
    copy_rows(key, base + width, pitch, length, 7 - bits, heads - firstHead, KEY_ROWS, d);
    copy_rows(value, base + 2 * width, pitch, length, 7 - bits, heads - firstHead, KEY_ROWS, d);
    copies_commit();
    COPIES_WAIT(0);
    BARRIER();

    // The warp's head among the group's, and its first query of the tile. A warp without queries has nothing to do but to copy.
    int head = warp << bits >> 2;
    int warpQuery = firstQuery + warp * 16 * T - (head * queries >> bits);
    int busy = ONE_WARP(warpQuery < length && firstHead + head < heads);

    // Whole eights of rows further a chunk's place is as many values further.
    __local ushort *own = query + warp * 16 * T * d;
    int keyPlace[4];
    int rowPlace[4];
    UNROLL for (int k = 0; k < d / 16; k++)
    {
        keyPlace[k] = place(lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2, d);
        rowPlace[k] = place(lane % 16, k * 2 + lane / 16, d);
    }

    // An exponential is a power of two. A lane has two rows (l/4 and eight below) of each 16, of 8 columns 2(l%4) and +1; its three neighbours have the others.
    float factor = scale * 1.44269504088896f;
    float unscale = fast_reciprocal(scale);
    float sums[8 * 4];
    float top[4];
    float total[4];
    UNROLL for (int i = 0; i < T * d / 8 * 4; i++) { sums[i] = 0.0f; }
    UNROLL for (int r = 0; r < 2 * T; r++)
    {
        top[r] = -3.0e38f;
        total[r] = 0.0f;
    }

    for (int firstKey = 0; firstKey < length; firstKey += KEYS)
    {
        // Half of the keys are left out where the sequence has no more.
        int parts = firstKey + KEYS / 2 < length ? 2 : 1;
        int at = (firstKey / KEYS % 2 * KEYS + (head << 7 >> bits)) * d;
        if (busy)
        {
            float scores[2 * 2 * 4 * 4];
            uint q[2 * 4 * 4];
            float most[4];
            UNROLL for (int k = 0; k < d / 16; k++)
            {
                UNROLL for (int m = 0; m < T; m++) { load_matrices(q + (k * T + m) * 4, own, rowPlace[k] + m * 16 * d, scratch); }
            }
            UNROLL for (int r = 0; r < 2 * T; r++) { most[r] = -3.0e38f; }
            UNROLL for (int part = 0; part < 2; part++)
            {
                if (part < parts)
                {
                    float *these = scores + part * T * 16;
                    UNROLL for (int i = 0; i < T * 16; i++) { these[i] = 0.0f; }
                    UNROLL for (int k = 0; k < d / 16; k++)
                    {
                        uint b[4 * 2];
                        UNROLL for (int j = 0; j < 4; j += 2) { load_matrices(b + j * 2, key + at, keyPlace[k] + (part * 32 + j * 8) * d, scratch); }
                        multiply(these, q + k * T * 4, b, T, 4, scratch);
                    }

                    if (bias)
                    {
                        __global const float *of = bias + (2 * (firstHead + head) + 1) * reach + firstKey + part * 32 + 2 * (int)(lane % 4) - warpQuery - (int)(lane / 4);
                        UNROLL for (int i = 0; i < T * 16; i++) { these[i] = fused(of[i / 4 % 4 * 8 + i % 2 - i / 16 * 16 - i / 2 % 2 * 8], unscale, these[i]); }
                    }

                    // Only the last keys can be beyond the sequence.
                    if (firstKey + part * 32 + 32 > length)
                    {
                        UNROLL for (int i = 0; i < T * 16; i++)
                        {
                            if (firstKey + part * 32 + i / 4 % 4 * 8 + 2 * (int)(lane % 4) + i % 2 >= length) { these[i] = -3.0e38f; }
                        }
                    }
                    UNROLL for (int i = 0; i < T * 16; i++) { most[i / 16 * 2 + i / 2 % 2] = larger(most[i / 16 * 2 + i / 2 % 2], these[i]); }
                }
            }

            UNROLL for (int r = 0; r < 2 * T; r++)
            {
                most[r] = larger(most[r], lane_xor(most[r], 1, scratch));
                most[r] = larger(top[r], larger(most[r], lane_xor(most[r], 2, scratch)) * factor);
            }
            if (firstKey != 0)
            {
                UNROLL for (int r = 0; r < 2 * T; r++)
                {
                    float shrink = fast_exp2(top[r] - most[r]);
                    total[r] *= shrink;
                    UNROLL for (int i = 0; i < d / 8 * 2; i++) { sums[(r / 2 * (d / 8) + i / 2) * 4 + r % 2 * 2 + i % 2] *= shrink; }
                }
            }
            UNROLL for (int r = 0; r < 2 * T; r++) { top[r] = most[r]; }

            // Two neighbouring 16x8 tiles of what the scores become are one 16x16 left operand as they lie.
            UNROLL for (int part = 0; part < 2; part++)
            {
                if (part < parts)
                {
                    UNROLL for (int k = 0; k < 2; k++)
                    {
                        uint a[2 * 4];
                        uint b[8 * 2];
                        UNROLL for (int i = 0; i < T * 4; i++)
                        {
                            int pair = (part * T + i / 4) * 16 + k * 8 + i % 4 * 2;
                            int r = i / 4 * 2 + i % 2;
                            float low = fast_exp2(fused(scores[pair], factor, -top[r]));
                            float high = fast_exp2(fused(scores[pair + 1], factor, -top[r]));
                            total[r] += low + high;
                            a[i] = pack_bf16(low, high);
                        }
                        UNROLL for (int j = 0; j < d / 16; j++) { load_transposed(b + j * 4, value + at, rowPlace[j] + (part * 32 + k * 16) * d, scratch); }
                        multiply(sums, a, b, T, d / 8, scratch);
                    }
                }
            }
        }

        // Of keys and values two tiles: while one is worked on, the next arrives.
        if (length > KEY_ROWS)
        {
            int next = firstKey + KEY_ROWS;
            BARRIER();
            if (next < length)
            {
                copy_rows(key + at, base + width + next * pitch, pitch, length - next, 6, 1, KEYS, d);
                copy_rows(value + at, base + 2 * width + next * pitch, pitch, length - next, 6, 1, KEYS, d);
            }
            copies_commit();
            COPIES_WAIT(1);
            BARRIER();
        }
    }

    // The warp's rows go out by the place where its queries were, so that a lane writes 16 neighbouring bytes.
    if (!busy) { return; }
    UNROLL for (int r = 0; r < 2 * T; r++)
    {
        float all = total[r];
        all += lane_xor(all, 1, scratch);
        all += lane_xor(all, 2, scratch);
        float inverse = fast_reciprocal(all);
        UNROLL for (int j = 0; j < d / 8; j++)
        {
            int pair = (r / 2 * (d / 8) + j) * 4 + r % 2 * 2;
            *(__local uint *)(own + place(lane / 4, j, d) + r * 8 * d + 2 * (lane % 4)) = pack_bf16(sums[pair] * inverse, sums[pair + 1] * inverse);
        }
    }
    WARP_BARRIER();
    uint chunk = lane % (d / 8);
    uint row = lane / (d / 8);
    __global ushort *to = out + (long)(first + warpQuery) * width + (firstHead + head) * d + row * width + chunk * 8;
    UNROLL for (int i = 0; i < 16 * T; i += WARP / (d / 8))
    {
        if (warpQuery + (int)row + i < length && firstHead + head < heads) { *(__global uint4 *)(to + i * width) = *(__local const uint4 *)(own + place(row + i, chunk, d)); }
    }
}

#define BIAS , __global const float *bias, int reach
#define ATTENTION(name, t, d, more, bias, reach) \
    __kernel GROUP_SIZE(128) void name(__global const ushort *qkv, __global ushort *out, __global const int *tiles, int heads, float scale more) \
    { \
        __local ushort query[64 * t * d] __attribute__((aligned(16))); \
        __local ushort key[KEY_ROWS * d] __attribute__((aligned(16))); \
        __local ushort value[KEY_ROWS * d] __attribute__((aligned(16))); \
        SCRATCH(scratch, 128 * 20); \
        attention(qkv, out, tiles, heads, scale, bias, reach, t, d, query, key, value, scratch); \
    }

ATTENTION(attention32, 2, 32, , 0, 0)
ATTENTION(attention64, 1, 64, , 0, 0)
ATTENTION(attention32_biased, 2, 32, BIAS, bias, reach)
ATTENTION(attention64_biased, 1, 64, BIAS, bias, reach)
