/* cuDNN's operation graphs on the CPU; see tests/cuda/double.h. Only what cuda/ asks for: a 3x3 convolution, sums and
 * activations; or the transpose of a convolution; channels last.
 *
 * Among the engines that it offers are some that must not be taken: they name themselves by their notes and give NaN.
 * The first of the others is not the fastest, one cannot be finalized, and one fails when it is executed. Some shapes
 * are offered by the second mode only, and some widths not at all, so that the columns are tested, too. GELU is offered
 * by engines that are compiled alone.
 */
#include "tests/cuda/double.h"

#include <cudnn.h>

#include <cmath>
#include <map>
#include <memory>

struct cudnnContext {
    cudaStream_t stream;
};

namespace
{

/* What a descriptor holds outlives it as long as others refer to it. */
struct node {
    int type;
    bool done;
    std::map<int, std::vector<char>> values;
    std::map<int, std::vector<std::shared_ptr<node>>> nodes;

    template <class T> std::vector<T> all(int name) const
    {
        auto found = values.find(name);
        std::vector<T> v(found == values.end() ? 0 : found->second.size() / sizeof(T));
        if (!v.empty())
            memcpy(v.data(), found->second.data(), v.size() * sizeof(T));
        return v;
    }
    template <class T> T one(int name, T otherwise) const
    {
        std::vector<T> v = all<T>(name);
        return v.size() == 1 ? v[0] : otherwise;
    }
    const node *at(int name) const
    {
        auto found = nodes.find(name);
        return found == nodes.end() || found->second.size() != 1 ? nullptr : found->second[0].get();
    }
};
using holder = std::shared_ptr<node>;

holder &held(cudnnBackendDescriptor_t d)
{
    return *static_cast<holder *>(d);
}

/* What an engine is like; its number is a value of the engine's descriptor. */
struct engine {
    cudnnBackendNumericalNote_t note;
    bool noted, compiled, builds, runs;
    size_t workspace;
    double time;
};
constexpr engine ENGINES[] = {
    {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, true, false, true, true, 0, 1},
    {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, true, false, true, true, 0, 1},
    {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, true, false, true, true, 512, 5}, /* tf32 in fp32 */
    {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, true, false, true, true, 4096, 4},
    {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, false, false, false, true, 0, 1},
    {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, false, false, true, false, 0, 1},
    {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, false, false, true, true, 0, 3},
    {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, true, true, true, true, 64, 2},
};
enum { N_ENGINES = sizeof ENGINES / sizeof *ENGINES, NUMBER = -1 /* the name of an engine's number */ };

bool faithful(const engine &e, bool fp32)
{
    return !e.noted || e.note == CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP ||
           (e.note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && !fp32);
}

mv_dtype type_of(const node &t)
{
    switch (t.one(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_FLOAT)) {
    case CUDNN_DATA_HALF: return MV_F16;
    case CUDNN_DATA_BFLOAT16: return MV_BF16;
    default: return MV_F32;
    }
}

size_t count_of(const node &t)
{
    size_t n = 1;
    for (int64_t d : t.all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS))
        n *= static_cast<size_t>(d);
    return n;
}

/* A dense tensor, channels last */
bool is_tensor(const node &t)
{
    std::vector<int64_t> d = t.all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS),
                         s = t.all<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    return d.size() == 4 && s.size() == 4 && s[1] == 1 && s[3] == d[1] && s[2] == d[3] * d[1] && s[0] == d[2] * s[2] &&
           t.one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0) > 0 &&
           t.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, 0) > 0;
}

bool pair_of(const node &n, int name, int64_t value)
{
    return n.all<int64_t>(name) == std::vector<int64_t>{value, value};
}

bool is_convolution(const node &n)
{
    return n.one(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_HALF) == CUDNN_DATA_FLOAT &&
           n.one(CUDNN_ATTR_CONVOLUTION_CONV_MODE, cudnnConvolutionMode_t(0)) == CUDNN_CROSS_CORRELATION &&
           n.one<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0) == 2 &&
           pair_of(n, CUDNN_ATTR_CONVOLUTION_DILATIONS, 1) && pair_of(n, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 1) &&
           pair_of(n, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 1) &&
           n.all<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES).size() == 2;
}

/* Whether what has been set makes sense. */
bool complete(const node &n)
{
    switch (n.type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: return is_tensor(n);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: return is_convolution(n);
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
        return n.one(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_HALF) == CUDNN_DATA_FLOAT &&
               n.values.count(CUDNN_ATTR_POINTWISE_MODE);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        return n.at(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC) &&
               n.at(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X) && n.at(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W) &&
               n.at(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y) &&
               n.one(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 0.0f) == 1 &&
               n.one(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 1.0f) == 0;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        return n.at(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC) &&
               n.at(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY) &&
               n.at(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W) &&
               n.at(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX) &&
               n.one(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 0.0f) == 1 &&
               n.one(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 1.0f) == 0;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return n.at(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR) && n.at(CUDNN_ATTR_OPERATION_POINTWISE_XDESC) &&
               n.at(CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: return n.nodes.count(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR: return n.values.count(CUDNN_ATTR_DEVICEPROP_HANDLE);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        return n.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH) && n.at(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP) &&
               n.values.count(CUDNN_ATTR_ENGINEHEUR_MODE);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        return n.at(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG) && n.at(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
    default: return n.type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;
    }
}

const node &tensor_of(const node &op, int name)
{
    return *op.at(name);
}

/* The values of a graph by name, while it is computed */
struct evaluation {
    std::map<int64_t, std::vector<float>> value;
    std::map<int64_t, void *> at;
    bool faithful; /* else it writes NaN */

    std::vector<float> &read(const node &t)
    {
        int64_t name = t.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
        if (!value.count(name))
            value[name] = simt::values_of(type_of(t), at[name], count_of(t));
        return value[name];
    }
    void write(const node &t, std::vector<float> v)
    {
        int64_t name = t.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
        for (size_t i = 0; !faithful && i < v.size(); i++)
            v[i] = NAN;
        if (!t.one<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL, 0))
            mv_from_f32(at[name], type_of(t), v.data(), v.size());
        value[name] = std::move(v);
    }

    /* Calls f with the indices of each output, and of the first channel of the input and the weight that a tap of it
     * reads. */
    template <class function>
    static void each_tap(const std::vector<int64_t> &in, const std::vector<int64_t> &out, int64_t stride, function f)
    {
        size_t i = 0;
        for (int64_t b = 0; b < out[0]; b++)
            for (int64_t oy = 0; oy < out[2]; oy++)
                for (int64_t ox = 0; ox < out[3]; ox++)
                    for (int64_t o = 0; o < out[1]; o++, i++)
                        for (int64_t tap = 0; tap < 9; tap++) {
                            int64_t iy = oy * stride + tap / 3 - 1, ix = ox * stride + tap % 3 - 1;
                            if (iy >= 0 && iy < in[2] && ix >= 0 && ix < in[3])
                                f(i, static_cast<size_t>(((b * in[2] + iy) * in[3] + ix) * in[1]),
                                  static_cast<size_t>((o * 9 + tap) * in[1]));
                        }
    }

    void convolve(const node &op)
    {
        const node &x = tensor_of(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X),
                   &w = tensor_of(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W),
                   &y = tensor_of(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
        std::vector<int64_t> in = x.all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS),
                             out = y.all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
        const int64_t stride = op.at(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC)
                                   ->all<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)[0];
        const std::vector<float> &from = read(x), &by = read(w);
        std::vector<float> sums(count_of(y));
        each_tap(in, out, stride, [&](size_t i, size_t x_at, size_t w_at) {
            for (size_t c = 0; c < static_cast<size_t>(in[1]); c++)
                sums[i] += from[x_at + c] * by[w_at + c];
        });
        write(y, std::move(sums));
    }

    /* The other way: what a result was computed from gets its part of the result's gradient. */
    void transpose(const node &op)
    {
        const node &dy = tensor_of(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY),
                   &w = tensor_of(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W),
                   &dx = tensor_of(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX);
        std::vector<int64_t> in = dx.all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS),
                             out = dy.all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
        const int64_t stride = op.at(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC)
                                   ->all<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)[0];
        const std::vector<float> &from = read(dy), &by = read(w);
        std::vector<float> sums(count_of(dx));
        each_tap(in, out, stride, [&](size_t i, size_t x_at, size_t w_at) {
            for (size_t c = 0; c < static_cast<size_t>(in[1]); c++)
                sums[x_at + c] += from[i] * by[w_at + c];
        });
        write(dx, std::move(sums));
    }

    void point(const node &op)
    {
        const node &x = tensor_of(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC),
                   &y = tensor_of(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC),
                   *b = op.at(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
        const auto mode =
            op.at(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR)->one(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD);
        std::vector<float> v = read(x);
        for (size_t i = 0; i < v.size(); i++) {
            if (mode == CUDNN_POINTWISE_ADD)
                v[i] += read(*b)[i % count_of(*b)]; /* of a row, or of all */
            else if (mode == CUDNN_POINTWISE_RELU_FWD)
                v[i] = v[i] < 0 ? 0 : v[i];
            else
                v[i] = 0.5f * v[i] * (1 + std::tanh(0.79788456080286536f * (v[i] + 0.044715f * v[i] * v[i] * v[i])));
        }
        write(y, std::move(v));
    }
};

/* The numbers of the engines that a mode offers for a graph */
std::vector<int> offers(const node &graph, cudnnBackendHeurMode_t mode)
{
    const std::vector<holder> &ops = graph.nodes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    const bool back = ops[0]->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
    const node &x = tensor_of(*ops[0], back ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY
                                            : CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X);
    const int64_t c = x.all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS)[1];
    bool gelu = false, second = c % 8 == 4;
    for (const holder &op : ops)
        if (const node *how = op->at(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR))
            gelu = gelu ||
                   how->one(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD) == CUDNN_POINTWISE_GELU_APPROX_TANH_FWD;
    std::vector<int> found;
    if ((c % 16 && c % 8 != 4) || mode == CUDNN_HEUR_MODE_FALLBACK || second != (mode == CUDNN_HEUR_MODE_B))
        return found;
    for (int i = 0; i < N_ENGINES; i++)
        if (ENGINES[i].compiled == gelu)
            found.push_back(i);
    return found;
}

const engine &engine_of(const node &config)
{
    return ENGINES[config.at(CUDNN_ATTR_ENGINECFG_ENGINE)->one(int(NUMBER), 0)];
}

template <class T> void put(node &n, int name, T value)
{
    n.values[name].resize(sizeof value);
    memcpy(n.values[name].data(), &value, sizeof value);
}

/* A copy of what is asked for; the number of what there is. */
template <class T> void answer(const std::vector<T> &all, int64_t most, int64_t *n, void *values)
{
    *n = static_cast<int64_t>(all.size());
    for (int64_t i = 0; i < *n && i < most; i++)
        memcpy(static_cast<T *>(values) + i, &all[static_cast<size_t>(i)], sizeof(T));
}

}  // namespace

extern "C" {

const char *cudnnGetErrorString(cudnnStatus_t s)
{
    return s == CUDNN_STATUS_SUCCESS           ? "CUDNN_STATUS_SUCCESS"
           : s == CUDNN_STATUS_BAD_PARAM       ? "CUDNN_STATUS_BAD_PARAM"
           : s == CUDNN_STATUS_NOT_SUPPORTED   ? "CUDNN_STATUS_NOT_SUPPORTED"
           : s == CUDNN_STATUS_NOT_INITIALIZED ? "CUDNN_STATUS_NOT_INITIALIZED"
           : s == CUDNN_STATUS_INTERNAL_ERROR  ? "CUDNN_STATUS_INTERNAL_ERROR"
                                               : "CUDNN_STATUS_EXECUTION_FAILED";
}

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *h)
{
    *h = nullptr;
    if (simt::fails(__func__))
        return CUDNN_STATUS_NOT_INITIALIZED;
    *h = new cudnnContext{};
    simt::things++;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t h)
{
    delete h;
    simt::things--;
    return simt::fails(__func__) ? CUDNN_STATUS_INTERNAL_ERROR : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t s)
{
    if (simt::fails(__func__))
        return CUDNN_STATUS_BAD_PARAM;
    h->stream = s;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d)
{
    *d = nullptr;
    if (simt::fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    *d = new holder(new node{type, false, {}, {}});
    simt::things++;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    delete static_cast<holder *>(d);
    simt::things--;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d)
{
    if (simt::fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    node &n = *held(d);
    if (n.done || !complete(n))
        return CUDNN_STATUS_BAD_PARAM;
    if (n.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        const engine &e = engine_of(*n.at(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
        if (!e.builds)
            return CUDNN_STATUS_NOT_SUPPORTED;
        put(n, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, static_cast<int64_t>(e.workspace));
    }
    n.done = true;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    if (simt::fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    node &n = *held(d);
    if (n.done || count < 1)
        return CUDNN_STATUS_BAD_PARAM;
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        for (int64_t i = 0; i < count; i++) {
            const holder &h = held(static_cast<const cudnnBackendDescriptor_t *>(values)[i]);
            if (!h->done)
                return CUDNN_STATUS_BAD_PARAM;
            n.nodes[name].push_back(h);
        }
        return CUDNN_STATUS_SUCCESS;
    }
    size_t each = type == CUDNN_TYPE_BOOLEAN                                                             ? 1
                  : type == CUDNN_TYPE_INT64 || type == CUDNN_TYPE_VOID_PTR || type == CUDNN_TYPE_HANDLE ? 8
                                                                                                         : 4;
    const char *from = static_cast<const char *>(values);
    n.values[name].assign(from, from + each * static_cast<size_t>(count));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t most, int64_t *count, void *values)
{
    *count = 0;
    if (simt::fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    const node &n = *held(d);
    if (!n.done)
        return CUDNN_STATUS_NOT_INITIALIZED;
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) {
        std::vector<int> found = offers(*n.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH),
                                        n.one(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_FALLBACK));
        for (int number : found)
            if (*count < most) {
                node &config = *held(static_cast<cudnnBackendDescriptor_t *>(values)[(*count)++]);
                holder e(new node{CUDNN_BACKEND_ENGINE_DESCRIPTOR, true, {}, {}});
                put(*e, NUMBER, number);
                config.nodes[CUDNN_ATTR_ENGINECFG_ENGINE] = {e};
                config.nodes[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH] = n.nodes.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
                config.done = true;
            }
    } else if (name == CUDNN_ATTR_ENGINECFG_ENGINE) {
        *held(*static_cast<cudnnBackendDescriptor_t *>(values)) = *n.at(name);
        *count = 1;
    } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE) {
        const engine &e = ENGINES[n.one(int(NUMBER), 0)];
        answer(std::vector<cudnnBackendNumericalNote_t>(e.noted, e.note), most, count, values);
    } else if (name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE) {
        const engine &e = ENGINES[n.one(int(NUMBER), 0)];
        answer(std::vector<cudnnBackendBehaviorNote_t>(e.compiled, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION), most,
               count, values);
    } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64)
        answer(n.all<int64_t>(name), most, count, values);
    else
        return CUDNN_STATUS_NOT_SUPPORTED;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t h, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack)
{
    if (simt::fails(__func__))
        return CUDNN_STATUS_EXECUTION_FAILED;
    const node &p = *held(plan), &v = *held(pack), &config = *p.at(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const engine &e = engine_of(config);
    const holder graph = config.nodes.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)[0];
    const std::vector<int64_t> names = v.all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const std::vector<void *> at = v.all<void *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    void *const workspace = v.one<void *>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, nullptr);
    if (!v.done || !p.done || names.size() != at.size())
        return CUDNN_STATUS_BAD_PARAM;
    if (!e.runs)
        return CUDNN_STATUS_EXECUTION_FAILED;
    evaluation all{};
    for (size_t i = 0; i < names.size(); i++)
        all.at[names[i]] = at[i];
    bool fp32 = false;
    for (const holder &op : graph->nodes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS))
        for (auto &operand : op->nodes)
            for (const holder &t : operand.second) {
                if (t->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR || t->one<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL, 0))
                    continue;
                int64_t name = t->one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
                if (!all.at.count(name))
                    return CUDNN_STATUS_BAD_PARAM;
                fp32 = type_of(*t) == MV_F32;
                simt::expect_on_card("a value of a convolution", all.at[name],
                                     count_of(*t) * mv_dtype_size(type_of(*t)),
                                     static_cast<size_t>(t->one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0)));
            }
    if (e.workspace)
        simt::expect_on_card("the workspace of a convolution", workspace, e.workspace, 16);
    all.faithful = faithful(e, fp32);
    simt::enqueue(h->stream, [=]() mutable {
        for (const holder &op : graph->nodes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS)) {
            if (op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
                all.convolve(*op);
            else if (op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
                all.transpose(*op);
            else
                all.point(*op);
        }
        if (e.workspace)
            memset(workspace, 0xff, e.workspace);
        simt::card_time += 1e-3 * e.time;
        all.value.clear(); /* a recording reads anew */
    });
    return CUDNN_STATUS_SUCCESS;
}
}
