/* library.h with cudart: cards, memory, copies and recordings.
 *
 *   copies        through two pinned halves: one is filled while the other is sent.
 *   transfers     pinned memory and a stream of their own: the values of a batch are copied while the next one runs.
 *   recordings    a batch captured from the stream into a graph.
 *   marks         a word of pinned memory to which the stream writes its progress after each operation, without a
 *                 kernel. Recordings have none.
 */
#include <cuda.h>
#ifdef MV_CUDNN
#include <cudnn.h>
#endif

#include "cuda/library_state.h"

namespace mv
{

namespace
{

constexpr size_t BOUNCE = size_t(16) << 20;

constexpr char COPY[] = "copy from the GPU", WAIT[] = "wait";

/* Why there is no card, and what to do. */
const char *advice(cudaError_t error)
{
    switch (error) {
    case cudaErrorInsufficientDriver: return "the NVIDIA driver is too old for this plug-in: update it";
    case cudaErrorNoDevice: return "no NVIDIA GPU was found";
    case cudaErrorNotSupported:
    case cudaErrorStubLibrary:
    case cudaErrorSystemDriverMismatch:
        return "the NVIDIA driver does not fit: install the driver of this system's GPU";
    default: return nullptr;
    }
}

}  // namespace

/* ---- cards */

/* The libraries that this process has, which may be others than those of the build. */
static void versions(char text[64])
{
    size_t v = cublasLtGetVersion();
    int n = snprintf(text, 64, "cuBLASLt %zu.%zu.%zu, ", v / 10000, v / 100 % 100, v % 100);
#ifdef MV_CUDNN
    v = cudnnGetVersion();
    snprintf(text + n, 64 - static_cast<size_t>(n), "cuDNN %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
#else
    snprintf(text + n, 64 - static_cast<size_t>(n), "without cuDNN");
#endif
}

mv_status library_count(int *n, mv_error *e)
{
    *n = 0;
    cudaError_t error = cudaGetDeviceCount(n);
    if (error == cudaSuccess && *n > 0)
        return MV_OK;
    int driver = 0;
    cudaDriverGetVersion(&driver);
    cudaGetLastError();
    if (driver == 0)
        return mv_fail(e, MV_EDEVICE, "no NVIDIA driver is installed: install it, or use -d cpu");
    if (error == cudaErrorInsufficientDriver) {
        int needs = 0;
        cudaRuntimeGetVersion(&needs);
        return mv_fail(e, MV_EDEVICE, "the NVIDIA driver knows CUDA %d.%d, expected %d.%d or later: update the driver",
                       driver / 1000, driver % 1000 / 10, needs / 1000, needs % 1000 / 10);
    }
    const char *why = error == cudaSuccess ? advice(cudaErrorNoDevice) : advice(error);
    return mv_fail(e, MV_EDEVICE, "%s", why ? why : cudaGetErrorString(error));
}

/* It calls nothing that makes a context, which takes time and memory of the card: the free memory would need one, and
 * since CUDA 12 cudaSetDevice makes it at once. */
mv_status library_describe(int i, char text[160], mv_error *e)
{
    int n = 0;
    mv_status s = library_count(&n, e);
    if (s)
        return s;
    if (i < 0 || i >= n)
        return mv_fail(e, MV_EDEVICE, "cuda:%d: no such GPU, found %d", i, n);
    cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceProperties(&p, i);
    if (error != cudaSuccess)
        return mv_fail(e, MV_EDEVICE, "cuda:%d: %s", i, cudaGetErrorString(error));
    if (p.major < 8)
        return mv_fail(e, MV_EDEVICE, "cuda:%d: %s has compute capability %d.%d, expected 8.0 or later", i, p.name,
                       p.major, p.minor);
    char libraries[64];
    versions(libraries);
    snprintf(text, 160, "%.40s, compute capability %d.%d, %.1f GiB, %s", p.name, p.major, p.minor,
             static_cast<double>(p.totalGlobalMem) / (1 << 30), libraries);
    return MV_OK;
}

bool library_has_fp8(int i)
{
    cudaDeviceProp p;
    bool known = cudaGetDeviceProperties(&p, i) == cudaSuccess;
    cudaGetLastError();
    return known && p.major == 9 && p.minor == 0; /* only there cuBLASLt has scales by row and column */
}

/* ---- life */

/* The word of progress. If the card or driver cannot write it, late failures are not named; everything else works. */
static mv_status marks_new(library *l, mv_error *e)
{
    cudaDriverEntryPointQueryResult found;
    mv_status s =
        checked(l, "start",
                cudaHostAlloc(reinterpret_cast<void **>(l->passed.out()), sizeof(unsigned), cudaHostAllocMapped), e);
    if (s)
        return s;
    *l->passed = 0;
    if (cudaGetDriverEntryPointByVersion("cuStreamWriteValue32", &l->write_value, 12000, cudaEnableDefault, &found) !=
            cudaSuccess ||
        found != cudaDriverEntryPointSuccess) {
        l->write_value = nullptr;
        cudaGetLastError();
    }
    return MV_OK;
}

library *library_new(int card, mv_error *e)
{
    char text[160];
    if (library_describe(card, text, e))
        return nullptr;
    library *l = new (std::nothrow) library{};
    if (!l) {
        mv_fail_memory(e, "cuda");
        return nullptr;
    }
    l->card = card;
    mv_status s = checked(l, "start", cudaSetDevice(card), e);
    if (!s)
        s = checked(l, "start", cudaStreamCreateWithFlags(l->stream.out(), cudaStreamNonBlocking), e);
    for (int i = 0; i < 2 && !s; i++) {
        s = checked(l, "start", cudaHostAlloc(l->bounce[i].out(), BOUNCE, cudaHostAllocDefault), e);
        if (!s)
            s = checked(l, "start", cudaEventCreateWithFlags(l->gone[i].out(), cudaEventDisableTiming), e);
    }
    if (!s)
        s = checked(l, "start", cudaStreamCreateWithFlags(l->down.out(), cudaStreamNonBlocking), e);
    if (!s)
        s = marks_new(l, e);
    if (!s)
        s = library_products_new(l, e);
    if (!s)
        s = library_convolutions_new(l, e);
    if (s) {
        library_free(l);
        return nullptr;
    }
    return l;
}

void library_free(library *l)
{
    if (!l)
        return;
    cudaSetDevice(l->card);
    if (l->stream)
        cudaStreamSynchronize(l->stream);
    library_uploads_free(l);
    library_convolutions_free(l);
    for (void *p : l->retired)
        cudaFree(p);
    delete l;
    cudaGetLastError(); /* of work that failed before */
}

void library_use(library *l)
{
    cudaSetDevice(l->card);
    cudaGetLastError(); /* of a call that could not report it, such as a release; or the next launch reports it */
}

cudaStream_t library_stream(const library *l)
{
    return l->stream;
}

/* ---- memory and copies */

void *library_alloc(library *l, size_t bytes)
{
    void *p = nullptr;
    cudaSetDevice(l->card);
    if (cudaMalloc(&p, bytes) != cudaSuccess) {
        cudaGetLastError(); /* NULL reports it */
        return nullptr;
    }
    return p;
}

void library_release(library *l, void *p)
{
    if (!p)
        return;
    cudaStreamSynchronize(l->stream);
    cudaFree(p);
}

mv_status library_up(library *l, void *to, const void *from, size_t bytes, mv_error *e)
{
    for (size_t at = 0, turn = 0; at < bytes; at += BOUNCE, turn ^= 1) {
        size_t n = bytes - at < BOUNCE ? bytes - at : BOUNCE;
        mv_status s = checked(l, "copy to the GPU", cudaEventSynchronize(l->gone[turn]), e);
        if (s)
            return s;
        memcpy(l->bounce[turn], static_cast<const char *>(from) + at, n);
        s = checked(
            l, "copy to the GPU",
            cudaMemcpyAsync(static_cast<char *>(to) + at, l->bounce[turn], n, cudaMemcpyHostToDevice, l->stream), e);
        if (!s)
            s = checked(l, "copy to the GPU", cudaEventRecord(l->gone[turn], l->stream), e);
        if (s)
            return s;
    }
    return MV_OK;
}

mv_status library_down(library *l, void *to, const void *from, size_t bytes, mv_error *e)
{
    size_t pieces = (bytes + BOUNCE - 1) / BOUNCE;
    auto size = [&](size_t i) { return i + 1 < pieces ? BOUNCE : bytes - i * BOUNCE; };
    for (size_t i = 0; i <= pieces; i++) { /* piece i is requested while piece i - 1 is copied out */
        mv_status s = MV_OK;
        if (i < pieces) {
            s = checked(l, COPY,
                        cudaMemcpyAsync(l->bounce[i % 2], static_cast<const char *>(from) + i * BOUNCE, size(i),
                                        cudaMemcpyDeviceToHost, l->stream),
                        e);
            if (!s)
                s = checked(l, COPY, cudaEventRecord(l->gone[i % 2], l->stream), e);
        }
        if (!s && i > 0) {
            s = checked(l, COPY, cudaEventSynchronize(l->gone[(i - 1) % 2]), e);
            if (!s)
                memcpy(static_cast<char *>(to) + (i - 1) * BOUNCE, l->bounce[(i - 1) % 2], size(i - 1));
        }
        if (s)
            return s;
    }
    return MV_OK;
}

mv_status library_finish(library *l, mv_error *e)
{
    return checked(l, WAIT, cudaStreamSynchronize(l->stream), e);
}

mv_status library_launched(library *l, const char *op, mv_error *e)
{
    return checked(l, op, cudaGetLastError(), e);
}

mv_status library_across(library *l, void *to, const void *from, size_t bytes, mv_error *e)
{
    return checked(l, "copy on the GPU", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, l->stream), e);
}

void library_mark(library *l, const char *site, const char *op)
{
    if (l->recording)
        return;
    unsigned number = l->asked.add(site, op);
    if (l->write_value)
        reinterpret_cast<decltype(&cuStreamWriteValue32)>(l->write_value)(
            l->stream, reinterpret_cast<CUdeviceptr>(static_cast<unsigned *>(l->passed)), number,
            CU_STREAM_WRITE_VALUE_DEFAULT);
    else
        *l->passed = number;
}

/* ---- transfers */

/* made: everything that was put is in the buffer. landed: it has arrived on the host. */
struct ticket {
    owned_event made, landed;
};

mv_status library_transfer_new(library *l, mv_transfer *out, size_t bytes, mv_error *e)
{
    *out = {};
    ticket *t = new (std::nothrow) ticket{};
    if (!t)
        return mv_fail_memory(e, "cuda");
    out->own = t;
    out->size = bytes;
    mv_status s = checked(l, "staging buffer", cudaMalloc(&out->device, bytes), e);
    if (!s)
        s = checked(l, "staging buffer",
                    cudaHostAlloc(reinterpret_cast<void **>(&out->host), bytes, cudaHostAllocDefault), e);
    if (!s)
        s = checked(l, "staging buffer", cudaEventCreateWithFlags(t->made.out(), cudaEventDisableTiming), e);
    if (!s)
        s = checked(l, "staging buffer", cudaEventCreateWithFlags(t->landed.out(), cudaEventDisableTiming), e);
    if (s) {
        library_transfer_free(l, out);
        cudaGetLastError();
    }
    return s;
}

void library_transfer_free(library *l, mv_transfer *t)
{
    ticket *own = static_cast<ticket *>(t->own);
    if (own) {
        cudaStreamSynchronize(l->stream);
        cudaStreamSynchronize(l->down);
        cudaFree(t->device);
        cudaFreeHost(t->host);
        delete own;
    }
    *t = {};
}

mv_status library_transfer_send(library *l, mv_transfer *t, size_t bytes, mv_error *e)
{
    const ticket *own = static_cast<const ticket *>(t->own);
    mv_status s = checked(l, COPY, cudaEventRecord(own->made, l->stream), e);
    if (!s)
        s = checked(l, COPY, cudaStreamWaitEvent(l->down, own->made, 0), e);
    if (!s)
        s = checked(l, COPY, cudaMemcpyAsync(t->host, t->device, bytes, cudaMemcpyDeviceToHost, l->down), e);
    return s ? s : checked(l, COPY, cudaEventRecord(own->landed, l->down), e);
}

mv_status library_transfer_wait(library *l, mv_transfer *t, mv_error *e)
{
    return checked(l, WAIT, cudaEventSynchronize(static_cast<const ticket *>(t->own)->landed), e);
}

/* ---- recordings */

mv_status library_record(library *l, mv_error *e)
{
    mv_status s = checked(l, "record", cudaStreamBeginCapture(l->stream, cudaStreamCaptureModeThreadLocal), e);
    l->recording = !s;
    return s;
}

mv_status library_recorded(library *l, void **graph, mv_error *e)
{
    cudaGraph_t kept = nullptr;
    cudaGraphExec_t made = nullptr;
    l->recording = false;
    *graph = nullptr;
    mv_status s = checked(l, "record", cudaStreamEndCapture(l->stream, &kept), e);
    if (!s)
        s = checked(l, "record", cudaGraphInstantiate(&made, kept, 0), e);
    if (kept)
        cudaGraphDestroy(kept);
    *graph = made;
    l->graphs += made != nullptr;
    return s;
}

bool library_records(const library *l)
{
    return l->recording;
}

void library_retire(library *l, void *p)
{
    if (p && l->graphs)
        l->retired.push_back(p);
    else
        library_release(l, p);
}

mv_status library_replay(library *l, void *graph, mv_error *e)
{
    return checked(l, "replay", cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), l->stream), e);
}

void library_forget(library *l, void *graph)
{
    if (!graph)
        return;
    cudaStreamSynchronize(l->stream);
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
    if (--l->graphs)
        return;
    for (void *p : l->retired)
        cudaFree(p);
    l->retired.clear();
}

}  // namespace mv
