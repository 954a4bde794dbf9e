// What each kernel did, for whoever makes it faster: instructions of PTX, which the card's assembler merges, moves and splits, so that they show proportions; conflicts
// of banks and sectors of memory are as on a card, but for its caches.
#include "machine.h"

#include <algorithm>
#include <cstdio>

namespace ptx {

namespace {

const char *const NAMES[] = { "integer", "float", "special", "convert", "move", "sh.load", "sh.store", "gl.load", "gl.store", "ldmatrix", "mma", "shuffle", "branch", "barrier" };
static_assert(std::size(NAMES) == (size_t)Class::Count);

double ratio(uint64_t a, uint64_t b) { return b == 0 ? 0 : (double)a / (double)b; }

void print_lines(const KernelCount &count, const char *what, uint64_t (*excess)(const OpCount &))
{
    constexpr size_t most = 8;
    std::vector<size_t> order;
    for (size_t i = 0; i < count.ops.size(); i++) if (excess(count.ops[i])) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return excess(count.ops[a]) > excess(count.ops[b]); });
    for (size_t i = 0; i < std::min(most, order.size()); i++)
    {
        const Op &op = count.kernel->ops[order[i]];
        const OpCount &one = count.ops[order[i]];
        std::fprintf(stderr, "    line %u, %s: %.0f %s more than needed in %.0f instructions a launch\n", op.line, forms()[op.form].name.c_str(), ratio(excess(one), count.launches), what, ratio(one.issued, count.launches));
    }
}

/// What is done between a barrier and the next one, as they stand in the text.
void print_stretches(const KernelCount &count)
{
    uint64_t issued = 0, lanes = 0;
    uint32_t from = count.kernel->ops.empty() ? 0 : count.kernel->ops[0].line;
    for (size_t i = 0; i < count.ops.size(); i++)
    {
        const Op &op = count.kernel->ops[i];
        issued += count.ops[i].issued, lanes += count.ops[i].lanes;
        if (op.kind != Kind::Barrier && i + 1 < count.ops.size()) continue;
        std::fprintf(stderr, "    lines %u to %u: %.0f instructions a launch, %.1f lanes\n", from, op.line, ratio(issued, count.launches), ratio(lanes, issued));
        issued = lanes = 0;
        from = op.line + 1;
    }
}

/// The process may end without releasing its context.
struct AtTheEnd { ~AtTheEnd() { report_counts(); } } atTheEnd;

} // namespace

std::vector<KernelCount> &counts()
{
    // Never destroyed: what is at the end reads it.
    static auto *all = new std::vector<KernelCount>;
    return *all;
}

KernelCount &counts_of(const Kernel &kernel)
{
    for (KernelCount &count : counts()) if (count.kernel == &kernel) return count;
    counts().push_back({ &kernel, 0, 0, 0, std::vector<OpCount>(kernel.ops.size()) });
    return counts().back();
}

uint64_t KernelCount::of(Class counted) const
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ops.size(); i++) if (kernel->ops[i].counted == counted) sum += ops[i].issued;
    return sum;
}

OpCount KernelCount::all() const
{
    OpCount sum;
    for (const OpCount &one : ops)
    {
        sum.issued += one.issued, sum.lanes += one.lanes;
        sum.wavefronts += one.wavefronts, sum.idealWavefronts += one.idealWavefronts;
        sum.sectors += one.sectors, sum.idealSectors += one.idealSectors;
    }
    return sum;
}

void report_counts()
{
    std::vector<KernelCount> all;
    all.swap(counts());
    if (all.empty()) return;
    std::fprintf(stderr, "stand-in: a launch of each kernel: its groups, instructions of warps (average lanes), of them by class; shared memory's extra wavefronts; global memory's sectors (ideal); barriers a group\n");
    std::fprintf(stderr, "%-22s %8s %9s %12s %5s", "kernel", "launches", "groups", "instructions", "lanes");
    for (const char *name : NAMES) std::fprintf(stderr, " %9s", name);
    std::fprintf(stderr, " %9s %10s %10s %8s\n", "conflicts", "sectors", "(ideal)", "barriers");
    for (const KernelCount &count : all)
    {
        OpCount sum = count.all();
        uint64_t n = count.launches;
        std::fprintf(stderr, "%-22s %8llu %9.1f %12.0f %5.1f", count.kernel->name.c_str(), (unsigned long long)n, ratio(count.groups, n), ratio(sum.issued, n), ratio(sum.lanes, sum.issued));
        for (int c = 0; c < (int)Class::Count; c++) std::fprintf(stderr, " %9.0f", ratio(count.of((Class)c), n));
        std::fprintf(stderr, " %9.0f %10.0f %10.0f %8.1f\n", ratio(sum.wavefronts - sum.idealWavefronts, n), ratio(sum.sectors, n), ratio(sum.idealSectors, n), ratio(count.barriers, count.groups));
        if (!options().lines) continue;
        print_stretches(count);
        print_lines(count, "wavefronts", [](const OpCount &one) { return one.wavefronts - one.idealWavefronts; });
        print_lines(count, "sectors", [](const OpCount &one) { return one.sectors - std::min(one.sectors, one.idealSectors); });
    }
}

} // namespace ptx
