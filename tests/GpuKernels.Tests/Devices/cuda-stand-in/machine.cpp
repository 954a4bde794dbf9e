// Warps take turns, each until it waits. The lanes of a warp that are furthest behind are run, until they come to where others are: so they meet again where
// their ways do (PTX ISA, "Independent Thread Scheduling", promises no more than that each goes on).
#include "check.h"

#include <algorithm>
#include <thread>

namespace ptx {

std::string Warp::where(const Op &op) const
{
    return group->kernel->name + ", line " + std::to_string(op.line) + " (" + forms()[op.form].name + "), group " + std::to_string(group->id[0]) + "," + std::to_string(group->id[1]) + ", warp " + std::to_string(index);
}

void Warp::fault(const Op &op, int code, const std::string &what) const { throw Fault(code, where(op) + ": " + what); }

Group::Group(Launch &launch, const Allocations &allocations, OpCount *counts, Check *check)
    : launch(&launch), kernel(launch.kernel), allocations(&allocations), counts(counts), check(check)
{
    warpCount = launch.warps();
    sharedBytes = kernel->dynamicShared + launch.shared;
    _shared.resize(sharedBytes + 1024);
    shared = (uint8_t *)(((uintptr_t)_shared.data() + 1023) / 1024 * 1024);
    uint32_t each = (kernel->registerBytes + 63) / 64 * 64;
    _registers.resize((size_t)each * warpCount + 64);
    uint8_t *registers = (uint8_t *)(((uintptr_t)_registers.data() + 63) / 64 * 64);
    warps.resize(warpCount);
    for (uint32_t i = 0; i < warpCount; i++)
    {
        Warp &w = warps[i];
        w.group = this;
        w.index = (int)i;
        w.registers = registers + (size_t)each * i;
        for (const Constant &c : kernel->constants)
        {
            if (c.width == Width::Predicate) *w.at<uint32_t>(c.at) = (uint32_t)c.bits;
            else
            {
                for (int lane = 0; lane < LANES; lane++)
                {
                    if (c.width == Width::Half) w.at<uint16_t>(c.at)[lane] = (uint16_t)c.bits;
                    else if (c.width == Width::Word) w.at<uint32_t>(c.at)[lane] = (uint32_t)c.bits;
                    else w.at<uint64_t>(c.at)[lane] = c.bits;
                }
            }
        }
    }
}

void Group::begin(uint32_t x, uint32_t y, uint32_t z)
{
    id[0] = x, id[1] = y, id[2] = z;
    number = (z * launch->grid[1] + y) * launch->grid[0] + x;
    mbarriers.clear();
    clusterArrived = 0, clusterPhase = 0;
    for (NamedBarrier &b : barriers) b = {};
    late = check != nullptr;
    // Shared memory begins with whatever was there: here with what stands out.
    std::memset(shared, 0xCD, sharedBytes);
    const uint32_t *n = launch->block, threads = n[0] * n[1] * n[2];
    for (Warp &w : warps)
    {
        uint32_t first = (uint32_t)w.index * LANES, lanes = std::min(threads - first, (uint32_t)LANES);
        w.active = w.living = lanes == LANES ? ~0u : (1u << lanes) - 1;
        w.pc = 0;
        w.retry = w.done = false;
        w.barrier = -1;
        w.ahead.clear(), w.parked.clear(), w.copies.clear(), w.copyGroups.clear();
        for (const SpecialPlace &special : kernel->specials)
        {
            for (uint32_t lane = 0; lane < LANES; lane++)
            {
                uint32_t t = first + lane;
                uint32_t values[] = { t % n[0], t / n[0] % n[1], t / n[0] / n[1], n[0], n[1], n[2], x, y, z, launch->grid[0], launch->grid[1], launch->grid[2], lane, (uint32_t)w.index, rank };
                w.at<uint32_t>(special.at)[lane] = values[(int)special.what];
            }
        }
    }
}

bool Group::done() const
{
    return std::all_of(warps.begin(), warps.end(), [](const Warp &w) { return w.done; });
}

uint32_t Group::turns()
{
    for (Warp &w : warps)
    {
        if (!w.done && w.barrier < 0) counts ? turn<true>(w) : turn<false>(w);
    }
    uint32_t left = 0;
    for (Warp &w : warps) left += !w.done;
    return left;
}

std::string Group::stuck()
{
    std::string text = kernel->name + ", group " + std::to_string(id[0]) + "," + std::to_string(id[1]) + ": nobody can go on:";
    for (Warp &w : warps)
    {
        if (w.done) continue;
        uint32_t line = kernel->ops[(size_t)w.pc].line;
        text += " warp " + std::to_string(w.index) + (w.barrier >= 0 ? " at barrier " + std::to_string(w.barrier) + " before line " : " at line ") + std::to_string(line) + ";";
    }
    return text;
}

void Group::lanes_stuck(const Warp &w) const
{
    std::string text;
    for (const Lanes &lanes : w.parked) text += " lanes " + std::to_string(lanes.mask) + " at line " + std::to_string(kernel->ops[(size_t)lanes.pc].line) + ";";
    throw Fault(LAUNCH_FAILED, kernel->name + ", group " + std::to_string(id[0]) + "," + std::to_string(id[1]) + ", warp " + std::to_string(w.index) + ": lanes wait for each other:" + text);
}

/// The lanes furthest behind are taken, with all that are where they are. False if there are none.
bool Group::pick(Warp &w)
{
    w.active = 0;
    if (w.ahead.empty())
    {
        // Lanes that waited for others may be complete, since some have returned.
        for (size_t i = 0; i < w.parked.size(); i++)
        {
            if (w.parked[i].waits || w.parked[i].mask != w.living) continue;
            w.active = w.parked[i].mask, w.pc = w.parked[i].pc;
            w.parked.erase(w.parked.begin() + (long)i);
            return true;
        }
        return false;
    }
    w.pc = std::min_element(w.ahead.begin(), w.ahead.end(), [&](const Lanes &a, const Lanes &b) { return kernel->ops[(size_t)a.pc].order < kernel->ops[(size_t)b.pc].order; })->pc;
    advance(w);
    return true;
}

/// Those ahead that are here join; the ones furthest behind are run.
void Group::advance(Warp &w)
{
    for (size_t i = 0; i < w.ahead.size();)
    {
        Lanes &other = w.ahead[i];
        if (other.pc == w.pc)
        {
            w.active |= other.mask;
            other = w.ahead.back();
            w.ahead.pop_back();
            continue;
        }
        if (kernel->ops[(size_t)other.pc].order < kernel->ops[(size_t)w.pc].order && w.active)
        {
            std::swap(other.pc, w.pc);
            std::swap(other.mask, w.active);
            i = 0;
            continue;
        }
        i++;
    }
}

/// Lanes that were put aside because they wait for something try again. False if there are none.
bool Group::try_again(Warp &w)
{
    size_t before = w.ahead.size();
    for (size_t i = 0; i < w.parked.size();)
    {
        if (!w.parked[i].waits) { i++; continue; }
        w.ahead.push_back(w.parked[i]);
        w.parked.erase(w.parked.begin() + (long)i);
    }
    return w.ahead.size() > before;
}

/// For an instruction of the whole warp: true if all living lanes are here, else the others are run first.
bool Group::gather(Warp &w)
{
    if (w.active == w.living) return true;
    for (size_t i = 0; i < w.parked.size(); i++)
    {
        if (w.parked[i].pc != w.pc || w.parked[i].waits) continue;
        w.active |= w.parked[i].mask;
        w.parked.erase(w.parked.begin() + (long)i);
        if (w.active == w.living) return true;
        break;
    }
    w.parked.push_back({ w.pc, w.active, false });
    if (pick(w)) return false;
    // Those that only try again are let do so in the warp's next turn.
    if (!try_again(w)) lanes_stuck(w);
    pick(w);
    w.retry = true;
    return false;
}

template <bool Counting> void Group::turn(Warp &w)
{
    constexpr uint64_t most = 1ull << 36;
    const Op *code = kernel->ops.data();
    for (;;)
    {
        const Op &op = code[w.pc];
        if (++steps > most) w.fault(op, LAUNCH_FAILED, "the group does not come to an end");
        uint32_t mask = w.active;
        if (op.guard != NONE)
        {
            uint32_t bits = *w.at<uint32_t>(op.guard);
            mask &= op.negated ? ~bits : bits;
        }
        w.mask = mask;
        if (op.kind >= Kind::Together && op.kind != Kind::Wait && !gather(w))
        {
            if (!w.retry) continue;
            w.retry = false;
            return;
        }
        if (op.kind == Kind::Together || op.kind == Kind::Barrier)
        {
            uint32_t bits = op.guard == NONE ? ~0u : *w.at<uint32_t>(op.guard) ^ (op.negated ? ~0u : 0);
            w.mask = mask = w.active & bits;
            if (mask != 0 && mask != w.active) w.fault(op, LAUNCH_FAILED, "an instruction of the whole warp for a part of it");
        }
        if constexpr (Counting)
        {
            OpCount &count = counts[w.pc];
            count.issued++;
            count.lanes += (uint32_t)__builtin_popcount(mask);
        }
        if (check && check->follows_registers()) check->registers(w, op);
        switch (op.kind)
        {
            case Kind::Plain:
            case Kind::Together:
                if (mask) op.run(w, op);
                if (check && op.joins) check->together(w);
                w.pc++;
                break;
            case Kind::Branch:
            {
                uint32_t stay = w.active & ~mask;
                if (mask == 0) w.pc++;
                else if (stay == 0) w.pc = op.target;
                else
                {
                    w.ahead.push_back({ op.target, mask, false });
                    w.active = stay;
                    w.pc++;
                }
                break;
            }
            case Kind::Return:
                w.living &= ~mask;
                w.active &= ~mask;
                w.pc++;
                if (w.living == 0)
                {
                    w.done = true;
                    events++;
                    release_full();
                    return;
                }
                if (w.active == 0 && !pick(w))
                {
                    if (!try_again(w)) lanes_stuck(w);
                    pick(w);
                }
                continue;
            case Kind::Barrier:
                w.pc++;
                if (mask == 0) break;
                arrive(w, op);
                if (w.barrier >= 0) return;
                break;
            case Kind::Wait:
                if (mask) op.run(w, op);
                w.pc++;
                if (w.retry)
                {
                    // Other lanes first: the one that is waited for may be among them.
                    w.retry = false;
                    if (w.ahead.empty())
                    {
                        try_again(w);
                        return;
                    }
                    w.parked.push_back({ w.pc, w.active, true });
                    pick(w);
                    continue;
                }
                break;
        }
        if (!w.ahead.empty()) advance(w);
    }
}

/// PTX ISA, "bar": the count is of threads, all of the group where it is left out.
void Group::arrive(Warp &w, const Op &op)
{
    uint32_t at = w.at<uint32_t>(op.o[0])[__builtin_ctz(w.mask)], count = op.o[1] == NONE ? 0 : w.at<uint32_t>(op.o[1])[__builtin_ctz(w.mask)];
    if (at > 15 || count % LANES) w.fault(op, LAUNCH_FAILED, "barrier " + std::to_string(at) + " for " + std::to_string(count) + " threads");
    NamedBarrier &b = barriers[at];
    if (b.arrived && b.count != count) w.fault(op, LAUNCH_FAILED, "barrier " + std::to_string(at) + " for different counts of threads");
    b.count = count;
    b.op = &op;
    b.arrived |= 1u << w.index;
    w.barrier = (int)at;
    events++;
    release_full();
}

void Group::release_full()
{
    uint32_t all = 0;
    for (Warp &w : warps) if (!w.done) all |= 1u << w.index;
    for (int i = 0; i < 16; i++)
    {
        NamedBarrier &b = barriers[i];
        if (b.arrived == 0 || (b.count == 0 ? b.arrived != all : (uint32_t)__builtin_popcount(b.arrived) * LANES < b.count)) continue;
        for (Warp &w : warps) if (b.arrived >> w.index & 1) w.barrier = -1;
        barriersDone++;
        if (check) check->barrier(rank, b.arrived);
        b = {};
    }
}

Mbarrier &Group::mbarrier(Warp &w, const Op &op, uint32_t at)
{
    for (Mbarrier &m : mbarriers) if (m.at == at) return m;
    w.fault(op, LAUNCH_FAILED, "no mbarrier was begun at shared address " + std::to_string(at));
}

bool Group::complete(Mbarrier &m)
{
    if (m.pending != 0 || m.bytes != 0) return false;
    m.pending = m.expected;
    m.phase++;
    events++;
    if (check) check->phase_over(m);
    return true;
}

void Group::copy(const Copy &c) const
{
    std::memcpy(shared + c.to, (const void *)c.from, c.bytes);
    std::memset(shared + c.to + c.bytes, 0, c.filled - c.bytes);
}

void access_unchecked(Warp &w, const Op &op, Space space, const uint64_t *addresses, uint32_t bytes)
{
    uint64_t least = UINT64_MAX, most = 0, all = 0;
    for (int i = 0; i < LANES; i++)
    {
        bool done = w.mask >> i & 1;
        least = std::min(least, done ? addresses[i] : UINT64_MAX);
        most = std::max(most, done ? addresses[i] : (uint64_t)0);
        all |= done ? addresses[i] : 0;
    }
    Group &g = *w.group;
    auto refuse = [&](int code, const char *what, uint64_t address) {
        char text[128];
        std::snprintf(text, sizeof text, "%s: %u bytes at %s address 0x%llx", what, bytes, space == Space::Shared ? "shared" : "global", (unsigned long long)address);
        w.fault(op, code, text);
    };
    if (bytes <= 16 && all & (bytes - 1))
        each_lane(w.mask, [&](int lane) { if (addresses[lane] & (bytes - 1)) refuse(MISALIGNED, "not aligned", addresses[lane]); });
    if (space == Space::Shared)
    {
        if (most + bytes > g.sharedBytes || most + bytes < most) refuse(ILLEGAL_ADDRESS, "beyond the group's shared memory", most);
        if (g.counts && bytes <= 16) count_shared(count_of(w, op), addresses, w.mask, bytes);
    }
    else
    {
        if (!g.allocations->holds(least, most - least + bytes))
            each_lane(w.mask, [&](int lane) { if (!g.allocations->holds(addresses[lane], bytes)) refuse(ILLEGAL_ADDRESS, "in no allocation", addresses[lane]); });
        if (g.counts) count_global(count_of(w, op), addresses, w.mask, bytes);
    }
}

void access_checked(Warp &w, const Op &op, Space space, Access kind, const uint64_t *addresses, uint32_t bytes, uint32_t idle)
{
    // A bulk copy is told to the checker with its mbarrier.
    if (kind != Access::Bulk) w.group->check->access(w, op, space, kind, addresses, bytes, idle);
}

void Allocations::add(uint64_t at, uint64_t bytes) { _ranges.insert(std::lower_bound(_ranges.begin(), _ranges.end(), std::pair(at, (uint64_t)0)), { at, bytes }); }

void Allocations::remove(uint64_t at)
{
    auto found = std::lower_bound(_ranges.begin(), _ranges.end(), std::pair(at, (uint64_t)0));
    if (found != _ranges.end() && found->first == at) _ranges.erase(found);
}

bool Allocations::range(uint64_t at, uint64_t &from, uint64_t &bytes) const
{
    auto after = std::upper_bound(_ranges.begin(), _ranges.end(), std::pair(at, (uint64_t)UINT64_MAX));
    if (after == _ranges.begin()) return false;
    from = (after - 1)->first, bytes = (after - 1)->second;
    return at - from < bytes;
}

bool Allocations::holds(uint64_t at, uint64_t bytes) const
{
    uint64_t from, all;
    return range(at, from, all) && bytes <= all - (at - from);
}

/// The groups of a cluster at the same time, from the one at x on.
static void run(const std::vector<Group *> &cluster, uint32_t x, uint32_t y, uint32_t z)
{
    Check *check = cluster[0]->check;
    if (check) check->begin();
    for (Group *group : cluster) group->begin(x + group->rank, y, z);
    for (uint32_t left = 1; left > 0;)
    {
        uint64_t before = 0, after = 0;
        for (Group *group : cluster) before += group->events;
        left = 0;
        for (Group *group : cluster) left += group->turns();
        for (Group *group : cluster) after += group->events;
        if (left == 0 || after != before) continue;
        std::string text;
        for (Group *group : cluster) text += group->stuck();
        throw Fault(LAUNCH_FAILED, text);
    }
    if (check) for (Group *group : cluster) check->end(*group);
}

void execute(Launch &launch, const Allocations &allocations)
{
    uint64_t groups = (uint64_t)launch.grid[0] * launch.grid[1] * launch.grid[2];
    std::atomic<uint64_t> next = 0;
    std::atomic<bool> failed = false;
    std::string text;
    int code = 0;
    KernelCount *count = options().count ? &counts_of(*launch.kernel) : nullptr;
    uint32_t size = launch.kernel->cluster;
    if (launch.grid[0] % size) throw Fault(INVALID_CLUSTER_SIZE, launch.kernel->name + ": the launch has " + std::to_string(launch.grid[0]) + " groups along x, which is not a multiple of its clusters' " + std::to_string(size));
    auto work = [&] {
        std::unique_ptr<Check> check;
        if (options().check) check = std::make_unique<Check>(launch, allocations, size);
        std::vector<std::unique_ptr<Group>> made;
        std::vector<Group *> cluster;
        for (uint32_t rank = 0; rank < size; rank++)
        {
            made.push_back(std::make_unique<Group>(launch, allocations, count ? count->ops.data() : nullptr, check.get()));
            cluster.push_back(made.back().get());
        }
        for (Group *group : cluster) group->cluster = cluster, group->rank = (uint32_t)(std::find(cluster.begin(), cluster.end(), group) - cluster.begin());
        try
        {
            for (uint64_t i; !failed && (i = next.fetch_add(size)) < groups;) run(cluster, (uint32_t)(i % launch.grid[0]), (uint32_t)(i / launch.grid[0] % launch.grid[1]), (uint32_t)(i / launch.grid[0] / launch.grid[1]));
        }
        catch (const Fault &fault)
        {
            if (!failed.exchange(true)) text = fault.what(), code = fault.code;
        }
        for (Group *group : cluster) if (count) count->barriers += group->barriersDone;
    };
    // What counts and what checks keeps its account for one thread.
    if (options().threads > 1 && groups > 1 && !options().count && !options().check)
    {
        std::thread other(work);
        work();
        other.join();
    }
    else work();
    if (count) count->launches++, count->groups += groups;
    if (failed) throw Fault(code, text);
}

Options::Options()
{
    auto number = [](const char *name, long otherwise) {
        const char *value = std::getenv(name);
        return value && *value ? std::atol(value) : otherwise;
    };
    count = number("STANDIN_COUNT", 0) > 0;
    lines = number("STANDIN_COUNT", 0) > 1;
    check = number("STANDIN_CHECK", 0) > 0;
    capability = (int)number("STANDIN_CAPABILITY", 90);
    threads = (int)number("STANDIN_THREADS", 2);
    failAfter = number("STANDIN_FAIL_AFTER", -1);
    if (const char *left = std::getenv("STANDIN_WITHOUT")) without = left;
}

Options &options()
{
    static Options read;
    return read;
}

} // namespace ptx
