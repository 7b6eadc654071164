/* The graphs of cuda/cudnn_graph.h given to the real cuDNN, where it is installed: a description of a card stands for
 * the card, so none is needed. Each graph must be accepted, and engines be offered that keep what this program promises
 * (conv_accepts), in memory that it has. Nothing is executed. Prints TAP.
 */
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cuda/cudnn_graph.h"

using namespace mv;

namespace
{

/* An H100, as CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION describes it */
constexpr char H100[] =
    R"({"deviceName":"NVIDIA H100 80GB HBM3","deviceVer":900,"driverVer":13000,"cudaDeviceId":0,"pciDeviceId":0,)"
    R"("multiProcessorCount":132,"warpSize":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"maxCtasPerSM":32,)"
    R"("maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,)"
    R"("maxRegistersPerSM":65536,"maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":232448,)"
    R"("reservedSharedMemoryPerBlock":1024,"l2CacheSize":52428800,"totalGlobalMem":85000000000,)"
    R"("smClockRateKHz":1980000,"memClockRateKHz":2619000,"isTccDriver":0,"supportCoopLaunch":1})";

constexpr size_t MEMORY = size_t(1) << 30;

struct shape {
    int b, h, w, c, n, stride;
};

/* Of the T and L2 variants with many pictures and one, and sides that fit nothing */
constexpr shape shapes[] = {{128, 56, 56, 80, 80, 1},   {128, 28, 28, 160, 160, 1}, {128, 112, 112, 32, 80, 2},
                            {128, 28, 28, 160, 320, 2}, {128, 56, 56, 196, 196, 1}, {128, 56, 56, 196, 392, 2},
                            {1, 56, 56, 80, 80, 1},     {1, 14, 14, 320, 640, 2},   {2, 7, 8, 36, 36, 1},
                            {3, 9, 11, 16, 17, 2},      {1, 1, 1, 1, 1, 1}};

struct end {
    const char *name;
    mv_act act;
    bool onto, back;
};
constexpr end ends[] = {{"", MV_ACT_NONE, false, false},
                        {", residual", MV_ACT_NONE, true, false},
                        {", ReLU", MV_ACT_RELU, false, false},
                        {", transposed", MV_ACT_NONE, false, true}};
constexpr end gelu = {", GELU", MV_ACT_GELU_TANH, false,
                      false}; /* its engines are compiled, which needs a driver: the graph alone */

int number, faults;

void say(bool good, const char *what, const char *why)
{
    printf("%sok %d - cuDNN: %s%s%s\n", good ? "" : "not ", ++number, what, good ? "" : ": ", good ? "" : why);
    fflush(stdout);
    faults += !good;
}

void check(mv_dtype type, const shape &s, const end &e, const descriptor &card)
{
    char what[96], why[96] = "";
    snprintf(what, sizeof what, "%s, %d of %dx%d, %d to %d channels, stride %d%s", mv_dtype_name(type), s.b, s.h, s.w,
             s.c, s.n, s.stride, e.name);
    const float there = 0;
    convolution c = {type,    s.b,  s.h, s.w, s.c, s.n, s.stride, nullptr, nullptr, nullptr, e.onto ? &there : nullptr,
                     nullptr, e.act};
    c.back = e.back;
    cudnnStatus_t graph = (c.back ? conv_back_graph(c, 16) : conv_graph(c, 16)).status();
    std::vector<conv_plan> plans;
    if (graph != CUDNN_STATUS_SUCCESS)
        snprintf(why, sizeof why, "the graph: %s", cudnnGetErrorString(graph));
    else if (e.act != MV_ACT_GELU_TANH) {
        plans = conv_plans(c, 16, card, 2, false);
        if (plans.empty())
            snprintf(why, sizeof why, "no engine");
        else if (std::all_of(plans.begin(), plans.end(), [](const conv_plan &p) { return p.workspace > MEMORY; }))
            snprintf(why, sizeof why, "%zu bytes for the first engine", plans[0].workspace);
    }
    say(!*why, what, why);
}

}  // namespace

int main()
{
    descriptor card(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    if (cudnnBackendSetAttribute(card.raw(), CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                 sizeof H100 - 1, H100) != CUDNN_STATUS_SUCCESS ||
        (card = card.finalized()).status() != CUDNN_STATUS_SUCCESS) {
        puts("1..0 # SKIP this cuDNN does not take the description of a card");
        return 0;
    }
    for (mv_dtype type : {MV_F16, MV_BF16, MV_F32})
        for (const shape &s : shapes)
            for (const end &e : ends)
                if ((!e.onto || (s.c == s.n && s.stride == 1)) && (!e.back || s.stride == 2))
                    check(type, s, e, card);
    for (mv_dtype type : {MV_F16, MV_BF16})
        check(type, shapes[0], gelu, card);
    printf("1..%d\n", number);
    return faults > 0;
}
