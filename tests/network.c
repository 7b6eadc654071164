#include "tests/network.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

void expect_ok(const mv_error *e)
{
    if (e->code)
        fail_msg("%s", e->text);
}

network network_on(const mv_config *config, mv_backend *b, uint64_t seed)
{
    mv_error e = {0};
    network n = {.backend = b};
    n.model = mv_model_new(config, n.backend, weights_source(&n.w, seed), &e);
    expect_ok(&e);
    return n;
}

void network_free(network *n)
{
    mv_model_free(n->model);
    n->backend->free(n->backend);
}

float *network_input(int pictures, int h, int w, uint64_t seed)
{
    size_t n = (size_t)pictures * 3 * (size_t)h * (size_t)w;
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    weights_uniform(x, "input", n, seed);
    for (size_t i = 0; i < n; i++) {
        size_t column = i % (size_t)w, row = i / (size_t)w % (size_t)h, plane = i / (size_t)w / (size_t)h;
        x[i] = 0.5f * x[i] + sinf((float)column * 0.07f + (float)plane) * cosf((float)row * 0.05f - (float)plane);
    }
    return x;
}

double relative_l2(const float *a, const float *b, size_t n)
{
    double d = 0, s = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]))
            return INFINITY;
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        s += (double)b[i] * (double)b[i];
    }
    return d == 0 ? 0 : sqrt(d / s);
}

mv_config small_config(void)
{
    return (mv_config){.dim = 16,
                       .in_dim = 8,
                       .depth = {1, 1, 3, 2},
                       .heads = {1, 1, 2, 4},
                       .window = {8, 8, 7, 4},
                       .mlp_ratio = 4,
                       .gamma = true,
                       .classes = 10,
                       .preprocess = {.h = 64, .w = 64, .crop_pct = 1, .std = {1, 1, 1}}};
}
