// Instructions of a whole warp, and those that decide what is run next.
#include "machine.h"

#include <algorithm>

namespace ptx {

namespace {

void nothing(Warp &, const Op &) {}

enum class Shuffle { Up, Down, Butterfly, Index };

/// PTX ISA, "shfl.sync": the lanes are cut into segments by the third operand's bits 8 to 12, its bits 0 to 4 are the bound; a lane whose source is out of its
/// segment keeps its own value, and its predicate is false.
template <Shuffle S> void shuffle(Warp &w, const Op &op)
{
    uint32_t a[LANES], b[LANES], c[LANES];
    std::memcpy(a, w.at<uint32_t>(op.o[2]), sizeof a);
    std::memcpy(b, w.at<uint32_t>(op.o[3]), sizeof b);
    std::memcpy(c, w.at<uint32_t>(op.o[4]), sizeof c);
    uint32_t result[LANES], inside = 0;
    for (int lane = 0; lane < LANES; lane++)
    {
        int bval = (int)(b[lane] & 31), cval = (int)(c[lane] & 31), mask = (int)(c[lane] >> 8 & 31);
        int most = (lane & mask) | (cval & ~mask), least = lane & mask, from;
        bool valid;
        switch (S)
        {
            case Shuffle::Up: from = lane - bval; valid = from >= most; break;
            case Shuffle::Down: from = lane + bval; valid = from <= most; break;
            case Shuffle::Butterfly: from = lane ^ bval; valid = from <= most; break;
            default: from = least | (bval & ~mask); valid = from <= most; break;
        }
        if (!valid) from = lane;
        inside |= (uint32_t)valid << lane;
        result[lane] = a[from & 31];
    }
    put<uint32_t>(w, op.o[0], [&](int i) { return result[i]; });
    if (op.o[1] != NONE) put_bits(w, op.o[1], inside);
}

// "vote.sync": of the lanes that take part.
void ballot(Warp &w, const Op &op)
{
    uint32_t bits = *w.at<uint32_t>(op.o[1]) & w.mask;
    put<uint32_t>(w, op.o[0], [=](int) { return bits; });
}
void any(Warp &w, const Op &op) { put_bits(w, op.o[0], *w.at<uint32_t>(op.o[1]) & w.mask ? ~0u : 0); }
void all(Warp &w, const Op &op) { put_bits(w, op.o[0], (*w.at<uint32_t>(op.o[1]) & w.mask) == w.mask ? ~0u : 0); }

template <class T, auto F> void reduce(Warp &w, const Op &op)
{
    const T *a = w.at<T>(op.o[1]);
    bool first = true;
    T sum = 0;
    each_lane(w.mask, [&](int lane) { sum = first ? a[lane] : (T)F(sum, a[lane]), first = false; });
    put<T>(w, op.o[0], [=](int) { return sum; });
}

/// PTX ISA, "ldmatrix": of matrix m lane 8m + r gives the address of row r, 16 bytes; lane l gets of each matrix row l / 4, elements 2 (l % 4) and +1. With
/// .trans it gets elements of column l / 4.
template <int N, bool Transposed> void load_matrices(Warp &w, const Op &op)
{
    uint64_t addresses[LANES];
    w.addresses(op.o[0], op.wide, op.imm, addresses);
    uint32_t rows = N == 4 ? ~0u : (1u << 8 * N) - 1, mask = w.mask;
    w.mask = rows;
    access(w, op, Space::Shared, Access::Read, addresses, 16);
    w.mask = mask;
    const uint32_t *list = w.group->kernel->lists.data() + op.list;
    for (int m = 0; m < N; m++)
    {
        uint16_t matrix[8][8];
        for (int r = 0; r < 8; r++) std::memcpy(matrix[r], w.group->shared + addresses[8 * m + r], 16);
        put<uint32_t>(w, list[m], [&](int lane) {
            int row = lane / 4, column = 2 * (lane % 4);
            return Transposed ? (uint32_t)matrix[column][row] | (uint32_t)matrix[column + 1][row] << 16 : (uint32_t)matrix[row][column] | (uint32_t)matrix[row][column + 1] << 16;
        });
    }
}

float of_bf16(uint32_t bits)
{
    bits <<= 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

/// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type": with group = lane / 4 and place = lane % 4, A's element i of 8 is in row group, or
/// group + 8 for i of 2, 3, 6 and 7, and in column 2 place + i % 2, + 8 from i = 4 on; B's i of 4 in row 2 place + i % 2, + 8 from i = 2 on, and column group;
/// C's and D's i of 4 in row group, + 8 from i = 2 on, and column 2 place + i % 2. The order of the sums is left open; here it is that of k, in float.
void multiply16(Warp &w, const Op &op)
{
    const uint32_t *list = w.group->kernel->lists.data() + op.list;
    float a[16][16], b[16][8], c[16][8];
    for (int i = 0; i < 8; i++)
    {
        const uint32_t *from = w.at<uint32_t>(list[4 + i / 2]);
        for (int lane = 0; lane < LANES; lane++) a[lane / 4 + (i / 2 % 2) * 8][2 * (lane % 4) + i % 2 + i / 4 * 8] = of_bf16(from[lane] >> 16 * (i % 2) & 0xFFFF);
    }
    for (int i = 0; i < 4; i++)
    {
        const uint32_t *from = w.at<uint32_t>(list[8 + i / 2]);
        for (int lane = 0; lane < LANES; lane++) b[2 * (lane % 4) + i % 2 + i / 2 * 8][lane / 4] = of_bf16(from[lane] >> 16 * (i % 2) & 0xFFFF);
    }
    for (int i = 0; i < 4; i++)
    {
        const float *from = w.at<float>(list[10 + i]);
        for (int lane = 0; lane < LANES; lane++) c[lane / 4 + i / 2 * 8][2 * (lane % 4) + i % 2] = from[lane];
    }
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++) c[row][column] += a[row][k] * b[k][column];
    for (int i = 0; i < 4; i++) put<float>(w, list[i], [&](int lane) { return c[lane / 4 + i / 2 * 8][2 * (lane % 4) + i % 2]; });
}

} // namespace

void add_collective_forms(std::vector<Form> &to)
{
    to.push_back({ "bra", "l", nothing, Class::Branch, Kind::Branch });
    to.push_back({ "bra.uni", "l", nothing, Class::Branch, Kind::Branch });
    to.push_back({ "ret", "", nothing, Class::Branch, Kind::Return });
    to.push_back({ "exit", "", nothing, Class::Branch, Kind::Return });
    for (std::string name : { "bar.sync", "barrier.sync.aligned", "bar.cta.sync", "barrier.cta.sync.aligned" })
    {
        to.push_back({ name, "w", nothing, Class::Barrier, Kind::Barrier });
        to.push_back({ name, "ww", nothing, Class::Barrier, Kind::Barrier });
    }
    to.push_back({ "bar.warp.sync", "w", nothing, Class::Barrier, Kind::Together });
    to.push_back({ "membar.cta", "", nothing, Class::Barrier });
    to.push_back({ "membar.gl", "", nothing, Class::Barrier });
    to.push_back({ "fence.acq_rel.cta", "", nothing, Class::Barrier });
    to.push_back({ "fence.acq_rel.gpu", "", nothing, Class::Barrier });
    Class s = Class::Shuffle;
    Kind t = Kind::Together;
    to.push_back({ "shfl.sync.up.b32", "x:wwww", shuffle<Shuffle::Up>, s, t });
    to.push_back({ "shfl.sync.down.b32", "x:wwww", shuffle<Shuffle::Down>, s, t });
    to.push_back({ "shfl.sync.bfly.b32", "x:wwww", shuffle<Shuffle::Butterfly>, s, t });
    to.push_back({ "shfl.sync.idx.b32", "x:wwww", shuffle<Shuffle::Index>, s, t });
    to.push_back({ "vote.sync.ballot.b32", "w:pw", ballot, s, t });
    to.push_back({ "vote.sync.any.pred", "p:pw", any, s, t });
    to.push_back({ "vote.sync.all.pred", "p:pw", all, s, t });
    to.push_back({ "redux.sync.add.u32", "w:ww", reduce<uint32_t, [](uint32_t a, uint32_t b) { return a + b; }>, s, t });
    to.push_back({ "redux.sync.add.s32", "w:ww", reduce<uint32_t, [](uint32_t a, uint32_t b) { return a + b; }>, s, t });
    to.push_back({ "redux.sync.min.u32", "w:ww", reduce<uint32_t, [](uint32_t a, uint32_t b) { return std::min(a, b); }>, s, t });
    to.push_back({ "redux.sync.max.u32", "w:ww", reduce<uint32_t, [](uint32_t a, uint32_t b) { return std::max(a, b); }>, s, t });
    to.push_back({ "redux.sync.or.b32", "w:ww", reduce<uint32_t, [](uint32_t a, uint32_t b) { return a | b; }>, s, t });
    Class m = Class::Matrix;
    to.push_back({ "ldmatrix.sync.aligned.m8n8.x1.shared.b16", "{1w}:a", load_matrices<1, false>, m, t });
    to.push_back({ "ldmatrix.sync.aligned.m8n8.x2.shared.b16", "{2w}:a", load_matrices<2, false>, m, t });
    to.push_back({ "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "{4w}:a", load_matrices<4, false>, m, t });
    to.push_back({ "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16", "{1w}:a", load_matrices<1, true>, m, t });
    to.push_back({ "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16", "{2w}:a", load_matrices<2, true>, m, t });
    to.push_back({ "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16", "{4w}:a", load_matrices<4, true>, m, t });
    to.push_back({ "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "{4w}:{4w}{2w}{4w}", multiply16, Class::Product, t });
}

} // namespace ptx
