#include "src/explain/mixer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/ops.h"

/* The results of one block for one picture. The maps that were not asked for stay empty. */
typedef struct {
    mv_mixer_map map[MV_MIXER_KINDS];
} result;

typedef struct {
    mv_mixer_block block;
    char site[48]; /* "levels.2.blocks.0.mixer." */
    int seen;      /* pictures that `result` has entries for */
    result *result;
} view;

/* The parts of a kept value, in the order of arrival. */
enum { PART_X, PART_Z, PART_DT, PART_B, PART_C, PART_H, PART_Y };

/* Memory for values of one kind of a whole batch. */
typedef struct {
    size_t room;
    double *v;
} store;

struct mv_mixer_maps {
    mv_probe probe;
    mv_mixer_options options;
    int views;
    view *view;
    /* Of the block whose values arrive: what later ones are combined with. */
    store x, written, z;
    store token; /* of one map */
};

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

/* ---- the probe: which values, and how they are kept */

static bool wanted(const mv_mixer_maps *m, unsigned kinds)
{
    return (m->options.wants | m->options.matrices) & kinds;
}

static view *view_of(const mv_mixer_maps *m, const char *site)
{
    for (int i = 0; i < m->views; i++)
        if (strncmp(site, m->view[i].site, strlen(m->view[i].site)) == 0)
            return &m->view[i];
    return NULL;
}

/* What the values are needed for. */
static const struct {
    const char *leaf;
    int part;
    unsigned kinds;
} needs[] = {
    {"x", PART_X, MV_MIXER_BIT(MV_MIXER_WRITE)},
    {"z", PART_Z, MV_MIXER_BIT(MV_MIXER_RATIO)},
    {"dt", PART_DT, MV_MIXER_BIT(MV_MIXER_DT) | MV_MIXER_BIT(MV_MIXER_WRITE)},
    {"B", PART_B, MV_MIXER_BIT(MV_MIXER_B) | MV_MIXER_BIT(MV_MIXER_WRITE)},
    {"C", PART_C, MV_MIXER_BIT(MV_MIXER_C)},
    {"h", PART_H, MV_MIXER_BIT(MV_MIXER_H)},          /* of one channel */
    {"state_norm", PART_H, MV_MIXER_BIT(MV_MIXER_H)}, /* of all */
    {"y", PART_Y, MV_MIXER_BIT(MV_MIXER_RATIO)},
};
enum { NEEDS = sizeof needs / sizeof *needs };

/* The row of `needs` of a site, -1: none. */
static int need_of(const mv_mixer_maps *m, const char *site)
{
    const view *v = view_of(m, site);
    const char *leaf = v ? site + strlen(v->site) : "";
    for (int i = 0; i < NEEDS; i++)
        if (strcmp(leaf, needs[i].leaf) == 0) {
            bool other = strcmp(leaf, m->options.channel < 0 ? "h" : "state_norm") == 0;
            return wanted(m, needs[i].kinds) && !other ? i : -1;
        }
    return -1;
}

/* The part that arrives first: a new forward begins with it. */
static int first_part(const mv_mixer_maps *m)
{
    int i = 0;
    while (!wanted(m, needs[i].kinds))
        i++;
    return needs[i].part;
}

static bool wants(mv_probe *p, const char *site)
{
    return need_of((mv_mixer_maps *)p, site) >= 0;
}

/* The chosen channel of a value (N, T, E, ...), with its dimension. */
static mv_view channel_of(const mv_mixer_maps *m, mv_view v)
{
    int c = m->options.channel;
    if (c < 0)
        return v;
    if (v.data)
        v.data = (char *)v.data + c * v.stride[2] * (ptrdiff_t)mv_dtype_size(v.type);
    v.dim[2] = 1;
    return v;
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    const mv_mixer_maps *m = (mv_mixer_maps *)p;
    const view *of = view_of(m, site->name);
    const mv_grid *g = &of->block.grid;
    int part = needs[need_of(m, site->name)].part;
    if (v.nd < 2 || v.dim[0] != mv_run_pictures(r) * g->windows || v.dim[1] != g->tokens) {
        char found[64];
        mv_run_fail(r, MV_EMISUSE, "%s: found a value of %s, expected %d windows of %d tokens for pictures of %dx%d",
                    site->name, mv_shape_text(found, v.nd, v.dim), mv_run_pictures(r) * g->windows, g->tokens,
                    g->picture_h, g->picture_w);
        return false;
    }
    bool all = part == PART_B || part == PART_C || v.nd < 3; /* it has no channels */
    mv_run_keep(r, p, site->name, part, all ? v : channel_of(m, v));
    return false;
}

/* ---- results */

static void clear(view *v)
{
    for (int i = 0; i < v->seen; i++)
        for (int k = 0; k < MV_MIXER_KINDS; k++)
            mv_map_free(&v->result[i].map[k].map);
    free(v->result);
    v->result = NULL;
    v->seen = 0;
}

/* Makes room for the results of more pictures. */
static bool extend(view *v, int pictures)
{
    if (pictures <= v->seen)
        return true;
    result *more = realloc(v->result, (size_t)pictures * sizeof *more);
    if (!more)
        return false;
    memset(more + v->seen, 0, (size_t)(pictures - v->seen) * sizeof *more);
    v->result = more;
    v->seen = pictures;
    return true;
}

static bool reserve(store *s, size_t n)
{
    if (n <= s->room)
        return true;
    free(s->v);
    s->v = malloc(n * sizeof *s->v);
    s->room = s->v ? n : 0;
    return s->v;
}

static const char *unit_of(const mv_mixer_maps *m, mv_mixer_kind kind)
{
    bool one = m->options.channel >= 0, sign = m->options.with_sign;
    switch (kind) {
    case MV_MIXER_HALF_LIFE: return "tokens";
    case MV_MIXER_RATIO: return "|y| / |z|";
    case MV_MIXER_HIDDEN: return one ? (sign ? "M" : "|M|") : sign ? "mean M" : "mean |M|";
    case MV_MIXER_CONTRIBUTIONS: return "share";
    case MV_MIXER_DT: return one ? "dt" : "mean dt";
    case MV_MIXER_WRITE: return "|dt x| |B|";
    case MV_MIXER_H: return "|h|";
    default: return mv_mixer_title(kind);
    }
}

static void describe(mv_mixer_map *to, const mv_mixer_maps *m, const mv_mixer_block *b, mv_mixer_kind kind, mv_query q)
{
    static const char *const queries[] = {
        [MV_QUERY_POOLED] = "pooled", [MV_QUERY_RECEIVED] = "received", [MV_QUERY_CELL] = "cell"};
    const mv_grid *g = &b->grid;
    mv_map *map = &to->map;
    bool matrix = MV_MIXER_BIT(kind) & MV_MIXER_MATRICES,
         one = m->options.channel >= 0 && kind != MV_MIXER_B && kind != MV_MIXER_C && kind != MV_MIXER_CONTRIBUTIONS;
    char channel[32] = "";
    map->method = "mixer";
    map->what = mv_mixer_key(kind);
    map->level = b->level;
    map->block = b->block;
    map->cell = g->cell;
    map->window = g->window;
    map->down = g->down;
    map->across = g->across;
    map->padding = g->padding;
    map->on_padding = to->padding;
    if (matrix) {
        map->query = queries[q.kind];
        map->query_y = q.y;
        map->query_x = q.x;
    }
    if (one)
        snprintf(channel, sizeof channel, ", channel %d", m->options.channel);
    snprintf(map->title, sizeof map->title, "Level %d, block %d, %s%s", b->level, b->block, mv_mixer_title(kind),
             channel);
    snprintf(map->unit, sizeof map->unit, "%s", unit_of(m, kind));
}

/* The map of tokens (windows, T). */
static mv_status finish(mv_mixer_map *to, const mv_mixer_maps *m, const mv_mixer_block *b, mv_mixer_kind kind,
                        mv_query q, const double *token, mv_error *e)
{
    const mv_grid *g = &b->grid;
    double all = 0, lost = 0;
    mv_map_free(&to->map);
    mv_status s = mv_grid_stitch(&to->map, g, token, e);
    if (s)
        return s;
    for (int n = 0; n < g->windows; n++)
        for (int t = 0, y, x; t < g->tokens; t++) {
            double v = fabs(token[(size_t)n * (size_t)g->tokens + (size_t)t]);
            all += v;
            lost += mv_grid_cell(g, n, t, &y, &x) ? 0 : v;
        }
    to->padding = all > 0 ? lost / all : 0;
    describe(to, m, b, kind, q);
    return MV_OK;
}

/* The batch whose values arrive. */
typedef struct {
    mv_mixer_maps *m;
    view *v;
    int first, pictures;
    size_t tokens; /* of all pictures */
    mv_error *e;
} arrival;

/* Makes the maps of all pictures of tokens (pictures, windows, T), if the kind was asked for. */
static mv_status show(const arrival *a, mv_mixer_kind kind, const double *token)
{
    size_t each = a->tokens / (size_t)a->pictures;
    mv_status s = MV_OK;
    for (int i = 0; i < a->pictures && !s && (a->m->options.wants & MV_MIXER_BIT(kind)); i++)
        s = finish(&a->v->result[a->first + i].map[kind], a->m, &a->v->block, kind, a->v->block.query,
                   token + (size_t)i * each, a->e);
    return s;
}

/* out = the Euclidean norm of each token's values, times those of `by` if it is not NULL. */
static void norms(double *out, const float *v, const double *by, size_t tokens, size_t n)
{
    for (size_t t = 0; t < tokens; t++, v += n) {
        double sum = 0;
        for (size_t k = 0; k < n; k++) {
            double x = (double)v[k] * (by ? by[t * n + k] : 1);
            sum += x * x;
        }
        out[t] = sqrt(sum);
    }
}

static mv_status take_step(const arrival *a, const float *dt, size_t n)
{
    double *token = a->m->token.v;
    for (size_t t = 0; t < a->tokens; t++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += (double)dt[t * n + k];
        token[t] = sum / (double)n;
    }
    if (wanted(a->m, MV_MIXER_BIT(MV_MIXER_WRITE)))
        norms(a->m->written.v, dt, a->m->x.v, a->tokens, n);
    return show(a, MV_MIXER_DT, token);
}

static mv_status take_b(const arrival *a, const float *b, size_t n)
{
    double *token = a->m->token.v;
    norms(token, b, NULL, a->tokens, n);
    mv_status s = show(a, MV_MIXER_B, token);
    if (s || !wanted(a->m, MV_MIXER_BIT(MV_MIXER_WRITE)))
        return s;
    for (size_t t = 0; t < a->tokens; t++)
        token[t] *= a->m->written.v[t];
    return show(a, MV_MIXER_WRITE, token);
}

static mv_status take(const arrival *a, int part, const float *v, size_t n)
{
    mv_mixer_maps *m = a->m;
    double *token = m->token.v;
    switch (part) {
    case PART_X:
        for (size_t i = 0; i < a->tokens * n; i++)
            m->x.v[i] = (double)v[i];
        return MV_OK;
    case PART_Z: norms(m->z.v, v, NULL, a->tokens, n); return MV_OK;
    case PART_DT: return take_step(a, v, n);
    case PART_B: return take_b(a, v, n);
    case PART_C: norms(token, v, NULL, a->tokens, n); return show(a, MV_MIXER_C, token);
    case PART_H: norms(token, v, NULL, a->tokens, n); return show(a, MV_MIXER_H, token);
    default: /* PART_Y */
        norms(token, v, NULL, a->tokens, n);
        for (size_t t = 0; t < a->tokens; t++)
            token[t] /= m->z.v[t];
        return show(a, MV_MIXER_RATIO, token);
    }
}

static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    mv_mixer_maps *m = (mv_mixer_maps *)p;
    mv_error e = {0};
    arrival a = {.m = m, .v = view_of(m, site), .first = mv_run_first(r), .pictures = mv_run_pictures(r), .e = &e};
    a.tokens = (size_t)a.pictures * (size_t)a.v->block.grid.windows * (size_t)a.v->block.grid.tokens;
    size_t all = mv_tensor_count(value);
    if (a.first == 0 && part == first_part(m))
        clear(a.v); /* a new forward */
    bool room = reserve(&m->token, a.tokens) && reserve(&m->written, a.tokens) && reserve(&m->z, a.tokens) &&
                (part != PART_X || reserve(&m->x, all)) && extend(a.v, a.first + a.pictures);
    mv_status s = room ? take(&a, part, value.data, all / a.tokens) : mv_fail_memory(&e, site);
    if (s)
        mv_run_fail(r, e.code, "%s", e.text);
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
    for (int i = 2; i < MV_LEVELS; i++)
        for (int j = 0; o->level[i] && j < mixer_blocks(c, i); j++) {
            if (!listed(o, j))
                continue;
            view *v = &m->view[m->views++];
            v->block = (mv_mixer_block){.level = i,
                                        .block = j,
                                        .channels = c->dim << i >> 1,
                                        .query = query_of(o, i),
                                        .grid = mv_grid_of(c, i, h, w)};
            snprintf(v->site, sizeof v->site, "levels.%d.blocks.%d.mixer.", i, j);
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
    m->probe = (mv_probe){.wants = wants, .sees = sees, .kept = kept};
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
        clear(&m->view[i]);
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

static const result *result_of(const mv_mixer_maps *m, int picture, int i)
{
    return i < 0 || i >= m->views || picture < 0 || picture >= m->view[i].seen ? NULL : &m->view[i].result[picture];
}

const mv_mixer_map *mv_mixer_maps_lookup(const mv_mixer_maps *m, int picture, int i, mv_mixer_kind kind)
{
    const result *r = result_of(m, picture, i);
    return r && kind < MV_MIXER_KINDS && r->map[kind].map.v ? &r->map[kind] : NULL;
}
