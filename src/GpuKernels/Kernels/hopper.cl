// The layers of an encoder that is 384 wide (MiniLM, and the small ones of E5, BGE and GTE), for Hopper: products by the tensor cores of a whole
// warpgroup (`wgmma`, 4 warps), which read both sides from local memory and work while the warps do something else.
//
// A group of two warpgroups has 128 rows, whose 384 values stay in local memory while the weights come through it. Warpgroup g makes rows 64g.. of the
// result, all 384 columns, so that a row's residual and LayerNorm need no other. Both sides lie in tiles of 64 columns: a row is 128 bytes, and its chunk
// c of 16 bytes lies at place c ^ (row % 8): the 128-byte swizzle of the PTX ISA ("Shared Memory Matrix Layout"), by which eight rows are 1,024 bytes.
// Weights lie so in global memory too, one piece of 24 KB behind the other in the order of their use (Hopper.cs), so that one instruction fetches a part of
// a piece. Two groups are a cluster: each fetches half of a piece for both, since what all groups read of the weights is more than the second cache gives.
// Elsewhere than on NVIDIA's target groups are alone, and products are made one by one from the same places.

#define WIDTH 384
#define ROWS 128
#define GROUP 256
#define DEEP 64
#define SLABS (WIDTH / DEEP)
#define SUMS (WIDTH / 2)
#define MIDDLE 32

// Values of a piece of the weights: 192 rows of 64 columns, or 32 rows of 384 columns in six tiles, or 384 rows of 32. Five pieces are in local memory
// at a time.
#define PIECE (192 * DEEP)
#define SLOTS 5
// A weight [384, 384] and what belongs to its sums: bias, gamma and beta, 384 floats each, at the beginning of a piece of their own.
#define PROJECTED (2 * SLABS + 1)

#define CLUSTER 2

// Local memory: 128 rows, the pieces, a place for what a kernel has beside them (32 columns of 128 rows, or 2,048 floats), and of each slot what tells that its
// piece is there and that all warps of the cluster are done with it.
#define PIECES_AT (SLABS * ROWS * DEEP)
#define OWN_AT (PIECES_AT + SLOTS * PIECE)
#define ARRIVED_AT (OWN_AT + ROWS * MIDDLE)
#define DONE_AT (ARRIVED_AT + SLOTS * 4)
#define MEMORY (DONE_AT + SLOTS * 4)

FORCE_INLINE int place(int row, int chunk) { return row * DEEP + (chunk ^ (row % 8)) * 8; }
// The same in a tile of 32 columns: rows of 64 bytes, the 64-byte swizzle.
FORCE_INLINE int narrow_place(int row, int chunk) { return row * MIDDLE + (chunk ^ (row / 2 % 4)) * 8; }

#ifdef __NVPTX__

// More than 48 KB must be asked for by the launch.
__asm__(".extern .shared .align 1024 .b8 launched_memory[];");
#define LAUNCHED_MEMORY(name, count) \
    uint name##_at; \
    __asm__("mov.u32 %0, launched_memory;" : "=r"(name##_at)); \
    __local ushort *const name = (__local ushort *)(ulong)name##_at

// What ordinary and asynchronous stores wrote to local memory, for the tensor cores to read: by each writer, before the barrier.
FORCE_INLINE void publish(void) { __asm__ volatile("fence.proxy.async.shared::cta;" : : : "memory"); }
// Before products whose sums other instructions have touched.
FORCE_INLINE void products_begin(void) { __asm__ volatile("wgmma.fence.sync.aligned;" : : : "memory"); }
FORCE_INLINE void products_commit(void) { __asm__ volatile("wgmma.commit_group.sync.aligned;" : : : "memory"); }
// Waits until at most `count` of the last committed groups are still under way.
#define PRODUCTS_WAIT(count) __asm__ volatile("wgmma.wait_group.sync.aligned %0;" : : "n"(count) : "memory")

// A tile is the low half of its descriptor: where it begins, in units of 16 bytes; 16 columns are two further. The high half is what eight rows take and
// which swizzle. It must be the same in the whole warp.
typedef uint Tile;
FORCE_INLINE Tile tile_at(__local const ushort *memory, int offset) { return (((uint)(ulong)memory + 2u * (uint)offset) & 0x3FFFFu) >> 4 | 1u << 16; }
#define TILE (64u | 1u << 30)
#define NARROW_TILE (32u | 2u << 30)
FORCE_INLINE Tile further(Tile tile, int values) { return tile + (uint)values / 8u; }

// A barrier of the cluster, which also keeps a group there until no other writes to its memory any more.
FORCE_INLINE void cluster_barrier(void)
{
    __asm__ volatile("barrier.cluster.arrive.aligned;" : : : "memory");
    __asm__ volatile("barrier.cluster.wait.aligned;" : : : "memory");
}

FORCE_INLINE void slots_begin(__local ushort *memory)
{
    if (LOCAL_ID == 0)
    {
        for (int slot = 0; slot < SLOTS; slot++)
        {
            __asm__ volatile("mbarrier.init.shared::cta.b64 [%0], 1;" : : "r"((uint)(ulong)(memory + ARRIVED_AT + slot * 4)) : "memory");
            __asm__ volatile("mbarrier.init.shared::cta.b64 [%0], %1;" : : "r"((uint)(ulong)(memory + DONE_AT + slot * 4)), "n"(CLUSTER * GROUP / WARP) : "memory");
        }
        __asm__ volatile("fence.mbarrier_init.release.cluster;" : : : "memory");
    }
    publish();
    cluster_barrier();
}

// A piece on its way to its slot in all groups of the cluster, by one work item of each: a group waits for the whole and sends for its own part.
FORCE_INLINE void fetch(__local ushort *memory, __global const ushort *weights, int piece)
{
    uint rank;
    __asm__("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    uint part = rank * (PIECE / CLUSTER);
    uint arrived = (uint)(ulong)(memory + ARRIVED_AT + piece % SLOTS * 4);
    __asm__ volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" : : "r"(arrived), "n"(PIECE * 2) : "memory");
    __asm__ volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], %4;"
        : : "r"((uint)(ulong)(memory + PIECES_AT + piece % SLOTS * PIECE) + part * 2u), "l"(weights + (long)piece * PIECE + part), "n"(PIECE * 2 / CLUSTER), "r"(arrived),
            "h"((ushort)((1 << CLUSTER) - 1)) : "memory");
}

// The first pieces on their way; and of the others, which all groups will want at about the same time, each group sends for some to the second cache.
FORCE_INLINE void fetch_first(__local ushort *memory, __global const ushort *weights, int all)
{
    if (LOCAL_ID == 0)
    {
        for (int piece = 0; piece < SLOTS; piece++) { fetch(memory, weights, piece); }
        for (int piece = SLOTS + GROUP_X; piece < all; piece += GROUPS_X)
        {
            __asm__ volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" : : "l"(weights + (long)piece * PIECE), "n"(PIECE * 2) : "memory");
        }
    }
}

// Waits for a piece, or (at DONE_AT) until all warps are done with it: its slot's uses alternate in parity.
FORCE_INLINE void wait_at(__local ushort *memory, const int what, int piece)
{
    __asm__ volatile(
        "{ .reg .pred p; again%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @!p bra again%=; }"
        : : "r"((uint)(ulong)(memory + what + piece % SLOTS * 4)), "r"(piece / SLOTS % 2) : "memory");
}

FORCE_INLINE void slot_wait(__local ushort *memory, int piece) { wait_at(memory, ARRIVED_AT, piece); }

// The warp is done with a piece: no product of its reads it any more. A lane tells each group of the cluster.
FORCE_INLINE void release(__local ushort *memory, int piece)
{
    if (LOCAL_ID % WARP < CLUSTER)
    {
        __asm__ volatile("{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [there]; }"
            : : "r"((uint)(ulong)(memory + DONE_AT + piece % SLOTS * 4)), "r"(LOCAL_ID % WARP) : "memory");
    }
}

// Fills a slot again when all warps of the cluster are done with it, by one work item.
FORCE_INLINE void refill(__local ushort *memory, __global const ushort *weights, int piece, int all)
{
    if (LOCAL_ID == 128 && piece + SLOTS < all)
    {
        wait_at(memory, DONE_AT, piece);
        fetch(memory, weights, piece + SLOTS);
    }
}

// Sums that begin here: registers which a product adds to must not be set while others are under way.
#define ZEROS(sums, count) UNROLL for (int i = 0; i < count; i++) { sums[i] = 0.0f; __asm__ volatile("" : "+f"(sums[i])); }

// A barrier of the warpgroup.
#define OWN_BARRIER() __asm__ volatile("bar.sync %0, 128;" : : "r"(1 + LOCAL_ID / 128) : "memory")
#define SUMS4(c, i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define SUMS16(c, i) SUMS4(c, i), SUMS4(c, i + 4), SUMS4(c, i + 8), SUMS4(c, i + 12)

// c += a b^T: a 64 rows, b as many as the name says, of each 16 columns in bf16. Of c a work item has row 16w + l/4 (w: its warp in the warpgroup, l: its
// lane) and eight below, of each 8 columns 2(l%4) and +1: c[4j], c[4j+1] are the upper row's, c[4j+2], c[4j+3] the lower's of columns 8j...
FORCE_INLINE void group_multiply32(float *c, Tile a, Tile b)
{
    __asm__ volatile("{ .reg .pred p; .reg .b64 a, b; setp.ne.b32 p, 1, 0; mov.b64 a, {%16, %18}; mov.b64 b, {%17, %19};"
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
        "}, a, b, p, 1, 1, 0, 0; }"
        : SUMS16(c, 0) : "r"(a), "r"(b), "n"(TILE), "n"(TILE) : "memory");
}

#define SUMS96(c) SUMS16(c, 0), SUMS16(c, 16), SUMS16(c, 32), SUMS16(c, 48), SUMS16(c, 64), SUMS16(c, 80)
#define NAMES96 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"

FORCE_INLINE void group_multiply192(float *c, Tile a, Tile b)
{
    __asm__ volatile("{ .reg .pred p; .reg .b64 a, b; setp.ne.b32 p, 1, 0; mov.b64 a, {%96, %98}; mov.b64 b, {%97, %99};"
        "wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {" NAMES96 "}, a, b, p, 1, 1, 0, 0; }"
        : SUMS96(c) : "r"(a), "r"(b), "n"(TILE), "n"(TILE) : "memory");
}

// The same with rows from registers: a[0], a[1] are columns 2(l%4) and +1 of the work item's upper and lower row, a[2], a[3] those eight further.
FORCE_INLINE void group_multiply192_own(float *c, const uint *a, Tile b, __local uint *scratch)
{
    __asm__ volatile("{ .reg .pred p; .reg .b64 b; setp.ne.b32 p, 1, 0; mov.b64 b, {%100, %101};"
        "wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {" NAMES96 "}, {%96, %97, %98, %99}, b, p, 1, 1, 0; }"
        : SUMS96(c)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "n"(NARROW_TILE) : "memory");
}

#else

#define LAUNCHED_MEMORY(name, count) __local ushort name[count] __attribute__((aligned(1024)))
FORCE_INLINE void cluster_barrier(void) { }
FORCE_INLINE void publish(void) { }
FORCE_INLINE void products_begin(void) { }
FORCE_INLINE void products_commit(void) { }
#define PRODUCTS_WAIT(count)
#define OWN_BARRIER() BARRIER()
#define ZEROS(sums, count) for (int i = 0; i < count; i++) { sums[i] = 0.0f; }
FORCE_INLINE void slots_begin(__local ushort *memory) { }

FORCE_INLINE void fetch(__local ushort *memory, __global const ushort *weights, int piece)
{
    for (int i = LOCAL_ID; i < PIECE; i += GROUP) { memory[PIECES_AT + piece % SLOTS * PIECE + i] = weights[(long)piece * PIECE + i]; }
}

FORCE_INLINE void fetch_first(__local ushort *memory, __global const ushort *weights, int all)
{
    for (int piece = 0; piece < SLOTS; piece++) { fetch(memory, weights, piece); }
}

FORCE_INLINE void release(__local ushort *memory, int piece) { }

FORCE_INLINE void refill(__local ushort *memory, __global const ushort *weights, int piece, int all)
{
    BARRIER();
    if (piece + SLOTS < all) { fetch(memory, weights, piece + SLOTS); }
}

FORCE_INLINE void slot_wait(__local ushort *memory, int piece) { BARRIER(); }

typedef struct { __local const ushort *rows; int column; } Tile;
FORCE_INLINE Tile tile_at(__local const ushort *memory, int offset) { Tile tile = { memory + offset, 0 }; return tile; }

// Within a row (16, 32 or 48 values), or whole rows.
FORCE_INLINE Tile further(Tile tile, int values)
{
    Tile result = { tile.rows + values / DEEP * DEEP, tile.column + values % DEEP };
    return result;
}

FORCE_INLINE void group_multiply(float *c, Tile a, Tile b, const int n)
{
    int lane = LOCAL_ID % WARP;
    int warp = LOCAL_ID / WARP % 4;
    for (int i = 0; i < n / 2; i++)
    {
        int row = warp * 16 + lane / 4 + i / 2 % 2 * 8;
        int column = i / 4 * 8 + 2 * (lane % 4) + i % 2;
        for (int at = 0; at < 16; at++)
        {
            int left = a.column + at;
            int right = b.column + at;
            c[i] += from_bf16(a.rows[place(row, left / 8) + left % 8]) * from_bf16(b.rows[place(column, right / 8) + right % 8]);
        }
    }
}

FORCE_INLINE void group_multiply32(float *c, Tile a, Tile b) { group_multiply(c, a, b, 32); }
FORCE_INLINE void group_multiply192(float *c, Tile a, Tile b) { group_multiply(c, a, b, 192); }

// scratch: four for each work item.
FORCE_INLINE void group_multiply192_own(float *c, const uint *a, Tile b, __local uint *scratch)
{
    int lane = LOCAL_ID % WARP;
    __local uint *warp = scratch + (LOCAL_ID - lane) * 4;
    for (int i = 0; i < 4; i++) { warp[lane * 4 + i] = a[i]; }
    BARRIER();
    for (int i = 0; i < 96; i++)
    {
        int column = i / 4 * 8 + 2 * (lane % 4) + i % 2;
        for (int at = 0; at < 16; at++)
        {
            uint pair = warp[(lane / 4 * 4 + at % 8 / 2) * 4 + at / 8 * 2 + i / 2 % 2];
            int right = b.column + at;
            c[i] += (at % 2 ? high_bf16(pair) : low_bf16(pair)) * from_bf16(b.rows[narrow_place(column, right / 8) + right % 8]);
        }
    }
    BARRIER();
}

#endif

// The warpgroup's own rows; zeros from the group's row `count` on.
FORCE_INLINE void copy_rows(__local ushort *to, __global const ushort *from, int count)
{
    int chunk = LOCAL_ID % 8;
    UNROLL for (int s = 0; s < SLABS; s++)
    {
        UNROLL for (int i = 0; i < 64; i += 128 / 8)
        {
            int row = LOCAL_ID / 128 * 64 + i + LOCAL_ID % 128 / 8;
            int there = row < count;
            copy16(to + s * ROWS * DEEP + place(row, chunk), from + (there ? (long)row * WIDTH + s * DEEP + chunk * 8 : 0), there);
        }
    }
    copies_commit();
    COPIES_WAIT(0);
    publish();
    OWN_BARRIER();
}

// The warpgroup's 64 rows of a tile of the group's.
FORCE_INLINE Tile own_rows(__local ushort *memory, int offset) { return tile_at(memory, offset + UNIFORM(LOCAL_ID / 128) * 64 * DEEP); }

// part = 64 rows of 384 values by 32 columns of the feed-forward's first weight, which are a piece.
FORCE_INLINE void multiply_part(float *part, __local ushort *memory, int piece)
{
    Tile rows = own_rows(memory, 0);
    Tile weight = tile_at(memory, PIECES_AT + piece % SLOTS * PIECE);
    ZEROS(part, MIDDLE / 2);
    products_begin();
    UNROLL for (int s = 0; s < SLABS; s++)
    {
        UNROLL for (int k = 0; k < 4; k++)
        {
            group_multiply32(part, further(further(rows, s * ROWS * DEEP), k * 16), further(further(weight, s * MIDDLE * DEEP), k * 16));
        }
    }
    products_commit();
}

// GELU of a part of the middle and its bias, in place.
FORCE_INLINE void activate(float *part, __local const float *bias)
{
    UNROLL for (int j = 0; j < MIDDLE / 8; j++)
    {
        float2 pair = *(__local const float2 *)(bias + j * 8 + 2 * (LOCAL_ID % 4));
        UNROLL for (int i = 0; i < 4; i++) { part[j * 4 + i] = gelu(part[j * 4 + i] + (i % 2 ? pair.y : pair.x)); }
    }
}

// The work item's row in the group, of its first four sums; the other row is eight below.
FORCE_INLINE int own_row(void) { return LOCAL_ID / WARP * 16 + LOCAL_ID % WARP / 4; }

FORCE_INLINE __local uint *own_pair(__local ushort *rows, int row, int j) { return (__local uint *)(rows + j / 8 * ROWS * DEEP + place(row, j % 8) + 2 * (LOCAL_ID % 4)); }

// Where the work item's pair of columns 8j.. of a tile of 32 columns lies.
FORCE_INLINE __local uint *narrow_pair(__local ushort *tile, int row, int j) { return (__local uint *)(tile + narrow_place(row, j) + 2 * (LOCAL_ID % 4)); }

// LayerNorm of the work item's two rows, each of which its quad of lanes has, 96 values a lane.
FORCE_INLINE void normalise(float *sum, __local const float *gamma, __local const float *beta, float epsilon, __local uint *scratch)
{
    UNROLL for (int below = 0; below < 2; below++)
    {
        float total = 0.0f;
        UNROLL for (int j = 0; j < WIDTH / 8; j++) { total += sum[j * 4 + below * 2] + sum[j * 4 + below * 2 + 1]; }
        total += lane_xor(total, 1, scratch);
        total += lane_xor(total, 2, scratch);
        float mean = total * (1.0f / WIDTH);
        float squares = 0.0f;
        UNROLL for (int j = 0; j < WIDTH / 8; j++)
        {
            float low = sum[j * 4 + below * 2] -= mean;
            float high = sum[j * 4 + below * 2 + 1] -= mean;
            squares = fused(low, low, fused(high, high, squares));
        }
        squares += lane_xor(squares, 1, scratch);
        squares += lane_xor(squares, 2, scratch);
        float factor = fast_rsqrt(squares * (1.0f / WIDTH) + epsilon);
        UNROLL for (int j = 0; j < WIDTH / 8; j++)
        {
            sum[j * 4 + below * 2] *= factor;
            sum[j * 4 + below * 2 + 1] *= factor;
        }
    }
    UNROLL for (int j = 0; j < WIDTH / 8; j++)
    {
        int column = j * 8 + 2 * (LOCAL_ID % 4);
        float2 scale = *(__local const float2 *)(gamma + column);
        float2 shift = *(__local const float2 *)(beta + column);
        UNROLL for (int below = 0; below < 2; below++)
        {
            sum[j * 4 + below * 2] = fused(sum[j * 4 + below * 2], scale.x, shift.x);
            sum[j * 4 + below * 2 + 1] = fused(sum[j * 4 + below * 2 + 1], scale.y, shift.y);
        }
    }
}

FORCE_INLINE void add_bias(float *sum, __local const float *bias)
{
    UNROLL for (int j = 0; j < WIDTH / 8; j++)
    {
        float2 pair = *(__local const float2 *)(bias + j * 8 + 2 * (LOCAL_ID % 4));
        UNROLL for (int i = 0; i < 4; i++) { sum[j * 4 + i] += i % 2 ? pair.y : pair.x; }
    }
}

// The group's rows are added, and LayerNorm made of the sums: both from local memory, and to it.
FORCE_INLINE void add_and_normalise(float *sum, __local ushort *rows, __local const float *vectors, float epsilon, __local uint *scratch)
{
    add_bias(sum, vectors);
    UNROLL for (int j = 0; j < WIDTH / 8; j++)
    {
        UNROLL for (int below = 0; below < 2; below++)
        {
            uint pair = *own_pair(rows, own_row() + below * 8, j);
            sum[j * 4 + below * 2] += low_bf16(pair);
            sum[j * 4 + below * 2 + 1] += high_bf16(pair);
        }
    }
    normalise(sum, vectors + WIDTH, vectors + 2 * WIDTH, epsilon, scratch);
    UNROLL for (int j = 0; j < WIDTH / 8; j++)
    {
        UNROLL for (int below = 0; below < 2; below++)
        {
            *own_pair(rows, own_row() + below * 8, j) = pack_bf16(sum[j * 4 + below * 2], sum[j * 4 + below * 2 + 1]);
        }
    }
    publish();
    OWN_BARRIER();
}

FORCE_INLINE __local const float *vectors_of(__local ushort *memory, int piece) { return (__local const float *)(memory + PIECES_AT + piece % SLOTS * PIECE); }

// sum = the warpgroup's rows by 384 columns of a weight: the pieces from number `first` on, of `all`. The last, with the vectors, is there when it returns,
// and not released.
FORCE_INLINE void project(float *sum, __local ushort *memory, __global const ushort *pieces, int first, int all)
{
    Tile rows = own_rows(memory, 0);
    ZEROS(sum, SUMS);
    UNROLL for (int p = 0; p < PROJECTED - 1; p++)
    {
        slot_wait(memory, first + p);
        Tile weight = tile_at(memory, PIECES_AT + (first + p) % SLOTS * PIECE);
        products_begin();
        UNROLL for (int k = 0; k < 4; k++)
        {
            group_multiply192(sum + p % 2 * (SUMS / 2), further(further(rows, p / 2 * ROWS * DEEP), k * 16), further(weight, k * 16));
        }
        products_commit();
        if (p > 0)
        {
            PRODUCTS_WAIT(1);
            release(memory, first + p - 1);
            refill(memory, pieces, first + p - 1, all);
        }
    }
    PRODUCTS_WAIT(0);
    release(memory, first + PROJECTED - 2);
    refill(memory, pieces, first + PROJECTED - 2, all);
    slot_wait(memory, first + PROJECTED - 1);
}

FORCE_INLINE void begin(__local ushort *memory, __global const ushort *rows, int count, __global const ushort *pieces, int all)
{
    slots_begin(memory);
    fetch_first(memory, pieces, all);
    copy_rows(memory, rows, count);
}

// out [rows, columns] = a [rows, 384] w^T + bias: groups along x have 128 rows each, along y `blocks` times 384 columns. w: the pieces of each 384
// columns, 12 tiles of 192 rows and 64 columns (of each 64 columns first the upper rows) and the vectors, of which the bias is used.
__kernel GROUP_SIZE(GROUP) void project384(__global const ushort *a, __global const ushort *w, __global ushort *out, int rows, int columns, int blocks)
{
    LAUNCHED_MEMORY(memory, MEMORY);
    int first = GROUP_X * ROWS;
    int column = GROUP_Y * blocks * WIDTH;
    float sum[SUMS];
    __global const ushort *pieces = w + (long)GROUP_Y * blocks * PROJECTED * PIECE;
    begin(memory, a + (long)first * WIDTH, rows - first, pieces, blocks * PROJECTED);
    for (int block = 0; block < blocks; block++, column += WIDTH)
    {
        project(sum, memory, pieces, block * PROJECTED, blocks * PROJECTED);
        int last = block * PROJECTED + PROJECTED - 1;
        __local const float *bias = vectors_of(memory, last);
        // The rows stay where they are: what is written goes through a place beside them, 32 columns at a time.
        UNROLL for (int s = 0; s < WIDTH / MIDDLE; s++)
        {
            UNROLL for (int j = 0; j < MIDDLE / 8; j++)
            {
                float2 pair = *(__local const float2 *)(bias + s * MIDDLE + j * 8 + 2 * (LOCAL_ID % 4));
                UNROLL for (int below = 0; below < 2; below++)
                {
                    int at = (s * MIDDLE / 8 + j) * 4 + below * 2;
                    *narrow_pair(memory + OWN_AT, own_row() + below * 8, j) = pack_bf16(sum[at] + pair.x, sum[at + 1] + pair.y);
                }
            }
            OWN_BARRIER();
            int chunk = LOCAL_ID % 4;
            UNROLL for (int i = 0; i < 64; i += 128 / 4)
            {
                int row = LOCAL_ID / 128 * 64 + i + LOCAL_ID % 128 / 4;
                if (first + row < rows)
                {
                    *(__global uint4 *)(out + (long)(first + row) * columns + column + s * MIDDLE + chunk * 8) = *(__local const uint4 *)(memory + OWN_AT + narrow_place(row, chunk));
                }
            }
            OWN_BARRIER();
        }
        release(memory, last);
        refill(memory, pieces, last, blocks * PROJECTED);
    }
    cluster_barrier();
}

// What follows attention in a layer: x = LayerNorm(in + context wo^T + bias), out = LayerNorm(x + gelu(x up^T + upBias) down^T + downBias). context, in
// and out are [rows, 384] (out may be in); middle is a multiple of 32, 64 to 2048. w: the pieces of wo as in project384, then for each 32 of the middle
// one of up (six tiles of 32 rows and 64 columns) and one of down (384 rows and 32 columns), and one with the last vectors: down's bias, gamma, beta. The
// middle never leaves the group.
__kernel GROUP_SIZE(GROUP) void after_attention384(__global const ushort *context, __global const ushort *in, __global const ushort *w,
    __global const float *upBias, __global ushort *out, int rows, int middle, float epsilon)
{
    LAUNCHED_MEMORY(memory, MEMORY);
    SCRATCH(scratch, GROUP * 4);
    int first = GROUP_X * ROWS;
    int parts = middle / MIDDLE;
    int pieces = PROJECTED + 2 * parts + 1;
    __local float *bias = (__local float *)(memory + OWN_AT);
    float sum[SUMS];
    for (int i = LOCAL_ID; i < middle; i += GROUP) { bias[i] = upBias[i]; }
    begin(memory, context + (long)first * WIDTH, rows - first, w, pieces);
    project(sum, memory, w, 0, pieces);
    OWN_BARRIER();
    copy_rows(memory, in + (long)first * WIDTH, rows - first);
    add_and_normalise(sum, memory, vectors_of(memory, PROJECTED - 1), epsilon, scratch);
    release(memory, PROJECTED - 1);
    refill(memory, w, PROJECTED - 1, pieces);

    // Behind the projection's pieces part p of the middle has two: up's, 2p, and down's, 2p + 1. While a part is multiplied by down, the next, which up has made,
    // is activated: it stays in registers.
    float part[MIDDLE / 2];
    uint made[MIDDLE / 4];
    slot_wait(memory, PROJECTED);
    multiply_part(part, memory, PROJECTED);
    PRODUCTS_WAIT(0);
    release(memory, PROJECTED);
    activate(part, bias);
    UNROLL for (int i = 0; i < MIDDLE / 4; i++) { made[i] = pack_bf16(part[i * 2], part[i * 2 + 1]); }
    ZEROS(sum, SUMS);
    for (int p = 0; p < parts; p++)
    {
        int piece = PROJECTED + 2 * p;
        int more = p + 1 < parts;
        Tile weight = tile_at(memory, PIECES_AT + (piece + 1) % SLOTS * PIECE);
        // After the last part nothing reads what this makes, of the vectors.
        slot_wait(memory, piece + 2);
        multiply_part(part, memory, piece + 2);
        // While products are made, the slots of the pieces before are filled again, with which the other warps are done by now.
        if (p > 0) { refill(memory, w, piece - 1, pieces); }
        refill(memory, w, piece, pieces);
        slot_wait(memory, piece + 1);
        UNROLL for (int k = 0; k < 2; k++)
        {
            group_multiply192_own(sum, made + k * 4, further(weight, k * 16), scratch);
            group_multiply192_own(sum + SUMS / 2, made + k * 4, further(further(weight, 192 * MIDDLE), k * 16), scratch);
        }
        products_commit();
        PRODUCTS_WAIT(1);
        if (more) { release(memory, piece + 2); }
        activate(part, bias + (more ? (p + 1) * MIDDLE : 0));
        PRODUCTS_WAIT(0);
        release(memory, piece + 1);
        UNROLL for (int i = 0; i < MIDDLE / 4; i++) { made[i] = pack_bf16(part[i * 2], part[i * 2 + 1]); }
    }

    add_and_normalise(sum, memory, vectors_of(memory, pieces - 1), epsilon, scratch);
    int chunk = LOCAL_ID % 8;
    for (int i = LOCAL_ID % 128 / 8; i < 64; i += 128 / 8)
    {
        int row = LOCAL_ID / 128 * 64 + i;
        if (first + row < rows)
        {
            UNROLL for (int s = 0; s < SLABS; s++)
            {
                *(__global uint4 *)(out + (long)(first + row) * WIDTH + s * DEEP + chunk * 8) = *(__local const uint4 *)(memory + s * ROWS * DEEP + place(row, chunk));
            }
        }
    }
    cluster_barrier();
}
