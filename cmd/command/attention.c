/* attention: where self-attention looks, per level, block, head and query, as pages, tables and numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/asks.h"
#include "cmd/at.h"
#include "cmd/findings.h"
#include "cmd/overlay.h"
#include "cmd/page_file.h"
#include "cmd/reply.h"
#include "cmd/talk.h"
#include "cmd/together.h"
#include "src/base/text.h"
#include "src/explain/attention.h"
#include "src/explain/attention_method.h"
#include "src/explain/logits.h"
#include "viz/page/attention.h"
#include "viz/page/heads.h"
#include "viz/page/sheet.h"

typedef struct {
    mv_attention_params method; /* first: the method's table points into it */
    bool shared_scale;
    const char *raw, *at;
    together together; /* contact sheets */
} own;

static const mv_param params[] = {
    {.name = "shared-scale",
     .kind = MV_PARAM_FLAG,
     .offset = offsetof(own, shared_scale),
     .help = "use one colour scale for all maps of a page"},
    OPTION_PIXEL(offsetof(own, at)),
    OPTION_RAW(offsetof(own, raw), "write the maps as numbers: a .safetensors or .npy file, or FOLDER/"),
    {0}};

/* ---- words */

static const char *query_words(const call *c, const shot *t, char text[160])
{
    const own *o = c->own;
    char at[128];
    if (o->at) {
        snprintf(text, 160, "Query at %s", at_words(c, t, at));
        return text;
    }
    if (strcmp(o->method.query, "pooled") == 0)
        return "Pooled query";
    if (strcmp(o->method.query, "received") == 0)
        return "Received attention: the share each cell gets from the queries of its window";
    snprintf(text, 160, "Query at cell %.40s", o->method.query);
    return text;
}

static bool shows_all_heads(const own *o)
{
    bool all = false;
    for (int i = 0; i < o->method.head.n; i++)
        all |= o->method.head.v[i] == MV_HEAD_EACH;
    return all;
}

/* Several heads of one block are shown as thumbnails. */
static bool shows_heads(const own *o)
{
    return o->method.head.n > 1 || shows_all_heads(o);
}

static const char *subtitle_of(const call *c, const shot *t, char subtitle[480])
{
    const own *o = c->own;
    char query[160], name[24], p[24];
    bool mean = o->method.head.n == 0 || (o->method.head.n == 1 && o->method.head.v[0] == MV_HEAD_MEAN);
    int best = mv_class_next(t->logits, c->session.config.classes, MV_MAP_NONE);
    if (best < 0)
        mv_text_print(subtitle, 480, "%s%s  \xc2\xb7  %.200s", query_words(c, t, query), mean ? ", mean of heads" : "",
                      t->base);
    else
        mv_text_print(subtitle, 480, "%s%s  \xc2\xb7  %.200s, classified as %s, %s", query_words(c, t, query),
                      mean ? ", mean of heads" : "", t->base, session_class(&c->session, best, name),
                      finding_probability(p, mv_probability(t->logits, c->session.config.classes, best), 2));
    return subtitle;
}

static const char *recipe_of(const own *o)
{
    return o->method.rollout ? "attention rollout" : "attention rows";
}

/* ---- results */

static mv_status draw(const call *c, const shot *t, mv_error *e)
{
    const own *o = c->own;
    char title[FINDING], subtitle[480];
    bool heads = shows_heads(o);
    page_words words = {.title = heads ? finding_of_heads(title, t->maps->map, t->maps->n)
                                       : finding_of_attention(title, t->maps->map, t->maps->n),
                        .subtitle = subtitle_of(c, t, subtitle),
                        .method = recipe_of(o)};
    mv_attention_content rows = {t->image, t->maps->map, t->maps->n, o->shared_scale};
    mv_heads_content thumbnails = {t->image, t->maps->map, t->maps->n};
    mv_status status = page_write(c, t, heads ? &mv_page_heads : &mv_page_attention, &words,
                                  heads ? (const void *)&thumbnails : &rows, e);
    if (!status && !c->o.json && !page_is_stdout(c))
        fprintf(t->out, "%s\n", t->page_name);
    return status;
}

/* ---- the command */

/* Over a photo, what is below an even spread is not drawn: a table around it has no effect. */
static const mv_page_kind overlaid = {.name = "overlay", .sequential = true};

static void check(call *c)
{
    own *o = c->own;
    at_choose(c, o->at, &o->method.level, &o->method.query);
    c->raw = o->raw;
    c->wants_raw = o->raw != NULL;
    c->indexed = true;
    c->stores_only = true;
    c->wants_page = c->shows = (!o->raw && !c->o.overlay) || c->o.out;
    if (c->wants_page)
        page_check(c, c->o.sheet ? &mv_page_sheet : shows_heads(o) ? &mv_page_heads : &mv_page_attention);
    else if (!c->o.overlay)
        options_refuse_page(c, "with --raw alone; -o writes a page too");
    overlay_check(c, &overlaid);
    if (o->shared_scale && (shows_heads(o) || !c->wants_page || c->o.sheet))
        die(EXIT_MISUSE, "--shared-scale: has no effect %s",
            !c->wants_page ? "without a page"
            : c->o.sheet   ? "on contact sheets, which share one"
                           : "on thumbnails of heads, which share one");
}

static mv_status open_ask(call *c, mv_error *e)
{
    own *o = c->own;
    c->ask[c->asks++] = (mv_ask){
        .method = mv_method_lookup("attention"), .params = &o->method, .class_ = MV_MAP_NONE, .against = MV_MAP_NONE};
    if (!c->joined)
        return MV_OK;
    int maps = asks_count_maps(c, e);
    return maps < 0 ? e->code : together_check(c, maps, e);
}

static mv_status study_picture(call *c, study *s, mv_error *e)
{
    own *o = c->own;
    return c->joined ? together_add(&o->together, c, s, recipe_of(o), e) : MV_OK;
}

static mv_status close_all(call *c, mv_error *e)
{
    own *o = c->own;
    return together_close(&o->together, c, recipe_of(o), e);
}

static mv_status picture(const call *c, const shot *t, mv_error *e)
{
    char query[24];
    if (c->wants_raw && maps_write(t->raw, t->maps, at_query(c, t, ((const own *)c->own)->method.query, query), e))
        return e->code;
    if (c->o.json) {
        if (reply_print(reply_maps(c, t), t->out, t->name, e))
            return e->code;
    } else if (!page_is_stdout(c)) {
        if (c->pictures > 1 || t->of > 1)
            fprintf(t->out, "%s\n", t->name);
        table_maps(t->out, t->maps);
    }
    if (c->wants_overlay && overlay_write(c, t, e))
        return e->code;
    return c->wants_page && !c->joined ? draw(c, t, e) : MV_OK;
}

static const char *const examples[] = {"attention photo.jpg",
                                       "attention --level 3 --head all -o heads.png photo.jpg",
                                       "attention --level 2 --query 5,9 --raw row.safetensors photo.jpg",
                                       "attention --at 250,200 -o window.png photo.jpg",
                                       "attention --level 3 --block 1 --overlay over/ photos/",
                                       "attention --json --raw maps/ photos/ > figures.jsonl",
                                       NULL};

const command command_attention = {.name = "attention",
                                   .operands = "IMAGE...",
                                   .summary = "Draws where self-attention looks: per level, block, head and query",
                                   .method_params = mv_attention_param,
                                   .params = params,
                                   .size = sizeof(own),
                                   .takes = TAKES_NETWORK | TAKES_PICTURES | TAKES_PAGES | TAKES_MAPS | TAKES_SHEETS |
                                            TAKES_OVERLAY | TAKES_JSON,
                                   .results = "maps",
                                   .examples = examples,
                                   .check = check,
                                   .open = open_ask,
                                   .study = study_picture,
                                   .picture = picture,
                                   .close = close_all};
