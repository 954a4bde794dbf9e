// What differs between an OpenCL driver and clang's NVPTX target; it comes before every kernel file. The kernels are OpenCL C 1.2.
//
// A warp is 32 neighbouring work items. Its collectives have two bodies: the instruction where the target is NVIDIA's, and elsewhere an
// emulation in local memory of the layout that the PTX ISA documents (sections "ldmatrix", "mma.sync.m16n8k16" and "shfl.sync"), with
// barriers of the whole group: every work item of the group must reach every collective. `scratch` is one uint for each work item of the
// group and as many more as the collective says; it is not used on NVIDIA's target.

#define WARP 32
#define FORCE_INLINE static inline __attribute__((always_inline))
#define GROUP_SIZE(n) __attribute__((reqd_work_group_size(n, 1, 1)))
#pragma OPENCL FP_CONTRACT OFF

#ifdef __NVPTX__

#define LOCAL_ID ((int)__nvvm_read_ptx_sreg_tid_x())
#define GROUP_X ((int)__nvvm_read_ptx_sreg_ctaid_x())
#define GROUP_Y ((int)__nvvm_read_ptx_sreg_ctaid_y())
#define GROUPS_X ((int)__nvvm_read_ptx_sreg_nctaid_x())
#define BARRIER() __syncthreads()
// A barrier of the warp, and what is true for all of a warp: other warps may then leave collectives out.
#define WARP_BARRIER() __asm__ volatile("bar.warp.sync 0xffffffff;" : : : "memory")
#define ONE_WARP(condition) (condition)

// What is the same in the whole warp but comes from memory or a work item's number, which the compiler takes for different.
FORCE_INLINE int UNIFORM(int value)
{
    int result;
    __asm__ volatile("shfl.sync.idx.b32 %0, %1, 0, 31, 0xffffffff;" : "=r"(result) : "r"(value));
    return result;
}

#define UNROLL _Pragma("unroll")
#define SCRATCH(name, count) __local uint *const name = 0

FORCE_INLINE float fast_exp2(float x) { return __nvvm_ex2_approx_ftz_f(x); }
FORCE_INLINE float fast_rsqrt(float x) { return __nvvm_rsqrt_approx_ftz_f(x); }
FORCE_INLINE float fast_reciprocal(float x) { return __nvvm_rcp_approx_ftz_f(x); }
FORCE_INLINE float sqrt_of(float x) { return __nvvm_sqrt_rn_f(x); }
FORCE_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FORCE_INLINE float magnitude(float x) { return __builtin_fabsf(x); }
FORCE_INLINE float larger(float a, float b) { return __nvvm_fmax_f(a, b); }
FORCE_INLINE uint float_bits(float x) { return __builtin_astype(x, uint); }
FORCE_INLINE float bits_float(uint x) { return __builtin_astype(x, float); }
FORCE_INLINE int ones(uint x) { return __builtin_popcount(x); }
FORCE_INLINE int leading_zeros(uint x) { return x == 0 ? 32 : __builtin_clz(x); }
FORCE_INLINE uint lowest_bit(uint x) { return (uint)__builtin_ctz(x); }
FORCE_INLINE uint add_atomic(volatile __global uint *at, uint value) { return __sync_fetch_and_add(at, value); }
FORCE_INLINE uint or_atomic(volatile __global uint *at, uint value) { return __sync_fetch_and_or(at, value); }
FORCE_INLINE uint add_local(volatile __local uint *at, uint value) { return __sync_fetch_and_add(at, value); }
FORCE_INLINE uint or_local(volatile __local uint *at, uint value) { return __sync_fetch_and_or(at, value); }

// Four bytes from `shift` bits on, below 32, of eight.
FORCE_INLINE uint four_from(uint low, uint high, uint shift)
{
    uint result;
    __asm__("shf.r.wrap.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(low), "r"(high), "r"(shift));
    return result;
}

// Four products of signed bytes, added to a sum.
FORCE_INLINE int dot4(int a, int b, int sum)
{
    int result;
    __asm__("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

// Two floats to bf16, to nearest even; the first is in the low half.
FORCE_INLINE uint pack_bf16(float low, float high)
{
    uint result;
    __asm__("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}

#else

#pragma OPENCL EXTENSION cl_khr_fp64 : disable
#define LOCAL_ID ((int)get_local_id(0))
#define GROUP_X ((int)get_group_id(0))
#define GROUP_Y ((int)get_group_id(1))
#define GROUPS_X ((int)get_num_groups(0))
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define WARP_BARRIER() BARRIER()
#define ONE_WARP(condition) 1
FORCE_INLINE int UNIFORM(int value) { return value; }
#define UNROLL
#define SCRATCH(name, count) __local uint name[count]

FORCE_INLINE float fast_exp2(float x) { return exp2(x); }
FORCE_INLINE float fast_rsqrt(float x) { return 1.0f / sqrt(x); }
FORCE_INLINE float fast_reciprocal(float x) { return 1.0f / x; }
FORCE_INLINE float sqrt_of(float x) { return sqrt(x); }
FORCE_INLINE float fused(float a, float b, float c) { return fma(a, b, c); }
FORCE_INLINE float magnitude(float x) { return fabs(x); }
FORCE_INLINE float larger(float a, float b) { return fmax(a, b); }
FORCE_INLINE uint float_bits(float x) { return as_uint(x); }
FORCE_INLINE float bits_float(uint x) { return as_float(x); }
FORCE_INLINE int ones(uint x) { return (int)popcount(x); }
FORCE_INLINE int leading_zeros(uint x) { return (int)clz(x); }
FORCE_INLINE uint lowest_bit(uint x) { return popcount((x & -x) - 1); }
FORCE_INLINE uint add_atomic(volatile __global uint *at, uint value) { return atomic_add(at, value); }
FORCE_INLINE uint or_atomic(volatile __global uint *at, uint value) { return atomic_or(at, value); }
FORCE_INLINE uint add_local(volatile __local uint *at, uint value) { return atomic_add(at, value); }
FORCE_INLINE uint or_local(volatile __local uint *at, uint value) { return atomic_or(at, value); }

FORCE_INLINE uint four_from(uint low, uint high, uint shift) { return (uint)(((ulong)high << 32 | low) >> shift); }

FORCE_INLINE int dot4(int a, int b, int sum)
{
    return sum + (char)a * (char)b + (char)(a >> 8) * (char)(b >> 8) + (char)(a >> 16) * (char)(b >> 16) + (char)(a >> 24) * (char)(b >> 24);
}

FORCE_INLINE uint round_bf16(float x)
{
    uint bits = as_uint(x);
    return (bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

FORCE_INLINE uint pack_bf16(float low, float high) { return round_bf16(low) | round_bf16(high) << 16; }

#endif

FORCE_INLINE ushort to_bf16(float x) { return (ushort)pack_bf16(x, 0.0f); }
FORCE_INLINE float from_bf16(ushort x) { return bits_float((uint)x << 16); }
FORCE_INLINE float low_bf16(uint pair) { return bits_float(pair << 16); }
FORCE_INLINE float high_bf16(uint pair) { return bits_float(pair & 0xffff0000u); }

// x Phi(x), Phi the normal distribution: the greater of x and 0, less u Phi(-u), where u is |x|. The logarithm of Phi(-u) is smooth, and its power of two is the
// only slow instruction. The polynomial was fitted on 0 to 8 to the least greatest error of u Phi(-u), 4.5e-6 (the last digit of bf16 is at most 2^-9 of
// a value), and has no zero beyond.
FORCE_INLINE float gelu(float x)
{
    float u = magnitude(x);
    float p = fused(fused(fused(fused(fused(-0.00026919727f, u, 0.0055062135f), u, -0.047612261f), u, -0.46474673f), u, -1.1486125f), u, -1.0003371f);
    return fused(-u, fast_exp2(p), larger(x, 0.0f));
}

#ifdef __NVPTX__

// The value of the lane whose number differs by the mask's bits.
FORCE_INLINE uint lane_xor_bits(uint value, int mask, __local uint *scratch)
{
    uint result;
    __asm__ volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(result) : "r"(value), "r"(mask));
    return result;
}

// 16 bytes from global to local memory, not waited for; zeros where `there` is false.
FORCE_INLINE void copy16(__local ushort *to, __global const ushort *from, int there)
{
    __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"((uint)(ulong)to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

FORCE_INLINE void copies_commit(void) { __asm__ volatile("cp.async.commit_group;" : : : "memory"); }
// Waits until at most `count` of the last committed groups are still under way.
#define COPIES_WAIT(count) __asm__ volatile("cp.async.wait_group %0;" : : "n"(count) : "memory")

// Four 8x8 matrices of 16-bit values. Lane 8m+r gives where row r of matrix m begins; lane l gets of matrix m row l/4, columns 2(l%4) and +1.
FORCE_INLINE void load_matrices(uint *out, __local const ushort *tile, int offset, __local uint *scratch)
{
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"((uint)(ulong)(tile + offset)) : "memory");
}

// The same transposed: lane l gets of matrix m rows 2(l%4) and +1 of column l/4.
FORCE_INLINE void load_transposed(uint *out, __local const ushort *tile, int offset, __local uint *scratch)
{
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"((uint)(ulong)(tile + offset)) : "memory");
}

// sum[i][j] += a[i] * b[j]: each a 16x16, each b 16x8, in bf16; each sum 16x8 in float.
FORCE_INLINE void multiply(float *sum, const uint *a, const uint *b, const int rows, const int columns, __local uint *scratch)
{
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < columns; j++)
        {
            float *c = sum + (i * columns + j) * 4;
            __asm__ volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                : "r"(a[i * 4]), "r"(a[i * 4 + 1]), "r"(a[i * 4 + 2]), "r"(a[i * 4 + 3]), "r"(b[j * 2]), "r"(b[j * 2 + 1]));
        }
    }
}

#else

FORCE_INLINE uint lane_xor_bits(uint value, int mask, __local uint *scratch)
{
    scratch[LOCAL_ID] = value;
    BARRIER();
    uint result = scratch[LOCAL_ID ^ mask];
    BARRIER();
    return result;
}

FORCE_INLINE void copy16(__local ushort *to, __global const ushort *from, int there)
{
    for (int i = 0; i < 8; i++) { to[i] = there ? from[i] : 0; }
}

FORCE_INLINE void copies_commit(void) { }
#define COPIES_WAIT(count)

FORCE_INLINE void load_matrices(uint *out, __local const ushort *tile, int offset, __local uint *scratch)
{
    int lane = LOCAL_ID % WARP;
    __local uint *rows = scratch + (LOCAL_ID - lane);
    rows[lane] = (uint)offset;
    BARRIER();
    for (int m = 0; m < 4; m++)
    {
        __local const ushort *at = tile + rows[m * 8 + lane / 4] + 2 * (lane % 4);
        out[m] = at[0] | (uint)at[1] << 16;
    }
    BARRIER();
}

FORCE_INLINE void load_transposed(uint *out, __local const ushort *tile, int offset, __local uint *scratch)
{
    int lane = LOCAL_ID % WARP;
    __local uint *rows = scratch + (LOCAL_ID - lane);
    rows[lane] = (uint)offset;
    BARRIER();
    for (int m = 0; m < 4; m++)
    {
        int row = m * 8 + 2 * (lane % 4);
        out[m] = tile[rows[row] + lane / 4] | (uint)tile[rows[row + 1] + lane / 4] << 16;
    }
    BARRIER();
}

// scratch: (4 * rows + 2 * columns) for each work item.
FORCE_INLINE void multiply(float *sum, const uint *a, const uint *b, const int rows, const int columns, __local uint *scratch)
{
    int lane = LOCAL_ID % WARP;
    int each = 4 * rows + 2 * columns;
    __local uint *warp = scratch + (LOCAL_ID - lane) * each;
    for (int i = 0; i < 4 * rows; i++) { warp[lane * each + i] = a[i]; }
    for (int j = 0; j < 2 * columns; j++) { warp[lane * each + 4 * rows + j] = b[j]; }
    BARRIER();
    for (int i = 0; i < rows; i++)
    {
        for (int j = 0; j < columns; j++)
        {
            for (int c = 0; c < 4; c++)
            {
                // c0, c1: row l/4, columns 2(l%4) and +1; c2, c3: eight rows below.
                int row = lane / 4 + 8 * (c / 2);
                int column = 2 * (lane % 4) + c % 2;
                float total = sum[(i * columns + j) * 4 + c];
                for (int k = 0; k < 16; k++)
                {
                    // a: lane 4(row%8) + (k%8)/2; registers a0 top left, a1 below, a2 right, a3 below right. b: lane 4*column + (k%8)/2.
                    uint x = warp[((row % 8) * 4 + (k % 8) / 2) * each + i * 4 + row / 8 + 2 * (k / 8)];
                    uint y = warp[(column * 4 + (k % 8) / 2) * each + 4 * rows + j * 2 + k / 8];
                    total += (k % 2 ? high_bf16(x) : low_bf16(x)) * (k % 2 ? high_bf16(y) : low_bf16(y));
                }
                sum[(i * columns + j) * 4 + c] = total;
            }
        }
    }
    BARRIER();
}

#endif

FORCE_INLINE float lane_xor(float value, int mask, __local uint *scratch) { return bits_float(lane_xor_bits(float_bits(value), mask, scratch)); }

FORCE_INLINE float warp_sum(float value, __local uint *scratch)
{
    for (int mask = 16; mask > 0; mask /= 2) { value += lane_xor(value, mask, scratch); }
    return value;
}

FORCE_INLINE int ones_of(ulong x) { return ones((uint)x) + ones((uint)(x >> 32)); }
FORCE_INLINE int highest_one(ulong x) { return x >> 32 ? 63 - leading_zeros((uint)(x >> 32)) : 31 - leading_zeros((uint)x); }
FORCE_INLINE int lowest_one(ulong x) { return highest_one(x & (~x + 1)); }

// The sum of the values of the work items before this one, and of all. size: of the group and of sums, a multiple of 32.
#ifdef __NVPTX__

FORCE_INLINE uint before_in_group(uint value, uint *all, __local uint *sums, const int size)
{
    uint sum = value;
    UNROLL for (int step = 1; step < WARP; step *= 2)
    {
        __asm__ volatile("{ .reg .pred p; .reg .b32 r; shfl.sync.up.b32 r|p, %0, %1, 0, 0xffffffff; @p add.u32 %0, %0, r; }" : "+r"(sum) : "r"(step));
    }
    if (LOCAL_ID % WARP == WARP - 1) { sums[LOCAL_ID / WARP] = sum; }
    BARRIER();
    uint before = sum - value;
    uint total = 0;
    UNROLL for (int warp = 0; warp < size / WARP; warp++)
    {
        uint own = sums[warp];
        before += warp < LOCAL_ID / WARP ? own : 0u;
        total += own;
    }
    *all = total;
    BARRIER();
    return before;
}

#else

// Rows of 16 are summed by a work item each, a row's sum stands in its last place, and each work item adds the rows before its own and what is before it
// in its own.
FORCE_INLINE uint before_in_group(uint value, uint *all, __local uint *sums, const int size)
{
    sums[LOCAL_ID] = value;
    BARRIER();
    if (LOCAL_ID < size / 16)
    {
        uint sum = 0;
        for (int i = 0; i < 16; i++) { sum += sums[LOCAL_ID * 16 + i]; }
        sums[LOCAL_ID * 16 + 15] = sum;
    }
    BARRIER();
    uint before = 0;
    uint sum = 0;
    for (int row = 0; row < size / 16; row++)
    {
        before = row == LOCAL_ID / 16 ? sum : before;
        sum += sums[row * 16 + 15];
    }
    for (int i = LOCAL_ID & ~15; i < LOCAL_ID; i++) { before += sums[i]; }
    *all = sum;
    BARRIER();
    return before;
}

#endif
