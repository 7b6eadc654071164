/* A convolution as an operation graph of cuDNN, and the engines that cuDNN offers for it; for library_convolutions.cu.
 *
 *   conv (x, w) -> [+ residual] -> + bias -> [ReLU or tanh GELU] -> out
 *   back: the transpose of conv (x, w) -> out
 *
 * Values between the operations are fp32 and are not stored. No handle is needed before a plan is executed: a device
 * property descriptor says which card it is for, so that graphs can be checked without a card.
 */
#pragma once

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include <cudnn.h>

#include "cuda/library.h"

#if CUDNN_VERSION < 90800
#error "cuDNN 9.8 or later is needed (plans for a device property descriptor)"
#endif

namespace mv
{

/* The type of an attribute from that of its values. */
template <class T> constexpr cudnnBackendAttributeType_t attribute_type();
#define MV_ATTRIBUTE(T, name)                                                                                          \
    template <> constexpr cudnnBackendAttributeType_t attribute_type<T>()                                              \
    {                                                                                                                  \
        return name;                                                                                                   \
    }
MV_ATTRIBUTE(int64_t, CUDNN_TYPE_INT64)
MV_ATTRIBUTE(float, CUDNN_TYPE_FLOAT)
MV_ATTRIBUTE(bool, CUDNN_TYPE_BOOLEAN)
MV_ATTRIBUTE(void *, CUDNN_TYPE_VOID_PTR)
MV_ATTRIBUTE(cudnnHandle_t, CUDNN_TYPE_HANDLE)
MV_ATTRIBUTE(cudnnDataType_t, CUDNN_TYPE_DATA_TYPE)
MV_ATTRIBUTE(cudnnConvolutionMode_t, CUDNN_TYPE_CONVOLUTION_MODE)
MV_ATTRIBUTE(cudnnPointwiseMode_t, CUDNN_TYPE_POINTWISE_MODE)
MV_ATTRIBUTE(cudnnBackendHeurMode_t, CUDNN_TYPE_HEUR_MODE)
MV_ATTRIBUTE(cudnnBackendNumericalNote_t, CUDNN_TYPE_NUMERICAL_NOTE)
MV_ATTRIBUTE(cudnnBackendBehaviorNote_t, CUDNN_TYPE_BEHAVIOR_NOTE)
#undef MV_ATTRIBUTE

/* A descriptor, which it destroys. The first failure sticks, also that of a descriptor that it is given. */
class descriptor
{
  public:
    static constexpr size_t UNKNOWN = ~size_t(0);

    descriptor() = default;
    explicit descriptor(cudnnBackendDescriptorType_t type) : state(cudnnBackendCreateDescriptor(type, &own))
    {
    }
    descriptor(descriptor &&o) noexcept : own(std::exchange(o.own, nullptr)), state(o.state)
    {
    }
    descriptor &operator=(descriptor &&o) noexcept
    {
        std::swap(own, o.own);
        std::swap(state, o.state);
        return *this;
    }
    ~descriptor()
    {
        if (own)
            cudnnBackendDestroyDescriptor(own);
    }

    template <class T> descriptor &set(cudnnBackendAttributeName_t name, const T *values, size_t n)
    {
        return then(
            [&] { return cudnnBackendSetAttribute(own, name, attribute_type<T>(), static_cast<int64_t>(n), values); });
    }
    template <class T> descriptor &set(cudnnBackendAttributeName_t name, std::initializer_list<T> values)
    {
        return set(name, values.begin(), values.size());
    }
    descriptor &set(cudnnBackendAttributeName_t name, const descriptor *values, size_t n)
    {
        std::vector<cudnnBackendDescriptor_t> all;
        for (size_t i = 0; i < n; i++) {
            then([&] { return values[i].state; });
            all.push_back(values[i].own);
        }
        return then([&] {
            return cudnnBackendSetAttribute(own, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(n),
                                            all.data());
        });
    }
    descriptor &set(cudnnBackendAttributeName_t name, const descriptor &value)
    {
        return set(name, &value, 1);
    }
    descriptor finalized()
    {
        then([&] { return cudnnBackendFinalize(own); });
        return std::move(*this);
    }

    /* The values of an attribute, of which there is room for n; returns how many there are. UNKNOWN: cuDNN does not
     * say, or there are more. */
    template <class T> size_t get(cudnnBackendAttributeName_t name, T *values, size_t n) const
    {
        const size_t count = count_of(name, attribute_type<T>(), n, values);
        return count <= n ? count : UNKNOWN;
    }
    /* Fills in descriptors, at most as many as are given, and none from the first on that could not be made. Returns
     * how many it filled in: 0 if cuDNN does not say. */
    size_t get(cudnnBackendAttributeName_t name, std::vector<descriptor> &values) const
    {
        std::vector<cudnnBackendDescriptor_t> all;
        for (const descriptor &d : values) {
            if (d.state != CUDNN_STATUS_SUCCESS)
                break;
            all.push_back(d.own);
        }
        const size_t count = all.empty() ? 0 : count_of(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, all.size(), all.data());
        return count == UNKNOWN ? 0 : std::min(count, all.size());
    }

    cudnnStatus_t status() const
    {
        return state;
    }
    cudnnBackendDescriptor_t raw() const
    {
        return own;
    }

  private:
    size_t count_of(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, size_t n, void *values) const
    {
        int64_t count = 0;
        bool got = state == CUDNN_STATUS_SUCCESS && cudnnBackendGetAttribute(own, name, type, static_cast<int64_t>(n),
                                                                             &count, values) == CUDNN_STATUS_SUCCESS;
        return got && count >= 0 ? static_cast<size_t>(count) : UNKNOWN;
    }

    template <class F> descriptor &then(F f)
    {
        if (state == CUDNN_STATUS_SUCCESS)
            state = f();
        return *this;
    }

    cudnnBackendDescriptor_t own = nullptr;
    cudnnStatus_t state = CUDNN_STATUS_SUCCESS;
};

/* The names of values in a graph. */
enum conv_value : int64_t { CONV_X = 1, CONV_W, CONV_BIAS, CONV_OUT, CONV_RESIDUAL, CONV_BETWEEN };

inline descriptor conv_tensor(int64_t name, cudnnDataType_t type, int64_t b, int64_t c, int64_t h, int64_t w,
                              int64_t align)
{
    descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {name})
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, {type})
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, {b, c, h, w})
        .set(CUDNN_ATTR_TENSOR_STRIDES, {h * w * c, int64_t(1), w * c, c})
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {align});
    if (name >= CONV_BETWEEN)
        t.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, {true});
    return t.finalized();
}

/* y = mode (x, b); b NULL: y = mode (x) */
inline descriptor pointwise(cudnnPointwiseMode_t mode, const descriptor &x, const descriptor *b, const descriptor &y)
{
    descriptor how = descriptor(CUDNN_BACKEND_POINTWISE_DESCRIPTOR)
                         .set(CUDNN_ATTR_POINTWISE_MODE, {mode})
                         .set(CUDNN_ATTR_POINTWISE_MATH_PREC, {CUDNN_DATA_FLOAT})
                         .finalized();
    descriptor op(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how).set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        op.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
    return op.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y).finalized();
}

inline cudnnDataType_t conv_type(const convolution &c)
{
    return c.type == MV_F32 ? CUDNN_DATA_FLOAT : c.type == MV_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
}

/* Rows and columns of the result. With an odd side and stride 2, cuDNN's own size is the same: (h + 2 - 3) / 2 + 1 */
inline int64_t conv_side(const convolution &c, int side)
{
    return (side + c.stride - 1) / c.stride;
}

inline descriptor conv_how(int64_t stride)
{
    return descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
        .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, {CUDNN_DATA_FLOAT})
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, {CUDNN_CROSS_CORRELATION})
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {int64_t(2)})
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {int64_t(1), int64_t(1)})
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {stride, stride})
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {int64_t(1), int64_t(1)})
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {int64_t(1), int64_t(1)})
        .finalized();
}

inline descriptor conv_back_graph(const convolution &c, int64_t align)
{
    const cudnnDataType_t type = conv_type(c);
    descriptor dy = conv_tensor(CONV_X, type, c.pictures, c.n, conv_side(c, c.h), conv_side(c, c.w), align),
               w = conv_tensor(CONV_W, type, c.n, c.c, MV_TAPS, MV_TAPS, align),
               dx = conv_tensor(CONV_OUT, type, c.pictures, c.c, c.h, c.w, align), how = conv_how(c.stride);
    descriptor op = descriptor(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
                        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, how)
                        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy)
                        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w)
                        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx)
                        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, {1.0f})
                        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, {0.0f})
                        .finalized();
    return descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR).set(CUDNN_ATTR_OPERATIONGRAPH_OPS, op).finalized();
}

/* The graph of a convolution whose values are aligned to `align` bytes. */
inline descriptor conv_graph(const convolution &c, int64_t align)
{
    const cudnnDataType_t type = conv_type(c);
    const int64_t b = c.pictures, n = c.n, oh = conv_side(c, c.h), ow = conv_side(c, c.w);
    auto tensor = [&](int64_t name) { return conv_tensor(name, type, b, n, oh, ow, align); };
    auto between = [&](int64_t i) { return conv_tensor(CONV_BETWEEN + i, CUDNN_DATA_FLOAT, b, n, oh, ow, 16); };
    descriptor x = conv_tensor(CONV_X, type, b, c.c, c.h, c.w, align),
               w = conv_tensor(CONV_W, type, n, c.c, MV_TAPS, MV_TAPS, align),
               bias = conv_tensor(CONV_BIAS, type, 1, n, 1, 1, align), out = tensor(CONV_OUT), sum = between(0);
    descriptor how = conv_how(c.stride);
    std::vector<descriptor> ops;
    ops.push_back(descriptor(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, how)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, sum)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, {1.0f})
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, {0.0f})
                      .finalized());
    if (c.residual) {
        descriptor residual = tensor(CONV_RESIDUAL), onto = between(1);
        ops.push_back(pointwise(CUDNN_POINTWISE_ADD, sum, &residual, onto));
        sum = std::move(onto);
    }
    if (c.act == MV_ACT_NONE)
        ops.push_back(pointwise(CUDNN_POINTWISE_ADD, sum, &bias, out));
    else {
        descriptor before = between(2);
        ops.push_back(pointwise(CUDNN_POINTWISE_ADD, sum, &bias, before));
        ops.push_back(pointwise(c.act == MV_ACT_RELU ? CUDNN_POINTWISE_RELU_FWD : CUDNN_POINTWISE_GELU_APPROX_TANH_FWD,
                                before, nullptr, out));
    }
    return descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        .set(CUDNN_ATTR_OPERATIONGRAPH_OPS, ops.data(), ops.size())
        .finalized();
}

/* A way to compute a graph. `config` is kept beside the plan that was made of it. */
struct conv_plan {
    descriptor config, plan;
    size_t workspace;
};

/* Whether an engine's results are what this program promises: sums in fp32 of values as they are, the same in every
 * run, fp32 not rounded to tf32; and its kernel exists, unless compiling one is worth it. An engine whose notes cannot
 * be read is not taken: no note would mean that it keeps all of this. */
inline bool conv_accepts(const descriptor &config, bool fp32, bool compile)
{
    std::vector<descriptor> engine;
    engine.emplace_back(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    if (config.get(CUDNN_ATTR_ENGINECFG_ENGINE, engine) != 1)
        return false;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    size_t n = engine[0].get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, notes, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
    if (n == descriptor::UNKNOWN)
        return false;
    for (size_t i = 0; i < n; i++)
        if (notes[i] != CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP && (notes[i] != CUDNN_NUMERICAL_NOTE_TENSOR_CORE || fp32))
            return false;
    cudnnBackendBehaviorNote_t behavior[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    n = engine[0].get(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, behavior, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT);
    if (n == descriptor::UNKNOWN)
        return false;
    for (size_t i = 0; i < n; i++)
        if (behavior[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION && !compile)
            return false;
    return true;
}

/* At most `most` plans for the graph on `card`, in the order in which cuDNN's heuristics expect them to be fast: of the
 * first mode that offers any. May throw std::bad_alloc. */
inline std::vector<conv_plan> conv_plans(const convolution &c, int64_t align, const descriptor &card, size_t most,
                                         bool compile)
{
    enum { ASKED = 64 };
    std::vector<conv_plan> found;
    descriptor graph = c.back ? conv_back_graph(c, align) : conv_graph(c, align);
    for (cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
        descriptor offers = descriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
                                .set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
                                .set(CUDNN_ATTR_ENGINEHEUR_MODE, {mode})
                                .set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, card)
                                .finalized();
        std::vector<descriptor> configs;
        for (int i = 0; i < ASKED; i++)
            configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        size_t n = offers.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, configs);
        for (size_t i = 0; i < n && found.size() < most; i++) {
            if (!conv_accepts(configs[i], c.type == MV_F32, compile))
                continue;
            descriptor plan = descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
                                  .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configs[i])
                                  .set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, card)
                                  .finalized();
            int64_t workspace = 0;
            if (plan.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, &workspace, 1) == 1)
                found.push_back({std::move(configs[i]), std::move(plan), static_cast<size_t>(workspace)});
        }
        if (!found.empty())
            break;
    }
    return found;
}

}  // namespace mv
