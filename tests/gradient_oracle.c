#include "tests/gradient_oracle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assets/assets.h"

static int number(const mv_safetensors *f, const char *key)
{
    const char *text = mv_safetensors_metadata(f, key);
    return text ? atoi(text) : 0;
}

/* The oracle's make_input: smooth plus noise. */
static float *picture_of(int h, int w, uint64_t seed)
{
    size_t n = (size_t)3 * (size_t)h * (size_t)w;
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    weights_uniform(x, "input", n, seed);
    for (size_t i = 0; i < n; i++) {
        double column = (double)(i % (size_t)w), row = (double)(i / (size_t)w % (size_t)h);
        double c = (double)(i / (size_t)w / (size_t)h);
        x[i] = (float)(0.5 * (double)x[i] + sin(column * (0.05 + 0.01 * c)) * cos(row * (0.04 + 0.015 * c) - c));
    }
    return x;
}

oracle oracle_open(const char *name, mv_backend *b)
{
    char path[128];
    mv_error e = {0};
    snprintf(path, sizeof path, "tests/data/gradients/%s.safetensors", name);
    oracle o = {.file = mv_safetensors_open(path, &e)};
    expect_ok(&e);
    if (strcmp(name, "nano") == 0) {
        mv_asset model = MV_ASSET(model);
        o.checkpoint = mv_checkpoint_of(model.bytes, model.size, "nano", &e);
        expect_ok(&e);
        o.net.backend = b;
        o.net.model = mv_model_new(mv_checkpoint_config(o.checkpoint), b, mv_checkpoint_source(o.checkpoint), &e);
        expect_ok(&e);
    } else {
        mv_config config = golden_config(o.file);
        o.net = network_on(&config, b, (uint64_t)number(o.file, "weights_seed"));
    }
    assert_int_equal(sscanf(mv_safetensors_metadata(o.file, "size"), "[%d, %d]", &o.h, &o.w), 2);
    o.againsts = sscanf(mv_safetensors_metadata(o.file, "against"), "[%d, %d]", &o.against[0], &o.against[1]);
    o.class_ = number(o.file, "c");
    o.planes = picture_of(o.h, o.w, (uint64_t)number(o.file, "input_seed"));
    return o;
}

void oracle_close(oracle *o)
{
    network_free(&o->net);
    mv_checkpoint_close(o->checkpoint);
    mv_safetensors_close(o->file);
    free(o->planes);
}
