#include "check.h"

#include <algorithm>
#include <cstdio>

namespace ptx {

namespace {

bool is_group_product(const Op &op) { return op.counted == Class::Product && forms()[op.form].name[0] == 'w'; }

void join(Clock &to, const Clock &from)
{
    for (size_t i = 0; i < to.size(); i++) to[i] = std::max(to[i], from[i]);
}

std::string hexadecimal(uint64_t x)
{
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", (unsigned long long)x);
    return text;
}

} // namespace

std::vector<Finding> &findings()
{
    static auto *all = new std::vector<Finding>;
    return *all;
}

Check::Check(const Launch &launch, const Allocations &allocations, uint32_t groups)
    : _kernel(*launch.kernel), _allocations(allocations), _groupWarps(launch.warps()), _warps(groups * _groupWarps), _agents(3 * _warps + groups * MOST_MBARRIERS),
      _unit(_kernel.narrowShared ? 1 : 4), _groupCells((_kernel.dynamicShared + launch.shared) / _unit + 1), _uses(3 * _warps), _cells((size_t)groups * _groupCells),
      _used(_cells.size() * _uses), _states(_warps), _agentClocks(_agents)
{
    _products = std::any_of(_kernel.ops.begin(), _kernel.ops.end(), is_group_product);
}

void Check::begin()
{
    _generation++;
    _transfers.clear();
    _cluster = {};
    for (Clock *clock : { &_cluster.pending, &_cluster.over, &_cluster.pendingFenced, &_cluster.overFenced }) clock->assign(_agents, 0);
    std::fill(_agentClocks.begin(), _agentClocks.end(), 0);
    // What no wait has been for is at no time that anybody knows.
    for (uint32_t i = 0; i < _warps; i++)
    {
        _agentClocks[products_of(i)] = 1;
        _states[i] = {};
        _states[i].clock.assign(_agents, 0);
        _states[i].fenced.assign(_agents, 0);
        _states[i].some.assign(_agents, 0);
        _states[i].clock[i] = 1;
        if (_products) _states[i].usable.assign(_kernel.registers, 1);
    }
}

void Check::end(Group &group)
{
    for (Mbarrier &m : group.mbarriers)
    {
        if (m.copies.empty()) continue;
        const Copy &copy = m.copies.front();
        find("unfinished", group.warps[0], *copy.op, (uint32_t)(copy.op - _kernel.ops.data()), copy.to, "the group ends and nobody has waited for this copy");
    }
}

Check::Cell &Check::cell(uint32_t number)
{
    Cell &c = _cells[number];
    if (c.generation != _generation)
    {
        c = {};
        c.generation = _generation;
        std::fill_n(_used.begin() + (long)((size_t)number * _uses), _uses, Use {});
    }
    return c;
}

/// Whether what the agent did at that time is before what these lanes do now.
bool Check::ordered(const Warp &w, uint32_t lanes, uint32_t agent, uint32_t clock) const
{
    const WarpState &s = _states[self_of(w)];
    return s.clock[agent] >= clock || (s.some[agent] >= clock && (lanes & ~s.someLanes) == 0);
}

std::string Check::agent_name(uint32_t agent) const
{
    if (agent >= 3 * _warps) return "a bulk copy";
    uint32_t warp = agent % _warps;
    std::string name = agent < _warps ? "" : agent < 2 * _warps ? "a product of " : "an asynchronous copy of ";
    if (_warps > _groupWarps) name += "group " + std::to_string(warp / _groupWarps) + "'s ";
    return name + "warp " + std::to_string(warp % _groupWarps);
}

void Check::find(const char *kind, Warp &w, const Op &op, uint32_t other, uint64_t address, const std::string &what)
{
    uint32_t otherLine = _kernel.ops[other].line;
    for (const Finding &f : findings()) if (f.kind == kind && f.kernel == _kernel.name && f.line == op.line && f.otherLine == otherLine) return;
    Finding found { kind, _kernel.name, w.where(op) + ", address " + hexadecimal(address) + ": " + what + ", line " + std::to_string(otherLine) + " (" + forms()[_kernel.ops[other].form].name + ")", op.line, otherLine };
    std::fprintf(stderr, "stand-in: finding: %s: %s\n", kind, found.text.c_str());
    findings().push_back(std::move(found));
}

/// Against a use of the place: by another warp, which must be ordered before, or by lanes of this one, after which the warp must have come together.
void Check::against(Warp &w, const Op &op, uint32_t number, uint32_t lanes, uint32_t which, const char *does, const char *did)
{
    const Use &u = use(number, which);
    if (u.clock == 0) return;
    uint32_t agent = which < 2 * _warps ? which : which - 2 * _warps;
    uint64_t address = address_of(number);
    if (agent != self_of(w))
    {
        if (!ordered(w, lanes, agent, u.clock)) find("race", w, op, u.op, address, std::string(does) + " what " + agent_name(agent) + " " + did);
    }
    else if (u.sync == _states[agent].sync && (u.lanes | lanes) != lanes) find("lanes", w, op, u.op, address, std::string(does) + " in one lane what another " + did);
}

void Check::read(Warp &w, const Op &op, uint32_t number, uint32_t lanes, uint32_t agent)
{
    Cell &c = cell(number);
    WarpState &s = state(w);
    uint32_t self = self_of(w), here = (uint32_t)(&op - _kernel.ops.data());
    bool product = agent != self;
    if (!c.written) find("not written", w, op, here, address_of(number), "nothing in the group has written what is read");
    else if (c.plain && c.agent == self)
    {
        if (!product && c.sync == s.sync && (c.lanes | lanes) != lanes) find("lanes", w, op, c.op, address_of(number), "reads in one lane what another wrote");
    }
    else if (c.plain && !ordered(w, lanes, c.agent, c.clock)) find("race", w, op, c.op, address_of(number), "reads what " + agent_name(c.agent) + " writes");
    else if (c.plain && c.agent == copies_of(self) && !product && c.clock > s.copyWaitFrom && s.copyWaitSync == s.sync && (c.lanes | lanes) != lanes)
        find("lanes", w, op, c.op, address_of(number), "reads in one lane what another's copy wrote");
    if (c.plain && product && c.generic && s.fenced[c.agent] < c.clock) find("proxy", w, op, c.op, address_of(number), "a product reads what no fence.proxy.async has followed, written by " + agent_name(c.agent));
    if (c.atomic) for (uint32_t i = 0; i < _warps; i++) against(w, op, number, lanes, 2 * _warps + i, "reads", "changes by an atomic");

    Use &u = use(number, product ? products_of(self) : self);
    uint32_t clock = product ? _agentClocks[agent] : s.clock[self];
    u = { clock, here, u.clock == clock && u.sync == s.sync ? u.lanes | lanes : lanes, s.sync };
}

void Check::write(Warp &w, const Op &op, uint32_t number, uint32_t lanes, uint32_t agent, Access kind)
{
    Cell &c = cell(number);
    WarpState &s = state(w);
    uint32_t self = self_of(w), here = (uint32_t)(&op - _kernel.ops.data());
    uint64_t address = address_of(number);
    bool atomic = kind == Access::Atomic;
    if (c.plain)
    {
        if (c.agent == self)
        {
            if (c.sync == s.sync && c.call != _call && (c.lanes | lanes) != lanes) find("lanes", w, op, c.op, address, "writes in one lane what another wrote");
        }
        else if (!ordered(w, lanes, c.agent, c.clock)) find("race", w, op, c.op, address, "writes what " + agent_name(c.agent) + " writes");
        if (agent >= 3 * _warps && c.generic && s.fenced[c.agent] < c.clock) find("proxy", w, op, c.op, address, "a bulk copy overwrites what no fence.proxy.async has followed, written by " + agent_name(c.agent));
    }
    for (uint32_t i = 0; i < 2 * _warps; i++) against(w, op, number, lanes, i, "writes", "reads");
    c.written = true;
    if (atomic)
    {
        Use &u = use(number, 2 * _warps + self);
        u = { s.clock[self], here, u.clock == s.clock[self] && u.sync == s.sync ? u.lanes | lanes : lanes, s.sync };
        c.atomic = true;
        return;
    }
    if (c.atomic) for (uint32_t i = 0; i < _warps; i++) against(w, op, number, lanes, 2 * _warps + i, "writes", "changes by an atomic");
    // Whoever is ordered after this write is so after what this is ordered after.
    for (uint32_t i = 0; i < _uses; i++) use(number, i) = {};
    bool same = c.plain && c.call == _call && c.agent == agent;
    c.clock = agent == self ? s.clock[self] : _agentClocks[agent];
    c.op = here;
    c.lanes = same ? c.lanes | lanes : lanes;
    c.sync = s.sync;
    c.call = _call;
    c.agent = (uint16_t)agent;
    c.plain = true;
    c.atomic = false;
    c.generic = agent < 3 * _warps;
}

void Check::access(Warp &w, const Op &op, Space space, Access kind, const uint64_t *addresses, uint32_t bytes, uint32_t idle)
{
    if (space == Space::Global) return global(w, op, kind, addresses, bytes, idle);
    _call++;
    uint32_t agent = self_of(w), first = first_of(w.group->rank);
    if (kind == Access::Copy)
    {
        agent = copies_of(agent);
        _agentClocks[agent]++;
    }
    each_lane(w.mask, [&](int lane) {
        for (uint32_t number = first + (uint32_t)addresses[lane] / _unit; number <= first + (uint32_t)(addresses[lane] + bytes - 1) / _unit; number++)
        {
            if (kind == Access::Read) read(w, op, number, 1u << lane, agent);
            else write(w, op, number, 1u << lane, agent, kind);
        }
    });
}

// PTX ISA, "wgmma.mma_async" and "wgmma.fence": the registers of a product are not to be touched until it was waited for, except by further products that add to
// them, and what other instructions wrote there must be followed by a fence.
void Check::registers(Warp &w, const Op &op)
{
    WarpState &s = state(w);
    uint32_t here = (uint32_t)(&op - _kernel.ops.data());
    const Uses &uses = _kernel.uses[here];
    if (is_group_product(op))
    {
        for (uint32_t r : uses.listed) if (s.usable[r] > s.fences) find("fence", w, op, here, 0, "a product uses a register that no wgmma.fence has followed");
        for (uint32_t r : uses.writes) s.busy[r] = { _agentClocks[products_of(self_of(w))], here }, s.usable[r] = 0;
        return;
    }
    auto busy = [&](uint32_t r) {
        auto found = s.busy.find(r);
        return found == s.busy.end() ? nullptr : &found->second;
    };
    if (op.counted == Class::Move && uses.reads.size() == 1 && uses.writes.size() == 1)
    {
        // The value is the same one under another name.
        if (auto *of = busy(uses.reads[0])) s.busy[uses.writes[0]] = *of;
        else s.busy.erase(uses.writes[0]);
        s.usable[uses.writes[0]] = s.usable[uses.reads[0]];
        return;
    }
    if (!s.busy.empty())
    {
        for (uint32_t r : uses.reads) if (auto *of = busy(r)) find("sums", w, op, of->second, 0, "reads a register that a product adds to");
        for (uint32_t r : uses.writes) if (auto *of = busy(r)) find("sums", w, op, of->second, 0, "writes a register that a product adds to");
    }
    for (uint32_t r : uses.writes) s.usable[r] = s.fences + 1;
}

void Check::product_reads(Warp &w, const Op &op, uint32_t address, uint32_t bytes)
{
    uint32_t agent = products_of(self_of(w)), first = first_of(w.group->rank);
    for (uint32_t number = first + address / _unit; number < first + (address + bytes) / _unit; number++) read(w, op, number, ~0u, agent);
}

void Check::bulk_copy(Warp &w, const Op &op, int lane, const Mbarrier &m, uint32_t address, uint32_t bytes)
{
    if (m.number >= MOST_MBARRIERS) w.fault(op, LAUNCH_FAILED, "more mbarriers than the checker follows");
    uint32_t agent = bulk_of(m), first = first_of(m.rank);
    _agentClocks[agent]++;
    _call++;
    for (uint32_t number = first + address / _unit; number < first + (address + bytes) / _unit; number++) write(w, op, number, 1u << lane, agent, Access::Write);
}

void Check::together(Warp &w)
{
    WarpState &s = state(w);
    s.sync++;
    s.clock[self_of(w)]++;
    if (s.someLanes)
    {
        join(s.clock, s.some);
        std::fill(s.some.begin(), s.some.end(), 0);
        s.someLanes = 0;
    }
}

void Check::barrier(uint32_t rank, uint32_t warps)
{
    Clock clock(_agents), fenced(_agents);
    WarpState *states = &_states[rank * _groupWarps];
    for (uint32_t i = 0; i < _groupWarps; i++) if (warps >> i & 1) join(clock, states[i].clock), join(clock, states[i].some), join(fenced, states[i].fenced);
    for (uint32_t i = 0; i < _groupWarps; i++)
    {
        if (!(warps >> i & 1)) continue;
        WarpState &s = states[i];
        s.clock = clock, s.fenced = fenced;
        s.clock[rank * _groupWarps + i]++, s.sync++;
        s.someLanes = 0;
    }
}

void Check::arrive_at_cluster(Warp &w)
{
    together(w);
    Clock clock = state(w).clock;
    clock[self_of(w)]--;
    join(_cluster.pending, clock);
    join(_cluster.pendingFenced, state(w).fenced);
}

void Check::cluster_over()
{
    _cluster.over.swap(_cluster.pending);
    _cluster.overFenced.swap(_cluster.pendingFenced);
    std::fill(_cluster.pending.begin(), _cluster.pending.end(), 0);
    std::fill(_cluster.pendingFenced.begin(), _cluster.pendingFenced.end(), 0);
}

void Check::waited_for_cluster(Warp &w)
{
    join(state(w).clock, _cluster.over);
    join(state(w).fenced, _cluster.overFenced);
}

// A fence of all lanes, or of those that have something to fence.
void Check::proxy_fence(Warp &w)
{
    WarpState &s = state(w);
    join(s.fenced, s.clock);
    if (s.someLanes) join(s.fenced, s.some);
    s.clock[self_of(w)]++;
}

void Check::commit_copies(Warp &w) { state(w).copies.push_back(_agentClocks[copies_of(self_of(w))]); }

void Check::wait_copies(Warp &w, uint32_t left)
{
    WarpState &s = state(w);
    uint32_t &known = s.clock[copies_of(self_of(w))];
    uint32_t before = known;
    while (s.copies.size() > left)
    {
        known = std::max(known, s.copies.front());
        s.copies.erase(s.copies.begin());
    }
    if (known > before) s.copyWaitFrom = before, s.copyWaitSync = s.sync;
}

void Check::commit_products(Warp &w)
{
    uint32_t agent = products_of(self_of(w));
    state(w).products.push_back(_agentClocks[agent]++);
}

void Check::wait_products(Warp &w, uint32_t left)
{
    WarpState &s = state(w);
    uint32_t &known = s.clock[products_of(self_of(w))];
    while (s.products.size() > left)
    {
        known = std::max(known, s.products.front());
        s.products.erase(s.products.begin());
    }
    for (auto i = s.busy.begin(); i != s.busy.end();) i = i->second.first <= known ? s.busy.erase(i) : std::next(i);
}

Check::Transfer &Check::transfer(const Mbarrier &m)
{
    Transfer &t = _transfers[m.rank << 24 | m.at];
    if (t.pending.empty()) t.pending.assign(_agents, 0), t.over = t.pendingFenced = t.overFenced = t.pending;
    return t;
}

void Check::bulk_done(const Mbarrier &m)
{
    Transfer &t = transfer(m);
    t.pending[bulk_of(m)] = _agentClocks[bulk_of(m)];
}

// One lane's arrival tells of what it did, and of what its warp did before its last instruction of the whole warp.
void Check::arrive(Warp &w, int lane, const Mbarrier &m)
{
    WarpState &s = state(w);
    Transfer &t = transfer(m);
    Clock clock = s.clock;
    clock[self_of(w)]--;
    join(t.pending, clock);
    if (s.someLanes >> lane & 1) join(t.pending, s.some);
    join(t.pendingFenced, s.fenced);
}

void Check::phase_over(const Mbarrier &m)
{
    Transfer &t = transfer(m);
    t.over = t.pending, t.overFenced = t.pendingFenced;
    std::fill(t.pending.begin(), t.pending.end(), 0);
    std::fill(t.pendingFenced.begin(), t.pendingFenced.end(), 0);
}

void Check::waited(Warp &w, uint32_t lanes, const Mbarrier &m)
{
    WarpState &s = state(w);
    Transfer &t = transfer(m);
    join(s.fenced, t.overFenced);
    if (lanes == w.living)
    {
        join(s.clock, t.over);
        return;
    }
    // What some lanes know the others know from the next instruction of the whole warp on.
    join(s.some, t.over);
    s.someLanes |= lanes;
}

} // namespace ptx
