/* library.h's products over cuBLASLt: D^T = W X^T, as it counts columns first; W transposed unless it is turned, bias
 * along D's columns.
 *
 * How a product is computed is decided once per shape and alignment, by the first of these ways that works:
 *
 *   FUSED   one call of cuBLASLt, with bias and activation in its epilogue
 *   APART   the call without the activation, then a kernel that applies it in place
 *   PLAIN   product.cu's kernel; there is none with scales
 *
 * FUSED GELU is timed beside APART, because some epilogues are a slow second pass. Algorithms are chosen by time among
 * those that the heuristics offer; before each timed call the L2 cache is overwritten, because in a pass the weights of
 * a layer come from memory. Descriptors stay with the plan; only the addresses of bias and scales are set in each call.
 */
#include "cuda/launch.h"
#include "cuda/library_state.h"

namespace mv
{

namespace
{

enum { CANDIDATES = 8, REPEATS = 3, MOST_ALIGN = 16 };

mv_status failed_lt(const library *l, cublasStatus_t s, mv_error *e)
{
    return mv_fail(e, s == CUBLAS_STATUS_ALLOC_FAILED ? MV_ENOMEM : MV_EDEVICE, "cuda:%d: product: cuBLASLt: %s",
                   l->card, cublasLtGetStatusString(s));
}

/* True if there is no kernel for it, rather than something broken. */
bool is_refusal(cublasStatus_t s)
{
    return s == CUBLAS_STATUS_INVALID_VALUE || s == CUBLAS_STATUS_NOT_SUPPORTED || s == CUBLAS_STATUS_ARCH_MISMATCH;
}

cudaDataType_t type_of(mv_dtype t)
{
    return t == MV_F32 ? CUDA_R_32F : t == MV_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

cublasLtEpilogue_t epilogue_of(bool bias, mv_act act)
{
    return act == MV_ACT_RELU        ? bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU
           : act == MV_ACT_GELU_TANH ? bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU
           : bias                    ? CUBLASLT_EPILOGUE_BIAS
                                     : CUBLASLT_EPILOGUE_DEFAULT;
}

/* The largest power of two up to 16 that divides all addresses and lengths of rows, in bytes. */
unsigned alignment_of(const product &p)
{
    uintptr_t all = MOST_ALIGN | static_cast<uintptr_t>(p.k) * mv_dtype_size(p.type) |
                    static_cast<uintptr_t>(p.n) * mv_dtype_size(p.out_type);
    if (p.turned)
        all |= static_cast<uintptr_t>(p.n) * mv_dtype_size(p.type);
    for (const void *a : {p.x, p.w, p.bias, p.residual, const_cast<const void *>(p.out)})
        all |= reinterpret_cast<uintptr_t>(a);
    return static_cast<unsigned>(all & -all);
}

/* Scales of w's rows, as w is A here, and of x's. */
cublasStatus_t set_scales(cublasLtMatmulDesc_t desc, const product &p)
{
    cublasStatus_t s =
        cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &p.w_scale, sizeof p.w_scale);
    return s ? s
             : cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &p.x_scale, sizeof p.x_scale);
}

cublasStatus_t describe(product_plan *u, const product &p, mv_act act)
{
    cublasOperation_t operation = p.turned ? CUBLAS_OP_N : CUBLAS_OP_T;
    cublasLtEpilogue_t epilogue = epilogue_of(p.bias, act);
    cudaDataType_t bias = type_of(p.out_type), operand = p.x_scale ? CUDA_R_8F_E4M3 : type_of(p.type);
    uint64_t n = static_cast<uint64_t>(p.n), k = static_cast<uint64_t>(p.k), rows = p.rows;
    cublasStatus_t s = cublasLtMatmulDescCreate(u->desc.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F); /* no tf32 */
    auto set = [&](cublasLtMatmulDescAttributes_t what, const void *value, size_t bytes) {
        if (!s)
            s = cublasLtMatmulDescSetAttribute(u->desc, what, value, bytes);
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, &operation, sizeof operation);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (p.bias) {
        set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias, sizeof p.bias); /* the heuristics look at its alignment */
        set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias, sizeof bias);
    }
    if (p.x_scale) {
        const int32_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
        set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode, sizeof mode);
        set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode, sizeof mode);
        if (!s)
            s = set_scales(u->desc, p);
    }
    if (!s)
        s = p.turned ? cublasLtMatrixLayoutCreate(u->w.out(), operand, n, k, p.n)
                     : cublasLtMatrixLayoutCreate(u->w.out(), operand, k, n, p.k);
    if (!s)
        s = cublasLtMatrixLayoutCreate(u->x.out(), operand, k, rows, p.k);
    return s ? s : cublasLtMatrixLayoutCreate(u->out.out(), type_of(p.out_type), n, rows, p.n);
}

cublasStatus_t propose(library *l, const product_plan &u, unsigned align, cublasLtMatmulHeuristicResult_t *found,
                       int *n)
{
    owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
    size_t workspace = LIBRARY_WORKSPACE;
    uint32_t bytes = align;
    cublasStatus_t s = cublasLtMatmulPreferenceCreate(preference.out());
    if (!s)
        s = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                 sizeof workspace);
    for (auto what : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
        if (!s)
            s = cublasLtMatmulPreferenceSetAttribute(preference, what, &bytes, sizeof bytes);
    return s ? s
             : cublasLtMatmulAlgoGetHeuristic(l->lt, u.desc, u.w, u.x, u.out, u.out, preference, CANDIDATES, found, n);
}

cublasStatus_t multiply(library *l, const product &p, const product_plan &u, void *out)
{
    const float one = 1, beta = p.residual ? 1.0f : 0.0f;
    return cublasLtMatmul(l->lt, u.desc, &one, p.w, u.w, p.x, u.x, &beta, p.residual ? p.residual : out, u.out, out,
                          u.out, &u.algo, l->workspace, LIBRARY_WORKSPACE, l->stream);
}

void activate(library *l, const product &p, void *out)
{
    launch_rows({p.out_type, p.out_type, p.out_type, out, out, nullptr, nullptr, nullptr, p.act, p.rows, p.n},
                l->stream);
}

/* Memory in which plans are tried, as the output may be the residual: the output, and what overwrites the L2 cache. */
struct trial {
    owned<void *, cudaFree> memory;
    owned<cudaEvent_t, cudaEventDestroy> from, to;
    size_t cache = 0, out_bytes = 0;
    cudaStream_t stream = nullptr;

    ~trial()
    {
        if (stream) /* a call that failed may have left work behind */
            cudaStreamSynchronize(stream);
    }

    bool make(library *l, const product &p)
    {
        int bytes = 0;
        stream = l->stream;
        if (cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, l->card) == cudaSuccess)
            cache = static_cast<size_t>(bytes);
        out_bytes = (p.rows * static_cast<size_t>(p.n) * mv_dtype_size(p.out_type) + 255) / 256 * 256;
        return cudaMalloc(memory.out(), out_bytes + cache) == cudaSuccess &&
               cudaEventCreate(from.out()) == cudaSuccess && cudaEventCreate(to.out()) == cudaSuccess;
    }

    /* Milliseconds of the fastest of some calls; INFINITY if it does not work. */
    float time(library *l, const product &p, const product_plan &u)
    {
        float least = INFINITY;
        for (int k = 0; k <= REPEATS; k++) { /* the first loads the kernel */
            float ms = INFINITY;
            if (cache &&
                cudaMemsetAsync(static_cast<char *>(static_cast<void *>(memory)) + out_bytes, 0, cache, l->stream))
                return INFINITY;
            cudaEventRecord(from, l->stream);
            if (multiply(l, p, u, memory))
                return INFINITY;
            if (u.way == product_plan::APART)
                activate(l, p, memory);
            if (cudaEventRecord(to, l->stream) || cudaEventSynchronize(to) || cudaEventElapsedTime(&ms, from, to))
                return INFINITY;
            if (k && ms < least)
                least = ms;
        }
        return least;
    }
};

/* Completes *u for the way it names. *works: cuBLASLt has an algorithm for it. An error is one that is no refusal. */
mv_status choose(library *l, const product &p, unsigned align, trial *t, product_plan *u, bool *works, mv_error *e)
{
    cublasLtMatmulHeuristicResult_t found[CANDIDATES] = {};
    int n = 0;
    *works = false;
    cublasStatus_t s = describe(u, p, u->way == product_plan::FUSED ? p.act : MV_ACT_NONE);
    if (!s)
        s = propose(l, *u, align, found, &n);
    if (s)
        return is_refusal(s) ? MV_OK : failed_lt(l, s, e);
    if (n == 0)
        return MV_OK;
    cublasLtMatmulAlgo_t best = found[0].algo; /* the heuristics' own choice */
    *works = true;
    if (t) {
        u->ms = INFINITY;
        for (int i = 0; i < n; i++) {
            u->algo = found[i].algo;
            float ms = t->time(l, p, *u);
            if (ms < u->ms) {
                u->ms = ms;
                best = found[i].algo;
            }
        }
        cudaGetLastError(); /* of those that do not work */
        *works = u->ms < INFINITY;
    }
    u->algo = best;
    return MV_OK;
}

mv_status plan_new(library *l, const product &p, unsigned align, product_plan *plan, mv_error *e)
{
    trial memory, *t = nullptr;
    if (!l->recording) {
        t = memory.make(l, p) ? &memory : nullptr;
        cudaGetLastError();
    }
    bool fused = false, apart = false;
    plan->way = product_plan::FUSED;
    mv_status s = choose(l, p, align, t, plan, &fused, e);
    if (s || (fused && p.act == MV_ACT_NONE) || (fused && !t))
        return s;
    if (p.act != MV_ACT_NONE && !p.residual) {
        product_plan other = {};
        other.way = product_plan::APART;
        s = choose(l, p, align, t, &other, &apart, e);
        if (s)
            return s;
        if (apart && (!fused || other.ms < plan->ms)) {
            *plan = std::move(other);
            return MV_OK;
        }
    }
    if (fused)
        return MV_OK;
    if (p.x_scale)
        return mv_fail(e, MV_EDEVICE, "cuda:%d: product: cuBLASLt has no fp8 product of %zu x %d x %d; use -p fp16",
                       l->card, p.rows, p.n, p.k);
    plan->way = product_plan::PLAIN;
    return MV_OK;
}

mv_status compute(library *l, const product &p, const product_plan &u, mv_error *e)
{
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    if (u.way == product_plan::PLAIN)
        launch_product(p, l->stream);
    else {
        if (p.bias)
            s = cublasLtMatmulDescSetAttribute(u.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias, sizeof p.bias);
        if (!s && p.x_scale)
            s = set_scales(u.desc, p);
        if (!s)
            s = multiply(l, p, u, p.out);
        if (s)
            return failed_lt(l, s, e);
        if (u.way == product_plan::APART)
            activate(l, p, p.out);
    }
    return library_launched(l, "product", e);
}

}  // namespace

mv_status library_product(library *l, const product &p, mv_error *e)
{
    unsigned align = alignment_of(p);
    product_key shape(p.type, p.out_type, p.rows, p.n, p.k, p.act, p.bias != nullptr, p.residual != nullptr,
                      p.x_scale != nullptr, p.turned, align);
    try {
        auto known = l->products.find(shape);
        if (known == l->products.end()) {
            product_plan made = {};
            mv_status s = plan_new(l, p, align, &made, e);
            if (s)
                return s;
            known = l->products.emplace(shape, std::move(made)).first;
        }
        return compute(l, p, known->second, e);
    } catch (const std::bad_alloc &) {
        return mv_fail_memory(e, "cuda");
    }
}

mv_status library_products_new(library *l, mv_error *e)
{
    mv_status s = checked(l, "start", cudaMalloc(l->workspace.out(), LIBRARY_WORKSPACE), e);
    if (s)
        return s;
    cublasStatus_t lt = cublasLtCreate(l->lt.out());
    return lt ? failed_lt(l, lt, e) : MV_OK;
}

}  // namespace mv
