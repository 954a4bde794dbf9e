// Global memory between the groups of one launch.
#include "check.h"

namespace ptx {

namespace {

constexpr uint32_t PAGE = 4096, SEVERAL = ~0u;

/// Who used a byte, in the launch of this number: a group + 1, or several.
struct Byte { uint32_t launch = 0, writer = 0, atomic = 0, reader = 0, writeOp = 0, readOp = 0; };

struct Pages
{
    uint64_t from = 0, bytes = 0;
    std::vector<std::unique_ptr<Byte[]>> pages;
};

std::map<uint64_t, Pages> &shadows()
{
    static auto *all = new std::map<uint64_t, Pages>;
    return *all;
}

} // namespace

uint32_t next_launch()
{
    static uint32_t number = 0;
    return ++number;
}

void Check::global(Warp &w, const Op &op, Access kind, const uint64_t *addresses, uint32_t bytes, uint32_t idle)
{
    uint32_t unit = _kernel.narrowGlobal ? 1 : 4, group = w.group->number + 1, here = (uint32_t)(&op - _kernel.ops.data());
    Pages *last = nullptr;
    each_lane(w.mask, [&](int lane) {
        uint64_t address = addresses[lane], from, all;
        if (!last || address < last->from || address - last->from >= last->bytes)
        {
            if (!_allocations.range(address, from, all)) return;
            last = &shadows()[from];
            if (last->bytes != all)
            {
                *last = {};
                last->from = from, last->bytes = all;
                last->pages.resize(all / unit / PAGE + 1);
            }
            if (last->pages.size() < all / unit / PAGE + 1) last->pages.resize(all / unit / PAGE + 1);
        }
        for (uint64_t at = (address - last->from) / unit; at <= (address - last->from + bytes - 1) / unit; at++)
        {
            auto &page = last->pages[at / PAGE];
            if (!page) page = std::make_unique<Byte[]>(PAGE);
            Byte &b = page[at % PAGE];
            if (b.launch != _launch)
            {
                b = {};
                b.launch = _launch;
            }
            uint64_t place = last->from + at * unit;
            bool same = idle >> lane & 1;
            if (b.writer && b.writer != group && !same) find("groups", w, op, b.writeOp, place, (kind == Access::Read ? "reads what group " : "writes what group ") + std::to_string(b.writer - 1) + " writes");
            switch (kind)
            {
                case Access::Read:
                    if (b.reader != group) b.readOp = here, b.reader = b.reader == 0 ? group : SEVERAL;
                    break;
                case Access::Atomic:
                    if (b.atomic != group) b.readOp = here, b.atomic = b.atomic == 0 ? group : SEVERAL;
                    break;
                default:
                    if ((b.reader && b.reader != group) || (b.atomic && b.atomic != group)) find("groups", w, op, b.readOp, place, "writes what another group uses");
                    if (!(same && b.writer)) b.writer = group, b.writeOp = here;
                    break;
            }
        }
    });
}

} // namespace ptx
