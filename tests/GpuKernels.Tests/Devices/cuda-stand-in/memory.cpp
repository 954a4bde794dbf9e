// Loads, stores and atomics (PTX ISA, "ld", "st", "atom", "membar/fence").
#include "machine.h"

#include <algorithm>
#include <type_traits>

namespace ptx {

namespace {

// Global addresses are this process's own.
template <Space S> uint64_t base(Warp &w) { return S == Space::Shared ? (uint64_t)w.group->shared : 0; }

// A register wider than the type gets the value extended by the type's sign.
template <Space S, class M, class R, int N> void load(Warp &w, const Op &op)
{
    // The address is the operand behind the result, or the only one beside a list.
    constexpr int which = N == 1 ? 1 : 0;
    uint64_t addresses[LANES];
    w.addresses(op.o[which], op.wide, op.imm, addresses);
    access(w, op, S, Access::Read, addresses, sizeof(M) * N);
    const uint64_t memory = base<S>(w);
    const uint32_t *list = w.group->kernel->lists.data() + op.list;
    R *to[N];
    for (int n = 0; n < N; n++) to[n] = w.at<R>(N == 1 ? op.o[0] : list[n]);
    each_lane(w.mask, [&](int lane) {
        for (int n = 0; n < N; n++)
        {
            M value;
            std::memcpy(&value, (const void *)(memory + addresses[lane] + n * sizeof(M)), sizeof value);
            to[n][lane] = (R)value;
        }
    });
}

template <Space S, class M, class R, int N> void store(Warp &w, const Op &op)
{
    uint64_t addresses[LANES];
    w.addresses(op.o[0], op.wide, op.imm, addresses);
    const uint64_t memory = base<S>(w);
    const uint32_t *list = w.group->kernel->lists.data() + op.list;
    const R *from[N];
    for (int n = 0; n < N; n++) from[n] = w.at<R>(N == 1 ? op.o[1] : list[n]);
    access(w, op, S, Access::Write, addresses, sizeof(M) * N, [&](int lane) {
        for (int n = 0; n < N; n++)
        {
            M value = (M)from[n][lane];
            if (std::memcmp((const void *)(memory + addresses[lane] + n * sizeof(M)), &value, sizeof value)) return false;
        }
        return true;
    });
    each_lane(w.mask, [&](int lane) {
        for (int n = 0; n < N; n++)
        {
            M value = (M)from[n][lane];
            std::memcpy((void *)(memory + addresses[lane] + n * sizeof(M)), &value, sizeof value);
        }
    });
}

// One lane after the other: each sees what those before it did. Groups may run at the same time, so these are the processor's own atomics.
template <Space S, class T, auto F, bool Result> void atomic(Warp &w, const Op &op)
{
    uint64_t addresses[LANES];
    w.addresses(op.o[Result ? 1 : 0], op.wide, op.imm, addresses);
    access(w, op, S, Access::Atomic, addresses, sizeof(T));
    const T *value = w.at<T>(op.o[Result ? 2 : 1]);
    T values[LANES];
    std::memcpy(values, value, sizeof values);
    T *result = Result ? w.at<T>(op.o[0]) : nullptr;
    each_lane(w.mask, [&](int lane) {
        T *memory = (T *)(base<S>(w) + addresses[lane]), before = __atomic_load_n(memory, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(memory, &before, (T)F(before, values[lane]), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
        if (Result) result[lane] = before;
    });
}

template <Space S, class T> void exchange_if_equal(Warp &w, const Op &op)
{
    uint64_t addresses[LANES];
    w.addresses(op.o[1], op.wide, op.imm, addresses);
    access(w, op, S, Access::Atomic, addresses, sizeof(T));
    T compared[LANES], values[LANES];
    std::memcpy(compared, w.at<T>(op.o[2]), sizeof compared);
    std::memcpy(values, w.at<T>(op.o[3]), sizeof values);
    T *result = w.at<T>(op.o[0]);
    each_lane(w.mask, [&](int lane) {
        T before = compared[lane];
        __atomic_compare_exchange_n((T *)(base<S>(w) + addresses[lane]), &before, values[lane], false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        result[lane] = before;
    });
}

template <Space S, class M, class R> void moves_of(std::vector<Form> &to, const std::string &type, char r)
{
    std::string space = S == Space::Shared ? ".shared" : ".global", one(1, r);
    Class c = S == Space::Shared ? Class::SharedLoad : Class::GlobalLoad, c2 = S == Space::Shared ? Class::SharedStore : Class::GlobalStore;
    for (std::string volatility : { "", ".volatile" })
    {
        to.push_back({ "ld" + volatility + space + "." + type, one + ":a", load<S, M, R, 1>, c });
        to.push_back({ "st" + volatility + space + "." + type, "a" + one, store<S, M, R, 1>, c2 });
    }
    if (S == Space::Global) to.push_back({ "ld.global.nc." + type, one + ":a", load<S, M, R, 1>, c });
    if constexpr (sizeof(M) == sizeof(R))
    {
        to.push_back({ "ld" + space + ".v2." + type, "{2" + one + "}:a", load<S, M, R, 2>, c });
        to.push_back({ "st" + space + ".v2." + type, "a{2" + one + "}", store<S, M, R, 2>, c2 });
        if (S == Space::Global) to.push_back({ "ld.global.nc.v2." + type, "{2" + one + "}:a", load<S, M, R, 2>, c });
        if constexpr (sizeof(M) <= 4)
        {
            to.push_back({ "ld" + space + ".v4." + type, "{4" + one + "}:a", load<S, M, R, 4>, c });
            to.push_back({ "st" + space + ".v4." + type, "a{4" + one + "}", store<S, M, R, 4>, c2 });
            if (S == Space::Global) to.push_back({ "ld.global.nc.v4." + type, "{4" + one + "}:a", load<S, M, R, 4>, c });
        }
    }
}

template <Space S, class M> void widths_of(std::vector<Form> &to, const std::string &type)
{
    // Into a register of the type's width or a wider one ("Operand Size Exceeding Instruction-Type Size").
    if constexpr (sizeof(M) <= 2) moves_of<S, M, uint16_t>(to, type, 'h');
    if constexpr (sizeof(M) <= 4) moves_of<S, M, uint32_t>(to, type, 'w');
    moves_of<S, M, uint64_t>(to, type, 'd');
}

template <Space S, class T, auto F> void atomic_of(std::vector<Form> &to, const std::string &name)
{
    std::string space = S == Space::Shared ? ".shared" : ".global", r(1, sizeof(T) == 4 ? 'w' : 'd');
    Class c = S == Space::Shared ? Class::SharedStore : Class::GlobalStore;
    to.push_back({ "atom" + space + "." + name, r + ":a" + r, atomic<S, T, F, true>, c });
    to.push_back({ "red" + space + "." + name, "a" + r, atomic<S, T, F, false>, c });
}

template <Space S> void space_forms(std::vector<Form> &to)
{
    widths_of<S, uint8_t>(to, "u8"), widths_of<S, uint8_t>(to, "b8"), widths_of<S, int8_t>(to, "s8");
    widths_of<S, uint16_t>(to, "u16"), widths_of<S, uint16_t>(to, "b16"), widths_of<S, int16_t>(to, "s16");
    widths_of<S, uint32_t>(to, "u32"), widths_of<S, uint32_t>(to, "b32"), widths_of<S, int32_t>(to, "s32");
    moves_of<S, uint32_t, uint32_t>(to, "f32", 'w');
    widths_of<S, uint64_t>(to, "u64"), widths_of<S, uint64_t>(to, "b64"), widths_of<S, int64_t>(to, "s64");
    using U = uint32_t;
    using U8 = uint64_t;
    atomic_of<S, U, [](U a, U b) { return a + b; }>(to, "add.u32");
    atomic_of<S, U, [](U a, U b) { return a + b; }>(to, "add.s32");
    atomic_of<S, U8, [](U8 a, U8 b) { return a + b; }>(to, "add.u64");
    atomic_of<S, U, [](U a, U b) { return a | b; }>(to, "or.b32");
    atomic_of<S, U, [](U a, U b) { return a & b; }>(to, "and.b32");
    atomic_of<S, U, [](U a, U b) { return a ^ b; }>(to, "xor.b32");
    atomic_of<S, U8, [](U8 a, U8 b) { return a | b; }>(to, "or.b64");
    atomic_of<S, U, [](U a, U b) { return std::min(a, b); }>(to, "min.u32");
    atomic_of<S, U, [](U a, U b) { return std::max(a, b); }>(to, "max.u32");
    atomic_of<S, U8, [](U8 a, U8 b) { return std::min(a, b); }>(to, "min.u64");
    atomic_of<S, U8, [](U8 a, U8 b) { return std::max(a, b); }>(to, "max.u64");
    atomic_of<S, U, [](U, U b) { return b; }>(to, "exch.b32");
    std::string space = S == Space::Shared ? ".shared" : ".global";
    Class c = S == Space::Shared ? Class::SharedStore : Class::GlobalStore;
    to.push_back({ "atom" + space + ".cas.b32", "w:aww", exchange_if_equal<S, uint32_t>, c });
    to.push_back({ "atom" + space + ".cas.b64", "d:add", exchange_if_equal<S, uint64_t>, c });
}

} // namespace

void add_memory_forms(std::vector<Form> &to)
{
    space_forms<Space::Global>(to);
    space_forms<Space::Shared>(to);
}

void count_shared(OpCount &count, const uint64_t *addresses, uint32_t mask, uint32_t bytes)
{
    // 32 banks of 4 bytes: lanes that go together want a bank once for each of its words. All go together for up to 4 bytes, halves of the warp for 8, quarters
    // for 16.
    uint32_t together = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
    for (uint32_t first = 0; first < LANES; first += together)
    {
        uint32_t part = mask >> first & (together == 32 ? ~0u : (1u << together) - 1);
        if (part == 0) continue;
        uint64_t words[LANES];
        uint32_t many = 0;
        uint8_t perBank[32] = {};
        uint32_t most = 0;
        each_lane(part, [&](int lane) {
            for (uint32_t byte = 0; byte < bytes; byte += 4)
            {
                uint64_t word = (addresses[first + (uint32_t)lane] + byte) / 4;
                if (std::find(words, words + many, word) != words + many) continue;
                words[many++] = word;
                most = std::max(most, (uint32_t)++perBank[word % 32]);
            }
        });
        count.wavefronts += most;
        count.idealWavefronts++;
    }
}

void count_global(OpCount &count, const uint64_t *addresses, uint32_t mask, uint32_t bytes)
{
    // Sectors of 32 bytes that the warp touches, and as many as its different bytes would fill. Bulk copies are of one lane.
    if (bytes > 32)
    {
        count.sectors += (addresses[__builtin_ctz(mask)] + bytes - 1) / 32 - addresses[__builtin_ctz(mask)] / 32 + 1;
        count.idealSectors += bytes / 32;
        return;
    }
    uint64_t sectors[2 * LANES], starts[LANES];
    uint32_t many = 0, different = 0;
    each_lane(mask, [&](int lane) {
        starts[different++] = addresses[lane];
        for (uint64_t s = addresses[lane] / 32; s <= (addresses[lane] + bytes - 1) / 32; s++) sectors[many++] = s;
    });
    std::sort(sectors, sectors + many);
    std::sort(starts, starts + different);
    count.sectors += (uint64_t)(std::unique(sectors, sectors + many) - sectors);
    uint64_t all = (uint64_t)(std::unique(starts, starts + different) - starts) * bytes;
    count.idealSectors += (all + 31) / 32;
}

} // namespace ptx
