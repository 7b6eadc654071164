/* The names of what mixer.h shows, and maps with their words. */
#include <math.h>
#include <stdio.h>

#include "src/explain/mixer_impl.h"

static const struct {
    const char *key, *title, *summary;
} words[MV_MIXER_KINDS] = {
    [MV_MIXER_DT] = {"dt", "step size", "how far a token moves the state: the step size dt, mean over channels"},
    [MV_MIXER_B] = {"B", "|B|", "how a token enters the state: the norm of B over the 8 states"},
    [MV_MIXER_C] = {"C", "|C|", "how a token reads the state: the norm of C over the 8 states"},
    [MV_MIXER_WRITE] = {"write", "write", "what a token writes to the state: |dt x| |B|"},
    [MV_MIXER_H] = {"h", "state norm", "what the scan holds after a token: the norm of all states h"},
    [MV_MIXER_RATIO] = {"ratio", "|y| / |z|", "the scan against the local branch at a token: |y| / |z|"},
    [MV_MIXER_HALF_LIFE] = {"half_life", "half-life",
                            "tokens until half of a state is forgotten: ln 2 / (dt |A|), median over channels and "
                            "states"},
    [MV_MIXER_HIDDEN] = {"hidden", "hidden attention",
                         "what the scan takes from each token for the query: the mean over channels of |M|"},
    [MV_MIXER_CONTRIBUTIONS] = {"contributions", "contributions",
                                "what each token contributes to the output of the mixer for the query, as a share"},
};

const char *mv_mixer_key(mv_mixer_kind kind)
{
    return kind < MV_MIXER_KINDS ? words[kind].key : 0;
}

const char *mv_mixer_title(mv_mixer_kind kind)
{
    return kind < MV_MIXER_KINDS ? words[kind].title : 0;
}

const char *mv_mixer_summary(mv_mixer_kind kind)
{
    return kind < MV_MIXER_KINDS ? words[kind].summary : 0;
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
    mv_map *map = &to->map;
    bool one = m->options.channel >= 0 && kind != MV_MIXER_B && kind != MV_MIXER_C && kind != MV_MIXER_CONTRIBUTIONS;
    char channel[32] = "";
    mv_grid_describe(map, &b->grid);
    map->method = "mixer";
    map->what = mv_mixer_key(kind);
    map->block = b->block;
    map->on_padding = to->padding;
    if (MV_MIXER_BIT(kind) & MV_MIXER_MATRICES)
        mv_query_describe(map, q);
    if (one)
        snprintf(channel, sizeof channel, ", channel %d", m->options.channel);
    snprintf(map->title, sizeof map->title, "Level %d, block %d, %s%s", b->level, b->block, words[kind].title, channel);
    map->diverging = kind == MV_MIXER_HIDDEN && m->options.with_sign;
    snprintf(map->unit, sizeof map->unit, "%s", unit_of(m, kind));
}

/* The map of tokens (windows, T). */
mv_status mv_mixer_finish(mv_mixer_map *to, const mv_mixer_maps *m, const mv_mixer_block *b, mv_mixer_kind kind,
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
