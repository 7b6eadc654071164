/* The state of the library, for library*.cu only. */
#pragma once

#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <tuple>
#include <utility>
#include <vector>

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "cuda/library.h"
#include "cuda/marks.h"

namespace mv
{

constexpr size_t LIBRARY_WORKSPACE = size_t(32) << 20; /* of products */

/* A handle of one of the libraries, given back by FREE. */
template <class H, auto FREE> class owned
{
    H h = nullptr;

  public:
    owned() = default;
    owned(owned &&o) noexcept : h(o.h)
    {
        o.h = nullptr;
    }
    owned &operator=(owned &&o) noexcept
    {
        std::swap(h, o.h);
        return *this;
    }
    ~owned()
    {
        if (h)
            FREE(h);
    }
    operator H() const
    {
        return h;
    }
    H *out() /* for a function that makes one; there is none yet */
    {
        return &h;
    }
};

using owned_stream = owned<cudaStream_t, cudaStreamDestroy>;
using owned_event = owned<cudaEvent_t, cudaEventDestroy>;
using owned_memory = owned<void *, cudaFree>;
using owned_pinned = owned<void *, cudaFreeHost>;

/* How products of one shape are computed; see library_products.cu. */
struct product_plan {
    owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> desc;
    owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> w, x, out;
    cublasLtMatmulAlgo_t algo;
    enum { FUSED, APART, PLAIN } way;
    float ms; /* of the timed call; 0: not timed */
};

/* types, rows, n, k, act, bias, residual, scales, turned, alignment */
using product_key = std::tuple<int, int, size_t, int, int, int, bool, bool, bool, bool, unsigned>;

struct convolver; /* library_convolutions.cu has it */
struct pump;      /* library_uploads.cu has it */

/* Members are given back from the last to the first: the streams after what they work on. */
struct library {
    int card;
    owned_stream stream, down; /* down: for staging buffers */
    owned<cublasLtHandle_t, cublasLtDestroy> lt;
    owned_memory workspace;
    owned_pinned bounce[2];
    owned_event gone[2];
    pump *up; /* for uploads; made by the first */
    std::map<product_key, product_plan> products;
    bool recording;
    int graphs;                  /* that exist */
    std::vector<void *> retired; /* memory that they may use */
    marks asked;
    owned<unsigned *, cudaFreeHost> passed; /* pinned: the number of the last mark that the card has passed */
    void *write_value;                      /* cuStreamWriteValue32, or NULL */
    struct convolver *convolver;            /* NULL without cuDNN */
};

/* True for an error of earlier work; every later call returns it, too. */
inline bool is_late(cudaError_t error)
{
    switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorContained:
    case cudaErrorContextIsDestroyed:
    case cudaErrorUnknown: return true;
    default: return false;
    }
}

/* Reports an error of the runtime and clears it there: the runtime keeps its last error, and the next launch would
 * report it as its own. */
inline mv_status library_failed(const library *l, const char *op, cudaError_t error, mv_error *e)
{
    cudaGetLastError();
    bool memory = error == cudaErrorMemoryAllocation;
    if (l && l->passed && is_late(error)) {
        char text[MARK_TEXT];
        return mv_fail(e, MV_EDEVICE, "cuda:%d: %s: %s", l->card, l->asked.after(*l->passed, text),
                       cudaGetErrorString(error));
    }
    return mv_fail(e, memory ? MV_ENOMEM : MV_EDEVICE, "cuda:%d: %s: %s%s", l ? l->card : 0, op,
                   cudaGetErrorString(error), memory ? "; fewer pictures at a time need less" : "");
}

inline mv_status checked(const library *l, const char *op, cudaError_t error, mv_error *e)
{
    return error == cudaSuccess ? MV_OK : library_failed(l, op, error, e);
}

/* The parts of the other files. */
mv_status library_products_new(library *l, mv_error *e);
mv_status library_convolutions_new(library *l, mv_error *e);
void library_convolutions_free(library *l);
void library_uploads_free(library *l);

}  // namespace mv
