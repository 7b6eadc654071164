#include "src/explain/attention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/shares.h"

/* What is shown, and its results: heads + 1 maps a picture, the mean of the heads first; those of heads that were not
 * asked for stay empty. */
typedef struct {
    mv_attention_block block;
    const mv_attention_options *options;
    int slots;
    int seen; /* pictures that `map` has entries for */
    mv_attention_map *map;
} view;

/* An attention block that is read. */
typedef struct {
    char site[64];
    mv_shares *shares;
    view *shown;   /* NULL: read for the rollout alone */
    view *rollout; /* NULL: none is asked for */
    int of, n;     /* number `of` of the n of its level that a rollout goes through */
} watched;

struct mv_attention_maps {
    mv_probe probe;
    mv_attention_options options;
    int views, sites;
    view *view;
    watched *site;
    mv_shares *shares; /* of each site */
};

/* ---- options */

static int attention_blocks(const mv_config *c, int level)
{
    int n = 0;
    for (int j = 0; level >= 2 && j < c->depth[level]; j++)
        n += mv_config_attends(c->depth[level], j);
    return n;
}

/* "2 and 3": the levels that have attention, of those in `level` if it is given; with `blocks`, which ones. */
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
            return mv_fail(e, MV_EINPUT, "level %d: has %d blocks and no attention, expected %s", i, c->depth[i],
                           levels_text(text, c, NULL, false));
    }
    if (!attend)
        return mv_fail(e, MV_EINPUT, "attention: the network has no attention block, expected %s",
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
            return mv_fail(e, MV_EINPUT, "block %d: is no attention block, expected one of %s", o->block[k],
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

/* Room for the maps of more pictures. */
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

/* The map of shares (windows, tokens), titled; head as in lookup. */
static mv_status finish(mv_attention_map *to, const view *v, int head, const double *share, mv_error *e)
{
    const mv_attention_block *b = &v->block;
    mv_status s = mv_rows_map(&to->map, &to->padding, share, &b->grid, e);
    if (s)
        return s;
    char *title = to->map.title;
    const size_t room = sizeof to->map.title;
    if (b->block == MV_BLOCK_ROLLOUT)
        snprintf(title, room, "Level %d, rollout", b->level);
    else if (head == MV_HEAD_MEAN)
        snprintf(title, room, "Level %d, block %d, mean of %d heads", b->level, b->block, b->heads);
    else
        snprintf(title, room, "Level %d, block %d, head %d", b->level, b->block, head);
    return MV_OK;
}

/* The shares and figures of a block, from those of its heads: in the place of the first. */
static void heads_mean(double *share, mv_rows_stats *stats, size_t all, int heads)
{
    for (int k = 1; k < heads; k++)
        for (size_t i = 0; i < all; i++)
            share[i] += share[(size_t)k * all + i];
    for (size_t i = 0; i < all; i++)
        share[i] /= heads;
    mv_rows_stats mean = {.rows = stats->rows};
    for (int k = 0; k < heads; k++) {
        mean.entropy += stats[k].entropy / heads;
        mean.distance += stats[k].distance / heads;
        mean.padding += stats[k].padding / heads;
    }
    *stats = mean;
}

/* The maps of picture p of the pass. */
static mv_status show(const watched *w, int p, mv_attention_map *to, mv_error *e)
{
    const view *v = w->shown;
    const mv_grid *g = &v->block.grid;
    int heads = mv_shares_heads(w->shares);
    size_t all = (size_t)g->windows * (size_t)g->tokens;
    double *share = w->shares->share + (size_t)(p * heads) * all;
    mv_rows_stats *stats = w->shares->stats + p * heads;
    bool one = heads < v->block.heads; /* the only head that was looked at */
    mv_status s = MV_OK;
    for (int k = 0; k < heads && !s; k++) {
        int head = one ? v->options->head[0] : k;
        if (!shows_head(v->options, head))
            continue;
        to[1 + head].stats = stats[k];
        s = finish(&to[1 + head], v, head, share + (size_t)k * all, e);
    }
    if (s || !shows_head(v->options, MV_HEAD_MEAN))
        return s;
    heads_mean(share, stats, all, heads);
    to->stats = *stats;
    return finish(to, v, MV_HEAD_MEAN, share, e);
}

/* The rollout's maps of the pass's pictures, from their shares */
static mv_status show_rollout(const watched *last, const mv_run *r, const double *share, mv_error *e)
{
    const view *v = last->rollout;
    size_t all = (size_t)v->block.grid.windows * (size_t)v->block.grid.tokens;
    int first = mv_run_first(r);
    mv_status s = MV_OK;
    for (int p = 0; p < mv_run_pictures(r) && !s; p++)
        s = finish(&v->map[(size_t)(first + p) * (size_t)v->slots], v, MV_HEAD_MEAN, share + (size_t)p * all, e);
    return s;
}

static mv_status show_all(const watched *w, const mv_run *r, mv_error *e)
{
    mv_status s = MV_OK;
    for (int p = 0; w->shown && p < mv_run_pictures(r) && !s; p++)
        s = show(w, p, &w->shown->map[(size_t)(mv_run_first(r) + p) * (size_t)w->shown->slots], e);
    return s;
}

static double *rolled_new(const watched *w, const mv_run *r)
{
    return malloc((size_t)mv_run_pictures(r) * (size_t)w->shares->grid.windows * (size_t)w->shares->grid.tokens *
                  sizeof(double));
}

/* The pictures of one pass, on the host: seen and shown at once. */
static mv_status pass(const watched *w, mv_run *r, mv_view value, mv_error *e)
{
    int seen = mv_run_first(r) + mv_run_pictures(r);
    if ((w->shown && !extend(w->shown, seen)) || (w->rollout && !extend(w->rollout, seen)))
        return mv_fail_memory(e, w->site);
    mv_status s = mv_shares_pass(w->shares, r, value, NULL, w->site, e);
    if (!s)
        s = show_all(w, r, e);
    if (s || !w->shares->rolls)
        return s;
    double *share = rolled_new(w, r);
    s = share ? mv_shares_roll(w->shares - w->n + 1, w->n, r, share, NULL, w->site, e) : mv_fail_memory(e, "rollout");
    if (!s)
        s = show_rollout(w, r, share, e);
    free(share);
    return s;
}

/* The same on a device: now asked for, */
static mv_status ask(mv_attention_maps *m, const watched *w, mv_run *r, mv_view value, mv_error *e)
{
    mv_status s = mv_shares_pass(w->shares, r, value, &m->probe, w->site, e);
    return s || !w->shares->rolls ? s : mv_shares_roll(w->shares - w->n + 1, w->n, r, NULL, &m->probe, w->site, e);
}

/* and taken when it comes. */
static mv_status take(const watched *w, mv_run *r, int part, mv_tensor value, mv_error *e)
{
    int seen = mv_run_first(r) + mv_run_pictures(r);
    if (part != MV_SHARES_ROLLED) {
        if (!extend(w->shown, seen))
            return mv_fail_memory(e, w->site);
        mv_status s = mv_shares_take(w->shares, r, part, value, e);
        if (!s && part == MV_SHARES_FIGURES) {
            s = show_all(w, r, e);
            mv_shares_forget(w->shares);
        }
        return s;
    }
    double *share = extend(w->rollout, seen) ? rolled_new(w, r) : NULL;
    if (!share)
        return mv_fail_memory(e, "rollout");
    for (size_t i = 0, n = mv_tensor_count(value); i < n; i++)
        share[i] = (double)((const float *)value.data)[i];
    mv_status s = show_rollout(w, r, share, e);
    free(share);
    return s;
}

static void forget(mv_attention_maps *m)
{
    for (int i = 0; i < m->sites; i++)
        mv_shares_forget(&m->shares[i]);
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

/* A pass begins; one that failed half way may have left something. */
static void begin(mv_attention_maps *m, const mv_run *r)
{
    forget(m);
    if (mv_run_first(r) == 0)
        for (int i = 0; i < m->views; i++)
            clear(&m->view[i]);
}

static bool sees(mv_probe *p, mv_run *r, const char *site, mv_view value)
{
    mv_attention_maps *m = (mv_attention_maps *)p;
    watched *w = site_of(m, site);
    const mv_grid *g = &w->shares->grid;
    const int expected[4] = {mv_run_pictures(r) * g->windows, w->shares->heads, g->tokens, g->tokens};
    if (value.nd != 4 || memcmp(value.dim, expected, sizeof expected)) {
        char found[64], text[64];
        mv_run_fail(r, MV_EMISUSE, "%s: found rows of %s, expected %s for pictures of %dx%d", site,
                    mv_shape_text(found, value.nd, value.dim), mv_shape_text(text, 4, expected), g->picture_h,
                    g->picture_w);
        return false;
    }
    mv_error e = {0};
    mv_status s;
    if (mv_shares_come(r))
        s = ask(m, w, r, value, &e);
    else {
        if (w == m->site)
            begin(m, r);
        s = pass(w, r, value, &e);
    }
    if (s)
        mv_run_fail(r, e.code, "%s", e.text); /* does nothing where the run failed itself */
    if (r->error.code || w->of == w->n - 1)
        forget(m);
    return false;
}

/* Whether this is the first that comes of a pass */
static bool opens(const mv_attention_maps *m, const watched *w, int part)
{
    const watched *s = m->site;
    while (!s->shown && !s->shares->rolls)
        s++;
    return w == s && part == (s->shown ? MV_SHARES_SHARE : MV_SHARES_ROLLED);
}

static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    mv_attention_maps *m = (mv_attention_maps *)p;
    const watched *w = site_of(m, site);
    mv_error e = {0};
    if (opens(m, w, part))
        begin(m, r);
    if (take(w, r, part, value, &e))
        mv_run_fail(r, e.code, "%s", e.text);
}

/* ---- the object */

static view *add_view(mv_attention_maps *m, mv_attention_block b)
{
    view *v = &m->view[m->views++];
    *v = (view){.block = b, .options = &m->options, .slots = b.block == MV_BLOCK_ROLLOUT ? 1 : b.heads + 1};
    return v;
}

static void add_level(mv_attention_maps *m, const mv_config *c, int level, int h, int w)
{
    const mv_attention_options *o = &m->options;
    int first = m->sites, n = attention_blocks(c, level);
    mv_attention_block b = {
        .level = level, .heads = c->heads[level], .query = query_of(o, level), .grid = mv_grid_of(c, level, h, w)};
    for (int j = c->depth[level] - n; j < c->depth[level]; j++) {
        bool shown = shows(o, c, level, j);
        if (!shown && !o->rollout)
            continue;
        watched *s = &m->site[m->sites];
        *s = (watched){.shares = &m->shares[m->sites], .of = m->sites - first, .n = n};
        *s->shares = (mv_shares){.grid = b.grid,
                                 .query = b.query,
                                 .heads = b.heads,
                                 .head = o->heads == 1 && o->head[0] >= 0 ? o->head[0] : -1,
                                 .shown = shown,
                                 .mean = o->rollout,
                                 .rolls = o->rollout && s->of == n - 1};
        m->sites++;
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

mv_attention_maps *mv_attention_maps_new(const mv_attention_options *options, const mv_config *config, int h, int w,
                                         mv_error *e)
{
    bool level[MV_LEVELS];
    if (check_levels(level, options, config, e) || check(level, options, config, h, w, e))
        return NULL;
    size_t blocks = 0;
    for (int i = 2; i < MV_LEVELS; i++)
        blocks += (size_t)config->depth[i];
    mv_attention_maps *m = calloc(1, sizeof *m);
    if (m) {
        m->view =
            calloc(blocks + MV_LEVELS, sizeof *m->view); /* and a rollout a level; never moved: sites point into it */
        m->site = calloc(blocks, sizeof *m->site);
        m->shares = calloc(blocks, sizeof *m->shares);
    }
    if (!m || !m->view || !m->site || !m->shares) {
        mv_attention_maps_free(m);
        mv_fail_memory(e, "attention");
        return NULL;
    }
    m->probe = (mv_probe){.wants = wants, .sees = sees, .kept = kept};
    m->options = *options;
    for (int i = 2; i < MV_LEVELS; i++)
        if (level[i])
            add_level(m, config, i, h, w);
    return m;
}

void mv_attention_maps_free(mv_attention_maps *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->sites; i++)
        mv_shares_free(&m->shares[i]);
    for (int i = 0; i < m->views; i++)
        clear(&m->view[i]);
    free(m->view);
    free(m->site);
    free(m->shares);
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
