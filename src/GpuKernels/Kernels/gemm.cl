// C[m][n] = what the kernel's name says of sum over k of A[m][k] W[n][k]: a linear layer over packed tokens, in bf16 with float sums.
// A [m, k], W [n, k], residual and C [m, n] row-major in bf16, bias [n] in float. k is a multiple of 32, n of 8; every row of m is independent.
// A group of 8 warps makes 128 rows by `wide` columns of C; warp w makes rows 32(w/2).. and columns (w%2) wide/2... Tiles of 32 along k are
// copied to local memory STAGES - 1 ahead. In a tile's row (four chunks of 16 bytes) chunk c lies at place c ^ (row/2 % 4), so that the eight
// rows which one matrix load reads lie in different banks.

#define ROWS 128
#define DEEP 32
#ifdef __NVPTX__
#define STAGES 3
#else
#define STAGES 2
#endif

#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define PLAIN 0
#define GELU 1
#define RESIDUAL 2

FORCE_INLINE int place(int row, int chunk) { return row * DEEP + ((chunk ^ (row / 2 % 4)) * 8); }

FORCE_INLINE void copy_tile(__local ushort *to, __global const ushort *from, int first, int count, int k, int at, int rows)
{
    UNROLL for (int i = 0; i < rows * 4; i += 256)
    {
        int row = (i + LOCAL_ID) / 4;
        int chunk = (i + LOCAL_ID) % 4;
        int there = first + row < count;
        copy16(to + place(row, chunk), from + (there ? (long)(first + row) * k + at + chunk * 8 : 0), there);
    }
}

FORCE_INLINE void gemm(__global const ushort *a, __global const ushort *w, __global const float *bias, __global const ushort *residual,
    __global ushort *c, int m, int n, int k, const int wide, const int epilogue, __local ushort *tiles, __local uint *scratch)
{
    const int columns = wide / 16;
    const int stage = (ROWS + wide) * DEEP;
    int warp = LOCAL_ID / WARP;
    int lane = LOCAL_ID % WARP;
    int firstRow = GROUP_Y * ROWS;
    int firstColumn = GROUP_X * wide;
    int warpRow = warp / 2 * 32;
    int warpColumn = warp % 2 * (wide / 2);
    float sum[2 * 8 * 4];
    UNROLL for (int i = 0; i < 2 * columns * 4; i++) { sum[i] = 0.0f; }

    int steps = k / DEEP;
    UNROLL for (int s = 0; s < STAGES - 1; s++)
    {
        if (s < steps)
        {
            copy_tile(tiles + s * stage, a, firstRow, m, k, s * DEEP, ROWS);
            copy_tile(tiles + s * stage + ROWS * DEEP, w, firstColumn, n, k, s * DEEP, wide);
        }
        copies_commit();
    }

    for (int step = 0; step < steps; step++)
    {
        COPIES_WAIT(STAGES - 2);
        BARRIER();
        int next = step + STAGES - 1;
        if (next < steps)
        {
            copy_tile(tiles + next % STAGES * stage, a, firstRow, m, k, next * DEEP, ROWS);
            copy_tile(tiles + next % STAGES * stage + ROWS * DEEP, w, firstColumn, n, k, next * DEEP, wide);
        }
        copies_commit();

        __local const ushort *left = tiles + step % STAGES * stage;
        __local const ushort *right = left + ROWS * DEEP;
        UNROLL for (int part = 0; part < 2; part++)
        {
            uint x[2 * 4];
            uint y[8 * 2];
            // Of the left tile: matrices top left, below, right, below right, as the multiplication takes them.
            UNROLL for (int i = 0; i < 2; i++)
            {
                load_matrices(x + i * 4, left, place(warpRow + i * 16 + lane % 16, part * 2 + lane / 16), scratch);
            }
            // Of the right tile: 8 columns of C at k and k + 8, then the next 8 columns.
            UNROLL for (int j = 0; j < columns; j += 2)
            {
                load_matrices(y + j * 2, right, place(warpColumn + j * 8 + lane / 16 * 8 + lane % 8, part * 2 + lane / 8 % 2), scratch);
            }
            multiply(sum, x, y, 2, columns, scratch);
        }
    }

    // The tile of C goes through local memory, so that whole chunks of 16 bytes are written. A row is 8 longer than wide, for the banks.
    COPIES_WAIT(0);
    BARRIER();
    const int pitch = wide + 8;
    UNROLL for (int i = 0; i < 2; i++)
    {
        UNROLL for (int j = 0; j < columns; j++)
        {
            UNROLL for (int below = 0; below < 2; below++)
            {
                int row = warpRow + i * 16 + below * 8 + lane / 4;
                int column = warpColumn + j * 8 + 2 * (lane % 4);
                if (firstRow + row < m && firstColumn + column < n)
                {
                    float low = sum[(i * columns + j) * 4 + below * 2] + bias[firstColumn + column];
                    float high = sum[(i * columns + j) * 4 + below * 2 + 1] + bias[firstColumn + column + 1];
                    if (epilogue == GELU)
                    {
                        low = gelu(low);
                        high = gelu(high);
                    }
                    if (epilogue == RESIDUAL)
                    {
                        uint pair = *(__global const uint *)(residual + (long)(firstRow + row) * n + firstColumn + column);
                        low += low_bf16(pair);
                        high += high_bf16(pair);
                    }
                    *(__local uint *)(tiles + row * pitch + column) = pack_bf16(low, high);
                }
            }
        }
    }

    BARRIER();
    const int chunks = wide / 8;
    for (int i = LOCAL_ID; i < ROWS * chunks; i += 256)
    {
        int row = i / chunks;
        int column = i % chunks * 8;
        if (firstRow + row < m && firstColumn + column < n)
        {
            *(__global uint4 *)(c + (long)(firstRow + row) * n + firstColumn + column) = *(__local const uint4 *)(tiles + row * pitch + column);
        }
    }
}

// 4 uints of a and 2 of b for each tile of 8 columns, of each of 256 work items.
#define GEMM(name, wide, epilogue) \
    __kernel GROUP_SIZE(256) void name(__global const ushort *a, __global const ushort *w, __global const float *bias, \
        __global const ushort *residual, __global ushort *c, int m, int n, int k) \
    { \
        __local ushort tiles[LARGER(STAGES * (ROWS + wide) * DEEP, ROWS * (wide + 8))] __attribute__((aligned(16))); \
        SCRATCH(scratch, 256 * (8 + wide / 8)); \
        gemm(a, w, bias, residual, c, m, n, k, wide, epilogue, tiles, scratch); \
    }

GEMM(gemm64, 64, PLAIN)
GEMM(gemm64_gelu, 64, GELU)
GEMM(gemm64_residual, 64, RESIDUAL)
GEMM(gemm128, 128, PLAIN)
GEMM(gemm128_gelu, 128, GELU)
GEMM(gemm128_residual, 128, RESIDUAL)
