/* library.h's products over cuBLASLt: D^T = W X^T, as it counts columns first; W transposed, bias along D's columns.
 * The algorithm of a product is chosen by time among what the heuristics offer, once per shape, on scratch; then
 * cached.
 */
#include "cuda/library_state.h"

namespace mv
{

namespace
{

enum { CANDIDATES = 8, REPEATS = 3 };

mv_status checked_lt(const library *l, cublasStatus_t s, mv_error *e)
{
    return s == CUBLAS_STATUS_SUCCESS ? MV_OK
                                      : mv_fail(e, s == CUBLAS_STATUS_ALLOC_FAILED ? MV_ENOMEM : MV_EDEVICE,
                                                "cuda:%d: cuBLASLt: %s", l->card, cublasLtGetStatusString(s));
}

cudaDataType_t type_of(mv_dtype t)
{
    return t == MV_F32 ? CUDA_R_32F : t == MV_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

struct product_setup {
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t w = nullptr, x = nullptr, out = nullptr;

    cublasStatus_t make(const product &p)
    {
        cublasOperation_t transposed = CUBLAS_OP_T;
        cublasLtEpilogue_t epilogue =
            p.act == MV_ACT_RELU        ? p.bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU
            : p.act == MV_ACT_GELU_TANH ? p.bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU
            : p.bias                    ? CUBLASLT_EPILOGUE_BIAS
                                        : CUBLASLT_EPILOGUE_DEFAULT;
        cudaDataType_t bias = type_of(p.out_type);
        uint64_t n = static_cast<uint64_t>(p.n), k = static_cast<uint64_t>(p.k), rows = p.rows;
        cublasStatus_t s = cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F); /* no tf32 */
        if (!s)
            s = cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
        if (!s)
            s = cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
        if (!s && p.bias)
            s = cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias, sizeof p.bias);
        if (!s && p.bias)
            s = cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias, sizeof bias);
        if (!s)
            s = cublasLtMatrixLayoutCreate(&w, type_of(p.type), k, n, static_cast<int64_t>(k));
        if (!s)
            s = cublasLtMatrixLayoutCreate(&x, type_of(p.type), k, rows, static_cast<int64_t>(k));
        if (!s)
            s = cublasLtMatrixLayoutCreate(&out, type_of(p.out_type), n, rows, static_cast<int64_t>(n));
        return s;
    }

    ~product_setup()
    {
        if (out)
            cublasLtMatrixLayoutDestroy(out);
        if (x)
            cublasLtMatrixLayoutDestroy(x);
        if (w)
            cublasLtMatrixLayoutDestroy(w);
        if (desc)
            cublasLtMatmulDescDestroy(desc);
    }
};

cublasStatus_t multiply(library *l, const product &p, const product_setup &u, void *out, const algorithm &a)
{
    const float one = 1, beta = p.residual ? 1.0f : 0.0f;
    return cublasLtMatmul(l->lt, u.desc, &one, p.w, u.w, p.x, u.x, &beta, p.residual ? p.residual : out, u.out, out,
                          u.out, &a.algo, l->workspace, a.workspace, l->stream);
}

/* The fastest algorithm of those that the heuristics propose. It is timed on other memory, because the output may be
 * the residual. */
mv_status choose(library *l, const product &p, const product_setup &u, algorithm *best, mv_error *e)
{
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtMatmulHeuristicResult_t found[CANDIDATES] = {};
    int n = 0;
    size_t workspace = LIBRARY_WORKSPACE;
    cublasStatus_t s = cublasLtMatmulPreferenceCreate(&preference);
    if (!s)
        s = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                 sizeof workspace);
    if (!s)
        s = cublasLtMatmulAlgoGetHeuristic(l->lt, u.desc, u.w, u.x, u.out, u.out, preference, CANDIDATES, found, &n);
    if (preference)
        cublasLtMatmulPreferenceDestroy(preference);
    if (s)
        return checked_lt(l, s, e);
    if (n == 0)
        return mv_fail(e, MV_EDEVICE, "cuda:%d: cuBLASLt offers no product of %zu x %d x %d", l->card, p.rows, p.n,
                       p.k);
    *best = {found[0].algo, found[0].workspaceSize};
    void *out = nullptr;
    if (l->recording || n == 1 ||
        cudaMalloc(&out, p.rows * static_cast<size_t>(p.n) * mv_dtype_size(p.out_type)) != cudaSuccess) {
        cudaGetLastError();
        return MV_OK; /* the first is the heuristics' own choice */
    }
    cudaEvent_t from, to;
    float least = INFINITY;
    if (cudaEventCreate(&from) == cudaSuccess && cudaEventCreate(&to) == cudaSuccess)
        for (int i = 0; i < n; i++) {
            algorithm a = {found[i].algo, found[i].workspaceSize};
            bool works = multiply(l, p, u, out, a) == CUBLAS_STATUS_SUCCESS; /* warm */
            cudaEventRecord(from, l->stream);
            for (int k = 0; k < REPEATS && works; k++)
                works = multiply(l, p, u, out, a) == CUBLAS_STATUS_SUCCESS;
            cudaEventRecord(to, l->stream);
            float ms = INFINITY;
            if (cudaEventSynchronize(to) == cudaSuccess && cudaEventElapsedTime(&ms, from, to) == cudaSuccess &&
                works && ms < least) {
                least = ms;
                *best = a;
            }
        }
    cudaEventDestroy(from);
    cudaEventDestroy(to);
    cudaFree(out);
    return checked(l, "product", cudaGetLastError(), e);
}

}  // namespace

mv_status library_product(library *l, const product &p, mv_error *e)
{
    product_setup u;
    mv_status s = checked_lt(l, u.make(p), e);
    if (s)
        return s;
    try {
        product_key shape(p.type, p.out_type, p.rows, p.n, p.k, p.act, p.bias != nullptr, p.residual != nullptr);
        auto known = l->algorithms.find(shape);
        if (known == l->algorithms.end()) {
            algorithm best;
            s = choose(l, p, u, &best, e);
            if (s)
                return s;
            known = l->algorithms.emplace(shape, best).first;
        }
        return checked_lt(l, multiply(l, p, u, p.out, known->second), e);
    } catch (const std::bad_alloc &) {
        return mv_fail_memory(e, "cuda");
    }
}

mv_status library_products_new(library *l, mv_error *e)
{
    mv_status s = checked(l, "start", cudaMalloc(&l->workspace, LIBRARY_WORKSPACE), e);
    return s ? s : checked_lt(l, cublasLtCreate(&l->lt), e);
}

void library_products_free(library *l)
{
    if (l->lt)
        cublasLtDestroy(l->lt);
    cudaFree(l->workspace);
}

}  // namespace mv
