/* The CUDA runtime on the CPU; see tests/cuda/double.h.
 *
 * A stream is a queue. Its work is done by cudaStreamSynchronize, cudaEventSynchronize, or another stream that waits
 * for it. While a stream is captured, its work goes to a graph, and what a capture does not allow fails and spoils it.
 */
#ifndef DOUBLE_AGAINST_NVIDIA
#define SIMT_HOME /* the code that switches stacks is compiled here */
#endif
#include "tests/cuda/double.h"

#include <cuda.h>

#include <deque>
#include <map>
#include <memory>
#include <string>

using work = std::function<void()>;

struct CUgraph_st {
    std::vector<work> all;
};
struct CUgraphExec_st {
    std::shared_ptr<std::vector<work>> all;
};
struct CUstream_st {
    unsigned long id, issued, done; /* numbers of work */
    std::deque<work> queue;
    CUgraph_st *capture;
    bool spoiled;    /* the capture */
    unsigned broken; /* the number that is never written: work fails there; or 0 */
    bool failed;
};
struct moment {
    unsigned long stream, number;
    bool passed;
    double time;
};
struct CUevent_st {
    std::shared_ptr<moment> last;
    bool timed;
};

namespace
{

std::map<unsigned long, cudaStream_t> streams;
unsigned long streams_made;
int capturing; /* streams */
std::map<const char *, size_t> on_card, pinned;
cudaError_t last_error;

unsigned break_at;
unsigned long calls, fail_from, fail_to;
const char *failed_call = "";
/* The call that is to fail: its name, and which one of that name from now on; 1 is the next one. */
std::string fail_name;
int fail_in;
std::map<std::string, bool> failed_ever; /* each call that was made: did one of its name fail? */

bool context; /* of the card; it stays */

enum { ROOM_SHIFT = 34 }; /* what the card seems to have */

cudaError_t answered(cudaError_t e)
{
    if (e != cudaSuccess && e != cudaErrorNotReady)
        last_error = e;
    return e;
}

/* A call that would wait for all work is not allowed during a capture. */
cudaError_t unsafe(const char *call)
{
    context = true;
    if (simt::fails(call))
        return cudaErrorUnknown;
    for (auto &s : streams)
        s.second->spoiled |= s.second->capture != nullptr;
    return capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

void do_until(cudaStream_t s, unsigned long number)
{
    while (s->done < number) {
        work next = std::move(s->queue.front());
        s->queue.pop_front();
        s->done++;
        simt::card_time += 1e-3;
        if (!s->failed)
            next();
    }
}

/* Work of a stream that is gone is done. */
cudaError_t pass(const moment &m)
{
    auto s = streams.find(m.stream);
    if (s == streams.end())
        return cudaSuccess;
    do_until(s->second, m.number);
    return s->second->failed ? cudaErrorLaunchFailure : cudaSuccess;
}

const char *block_with(const std::map<const char *, size_t> &blocks, const void *p, size_t bytes)
{
    const char *from = static_cast<const char *>(p);
    auto after = blocks.upper_bound(from);
    if (after == blocks.begin())
        return nullptr;
    --after;
    return from + bytes <= after->first + after->second ? after->first : nullptr;
}

cudaError_t memory_new(std::map<const char *, size_t> &blocks, void **p, size_t bytes)
{
    *p = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    if (bytes > size_t(1) << ROOM_SHIFT || posix_memalign(p, 256, bytes))
        return cudaErrorMemoryAllocation;
    memset(*p, 0xff, bytes);
    blocks[static_cast<char *>(*p)] = bytes;
    simt::things++;
    return cudaSuccess;
}

/* It does not wait for work that uses the memory. */
cudaError_t memory_free(std::map<const char *, size_t> &blocks, void *p, cudaError_t result)
{
    if (!p)
        return cudaSuccess;
    if (!blocks.erase(static_cast<char *>(p)))
        return cudaErrorInvalidValue;
    simt::things--;
    free(p);
    return result;
}

cudaError_t event_new(cudaEvent_t *e, bool timed)
{
    *e = new CUevent_st{nullptr, timed};
    simt::things++;
    return cudaSuccess;
}

}  // namespace

/* ---- for the other doubles and the tests */

namespace simt
{

bool fails(const char *call)
{
    calls++;
    bool now = (calls >= fail_from && calls <= fail_to) || (fail_name == call && --fail_in == 0);
    bool &ever = failed_ever[call];
    if (now) {
        failed_call = call;
        ever = true;
        fail_name.clear();
    }
    return now;
}

bool refused()
{
    bool now = fails("launch");
    if (now)
        answered(cudaErrorLaunchOutOfResources);
    return now;
}

void enqueue(cudaStream_t s, work w)
{
    if (s->capture)
        s->capture->all.push_back(std::move(w));
    else {
        s->queue.push_back(std::move(w));
        s->issued++;
    }
}

void expect_on_card(const char *who, const void *p, size_t bytes, size_t align)
{
    if (block_with(on_card, p, bytes) && reinterpret_cast<uintptr_t>(p) % align == 0)
        return;
    fprintf(stderr, "simt: %s: %p is no memory of the card with %zu bytes, aligned to %zu\n", who, p, bytes, align);
    abort();
}

}  // namespace simt

/* The mark at which work fails on devices made from now on. */
extern "C" void simt_break_at(unsigned mark)
{
    break_at = mark;
}

/* Of the calls from now on, those number `first` to `last` fail; ~0: all further ones; 0, 0: none. */
extern "C" void simt_fail_at(unsigned long first, unsigned long last)
{
    fail_from = first ? calls + first : ~0ul;
    fail_to = last == ~0ul ? last : last ? calls + last : 0;
    failed_call = "";
}

extern "C" unsigned long simt_calls(void)
{
    return calls;
}

/* The last call that was made to fail; "" if none was. */
extern "C" const char *simt_failed(void)
{
    return failed_call;
}

/* The name of call i, of all that were made so far; "" behind the last one. */
extern "C" const char *simt_call_name(int i)
{
    for (const auto &call : failed_ever)
        if (i-- == 0)
            return call.first.c_str();
    return "";
}

/* The n-th call of this name from now on fails; "": none. */
extern "C" void simt_fail_call(const char *name, int n)
{
    fail_name = name;
    fail_in = n;
    failed_call = "";
}

/* A call that was made and never failed; "" if there is none. */
extern "C" const char *simt_spared(void)
{
    for (const auto &call : failed_ever)
        if (!call.second)
            return call.first.c_str();
    return "";
}

/* Does all work of all streams. */
extern "C" void simt_settle(void)
{
    for (auto &s : streams)
        do_until(s.second, s.second->issued);
}

/* True once a call needed a context of the card. */
extern "C" bool simt_has_context(void)
{
    return context;
}

extern "C" long simt_live(void)
{
    return simt::things;
}

/* ---- cards */

extern "C" {

const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorLaunchOutOfResources: return "too many resources requested for launch";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    case cudaErrorUnknown: return "unknown error";
    default: return "unrecognized error code";
    }
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

cudaError_t cudaGetDeviceCount(int *n)
{
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    *n = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int i)
{
    context = true;
    return answered(simt::fails(__func__) ? cudaErrorUnknown : i ? cudaErrorInvalidDevice : cudaSuccess);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int i)
{
    if (simt::fails(__func__) || i)
        return answered(cudaErrorInvalidDevice);
    memset(static_cast<void *>(p), 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated on the CPU");
    p->totalGlobalMem = size_t(1) << ROOM_SHIFT;
    p->major = 9;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int)
{
    if (simt::fails(__func__) || what != cudaDevAttrL2CacheSize)
        return answered(cudaErrorInvalidValue);
    *value = 1 << 16; /* small: the tests need not write much */
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *v)
{
    *v = CUDART_VERSION;
    return answered(simt::fails(__func__) ? cudaErrorUnknown : cudaSuccess);
}

cudaError_t cudaRuntimeGetVersion(int *v)
{
    *v = CUDART_VERSION;
    return answered(simt::fails(__func__) ? cudaErrorUnknown : cudaSuccess);
}

CUresult cuStreamWriteValue32(CUstream s, CUdeviceptr at, cuuint32_t value, unsigned)
{
    if (simt::fails(__func__))
        return CUDA_ERROR_UNKNOWN;
    simt::enqueue(s, [=] {
        if (s->broken && value >= s->broken)
            s->failed = true;
        else
            *reinterpret_cast<cuuint32_t *>(at) = value;
    });
    return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **f, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult *found)
{
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    bool known = strcmp(name, "cuStreamWriteValue32") == 0;
    *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    *f = known ? reinterpret_cast<void *>(cuStreamWriteValue32) : nullptr;
    return cudaSuccess;
}

/* ---- memory */

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    *p = nullptr;
    cudaError_t e = unsafe(__func__);
    return answered(e == cudaErrorUnknown ? cudaErrorMemoryAllocation : e ? e : memory_new(on_card, p, bytes));
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    *p = nullptr;
    cudaError_t e = unsafe(__func__);
    return answered(e == cudaErrorUnknown ? cudaErrorMemoryAllocation : e ? e : memory_new(pinned, p, bytes));
}

cudaError_t cudaFree(void *p)
{
    return answered(memory_free(on_card, p, p ? unsafe(__func__) : cudaSuccess));
}

cudaError_t cudaFreeHost(void *p)
{
    return answered(memory_free(pinned, p, p ? unsafe(__func__) : cudaSuccess));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t s)
{
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    if (kind != cudaMemcpyDeviceToHost)
        simt::expect_on_card(__func__, to, bytes, 1);
    if (kind != cudaMemcpyHostToDevice)
        simt::expect_on_card(__func__, from, bytes, 1);
    const void *host = kind == cudaMemcpyHostToDevice ? from : kind == cudaMemcpyDeviceToHost ? to : nullptr;
    if (!host || block_with(pinned, host, bytes)) {
        simt::enqueue(s, [=] { memmove(to, from, bytes); });
        return cudaSuccess;
    }
    if (s->capture) {
        s->spoiled = true;
        return answered(cudaErrorStreamCaptureUnsupported);
    }
    if (kind == cudaMemcpyHostToDevice) { /* taken before it returns */
        std::vector<char> taken(static_cast<const char *>(from), static_cast<const char *>(from) + bytes);
        simt::enqueue(s, [=] { memcpy(to, taken.data(), bytes); });
        return cudaSuccess;
    }
    simt::enqueue(s, [=] { memcpy(to, from, bytes); });
    do_until(s, s->issued);
    return answered(s->failed ? cudaErrorLaunchFailure : cudaSuccess);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    simt::expect_on_card(__func__, p, bytes, 1);
    simt::enqueue(s, [=] { memset(p, value, bytes); });
    return cudaSuccess;
}

/* ---- streams and events */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = nullptr;
    context = true;
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    *s = new CUstream_st{++streams_made, 0, 0, {}, nullptr, false, break_at, false};
    streams[streams_made] = *s;
    simt::things++;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    cudaError_t e = simt::fails(__func__) ? cudaErrorUnknown : cudaSuccess;
    do_until(s, s->issued);
    capturing -= s->capture != nullptr;
    delete s->capture;
    streams.erase(s->id);
    delete s;
    simt::things--;
    return answered(e);
}

/* A wait that fails has waited: on a card it is the work that failed. */
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    bool bad = simt::fails(__func__);
    if (s->capture) {
        s->spoiled = true;
        return answered(cudaErrorStreamCaptureUnsupported);
    }
    do_until(s, s->issued);
    return answered(bad ? cudaErrorUnknown : s->failed ? cudaErrorLaunchFailure : cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    if (e->last) {
        std::shared_ptr<moment> until = e->last;
        simt::enqueue(s, [=] { pass(*until); });
    }
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    *e = nullptr;
    return answered(simt::fails(__func__) ? cudaErrorUnknown : event_new(e, true));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
    *e = nullptr;
    return answered(simt::fails(__func__) ? cudaErrorUnknown : event_new(e, !(flags & cudaEventDisableTiming)));
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    simt::things--;
    return answered(simt::fails(__func__) ? cudaErrorUnknown : cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    if (s->capture) { /* no library here needs it */
        s->spoiled = true;
        return answered(cudaErrorStreamCaptureUnsupported);
    }
    std::shared_ptr<moment> now(new moment{s->id, s->issued + 1, false, 0});
    e->last = now;
    simt::enqueue(s, [=] {
        now->passed = true;
        now->time = simt::card_time;
    });
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    bool bad = simt::fails(__func__);
    cudaError_t error = e->last ? pass(*e->last) : cudaSuccess;
    return answered(bad ? cudaErrorUnknown : error);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    if (simt::fails(__func__) || !from->timed || !to->timed || !from->last || !to->last)
        return answered(cudaErrorInvalidResourceHandle);
    if (!from->last->passed || !to->last->passed)
        return cudaErrorNotReady;
    *ms = static_cast<float>(to->last->time - from->last->time);
    return cudaSuccess;
}

/* ---- recordings */

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    if (simt::fails(__func__) || s->capture)
        return answered(cudaErrorUnknown);
    s->capture = new CUgraph_st;
    s->spoiled = false;
    capturing++;
    simt::things++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    *g = nullptr;
    bool bad = simt::fails(__func__);
    if (!s->capture)
        return answered(cudaErrorInvalidValue);
    *g = s->capture;
    s->capture = nullptr;
    capturing--;
    if (!s->spoiled && !bad)
        return cudaSuccess;
    delete *g;
    *g = nullptr;
    simt::things--;
    return answered(bad ? cudaErrorUnknown : cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long)
{
    *x = nullptr;
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    *x = new CUgraphExec_st{std::make_shared<std::vector<work>>(g->all)};
    simt::things++;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    delete g;
    simt::things--;
    return answered(simt::fails(__func__) ? cudaErrorUnknown : cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x)
{
    delete x;
    simt::things--;
    return answered(simt::fails(__func__) ? cudaErrorUnknown : cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s)
{
    if (simt::fails(__func__))
        return answered(cudaErrorUnknown);
    auto all = x->all;
    simt::enqueue(s, [=] {
        for (const work &w : *all)
            w();
    });
    return cudaSuccess;
}
}

#ifndef DOUBLE_AGAINST_NVIDIA
/* Permutes the threads of every block; odd orders turn the order of the blocks round. */
extern "C" void simt_order(unsigned order)
{
    simt::order = order;
}
#endif
