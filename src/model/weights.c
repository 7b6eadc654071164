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

enum { TENSOR_NAME = 256 };

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

static const char *name_of(const walk *w, const char *leaf, char name[TENSOR_NAME])
{
    snprintf(name, TENSOR_NAME, "%s%s%s", w->prefix, *w->prefix ? "." : "", leaf);
    return name;
}

/* Room for n values of a weight of this shape, once the source has confirmed it: the sizes of a network are claims. */
static float *room_for(walk *w, const char *leaf, int nd, const int *dim, size_t n)
{
    char name[TENSOR_NAME];
    if (!w->source || w->status)
        return NULL;
    if (w->source->check)
        w->status = w->source->check(w->source, name_of(w, leaf, name), nd, dim, w->e);
    return w->status ? NULL : room(w, &w->weight, &w->weight_room, n);
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
    char name[TENSOR_NAME], shape[64];
    name_of(w, leaf, name);
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

/* ---- zeros behind channels, see channel_multiple */

/* How many zeros a device that prefers multiples wants behind n values. */
static int spare_behind(const walk *w, int n)
{
    int multiple = w->b->channel_multiple;
    return multiple > 1 ? (multiple - n % multiple) % multiple : 0;
}

/* The spare channels of a level's maps. Tokens have none. */
static int spare_of_level(const walk *w, int level)
{
    return level < 2 ? spare_behind(w, w->m->config.dim << level) : 0;
}

/* A convolution from the maps of one level to those of the same or the next. */
static mv_conv conv_between(const walk *w, int from, int to)
{
    int dim = w->m->config.dim, spare_in = spare_of_level(w, from), spare_out = spare_of_level(w, to);
    return (mv_conv){.in = (dim << from) + spare_in,
                     .out = (dim << to) + spare_out,
                     .stride = from == to ? 1 : 2,
                     .spare_in = spare_in,
                     .spare_out = spare_out};
}

/* Puts n zeros before the last `after` of the values that end at x + at + after. */
static void insert_zeros(float *x, size_t at, size_t after, size_t n)
{
    memmove(x + at + n, x + at, after * sizeof *x);
    memset(x + at, 0, n * sizeof *x);
}

/* ---- parameters */

static void take_vector_with(walk *w, mv_vector *v, const char *leaf, int n, int spare)
{
    float *x = w->source ? room(w, &w->bias, &w->bias_room, (size_t)(n + spare)) : NULL;
    take(w, x, true, leaf, 1, &n);
    if (x)
        memset(x + n, 0, (size_t)spare * sizeof *x);
    if (!w->status)
        w->status = w->b->vector_new(w->b, v, n + spare, x, w->e);
}

static void take_vector(walk *w, mv_vector *v, const char *leaf, int n)
{
    take_vector_with(w, v, leaf, n, 0);
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

/* Reads a convolution and the batch norm after it (norm may be NULL): w' = w s, b' = b s + t. Spare channels have
 * weights and biases of zero, and so stay zero. */
static void take_conv(walk *w, mv_conv *out, mv_conv shape, const char *name, const char *norm, double eps,
                      bool has_bias)
{
    char leaf[64];
    int in = shape.in - shape.spare_in, n = shape.out - shape.spare_out, dim[4] = {n, in, MV_TAPS, MV_TAPS};
    size_t per = (size_t)in * MV_TAPS * MV_TAPS, stored = (size_t)shape.in * MV_TAPS * MV_TAPS;
    snprintf(leaf, sizeof leaf, "%s.weight", name);
    float *weight = room_for(w, leaf, 4, dim, stored * (size_t)shape.out);
    float *bias = w->source ? room(w, &w->bias, &w->bias_room, (size_t)shape.out) : NULL;
    if (w->status)
        return;
    take(w, weight, true, leaf, 4, dim);
    if (bias)
        memset(bias, 0, (size_t)shape.out * sizeof *bias);
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
    if (weight) {
        for (size_t i = (size_t)n; shape.spare_in && i-- > 0;) {
            memmove(weight + i * stored, weight + i * per, per * sizeof *weight);
            memset(weight + i * stored + per, 0, (stored - per) * sizeof *weight);
        }
        memset(weight + (size_t)n * stored, 0, (size_t)shape.spare_out * stored * sizeof *weight);
    }
    w->status =
        w->b->conv_new(w->b, out, shape.in, shape.out, shape.stride, weight, has_bias || norm ? bias : NULL, w->e);
    out->spare_in = shape.spare_in;
    out->spare_out = shape.spare_out;
}

static void take_dense(walk *w, mv_dense *out, const char *name, int in, int n, bool has_bias)
{
    char leaf[96];
    int dim[2] = {n, in};
    snprintf(leaf, sizeof leaf, "%s.weight", name);
    float *weight = room_for(w, leaf, 2, dim, (size_t)in * (size_t)n);
    float *bias = w->source && has_bias ? room(w, &w->bias, &w->bias_room, (size_t)n) : NULL;
    if (w->status)
        return;
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

/* Reads x_proj, whose rows are [r | spare ranks | B | C]. */
static void take_x_proj(walk *w, mv_dense *out, int e, int rank, int spare)
{
    int dim[2] = {rank + 2 * MV_STATES, e};
    size_t width = (size_t)e;
    float *weight = room_for(w, "mixer.x_proj.weight", 2, dim, ((size_t)dim[0] + (size_t)spare) * width);
    if (w->status)
        return;
    take(w, weight, true, "mixer.x_proj.weight", 2, dim);
    if (weight && spare)
        insert_zeros(weight, (size_t)rank * width, (size_t)2 * MV_STATES * width, (size_t)spare * width);
    if (!w->status)
        w->status = w->b->dense_new(w->b, out, e, dim[0] + spare, weight, NULL, w->e);
    out->spare_out = spare;
}

/* Reads dt_proj and transposes its weight. The bias is doubled: the released models were trained with
 * softplus(W r + 2 b). */
static void take_step(walk *w, mv_ssm *s)
{
    int e = s->channels, rank = s->rank - s->spare_ranks, dim[2] = {e, rank};
    size_t n = (size_t)e * (size_t)rank, stored = (size_t)e * (size_t)s->rank;
    float *weight = room_for(w, "mixer.dt_proj.weight", 2, dim, n + stored), *across = weight ? weight + n : NULL;
    float *bias = w->source ? room(w, &w->bias, &w->bias_room, (size_t)e) : NULL;
    if (w->status)
        return;
    take(w, weight, true, "mixer.dt_proj.weight", 2, dim);
    take(w, bias, true, "mixer.dt_proj.bias", 1, &e);
    if (across)
        memset(across + n, 0, (stored - n) * sizeof *across);
    for (int i = 0; weight && !w->status && i < e; i++) {
        bias[i] *= 2;
        for (int k = 0; k < rank; k++)
            across[(size_t)k * (size_t)e + (size_t)i] = weight[(size_t)i * (size_t)rank + (size_t)k];
    }
    if (!w->status)
        w->status = w->b->vector_new(w->b, &s->dt_weight, e * s->rank, across, w->e);
    if (!w->status)
        w->status = w->b->vector_new(w->b, &s->dt_bias, e, bias, w->e);
}

static void take_mixer(walk *w, mv_mixer *x, int c)
{
    int e = c / 2, rank = step_rank(c), spare = spare_behind(w, rank), a[2] = {e, MV_STATES};
    x->ssm.channels = e;
    x->ssm.rank = rank + spare;
    x->ssm.spare_ranks = spare;
    float *A = w->source ? room(w, &w->bias, &w->bias_room, (size_t)e * MV_STATES) : NULL;
    take(w, A, true, "mixer.A_log", 2, a);
    for (int i = 0; A && !w->status && i < e * MV_STATES; i++)
        A[i] = (float)-exp((double)A[i]);
    if (!w->status)
        w->status = w->b->vector_new(w->b, &x->ssm.A, e * MV_STATES, A, w->e);
    take_vector(w, &x->ssm.D, "mixer.D", e);
    take_dense(w, &x->in, "mixer.in_proj", c, c, false);
    take_x_proj(w, &x->x, e, rank, spare);
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
            take_conv(w, &l->conv[j].conv1, conv_between(w, i, i), "conv1", "norm1", 1e-5, true);
            take_conv(w, &l->conv[j].conv2, conv_between(w, i, i), "conv2", "norm2", 1e-5, true);
            if (w->m->config.conv_gamma)
                take_vector_with(w, &l->conv[j].gamma, "gamma", l->channels, spare_of_level(w, i));
        } else
            take_token_block(w, &l->token[j], i, j);
    enter(w, "levels.%d", i);
    if (i < MV_LEVELS - 1 && !w->status)
        take_conv(w, &l->down, conv_between(w, i, i + 1), "downsample.reduction.0", NULL, 0, false);
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
    mv_conv first = {.in = 3, .out = config->in_dim, .stride = 2}, second = conv_between(&w, 0, 0);
    second.in = config->in_dim, second.spare_in = 0, second.stride = 2;
    take_conv(&w, &m->stem[0], first, "conv_down.0", "conv_down.1", 1e-4, false);
    take_conv(&w, &m->stem[1], second, "conv_down.3", "conv_down.4", 1e-4, false);
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
