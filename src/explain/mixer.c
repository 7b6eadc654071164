#include "src/explain/mixer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/mixer_impl.h"

/* ---- options */

static int mixer_blocks(const mv_config *c, int level)
{
    return level < 2 ? 0 : c->depth[level] - c->depth[level] / 2;
}

/* "level 2, level 3": the levels that have mixers, only those in `level` if it is not NULL; with `blocks`, their
 * mixers.
 */
static const char *levels_text(char text[160], const mv_config *c, const bool *level, bool blocks)
{
    *text = '\0';
    for (int i = 2; i < MV_LEVELS; i++) {
        int n = mixer_blocks(c, i), used = (int)strlen(text);
        if (!n || (level && !level[i]))
            continue;
        used += snprintf(text + used, 160 - (size_t)used, "%slevel %d", used ? ", " : "", i);
        if (blocks)
            snprintf(text + used, 160 - (size_t)used, n > 1 ? ": 0 to %d" : ": %d", n - 1);
    }
    return *text ? text : "a network that has some";
}

static bool listed(const mv_mixer_options *o, int j)
{
    for (int i = 0; i < o->blocks; i++)
        if (o->block[i] == j)
            return true;
    return o->blocks == 0;
}

static mv_query query_of(const mv_mixer_options *o, int level)
{
    bool cell = o->query == MV_QUERY_CELL;
    return (mv_query){.kind = o->query, .y = cell ? o->cell[level][0] : 0, .x = cell ? o->cell[level][1] : 0};
}

static mv_status check_blocks(const mv_mixer_options *o, const mv_config *c, mv_error *e)
{
    char text[160];
    if (o->blocks < 0 || o->blocks > MV_MIXER_LIST)
        return mv_fail(e, MV_EINPUT, "mixer: found %d blocks, expected at most %d", o->blocks, MV_MIXER_LIST);
    for (int k = 0; k < o->blocks; k++) {
        bool any = false;
        for (int i = 2; i < MV_LEVELS; i++)
            any |= o->level[i] && o->block[k] >= 0 && o->block[k] < mixer_blocks(c, i);
        if (!any)
            return mv_fail(e, MV_EINPUT, "block %d: found no such mixer block, expected one of %s", o->block[k],
                           levels_text(text, c, o->level, true));
    }
    return MV_OK;
}

static mv_status check_level(const mv_mixer_options *o, const mv_config *c, int level, const mv_grid *g, mv_error *e)
{
    int channels = c->dim << level >> 1;
    if (o->channel < MV_CHANNEL_MEAN || o->channel >= channels)
        return mv_fail(e, MV_EINPUT, "channel %d: level %d has %d scanned channels, expected 0 to %d", o->channel,
                       level, channels, channels - 1);
    return mv_query_check(query_of(o, level), g, e);
}

/* Sets the levels where none is given, and checks everything. */
static mv_status check(mv_mixer_options *o, const mv_config *c, int h, int w, mv_error *e)
{
    char text[160];
    bool any = false, mixers = false;
    if (!o->wants && !o->matrices)
        return mv_fail(e, MV_EMISUSE, "mixer: nothing is wanted");
    for (int i = 0; i < MV_LEVELS; i++)
        any |= o->level[i];
    for (int i = 0; i < MV_LEVELS; i++) {
        int n = mixer_blocks(c, i);
        o->level[i] = any ? o->level[i] : n > 0;
        mixers |= o->level[i];
        if (o->level[i] && !n)
            return mv_fail(e, MV_EINPUT, "level %d: found %d blocks without a mixer, expected %s", i, c->depth[i],
                           levels_text(text, c, NULL, false));
    }
    if (!mixers)
        return mv_fail(e, MV_EINPUT, "mixer: found no mixer block, expected %s", levels_text(text, c, NULL, false));
    mv_status s = check_blocks(o, c, e);
    for (int i = 2; i < MV_LEVELS && !s; i++) {
        mv_grid g = mv_grid_of(c, i, h, w);
        if (o->level[i])
            s = check_level(o, c, i, &g, e);
    }
    return s;
}

/* ---- the object */

static mv_status prepare(mv_mixer_maps *m, const mv_config *c, int h, int w, mv_error *e)
{
    const mv_mixer_options *o = &m->options;
    size_t blocks = 0;
    for (int i = 2; i < MV_LEVELS; i++)
        blocks += (size_t)mixer_blocks(c, i);
    m->view = calloc(blocks, sizeof *m->view);
    if (!m->view)
        return mv_fail_memory(e, "mixer");
    for (int i = 2; i < MV_LEVELS; i++) {
        mv_grid g = mv_grid_of(c, i, h, w);
        if (o->level[i] && !(m->query[i] = mv_query_constant(query_of(o, i), &g)))
            return mv_fail_memory(e, "mixer");
        for (int j = 0; o->level[i] && j < mixer_blocks(c, i); j++) {
            if (!listed(o, j))
                continue;
            mv_mixer_view *v = &m->view[m->views++];
            v->block = (mv_mixer_block){
                .level = i, .block = j, .channels = c->dim << i >> 1, .query = query_of(o, i), .grid = g};
            snprintf(v->site, sizeof v->site, "levels.%d.blocks.%d.mixer.", i, j);
        }
    }
    return MV_OK;
}

mv_mixer_maps *mv_mixer_maps_new(const mv_mixer_options *options, const mv_config *config, int h, int w, mv_error *e)
{
    mv_mixer_options o = *options;
    if (check(&o, config, h, w, e))
        return NULL;
    mv_mixer_maps *m = calloc(1, sizeof *m);
    if (!m) {
        mv_fail_memory(e, "mixer");
        return NULL;
    }
    m->probe = mv_mixer_probe();
    m->options = o;
    if (prepare(m, config, h, w, e)) {
        mv_mixer_maps_free(m);
        return NULL;
    }
    return m;
}

void mv_mixer_maps_free(mv_mixer_maps *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->views; i++)
        mv_mixer_view_clear(&m->view[i]);
    for (int i = 0; i < MV_LEVELS; i++)
        free(m->query[i]);
    free(m->view);
    free(m->x.v);
    free(m->written.v);
    free(m->z.v);
    free(m->token.v);
    free(m);
}

mv_probe *mv_mixer_maps_probe(mv_mixer_maps *m)
{
    return &m->probe;
}

int mv_mixer_maps_count(const mv_mixer_maps *m)
{
    return m->views;
}

mv_mixer_block mv_mixer_maps_block_at(const mv_mixer_maps *m, int i)
{
    return m->view[i].block;
}

static const mv_mixer_result *result_of(const mv_mixer_maps *m, int picture, int i)
{
    return i < 0 || i >= m->views || picture < 0 || picture >= m->view[i].seen ? NULL : &m->view[i].result[picture];
}

const mv_mixer_map *mv_mixer_maps_lookup(const mv_mixer_maps *m, int picture, int i, mv_mixer_kind kind)
{
    const mv_mixer_result *r = result_of(m, picture, i);
    return r && kind < MV_MIXER_KINDS && r->map[kind].map.v ? &r->map[kind] : NULL;
}

static int matrix_kind(mv_mixer_kind kind)
{
    return kind == MV_MIXER_HIDDEN          ? MV_MIXER_OF_HIDDEN
           : kind == MV_MIXER_CONTRIBUTIONS ? MV_MIXER_OF_CONTRIBUTIONS
                                            : -1;
}

const float *mv_mixer_maps_matrix(const mv_mixer_maps *m, int picture, int i, mv_mixer_kind kind)
{
    const mv_mixer_result *r = result_of(m, picture, i);
    return r && matrix_kind(kind) >= 0 ? r->matrix[matrix_kind(kind)] : NULL;
}

/* token (windows, T) = q^T of the matrix; with `shares`, of its rows scaled to sum 1. */
static void follow(double *token, const double *query, const float *matrix, const mv_grid *g, bool shares)
{
    size_t tokens = (size_t)g->tokens, all = (size_t)g->windows * tokens;
    memset(token, 0, all * sizeof *token);
    for (size_t i = 0; i < all; i++, matrix += tokens) {
        double *to = token + i / tokens * tokens, weight = query[i], sum = 0;
        for (size_t k = 0; k < tokens && shares; k++)
            sum += (double)matrix[k];
        if (shares)
            weight = sum == 0 ? 0 : weight / sum;
        for (size_t k = 0; k < tokens && weight != 0; k++)
            to[k] += weight * (double)matrix[k];
    }
}

mv_status mv_mixer_maps_query(mv_mixer_map *out, const mv_mixer_maps *m, int picture, int i, mv_mixer_kind kind,
                              mv_query query, mv_error *e)
{
    const float *matrix = mv_mixer_maps_matrix(m, picture, i, kind);
    *out = (mv_mixer_map){0};
    if (!matrix)
        return mv_fail(e, MV_EMISUSE, "mixer: a query without the matrix of its block");
    const mv_mixer_block *b = &m->view[i].block;
    if (mv_query_check(query, &b->grid, e))
        return MV_EINPUT;
    size_t all = (size_t)b->grid.windows * (size_t)b->grid.tokens;
    double *weight = malloc(2 * all * sizeof *weight);
    if (!weight)
        return mv_fail_memory(e, "mixer");
    double *token = weight + all;
    mv_query_weights(weight, query, &b->grid);
    follow(token, weight, matrix, &b->grid, kind == MV_MIXER_CONTRIBUTIONS);
    mv_status s = mv_mixer_finish(out, m, b, kind, query, token, e);
    free(weight);
    return s;
}

double mv_mixer_maps_scan_share(const mv_mixer_maps *m, int picture, int i)
{
    const mv_mixer_result *r = result_of(m, picture, i);
    double all = r ? r->scan + r->local : 0;
    return all > 0 ? r->scan / all : (double)NAN;
}

mv_status mv_mixer_diagonal(double *out, const mv_model *model, int level, int block, int channel, bool with_sign,
                            mv_error *e)
{
    *out = 0;
    if (level < 2 || level >= MV_LEVELS || block < 0 || block >= mixer_blocks(&model->config, level))
        return mv_fail(e, MV_EINPUT, "mixer: found level %d, block %d, expected a mixer block", level, block);
    const mv_vector d = model->level[level].token[block].mixer.ssm.D;
    if (channel < MV_CHANNEL_MEAN || channel >= d.n)
        return mv_fail(e, MV_EINPUT, "mixer: found channel %d, expected 0 to %d", channel, d.n - 1);
    float *host = malloc((size_t)d.n * sizeof *host);
    if (!host)
        return mv_fail_memory(e, "mixer");
    mv_backend *b = model->backend;
    mv_status s = b->read(b, host, mv_view_of(mv_tensor_of(d.data, MV_F32, 1, d.n)), e);
    int from = channel < 0 ? 0 : channel, to = channel < 0 ? d.n : channel + 1;
    for (int k = from; k < to && !s; k++)
        *out += (with_sign ? (double)host[k] : fabs((double)host[k])) / (to - from);
    free(host);
    return s;
}
