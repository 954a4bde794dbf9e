// What works on whole rows of packed tokens: embeddings, LayerNorm, pooling. Widths are even, in the first two at most 1024; sums are in float.
// In LayerNorm and embeddings a warp has a row, four rows a group.

#define ROWS 4

// out = (in - mean) / sqrt(variance + epsilon) * gamma + beta, of every row of n values in bf16; gamma and beta in float.
// The row is read once, from wherever `in` reads it, and kept: a lane has pairs lane, lane + 32, ...

FORCE_INLINE void normalise_row(float *low, float *high, const int pairs, int n, __global const float *gamma, __global const float *beta,
    float epsilon, __global ushort *out, int there, __local uint *scratch)
{
    int lane = LOCAL_ID % WARP;
    float sum = 0.0f;
    UNROLL for (int i = 0; i < pairs; i++) { sum += low[i] + high[i]; }
    float mean = warp_sum(sum, scratch) / (float)n;
    float squares = 0.0f;
    UNROLL for (int i = 0; i < pairs; i++)
    {
        // Beyond the row's end there is nothing to differ from the mean.
        if (2 * (lane + i * WARP) < n)
        {
            low[i] -= mean;
            high[i] -= mean;
            squares = fused(low[i], low[i], fused(high[i], high[i], squares));
        }
    }
    float factor = fast_rsqrt(warp_sum(squares, scratch) / (float)n + epsilon);
    UNROLL for (int i = 0; i < pairs; i++)
    {
        int column = 2 * (lane + i * WARP);
        if (there && column < n)
        {
            float2 scale = *(__global const float2 *)(gamma + column);
            float2 shift = *(__global const float2 *)(beta + column);
            *(__global uint *)(out + column) = pack_bf16(fused(low[i] * factor, scale.x, shift.x), fused(high[i] * factor, scale.y, shift.y));
        }
    }
}

#define LAYER_NORM(name, most) \
    __kernel GROUP_SIZE(128) void name(__global const ushort *in, __global const float *gamma, __global const float *beta, \
        __global ushort *out, int rows, int n, float epsilon) \
    { \
        SCRATCH(scratch, 128); \
        float low[most], high[most]; \
        int row = GROUP_X * ROWS + LOCAL_ID / WARP; \
        int there = row < rows; \
        __global const ushort *from = in + (there ? (long)row * n : 0); \
        UNROLL for (int i = 0; i < most; i++) \
        { \
            int column = 2 * (LOCAL_ID % WARP + i * WARP); \
            uint pair = there && column < n ? *(__global const uint *)(from + column) : 0u; \
            low[i] = low_bf16(pair); \
            high[i] = high_bf16(pair); \
        } \
        normalise_row(low, high, most, n, gamma, beta, epsilon, out + (there ? (long)row * n : 0), there, scratch); \
    }

// LayerNorm of word + position + type, each a row of a table in bf16. ids, positions and types are one int for each token.
// An id outside its table is a mistake of the caller's, which checks them.
#define EMBED(name, most) \
    __kernel GROUP_SIZE(128) void name(__global const int *ids, __global const int *positions, __global const int *types, \
        __global const ushort *words, __global const ushort *places, __global const ushort *kinds, \
        __global const float *gamma, __global const float *beta, __global ushort *out, int rows, int n, float epsilon) \
    { \
        SCRATCH(scratch, 128); \
        float low[most], high[most]; \
        int row = GROUP_X * ROWS + LOCAL_ID / WARP; \
        int there = row < rows; \
        __global const ushort *word = words + (there ? (long)ids[row] * n : 0); \
        __global const ushort *spot = places + (there ? (long)positions[row] * n : 0); \
        __global const ushort *kind = kinds + (there ? (long)types[row] * n : 0); \
        UNROLL for (int i = 0; i < most; i++) \
        { \
            int column = 2 * (LOCAL_ID % WARP + i * WARP); \
            low[i] = 0.0f; \
            high[i] = 0.0f; \
            if (there && column < n) \
            { \
                uint a = *(__global const uint *)(word + column); \
                uint b = *(__global const uint *)(spot + column); \
                uint c = *(__global const uint *)(kind + column); \
                low[i] = low_bf16(a) + low_bf16(b) + low_bf16(c); \
                high[i] = high_bf16(a) + high_bf16(b) + high_bf16(c); \
            } \
        } \
        normalise_row(low, high, most, n, gamma, beta, epsilon, out + (there ? (long)row * n : 0), there, scratch); \
    }

// Registers must be counted when it is compiled: 8 pairs for each lane are rows of up to 512 values, 16 of 1024.
LAYER_NORM(layer_norm512, 8)
LAYER_NORM(layer_norm1024, 16)
EMBED(embed512, 8)
EMBED(embed1024, 16)

// The sum of a value over the group of so many work items, to every one.
FORCE_INLINE float group_sum(float value, const int size, __local float *warps, __local uint *scratch)
{
    float sum = warp_sum(value, scratch);
    if (LOCAL_ID % WARP == 0) { warps[LOCAL_ID / WARP] = sum; }
    BARRIER();
    sum = 0.0f;
    for (int warp = 0; warp < size / WARP; warp++) { sum += warps[warp]; }
    BARRIER();
    return sum;
}

FORCE_INLINE void to_unit(__global float *to, int n, float squares, int normalise, const int size, __local float *warps, __local uint *scratch)
{
    // A vector of zeros stays one, as torch's normalize leaves it.
    float length = group_sum(squares, size, warps, scratch);
    float factor = normalise && length > 0.0f ? 1.0f / larger(sqrt_of(length), 1.0e-12f) : 1.0f;
    for (int column = LOCAL_ID; column < n; column += size) { to[column] *= factor; }
}

#define MEAN 0
#define FIRST 1
#define LAST 2

// One vector in float for each sequence: offsets [sequences + 1] in tokens, a group for each. Of an empty sequence: zeros. Four quarters of the group
// have every fourth token each.
#define POOL 256
#define MOST_COLUMNS 1024
__kernel GROUP_SIZE(POOL) void pool(__global const ushort *in, __global const int *offsets, __global float *out, int n, int kind, int normalise)
{
    __local float warps[POOL / WARP];
    __local float partial[4 * MOST_COLUMNS];
    SCRATCH(scratch, POOL);
    int first = offsets[GROUP_X];
    int end = offsets[GROUP_X + 1];
    int from = kind == LAST && end > first ? end - 1 : first;
    int to = kind == FIRST && end > first ? first + 1 : end;
    float scale = to > from ? 1.0f / (float)(to - from) : 0.0f;
    int quarter = LOCAL_ID / 64;
    for (int pair = LOCAL_ID % 64; pair < n / 2; pair += 64)
    {
        float low = 0.0f;
        float high = 0.0f;
        for (int token = from + quarter; token < to; token += 4)
        {
            uint two = *(__global const uint *)(in + (long)token * n + pair * 2);
            low += low_bf16(two);
            high += high_bf16(two);
        }
        partial[quarter * n + pair * 2] = low;
        partial[quarter * n + pair * 2 + 1] = high;
    }
    BARRIER();
    __global float *vector = out + (long)GROUP_X * n;
    float squares = 0.0f;
    for (int column = LOCAL_ID; column < n; column += POOL)
    {
        float sum = (partial[column] + partial[n + column] + partial[2 * n + column] + partial[3 * n + column]) * scale;
        vector[column] = sum;
        squares = fused(sum, sum, squares);
    }
    to_unit(vector, n, squares, normalise, POOL, warps, scratch);
}

// A static model: the mean of the ids' rows of a table in bf16, each times its weight (weighted != 0). A text of no ids: zeros.
__kernel GROUP_SIZE(128) void gather_mean(__global const int *ids, __global const int *offsets, __global const ushort *table,
    __global const float *weights, __global float *out, int n, int weighted, int normalise)
{
    __local float warps[4];
    SCRATCH(scratch, 128);
    int first = offsets[GROUP_X];
    int end = offsets[GROUP_X + 1];
    float scale = end > first ? 1.0f / (float)(end - first) : 0.0f;
    __global float *vector = out + (long)GROUP_X * n;
    float squares = 0.0f;
    for (int pair = LOCAL_ID; pair < n / 2; pair += 128)
    {
        float low = 0.0f;
        float high = 0.0f;
        for (int token = first; token < end; token++)
        {
            int id = ids[token];
            uint two = *(__global const uint *)(table + (long)id * n + pair * 2);
            float weight = weighted ? weights[id] : 1.0f;
            low = fused(low_bf16(two), weight, low);
            high = fused(high_bf16(two), weight, high);
        }
        low *= scale;
        high *= scale;
        vector[pair * 2] = low;
        vector[pair * 2 + 1] = high;
        squares = fused(low, low, fused(high, high, squares));
    }
    BARRIER();
    to_unit(vector, n, squares, normalise, 128, warps, scratch);
}
