// What the checker looks for, beside bounds and alignment, which are always looked at:
//   race          two warps use shared memory, one of them writes, and nothing orders them: no barrier, no mbarrier, no wait for an asynchronous copy or product
//   lanes         the same between lanes of a warp: no instruction of the whole warp (.sync) stands between
//   proxy         asynchronous instructions use what ordinary ones wrote, without fence.proxy.async in between
//   not written   shared memory is read that nothing has written
//   groups        a group writes, not atomically, what another group of the same launch uses; a value that is there already is let pass
//   sums          a product's registers are used before it was waited for; that they are moved to others is let pass, which the card's assembler removes
//   fence         a product uses registers that other instructions wrote, without wgmma.fence in between
//   unfinished    a group ends while copies to its shared memory are under way
// Order is by vector clocks (happens-before, as in FastTrack by Flanagan and Freund, 2009): each warp has a clock, and so have its asynchronous copies, its
// asynchronous products, and the bulk copies of each mbarrier, which are ordered before nobody until they were waited for. Lanes of one instruction that write
// the same place are not looked at, nor global memory between the warps of a group.
#pragma once

#include "machine.h"

#include <map>
#include <memory>

namespace ptx {

/// One for each pair of lines.
struct Finding { std::string kind, kernel, text; uint32_t line, otherLine; };
std::vector<Finding> &findings();
uint32_t next_launch();

using Clock = std::vector<uint32_t>;

class Check
{
public:
    /// For the groups of a cluster, of which there are so many; one alone is a cluster too.
    Check(const Launch &launch, const Allocations &allocations, uint32_t groups);
    void begin();
    void end(Group &group);

    /// idle: lanes that write what is there already.
    void access(Warp &w, const Op &op, Space space, Access kind, const uint64_t *addresses, uint32_t bytes, uint32_t idle);
    /// Before every instruction, in kernels with products of warpgroups.
    bool follows_registers() const { return _products; }
    void registers(Warp &w, const Op &op);
    void product_reads(Warp &w, const Op &op, uint32_t address, uint32_t bytes);

    /// An instruction of the whole warp was done.
    void together(Warp &w);
    void barrier(uint32_t rank, uint32_t warps);
    void arrive_at_cluster(Warp &w);
    void cluster_over();
    void waited_for_cluster(Warp &w);
    void proxy_fence(Warp &w);
    void commit_copies(Warp &w);
    void wait_copies(Warp &w, uint32_t left);
    void product_fence(Warp &w) { state(w).fences++; }
    void commit_products(Warp &w);
    void wait_products(Warp &w, uint32_t left);
    void bulk_copy(Warp &w, const Op &op, int lane, const Mbarrier &m, uint32_t address, uint32_t bytes);
    void bulk_done(const Mbarrier &m);
    void arrive(Warp &w, int lane, const Mbarrier &m);
    void phase_over(const Mbarrier &m);
    void waited(Warp &w, uint32_t lanes, const Mbarrier &m);

private:
    static constexpr uint32_t MOST_MBARRIERS = 32;

    /// What a piece of shared memory was last written by; who has read it and changed it by atomics since is in _used: of each warp its reads, those of its
    /// products, and its atomics.
    struct Cell { uint32_t generation = 0, clock = 0, op = 0, lanes = 0, sync = 0, call = 0; uint16_t agent = 0; bool written = false, plain = false, atomic = false, generic = false; };
    struct Use { uint32_t clock = 0, op = 0, lanes = 0, sync = 0; };

    struct WarpState
    {
        Clock clock, fenced, some;
        uint32_t someLanes = 0, sync = 1, copyWaitSync = 0, copyWaitFrom = 0;
        std::vector<uint32_t> copies, products;
        /// Of registers in use by products: the time of the products, and which instruction's they are.
        std::map<uint32_t, std::pair<uint32_t, uint32_t>> busy;
        /// Fences for products so far; and of each register how many there will have been when products may use it.
        uint32_t fences = 0;
        std::vector<uint32_t> usable;
    };

    struct Transfer { Clock pending, over, pendingFenced, overFenced; };

    // Agents: each warp of the cluster; its products; its copies; the bulk copies of each mbarrier.
    uint32_t self_of(const Warp &w) const { return w.group->rank * _groupWarps + (uint32_t)w.index; }
    uint32_t first_of(uint32_t rank) const { return rank * _groupCells; }
    uint64_t address_of(uint32_t number) const { return (uint64_t)(number % _groupCells) * _unit; }
    WarpState &state(const Warp &w) { return _states[self_of(w)]; }
    uint32_t products_of(uint32_t warp) const { return _warps + warp; }
    uint32_t copies_of(uint32_t warp) const { return 2 * _warps + warp; }
    uint32_t bulk_of(const Mbarrier &m) const { return 3 * _warps + m.rank * MOST_MBARRIERS + m.number; }

    Cell &cell(uint32_t number);
    Use &use(uint32_t number, uint32_t which) { return _used[(size_t)number * _uses + which]; }
    void against(Warp &w, const Op &op, uint32_t number, uint32_t lanes, uint32_t which, const char *does, const char *did);
    bool ordered(const Warp &w, uint32_t lanes, uint32_t agent, uint32_t clock) const;
    void read(Warp &w, const Op &op, uint32_t number, uint32_t lanes, uint32_t agent);
    void write(Warp &w, const Op &op, uint32_t number, uint32_t lanes, uint32_t agent, Access kind);
    void find(const char *kind, Warp &w, const Op &op, uint32_t other, uint64_t address, const std::string &what);
    std::string agent_name(uint32_t agent) const;
    Transfer &transfer(const Mbarrier &m);
    void global(Warp &w, const Op &op, Access kind, const uint64_t *addresses, uint32_t bytes, uint32_t idle);

    const Kernel &_kernel;
    bool _products = false;
    const Allocations &_allocations;
    uint32_t _groupWarps, _warps, _agents, _unit, _groupCells, _uses, _launch = next_launch(), _generation = 0, _call = 0;
    std::vector<Cell> _cells;
    std::vector<Use> _used;
    std::vector<WarpState> _states;
    std::vector<uint32_t> _agentClocks;
    std::map<uint32_t, Transfer> _transfers;
    Transfer _cluster;
};

} // namespace ptx
