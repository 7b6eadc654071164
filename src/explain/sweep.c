#include "src/explain/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/map.h"
#include "src/base/pattern.h"

typedef struct {
    mv_sweep_grid grid;
    char *site; /* grid.site */
} swept;

typedef struct {
    char *text;
    mv_edit_kind kind;
} made_edit;

struct mv_sweep {
    const mv_model *model;
    int h, w;
    mv_edits *edits;
    mv_passes *passes;
    mv_sites sites;
    int n, room;
    mv_sweep_item *item;
    made_edit *edit; /* of each item */
    int grids;
    swept grid[MV_SWEEPS];
};

/* ---- the kinds */

/* The edits of a mixer, and of a block's branches: what is added to the name of the block. */
typedef struct {
    const char *site, *name, *column, *words;
    mv_edit_kind kind;
} part_edit;

static const part_edit mixer_edits[] = {{"mixer.y", "scan", "y = 0", "the scan", MV_EDIT_ZERO},
                                        {"mixer.z", "local", "z = 0", "the local branch", MV_EDIT_ZERO},
                                        {"mixer.dt", "dt", "mean dt", "the step size's changes", MV_EDIT_MEAN},
                                        {"mixer.C", "C", "C = 0", "C", MV_EDIT_ZERO}};
static const part_edit branch_edits[] = {{"mixer", "mixer", "mixer", "the mixer", MV_EDIT_ZERO},
                                         {"mlp", "mlp", "MLP", "the MLP", MV_EDIT_ZERO}};
enum { MIXER_EDITS = 4, BRANCH_EDITS = 2 };

static const char *const kind_names[] = {"heads", "blocks", "mixers", "branches", "channels", "tokens"};

const char *mv_sweep_kind_name(int kind)
{
    return kind >= 0 && kind < MV_SWEEPS ? kind_names[kind] : NULL;
}

bool mv_sweep_kind_has_site(mv_sweep_kind kind)
{
    return kind == MV_SWEEP_CHANNELS || kind == MV_SWEEP_TOKENS;
}

/* ---- the object */

mv_sweep *mv_sweep_new(const mv_model *model, int h, int w, int batch, mv_error *e)
{
    mv_sweep *s = calloc(1, sizeof *s);
    if (!s) {
        mv_fail_memory(e, "sweep");
        return NULL;
    }
    *s = (mv_sweep){.model = model, .h = h, .w = w};
    s->edits = mv_edits_new(e);
    if (s->edits)
        s->passes = mv_passes_new(model, h, w, batch, mv_edits_probe(s->edits), e);
    if (!s->passes || mv_sites_list(&s->sites, &model->config, 1, h, w, e)) {
        mv_sweep_free(s);
        return NULL;
    }
    return s;
}

void mv_sweep_free(mv_sweep *s)
{
    if (!s)
        return;
    mv_passes_free(s->passes);
    mv_edits_free(s->edits);
    mv_sites_free(&s->sites);
    for (int i = 0; i < s->grids; i++)
        free(s->grid[i].site);
    for (int i = 0; i < s->n; i++)
        free(s->edit[i].text);
    free(s->edit);
    free(s->item);
    free(s);
}

mv_edits *mv_sweep_edits(mv_sweep *s)
{
    return s->edits;
}

mv_passes *mv_sweep_passes(mv_sweep *s)
{
    return s->passes;
}

int mv_sweep_count(const mv_sweep *s)
{
    return s->n;
}

mv_sweep_item mv_sweep_at(const mv_sweep *s, int i)
{
    return s->item[i];
}

const char *mv_sweep_item_edit(const mv_sweep *s, int i, mv_edit_kind *kind)
{
    *kind = s->edit[i].kind;
    return s->edit[i].text;
}

const mv_sites *mv_sweep_sites(const mv_sweep *s)
{
    return &s->sites;
}

int mv_sweep_grids(const mv_sweep *s)
{
    return s->grids;
}

mv_sweep_grid mv_sweep_grid_at(const mv_sweep *s, int i)
{
    return s->grid[i].grid;
}

/* ---- items */

/* Adds an item of the last grid and its edit. Pass 0 is the picture without one. */
static mv_status add_item(mv_sweep *s, mv_sweep_item item, const char *text, mv_edit_kind kind, mv_error *e)
{
    mv_sweep_grid *g = &s->grid[s->grids - 1].grid;
    if (s->n == MV_SWEEP_MOST)
        return mv_fail(e, MV_EINPUT, "%s: found more than %d edits, expected fewer; choose another site",
                       kind_names[item.kind], MV_SWEEP_MOST);
    if (s->n == s->room) {
        int room = s->room ? 2 * s->room : 64;
        mv_sweep_item *more = realloc(s->item, (size_t)room * sizeof *more);
        if (more)
            s->item = more;
        made_edit *edits = more ? realloc(s->edit, (size_t)room * sizeof *edits) : NULL;
        if (!edits)
            return mv_fail_memory(e, "sweep");
        s->edit = edits;
        s->room = room;
    }
    mv_edits_only(s->edits, s->n + 1);
    if (mv_edits_add(s->edits, text, kind, (mv_tensor){0}, e))
        return e->code;
    s->edit[s->n] = (made_edit){strdup(text), kind};
    if (!s->edit[s->n].text)
        return mv_fail_memory(e, "sweep");
    s->item[s->n++] = item;
    g->count++;
    if (item.row >= g->rows)
        g->rows = item.row + 1;
    if (item.column >= g->columns)
        g->columns = item.column + 1;
    return MV_OK;
}

static bool attends(const mv_config *c, int level, int block)
{
    return level >= 2 && mv_config_attends(c->depth[level], block);
}

/* The items of one block, in row `row` of the grid; *row moves on if there are any. */
static mv_status add_block(mv_sweep *s, mv_sweep_kind kind, int level, int block, int *row, mv_error *e)
{
    const mv_config *c = &s->model->config;
    char text[160];
    mv_sweep_item item = {kind, level, block, 0, *row, 0};
    bool attention = attends(c, level, block);
    int parts = kind == MV_SWEEP_HEADS      ? (attention ? c->heads[level] : 0)
                : kind == MV_SWEEP_MIXERS   ? (level >= 2 && !attention ? MIXER_EDITS : 0)
                : kind == MV_SWEEP_BRANCHES ? (level >= 2 ? BRANCH_EDITS : 0)
                                            : 1;
    for (item.part = 0; item.part < parts; item.part++) {
        mv_edit_kind edit = MV_EDIT_ZERO;
        int n = snprintf(text, sizeof text, "levels.%d.blocks.%d.", level, block);
        char *rest = text + n;
        size_t room = sizeof text - (size_t)n;
        item.column = kind == MV_SWEEP_BLOCKS ? block : item.part;
        if (kind == MV_SWEEP_HEADS)
            snprintf(rest, room, "mixer.v[head=%d]", item.part);
        else if (kind == MV_SWEEP_BLOCKS && level < 2)
            snprintf(rest, room, "norm2");
        else if (kind == MV_SWEEP_BLOCKS)
            snprintf(rest, room, "mixer,levels.%d.blocks.%d.mlp", level, block);
        else {
            const part_edit *p = kind == MV_SWEEP_MIXERS ? &mixer_edits[item.part] : &branch_edits[item.part];
            snprintf(rest, room, "%s", p->site);
            edit = p->kind;
        }
        if (add_item(s, item, text, edit, e))
            return e->code;
    }
    *row += parts > 0 && kind != MV_SWEEP_BLOCKS;
    return MV_OK;
}

static mv_status add_blocks(mv_sweep *s, mv_sweep_kind kind, mv_error *e)
{
    const mv_config *c = &s->model->config;
    int row = 0;
    for (int level = 0; level < MV_LEVELS; level++)
        for (int block = 0; block < c->depth[level]; block++) {
            if (kind == MV_SWEEP_BLOCKS)
                row = level;
            if (add_block(s, kind, level, block, &row, e))
                return e->code;
        }
    return MV_OK;
}

static mv_status add_channels(mv_sweep *s, const mv_site *site, mv_error *e)
{
    char text[160];
    int n = mv_edit_channels(site);
    for (int i = 0; i < n; i++) {
        mv_sweep_item item = {MV_SWEEP_CHANNELS, MV_MAP_NONE, MV_MAP_NONE, i, i / MV_SWEEP_ROW, i % MV_SWEEP_ROW};
        snprintf(text, sizeof text, "%s[channel=%d]", site->name, i);
        if (add_item(s, item, text, MV_EDIT_ZERO, e))
            return e->code;
    }
    return n ? MV_OK : mv_fail(e, MV_EINPUT, "channels: %s has no channels", site->name);
}

static mv_status add_tokens(mv_sweep *s, const mv_site *site, mv_error *e)
{
    char text[160];
    int h = 0, w = 0;
    if (!mv_edit_cells(site, &s->sites, &h, &w))
        return mv_fail(e, MV_EINPUT, "tokens: %s has no tokens", site->name);
    for (int i = 0; i < h * w; i++) {
        mv_sweep_item item = {MV_SWEEP_TOKENS, MV_MAP_NONE, MV_MAP_NONE, 0, i / w, i % w};
        snprintf(text, sizeof text, "%s[cell=%d,%d]", site->name, item.row, item.column);
        if (add_item(s, item, text, MV_EDIT_MEAN, e))
            return e->code;
    }
    return MV_OK;
}

/* The one site that a pattern chooses. */
static mv_status find_site(const mv_sweep *s, mv_sweep_kind kind, const char *pattern, const mv_site **out, mv_error *e)
{
    int n = 0;
    if (mv_pattern_check(pattern, s->sites.n, s->sites.name, kind_names[kind], e))
        return e->code;
    for (int i = 0; i < s->sites.n; i++)
        if (mv_pattern_match(pattern, s->sites.name[i])) {
            *out = &s->sites.site[i];
            n++;
        }
    if (n > 1)
        return mv_fail(e, MV_EINPUT, "%s: found %d sites that fit '%s', expected one", kind_names[kind], n, pattern);
    if ((*out)->diagnostic)
        return mv_fail(e, MV_EINPUT, "%s: nothing depends on %s, expected a site that the network uses",
                       kind_names[kind], (*out)->name);
    return MV_OK;
}

mv_status mv_sweep_add(mv_sweep *s, mv_sweep_kind kind, const char *site, mv_error *e)
{
    const mv_site *at = NULL;
    for (int i = 0; i < s->grids; i++)
        if (s->grid[i].grid.kind == kind)
            return mv_fail(e, MV_EMISUSE, "sweep: found %s twice, expected them once", kind_names[kind]);
    if (mv_sweep_kind_has_site(kind)) {
        const char *usual = kind == MV_SWEEP_CHANNELS ? "levels.3" : "levels.1.downsample";
        if (find_site(s, kind, site ? site : usual, &at, e))
            return e->code;
    }
    swept *g = &s->grid[s->grids];
    *g = (swept){.grid = {.kind = kind, .first = s->n}, .site = at ? strdup(at->name) : NULL};
    if (at && !g->site)
        return mv_fail_memory(e, "sweep");
    g->grid.site = g->site;
    s->grids++;
    mv_status status = kind == MV_SWEEP_CHANNELS ? add_channels(s, at, e)
                       : kind == MV_SWEEP_TOKENS ? add_tokens(s, at, e)
                                                 : add_blocks(s, kind, e);
    if (!status && g->grid.count == 0)
        status = mv_fail(e, MV_EINPUT, "%s: the network has no %s", kind_names[kind],
                         kind == MV_SWEEP_HEADS ? "attention block" : "mixer");
    return status ? status : mv_edits_check(s->edits, &s->sites, e);
}

/* ---- words */

static const swept *grid_of(const mv_sweep *s, int i)
{
    for (int k = 0; k < s->grids; k++)
        if (s->grid[k].grid.kind == s->item[i].kind)
            return &s->grid[k];
    return NULL;
}

const char *mv_sweep_item_name(const mv_sweep *s, int i, char text[MV_SWEEP_NAME])
{
    const mv_sweep_item *t = &s->item[i];
    const char *site = grid_of(s, i)->site;
    int n = t->level >= 0 ? snprintf(text, MV_SWEEP_NAME, "levels.%d.blocks.%d", t->level, t->block)
                          : snprintf(text, MV_SWEEP_NAME, "%.90s", site);
    char *rest = text + n;
    size_t room = MV_SWEEP_NAME - (size_t)n;
    if (t->kind == MV_SWEEP_HEADS)
        snprintf(rest, room, ".head.%d", t->part);
    else if (t->kind == MV_SWEEP_MIXERS)
        snprintf(rest, room, ".%s", mixer_edits[t->part].name);
    else if (t->kind == MV_SWEEP_BRANCHES)
        snprintf(rest, room, ".%s", branch_edits[t->part].name);
    else if (t->kind == MV_SWEEP_CHANNELS)
        snprintf(rest, room, ".channel.%d", t->part);
    else if (t->kind == MV_SWEEP_TOKENS)
        snprintf(rest, room, ".cell.%d.%d", t->row, t->column);
    return text;
}

const char *mv_sweep_item_words(const mv_sweep *s, int i, char text[MV_SWEEP_NAME])
{
    const mv_sweep_item *t = &s->item[i];
    const char *site = grid_of(s, i)->site;
    bool attention = attends(&s->model->config, t->level, t->block);
    if (t->kind == MV_SWEEP_CHANNELS)
        snprintf(text, MV_SWEEP_NAME, "channel %d of %.90s", t->part, site);
    else if (t->kind == MV_SWEEP_TOKENS)
        snprintf(text, MV_SWEEP_NAME, "cell %d,%d of %.90s", t->row, t->column, site);
    else if (t->kind == MV_SWEEP_BLOCKS)
        snprintf(text, MV_SWEEP_NAME, "block %d of level %d", t->block, t->level);
    else if (t->kind == MV_SWEEP_HEADS)
        snprintf(text, MV_SWEEP_NAME, "head %d of level %d block %d", t->part, t->level, t->block);
    else {
        const part_edit *p = t->kind == MV_SWEEP_MIXERS ? &mixer_edits[t->part] : &branch_edits[t->part];
        snprintf(text, MV_SWEEP_NAME, "%s of level %d block %d",
                 t->kind == MV_SWEEP_BRANCHES && t->part == 0 && attention ? "attention" : p->words, t->level,
                 t->block);
    }
    return text;
}

const char *mv_sweep_row_name(const mv_sweep *s, int grid, int row, char text[32])
{
    const mv_sweep_grid *g = &s->grid[grid].grid;
    *text = 0;
    for (int i = g->first; i < g->first + g->count; i++) {
        const mv_sweep_item *t = &s->item[i];
        if (t->row != row)
            continue;
        if (g->kind == MV_SWEEP_BLOCKS)
            snprintf(text, 32, "level %d", t->level);
        else if (g->kind == MV_SWEEP_CHANNELS)
            snprintf(text, 32, "%d", t->part);
        else if (g->kind == MV_SWEEP_TOKENS)
            snprintf(text, 32, "%d", row);
        else
            snprintf(text, 32, "%d.%d", t->level, t->block);
        break;
    }
    return text;
}

const char *mv_sweep_column_name(const mv_sweep *s, int grid, int column, char text[32])
{
    const mv_sweep_grid *g = &s->grid[grid].grid;
    if (g->kind == MV_SWEEP_MIXERS)
        snprintf(text, 32, "%s", mixer_edits[column].column);
    else if (g->kind == MV_SWEEP_BRANCHES)
        snprintf(text, 32, "%s", branch_edits[column].column);
    else
        snprintf(text, 32, g->kind == MV_SWEEP_CHANNELS ? "+%d" : "%d", column);
    return text;
}

/* ---- the run */

typedef struct {
    mv_sweep *s;
    const float *planes;
    const int *classes;
    int n;
    float *before; /* all logits */
    double *change;
} sweeping;

/* A batch begins: its passes are counted from here. */
static void make(void *context, int i, float *planes)
{
    const sweeping *w = context;
    int batch = mv_passes_batch(w->s->passes);
    mv_edits_start(w->s->edits, i - i % batch);
    memcpy(planes, w->planes, (size_t)3 * (size_t)w->s->h * (size_t)w->s->w * sizeof *planes);
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    (void)e;
    sweeping *w = context;
    if (i == 0)
        memcpy(w->before, logits, (size_t)w->s->model->config.classes * sizeof *logits);
    for (int k = 0; k < w->n && i > 0; k++)
        w->change[(size_t)k * (size_t)w->s->n + (size_t)i - 1] =
            (double)logits[w->classes[k]] - (double)w->before[w->classes[k]];
    return MV_OK;
}

mv_status mv_sweep_run(mv_sweep *s, const float *planes, const int *classes, int n, float *before, double *change,
                       mv_error *e)
{
    int all = s->model->config.classes;
    for (int k = 0; k < n; k++)
        if (classes[k] < 0 || classes[k] >= all)
            return mv_fail(e, MV_EINPUT, "class %d: the model has %d classes, expected 0 to %d", classes[k], all,
                           all - 1);
    float *mine = before ? NULL : malloc((size_t)all * sizeof *mine);
    if (!before && !mine)
        return mv_fail_memory(e, "sweep");
    sweeping w = {s, planes, classes, n, before ? before : mine, change};
    mv_status status = mv_passes_run(s->passes, s->n + 1, make, take, &w, e);
    free(mine);
    return status;
}
