#include "src/base/backend.h"

#define OPERATIONS(X)                                                                                                  \
    X(picture)                                                                                                         \
    X(conv2d) X(linear) X(add) X(layernorm) X(conv1d_silu) X(step) X(scan) X(readout) X(attention) X(attend)           \
        X(state_norm) X(hidden) X(split) X(merge) X(affine) X(mean_pool) X(follow) X(mean_heads) X(measure)

#define MEMORY(X)                                                                                                      \
    X(free)                                                                                                            \
    X(alloc) X(release) X(read) X(write) X(finish) X(conv_new) X(dense_new) X(vector_new) X(conv_free) X(dense_free)   \
        X(vector_free)

mv_status mv_backend_check(const mv_backend *b, mv_error *e)
{
#define REQUIRE(function)                                                                                              \
    if (!b->function)                                                                                                  \
        return mv_fail(e, MV_EDEVICE, "%s: found a device without %s, expected every operation", b->name, #function);
    MEMORY(REQUIRE)
    if (!b->dry) {
        OPERATIONS(REQUIRE)
    }
    if (b->record) {
        REQUIRE(recorded)
        REQUIRE(replay)
        REQUIRE(forget)
    }
    if (b->transfer_max) {
        REQUIRE(transfer_new)
        REQUIRE(transfer_free)
        REQUIRE(transfer_put)
        REQUIRE(transfer_send)
        REQUIRE(transfer_wait)
    }
#undef REQUIRE
    return MV_OK;
}
