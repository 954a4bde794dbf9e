// What runs: a group of warps with its shared memory, one group after the other.
#pragma once

#include "ptx.h"

#include <atomic>
#include <cstring>
#include <memory>

namespace ptx {

struct Group;
class Check;

/// The numbers are cuda.h's.
enum Code { INVALID_CLUSTER_SIZE = 912, ILLEGAL_ADDRESS = 700, MISALIGNED = 716, LAUNCH_FAILED = 719 };

/// What ends a launch.
struct Fault : std::runtime_error
{
    Fault(int code, const std::string &what) : runtime_error(what), code(code) {}
    int code;
};

enum class Space { Global, Shared };
enum class Access { Read, Write, Atomic, Copy, Bulk };

/// Lanes of a warp that are at one place.
struct Lanes { int32_t pc; uint32_t mask; bool waits; };

struct Copy { uint32_t to; uint64_t from; uint32_t bytes, filled; const Op *op; int lane; };

struct Warp
{
    Group *group = nullptr;
    int index = 0;
    uint8_t *registers = nullptr;
    /// The lanes that are run now, those of them that the instruction is done for, those that have not returned.
    uint32_t active = 0, mask = 0, living = 0;
    int32_t pc = 0;
    bool retry = false, done = false;
    /// What the cluster's barrier was at when it arrived there.
    uint64_t clusterPhase = 0;
    /// The number of the barrier it waits at, or -1.
    int barrier = -1;
    /// Further on than `pc`, none of them at it; and those that wait for the others.
    std::vector<Lanes> ahead, parked;
    /// Copies to shared memory that no commit, and that no wait has followed (PTX ISA, "cp.async.commit_group").
    std::vector<Copy> copies;
    std::vector<std::vector<Copy>> copyGroups;

    template <class T> T *at(uint32_t place) const { return (T *)(registers + place); }

    /// Addresses in 32 or 64 bits; those of lanes that the instruction is not done for are whatever stands there.
    void addresses(uint32_t place, bool wide, int64_t offset, uint64_t *to) const
    {
        if (wide) for (int i = 0; i < LANES; i++) to[i] = at<uint64_t>(place)[i] + (uint64_t)offset;
        else for (int i = 0; i < LANES; i++) to[i] = at<uint32_t>(place)[i] + (uint32_t)offset;
    }

    std::string where(const Op &op) const;
    [[noreturn]] void fault(const Op &op, int code, const std::string &what) const;
};

/// Writes a result for the lanes that the instruction is done for; operands are read before.
template <class D, class F> inline void put(Warp &w, uint32_t to, F f)
{
    D made[LANES];
    D *d = w.at<D>(to);
    for (int i = 0; i < LANES; i++) made[i] = f(i);
    if (w.mask == ~0u) std::memcpy(d, made, sizeof made);
    else for (int i = 0; i < LANES; i++) d[i] = w.mask >> i & 1 ? made[i] : d[i];
}

/// The same for a predicate: a bit a lane.
inline void put_bits(Warp &w, uint32_t to, uint32_t bits)
{
    uint32_t *d = w.at<uint32_t>(to);
    *d = (*d & ~w.mask) | (bits & w.mask);
}

template <class F> inline void put_predicate(Warp &w, uint32_t to, F f)
{
    uint8_t made[LANES];
    for (int i = 0; i < LANES; i++) made[i] = f(i);
    uint32_t bits = 0;
    for (int i = 0; i < LANES; i += 8)
    {
        uint64_t eight;
        std::memcpy(&eight, made + i, 8);
        // Byte j, 0 or 1, comes to bit 56 + j.
        bits |= (uint32_t)(eight * 0x0102040810204080ull >> 56) << i;
    }
    put_bits(w, to, bits);
}

template <class F> inline void each_lane(uint32_t mask, F f)
{
    for (; mask; mask &= mask - 1) f(__builtin_ctz(mask));
}

/// PTX ISA, "mbarrier": its phase, and what the phase still waits for.
struct Mbarrier
{
    uint32_t at, expected, pending;
    uint64_t phase;
    int64_t bytes;
    std::vector<Copy> copies;
    /// Its number in the group, and its group's in the cluster.
    uint32_t number, rank;
};

struct NamedBarrier { uint32_t arrived = 0, count = 0; const Op *op = nullptr; };

struct Launch
{
    const Kernel *kernel;
    uint32_t grid[3], block[3], shared;
    std::vector<uint8_t> parameters;

    uint32_t warps() const { return (block[0] * block[1] * block[2] + LANES - 1) / LANES; }
};

/// Live allocations, to which every access is held.
class Allocations
{
public:
    void add(uint64_t at, uint64_t bytes);
    void remove(uint64_t at);
    /// The allocation that has all of these bytes, or none.
    bool holds(uint64_t from, uint64_t bytes) const;
    bool range(uint64_t at, uint64_t &from, uint64_t &bytes) const;

private:
    std::vector<std::pair<uint64_t, uint64_t>> _ranges;
};

struct OpCount
{
    uint64_t issued = 0, lanes = 0, wavefronts = 0, idealWavefronts = 0, sectors = 0, idealSectors = 0;
};

/// What a kernel did in all its launches.
struct KernelCount
{
    const Kernel *kernel;
    uint64_t launches, groups, barriers;
    std::vector<OpCount> ops;

    uint64_t of(Class counted) const;
    OpCount all() const;
};

std::vector<KernelCount> &counts();
KernelCount &counts_of(const Kernel &kernel);

/// How kernels are run: by the environment.
struct Options
{
    bool count = false, lines = false, check = false;
    int capability = 80, threads = 1;
    long failAfter = -1;
    /// A kernel and a line of its PTX, which is left out.
    std::string without;
    Options();
};
Options &options();

struct Group
{
    Launch *launch = nullptr;
    const Kernel *kernel = nullptr;
    const Allocations *allocations = nullptr;
    uint32_t id[3] = { 0, 0, 0 };
    uint32_t number = 0;
    uint32_t sharedBytes = 0, warpCount = 0;
    uint8_t *shared = nullptr;
    std::vector<Warp> warps;
    std::vector<Mbarrier> mbarriers;
    NamedBarrier barriers[16];
    /// Counts what may let another warp go on.
    uint64_t events = 0;
    uint64_t steps = 0, barriersDone = 0;
    OpCount *counts = nullptr;
    Check *check = nullptr;
    bool late = false;

    Group(Launch &launch, const Allocations &allocations, OpCount *counts, Check *check);
    /// What the first of a cluster's groups has: warps that arrived at the cluster's barrier, and how often it was full.
    uint32_t clusterArrived = 0;
    uint64_t clusterPhase = 0;
    std::vector<Group *> cluster { this };
    uint32_t rank = 0;

    void begin(uint32_t x, uint32_t y, uint32_t z);
    /// Each warp's turn; how many are not done.
    uint32_t turns();
    bool done() const;
    std::string stuck();
    Mbarrier &mbarrier(Warp &w, const Op &op, uint32_t at);
    /// Ends the phase if nothing is waited for; true if it did.
    bool complete(Mbarrier &m);
    void copy(const Copy &c) const;

private:
    template <bool Counting> void turn(Warp &w);
    void arrive(Warp &w, const Op &op);
    void release_full();
    bool gather(Warp &w);
    void advance(Warp &w);
    bool pick(Warp &w);
    bool try_again(Warp &w);
    [[noreturn]] void lanes_stuck(const Warp &w) const;
    std::vector<uint8_t> _registers, _shared;
};

/// Before an access: bounds, alignment, counting.
void access_unchecked(Warp &w, const Op &op, Space space, const uint64_t *addresses, uint32_t bytes);
void access_checked(Warp &w, const Op &op, Space space, Access kind, const uint64_t *addresses, uint32_t bytes, uint32_t idle);

/// The same, and what the checker looks for. same(lane): whether what a lane writes is there already.
template <class Same> inline void access(Warp &w, const Op &op, Space space, Access kind, const uint64_t *addresses, uint32_t bytes, Same same)
{
    access_unchecked(w, op, space, addresses, bytes);
    if (!w.group->check) return;
    uint32_t idle = 0;
    if (kind == Access::Write) each_lane(w.mask, [&](int lane) { idle |= (uint32_t)same(lane) << lane; });
    access_checked(w, op, space, kind, addresses, bytes, idle);
}

inline void access(Warp &w, const Op &op, Space space, Access kind, const uint64_t *addresses, uint32_t bytes)
{
    access(w, op, space, kind, addresses, bytes, [](int) { return false; });
}

/// Extra wavefronts of an access to shared memory, by units of lanes that go at once.
void count_shared(OpCount &count, const uint64_t *addresses, uint32_t mask, uint32_t bytes);
void count_global(OpCount &count, const uint64_t *addresses, uint32_t mask, uint32_t bytes);
inline OpCount &count_of(Warp &w, const Op &op) { return w.group->counts[&op - w.group->kernel->ops.data()]; }

/// Runs all groups; a Fault ends it.
void execute(Launch &launch, const Allocations &allocations);
void report_counts();

} // namespace ptx
