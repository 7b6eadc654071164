#include "src/explain/redraw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/random.h"
#include "src/base/text.h"

int mv_redraw_stages(const mv_config *c)
{
    int n = 2;
    for (int i = 0; i < MV_LEVELS; i++)
        n += c->depth[i];
    return n;
}

const char *mv_redraw_name(const mv_config *c, int i, char text[48])
{
    snprintf(text, 48, "head");
    if (i == 0)
        return text;
    i--;
    for (int level = MV_LEVELS - 1; level >= 0; level--) {
        if (i < c->depth[level]) {
            snprintf(text, 48, "levels.%d.blocks.%d", level, c->depth[level] - 1 - i);
            return text;
        }
        i -= c->depth[level];
    }
    snprintf(text, 48, "patch_embed");
    return text;
}

/* The stage of a tensor by its PyTorch name. */
static int stage_of(const mv_config *c, const char *name)
{
    int level, block, before = 1;
    if (strncmp(name, "head.", 5) == 0 || strncmp(name, "norm.", 5) == 0)
        return 0;
    if (sscanf(name, "levels.%d.", &level) != 1 || level < 0 || level >= MV_LEVELS)
        return mv_redraw_stages(c) - 1;
    for (int i = MV_LEVELS - 1; i > level; i--)
        before += c->depth[i];
    if (sscanf(name, "levels.%d.blocks.%d.", &level, &block) != 2) /* the downsample, above the last block */
        block = c->depth[level] - 1;
    return before + c->depth[level] - 1 - block;
}

static mv_status read(mv_source *s, const char *name, int nd, const int *dim, float *out, bool *found, mv_error *e)
{
    mv_redraw *r = (mv_redraw *)s;
    mv_status status = r->from->read(r->from, name, nd, dim, out, found, e);
    if (status || !*found || stage_of(r->config, name) >= r->stages)
        return status;
    size_t n = 1;
    for (int i = 0; i < nd; i++)
        n *= (size_t)dim[i];
    uint64_t state = mv_text_hash(name) + r->seed;
    for (size_t i = n; i > 1; i--) { /* Fisher and Yates */
        size_t k = (size_t)(mv_random_next(&state) % i);
        float v = out[i - 1];
        out[i - 1] = out[k];
        out[k] = v;
    }
    return MV_OK;
}

static mv_status check(mv_source *s, const char *name, int nd, const int *dim, mv_error *e)
{
    mv_source *from = ((mv_redraw *)s)->from;
    return from->check ? from->check(from, name, nd, dim, e) : MV_OK;
}

mv_source *mv_redraw_source(mv_redraw *r, mv_source *from, const mv_config *config, int stages, uint64_t seed)
{
    *r = (mv_redraw){.source = {.read = read, .check = check, .place = from->place},
                     .from = from,
                     .config = config,
                     .stages = stages,
                     .seed = seed};
    return &r->source;
}
