/* The method "mixer": maps from inside the mixer blocks (mixer.h): their state, hidden attention, contributions. Values
 * are raw. They are reduced while they pass, because they are too large to keep.
 */
#include <stdlib.h>
#include <string.h>

#include "src/explain/method.h"
#include "src/explain/mixer.h"
#include "src/explain/params.h"

typedef struct {
    mv_param_list what, level, block, channel;
    const char *query;
    bool with_sign;
} params;

static const char *what_at(int i)
{
    return mv_mixer_key((mv_mixer_kind)i);
}

static const char *const channel_words[] = {"mean", NULL};

#define AT(member) offsetof(params, member)
static const mv_param param[] = {
    {.name = "what",
     .kind = MV_PARAM_LIST,
     .offset = AT(what),
     .least = 1, /* no numbers */
     .word_at = what_at,
     .argument = "WHAT",
     .help = "what to show of a block: dt, B, C, write, h, ratio, half_life, hidden (the default) or contributions, "
             "joined by commas"},
    MV_SHARED_LEVELS(AT(level)),
    MV_SHARED_BLOCKS(AT(block), "blocks to show, counted from 0; all that have a mixer by default"),
    MV_SHARED_QUERY(
        AT(query), NULL,
        "whose hidden attention or contributions: the mean over all cells (pooled, the default), one cell (Y,X), "
        "or what each cell receives"),
    {.name = "signed",
     .kind = MV_PARAM_FLAG,
     .offset = AT(with_sign),
     .help = "hidden attention with its sign: the mean over channels of M, not of |M|"},
    {.name = "channel",
     .kind = MV_PARAM_LIST,
     .offset = AT(channel),
     .most = 8191,
     .words = channel_words,
     .argument = "N|mean",
     .help = "one channel of the scan, counted from 0; or their mean, the default"},
    {0}};

static unsigned wanted(const params *p)
{
    unsigned all = 0;
    for (int i = 0; i < p->what.n; i++) /* a word is -1 less its index */
        all |= MV_MIXER_BIT(-1 - p->what.v[i]);
    return all ? all : MV_MIXER_BIT(MV_MIXER_HIDDEN);
}

/* A choice that would have no effect is refused. */
static mv_status check(const params *p, unsigned wants, mv_error *e)
{
    const unsigned no_channels =
        MV_MIXER_BIT(MV_MIXER_B) | MV_MIXER_BIT(MV_MIXER_C) | MV_MIXER_BIT(MV_MIXER_CONTRIBUTIONS);
    if (p->with_sign && !(wants & MV_MIXER_BIT(MV_MIXER_HIDDEN)))
        return mv_fail(e, MV_EINPUT, "mixer: signed: found no hidden attention to show, expected what=hidden");
    if (p->query && !(wants & MV_MIXER_MATRICES))
        return mv_fail(e, MV_EINPUT,
                       "mixer: query: found neither hidden attention nor contributions to show, expected "
                       "what=hidden or what=contributions");
    if (p->channel.n > 1)
        return mv_fail(e, MV_EINPUT, "mixer: channel: found %d channels, expected one", p->channel.n);
    if (p->channel.n && p->channel.v[0] >= 0 && !(wants & ~no_channels))
        return mv_fail(e, MV_EINPUT,
                       "mixer: channel: B, C and contributions are of all channels, expected another what");
    return MV_OK;
}

static mv_status options_of(mv_mixer_options *o, const params *p, mv_error *e)
{
    *o = (mv_mixer_options){.wants = wanted(p), .with_sign = p->with_sign, .channel = MV_CHANNEL_MEAN};
    if (check(p, o->wants, e))
        return e->code;
    if (p->channel.n) /* "mean" is -1 */
        o->channel = p->channel.v[0];
    mv_shared_levels(o->level, &p->level);
    o->blocks = p->block.n;
    memcpy(o->block, p->block.v, sizeof o->block);
    return mv_shared_query(&o->query, o->cell, o->level, p->query, "mixer: query", e);
}

_Static_assert(MV_CHANNEL_MEAN == -1, "the word of channel");
_Static_assert((int)MV_MIXER_LIST == (int)MV_PARAM_MOST, "a list of blocks is copied");

static mv_status open_maps(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    mv_mixer_options o;
    mv_status s = options_of(&o, p, e);
    if (s)
        return s;
    *own = mv_mixer_maps_new(&o, config, h, w, e);
    return *own ? MV_OK : e->code;
}

static mv_probe *probe_of(void *own)
{
    return mv_mixer_maps_probe(own);
}

static void close_maps(void *own)
{
    mv_mixer_maps_free(own);
}

static int count_maps(const void *own, const void *p)
{
    int n = 0;
    for (mv_mixer_kind kind = 0; kind < MV_MIXER_KINDS; kind++)
        n += wanted(p) & MV_MIXER_BIT(kind) ? 1 : 0;
    return n * mv_mixer_maps_count(own);
}

/* Figures of a block that its map leaves out. */
static mv_status add_figures(mv_map *map, const mv_subject *s, const params *p, int i, mv_mixer_kind kind, mv_error *e)
{
    double d;
    if (kind == MV_MIXER_CONTRIBUTIONS)
        mv_map_figure(map, "scan", "scan_share", "of the contributions", 2,
                      mv_mixer_maps_scan_share(s->own, s->picture, i));
    if (kind != MV_MIXER_HIDDEN)
        return MV_OK;
    mv_status status = mv_mixer_diagonal(&d, s->model, map->level, map->block,
                                         p->channel.n ? p->channel.v[0] : MV_CHANNEL_MEAN, p->with_sign, e);
    mv_map_figure(map, p->with_sign ? "D" : "|D|", "D", "on the diagonal, apart", 2, d);
    return status;
}

static mv_status add_map(const mv_subject *s, const params *p, int i, mv_mixer_kind kind, mv_maps *out, mv_error *e)
{
    const mv_mixer_map *seen = mv_mixer_maps_lookup(s->own, s->picture, i, kind);
    mv_mixer_block b = mv_mixer_maps_block_at(s->own, i);
    if (!seen)
        return mv_fail(e, MV_EMISUSE, "mixer: level %d, block %d was not seen", b.level, b.block);
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_map_copy(map, &seen->map, e) : MV_ENOMEM;
    return status ? status : add_figures(map, s, p, i, kind, e);
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    mv_status status = MV_OK;
    for (int i = 0; i < mv_mixer_maps_count(s->own) && !status; i++)
        for (mv_mixer_kind kind = 0; kind < MV_MIXER_KINDS && !status; kind++)
            if (wanted(p) & MV_MIXER_BIT(kind))
                status = add_map(s, p, i, kind, out, e);
    return status;
}

const mv_method mv_method_mixer = {
    .name = "mixer",
    .title = "Inside the mixers",
    .summary = "step size, state, half-life, hidden attention or contributions of tokens, per mixer block",
    .source = "hidden attention: Ali, Zimerman & Wolf 2024, arXiv 2403.01590; contributions after LaTIM 2025, arXiv "
              "2502.15612",
    .cost = "one forward pass; contributions: several times the work of the mixers",
    .measured =
        "hidden, level 2, last mixer: deletion 0.39, insertion 0.55; beats random cells at both, the blob at neither",
    .takes = MV_TAKES_CELL,
    .params = param,
    .size = sizeof(params),
    .open = open_maps,
    .probe = probe_of,
    .close = close_maps,
    .count = count_maps,
    .explain = explain,
};
