// A libcuda.so.1 that does what CUDA's driver interface says on an OpenCL device, so that the host's side of the CUDA backend (arguments, contexts,
// streams, graphs, the linker and its cache) can be run where there is no card. It cannot run PTX: a module's OpenCL C is built instead, from
// the folder that STANDIN_KERNELS names. Streams do everything at once. Calls that need a context fail without one, as the driver's do.
//   tests/GpuKernels.Tests/Devices/run-on-stand-in
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void *cl;
int clGetPlatformIDs(unsigned, cl *, unsigned *);
int clGetDeviceIDs(cl, uint64_t, unsigned, cl *, unsigned *);
cl clCreateContext(const void *, unsigned, const cl *, void *, void *, int *);
cl clCreateCommandQueue(cl, cl, uint64_t, int *);
cl clCreateProgramWithSource(cl, unsigned, const char **, const size_t *, int *);
int clBuildProgram(cl, unsigned, const cl *, const char *, void *, void *);
cl clCreateKernel(cl, const char *, int *);
int clGetKernelInfo(cl, unsigned, size_t, void *, size_t *);
int clGetKernelArgInfo(cl, unsigned, unsigned, size_t, void *, size_t *);
int clSetKernelArg(cl, unsigned, size_t, const void *);
int clSetKernelArgSVMPointer(cl, unsigned, const void *);
int clEnqueueNDRangeKernel(cl, cl, unsigned, const size_t *, const size_t *, const size_t *, unsigned, const cl *, cl *);
int clFinish(cl);
void *clSVMAlloc(cl, uint64_t, size_t, unsigned);
void clSVMFree(cl, void *);

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, INVALID_CONTEXT = 201, INVALID_PTX = 218, INVALID_HANDLE = 400, LAUNCH_FAILED = 719 };
#define ALL_MEMORY (4ull << 30)
#define NEED_CONTEXT if (current == NULL || retained == 0) return INVALID_CONTEXT

typedef struct Function { cl kernel; unsigned count, shared; int bytes[64]; } Function;
typedef struct Op { int kind; Function *function; size_t global[3], local[3]; uint64_t values[64]; void *to, *from; size_t bytes; int value; struct Op *next; } Op;
typedef struct { Op *first, **last; } Graph;
typedef struct { Graph *capturing; } Stream;
typedef struct { struct timespec at; } Event;
typedef struct { char name[64]; char *log; size_t logBytes; char *cubin; } Linker;

static cl device, context, queue;
static int retained;
static _Thread_local void *current;
static int contextToken;
static uint64_t allocated;
static int alive;

int cuInit(unsigned flags)
{
    cl platform;
    int code;
    if (flags) return INVALID_VALUE;
    if (context) return 0;
    if (clGetPlatformIDs(1, &platform, NULL) || clGetDeviceIDs(platform, 0xFFFFFFFF, 1, &device, NULL)) return 100;
    context = clCreateContext(NULL, 1, &device, NULL, NULL, &code);
    queue = clCreateCommandQueue(context, device, 0, &code);
    return code ? 100 : 0;
}
int cuDriverGetVersion(int *v) { *v = getenv("STANDIN_VERSION") ? atoi(getenv("STANDIN_VERSION")) : 12040; return 0; }
int cuGetErrorName(int code, const char **s) { static char text[32]; snprintf(text, sizeof text, "STANDIN_ERROR_%d", code); *s = text; return 0; }
int cuGetErrorString(int code, const char **s) { *s = code == OUT_OF_MEMORY ? "out of memory" : "see cuda.h"; return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int ordinal) { *d = ordinal; return ordinal ? 101 : 0; }
int cuDeviceGetName(char *s, int n, int d) { snprintf(s, n, "stand-in"); return 0; }
int cuDeviceGetUuid(unsigned char *s, int d) { for (int i = 0; i < 16; i++) s[i] = i; return 0; }
int cuDeviceTotalMem_v2(size_t *n, int d) { *n = ALL_MEMORY; return 0; }
int cuDeviceGetAttribute(int *v, int what, int d) { *v = what == 16 ? 4 : what == 75 ? 8 : what == 76 ? 0 : -1; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { retained++; *c = &contextToken; return 0; }
int cuDevicePrimaryCtxRelease_v2(int d)
{
    if (retained == 0) return INVALID_CONTEXT;
    retained--;
    if (getenv("STANDIN_REPORT")) fprintf(stderr, "stand-in: released, %d things alive, %llu bytes\n", alive, (unsigned long long)allocated);
    return 0;
}
int cuCtxSetCurrent(void *c) { if (c && c != &contextToken) return INVALID_CONTEXT; current = c; return 0; }

int cuLinkCreate_v2(unsigned n, int *options, void **values, void **state)
{
    NEED_CONTEXT;
    Linker *l = calloc(1, sizeof *l);
    for (unsigned i = 0; i < n; i++)
    {
        if (options[i] == 5) l->log = values[i];
        if (options[i] == 6) l->logBytes = (size_t)values[i];
    }
    *state = l;
    alive++;
    return 0;
}
int cuLinkAddData_v2(void *state, int type, void *data, size_t size, const char *name, unsigned n, int *options, void **values)
{
    NEED_CONTEXT;
    Linker *l = state;
    const char *text = data;
    if (type != 1 || size == 0 || text[size - 1] != 0 || strlen(text) != size - 1) return INVALID_VALUE;
    if (!strstr(text, ".version 7.0"))
    {
        if (l->log) snprintf(l->log, l->logBytes, "ptxas: no .version 7.0");
        return INVALID_PTX;
    }
    snprintf(l->name, sizeof l->name, "%.*s", (int)(strlen(name) - 4), name);
    return 0;
}
int cuLinkComplete(void *state, void **cubin, size_t *bytes)
{
    NEED_CONTEXT;
    Linker *l = state;
    l->cubin = calloc(1, 128);
    *bytes = snprintf(l->cubin, 128, "CUBIN %s\n", l->name);
    *cubin = l->cubin;
    return 0;
}
int cuLinkDestroy(void *state) { Linker *l = state; free(l->cubin); free(l); alive--; return 0; }

static char *read_all(const char *folder, const char *name, const char *ending)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
    FILE *f = fopen(path, "r");
    if (!f) return NULL;
    char *text = calloc(1, 1 << 20);
    if (fread(text, 1, (1 << 20) - 1, f) == 0) text[0] = 0;
    fclose(f);
    return text;
}
int cuModuleLoadData(void **module, const void *image)
{
    NEED_CONTEXT;
    char name[64];
    int code;
    if (sscanf(image, "CUBIN %63s", name) != 1) return 200;
    const char *folder = getenv("STANDIN_KERNELS");
    const char *parts[2] = { read_all(folder, "shim", ".h"), read_all(folder, name, ".cl") };
    if (!parts[0] || !parts[1]) return 200;
    cl program = clCreateProgramWithSource(context, 2, parts, NULL, &code);
    if (clBuildProgram(program, 1, &device, "-cl-std=CL1.2 -cl-kernel-arg-info", NULL, NULL)) return 200;
    *module = program;
    alive++;
    return 0;
}
int cuModuleLoadDataEx(void **module, const void *image, unsigned n, int *options, void **values)
{
    // The PTX says of which file it was made.
    char name[64] = "", cubin[128];
    if (sscanf(image, "// shim.h and %63[^.].cl", name) != 1 || !strstr(image, ".version 8.0")) return INVALID_PTX;
    snprintf(cubin, sizeof cubin, "CUBIN %s\n", name);
    return cuModuleLoadData(module, cubin);
}
int cuModuleUnload(void *module) { NEED_CONTEXT; alive--; return 0; }
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    NEED_CONTEXT;
    int code;
    cl kernel = clCreateKernel(module, name, &code);
    if (code) return NOT_FOUND;
    Function *f = calloc(1, sizeof *f);
    f->kernel = kernel;
    f->shared = 48 << 10;
    clGetKernelInfo(kernel, 0x1191, sizeof f->count, &f->count, NULL);
    for (unsigned i = 0; i < f->count; i++)
    {
        unsigned space;
        char type[64] = "";
        clGetKernelArgInfo(kernel, i, 0x1196, sizeof space, &space, NULL);
        clGetKernelArgInfo(kernel, i, 0x1198, sizeof type, type, NULL);
        f->bytes[i] = space == 0x119B ? 0 : strstr(type, "long") ? 8 : 4;
    }
    *function = f;
    return 0;
}

static int run(Op *op)
{
    switch (op->kind)
    {
        case 0:
            for (unsigned i = 0; i < op->function->count; i++)
            {
                int bytes = op->function->bytes[i];
                int code = bytes ? clSetKernelArg(op->function->kernel, i, bytes, &op->values[i]) : clSetKernelArgSVMPointer(op->function->kernel, i, (void *)op->values[i]);
                if (code) { fprintf(stderr, "stand-in: argument %u: %d\n", i, code); return INVALID_VALUE; }
            }
            int code = clEnqueueNDRangeKernel(queue, op->function->kernel, 3, NULL, op->global, op->local, 0, NULL, NULL);
            if (code) { fprintf(stderr, "stand-in: launch: %d\n", code); return INVALID_VALUE; }
            return clFinish(queue) ? LAUNCH_FAILED : 0;
        case 1: memcpy(op->to, op->from, op->bytes); return 0;
        default: memset(op->to, op->value, op->bytes); return 0;
    }
}
static int submit(Stream *stream, Op *op)
{
    if (!stream) return INVALID_HANDLE;
    if (!stream->capturing) return run(op);
    Op *kept = malloc(sizeof *kept);
    *kept = *op;
    kept->next = NULL;
    *stream->capturing->last = kept;
    stream->capturing->last = &kept->next;
    return 0;
}

int cuFuncSetAttribute(void *function, int attribute, int value)
{
    NEED_CONTEXT;
    if (attribute != 8 || value < 0 || value > 227 << 10) return INVALID_VALUE;
    ((Function *)function)->shared = value;
    return 0;
}

int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra)
{
    NEED_CONTEXT;
    Function *f = function;
    Op op = { 0, f, { (size_t)gx * bx, (size_t)gy * by, (size_t)gz * bz }, { bx, by, bz } };
    if (shared > f->shared || extra || gy > 65535 || gz > 65535) return INVALID_VALUE;
    for (unsigned i = 0; i < f->count; i++) memcpy(&op.values[i], params[i], f->bytes[i] ? f->bytes[i] : 8);
    return submit(stream, &op);
}
int cuMemAlloc_v2(void **p, size_t n)
{
    NEED_CONTEXT;
    if (n == 0) return INVALID_VALUE;
    if (allocated + n > ALL_MEMORY) return OUT_OF_MEMORY;
    size_t *at = clSVMAlloc(context, 1, n + 256, 128);
    if (!at) return OUT_OF_MEMORY;
    at[0] = n;
    allocated += n;
    alive++;
    *p = (char *)at + 256;
    return 0;
}
int cuMemFree_v2(void *p)
{
    NEED_CONTEXT;
    size_t *at = (size_t *)((char *)p - 256);
    allocated -= at[0];
    alive--;
    clSVMFree(context, at);
    return 0;
}
int cuMemHostAlloc(void **p, size_t n, unsigned flags) { NEED_CONTEXT; *p = aligned_alloc(4096, (n + 4095) / 4096 * 4096); alive++; return 0; }
int cuMemFreeHost(void *p) { NEED_CONTEXT; free(p); alive--; return 0; }
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t n, void *s) { NEED_CONTEXT; if (((Stream *)s)->capturing) return 900; memcpy(to, from, n); return 0; }
int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t n, void *s) { NEED_CONTEXT; if (((Stream *)s)->capturing) return 900; memcpy(to, from, n); return 0; }
int cuMemcpyDtoDAsync_v2(void *to, const void *from, size_t n, void *s) { NEED_CONTEXT; Op op = { 1, .to = to, .from = (void *)from, .bytes = n }; return submit(s, &op); }
int cuMemsetD8Async(void *to, unsigned char value, size_t n, void *s) { NEED_CONTEXT; Op op = { 2, .to = to, .bytes = n, .value = value }; return submit(s, &op); }
int cuStreamCreate(void **s, unsigned flags) { NEED_CONTEXT; *s = calloc(1, sizeof(Stream)); alive++; return 0; }
int cuStreamDestroy_v2(void *s) { NEED_CONTEXT; free(s); alive--; return 0; }
int cuStreamSynchronize(void *s) { NEED_CONTEXT; return ((Stream *)s)->capturing ? 900 : 0; }
int cuStreamWaitEvent(void *s, void *e, unsigned flags) { NEED_CONTEXT; return 0; }
int cuStreamBeginCapture_v2(void *s, int mode)
{
    NEED_CONTEXT;
    Graph *g = calloc(1, sizeof *g);
    g->last = &g->first;
    ((Stream *)s)->capturing = g;
    alive++;
    return 0;
}
int cuStreamEndCapture(void *s, void **graph) { NEED_CONTEXT; *graph = ((Stream *)s)->capturing; ((Stream *)s)->capturing = NULL; return *graph ? 0 : 901; }
int cuGraphInstantiateWithFlags(void **exec, void *graph, uint64_t flags) { NEED_CONTEXT; Graph *g = malloc(sizeof *g); *g = *(Graph *)graph; *exec = g; alive++; return 0; }
int cuGraphDestroy(void *g) { NEED_CONTEXT; free(g); alive--; return 0; }
int cuGraphExecDestroy(void *g) { NEED_CONTEXT; free(g); alive--; return 0; }
int cuGraphLaunch(void *g, void *s)
{
    NEED_CONTEXT;
    for (Op *op = ((Graph *)g)->first; op; op = op->next) { int code = run(op); if (code) return code; }
    return 0;
}
int cuEventCreate(void **e, unsigned flags) { NEED_CONTEXT; *e = calloc(1, sizeof(Event)); alive++; return 0; }
int cuEventRecord(void *e, void *s) { NEED_CONTEXT; if (((Stream *)s)->capturing) return 900; clock_gettime(CLOCK_MONOTONIC, &((Event *)e)->at); return 0; }
int cuEventSynchronize(void *e) { NEED_CONTEXT; return 0; }
int cuEventElapsedTime(float *ms, void *a, void *b)
{
    NEED_CONTEXT;
    struct timespec x = ((Event *)a)->at, y = ((Event *)b)->at;
    *ms = (y.tv_sec - x.tv_sec) * 1e3f + (y.tv_nsec - x.tv_nsec) / 1e6f;
    return 0;
}
int cuEventDestroy_v2(void *e) { NEED_CONTEXT; free(e); alive--; return 0; }
