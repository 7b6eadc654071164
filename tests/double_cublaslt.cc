/* cuBLASLt on the CPU; see tests/cuda/double.h. Only what cuda/ asks for: D = epilogue(op(A) B + C), columns first, A
 * turned or not, sums in fp32.
 *
 * It refuses what the real one is known to refuse or may: products with a side of 1, and 16-bit values with an
 * activation where rows are not aligned to 4 bytes. Of the algorithms that it proposes, the first is not the fastest,
 * and one may fail when it is used.
 */
#include "tests/cuda/double.h"

#include <cublasLt.h>

#include <cmath>

namespace
{

struct layout {
    cudaDataType_t type;
    size_t rows, columns, ld;
};
struct matmul {
    cublasOperation_t a, b;
    cublasLtEpilogue_t epilogue;
    const void *bias;
    cudaDataType_t bias_type;
    const float *scale[2]; /* of A's and B's columns */
    int32_t mode[2];
};
struct preference {
    size_t workspace;
    uint32_t align[4];
};
/* What an algorithm was proposed for; it fits a cublasLtMatmulAlgo_t. */
struct proposal {
    uint32_t magic, index;
    uint64_t rows, columns, depth;
    uint32_t align, epilogue;
    uint64_t workspace;
};
static_assert(sizeof(proposal) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm has 64 bytes");
enum { MAGIC = 0x4c74, PROPOSED = 3, WORKSPACE = 4096 };

template <class T, class H> T *own(H h)
{
    return reinterpret_cast<T *>(h);
}

template <class T, class H> cublasStatus_t made(const char *call, H *h, T value)
{
    *h = nullptr;
    if (simt::fails(call))
        return CUBLAS_STATUS_ALLOC_FAILED;
    *h = reinterpret_cast<H>(new T(value));
    simt::things++;
    return CUBLAS_STATUS_SUCCESS;
}

template <class T, class H> cublasStatus_t unmade(const char *call, H h)
{
    delete own<T>(h);
    simt::things--;
    return simt::fails(call) ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

mv_dtype type_of(cudaDataType_t t)
{
    return t == CUDA_R_32F ? MV_F32 : t == CUDA_R_16F ? MV_F16 : MV_BF16;
}

/* The values of an operand as fp32 */
std::vector<float> values_of(const layout &l, const void *p)
{
    size_t n = l.ld * l.columns;
    if (l.type != CUDA_R_8F_E4M3)
        return simt::values_of(type_of(l.type), p, n);
    std::vector<float> v(n);
    for (size_t i = 0; i < n; i++)
        v[i] = mv_e4m3_to_f32(static_cast<const uint8_t *>(p)[i]);
    return v;
}

bool known(cudaDataType_t t)
{
    return t == CUDA_R_32F || t == CUDA_R_16F || t == CUDA_R_16BF;
}

size_t size_of(cudaDataType_t t)
{
    return t == CUDA_R_32F ? 4 : t == CUDA_R_8F_E4M3 ? 1 : 2;
}

uint32_t alignment(size_t bytes)
{
    uint32_t a = 256;
    while (bytes % a)
        a /= 2;
    return a;
}

float activated(float x, int epilogue)
{
    if (epilogue & CUBLASLT_EPILOGUE_RELU)
        return x < 0 ? 0 : x;
    if (epilogue & CUBLASLT_EPILOGUE_GELU)
        return 0.5f * x * (1 + std::tanh(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    return x;
}

/* D (n x rows) from A, (k x n) and turned or (n x k), and B (k x rows) */
struct job {
    matmul m;
    layout a, b, d;
    const void *A, *B, *C;
    void *D;
    float alpha, beta;

    void run() const
    {
        const bool turned = m.a == CUBLAS_OP_T;
        size_t n = d.rows, rows = d.columns, k = b.rows;
        std::vector<float> w = values_of(a, A), x = values_of(b, B);
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < n; c++) {
                float part[8] = {};
                for (size_t i = 0; i < k; i++)
                    part[i % 8] += x[r * b.ld + i] * w[turned ? c * a.ld + i : i * a.ld + c];
                float sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
                sum *= alpha;
                if (a.type == CUDA_R_8F_E4M3)
                    sum *= m.scale[0][c] * m.scale[1][r];
                if (beta != 0)
                    sum += beta * simt::value_of(type_of(d.type), C, r * d.ld + c);
                if (m.epilogue & CUBLASLT_EPILOGUE_BIAS)
                    sum += simt::value_of(type_of(m.bias_type), m.bias, c);
                simt::set_value(type_of(d.type), D, r * d.ld + c, activated(sum, m.epilogue));
            }
    }
};

}  // namespace

extern "C" {

const char *cublasLtGetStatusString(cublasStatus_t s)
{
    switch (s) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "the functionality requested is not supported";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the function failed to launch on the GPU";
    default: return "an internal operation failed";
    }
}

size_t cublasLtGetVersion(void)
{
    return 130000;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    return made(__func__, h, 0L);
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    return unmade<long>(__func__, h);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *m, cublasComputeType_t, cudaDataType_t scale)
{
    return made(__func__, m, matmul{CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr, scale, {}, {}});
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t m)
{
    return unmade<matmul>(__func__, m);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t h, cublasLtMatmulDescAttributes_t what,
                                              const void *value, size_t bytes)
{
    if (simt::fails(__func__))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    matmul &m = *own<matmul>(h);
    void *to = what == CUBLASLT_MATMUL_DESC_TRANSA            ? static_cast<void *>(&m.a)
               : what == CUBLASLT_MATMUL_DESC_TRANSB          ? static_cast<void *>(&m.b)
               : what == CUBLASLT_MATMUL_DESC_EPILOGUE        ? static_cast<void *>(&m.epilogue)
               : what == CUBLASLT_MATMUL_DESC_BIAS_POINTER    ? static_cast<void *>(&m.bias)
               : what == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE  ? static_cast<void *>(&m.bias_type)
               : what == CUBLASLT_MATMUL_DESC_A_SCALE_POINTER ? static_cast<void *>(&m.scale[0])
               : what == CUBLASLT_MATMUL_DESC_B_SCALE_POINTER ? static_cast<void *>(&m.scale[1])
               : what == CUBLASLT_MATMUL_DESC_A_SCALE_MODE    ? static_cast<void *>(&m.mode[0])
               : what == CUBLASLT_MATMUL_DESC_B_SCALE_MODE    ? static_cast<void *>(&m.mode[1])
                                                              : nullptr;
    bool pointer = what == CUBLASLT_MATMUL_DESC_BIAS_POINTER || what == CUBLASLT_MATMUL_DESC_A_SCALE_POINTER ||
                   what == CUBLASLT_MATMUL_DESC_B_SCALE_POINTER;
    size_t size = pointer ? sizeof(void *) : 4;
    if (!to || bytes != size)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType type, uint64_t rows, uint64_t columns,
                                          int64_t ld)
{
    return made(__func__, l, layout{type, rows, columns, static_cast<size_t>(ld)});
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    return unmade<layout>(__func__, l);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    return made(__func__, p, preference{0, {256, 256, 256, 256}});
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    return unmade<preference>(__func__, p);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t h,
                                                    cublasLtMatmulPreferenceAttributes_t what, const void *value,
                                                    size_t bytes)
{
    if (simt::fails(__func__))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    preference &p = *own<preference>(h);
    if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && bytes == sizeof p.workspace)
        memcpy(&p.workspace, value, bytes);
    else if (what >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES && what <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES &&
             bytes == 4)
        memcpy(&p.align[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
    else
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t hm, cublasLtMatrixLayout_t ha,
                                              cublasLtMatrixLayout_t hb, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t hd, cublasLtMatmulPreference_t hp, int most,
                                              cublasLtMatmulHeuristicResult_t results[], int *found)
{
    *found = 0;
    if (simt::fails(__func__))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    const matmul &m = *own<matmul>(hm);
    const layout &a = *own<layout>(ha), &b = *own<layout>(hb), &d = *own<layout>(hd);
    const preference &p = *own<preference>(hp);
    const bool turned = m.a == CUBLAS_OP_T;
    if (m.b != CUBLAS_OP_N || (turned ? a.rows : a.columns) != b.rows || (turned ? a.columns : a.rows) != d.rows ||
        b.columns != d.columns)
        return CUBLAS_STATUS_INVALID_VALUE;
    bool narrow = a.type == CUDA_R_8F_E4M3, fits = turned && b.rows % 16 == 0 && d.rows % 16 == 0 && m.scale[0] &&
                                                   m.scale[1] &&
                                                   m.mode[0] == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F &&
                                                   m.mode[1] == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    if (!(narrow ? fits : known(a.type)) || a.type != b.type || !known(d.type) ||
        (narrow && m.epilogue & CUBLASLT_EPILOGUE_BIAS && m.bias_type == CUDA_R_32F))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (d.rows == 1 || b.rows == 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    uint32_t align = std::min({16u, p.align[0], p.align[1], p.align[2], p.align[3], alignment(a.ld * size_of(a.type)),
                               alignment(b.ld * size_of(b.type)), alignment(d.ld * size_of(d.type))});
    if (align < 4 && m.epilogue & (CUBLASLT_EPILOGUE_GELU | CUBLASLT_EPILOGUE_RELU))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    for (*found = 0; *found < std::min<int>(most, PROPOSED); ++*found) {
        proposal q = {MAGIC,
                      static_cast<uint32_t>(*found),
                      d.columns,
                      d.rows,
                      b.rows,
                      align,
                      static_cast<uint32_t>(m.epilogue),
                      std::min<size_t>(p.workspace, *found * WORKSPACE)};
        results[*found] = {};
        memcpy(&results[*found].algo, &q, sizeof q);
        results[*found].workspaceSize = q.workspace;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t hm, const void *alpha, const void *A,
                              cublasLtMatrixLayout_t ha, const void *B, cublasLtMatrixLayout_t hb, const void *beta,
                              const void *C, cublasLtMatrixLayout_t, void *D, cublasLtMatrixLayout_t hd,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes, cudaStream_t stream)
{
    if (simt::fails(__func__))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    job j = {*own<matmul>(hm), *own<layout>(ha), *own<layout>(hb), *own<layout>(hd), A, B, C, D, 0, 0};
    memcpy(&j.alpha, alpha, sizeof j.alpha);
    memcpy(&j.beta, beta, sizeof j.beta);
    proposal q;
    memcpy(&q, algo, sizeof q);
    if (q.magic != MAGIC || q.rows != j.d.columns || q.columns != j.d.rows || q.depth != j.b.rows ||
        q.epilogue != static_cast<uint32_t>(j.m.epilogue) || bytes < q.workspace)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (q.index == 1 && (q.rows + q.columns) % 3 == 0)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    simt::expect_on_card("A of a product", A, j.a.ld * j.a.columns * size_of(j.a.type), q.align);
    simt::expect_on_card("B of a product", B, j.b.ld * j.b.columns * size_of(j.b.type), q.align);
    simt::expect_on_card("D of a product", D, j.d.ld * j.d.columns * size_of(j.d.type), q.align);
    if (j.beta != 0)
        simt::expect_on_card("C of a product", C, j.d.ld * j.d.columns * size_of(j.d.type), q.align);
    if (j.a.type == CUDA_R_8F_E4M3) {
        simt::expect_on_card("scales of A", j.m.scale[0], j.a.columns * 4, 4);
        simt::expect_on_card("scales of B", j.m.scale[1], j.b.columns * 4, 4);
    }
    if (j.m.epilogue & CUBLASLT_EPILOGUE_BIAS)
        simt::expect_on_card("bias of a product", j.m.bias, j.d.rows * size_of(j.m.bias_type), 1);
    simt::enqueue(stream, [=] {
        if (q.workspace)
            memset(workspace, 0xff, q.workspace);
        j.run();
        simt::card_time += 1e-3 * ((q.index + 2) % PROPOSED + 1);
    });
    return CUBLAS_STATUS_SUCCESS;
}
}
