#include "src/model/weights.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The state of the walk. It has one buffer per role, which grows and is reused, so that loading a model of gigabytes
 * holds the fp32 copy of one parameter at a time. */
typedef struct {
    mv_model *m;
    mv_backend *b;
    mv_source *source;
    mv_error *e;
    mv_status status;
    int part;
    char prefix[96];
    float *weight, *bias, *norm;
    size_t weight_room, bias_room, norm_room;
} walk;

/* The hidden width of an MLP, and the rank of the step size, as the published code rounds them. */
static int hidden_width(const mv_config *c, int channels)
{
    return (int)(channels * c->mlp_ratio);
}

static int step_rank(int channels)
{
    return (channels + 15) / 16;
}

static void enter(walk *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->prefix, sizeof w->prefix, format, args);
    va_end(args);
}

static float *room(walk *w, float **buffer, size_t *have, size_t n)
{
    if (*have < n) {
        free(*buffer);
        *have = 0;
        *buffer = malloc(n * sizeof **buffer);
        if (!*buffer) {
            w->status = mv_fail_memory(w->e, w->source->place);
            return NULL;
        }
        *have = n;
    }
    return *buffer;
}

/* Counts one tensor of the checkpoint, and reads it if there is a source. */
static void take(walk *w, float *out, bool trainable, const char *leaf, int nd, const int *dim)
{
    size_t n = 1;
    for (int i = 0; i < nd; i++)
        n *= (size_t)dim[i];
    if (trainable)
        w->m->parameters[w->part] += n;
    if (!w->source || w->status)
        return;
    char name[160], shape[64];
    snprintf(name, sizeof name, "%s%s%s", w->prefix, *w->prefix ? "." : "", leaf);
    bool found = false;
    w->status = w->source->read(w->source, name, nd, dim, out, &found, w->e);
    if (w->status)
        return;
    if (!found) {
        w->status = mv_fail(w->e, MV_EINPUT, "%s: lacks tensor %s, expected of shape %s", w->source->place, name,
                            mv_shape_text(shape, nd, dim));
        return;
    }
    size_t bad = mv_first_not_finite(out, n);
    if (bad < n)
        w->status = mv_fail(w->e, MV_EINPUT, "%s: tensor %s holds %f at element %zu, expected finite numbers",
                            w->source->place, name, (double)out[bad], bad);
}

static void take_vector(walk *w, mv_vector *v, const char *leaf, int n)
{
    float *x = w->source ? room(w, &w->bias, &w->bias_room, (size_t)n) : NULL;
    take(w, x, true, leaf, 1, &n);
    if (!w->status)
        w->status = w->b->vector_new(w->b, v, n, x, w->e);
}

/* Reads a batch norm as [scale | shift], which is what it does at inference. Returns NULL without a source. */
static float *take_batch_norm(walk *w, const char *name, int n, double eps)
{
    static const char *const leaves[] = {"weight", "bias", "running_mean", "running_var"};
    float *x = w->source ? room(w, &w->norm, &w->norm_room, 4 * (size_t)n) : NULL;
    for (int k = 0; k < 4; k++) {
        char leaf[64];
        snprintf(leaf, sizeof leaf, "%s.%s", name, leaves[k]);
        take(w, x ? x + (size_t)k * (size_t)n : NULL, k < 2, leaf, 1, &n);
    }
    if (!x || w->status)
        return x;
    for (int i = 0; i < n; i++) {
        double variance = (double)x[3 * n + i] + eps;
        if (!(variance > 0)) {
            w->status = mv_fail(w->e, MV_EINPUT, "%s: %s%s%s.running_var is %g at channel %d, expected at least 0",
                                w->source->place, w->prefix, *w->prefix ? "." : "", name, (double)x[3 * n + i], i);
            return x;
        }
        double s = (double)x[i] / sqrt(variance);
        x[i] = (float)s;
        x[n + i] = (float)((double)x[n + i] - (double)x[2 * n + i] * s);
    }
    return x;
}

/* Reads a convolution and the batch norm after it (norm may be NULL): w' = w s, b' = b s + t */
static void take_conv(walk *w, mv_conv *out, const char *name, const char *norm, double eps, int in, int n, int stride,
                      bool has_bias)
{
    char leaf[64];
    int dim[4] = {n, in, MV_TAPS, MV_TAPS};
    size_t per = (size_t)in * MV_TAPS * MV_TAPS;
    float *weight = w->source ? room(w, &w->weight, &w->weight_room, per * (size_t)n) : NULL;
    float *bias = w->source ? room(w, &w->bias, &w->bias_room, (size_t)n) : NULL;
    if (w->status)
        return;
    snprintf(leaf, sizeof leaf, "%s.weight", name);
    take(w, weight, true, leaf, 4, dim);
    if (bias)
        memset(bias, 0, (size_t)n * sizeof *bias);
    snprintf(leaf, sizeof leaf, "%s.bias", name);
    if (has_bias)
        take(w, bias, true, leaf, 1, &n);
    const float *st = norm ? take_batch_norm(w, norm, n, eps) : NULL;
    if (w->status)
        return;
    for (int i = 0; st && i < n; i++) {
        for (size_t k = 0; k < per; k++)
            weight[(size_t)i * per + k] *= st[i];
        bias[i] = bias[i] * st[i] + st[n + i];
    }
    w->status = w->b->conv_new(w->b, out, in, n, stride, weight, has_bias || norm ? bias : NULL, w->e);
}

static void take_dense(walk *w, mv_dense *out, const char *name, int in, int n, bool has_bias)
{
    char leaf[96];
    int dim[2] = {n, in};
    float *weight = w->source ? room(w, &w->weight, &w->weight_room, (size_t)in * (size_t)n) : NULL;
    float *bias = w->source && has_bias ? room(w, &w->bias, &w->bias_room, (size_t)n) : NULL;
    if (w->status)
        return;
    snprintf(leaf, sizeof leaf, "%s.weight", name);
    take(w, weight, true, leaf, 2, dim);
    snprintf(leaf, sizeof leaf, "%s.bias", name);
    if (has_bias)
        take(w, bias, true, leaf, 1, &n);
    if (!w->status)
        w->status = w->b->dense_new(w->b, out, in, n, weight, bias, w->e);
}

static void take_taps(walk *w, mv_vector *v, const char *leaf, int e)
{
    int dim[3] = {e, 1, MV_TAPS};
    float *x = w->source ? room(w, &w->bias, &w->bias_room, (size_t)e * MV_TAPS) : NULL;
    take(w, x, true, leaf, 3, dim);
    if (!w->status)
        w->status = w->b->vector_new(w->b, v, e * MV_TAPS, x, w->e);
}

/* Reads dt_proj and transposes its weight. The bias is doubled: the released models were trained with
 * softplus(W r + 2 b). */
static void take_step(walk *w, mv_ssm *s)
{
    int e = s->channels, rank = s->rank, dim[2] = {e, rank};
    size_t n = (size_t)e * (size_t)rank;
    float *weight = w->source ? room(w, &w->weight, &w->weight_room, 2 * n) : NULL,
          *across = weight ? weight + n : NULL;
    float *bias = w->source ? room(w, &w->bias, &w->bias_room, (size_t)e) : NULL;
    if (w->status)
        return;
    take(w, weight, true, "mixer.dt_proj.weight", 2, dim);
    take(w, bias, true, "mixer.dt_proj.bias", 1, &e);
    for (int i = 0; weight && !w->status && i < e; i++) {
        bias[i] *= 2;
        for (int k = 0; k < rank; k++)
            across[(size_t)k * (size_t)e + (size_t)i] = weight[(size_t)i * (size_t)rank + (size_t)k];
    }
    if (!w->status)
        w->status = w->b->vector_new(w->b, &s->dt_weight, e * rank, across, w->e);
    if (!w->status)
        w->status = w->b->vector_new(w->b, &s->dt_bias, e, bias, w->e);
}

static void take_mixer(walk *w, mv_mixer *x, int c)
{
    int e = c / 2, rank = step_rank(c), a[2] = {e, MV_STATES};
    x->ssm.channels = e;
    x->ssm.rank = rank;
    float *A = w->source ? room(w, &w->bias, &w->bias_room, (size_t)e * MV_STATES) : NULL;
    take(w, A, true, "mixer.A_log", 2, a);
    for (int i = 0; A && !w->status && i < e * MV_STATES; i++)
        A[i] = (float)-exp((double)A[i]);
    if (!w->status)
        w->status = w->b->vector_new(w->b, &x->ssm.A, e * MV_STATES, A, w->e);
    take_vector(w, &x->ssm.D, "mixer.D", e);
    take_dense(w, &x->in, "mixer.in_proj", c, c, false);
    take_dense(w, &x->x, "mixer.x_proj", e, rank + 2 * MV_STATES, false);
    take_step(w, &x->ssm);
    take_dense(w, &x->out, "mixer.out_proj", c, c, false);
    take_taps(w, &x->conv_x, "mixer.conv1d_x.weight", e);
    take_taps(w, &x->conv_z, "mixer.conv1d_z.weight", e);
}

static void take_token_block(walk *w, mv_token_block *b, int level, int j)
{
    const mv_config *config = &w->m->config;
    int c = w->m->level[level].channels, hidden = hidden_width(config, c);
    enter(w, "levels.%d.blocks.%d", level, j);
    if (config->gamma) {
        take_vector(w, &b->gamma1, "gamma_1", c);
        take_vector(w, &b->gamma2, "gamma_2", c);
    }
    take_vector(w, &b->norm1[0], "norm1.weight", c);
    take_vector(w, &b->norm1[1], "norm1.bias", c);
    b->attends = mv_config_attends(config->depth[level], j);
    if (b->attends) {
        b->attention.heads = config->heads[level];
        take_dense(w, &b->attention.qkv, "mixer.qkv", c, 3 * c, true);
        take_dense(w, &b->attention.proj, "mixer.proj", c, c, true);
    } else
        take_mixer(w, &b->mixer, c);
    take_vector(w, &b->norm2[0], "norm2.weight", c);
    take_vector(w, &b->norm2[1], "norm2.bias", c);
    take_dense(w, &b->fc1, "mlp.fc1", c, hidden, true);
    take_dense(w, &b->fc2, "mlp.fc2", hidden, c, true);
}

static void take_level(walk *w, mv_level *l, int i)
{
    w->part = MV_PART_LEVEL0 + i;
    l->depth = w->m->config.depth[i];
    l->channels = w->m->config.dim << i;
    l->window = w->m->config.window[i];
    size_t n = (size_t)l->depth, size = i < 2 ? sizeof *l->conv : sizeof *l->token;
    void *blocks = calloc(n ? n : 1, size);
    if (!blocks) {
        w->status = mv_fail_memory(w->e, "model");
        return;
    }
    if (i < 2)
        l->conv = blocks;
    else
        l->token = blocks;
    for (int j = 0; j < l->depth && !w->status; j++)
        if (i < 2) {
            enter(w, "levels.%d.blocks.%d", i, j);
            take_conv(w, &l->conv[j].conv1, "conv1", "norm1", 1e-5, l->channels, l->channels, 1, true);
            take_conv(w, &l->conv[j].conv2, "conv2", "norm2", 1e-5, l->channels, l->channels, 1, true);
            if (w->m->config.conv_gamma)
                take_vector(w, &l->conv[j].gamma, "gamma", l->channels);
        } else
            take_token_block(w, &l->token[j], i, j);
    enter(w, "levels.%d", i);
    if (i < MV_LEVELS - 1 && !w->status)
        take_conv(w, &l->down, "downsample.reduction.0", NULL, 0, l->channels, 2 * l->channels, 2, false);
}

static void take_norm(walk *w, int c)
{
    mv_model *m = w->m;
    float *st = take_batch_norm(w, "norm", c, 1e-5);
    if (!w->status)
        w->status = w->b->vector_new(w->b, &m->norm_scale, c, st, w->e);
    if (!w->status)
        w->status = w->b->vector_new(w->b, &m->norm_shift, c, st ? st + c : NULL, w->e);
}

/* The head's parameters are also kept on the host. */
static void take_head(walk *w, int c)
{
    mv_model *m = w->m;
    int n = m->config.classes;
    bool has_bias = !m->config.head_no_bias;
    take_dense(w, &m->head, *m->config.head ? m->config.head : "head", c, n, has_bias);
    if (w->status || !w->source)
        return;
    m->head_weight = malloc((size_t)n * (size_t)c * sizeof *m->head_weight);
    m->head_bias = calloc((size_t)n, sizeof *m->head_bias);
    if (!m->head_weight || !m->head_bias) {
        w->status = mv_fail_memory(w->e, w->source->place);
        return;
    }
    memcpy(m->head_weight, w->weight, (size_t)n * (size_t)c * sizeof *m->head_weight);
    if (has_bias)
        memcpy(m->head_bias, w->bias, (size_t)n * sizeof *m->head_bias);
}

static void take_end(walk *w)
{
    int c = w->m->config.dim << (MV_LEVELS - 1);
    w->part = MV_PART_HEAD;
    enter(w, "%s", "");
    if (!w->m->config.no_norm)
        take_norm(w, c);
    if (!w->status && w->m->config.classes)
        take_head(w, c);
}

mv_model *mv_model_new(const mv_config *config, mv_backend *backend, mv_source *source, mv_error *e)
{
    if (mv_config_check(config, source ? source->place : "model", e))
        return NULL;
    mv_model *m = calloc(1, sizeof *m);
    if (!m) {
        mv_fail_memory(e, "model");
        return NULL;
    }
    m->config = *config;
    m->backend = backend;
    walk w = {.m = m, .b = backend, .source = source, .e = e};
    w.part = MV_PART_STEM;
    enter(&w, "patch_embed");
    take_conv(&w, &m->stem[0], "conv_down.0", "conv_down.1", 1e-4, 3, config->in_dim, 2, false);
    take_conv(&w, &m->stem[1], "conv_down.3", "conv_down.4", 1e-4, config->in_dim, config->dim, 2, false);
    for (int i = 0; i < MV_LEVELS && !w.status; i++)
        take_level(&w, &m->level[i], i);
    if (!w.status)
        take_end(&w);
    free(w.weight);
    free(w.bias);
    free(w.norm);
    if (w.status) {
        mv_model_free(m);
        return NULL;
    }
    return m;
}

size_t mv_model_parameters(const mv_model *m)
{
    size_t n = 0;
    for (int i = 0; i < MV_PARTS; i++)
        n += m->parameters[i];
    return n;
}

static void free_token_block(mv_backend *b, mv_token_block *t)
{
    if (t->attends) {
        b->dense_free(b, &t->attention.qkv);
        b->dense_free(b, &t->attention.proj);
    } else {
        mv_mixer *x = &t->mixer;
        b->dense_free(b, &x->in);
        b->dense_free(b, &x->x);
        b->dense_free(b, &x->out);
        b->vector_free(b, &x->ssm.dt_weight);
        b->vector_free(b, &x->ssm.dt_bias);
        b->vector_free(b, &x->ssm.A);
        b->vector_free(b, &x->ssm.D);
        b->vector_free(b, &x->conv_x);
        b->vector_free(b, &x->conv_z);
    }
    for (int k = 0; k < 2; k++) {
        b->vector_free(b, &t->norm1[k]);
        b->vector_free(b, &t->norm2[k]);
    }
    b->vector_free(b, &t->gamma1);
    b->vector_free(b, &t->gamma2);
    b->dense_free(b, &t->fc1);
    b->dense_free(b, &t->fc2);
}

void mv_model_head_mean(double *mean, const mv_model *m, int first, int last)
{
    size_t channels = (size_t)m->config.dim << (MV_LEVELS - 1);
    memset(mean, 0, (channels + 1) * sizeof *mean);
    for (int c = first; c < last; c++) {
        for (size_t k = 0; k < channels; k++)
            mean[k] += (double)m->head_weight[(size_t)c * channels + k];
        mean[channels] += (double)m->head_bias[c];
    }
    for (size_t k = 0; k <= channels; k++)
        mean[k] /= last - first;
}

void mv_model_free(mv_model *m)
{
    if (!m)
        return;
    mv_backend *b = m->backend;
    for (int k = 0; k < 2; k++)
        b->conv_free(b, &m->stem[k]);
    for (int i = 0; i < MV_LEVELS; i++) {
        mv_level *l = &m->level[i];
        for (int j = 0; l->conv && j < l->depth; j++) {
            b->conv_free(b, &l->conv[j].conv1);
            b->conv_free(b, &l->conv[j].conv2);
            b->vector_free(b, &l->conv[j].gamma);
        }
        for (int j = 0; l->token && j < l->depth; j++)
            free_token_block(b, &l->token[j]);
        b->conv_free(b, &l->down);
        free(l->conv);
        free(l->token);
    }
    b->vector_free(b, &m->norm_scale);
    b->vector_free(b, &m->norm_shift);
    b->dense_free(b, &m->head);
    free(m->head_weight);
    free(m->head_bias);
    free(m);
}
