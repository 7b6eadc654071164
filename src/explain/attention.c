#include "src/explain/attention.h"
#include "src/base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/shares.h"

/* What is shown, and its results: for each picture the mean of the heads, then every head. The maps that were not asked
 * for stay empty. */
typedef struct {
    mv_attention_block block;
    const mv_shares *shares;
    int slots; /* maps of a picture */
    int seen;  /* pictures that `map` has entries for */
    mv_attention_map *map;
} view;

/* An attention block that is read. */
typedef struct {
    char site[64];
    const mv_shares *shares;
    view *shown;   /* NULL: the block is read for the rollout only */
    view *rollout; /* NULL: none is asked for */
    int before;    /* blocks of the rollout before this one */
    bool last;     /* none after it */
} watched;

struct mv_attention_maps {
    mv_probe probe;
    mv_attention_options options;
    int views, sites;
    view *view;
    watched *site;
    mv_tensor *mean; /* of the heads of each site in the current batch: for the rollout */
    mv_shares shares[MV_LEVELS];
    double *share; /* (windows, tokens) of a map, and of the mean of the heads */
};

/* ---- options */

static int attention_blocks(const mv_config *c, int level)
{
    int n = 0;
    for (int j = 0; level >= 2 && j < c->depth[level]; j++)
        n += mv_config_attends(c->depth[level], j);
    return n;
}

/* "level 2, level 3": the levels that have attention, only those in `level` if it is not NULL; with `blocks`, their
 * attention blocks. */
static const char *levels_text(char text[160], const mv_config *c, const bool *level, bool blocks)
{
    *text = '\0';
    for (int i = 2; i < MV_LEVELS; i++) {
        int n = attention_blocks(c, i), used = (int)strlen(text);
        if (!n || (level && !level[i]))
            continue;
        used += snprintf(text + used, 160 - (size_t)used, "%slevel %d", used ? ", " : "", i);
        if (blocks)
            snprintf(text + used, 160 - (size_t)used, n > 1 ? ": %d to %d" : ": %d", c->depth[i] - n, c->depth[i] - 1);
    }
    return *text ? text : "a network that has some";
}

static mv_status check_levels(bool level[MV_LEVELS], const mv_attention_options *o, const mv_config *c, mv_error *e)
{
    char text[160];
    bool any = false, attend = false;
    for (int i = 0; i < MV_LEVELS; i++)
        any |= o->level[i];
    for (int i = 0; i < MV_LEVELS; i++) {
        int n = attention_blocks(c, i);
        level[i] = any ? o->level[i] : n > 0;
        attend |= level[i];
        if (level[i] && !n)
            return mv_fail(e, MV_EINPUT, "level %d: found %d blocks without attention, expected %s", i, c->depth[i],
                           levels_text(text, c, NULL, false));
    }
    if (!attend)
        return mv_fail(e, MV_EINPUT, "attention: found no attention block, expected %s",
                       levels_text(text, c, NULL, false));
    return MV_OK;
}

static bool listed(const int *list, int n, int value)
{
    for (int i = 0; i < n; i++)
        if (list[i] == value)
            return true;
    return false;
}

static bool shows(const mv_attention_options *o, const mv_config *c, int level, int j)
{
    return mv_config_attends(c->depth[level], j) && (o->blocks == 0 || listed(o->block, o->blocks, j));
}

static bool shows_head(const mv_attention_options *o, int head)
{
    return o->heads == 0 ? head == MV_HEAD_MEAN
                         : listed(o->head, o->heads, head) || listed(o->head, o->heads, MV_HEAD_EACH);
}

static mv_query query_of(const mv_attention_options *o, int level)
{
    bool cell = o->query == MV_QUERY_CELL;
    return (mv_query){.kind = o->query, .y = cell ? o->cell[level][0] : 0, .x = cell ? o->cell[level][1] : 0};
}

static mv_status check_heads(const mv_attention_options *o, int level, int heads, mv_error *e)
{
    for (int k = 0; k < o->heads; k++)
        if (o->head[k] < MV_HEAD_EACH || o->head[k] >= heads)
            return mv_fail(e, MV_EINPUT, "head %d: level %d has %d heads, expected 0 to %d", o->head[k], level, heads,
                           heads - 1);
    return MV_OK;
}

static mv_status check_blocks(const bool level[MV_LEVELS], const mv_attention_options *o, const mv_config *c,
                              mv_error *e)
{
    for (int k = 0; k < o->blocks; k++) {
        char text[160];
        bool any = false;
        for (int i = 2; i < MV_LEVELS; i++)
            any |= level[i] && o->block[k] >= 0 && o->block[k] < c->depth[i] &&
                   mv_config_attends(c->depth[i], o->block[k]);
        if (!any)
            return mv_fail(e, MV_EINPUT, "block %d: found no such attention block, expected one of %s", o->block[k],
                           levels_text(text, c, level, true));
    }
    return MV_OK;
}

static mv_status check(const bool level[MV_LEVELS], const mv_attention_options *o, const mv_config *c, int h, int w,
                       mv_error *e)
{
    const int most = MV_ATTENTION_LIST;
    if (o->blocks < 0 || o->blocks > most || o->heads < 0 || o->heads > most)
        return mv_fail(e, MV_EINPUT, "attention: found %d blocks and %d heads, expected at most %d of each", o->blocks,
                       o->heads, most);
    mv_status s = check_blocks(level, o, c, e);
    for (int i = 2; i < MV_LEVELS && !s; i++) {
        bool here = false;
        for (int j = 0; level[i] && j < c->depth[i]; j++)
            here |= shows(o, c, i, j);
        if (here)
            s = check_heads(o, i, c->heads[i], e);
        mv_grid g = mv_grid_of(c, i, h, w);
        if (!s && level[i])
            s = mv_query_check(query_of(o, i), &g, e);
    }
    return s;
}

/* ---- the probe */

static void clear(view *v)
{
    for (int i = 0; i < v->seen * v->slots; i++)
        mv_map_free(&v->map[i].map);
    free(v->map);
    v->map = NULL;
    v->seen = 0;
}

/* Makes room for the maps of more pictures. */
static bool extend(view *v, int pictures)
{
    size_t slots = (size_t)v->slots, old = (size_t)v->seen * slots, all = (size_t)pictures * slots;
    if (pictures <= v->seen)
        return true;
    mv_attention_map *more = realloc(v->map, all * sizeof *more);
    if (!more)
        return false;
    memset(more + old, 0, (all - old) * sizeof *more);
    v->map = more;
    v->seen = pictures;
    return true;
}

/* The map of shares (windows, tokens), with its title; head as in lookup. */
static mv_status finish(mv_attention_map *to, const view *v, int head, const double *share, mv_error *e)
{
    const mv_attention_block *b = &v->block;
    mv_map_free(&to->map);
    mv_status s = mv_rows_map(&to->map, &to->padding, share, &b->grid, e);
    if (s)
        return s;
    char *title = to->map.title, heads[48];
    const size_t room = sizeof to->map.title;
    if (b->block == MV_BLOCK_ROLLOUT)
        snprintf(title, room, "Level %d, rollout", b->level);
    else if (head == MV_HEAD_MEAN)
        snprintf(title, room, "Level %d, block %d, mean of %s", b->level, b->block,
                 mv_count_text(heads, b->heads, "head"));
    else
        snprintf(title, room, "Level %d, block %d, head %d", b->level, b->block, head);
    return MV_OK;
}

/* The maps of picture p of the batch. */
static mv_status show(const mv_attention_maps *m, const view *v, mv_tensor value, int p, mv_attention_map *to,
                      mv_error *e)
{
    const mv_attention_options *o = &m->options;
    const mv_grid *g = &v->block.grid;
    const size_t all = (size_t)g->windows * (size_t)g->tokens;
    double *share = m->share, *mean = share + all;
    int heads = value.dim[1];
    bool rollout = v->block.block == MV_BLOCK_ROLLOUT;
    mv_status s = MV_OK;
    memset(mean, 0, all * sizeof *mean);
    for (int k = 0; k < heads && !s; k++) {
        mv_shares_read(v->shares, share, value, p, k);
        for (size_t i = 0; i < all; i++)
            mean[i] += share[i];
        if (!rollout && shows_head(o, k))
            s = finish(&to[1 + k], v, k, share, e);
    }
    for (size_t i = 0; i < all; i++)
        mean[i] /= heads;
    return s || !(rollout || shows_head(o, MV_HEAD_MEAN)) ? s : finish(to, v, MV_HEAD_MEAN, mean, e);
}

/* The figures of its heads, and of their mean. */
static void show_figures(const view *v, mv_tensor value, int p, mv_attention_map *to)
{
    int heads = v->block.heads;
    mv_rows_stats mean = {0};
    for (int k = 0; k < heads; k++) {
        mv_rows_stats s = to[1 + k].stats = mv_shares_stats(v->shares, value, p, k);
        mean.rows = s.rows;
        mean.entropy += s.entropy / heads;
        mean.distance += s.distance / heads;
        mean.padding += s.padding / heads;
    }
    to->stats = mean;
}

static watched *site_of(const mv_attention_maps *m, const char *site)
{
    for (int i = 0; i < m->sites; i++)
        if (strcmp(m->site[i].site, site) == 0)
            return &m->site[i];
    return NULL;
}

static bool wants(mv_probe *p, const char *site)
{
    return site_of((mv_attention_maps *)p, site);
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    const mv_attention_maps *m = (mv_attention_maps *)p;
    const watched *w = site_of(m, site->name);
    const mv_grid *g = &w->shares->grid;
    const int expected[4] = {mv_run_pictures(r) * g->windows, w->shares->heads, g->tokens, g->tokens};
    if (value.nd != 4 || memcmp(value.dim, expected, sizeof expected)) {
        char found[64], text[64];
        mv_run_fail(r, MV_EMISUSE, "%s: found rows of %s, expected %s for pictures of %dx%d", site->name,
                    mv_shape_text(found, value.nd, value.dim), mv_shape_text(text, 4, expected), g->picture_h,
                    g->picture_w);
        return false;
    }
    mv_tensor rows = mv_tensor_of(value.data, value.type, 4, expected[0], expected[1], expected[2], expected[3]);
    if (w->shown)
        mv_shares_keep(w->shares, r, p, site->name, rows);
    if (w->rollout) {
        mv_tensor *mean = &m->mean[w - m->site];
        *mean = mv_shares_mean(r, rows);
        if (w->last)
            mv_shares_roll(w->shares, r, p, site->name, mean - w->before, w->before + 1);
    }
    return false;
}

static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    const mv_attention_maps *m = (mv_attention_maps *)p;
    const watched *w = site_of(m, site);
    view *v = part == MV_SHARES_ROLLED ? w->rollout : w->shown;
    mv_error e = {0};
    mv_status s = MV_OK;
    int first = mv_run_first(r), pictures = mv_run_pictures(r);
    if (first == 0 && part != MV_SHARES_FIGURES)
        clear(v); /* a new forward */
    if (!extend(v, first + pictures))
        s = mv_fail_memory(&e, site);
    for (int i = 0; i < pictures && !s; i++) {
        mv_attention_map *to = &v->map[(size_t)(first + i) * (size_t)v->slots];
        if (part == MV_SHARES_FIGURES)
            show_figures(v, value, i, to);
        else
            s = show(m, v, value, i, to, &e);
    }
    if (s)
        mv_run_fail(r, e.code, "%s", e.text);
}

/* ---- the object */

static view *add_view(mv_attention_maps *m, mv_attention_block b)
{
    view *v = &m->view[m->views++];
    *v = (view){.block = b, .shares = &m->shares[b.level], .slots = b.block == MV_BLOCK_ROLLOUT ? 1 : b.heads + 1};
    return v;
}

static void add_level(mv_attention_maps *m, const mv_config *c, int level)
{
    const mv_attention_options *o = &m->options;
    int first = m->sites, n = attention_blocks(c, level);
    mv_attention_block b = {
        .level = level, .heads = c->heads[level], .query = query_of(o, level), .grid = m->shares[level].grid};
    for (int j = c->depth[level] - n; j < c->depth[level]; j++) {
        bool shown = shows(o, c, level, j);
        if (!shown && !o->rollout)
            continue;
        watched *s = &m->site[m->sites++];
        *s = (watched){
            .shares = &m->shares[level], .before = j - (c->depth[level] - n), .last = j == c->depth[level] - 1};
        snprintf(s->site, sizeof s->site, "levels.%d.blocks.%d.mixer.attn", level, j);
        b.block = j;
        if (shown)
            s->shown = add_view(m, b);
    }
    if (!o->rollout)
        return;
    b.block = MV_BLOCK_ROLLOUT;
    view *v = add_view(m, b);
    for (int i = first; i < m->sites; i++)
        m->site[i].rollout = v;
}

static mv_status prepare(mv_attention_maps *m, const bool level[MV_LEVELS], const mv_config *c, int h, int w,
                         mv_error *e)
{
    size_t blocks = 0, cells = 0;
    for (int i = 2; i < MV_LEVELS; i++)
        blocks += (size_t)c->depth[i];
    m->view = calloc(blocks + MV_LEVELS, sizeof *m->view); /* with a rollout for each level; sites point into it */
    m->site = calloc(blocks, sizeof *m->site);
    m->mean = calloc(blocks, sizeof *m->mean);
    mv_status s = m->view && m->site && m->mean ? MV_OK : mv_fail_memory(e, "attention");
    for (int i = 2; i < MV_LEVELS && !s; i++) {
        mv_grid g = mv_grid_of(c, i, h, w);
        size_t all = (size_t)g.windows * (size_t)g.tokens;
        if (!level[i])
            continue;
        cells = all > cells ? all : cells;
        s = mv_shares_new(&m->shares[i], &g, query_of(&m->options, i), c->heads[i], e);
        if (!s)
            add_level(m, c, i);
    }
    if (!s && !(m->share = malloc(2 * cells * sizeof *m->share)))
        s = mv_fail_memory(e, "attention");
    return s;
}

mv_attention_maps *mv_attention_maps_new(const mv_attention_options *options, const mv_config *config, int h, int w,
                                         mv_error *e)
{
    bool level[MV_LEVELS];
    if (check_levels(level, options, config, e) || check(level, options, config, h, w, e))
        return NULL;
    mv_attention_maps *m = calloc(1, sizeof *m);
    if (!m) {
        mv_fail_memory(e, "attention");
        return NULL;
    }
    m->probe = (mv_probe){.wants = wants, .sees = sees, .kept = kept};
    m->options = *options;
    if (prepare(m, level, config, h, w, e)) {
        mv_attention_maps_free(m);
        return NULL;
    }
    return m;
}

void mv_attention_maps_free(mv_attention_maps *m)
{
    if (!m)
        return;
    for (int i = 0; i < MV_LEVELS; i++)
        mv_shares_free(&m->shares[i]);
    for (int i = 0; i < m->views; i++)
        clear(&m->view[i]);
    free(m->view);
    free(m->site);
    free(m->mean);
    free(m->share);
    free(m);
}

mv_probe *mv_attention_maps_probe(mv_attention_maps *m)
{
    return &m->probe;
}

int mv_attention_maps_count(const mv_attention_maps *m)
{
    return m->views;
}

mv_attention_block mv_attention_maps_block_at(const mv_attention_maps *m, int i)
{
    return m->view[i].block;
}

const mv_attention_map *mv_attention_maps_lookup(const mv_attention_maps *m, int picture, int i, int head)
{
    if (i < 0 || i >= m->views || picture < 0 || picture >= m->view[i].seen)
        return NULL;
    const view *v = &m->view[i];
    if (head < MV_HEAD_MEAN || head + 1 >= v->slots)
        return NULL;
    const mv_attention_map *found = &v->map[(size_t)picture * (size_t)v->slots + (size_t)(head + 1)];
    return found->map.v ? found : NULL;
}
