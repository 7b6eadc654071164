#include "tests/collector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/device/cpu.h"
#include "src/device/null.h"
#include "src/file/safetensors.h"
#include "src/model/checkpoint.h"
#include "tests/network.h"

const char collector_config[] =
    "{\"dim\": 16, \"in_dim\": 8, \"depths\": [1, 1, 3, 2], \"num_heads\": [1, 1, 2, 4], \"window_size\": [8, 8, 7, "
    "4], "
    "\"mlp_ratio\": 4, \"layer_scale\": 1e-5, \"resolution\": 64, \"crop_pct\": 0.9, \"crop_mode\": \"squash\", "
    "\"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\", \"3\": \"d\", \"4\": \"e\", \"5\": \"f\", \"6\": \"g\", "
    "\"7\": \"h\", \"8\": \"i\", \"9\": \"j\"}}";

static mv_status collect(mv_source *s, const char *name, int nd, const int *dim, float *out, bool *found, mv_error *e)
{
    collector *c = (collector *)s;
    c->w.source.read(&c->w.source, name, nd, dim, out, found, e);
    mv_tensor t = {.type = c->type, .nd = nd};
    memcpy(t.dim, dim, (size_t)nd * sizeof *dim);
    t.data = malloc(mv_tensor_bytes(t));
    assert_non_null(t.data);
    mv_from_f32(t.data, c->type, out, mv_tensor_count(t));
    char full[200];
    snprintf(full, sizeof full, "%s%s", c->prefix, name);
    assert_true(c->n < COLLECTOR_ROOM);
    c->name[c->n] = strdup(full);
    c->t[c->n++] = t;
    return MV_OK;
}

collector collect_of(const char *prefix, mv_dtype type)
{
    mv_error e = {0};
    mv_config config = small_config();
    collector c = {.prefix = prefix, .type = type};
    weights_source(&c.w, 3);
    c.source = (mv_source){.read = collect, .place = "collector"};
    mv_backend *null = mv_null_new(MV_F32, &e);
    mv_model *m = mv_model_new(&config, null, &c.source, &e);
    expect_ok(&e);
    mv_model_free(m);
    null->free(null);
    return c;
}

void collector_free(collector *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->name[i]);
        free(c->t[i].data);
    }
}

int collector_find(const collector *c, const char *leaf)
{
    for (int i = 0; i < c->n; i++)
        if (strstr(c->name[i], leaf))
            return i;
    fail_msg("no tensor %s", leaf);
    return -1;
}

void collector_save(const collector *c, const char *path, const char *config)
{
    mv_error e = {0};
    const char *keys[] = {"config"}, *values[] = {config};
    mv_safetensors_write(path, c->n, (const char *const *)c->name, c->t, config ? 1 : 0, keys, values, &e);
    expect_ok(&e);
}

/* The logits of a checkpoint, or its refusal in *e. */
void logits_of(const char *path, float logits[10], mv_error *e)
{
    mv_checkpoint *c = mv_checkpoint_open(path, NULL, NULL, e);
    if (!c)
        return;
    mv_backend *b = mv_cpu_new(MV_F32, 1, NULL, e);
    mv_model *m = mv_model_new(mv_checkpoint_config(c), b, mv_checkpoint_source(c), e);
    mv_run *r = m ? mv_run_new(m, 64, 64, 1, NULL, e) : NULL;
    if (r) {
        float *x = network_input(1, 64, 64, 1);
        mv_run_forward(r, x, 1, logits, e);
        free(x);
    }
    mv_run_free(r);
    mv_model_free(m);
    b->free(b);
    mv_checkpoint_close(c);
}

void expect_refusal(const char *path, const char *says)
{
    mv_error e = {0};
    float logits[10];
    logits_of(path, logits, &e);
    if (e.code != MV_EINPUT || !strstr(e.text, says))
        fail_msg("found '%s' (code %d), expected '%s' in it", e.text, (int)e.code, says);
}
