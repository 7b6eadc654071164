#include "src/explain/cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/pattern.h"
#include "src/explain/kept.h"
#include "src/run/back.h"
#include "src/run/sites.h"

struct mv_cells {
    mv_probe probe; /* first: the probe is the object */
    char *site;
    bool tokens; /* a value of windows (N T C); else one of maps (B C H W) */
    int h, w, channels;
    int level, block; /* or MV_MAP_NONE */
    int cell;         /* px a side */
    mv_grid grid;     /* of the windows */
    mv_kept kept;     /* as the run delivers it */
    bool gradient, diagnostic;
    mv_kept grad[MV_BACK_PASSES];
};

/* ---- the probe */

static size_t values_of_picture(const mv_cells *c)
{
    return mv_cells_rows(c) * (size_t)c->channels;
}

static bool is_gradient(const char *site)
{
    return strncmp(site, "grad.", 5) == 0;
}

static bool wants(mv_probe *p, const char *site)
{
    const mv_cells *c = (const mv_cells *)p;
    return strcmp(c->site, site) == 0 || (c->gradient && is_gradient(site) && strcmp(c->site, site + 5) == 0);
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    mv_run_keep(r, p, site->name, mv_run_pass(r), value);
    return false;
}

static void kept(mv_probe *p, mv_run *r, const char *site, int pass, mv_tensor value)
{
    mv_cells *c = (mv_cells *)p;
    mv_kept_take(is_gradient(site) ? &c->grad[pass] : &c->kept, r, site, value, values_of_picture(c));
}

/* ---- the object */

/* The level whose grid a site has, and its block. */
static void place_of(mv_cells *c, int input_h)
{
    int level, block, used = 0;
    c->level = c->block = MV_MAP_NONE;
    if (sscanf(c->site, "levels.%d%n", &level, &used) == 1) {
        c->level = level + (strcmp(c->site + used, ".downsample") == 0);
        if (sscanf(c->site + used, ".blocks.%d", &block) == 1)
            c->block = block;
    } else if (strcmp(c->site, "norm") == 0)
        c->level = MV_LEVELS - 1;
    else if (strcmp(c->site, "patch_embed") == 0)
        c->level = 0;
    c->cell = c->level >= 0 ? 4 << c->level : c->h == input_h ? 1 : 0;
}

static bool has_tokens(const mv_site *t)
{
    return t->nd == 3 && t->axes[0] == 'N' && t->axes[1] == 'T' && t->axes[2] != 'T';
}

static bool has_cells(const mv_site *t)
{
    return has_tokens(t) || strcmp(t->axes, "BCHW") == 0;
}

static const mv_site *site_at(const mv_sites *sites, const char *name, size_t n)
{
    for (int i = 0; i < sites->n; i++)
        if (strncmp(sites->site[i].name, name, n) == 0 && !sites->site[i].name[n])
            return &sites->site[i];
    return NULL;
}

/* The site with cells that is nearest above a name: levels.2.blocks.3.mixer for levels.2.blocks.3.mixer.attn. */
static const char *nearest(const mv_sites *sites, const char *name)
{
    for (size_t n = strlen(name); n > 0; n--) {
        const mv_site *t = name[n] == '.' ? site_at(sites, name, n) : NULL;
        if (t && has_cells(t))
            return t->name;
    }
    return "norm"; /* of avgpool and head */
}

static void describe(mv_cells *c, const mv_site *t, const mv_config *config, int h, int w)
{
    c->tokens = has_tokens(t);
    c->diagnostic = t->diagnostic;
    c->channels = t->dim[c->tokens ? 2 : 1];
    c->h = t->dim[2];
    c->w = t->dim[3];
    place_of(c, h);
    if (c->tokens) {
        c->grid = mv_grid_of(config, c->level, h, w);
        c->h = c->grid.h;
        c->w = c->grid.w;
    }
}

static mv_status find(mv_cells *c, const char *place, const mv_config *config, int h, int w, mv_error *e)
{
    mv_sites sites;
    if (mv_sites_list(&sites, config, 1, h, w, e))
        return e->code;
    const mv_site *found = site_at(&sites, c->site, strlen(c->site));
    mv_status s = MV_OK;
    if (found && has_cells(found))
        describe(c, found, config, h, w);
    else if (found)
        s = mv_fail(e, MV_EINPUT, "%s: found '%s', whose values are not features of cells; nearest that has some: %s",
                    place, c->site, nearest(&sites, c->site));
    else if (!mv_pattern_check(c->site, sites.n, sites.name, place, e))
        s = mv_fail(e, MV_EINPUT, "%s: found the pattern '%.80s', expected the name of one site", place, c->site);
    else
        s = e->code;
    mv_sites_free(&sites);
    return s;
}

mv_cells *mv_cells_new(const char *place, const char *site, const mv_config *config, int h, int w, mv_error *e)
{
    mv_error mine = {0};
    if (!e)
        e = &mine;
    mv_cells *c = calloc(1, sizeof *c);
    char *copy = strdup(site);
    if (!c || !copy) {
        free(c);
        free(copy);
        mv_fail_memory(e, place);
        return NULL;
    }
    *c = (mv_cells){.probe = {.wants = wants, .sees = sees, .kept = kept}, .site = copy};
    if (find(c, place, config, h, w, e)) {
        mv_cells_free(c);
        return NULL;
    }
    return c;
}

void mv_cells_free(mv_cells *c)
{
    if (!c)
        return;
    free(c->kept.value);
    for (int i = 0; i < MV_BACK_PASSES; i++)
        free(c->grad[i].value);
    free(c->site);
    free(c);
}

mv_probe *mv_cells_probe(mv_cells *c)
{
    return &c->probe;
}

mv_status mv_cells_differentiate(mv_cells *c, const char *place, mv_error *e)
{
    c->gradient = true;
    return c->diagnostic
               ? mv_fail(e, MV_EINPUT, "%s: found '%s', on which nothing depends, expected a site that has a gradient",
                         place, c->site)
               : MV_OK;
}

const char *mv_cells_site(const mv_cells *c)
{
    return c->site;
}

int mv_cells_height(const mv_cells *c)
{
    return c->h;
}

int mv_cells_width(const mv_cells *c)
{
    return c->w;
}

int mv_cells_channels(const mv_cells *c)
{
    return c->channels;
}

size_t mv_cells_rows(const mv_cells *c)
{
    return c->tokens ? (size_t)c->grid.windows * (size_t)c->grid.tokens : (size_t)c->h * (size_t)c->w;
}

mv_status mv_cells_check(const mv_cells *c, const char *place, int y, int x, mv_error *e)
{
    if (y >= 0 && y < c->h && x >= 0 && x < c->w)
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "%s: found cell %d,%d, expected one of the %d x %d cells of %s: 0,0 to %d,%d", place,
                   y, x, c->h, c->w, c->site, c->h - 1, c->w - 1);
}

mv_status mv_cells_map(mv_map *out, const mv_cells *c, const char *method, mv_error *e)
{
    if (mv_map_new(out, c->h, c->w, e))
        return e->code;
    if (c->tokens)
        mv_grid_describe(out, &c->grid);
    out->method = method;
    out->level = c->level;
    out->block = c->block;
    out->cell = c->cell;
    return MV_OK;
}

/* ---- features */

const float *mv_cells_whole(const mv_cells *c, int picture, int pass)
{
    return mv_kept_at(pass < 0 ? &c->kept : &c->grad[pass], picture, values_of_picture(c));
}

static float *read_features(const mv_cells *c, int picture, int pass, mv_error *e)
{
    size_t n = (size_t)c->h * (size_t)c->w, channels = (size_t)c->channels;
    const float *from = mv_cells_whole(c, picture, pass);
    if (!from) {
        mv_fail(e, MV_EMISUSE, "%s: found picture %d, expected one of the %d that were seen", c->site, picture,
                c->kept.pictures);
        return NULL;
    }
    float *out = malloc(n * channels * sizeof *out);
    if (!out) {
        mv_fail_memory(e, c->site);
        return NULL;
    }
    for (size_t p = 0; p < n; p++) {
        if (c->tokens) {
            int window, token;
            mv_grid_token(&c->grid, (int)(p / (size_t)c->w), (int)(p % (size_t)c->w), &window, &token);
            size_t row = (size_t)window * (size_t)c->grid.tokens + (size_t)token;
            memcpy(out + p * channels, from + row * channels, channels * sizeof *out);
        } else
            for (size_t k = 0; k < channels; k++)
                out[p * channels + k] = from[k * n + p];
    }
    return out;
}

float *mv_cells_read(const mv_cells *c, int picture, mv_error *e)
{
    return read_features(c, picture, -1, e);
}

float *mv_cells_read_gradient(const mv_cells *c, int picture, int pass, mv_error *e)
{
    return read_features(c, picture, pass, e);
}
