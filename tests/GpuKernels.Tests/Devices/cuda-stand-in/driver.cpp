// A libcuda.so.1 that does CUDA's driver interface without a card: modules are parsed from PTX, and kernels are run by interpreting it. Streams do everything
// at once. Calls that need a context fail without one, and all fail after a launch has, as the driver's do.
//   STANDIN_CAPABILITY=90   the compute capability (90)
//   STANDIN_VERSION=12040   the CUDA version of the driver
//   STANDIN_COUNT=1         what each kernel did, on stderr at the end; 2: the lines with conflicts of banks or with sectors in vain as well
//   STANDIN_CHECK=1         races and what else the checker looks for (check.h), each finding a line on stderr
//   STANDIN_WITHOUT=gemm64:123   leaves an instruction of a kernel out: whether a barrier is needed, and the checker sees it
//   STANDIN_FAIL_AFTER=n    every launch after so many fails
//   STANDIN_THREADS=1       groups one after the other, not two at a time
//   STANDIN_REPORT=1        what is alive when the context is released
#include "machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>

using namespace ptx;

namespace {

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_PTX = 218, UNSUPPORTED_PTX = 222, INVALID_HANDLE = 400, NOT_FOUND = 500, CAPTURING = 900, NOT_CAPTURING = 901 };
constexpr size_t ALL_MEMORY = 4ull << 30, MOST_SHARED = 227 << 10, SHARED_UNASKED = 48 << 10;
// What comes before the PTX in what is given out for a binary.
constexpr std::string_view CUBIN = "CUBIN of the stand-in\n";

struct Function { const Kernel *kernel; uint32_t shared; };
struct Loaded { Module module; std::map<std::string, Function> functions; };
struct Work { enum { Run, Copied, Filled } kind; Launch launch; void *to; const void *from; size_t bytes; unsigned char value; };
struct Graph { std::vector<Work> works; };
struct Stream { Graph *capturing; };
struct Event { timespec at; };
struct Linker { char *log = nullptr; size_t logBytes = 0; std::string image; };

std::recursive_mutex lock;
int retained, alive, failure;
long launches;
size_t allocated;
thread_local void *current;
int contextToken;
Allocations allocations;
std::map<uint64_t, void *> blocks;

#define CALL extern "C" int
#define NEED_CONTEXT std::lock_guard<std::recursive_mutex> held(lock); if (!current || retained == 0) return INVALID_CONTEXT; if (failure) return failure

int version() { const char *v = std::getenv("STANDIN_VERSION"); return v ? std::atoi(v) : 12040; }

/// PTX 7.x came with CUDA 11.x, and 8.x with 12.x.
int newest_ptx() { return (version() / 1000 - 4) * 10 + version() % 1000 / 10; }

int load(Loaded &to, const char *text, char *log, size_t logBytes)
{
    auto say = [&](const std::string &what) { if (log && logBytes) std::snprintf(log, logBytes, "stand-in: %s", what.c_str()); };
    try
    {
        to.module = parse(text);
    }
    catch (const Refused &refused)
    {
        say(refused.what());
        return INVALID_PTX;
    }
    if (to.module.version > newest_ptx())
    {
        say("PTX " + std::to_string(to.module.version) + " is newer than the driver's " + std::to_string(newest_ptx()));
        return UNSUPPORTED_PTX;
    }
    if (to.module.target > options().capability)
    {
        say("target sm_" + std::to_string(to.module.target) + " is newer than the device's " + std::to_string(options().capability));
        return INVALID_PTX;
    }
    for (Kernel &kernel : to.module.kernels)
    {
        for (Op &op : kernel.ops)
        {
            if (options().without != kernel.name + ":" + std::to_string(op.line)) continue;
            op.kind = Kind::Plain, op.joins = false;
            op.run = [](Warp &, const Op &) {};
        }
    }
    for (const Kernel &kernel : to.module.kernels) to.functions[kernel.name] = { &kernel, SHARED_UNASKED };
    return OK;
}

int run(Work &work)
{
    if (work.kind == Work::Copied) std::memcpy(work.to, work.from, work.bytes);
    else if (work.kind == Work::Filled) std::memset(work.to, work.value, work.bytes);
    else
    {
        if (options().failAfter >= 0 && launches++ >= options().failAfter) return failure = LAUNCH_FAILED;
        try
        {
            execute(work.launch, allocations);
        }
        catch (const Fault &fault)
        {
            std::fprintf(stderr, "stand-in: %s\n", fault.what());
            return failure = fault.code;
        }
    }
    return OK;
}

int submit(void *stream, Work work)
{
    if (!stream) return INVALID_HANDLE;
    if (Graph *graph = ((Stream *)stream)->capturing)
    {
        graph->works.push_back(std::move(work));
        return OK;
    }
    return run(work);
}

/// Both ends of a copy that are the device's lie in an allocation.
bool has(const void *at, size_t bytes) { return allocations.holds((uint64_t)at, bytes); }

} // namespace

CALL cuInit(unsigned flags) { return flags ? INVALID_VALUE : OK; }
CALL cuDriverGetVersion(int *v) { *v = version(); return OK; }
CALL cuGetErrorName(int code, const char **s)
{
    static std::map<int, std::string> names;
    std::lock_guard<std::recursive_mutex> held(lock);
    *s = names.emplace(code, "STANDIN_ERROR_" + std::to_string(code)).first->second.c_str();
    return OK;
}
CALL cuGetErrorString(int code, const char **s) { *s = code == OUT_OF_MEMORY ? "out of memory" : "see cuda.h"; return OK; }
CALL cuDeviceGetCount(int *n) { *n = 1; return OK; }
CALL cuDeviceGet(int *d, int ordinal) { *d = ordinal; return ordinal ? INVALID_DEVICE : OK; }
CALL cuDeviceGetName(char *s, int n, int) { std::snprintf(s, (size_t)n, "stand-in"); return OK; }
CALL cuDeviceGetUuid(unsigned char *s, int) { for (int i = 0; i < 16; i++) s[i] = (unsigned char)i; return OK; }
CALL cuDeviceTotalMem_v2(size_t *n, int) { *n = ALL_MEMORY; return OK; }
CALL cuDeviceGetAttribute(int *v, int what, int)
{
    // Multiprocessors, and both halves of the capability.
    *v = what == 16 ? 4 : what == 75 ? options().capability / 10 : what == 76 ? options().capability % 10 : -1;
    return OK;
}
CALL cuDevicePrimaryCtxRetain(void **c, int) { std::lock_guard<std::recursive_mutex> held(lock); retained++; *c = &contextToken; return OK; }
CALL cuDevicePrimaryCtxRelease_v2(int)
{
    std::lock_guard<std::recursive_mutex> held(lock);
    if (retained == 0) return INVALID_CONTEXT;
    if (--retained == 0) failure = 0;
    if (std::getenv("STANDIN_REPORT")) std::fprintf(stderr, "stand-in: released, %d things alive, %zu bytes\n", alive, allocated);
    if (options().count && retained == 0) report_counts();
    return OK;
}
CALL cuCtxSetCurrent(void *c) { if (c && c != &contextToken) return INVALID_CONTEXT; current = c; return OK; }

CALL cuLinkCreate_v2(unsigned n, int *names, void **values, void **state)
{
    NEED_CONTEXT;
    Linker *l = new Linker;
    for (unsigned i = 0; i < n; i++)
    {
        if (names[i] == 5) l->log = (char *)values[i];
        if (names[i] == 6) l->logBytes = (size_t)values[i];
    }
    *state = l;
    alive++;
    return OK;
}
CALL cuLinkAddData_v2(void *state, int type, void *data, size_t size, const char *, unsigned, int *, void **)
{
    NEED_CONTEXT;
    Linker *l = (Linker *)state;
    const char *text = (const char *)data;
    if (type != 1 || size == 0 || text[size - 1] != 0 || std::strlen(text) != size - 1) return INVALID_VALUE;
    Loaded tried;
    if (int code = load(tried, text, l->log, l->logBytes)) return code;
    l->image = std::string(CUBIN) + text;
    return OK;
}
CALL cuLinkComplete(void *state, void **cubin, size_t *bytes)
{
    NEED_CONTEXT;
    Linker *l = (Linker *)state;
    *cubin = l->image.data();
    *bytes = l->image.size() + 1;
    return OK;
}
CALL cuLinkDestroy(void *state) { delete (Linker *)state; alive--; return OK; }

CALL cuModuleLoadData(void **module, const void *image)
{
    NEED_CONTEXT;
    if (std::strncmp((const char *)image, CUBIN.data(), CUBIN.size())) return INVALID_IMAGE;
    auto loaded = std::make_unique<Loaded>();
    if (load(*loaded, (const char *)image + CUBIN.size(), nullptr, 0)) return INVALID_IMAGE;
    *module = loaded.release();
    alive++;
    return OK;
}
CALL cuModuleLoadDataEx(void **module, const void *image, unsigned n, int *names, void **values)
{
    NEED_CONTEXT;
    char *log = nullptr;
    size_t logBytes = 0;
    for (unsigned i = 0; i < n; i++)
    {
        if (names[i] == 5) log = (char *)values[i];
        if (names[i] == 6) logBytes = (size_t)values[i];
    }
    auto loaded = std::make_unique<Loaded>();
    if (int code = load(*loaded, (const char *)image, log, logBytes)) return code;
    *module = loaded.release();
    alive++;
    return OK;
}
// A module lives on: what was counted and graphs that were recorded speak of its kernels.
CALL cuModuleUnload(void *) { NEED_CONTEXT; alive--; return OK; }
CALL cuModuleGetFunction(void **function, void *module, const char *name)
{
    NEED_CONTEXT;
    auto &functions = ((Loaded *)module)->functions;
    auto found = functions.find(name);
    if (found == functions.end()) return NOT_FOUND;
    *function = &found->second;
    return OK;
}
CALL cuFuncSetAttribute(void *function, int attribute, int value)
{
    NEED_CONTEXT;
    if (attribute != 8 || value < 0 || (size_t)value > MOST_SHARED) return INVALID_VALUE;
    ((Function *)function)->shared = (uint32_t)value;
    return OK;
}
CALL cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra)
{
    NEED_CONTEXT;
    Function *f = (Function *)function;
    if (shared > f->shared || extra || gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || bx == 0 || by == 0 || bz == 0 || bx * by * bz > 1024) return INVALID_VALUE;
    Work work {};
    work.kind = Work::Run;
    work.launch = { f->kernel, { gx, gy, gz }, { bx, by, bz }, shared, std::vector<uint8_t>(f->kernel->parameterBytes) };
    for (size_t i = 0; i < f->kernel->parameters.size(); i++) std::memcpy(work.launch.parameters.data() + f->kernel->parameters[i].offset, params[i], f->kernel->parameters[i].bytes);
    return submit(stream, std::move(work));
}

CALL cuMemAlloc_v2(void **p, size_t n)
{
    NEED_CONTEXT;
    if (n == 0) return INVALID_VALUE;
    if (allocated + n > ALL_MEMORY) return OUT_OF_MEMORY;
    // CUDA aligns to 256 bytes; what is allocated holds whatever was there.
    size_t *at = (size_t *)std::aligned_alloc(256, 256 + (n + 255) / 256 * 256);
    if (!at) return OUT_OF_MEMORY;
    std::memset((char *)at + 256, 0xC3, std::min(n, (size_t)64 << 20));
    at[0] = n;
    allocated += n;
    alive++;
    *p = (char *)at + 256;
    allocations.add((uint64_t)*p, n);
    return OK;
}
CALL cuMemFree_v2(void *p)
{
    std::lock_guard<std::recursive_mutex> held(lock);
    if (!current || retained == 0) return INVALID_CONTEXT;
    if (!has(p, 1)) return INVALID_VALUE;
    size_t *at = (size_t *)((char *)p - 256);
    allocated -= at[0];
    alive--;
    allocations.remove((uint64_t)p);
    std::free(at);
    return failure;
}
CALL cuMemHostAlloc(void **p, size_t n, unsigned) { NEED_CONTEXT; *p = std::aligned_alloc(4096, (n + 4095) / 4096 * 4096); alive++; return *p ? OK : OUT_OF_MEMORY; }
CALL cuMemFreeHost(void *p) { std::lock_guard<std::recursive_mutex> held(lock); std::free(p); alive--; return failure; }
CALL cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t n, void *s)
{
    NEED_CONTEXT;
    if (((Stream *)s)->capturing) return CAPTURING;
    if (!has(to, n)) return INVALID_VALUE;
    std::memcpy(to, from, n);
    return OK;
}
CALL cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t n, void *s)
{
    NEED_CONTEXT;
    if (((Stream *)s)->capturing) return CAPTURING;
    if (!has(from, n)) return INVALID_VALUE;
    std::memcpy(to, from, n);
    return OK;
}
CALL cuMemcpyDtoDAsync_v2(void *to, const void *from, size_t n, void *s)
{
    NEED_CONTEXT;
    if (!has(to, n) || !has(from, n)) return INVALID_VALUE;
    Work work {};
    work.kind = Work::Copied, work.to = to, work.from = from, work.bytes = n;
    return submit(s, std::move(work));
}
CALL cuMemsetD8Async(void *to, unsigned char value, size_t n, void *s)
{
    NEED_CONTEXT;
    if (!has(to, n)) return INVALID_VALUE;
    Work work {};
    work.kind = Work::Filled, work.to = to, work.bytes = n, work.value = value;
    return submit(s, std::move(work));
}
CALL cuStreamCreate(void **s, unsigned) { NEED_CONTEXT; *s = new Stream {}; alive++; return OK; }
CALL cuStreamDestroy_v2(void *s) { std::lock_guard<std::recursive_mutex> held(lock); delete (Stream *)s; alive--; return failure; }
CALL cuStreamSynchronize(void *s) { NEED_CONTEXT; return ((Stream *)s)->capturing ? CAPTURING : OK; }
CALL cuStreamWaitEvent(void *, void *, unsigned) { NEED_CONTEXT; return OK; }
CALL cuStreamBeginCapture_v2(void *s, int) { NEED_CONTEXT; ((Stream *)s)->capturing = new Graph; alive++; return OK; }
CALL cuStreamEndCapture(void *s, void **graph)
{
    NEED_CONTEXT;
    *graph = ((Stream *)s)->capturing;
    ((Stream *)s)->capturing = nullptr;
    return *graph ? OK : NOT_CAPTURING;
}
CALL cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long) { NEED_CONTEXT; *exec = new Graph(*(Graph *)graph); alive++; return OK; }
CALL cuGraphDestroy(void *g) { std::lock_guard<std::recursive_mutex> held(lock); delete (Graph *)g; alive--; return failure; }
CALL cuGraphExecDestroy(void *g) { std::lock_guard<std::recursive_mutex> held(lock); delete (Graph *)g; alive--; return failure; }
CALL cuGraphLaunch(void *g, void *)
{
    NEED_CONTEXT;
    for (Work &work : ((Graph *)g)->works) if (int code = run(work)) return code;
    return OK;
}
CALL cuEventCreate(void **e, unsigned) { NEED_CONTEXT; *e = new Event {}; alive++; return OK; }
CALL cuEventRecord(void *e, void *s) { NEED_CONTEXT; if (((Stream *)s)->capturing) return CAPTURING; clock_gettime(CLOCK_MONOTONIC, &((Event *)e)->at); return OK; }
CALL cuEventSynchronize(void *) { NEED_CONTEXT; return OK; }
CALL cuEventElapsedTime(float *ms, void *a, void *b)
{
    NEED_CONTEXT;
    timespec x = ((Event *)a)->at, y = ((Event *)b)->at;
    *ms = (float)((double)(y.tv_sec - x.tv_sec) * 1e3 + (double)(y.tv_nsec - x.tv_nsec) / 1e6);
    return OK;
}
CALL cuEventDestroy_v2(void *e) { std::lock_guard<std::recursive_mutex> held(lock); delete (Event *)e; alive--; return failure; }
