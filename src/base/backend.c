#include "src/base/backend.h"

#define REQUIRE(function)                                                                                              \
    do {                                                                                                               \
        if (!b->function)                                                                                              \
            return mv_fail(e, MV_EDEVICE, "%s: found a device without %s, expected every operation", b->name,          \
                           #function);                                                                                 \
    } while (0)

static mv_status check_operations(const mv_backend *b, mv_error *e)
{
    REQUIRE(picture);
    REQUIRE(conv2d);
    REQUIRE(linear);
    REQUIRE(add);
    REQUIRE(layernorm);
    REQUIRE(conv1d_silu);
    REQUIRE(step);
    REQUIRE(scan);
    REQUIRE(readout);
    REQUIRE(attention);
    REQUIRE(attend);
    REQUIRE(state_norm);
    REQUIRE(hidden);
    REQUIRE(half_life);
    REQUIRE(spread);
    REQUIRE(weigh);
    REQUIRE(split);
    REQUIRE(merge);
    REQUIRE(affine);
    REQUIRE(mean_pool);
    REQUIRE(follow);
    REQUIRE(roll);
    REQUIRE(mean_heads);
    REQUIRE(measure);
    return MV_OK;
}

mv_status mv_backend_check(const mv_backend *b, mv_error *e)
{
    REQUIRE(free);
    REQUIRE(alloc);
    REQUIRE(release);
    REQUIRE(read);
    REQUIRE(write);
    REQUIRE(finish);
    REQUIRE(conv_new);
    REQUIRE(dense_new);
    REQUIRE(vector_new);
    REQUIRE(conv_free);
    REQUIRE(dense_free);
    REQUIRE(vector_free);
    if (b->record) {
        REQUIRE(recorded);
        REQUIRE(replay);
        REQUIRE(forget);
    }
    if (b->transfer_max) {
        REQUIRE(upload_new);
        REQUIRE(upload_free);
        REQUIRE(upload_send);
        REQUIRE(upload_over);
        REQUIRE(transfer_new);
        REQUIRE(transfer_free);
        REQUIRE(transfer_put);
        REQUIRE(transfer_send);
        REQUIRE(transfer_wait);
    }
    return b->dry ? MV_OK : check_operations(b, e);
}

mv_status mv_backend_check_back(const mv_backend *b, mv_error *e)
{
    if (b->fp8)
        return mv_fail(e, MV_EDEVICE, "%s: found fp8 weights, which gradients do not go through; use -p fp16", b->name);
    REQUIRE(copy);
    REQUIRE(dot);
    REQUIRE(activate);
    REQUIRE(activate_back);
    REQUIRE(conv2d_back);
    REQUIRE(linear_back);
    REQUIRE(layernorm_back);
    REQUIRE(conv1d_silu_back);
    REQUIRE(step_back);
    REQUIRE(scan_back);
    REQUIRE(attention_back);
    REQUIRE(mean_pool_back);
    return MV_OK;
}
