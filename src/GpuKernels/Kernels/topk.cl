// The rows of a matrix of signed bytes that may be nearest to a query, by an upper bound of their inner product; the CPU then scores those in
// float and knows whether any other row could have been among the best (Kernels/TopK.cs).
// A row's entry is 64 bits: its bound, as bits that order like the float, above the complement of its number, so that of two equal bounds the
// lower number comes first. 0 is no entry. n is a multiple of 16, at most 4096.

#define SORTED 1024
#define LEAST 7.888609e-31f // 2^-100: more than what any of the products can lose by being too small for a float

FORCE_INLINE ulong entry_of(float bound, uint row)
{
    uint bits = float_bits(bound);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (ulong)bits << 32 | (uint)~row;
}

// Sorts 1024 entries, the greatest first, by 256 work items (Batcher's bitonic network).
FORCE_INLINE void sort(__local ulong *entries)
{
    for (int size = 2; size <= SORTED; size *= 2)
    {
        for (int step = size / 2; step > 0; step /= 2)
        {
            BARRIER();
            for (int i = LOCAL_ID; i < SORTED / 2; i += 256)
            {
                int low = i / step * step * 2 + i % step;
                ulong a = entries[low];
                ulong b = entries[low + step];
                if ((a < b) == ((low & size) == 0))
                {
                    entries[low] = b;
                    entries[low + step] = a;
                }
            }
        }
    }
    BARRIER();
}

// Of 1024 rows from GROUP_X * 1024 on: the k entries with the greatest bounds, to out[(y * groups + GROUP_X) * k ..].
// bound = dot * (scale(row) * scale(query)) + (length(query) * error(row) + error(query) * length(row) + LEAST), rounded after each operation, as
// Search/Vectors/QuantisedQuery proves it to be one; figures [rows][3]: scale, error, length;
// queries [y][n] bytes, queryFigures [y][3] likewise. filter has a bit for each row, or is not looked at (filtered = 0).
__kernel GROUP_SIZE(256) void scan(__global const int *codes, __global const float *figures, __global const uint *filter,
    __global const int *queries, __global const float *queryFigures, __global ulong *out, uint rows, int n, int k, int filtered)
{
    __local ulong entries[SORTED];
    __local int query[1024];
    SCRATCH(scratch, 256);
    int words = n / 4;
    for (int i = LOCAL_ID; i < words; i += 256) { query[i] = queries[GROUP_Y * words + i]; }
    float scale = queryFigures[GROUP_Y * 3];
    float error = queryFigures[GROUP_Y * 3 + 1];
    float length = queryFigures[GROUP_Y * 3 + 2];
    for (int i = LOCAL_ID; i < SORTED; i += 256) { entries[i] = 0; }
    BARRIER();

    // Four neighbouring work items share a row: together they read 64 bytes of it at a time.
    for (int i = 0; i < SORTED; i += 64)
    {
        uint row = (uint)GROUP_X * SORTED + (uint)(i + LOCAL_ID / 4);
        int wanted = row < rows && (!filtered || (filter[row / 32] >> (row % 32) & 1u));
        int sum = 0;
        if (wanted)
        {
            __global const int4 *from = (__global const int4 *)(codes + (ulong)row * words);
            for (int j = LOCAL_ID % 4; j < words / 4; j += 4)
            {
                int4 four = from[j];
                sum = dot4(four.x, query[j * 4], sum);
                sum = dot4(four.y, query[j * 4 + 1], sum);
                sum = dot4(four.z, query[j * 4 + 2], sum);
                sum = dot4(four.w, query[j * 4 + 3], sum);
            }
        }
        sum += (int)lane_xor_bits((uint)sum, 1, scratch);
        sum += (int)lane_xor_bits((uint)sum, 2, scratch);
        if (wanted && LOCAL_ID % 4 == 0)
        {
            float bound = (float)sum * (figures[row * 3ul] * scale);
            bound = bound + (length * figures[row * 3ul + 1] + error * figures[row * 3ul + 2] + LEAST);
            entries[i + LOCAL_ID / 4] = entry_of(bound, row);
        }
    }

    sort(entries);
    ulong to = ((ulong)GROUP_Y * GROUPS_X + GROUP_X) * k;
    for (int i = LOCAL_ID; i < k; i += 256) { out[to + i] = entries[i]; }
}

// Of 1024 entries from GROUP_X * 1024 on, among count for each query: the k greatest.
__kernel GROUP_SIZE(256) void merge(__global const ulong *in, __global ulong *out, uint count, int k)
{
    __local ulong entries[SORTED];
    for (int i = LOCAL_ID; i < SORTED; i += 256)
    {
        uint at = (uint)GROUP_X * SORTED + i;
        entries[i] = at < count ? in[(ulong)GROUP_Y * count + at] : 0;
    }
    sort(entries);
    ulong to = ((ulong)GROUP_Y * GROUPS_X + GROUP_X) * k;
    for (int i = LOCAL_ID; i < k; i += 256) { out[to + i] = entries[i]; }
}
