// Softmax(Q K^T / sqrt(d)) V of every sequence by itself, over packed tokens: qkv [tokens, 3 heads d] in bf16 (queries, keys, values), out
// [tokens, heads d]. A group of 4 warps makes 64 queries of one head of one sequence, warp w rows 16w..; it passes over the keys 64 at a time
// and keeps each row's greatest score and sum (online softmax, Milakov and Gimelshein, arXiv 1805.02867), so that no score is written out.
// tiles [3 x groups along x]: a sequence's first token, its length, and the first query of the tile within it. y is the head.
// A row of d values is 8 or 4 chunks of 16 bytes, its place permuted for the banks as in gemm.cl.

#define QUERIES 64
#define KEYS 64

FORCE_INLINE int place(int row, int chunk, const int d) { return row * d + (d == 64 ? chunk ^ (row % 8) : chunk ^ (row / 2 % 4)) * 8; }

FORCE_INLINE void copy_rows(__local ushort *to, __global const ushort *from, long pitch, int count, const int d)
{
    const int chunks = d / 8;
    UNROLL for (int i = 0; i < 64 * chunks; i += 128)
    {
        int row = (i + LOCAL_ID) / chunks;
        int chunk = (i + LOCAL_ID) % chunks;
        int there = row < count;
        copy16(to + place(row, chunk, d), from + (there ? row * pitch + chunk * 8 : 0), there);
    }
}

FORCE_INLINE void attention(__global const ushort *qkv, __global ushort *out, __global const int *tiles, int heads, float scale,
    const int d, __local ushort *query, __local ushort *key, __local ushort *value, __local uint *scratch)
{
    int warp = LOCAL_ID / WARP;
    int lane = LOCAL_ID % WARP;
    int first = tiles[GROUP_X * 3];
    int length = tiles[GROUP_X * 3 + 1];
    int firstQuery = tiles[GROUP_X * 3 + 2];
    long width = (long)heads * d;
    long pitch = 3 * width;
    __global const ushort *base = qkv + first * pitch + (long)GROUP_Y * d;

    // Of keys and values two tiles: while one is worked on, the next arrives.
    copy_rows(query, base + firstQuery * pitch, pitch, length - firstQuery, d);
    copy_rows(key, base + width, pitch, length, d);
    copy_rows(value, base + 2 * width, pitch, length, d);
    copies_commit();
    if (KEYS < length)
    {
        copy_rows(key + KEYS * d, base + width + KEYS * pitch, pitch, length - KEYS, d);
        copy_rows(value + KEYS * d, base + 2 * width + KEYS * pitch, pitch, length - KEYS, d);
    }
    copies_commit();
    COPIES_WAIT(1);
    BARRIER();
    uint q[4 * 4];
    UNROLL for (int k = 0; k < d / 16; k++)
    {
        load_matrices(q + k * 4, query, place(warp * 16 + lane % 16, k * 2 + lane / 16, d), scratch);
    }

    // An exponential is a power of two.
    float factor = scale * 1.44269504088896f;
    float sums[8 * 4];
    UNROLL for (int i = 0; i < d / 8 * 4; i++) { sums[i] = 0.0f; }
    float greatest[2] = { -3.0e38f, -3.0e38f };
    float total[2] = { 0.0f, 0.0f };

    for (int firstKey = 0; firstKey < length; firstKey += KEYS)
    {
        int buffer = firstKey / KEYS % 2 * KEYS * d;
        float scores[8 * 4];
        UNROLL for (int i = 0; i < 8 * 4; i++) { scores[i] = 0.0f; }
        UNROLL for (int k = 0; k < d / 16; k++)
        {
            uint b[8 * 2];
            UNROLL for (int j = 0; j < 8; j += 2)
            {
                load_matrices(b + j * 2, key + buffer, place(j * 8 + lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2, d), scratch);
            }
            multiply(scores, q + k * 4, b, 1, 8, scratch);
        }

        // A lane has two rows (l/4 and eight below) and of each 16 of the 64 columns; its three neighbours have the others. Only a last tile of keys
        // can have columns beyond the sequence.
        if (firstKey + KEYS > length)
        {
            UNROLL for (int i = 0; i < 8 * 4; i++)
            {
                if (firstKey + i / 4 * 8 + 2 * (lane % 4) + i % 2 >= length) { scores[i] = -3.0e38f; }
            }
        }
        UNROLL for (int below = 0; below < 2; below++)
        {
            float most = greatest[below];
            UNROLL for (int i = 0; i < 16; i++) { most = larger(most, scores[i / 2 * 4 + below * 2 + i % 2]); }
            most = larger(most, lane_xor(most, 1, scratch));
            most = larger(most, lane_xor(most, 2, scratch));
            float shrink = fast_exp2((greatest[below] - most) * factor);
            greatest[below] = most;
            total[below] *= shrink;
            UNROLL for (int i = 0; i < d / 8; i++)
            {
                sums[i * 4 + below * 2] *= shrink;
                sums[i * 4 + below * 2 + 1] *= shrink;
            }
            float offset = -most * factor;
            UNROLL for (int i = 0; i < 16; i++)
            {
                int at = i / 2 * 4 + below * 2 + i % 2;
                scores[at] = fast_exp2(fused(scores[at], factor, offset));
                total[below] += scores[at];
            }
        }

        // Two neighbouring 16x8 score tiles are one 16x16 left operand as they lie.
        UNROLL for (int k = 0; k < KEYS / 16; k++)
        {
            uint a[4];
            uint b[8 * 2];
            UNROLL for (int i = 0; i < 4; i++) { a[i] = pack_bf16(scores[k * 8 + i * 2], scores[k * 8 + i * 2 + 1]); }
            UNROLL for (int j = 0; j < d / 8; j += 2)
            {
                load_transposed(b + j * 2, value + buffer, place(k * 16 + lane % 16, j + lane / 16, d), scratch);
            }
            multiply(sums, a, b, 1, d / 8, scratch);
        }

        int next = firstKey + 2 * KEYS;
        BARRIER();
        if (next < length)
        {
            copy_rows(key + buffer, base + width + next * pitch, pitch, length - next, d);
            copy_rows(value + buffer, base + 2 * width + next * pitch, pitch, length - next, d);
        }
        copies_commit();
        COPIES_WAIT(1);
        BARRIER();
    }

    UNROLL for (int below = 0; below < 2; below++)
    {
        float all = total[below];
        all += lane_xor(all, 1, scratch);
        all += lane_xor(all, 2, scratch);
        float inverse = fast_reciprocal(all);
        int row = firstQuery + warp * 16 + below * 8 + lane / 4;
        if (row < length)
        {
            __global ushort *to = out + (first + row) * width + (long)GROUP_Y * d + 2 * (lane % 4);
            UNROLL for (int j = 0; j < d / 8; j++)
            {
                *(__global uint *)(to + j * 8) = pack_bf16(sums[j * 4 + below * 2] * inverse, sums[j * 4 + below * 2 + 1] * inverse);
            }
        }
    }
}

#define ATTENTION(name, d) \
    __kernel GROUP_SIZE(128) void name(__global const ushort *qkv, __global ushort *out, __global const int *tiles, int heads, float scale) \
    { \
        __local ushort query[QUERIES * d] __attribute__((aligned(16))); \
        __local ushort key[2 * KEYS * d] __attribute__((aligned(16))); \
        __local ushort value[2 * KEYS * d] __attribute__((aligned(16))); \
        SCRATCH(scratch, 128 * 20); \
        attention(qkv, out, tiles, heads, scale, d, query, key, value, scratch); \
    }

ATTENTION(attention32, 32)
ATTENTION(attention64, 64)
