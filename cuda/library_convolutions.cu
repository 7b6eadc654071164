/* library.h's convolutions over cuDNN, where the build found it (MV_CUDNN): bias, ReLU or residual in one call,
 * channels last, tensor cores for 16 bits. Without it, or where it has no kernel, the device lays out columns and
 * multiplies.
 */
#include "cuda/library_state.h"

namespace mv
{

#ifdef MV_CUDNN

namespace
{

cudnnDataType_t dnn_type(mv_dtype t)
{
    return t == MV_F32 ? CUDNN_DATA_FLOAT : t == MV_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
}

/* cuDNN's fused call takes no activation but ReLU, or the identity, which this algorithm alone offers. */
constexpr cudnnConvolutionFwdAlgo_t ALGORITHM = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;

cudnnStatus_t call(library *l, const convolution &c, const conv_plan &p, const void *residual, void *out)
{
    const float one = 1, zero = 0;
    return cudnnConvolutionBiasActivationForward(l->dnn, &one, p.x, c.x, p.w, c.weights, p.conv, ALGORITHM,
                                                 l->dnn_workspace, p.workspace, residual ? &one : &zero, p.out,
                                                 residual ? residual : out, p.bias, c.bias, p.act, p.out, out);
}

/* Whether cuDNN has a kernel for it, which only the call itself tells: on memory apart, as the output may be the
 * residual. NaN goes through ReLU where that is offered. */
bool works(library *l, const convolution &c, const conv_plan &p, size_t out_bytes)
{
    void *out = nullptr;
    if (p.workspace > l->dnn_workspace_size) {
        library_retire(l, l->dnn_workspace);
        l->dnn_workspace = nullptr;
        l->dnn_workspace_size = 0;
        if (cudaMalloc(&l->dnn_workspace, p.workspace) != cudaSuccess) {
            cudaGetLastError();
            return false; /* columns need less */
        }
        l->dnn_workspace_size = p.workspace;
    }
    if (cudaMalloc(&out, out_bytes) != cudaSuccess || cudaMemsetAsync(out, 0, out_bytes, l->stream) != cudaSuccess) {
        cudaGetLastError();
        cudaFree(out);
        return true;
    }
    bool found = false;
    for (cudnnNanPropagation_t nan : {CUDNN_PROPAGATE_NAN, CUDNN_NOT_PROPAGATE_NAN})
        found = found || (cudnnSetActivationDescriptor(
                              p.act, c.act == MV_ACT_RELU ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY, nan,
                              0) == CUDNN_STATUS_SUCCESS &&
                          call(l, c, p, c.residual ? out : nullptr, out) == CUDNN_STATUS_SUCCESS);
    cudaStreamSynchronize(l->stream);
    cudaFree(out);
    return found;
}

conv_plan &plan_of(library *l, const convolution &c)
{
    conv_key k(c.type, c.pictures, c.h, c.w, c.c, c.n, c.stride, c.act == MV_ACT_RELU, c.residual != nullptr);
    auto known = l->plans.find(k);
    if (known != l->plans.end())
        return known->second;
    conv_plan &p = l->plans[k];
    cudnnDataType_t t = dnn_type(c.type);
    int oh = (c.h + c.stride - 1) / c.stride, ow = (c.w + c.stride - 1) / c.stride;
    size_t bytes = static_cast<size_t>(c.pictures) * static_cast<size_t>(oh) * static_cast<size_t>(ow) *
                   static_cast<size_t>(c.n) * mv_dtype_size(c.type);
    /* with an odd side and stride 2, cuDNN's own size is the same: (h + 2 - 3) / 2 + 1 */
    p.works =
        cudnnCreateTensorDescriptor(&p.x) == CUDNN_STATUS_SUCCESS &&
        cudnnCreateTensorDescriptor(&p.out) == CUDNN_STATUS_SUCCESS &&
        cudnnCreateTensorDescriptor(&p.bias) == CUDNN_STATUS_SUCCESS &&
        cudnnCreateFilterDescriptor(&p.w) == CUDNN_STATUS_SUCCESS &&
        cudnnCreateConvolutionDescriptor(&p.conv) == CUDNN_STATUS_SUCCESS &&
        cudnnCreateActivationDescriptor(&p.act) == CUDNN_STATUS_SUCCESS &&
        cudnnSetTensor4dDescriptor(p.x, CUDNN_TENSOR_NHWC, t, c.pictures, c.c, c.h, c.w) == CUDNN_STATUS_SUCCESS &&
        cudnnSetTensor4dDescriptor(p.out, CUDNN_TENSOR_NHWC, t, c.pictures, c.n, oh, ow) == CUDNN_STATUS_SUCCESS &&
        cudnnSetTensor4dDescriptor(p.bias, CUDNN_TENSOR_NHWC, t, 1, c.n, 1, 1) == CUDNN_STATUS_SUCCESS &&
        cudnnSetFilter4dDescriptor(p.w, t, CUDNN_TENSOR_NHWC, c.n, c.c, 3, 3) == CUDNN_STATUS_SUCCESS &&
        cudnnSetConvolution2dDescriptor(p.conv, 1, 1, c.stride, c.stride, 1, 1, CUDNN_CROSS_CORRELATION,
                                        CUDNN_DATA_FLOAT) == CUDNN_STATUS_SUCCESS &&
        cudnnSetConvolutionMathType(p.conv, c.type == MV_F32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH) ==
            CUDNN_STATUS_SUCCESS &&
        cudnnGetConvolutionForwardWorkspaceSize(l->dnn, p.x, p.w, p.conv, p.out, ALGORITHM, &p.workspace) ==
            CUDNN_STATUS_SUCCESS &&
        works(l, c, p, bytes);
    return p;
}

}  // namespace

bool library_convolves(const library *l, const convolution &c)
{
    try {
        return plan_of(const_cast<library *>(l), c).works;
    } catch (const std::bad_alloc &) {
        return false;
    }
}

mv_status library_convolve(library *l, const convolution &c, mv_error *e)
{
    cudnnStatus_t s = call(l, c, plan_of(l, c), c.residual, c.out);
    return s == CUDNN_STATUS_SUCCESS
               ? MV_OK
               : mv_fail(e, MV_EDEVICE, "cuda:%d: conv2d: cuDNN: %s", l->card, cudnnGetErrorString(s));
}

mv_status library_convolutions_new(library *l, mv_error *e)
{
    if (cudnnCreate(&l->dnn) != CUDNN_STATUS_SUCCESS || cudnnSetStream(l->dnn, l->stream) != CUDNN_STATUS_SUCCESS)
        return mv_fail(e, MV_EDEVICE, "cuda:%d: cuDNN cannot be started", l->card);
    return MV_OK;
}

void library_convolutions_free(library *l)
{
    for (auto &entry : l->plans) {
        conv_plan &p = entry.second;
        cudnnDestroyTensorDescriptor(p.x);
        cudnnDestroyTensorDescriptor(p.out);
        cudnnDestroyTensorDescriptor(p.bias);
        cudnnDestroyFilterDescriptor(p.w);
        cudnnDestroyConvolutionDescriptor(p.conv);
        cudnnDestroyActivationDescriptor(p.act);
    }
    if (l->dnn)
        cudnnDestroy(l->dnn);
    cudaFree(l->dnn_workspace);
}

#else

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

#endif

}  // namespace mv
