// Copies and products that go on beside the warps, and what waits for them.
// PTX ISA, "Asynchronous operations", "cp.async", "mbarrier", "cp.async.bulk", "Asynchronous Warpgroup Level Matrix Instructions".
#include "check.h"

#include <algorithm>

namespace ptx {

namespace {

void nothing(Warp &, const Op &) {}

uint32_t number(Warp &w, const Op &op, int which = 0) { return w.group->kernel->lists[op.list + (uint32_t)which]; }

/// "cp.async": 4, 8 or 16 bytes a lane, of which as many as the last operand says are read and the rest is zeros.
template <bool Sized> void copy_lanes(Warp &w, const Op &op)
{
    uint32_t bytes = number(w, op);
    if (bytes != 4 && bytes != 8 && bytes != 16) w.fault(op, LAUNCH_FAILED, "cp.async of " + std::to_string(bytes) + " bytes");
    uint64_t to[LANES], from[LANES];
    w.addresses(op.o[0], op.wide, op.imm, to);
    w.addresses(op.o[1], op.wide2, 0, from);
    uint32_t read[LANES], done = w.mask, reading = 0;
    for (int lane = 0; lane < LANES; lane++) read[lane] = Sized ? w.at<uint32_t>(op.o[2])[lane] : bytes;
    each_lane(done, [&](int lane) {
        if (read[lane] > bytes) w.fault(op, LAUNCH_FAILED, "cp.async reads " + std::to_string(read[lane]) + " bytes of " + std::to_string(bytes));
        reading |= (uint32_t)(read[lane] > 0) << lane;
    });
    w.mask = reading;
    if (reading) access(w, op, Space::Global, Access::Read, from, bytes);
    w.mask = done;
    access(w, op, Space::Shared, Access::Copy, to, bytes);
    each_lane(done, [&](int lane) {
        Copy copy { (uint32_t)to[lane], from[lane], read[lane], bytes, &op, lane };
        if (w.group->late) w.copies.push_back(copy);
        else w.group->copy(copy);
    });
}

void commit_copies(Warp &w, const Op &)
{
    if (w.group->check) w.group->check->commit_copies(w);
    w.copyGroups.push_back(std::move(w.copies));
    w.copies.clear();
}

// "cp.async.wait_group": until at most so many of the last groups are under way. All lanes of a warp commit and wait together here.
void wait_copies(Warp &w, const Op &op)
{
    uint32_t left = number(w, op);
    while (w.copyGroups.size() > left)
    {
        for (const Copy &copy : w.copyGroups.front()) w.group->copy(copy);
        w.copyGroups.erase(w.copyGroups.begin());
    }
    if (w.group->check) w.group->check->wait_copies(w, left);
}

void wait_all_copies(Warp &w, const Op &op)
{
    commit_copies(w, op);
    for (const auto &group : w.copyGroups) for (const Copy &copy : group) w.group->copy(copy);
    w.copyGroups.clear();
    if (w.group->check) w.group->check->wait_copies(w, 0);
}

uint32_t barrier_address(Warp &w, const Op &op, uint32_t place, bool wide, int64_t offset, int lane)
{
    uint64_t at = (wide ? w.at<uint64_t>(place)[lane] : w.at<uint32_t>(place)[lane]) + (uint64_t)offset;
    if (at % 8 || at + 8 > w.group->sharedBytes) w.fault(op, at % 8 ? MISALIGNED : ILLEGAL_ADDRESS, "an mbarrier at shared address " + std::to_string(at));
    return (uint32_t)at;
}

void begin_barrier(Warp &w, const Op &op)
{
    each_lane(w.mask, [&](int lane) {
        uint32_t at = barrier_address(w, op, op.o[0], op.wide, op.imm, lane), count = w.at<uint32_t>(op.o[1])[lane];
        auto &all = w.group->mbarriers;
        all.erase(std::remove_if(all.begin(), all.end(), [=](const Mbarrier &m) { return m.at == at; }), all.end());
        all.push_back({ at, count, count, 0, 0, {}, (uint32_t)all.size(), w.group->rank });
    });
}

void arrive_at(Warp &w, const Op &op, Mbarrier &m, int lane)
{
    if (m.pending == 0) w.fault(op, LAUNCH_FAILED, "one arrival more than the mbarrier at " + std::to_string(m.at) + " counts");
    m.pending--;
    if (w.group->check) w.group->check->arrive(w, lane, m);
    w.group->events++;
    w.group->cluster[m.rank]->complete(m);
}

void arrive(Warp &w, const Op &op)
{
    each_lane(w.mask, [&](int lane) { arrive_at(w, op, w.group->mbarrier(w, op, barrier_address(w, op, op.o[0], op.wide, op.imm, lane)), lane); });
}

// "mapa": where the same place is in another group of the cluster. Here the high byte is the group's number, plus one: an address without is one's own.
constexpr int RANK_BITS = 24;

void map_address(Warp &w, const Op &op)
{
    each_lane(w.mask, [&](int lane) {
        if (w.at<uint32_t>(op.o[2])[lane] >= w.group->cluster.size()) w.fault(op, LAUNCH_FAILED, "mapa: the cluster has no group " + std::to_string(w.at<uint32_t>(op.o[2])[lane]));
    });
    put<uint32_t>(w, op.o[0], [&](int lane) { return w.at<uint32_t>(op.o[1])[lane] | (w.at<uint32_t>(op.o[2])[lane] + 1) << RANK_BITS; });
}

void arrive_in_cluster(Warp &w, const Op &op)
{
    each_lane(w.mask, [&](int lane) {
        uint32_t address = w.at<uint32_t>(op.o[0])[lane] + (uint32_t)op.imm, rank = address >> RANK_BITS;
        Group &group = rank ? *w.group->cluster[rank - 1] : *w.group;
        if (group.done()) w.fault(op, LAUNCH_FAILED, "an arrival in a group that has ended");
        arrive_at(w, op, group.mbarrier(w, op, address & ((1u << RANK_BITS) - 1)), lane);
        group.events++;
    });
}

// "barrier.cluster": all warps of the cluster arrive, then any may go on.
void arrive_at_cluster(Warp &w, const Op &)
{
    Group &lead = *w.group->cluster[0];
    w.clusterPhase = lead.clusterPhase;
    lead.events++;
    if (w.group->check) w.group->check->arrive_at_cluster(w);
    uint32_t all = 0;
    for (const Group *group : w.group->cluster) all += group->warpCount;
    if (++lead.clusterArrived < all) return;
    lead.clusterArrived = 0;
    lead.clusterPhase++;
    if (w.group->check) w.group->check->cluster_over();
}

void wait_for_cluster(Warp &w, const Op &)
{
    if (w.group->cluster[0]->clusterPhase != w.clusterPhase)
    {
        if (w.group->check) w.group->check->waited_for_cluster(w);
        return;
    }
    // Again in its next turn.
    w.pc--;
    w.retry = true;
}

// "mbarrier.arrive.expect_tx": the phase waits for so many bytes more; then one arrival.
void arrive_expecting(Warp &w, const Op &op)
{
    each_lane(w.mask, [&](int lane) {
        Mbarrier &m = w.group->mbarrier(w, op, barrier_address(w, op, op.o[0], op.wide, op.imm, lane));
        m.bytes += w.at<uint32_t>(op.o[1])[lane];
        arrive_at(w, op, m, lane);
    });
}

// "mbarrier.try_wait.parity": whether the phase of that parity is over: the one before the current has the other parity.
void try_wait(Warp &w, const Op &op)
{
    uint32_t over = 0;
    const Mbarrier *same = nullptr;
    each_lane(w.mask, [&](int lane) {
        Mbarrier &m = w.group->mbarrier(w, op, barrier_address(w, op, op.o[1], op.wide, op.imm, lane));
        uint32_t parity = w.at<uint32_t>(op.o[2])[lane];
        if ((m.phase & 1) == (parity & 1) && m.pending == 0 && !m.copies.empty())
        {
            // As late as allowed: now that somebody waits for nothing else.
            for (const Copy &copy : m.copies) w.group->copy(copy), m.bytes -= copy.bytes;
            m.copies.clear();
            if (w.group->check) w.group->check->bulk_done(m);
            w.group->complete(m);
        }
        if ((m.phase & 1) == (parity & 1)) return;
        over |= 1u << lane;
        if (same && same != &m) w.fault(op, LAUNCH_FAILED, "lanes that wait for different mbarriers at once are not known");
        same = &m;
    });
    if (w.group->check && over) w.group->check->waited(w, over, *same);
    put_bits(w, op.o[0], over);
    if (over) w.group->events++;
    w.retry = (over & w.mask) != w.mask;
}

// "cp.async.bulk": multiples of 16 bytes from global to shared memory, counted by an mbarrier; with .multicast::cluster to the same place of each group of the
// cluster whose bit is set, and counted by the mbarrier at the same place there.
template <bool Multicast> void copy_bulk(Warp &w, const Op &op)
{
    each_lane(w.mask, [&](int lane) {
        uint64_t to[LANES] = {}, from[LANES] = {};
        to[lane] = (op.wide ? w.at<uint64_t>(op.o[0])[lane] : w.at<uint32_t>(op.o[0])[lane]) + (uint64_t)op.imm;
        from[lane] = op.wide2 ? w.at<uint64_t>(op.o[1])[lane] : w.at<uint32_t>(op.o[1])[lane];
        uint32_t bytes = w.at<uint32_t>(op.o[2])[lane];
        if (bytes % 16 || to[lane] % 16 || from[lane] % 16) w.fault(op, MISALIGNED, "cp.async.bulk: addresses and size are multiples of 16");
        Mbarrier &m = w.group->mbarrier(w, op, barrier_address(w, op, op.o[3], false, 0, lane));
        uint32_t mask = w.mask;
        w.mask = 1u << lane;
        access(w, op, Space::Global, Access::Read, from, bytes);
        access(w, op, Space::Shared, Access::Bulk, to, bytes);
        w.mask = mask;
        Copy copy { (uint32_t)to[lane], from[lane], bytes, bytes, &op, lane };
        uint32_t ranks = Multicast ? w.at<uint16_t>(op.o[4])[lane] : 1u << w.group->rank;
        if (ranks >> w.group->cluster.size()) w.fault(op, LAUNCH_FAILED, "cp.async.bulk to a group that the cluster has not");
        each_lane(ranks, [&](int rank) {
            Group &group = *w.group->cluster[(size_t)rank];
            Mbarrier &there = group.mbarrier(w, op, m.at);
            if (group.done()) w.fault(op, LAUNCH_FAILED, "cp.async.bulk to a group that has ended");
            if (group.check) group.check->bulk_copy(w, op, lane, there, copy.to, bytes);
            if (group.late) { there.copies.push_back(copy); return; }
            group.copy(copy);
            there.bytes -= bytes;
            group.events++;
            group.complete(there);
        });
    });
}

// "cp.async.bulk.prefetch": nothing that a program sees, but memory that is not there is an error.
void prefetch_bulk(Warp &w, const Op &op)
{
    uint64_t from[LANES];
    w.addresses(op.o[0], op.wide, op.imm, from);
    each_lane(w.mask, [&](int lane) {
        uint32_t bytes = w.at<uint32_t>(op.o[1])[lane];
        if (bytes % 16 || from[lane] % 16) w.fault(op, MISALIGNED, "cp.async.bulk.prefetch: address and size are multiples of 16");
        if (!w.group->allocations->holds(from[lane], bytes)) w.fault(op, ILLEGAL_ADDRESS, "cp.async.bulk.prefetch beyond an allocation");
    });
}

// "fence.proxy.async": what ordinary instructions wrote is then there for asynchronous ones.
void fence_proxy(Warp &w, const Op &) { if (w.group->check) w.group->check->proxy_fence(w); }

void fence_products(Warp &w, const Op &) { if (w.group->check) w.group->check->product_fence(w); }

// "wgmma.commit_group", "wgmma.wait_group": until then the products read shared memory.
void commit_products(Warp &w, const Op &) { if (w.group->check) w.group->check->commit_products(w); }
void wait_products(Warp &w, const Op &op) { if (w.group->check) w.group->check->wait_products(w, number(w, op)); }

/// PTX ISA, "Matrix Descriptor Format" and "Shared Memory Matrix Layout", for matrices whose k runs along rows (no transposition): bits 0 to 13 are the start
/// in units of 16 bytes, 16 to 29 and 32 to 45 the offsets along k (used without a swizzle) and of eight rows, 49 to 51 the base offset, 62 and 63 the
/// swizzle: none, 128, 64 or 32 bytes. A swizzle exchanges the 16-byte chunks of a row: address bits 4 to 6 by 7 to 9, 4 and 5 by 7 and 8, or 4 by 7.
struct Matrix
{
    uint32_t start, along, rows, swizzle;

    Matrix(Warp &w, const Op &op, uint64_t descriptor)
        : start((uint32_t)(descriptor & 0x3FFF) << 4), along((uint32_t)(descriptor >> 16 & 0x3FFF) << 4), rows((uint32_t)(descriptor >> 32 & 0x3FFF) << 4), swizzle((uint32_t)(descriptor >> 62))
    {
        if (descriptor >> 49 & 7) w.fault(op, LAUNCH_FAILED, "a matrix descriptor with a base offset is not known");
    }

    /// Where eight values of a row begin; half: the first or the second eight of the 16.
    uint32_t at(uint32_t row, uint32_t half) const
    {
        if (swizzle == 0) return start + row / 8 * rows + half * along + row % 8 * 16;
        uint32_t width = swizzle == 1 ? 128 : swizzle == 2 ? 64 : 32;
        uint32_t address = start + row / 8 * rows + row % 8 * width + half * 16;
        return address ^ ((address >> 7 & (width / 16 - 1)) << 4);
    }

    void read(Warp &w, const Op &op, uint32_t row, float *to) const
    {
        for (uint32_t half = 0; half < 2; half++)
        {
            uint32_t address = at(row, half);
            if (address + 16 > w.group->sharedBytes) w.fault(op, ILLEGAL_ADDRESS, "wgmma reads shared address " + std::to_string(address) + " of " + std::to_string(w.group->sharedBytes));
            if (w.group->check) w.group->check->product_reads(w, op, address, 16);
            uint16_t values[8];
            std::memcpy(values, w.group->shared + address, 16);
            for (int i = 0; i < 8; i++)
            {
                uint32_t bits = (uint32_t)values[i] << 16;
                std::memcpy(to + half * 8 + i, &bits, 4);
            }
        }
    }
};

/// A row of the left side in registers: lane 4 (row % 8) + c has columns 2c and 2c + 1 in its first register, or second for the lower eight rows, and those eight
/// columns further in its third and fourth.
void own_row(Warp &w, const Op &op, int first, uint32_t row, float *to)
{
    for (uint32_t k = 0; k < 16; k++)
    {
        uint32_t pair = w.at<uint32_t>(number(w, op, first + (int)(k / 8 * 2 + row / 8)))[row % 8 * 4 + k % 8 / 2], bits = k % 2 ? pair & 0xFFFF0000 : pair << 16;
        std::memcpy(to + k, &bits, 4);
    }
}

/// "wgmma.mma_async": each warp of the four makes its 16 rows, when it comes by. Element i of a lane is in row lane / 4, + 8 for odd i / 2, and in column
/// 8 (i / 4) + 2 (lane % 4) + i % 2 ("Register Fragments and Shared Memory Matrix Layouts"). The sums are in registers at once, since a program may not look
/// at them before it has waited.
template <int N, bool Own> void multiply_group(Warp &w, const Op &op)
{
    // The numbers stand behind the sums and, where it is in registers, the left side.
    int numbers = N / 2 + (Own ? 4 : 0), right_slot = Own ? 0 : 1;
    for (int i = 0; i < (Own ? 3 : 4); i++) if (number(w, op, numbers + i) != (i < 2 ? 1u : 0u)) w.fault(op, LAUNCH_FAILED, "wgmma with a negation or a transposition is not known");
    uint64_t descriptorA = w.at<uint64_t>(op.o[0])[0], descriptorB = w.at<uint64_t>(op.o[right_slot])[0];
    for (int lane = 1; lane < LANES; lane++)
        if (w.at<uint64_t>(op.o[0])[lane] != descriptorA || w.at<uint64_t>(op.o[right_slot])[lane] != descriptorB) w.fault(op, LAUNCH_FAILED, "wgmma: lanes differ in a matrix descriptor");
    Matrix left(w, op, Own ? 0 : descriptorA), right(w, op, descriptorB);
    bool add = *w.at<uint32_t>(op.o[right_slot + 1]) & 1;
    static thread_local float a[2][16][LANES], b[N][16];
    for (uint32_t row = 0; row < 16; row++)
    {
        float values[16];
        if (Own) own_row(w, op, N / 2, row, values);
        else left.read(w, op, (uint32_t)(w.index % 4) * 16 + row, values);
        for (int k = 0; k < 16; k++) for (int i = 0; i < 4; i++) a[row / 8][k][row % 8 * 4 + (uint32_t)i] = values[k];
    }
    for (uint32_t row = 0; row < N; row++) right.read(w, op, row, b[row]);
    const uint32_t *list = w.group->kernel->lists.data() + op.list;
    for (int j = 0; j < N / 8; j++)
    {
        for (int e = 0; e < 2; e++)
        {
            float *upper = w.at<float>(list[4 * j + e]), *lower = w.at<float>(list[4 * j + 2 + e]);
            float sums[2][LANES];
            for (int lane = 0; lane < LANES; lane++) sums[0][lane] = add ? upper[lane] : 0, sums[1][lane] = add ? lower[lane] : 0;
            for (int k = 0; k < 16; k++)
            {
                float column[LANES];
                for (int lane = 0; lane < LANES; lane++) column[lane] = b[8 * j + 2 * (lane % 4) + e][k];
                for (int lane = 0; lane < LANES; lane++) sums[0][lane] += a[0][k][lane] * column[lane], sums[1][lane] += a[1][k][lane] * column[lane];
            }
            std::memcpy(upper, sums[0], sizeof sums[0]);
            std::memcpy(lower, sums[1], sizeof sums[1]);
        }
    }
}

template <int N> void products_of(std::vector<Form> &to)
{
    to.push_back({ "wgmma.mma_async.sync.aligned.m64n" + std::to_string(N) + "k16.f32.bf16.bf16", "+{" + std::to_string(N / 2) + "w}:ddpiiii", multiply_group<N, false>, Class::Product, Kind::Together });
    to.push_back({ "wgmma.mma_async.sync.aligned.m64n" + std::to_string(N) + "k16.f32.bf16.bf16", "+{" + std::to_string(N / 2) + "w}:{4w}dpiii", multiply_group<N, true>, Class::Product, Kind::Together });
}

} // namespace

void add_asynchronous_forms(std::vector<Form> &to)
{
    Class g = Class::GlobalLoad, b = Class::Barrier;
    for (std::string name : { "cp.async.cg.shared.global", "cp.async.ca.shared.global" })
    {
        to.push_back({ name, "aai", copy_lanes<false>, g });
        to.push_back({ name, "aaiw", copy_lanes<true>, g });
    }
    to.push_back({ "cp.async.commit_group", "", commit_copies, b, Kind::Together });
    to.push_back({ "cp.async.wait_group", "i", wait_copies, b, Kind::Together });
    to.push_back({ "cp.async.wait_all", "", wait_all_copies, b, Kind::Together });
    to.push_back({ "mbarrier.init.shared::cta.b64", "aw", begin_barrier, b });
    to.push_back({ "mbarrier.arrive.shared::cta.b64", "_a", arrive, b });
    to.push_back({ "mbarrier.arrive.expect_tx.shared::cta.b64", "_aw", arrive_expecting, b });
    to.push_back({ "mbarrier.try_wait.parity.shared::cta.b64", "p:aw", try_wait, b, Kind::Wait });
    to.push_back({ "fence.mbarrier_init.release.cluster", "", nothing, b });
    to.push_back({ "fence.proxy.async.shared::cta", "", fence_proxy, b });
    to.push_back({ "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes", "aawa", copy_bulk<false>, g });
    to.push_back({ "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster", "aawah", copy_bulk<true>, g });
    to.push_back({ "mapa.shared::cluster.u32", "w:ww", map_address, Class::Integer });
    to.push_back({ "mbarrier.arrive.shared::cluster.b64", "_a", arrive_in_cluster, b });
    to.push_back({ "barrier.cluster.arrive.aligned", "", arrive_at_cluster, b, Kind::Together });
    to.push_back({ "barrier.cluster.wait.aligned", "", wait_for_cluster, b, Kind::Wait });
    to.push_back({ "cp.async.bulk.prefetch.L2.global", "aw", prefetch_bulk, g });
    to.push_back({ "wgmma.fence.sync.aligned", "", fence_products, b, Kind::Together });
    to.push_back({ "wgmma.commit_group.sync.aligned", "", commit_products, b, Kind::Together });
    to.push_back({ "wgmma.wait_group.sync.aligned", "i", wait_products, b, Kind::Together });
    products_of<8>(to), products_of<16>(to), products_of<32>(to), products_of<48>(to), products_of<64>(to), products_of<96>(to);
    products_of<128>(to), products_of<160>(to), products_of<192>(to), products_of<256>(to);
}

} // namespace ptx
