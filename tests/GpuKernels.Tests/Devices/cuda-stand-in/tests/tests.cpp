// That the stand-in computes, counts and finds what it should: small kernels in PTX, each with a fault and without.
//   tests/GpuKernels.Tests/Devices/run-on-stand-in runs it
#include "../check.h"

#include <algorithm>
#include <cstdio>
#include <functional>

using namespace ptx;

namespace {

int failures, done;

void expect(bool right, const std::string &what)
{
    done++;
    if (right) return;
    failures++;
    std::fprintf(stderr, "WRONG: %s\n", what.c_str());
}

const char *const HEAD =
    ".version 8.0\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .u64 k_param_0, .param .u64 k_param_1)\n{\n"
    ".reg .pred %p<8>; .reg .b16 %h<8>; .reg .b32 %r<40>; .reg .f32 %f<40>; .reg .b64 %rd<12>;\n"
    ".shared .align 1024 .b8 memory[8192];\n"
    "ld.param.u64 %rd1, [k_param_0]; ld.param.u64 %rd2, [k_param_1];\n"
    "mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mul.wide.u32 %rd3, %r1, 4; mov.u64 %rd4, memory; add.s64 %rd5, %rd4, %rd3; add.s64 %rd6, %rd1, %rd3; add.s64 %rd7, %rd2, %rd3;\n"
    "cvt.u32.u64 %r3, %rd5; cvt.u32.u64 %r4, %rd4; shr.u32 %r5, %r1, 5; and.b32 %r6, %r1, 31; setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r6, 0;\n";

struct Result
{
    std::string error;
    std::vector<Finding> found;
    std::vector<uint32_t> out;

    bool has(const std::string &kind) const { return std::any_of(found.begin(), found.end(), [&](const Finding &f) { return f.kind == kind; }); }
    std::string text() const
    {
        std::string all = error;
        for (const Finding &f : found) all += "\n  " + f.kind + ": " + f.text;
        return all;
    }
};

/// in: what the first parameter leads to; out: as many words, zeros.
Result run(const std::string &body, uint32_t groups = 1, uint32_t threads = 64, std::vector<uint32_t> in = {}, uint32_t cluster = 1)
{
    static std::vector<std::unique_ptr<Module>> kept;
    Result result;
    try
    {
        kept.push_back(std::make_unique<Module>(parse(HEAD + body + "\nret;\n}\n")));
        kept.back()->kernels[0].cluster = cluster;
        if (in.empty()) for (uint32_t i = 0; i < 1024; i++) in.push_back(i * 3);
        // Bulk copies want 16 bytes.
        static uint32_t *memory = (uint32_t *)std::aligned_alloc(256, 1 << 17);
        uint32_t *to = memory + (1 << 14);
        std::copy(in.begin(), in.end(), memory);
        std::fill_n(to, 1024, 0);
        Allocations allocations;
        allocations.add((uint64_t)memory, in.size() * 4);
        allocations.add((uint64_t)to, 4096);
        Launch launch { &kept.back()->kernels[0], { groups, 1, 1 }, { threads, 1, 1 }, 0, std::vector<uint8_t>(16) };
        uint64_t parameters[] = { (uint64_t)memory, (uint64_t)to };
        std::memcpy(launch.parameters.data(), parameters, 16);
        findings().clear();
        try { execute(launch, allocations); }
        catch (const Fault &fault) { result.error = fault.what(); }
        result.out.assign(to, to + 1024);
    }
    catch (const Refused &refused) { result.error = refused.what(); }
    result.found = findings();
    return result;
}

void finds(const std::string &name, const std::string &kind, const std::string &body, uint32_t groups = 1, uint32_t threads = 64)
{
    Result r = run(body, groups, threads);
    expect(r.has(kind), name + ": is to be found as " + kind + r.text());
}

void passes(const std::string &name, const std::string &body, uint32_t groups = 1, uint32_t threads = 64)
{
    Result r = run(body, groups, threads);
    expect(r.error.empty() && r.found.empty(), name + ": nothing is to be found" + r.text());
}

void fails(const std::string &name, const std::string &with, const std::string &body, uint32_t threads = 64)
{
    Result r = run(body, 1, threads);
    expect(r.error.find(with) != std::string::npos, name + ": fails with '" + with + "', not '" + r.error + "'");
}

std::string without(std::string text, const std::string &part)
{
    size_t at = text.find(part);
    if (at == std::string::npos) throw std::logic_error("no " + part);
    return text.erase(at, part.size());
}

/// The code is right; without any of its parts the checker finds what is said, or nobody can go on.
void each(const std::string &name, const std::string &code, std::initializer_list<std::pair<const char *, const char *>> parts, uint32_t threads = 64)
{
    passes(name, code, 1, threads);
    for (auto [part, kind] : parts)
    {
        if (std::string(kind) == "deadlock") fails(name + " without " + part, "nobody can go on", without(code, part), threads);
        else finds(name + " without " + part, kind, without(code, part), 1, threads);
    }
}

void computes()
{
    auto out = [](const std::string &body, std::function<uint32_t(uint32_t)> value, const char *name, uint32_t threads = 64) {
        Result r = run(body + "st.global.u32 [%rd7], %r10;", 1, threads);
        bool right = r.error.empty();
        for (uint32_t i = 0; i < threads; i++) right &= r.out[i] == value(i);
        expect(right, std::string(name) + " gives another result" + r.text());
    };
    out("shfl.sync.up.b32 %r10|%p3, %r1, 3, 0, 0xffffffff; @!%p3 mov.u32 %r10, 99;", [](uint32_t i) { return i % 32 < 3 ? 99 : i - 3; }, "shfl.up");
    out("shfl.sync.idx.b32 %r10, %r1, 5, 0x181f, 0xffffffff;", [](uint32_t i) { return i / 8 * 8 + 5; }, "shfl.idx in segments of 8");
    out("bfe.u32 %r10, 0xABCD1234, 28, 8;", [](uint32_t) { return 0xA; }, "bfe beyond the end");
    out("bfe.s32 %r10, 0xABCD1234, 28, 8;", [](uint32_t) { return 0xFFFFFFFA; }, "bfe.s32 beyond the end");
    out("shl.b32 %r10, 1, %r1;", [](uint32_t i) { return i > 31 ? 0 : 1u << i; }, "shl");
    out("shr.s32 %r10, -8, %r1;", [](uint32_t i) { return (uint32_t)(-8 >> std::min(i, 31u)); }, "shr.s32");
    out("shf.r.wrap.b32 %r10, 0x11223344, 0x55667788, 40;", [](uint32_t) { return 0x88112233; }, "shf.r.wrap");
    out("dp4a.s32.s32 %r10, 0x01FF02FE, 0x0305FF04, 10;", [](uint32_t) { return 10 + 3 - 5 - 2 - 8; }, "dp4a");
    out("cvt.rn.bf16x2.f32 %r10, 0f3F808000, 0f3F818000;", [](uint32_t) { return 0x3F803F82; }, "cvt to bf16, ties to even");
    out("max.f32 %f1, 0f7FC00000, 0f3F800000; mov.b32 %r10, %f1;", [](uint32_t) { return 0x3F800000; }, "max with a NaN");
    out("fma.rn.f32 %f1, 0f3F800001, 0f3F800001, 0fBF800002; mov.b32 %r10, %f1;", [](uint32_t) { return 0x28800000; }, "fma rounds once");
    out("mul.rn.f32 %f1, 0f3F800001, 0f3F800001; add.rn.f32 %f1, %f1, 0fBF800002; mov.b32 %r10, %f1;", [](uint32_t) { return 0; }, "mul and add round twice");
    out("ex2.approx.ftz.f32 %f1, 0fC3010000; mov.b32 %r10, %f1;", [](uint32_t) { return 0; }, "ex2 flushes");
    out("prmt.b32 %r10, 0x44332211, 0x88776655, 0xC701;", [](uint32_t) { return 0x00881122u | 0x00000000u; }, "prmt");
    out("setp.lt.u32 %p3, %r6, 7; mov.u32 %r10, 1; @%p3 bra A; add.u32 %r10, %r10, 1; bra.uni B; A: mov.u32 %r10, 5; B: add.u32 %r10, %r10, 10;", [](uint32_t i) { return i % 32 < 7 ? 15 : 12; }, "lanes go two ways and meet again");
    out("mov.u32 %r10, 0; A: add.u32 %r10, %r10, 1; setp.lt.u32 %p3, %r10, %r6; @%p3 bra A; shfl.sync.bfly.b32 %r10, %r10, 1, 31, 0xffffffff;", [](uint32_t i) { return std::max(i % 32 ^ 1, 1u); }, "a loop of each lane's own length, then a shuffle");

    // A is the identity and B counts, so that each sum is B's value: mma.m16n8k16 with k = row for the upper eight rows.
    std::string product = "shr.u32 %r20, %r6, 2; and.b32 %r21, %r6, 3; shl.b32 %r22, %r21, 1; setp.eq.u32 %p3, %r20, %r22; selp.b32 %r23, 0x00003F80, 0, %p3; add.u32 %r24, %r22, 1; setp.eq.u32 %p3, %r20, %r24; selp.b32 %r23, 0x3F800000, %r23, %p3;"
        "mul.lo.u32 %r25, %r22, 8; add.u32 %r25, %r25, %r20; cvt.rn.f32.u32 %f20, %r25; add.u32 %r25, %r25, 8; cvt.rn.f32.u32 %f21, %r25; cvt.rn.bf16x2.f32 %r26, %f21, %f20;"
        "mov.f32 %f1, 0f00000000; mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f2, %f3, %f4, %f5}, {%r23, 0, 0, 0}, {%r26, 0}, {%f1, %f1, %f1, %f1}; cvt.rn.f32.u32 %f6, 0; add.rn.f32 %f3, %f3, %f3; mov.b32 %r10, %f3;";
    out(product, [](uint32_t i) { float x = 2.0f * (float)(i % 32 / 4 * 8 + 2 * (i % 4) + 1); uint32_t b; std::memcpy(&b, &x, 4); return b; }, "mma", 32);
    // Row r of a matrix is at 16 r, its element c is 8 r + c.
    out("mul.lo.u32 %r20, %r6, 2; mul.lo.u32 %r21, %r20, 65537; add.u32 %r21, %r21, 65536; st.shared.u32 [%rd5], %r21; bar.sync 0; and.b32 %r22, %r6, 7; shl.b32 %r22, %r22, 4; add.u32 %r22, %r22, %r4; ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r10}, [%r22];",
        [](uint32_t i) { uint32_t row = 2 * (i % 4), column = i / 4; return (row * 8 + column) | ((row + 1) * 8 + column) << 16; }, "ldmatrix.trans", 32);
}

void refuses()
{
    fails("an unknown instruction", "line 11: instruction sin.approx.f32 is not known", "sin.approx.f32 %f1, %f2;");
    fails("operands of another width", "add.s32 is not known with these operands", "add.s32 %rd8, %rd9, %rd10;");
    fails("an unknown register", "register %r77 is not declared", "mov.u32 %r77, 1;");
    fails("a read beyond an allocation", "in no allocation: 4 bytes at global address", "ld.global.u32 %r10, [%rd6+4096];");
    fails("a read before an allocation", "in no allocation", "ld.global.u32 %r10, [%rd1+-4];");
    fails("an address that is not aligned", "not aligned: 4 bytes at global address", "ld.global.u32 %r10, [%rd6+2];");
    fails("a write beyond shared memory", "beyond the group's shared memory", "st.shared.u32 [%rd5+8192], %r1;");
    fails("a barrier that one warp does not reach", "nobody can go on", "setp.eq.u32 %p3, %r5, 1; @%p3 bra A; bar.sync 1, 64; A:");
    fails("an mbarrier that nobody arrives at", "nobody can go on", "@%p1 mbarrier.init.shared::cta.b64 [%r4], 2; bar.sync 0; A: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r4], 0; @!%p3 bra A;");
    fails("a lane that a shuffle waits for in vain", "lanes wait for each other", "@%p2 bra A; shfl.sync.bfly.b32 %r10, %r1, 1, 31, 0xffffffff; bra.uni B; A: shfl.sync.bfly.b32 %r10, %r1, 2, 31, 0xffffffff; B:");
}

void checks()
{
    const std::string other = "xor.b32 %r11, %r1, 32; shl.b32 %r11, %r11, 2; add.u32 %r11, %r11, %r4;", neighbour = "xor.b32 %r11, %r1, 1; shl.b32 %r11, %r11, 2; add.u32 %r11, %r11, %r4;";
    each("one warp writes and the other reads", other + "st.shared.u32 [%rd5], %r1; bar.sync 0; ld.shared.u32 %r12, [%r11];", { { "bar.sync 0; ", "race" } });
    each("a place is used again", other + "st.shared.u32 [%rd5], %r1; bar.sync 0; ld.shared.u32 %r12, [%r11]; bar.sync 1; st.shared.u32 [%rd5], %r12;", { { "bar.sync 1; ", "race" } });
    each("both warps write a place", "and.b32 %r11, %r3, 127; add.u32 %r11, %r11, %r4; setp.eq.u32 %p3, %r5, 1; @%p3 st.shared.u32 [%r11], %r1; bar.sync 0; @!%p3 st.shared.u32 [%r11], %r1;", { { "bar.sync 0; ", "race" } });
    each("lanes exchange by shared memory", neighbour + "st.shared.u32 [%rd5], %r1; bar.warp.sync 0xffffffff; ld.shared.u32 %r12, [%r11];", { { "bar.warp.sync 0xffffffff; ", "lanes" } });
    each("atomics of both warps", "@%p1 st.shared.u32 [%r4], 0; bar.sync 0; atom.shared.add.u32 %r12, [%r4], 1; bar.sync 1; ld.shared.u32 %r13, [%r4];", { { "bar.sync 0; ", "race" }, { "bar.sync 1; ", "race" } });
    each("bytes beside each other", "add.s64 %rd8, %rd4, %rd3; cvt.u64.u32 %rd9, %r1; add.s64 %rd8, %rd4, %rd9; st.shared.u8 [%rd8], %r1; bar.sync 0; ld.shared.u32 %r12, [%r4];", { { "bar.sync 0; ", "race" } });
    finds("what nothing has written", "not written", "ld.shared.u32 %r12, [%rd5];");
    passes("named barriers of one warp each", "add.u32 %r13, %r5, 1;" + neighbour + "st.shared.u32 [%rd5], %r1; bar.sync %r13, 32; ld.shared.u32 %r12, [%r11];");
    finds("a named barrier of the wrong warps", "race", "add.u32 %r13, %r5, 1;" + other + "st.shared.u32 [%rd5], %r1; bar.sync %r13, 32; ld.shared.u32 %r12, [%r11];");

    // A lane copies 16 bytes; the warp reads them, then the other.
    const std::string copied = "shl.b32 %r14, %r1, 4; add.u32 %r14, %r14, %r4; mul.wide.u32 %rd8, %r1, 16; add.s64 %rd8, %rd1, %rd8; xor.b32 %r11, %r1, 1; shl.b32 %r11, %r11, 4; add.u32 %r11, %r11, %r4; xor.b32 %r15, %r1, 33; shl.b32 %r15, %r15, 4; add.u32 %r15, %r15, %r4;"
        "cp.async.cg.shared.global [%r14], [%rd8], 16, 16; cp.async.commit_group; cp.async.wait_group 0; ";
    each("an asynchronous copy is waited for", copied + "ld.shared.v4.u32 {%r20, %r21, %r22, %r23}, [%r14];", { { "cp.async.wait_group 0; ", "race" } });
    each("a copy is read by another lane", copied + "bar.warp.sync 0xffffffff; ld.shared.u32 %r12, [%r11];", { { "bar.warp.sync 0xffffffff; ", "lanes" } });
    each("a copy is read by the other warp", copied + "bar.sync 0; ld.shared.u32 %r12, [%r15];", { { "cp.async.wait_group 0; ", "race" }, { "bar.sync 0; ", "race" } });
    expect(run(without(copied, "cp.async.wait_group 0; ") + "ld.shared.u32 %r12, [%r14]; st.global.u32 [%rd7], %r12;").out[0] == 0xCDCDCDCD, "a copy that is not waited for has not taken effect");

    const std::string bulk = "setp.eq.u32 %p4, %r5, 1; add.u32 %r16, %r4, 4096;"
        "@%p1 mbarrier.init.shared::cta.b64 [%r16], 1; @%p1 mbarrier.init.shared::cta.b64 [%r16+8], 2; bar.sync 0; @!%p1 bra S; "
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r16], 1024; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%rd1], 1024, [%r16]; S: "
        "W: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16], 0; @!%p3 bra W; ld.shared.u32 %r12, [%rd5]; bar.warp.sync 0xffffffff; @%p2 mbarrier.arrive.shared::cta.b64 _, [%r16+8]; @!%p1 bra T; "
        "V: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16+8], 0; @!%p3 bra V; mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r16], 512; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%rd1+512], 512, [%r16]; T: "
        "X: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16], 1; @!%p3 bra X; ld.shared.u32 %r13, [%rd5];";
    std::string fixed = bulk;
    fixed.replace(fixed.find("[%rd1+512]"), 10, "[%rd1]");
    each("bulk copies through one place", fixed, { { "W: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16], 0; @!%p3 bra W; ", "race" }, { "V: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16+8], 0; @!%p3 bra V; ", "deadlock" },
        { "bar.warp.sync 0xffffffff; ", "race" } });
    finds("a bulk copy that nobody waits for", "unfinished", "@%p1 mbarrier.init.shared::cta.b64 [%r4+4096], 1; bar.sync 0; @!%p1 bra S; mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r4+4096], 64; add.u32 %r20, %r4, 4096; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%rd1], 64, [%r20]; S:");

    std::string sums, list;
    for (int i = 1; i <= 4; i++) sums += "mov.f32 %f" + std::to_string(i) + ", 0f00000000; ", list += (i > 1 ? ", %f" : "%f") + std::to_string(i);
    // 64 rows and 8 rows of 16 values without a swizzle; each of 128 threads writes 16 bytes, which fence and barrier publish.
    const std::string product = "shl.b32 %r14, %r1, 4; add.u32 %r14, %r14, %r4; st.shared.v4.u32 [%r14], {0, 0, 0, 0}; setp.lt.u32 %p5, %r1, 16; @%p5 st.shared.v4.u32 [%r14+2048], {0, 0, 0, 0}; fence.proxy.async.shared::cta; bar.sync 0; "
        "shr.u32 %r15, %r4, 4; mov.b64 %rd8, {%r15, 16}; add.u32 %r17, %r15, 128; mov.b64 %rd9, {%r17, 16}; mov.pred %p6, -1; " + sums +
        "wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {" + list + "}, %rd8, %rd9, %p6, 1, 1, 0, 0; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; bar.sync 1; st.shared.u32 [%rd5], %r1;";
    finds("sums that are read at once", "sums", [&] { std::string text = product; return text.replace(text.find("wgmma.wait"), 0, "add.rn.f32 %f5, %f1, %f2; "); }(), 1, 128);
    passes("sums that are read when they are there", product + "add.rn.f32 %f5, %f1, %f2;", 1, 128);
    each("a product of a warpgroup", product, { { "fence.proxy.async.shared::cta; ", "proxy" }, { "wgmma.fence.sync.aligned; ", "fence" }, { "wgmma.wait_group.sync.aligned 0; ", "race" }, { "bar.sync 1; ", "race" }, { "bar.sync 0; ", "race" } }, 128);

    // Group 0 copies to both groups' memory, twice: the second time when both have said that they are done with the first.
    const std::string both = "add.u32 %r16, %r4, 4096; @%p1 mbarrier.init.shared::cta.b64 [%r16], 1; @%p1 mbarrier.init.shared::cta.b64 [%r16+8], 4; barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned; mov.u16 %h1, 3; mov.u32 %r19, %cluster_ctarank; setp.eq.u32 %p4, %r19, 0; and.pred %p5, %p1, %p4; "
        "@%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r16], 256; @!%p5 bra S; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r4], [%rd1], 256, [%r16], %h1; S: "
        "W: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16], 0; @!%p3 bra W; ld.shared.u32 %r12, [%rd5]; bar.warp.sync 0xffffffff; add.u32 %r17, %r16, 8; mapa.shared::cluster.u32 %r18, %r17, 0; @%p2 mbarrier.arrive.shared::cluster.b64 _, [%r18]; "
        "@%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r16], 256; @!%p5 bra T; V: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16+8], 0; @!%p3 bra V; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r4], [%rd1], 256, [%r16], %h1; T: "
        "X: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16], 1; @!%p3 bra X; ld.shared.u32 %r13, [%rd5];";
    auto in_cluster = [&](const std::string &what, const std::string &body, const char *kind) {
        Result r = run(body, 2, 64, {}, 2);
        expect(kind ? r.has(kind) : r.error.empty() && r.found.empty(), what + ": " + (kind ? std::string("is to be found as ") + kind : "nothing is to be found") + r.text());
    };
    in_cluster("copies to both groups of a cluster", both, nullptr);
    in_cluster("a copy before the other group is done", without(both, "V: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r16+8], 0; @!%p3 bra V; "), "race");
    in_cluster("a group that says it is done too early", without(both, "bar.warp.sync 0xffffffff; "), "race");

    passes("groups write their own places", "mul.lo.u32 %r20, %r2, 256; cvt.u64.u32 %rd8, %r20; add.s64 %rd8, %rd7, %rd8; st.global.u32 [%rd8], %r1; ld.global.u32 %r12, [%rd6];", 2);
    finds("groups write one place", "groups", "add.u32 %r12, %r2, 1; st.global.u32 [%rd7], %r12;", 2);
    finds("a group reads what another writes", "groups", "ld.global.u32 %r12, [%rd2]; setp.eq.u32 %p3, %r2, 1; @%p3 st.global.u32 [%rd2], %r2;", 2);
    passes("groups add by atomics", "atom.global.add.u32 %r12, [%rd2], 1;", 2);
    finds("a group writes what others add to", "groups", "atom.global.add.u32 %r12, [%rd2], 1; setp.eq.u32 %p3, %r2, 1; @%p3 st.global.u32 [%rd2], 77;", 2);
    passes("groups write the same value", "st.global.u32 [%rd7], 5;", 2);
}

void counting()
{
    options().check = false, options().count = true;
    auto counted = [](const std::string &body, uint32_t threads, uint32_t groups) {
        counts().clear();
        Result r = run(body, groups, threads);
        expect(r.error.empty() && counts().size() == 1, "counted" + r.text());
        return counts().front();
    };
    KernelCount none = counted("", 64, 3), one = counted("add.u32 %r10, %r1, 1; @%p2 add.u32 %r10, %r10, 1; bar.sync 0;", 64, 3);
    expect(one.launches == 1 && one.groups == 3 && one.barriers == 3, "launches, groups and barriers");
    expect(one.of(Class::Integer) - none.of(Class::Integer) == 12 && one.of(Class::Barrier) == 6, "instructions of warps");
    expect(one.all().lanes - none.all().lanes == 6 * (32 + 1 + 32), "lanes");
    auto wavefronts = [&](const std::string &address, const std::string &load) {
        OpCount all = counted(address + load, 32, 1).all();
        return all.wavefronts * 100 + all.idealWavefronts;
    };
    expect(wavefronts("shl.b32 %r11, %r1, 2;", "ld.shared.u32 %r12, [%r11];") == 101, "a bank each");
    expect(wavefronts("shl.b32 %r11, %r1, 3;", "ld.shared.u32 %r12, [%r11];") == 201, "two lanes a bank");
    expect(wavefronts("shl.b32 %r11, %r1, 7;", "ld.shared.u32 %r12, [%r11];") == 3201, "one bank for all");
    expect(wavefronts("mov.u32 %r11, 64;", "ld.shared.u32 %r12, [%r11];") == 101, "one word for all");
    expect(wavefronts("shl.b32 %r11, %r1, 3;", "ld.shared.u64 %rd8, [%r11];") == 202, "eight bytes, by halves");
    expect(wavefronts("shl.b32 %r11, %r1, 4;", "ld.shared.v4.u32 {%r12, %r13, %r14, %r15}, [%r11];") == 404, "sixteen bytes, by quarters");
    expect(wavefronts("shl.b32 %r11, %r1, 5;", "ld.shared.v4.u32 {%r12, %r13, %r14, %r15}, [%r11];") == 804, "sixteen bytes of 32");
    expect(wavefronts("shl.b32 %r11, %r1, 4;", "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r12, %r13, %r14, %r15}, [%r11];") == 404, "matrices whose rows follow each other");
    expect(wavefronts("shl.b32 %r11, %r1, 7;", "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r12, %r13, %r14, %r15}, [%r11];") == 3204, "matrices whose rows are in the same banks");
    auto sectors = [&](const std::string &body) {
        OpCount all = counted(body, 32, 1).all();
        return all.sectors * 100 + all.idealSectors;
    };
    expect(sectors("ld.global.u32 %r12, [%rd6];") == 404, "words one after the other");
    expect(sectors("mul.wide.u32 %rd8, %r1, 8; add.s64 %rd8, %rd1, %rd8; ld.global.u32 %r12, [%rd8];") == 804, "every second word");
    expect(sectors("ld.global.u32 %r12, [%rd1];") == 101, "one word for all");
    // A loop whose end stands before its beginning in the text, as clang puts it: the halves of the warp meet at the end of each of eight rounds of six instructions.
    KernelCount loop = counted("mov.u32 %r10, 0; setp.lt.u32 %p3, %r6, 16; bra HEAD_; END_: add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 8; @%p4 bra HEAD_; bra OUT_; HEAD_: @%p3 bra END_; add.u32 %r11, %r10, 1; bra END_; OUT_: mov.u32 %r12, %r10;", 32, 1);
    expect(loop.all().issued == none.all().issued / 6 + 3 + 8 * 6 + 2, "lanes meet at the end of a round: " + std::to_string(loop.all().issued) + " " + std::to_string(none.all().issued));

    options().count = false;
}

} // namespace

int main()
{
    options().check = false;
    computes();
    refuses();
    options().check = true;
    computes();
    checks();
    counting();
    counts().clear();
    std::printf("stand-in: %d of %d checks right\n", done - failures, done);
    return failures ? 1 : 0;
}
