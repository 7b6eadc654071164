/* library.h's convolutions over cuDNN's operation graphs, where the build found it (MV_CUDNN): channels last, sums in
 * fp32, tensor cores for 16 bits; bias and ReLU, tanh GELU or residual are part of the call. Without cuDNN, or where it
 * offers no kernel, the device lays out columns and multiplies.
 *
 *   plan         of the first engines that the heuristics offer, the fastest by time, once per shape and alignment
 *   GELU         no kernel of cuDNN 9 includes it: one is compiled at run time, about a second each. That is done for
 *                long runs only (repays_compiling), and its time compared with that of the convolution and a kernel for
 *                GELU
 *   NaN          cuDNN decides what its ReLU makes of it
 *   back         the transpose is an operation of its own, without bias and activation
 */
#include "cuda/library_state.h"

#ifdef MV_CUDNN

#include "cuda/cudnn_graph.h"
#include "cuda/launch.h"

#ifndef MV_COMPILE_FROM
#define MV_COMPILE_FROM mv::COMPILE_FROM
#endif

namespace mv
{

namespace
{

enum { CANDIDATES = 8, COMPILED = 2, REPEATS = 3 };
constexpr size_t WORKSPACE_MOST = size_t(1) << 30;

/* Type, pictures, h, w, c, n, stride, act, residual, back, alignment */
using conv_key = std::tuple<int, int, int, int, int, int, int, int, bool, bool, int64_t>;

conv_key key_of(const convolution &c, int64_t align)
{
    return conv_key(c.type, c.pictures, c.h, c.w, c.c, c.n, c.stride, c.act, c.residual != nullptr, c.back, align);
}

/* What all addresses of a convolution are multiples of, up to the 16 bytes that kernels use. */
int64_t alignment_of(const convolution &c)
{
    uintptr_t all = reinterpret_cast<uintptr_t>(c.x) | reinterpret_cast<uintptr_t>(c.weights) |
                    reinterpret_cast<uintptr_t>(c.bias) | reinterpret_cast<uintptr_t>(c.residual) |
                    reinterpret_cast<uintptr_t>(c.out) | 16;
    return static_cast<int64_t>(all & (~all + 1));
}

}  // namespace

struct convolver {
    cudnnHandle_t handle;
    descriptor card;
    std::map<conv_key, std::vector<conv_plan>> plans; /* one, or none: cuDNN does not compute it */
    void *workspace;
    size_t workspace_size;
};

namespace
{

cudnnStatus_t execute(const convolver &v, const conv_plan &p, const convolution &c, void *out)
{
    const int64_t names[] = {CONV_X, CONV_W, CONV_OUT, CONV_BIAS, CONV_RESIDUAL};
    void *const at[] = {const_cast<void *>(c.x), const_cast<void *>(c.weights), out, const_cast<void *>(c.bias),
                        const_cast<void *>(c.residual)};
    const size_t n = c.back ? 3 : c.residual ? 5 : 4;
    descriptor values = descriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
                            .set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, names, n)
                            .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, at, n)
                            .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, {v.workspace})
                            .finalized();
    return values.status() == CUDNN_STATUS_SUCCESS ? cudnnBackendExecute(v.handle, p.plan.raw(), values.raw())
                                                   : values.status();
}

/* False if there is no memory for it; then the old one is still there. */
bool workspace_grown(library *l, size_t bytes)
{
    convolver &v = *l->convolver;
    if (bytes <= v.workspace_size)
        return true;
    void *larger = nullptr;
    if (cudaMalloc(&larger, bytes) != cudaSuccess) {
        cudaGetLastError();
        return false;
    }
    void *old = std::exchange(v.workspace, larger);
    v.workspace_size = bytes;
    library_retire(l, old);
    return true;
}

struct timer {
    owned_event from, to;
    timer()
    {
        if (cudaEventCreate(from.out()) != cudaSuccess || cudaEventCreate(to.out()) != cudaSuccess)
            cudaGetLastError();
    }

    /* Milliseconds of `work`, after a first call to warm it; INFINITY if it does not work. */
    template <class F> float time(cudaStream_t stream, F work)
    {
        float ms = INFINITY;
        if (!to || !work())
            return ms;
        bool works = cudaEventRecord(from, stream) == cudaSuccess;
        for (int i = 0; i < REPEATS; i++)
            works = works && work();
        works = works && cudaEventRecord(to, stream) == cudaSuccess && cudaEventSynchronize(to) == cudaSuccess &&
                cudaEventElapsedTime(&ms, from, to) == cudaSuccess;
        return works ? ms : INFINITY;
    }
};

/* The plan of a convolution; none: cuDNN does not compute it. May throw std::bad_alloc. */
const conv_plan *plan_of(library *l, const convolution &c);

/* The fastest of several plans; of a convolution with GELU, none where two kernels are faster. Timed on memory of its
 * own if the output is the residual. */
void choose(library *l, const convolution &c, std::vector<conv_plan> &plans)
{
    convolver &v = *l->convolver;
    const size_t rows = positions_of(c), n = static_cast<size_t>(c.n);
    void *other = nullptr;
    if (c.residual && cudaMalloc(&other, rows * n * mv_dtype_size(c.type)) != cudaSuccess) {
        cudaGetLastError();
        plans.resize(1); /* the heuristics' own choice */
        return;
    }
    void *out = other ? other : c.out;
    timer t;
    if (!t.to) {
        cudaFree(other);
        plans.resize(c.act == MV_ACT_GELU_TANH ? 0 : 1);
        return;
    }
    size_t best = plans.size();
    float least = INFINITY;
    for (size_t i = 0; i < plans.size(); i++) {
        float ms = t.time(l->stream, [&] { return execute(v, plans[i], c, out) == CUDNN_STATUS_SUCCESS; });
        if (ms < least)
            least = ms, best = i;
        cudaGetLastError();
    }
    convolution plain = c;
    plain.act = MV_ACT_NONE;
    const conv_plan *alone = c.act == MV_ACT_GELU_TANH ? plan_of(l, plain) : nullptr;
    if (alone) {
        float ms = t.time(l->stream, [&] {
            bool works = execute(v, *alone, plain, out) == CUDNN_STATUS_SUCCESS;
            launch_rows({c.type, c.type, c.type, out, out, nullptr, nullptr, nullptr, c.act, rows, c.n}, l->stream);
            return works && cudaGetLastError() == cudaSuccess;
        });
        if (ms <= least)
            best = plans.size();
        cudaGetLastError();
    }
    cudaStreamSynchronize(l->stream);
    cudaFree(other);
    if (best < plans.size())
        std::swap(plans[0], plans[best]);
    plans.resize(best < plans.size() ? 1 : 0);
}

const conv_plan *plan_of(library *l, const convolution &c)
{
    convolver &v = *l->convolver;
    const int64_t align = alignment_of(c);
    const conv_key key = key_of(c, align);
    auto known = v.plans.find(key);
    if (known == v.plans.end()) {
        const bool compile = c.act == MV_ACT_GELU_TANH;
        if (compile && (l->recording || !repays_compiling(c, MV_COMPILE_FROM)))
            return nullptr;
        std::vector<conv_plan> fit, plans = conv_plans(c, align, v.card, compile ? COMPILED : CANDIDATES, compile);
        bool memory = true;
        for (conv_plan &p : plans)
            if (p.workspace <= WORKSPACE_MOST) {
                if (workspace_grown(l, p.workspace))
                    fit.push_back(std::move(p));
                else
                    memory = false;
            }
        if (!fit.empty() && l->recording)
            fit.resize(1);
        else if (!fit.empty())
            choose(l, c, fit);
        cudaGetLastError(); /* what a trial left must not be blamed on another operation */
        if (fit.empty() && !memory)
            return nullptr; /* there may be memory another time */
        known = v.plans.emplace(key, std::move(fit)).first;
    }
    return known->second.empty() ? nullptr : &known->second[0];
}

}  // namespace

bool library_convolves(const library *l, const convolution &c)
{
    try {
        return plan_of(const_cast<library *>(l), c);
    } catch (const std::bad_alloc &) {
        return false;
    }
}

mv_status library_convolve(library *l, const convolution &c, mv_error *e)
{
    auto known = l->convolver->plans.find(key_of(c, alignment_of(c)));
    if (known == l->convolver->plans.end() || known->second.empty())
        return mv_fail(e, MV_EMISUSE, "cuda:%d: conv2d: no plan", l->card);
    cudnnStatus_t s = execute(*l->convolver, known->second[0], c, c.out);
    return s == CUDNN_STATUS_SUCCESS
               ? MV_OK
               : mv_fail(e, MV_EDEVICE, "cuda:%d: conv2d: cuDNN: %s", l->card, cudnnGetErrorString(s));
}

mv_status library_convolutions_new(library *l, mv_error *e)
{
    l->convolver = new (std::nothrow) convolver{};
    if (!l->convolver)
        return mv_fail_memory(e, "cuda");
    convolver &v = *l->convolver;
    cudnnStatus_t s = cudnnCreate(&v.handle);
    if (s == CUDNN_STATUS_SUCCESS)
        s = cudnnSetStream(v.handle, l->stream);
    if (s == CUDNN_STATUS_SUCCESS) {
        v.card =
            descriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR).set(CUDNN_ATTR_DEVICEPROP_HANDLE, {v.handle}).finalized();
        s = v.card.status();
    }
    return s == CUDNN_STATUS_SUCCESS
               ? MV_OK
               : mv_fail(e, MV_EDEVICE, "cuda:%d: cuDNN cannot be started: %s", l->card, cudnnGetErrorString(s));
}

void library_convolutions_free(library *l)
{
    if (!l->convolver)
        return;
    convolver &v = *l->convolver;
    v.plans.clear();
    v.card = descriptor();
    if (v.handle)
        cudnnDestroy(v.handle);
    cudaFree(v.workspace);
    delete l->convolver;
    l->convolver = nullptr;
}

}  // namespace mv

#else

namespace mv
{

bool library_convolves(const library *, const convolution &)
{
    return false;
}

mv_status library_convolve(library *l, const convolution &, mv_error *e)
{
    return mv_fail(e, MV_EMISUSE, "cuda:%d: conv2d: built without cuDNN", l->card);
}

mv_status library_convolutions_new(library *, mv_error *)
{
    return MV_OK;
}

void library_convolutions_free(library *)
{
}

}  // namespace mv

#endif
