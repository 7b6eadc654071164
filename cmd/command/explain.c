/* explain: maps of any method, for any class, as pages, overlays, tables and numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/asks.h"
#include "cmd/findings.h"
#include "cmd/gradients.h"
#include "cmd/map_arrays.h"
#include "cmd/overlay.h"
#include "cmd/page_file.h"
#include "cmd/raw_file.h"
#include "cmd/reply.h"
#include "cmd/talk.h"
#include "cmd/together.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/explain/faith.h"
#include "viz/draw/colour.h"
#include "viz/page/sheet.h"

enum { GRAIN = 96, SUBTITLE = 800 };

typedef struct {
    mv_param_texts method, class_, against;
    const char *at, *raw;
    int target, rules; /* -1: not given */
    bool faith;
    /* ---- state */
    bool warned;
    asks asks;
    raw_file file;
    together together; /* one page of all pictures */
} own;

static const char *method_word(int i)
{
    const mv_method *m = mv_method_at(i);
    return m ? m->name : NULL;
}

#define AT(member) offsetof(own, member)
static const mv_param params[] = {
    {.name = "method",
     .kind = MV_PARAM_TEXTS,
     .offset = AT(method),
     .argument = "METHOD[:PARAMS]",
     .word_at = method_word,
     .help = "how to explain, repeatable, such as rise:n=400,seed=7; held by default (mvscope methods)"},
    OPTION_CLASSES(AT(class_)),
    {.name = "against",
     .kind = MV_PARAM_TEXTS,
     .offset = AT(against),
     .argument = "CLASS",
     .completes = MV_COMPLETE_CLASS,
     .help = "a second class: explain the difference; repeatable for methods that take gradients"},
    OPTION_AT(AT(at), "the site that methods with the parameter site use"),
    {.name = "target",
     .kind = MV_PARAM_WORD,
     .offset = AT(target),
     .words = gradients_kinds,
     .argument = "KIND",
     .help = "the number that is differentiated; logit by default"},
    {.name = "rules",
     .kind = MV_PARAM_WORD,
     .offset = AT(rules),
     .words = mv_rules_words,
     .argument = "RULES",
     .help = "what counts as a constant on the way back: nothing, or every operator at its value"},
    {.name = "faith",
     .kind = MV_PARAM_FLAG,
     .offset = AT(faith),
     .help = "measure each map: deletion and insertion, beside random cells and a blob in the middle"},
    OPTION_RAW(AT(raw), "write the maps as numbers: .safetensors, .npz or .npy of all pictures, or FOLDER/"),
    {0}};

/* ---- before anything is opened */

static bool some_map_is_measured(const asks *a)
{
    for (int i = 0; i < a->methods; i++)
        if (strcmp(a->method[i].method->name, "pca") != 0)
            return true;
    return false;
}

static void check(call *c)
{
    own *o = c->own;
    asks_shared shared = {.at = o->at, .rules = o->rules >= 0 ? mv_rules_words[o->rules] : NULL, .target = o->target};
    asks_methods(&o->asks, &o->method, "held", &shared);
    asks_check_classes(&o->asks, &o->class_, &o->against);
    for (int i = 0; i < o->asks.methods; i++)
        c->o.exact |= (o->asks.method[i].method->takes & MV_TAKES_GRADIENT) != 0;
    if (o->raw)
        raw_choose(c, o->raw, false);
    c->indexed = true;
    c->wants_page = c->shows = (!o->raw && !c->o.overlay) || c->o.out;
    c->together = TOGETHER_MOST;
    if (c->wants_page)
        page_check(c, &mv_page_sheet);
    else if (!c->o.overlay)
        options_refuse_page(c, "with --raw alone; -o writes a page too");
    overlay_check(c, &mv_page_sheet);
    if (o->faith && !some_map_is_measured(&o->asks))
        die(EXIT_MISUSE, "--faith: has no effect on colours, which have no order");
}

/* ---- opening */

static mv_status check_count(const call *c, int n, mv_error *e)
{
    if (c->store && n != 1 && mv_text_ends_in(c->store, ".npy"))
        return mv_fail(e, MV_EINPUT,
                       "--raw: found %d maps for %s, expected one, as a .npy holds one array; choose one by the "
                       "options, or write a .safetensors",
                       n, c->store);
    if (c->wants_page && n > 512)
        return mv_fail(e, MV_EINPUT, "explain: found %d maps for a page, expected at most 512; choose blocks", n);
    return c->joined ? together_check(c, n, e) : MV_OK;
}

static mv_status open_asks(call *c, mv_error *e)
{
    own *o = c->own;
    if (!o->method.n && !o->at && o->rules < 0 && !o->target)
        asks_choose_default(&o->asks.method[0], c);
    mv_status s = asks_classes(&o->asks, c, &o->class_, &o->against, e);
    int n = s ? -1 : asks_count_maps(c, e);
    if (n < 0)
        s = e->code;
    if (!s)
        s = check_count(c, n, e);
    if (s)
        asks_free(&o->asks);
    return s;
}

/* ---- the order of computing: what is measured, and stored in the order of pictures */

static int top_class(const call *c, const shot *t)
{
    return mv_class_next(t->logits, c->session.config.classes, MV_MAP_NONE);
}

/* How maps were measured, for tables and pages. */
static const char *grain_text(const shot *t, char text[GRAIN])
{
    int grain[2];
    mv_faith_grain(t->h, t->w, grain);
    snprintf(text, GRAIN, "deletion and insertion at one grain: %dx%d cells, finer maps averaged", grain[0], grain[1]);
    return text;
}

static mv_status measure_map(mv_map *m, mv_faith *f, mv_error *e)
{
    mv_faith_score score;
    const mv_faith_baseline *random;
    const mv_faith_score *centre;
    if (mv_faith_map(f, m, &score, e) || mv_faith_random(f, &random, e) || mv_faith_centre(f, &centre, e))
        return e->code;
    mv_map_figure(m, "deletion", "deletion", "", 3, score.deletion_area);
    mv_map_figure(m, "random cells", "random_deletion", "", 3, random->mean.deletion_area);
    mv_map_figure(m, "centre", "centre_deletion", "", 3, centre->deletion_area);
    mv_map_figure(m, "insertion", "insertion", "", 3, score.insertion_area);
    mv_map_figure(m, "random cells", "random_insertion", "", 3, random->mean.insertion_area);
    mv_map_figure(m, "centre", "centre_insertion", "", 3, centre->insertion_area);
    return MV_OK;
}

/* The class for which a map is measured: its own, or the answer. */
static int measured_class(const call *c, const study *t, const mv_map *m)
{
    return m->class_ >= 0 ? m->class_ : top_class(c, t->shot);
}

/* All maps of a class that have an order, with the same random maps. */
static mv_status measure_class(const call *c, const study *t, int class_, mv_error *e)
{
    const mv_faith_options defaults = {0};
    mv_faith *f =
        mv_faith_new(&defaults, t->passes, t->planes, t->shot->h, t->shot->w, c->session.config.classes, class_, e);
    mv_status s = f ? MV_OK : e->code;
    for (int a = 0; a < c->asks; a++)
        for (int i = 0; i < t->maps[a].n && !s; i++) {
            mv_map *m = &t->maps[a].map[i];
            if (mv_faith_has_order(m) && measured_class(c, t, m) == class_)
                s = measure_map(m, f, e);
        }
    mv_faith_free(f);
    return s;
}

static mv_status measure(const call *c, const study *t, mv_error *e)
{
    mv_status s = MV_OK;
    for (int a = 0; a < c->asks; a++)
        for (int i = 0; i < t->maps[a].n && !s; i++) {
            const mv_map *m = &t->maps[a].map[i];
            if (mv_faith_has_order(m) && !isfinite(mv_map_figure_value(m, "deletion")))
                s = measure_class(c, t, measured_class(c, t, m), e);
        }
    return s;
}

static const char *method_names(const asks *a, char text[200])
{
    *text = '\0';
    for (int i = 0; i < a->methods; i++) {
        size_t used = strlen(text);
        bool known = false;
        for (int k = 0; k < i; k++)
            known |= a->method[k].method == a->method[i].method;
        if (!known)
            snprintf(text + used, 200 - used, "%s%s", *text ? ", " : "", a->method[i].method->name);
    }
    return text;
}

/* A probability that is nearly 1 has gradients that are mostly rounding. */
static void warn_of_sure(const call *c, const shot *t)
{
    own *o = c->own;
    int classes = c->session.config.classes;
    for (int a = 0; a < c->asks; a++) {
        int k = mv_class_of(c->ask[a].class_, t->logits, classes);
        if (c->ask[a].probability && k >= 0)
            gradients_warn(&o->warned, mv_probability(t->logits, classes, k));
    }
}

static mv_status study_picture(call *c, study *s, mv_error *e)
{
    own *o = c->own;
    char names[200];
    warn_of_sure(c, s->shot);
    mv_status status = o->faith ? measure(c, s, e) : MV_OK;
    if (!status && c->store)
        status = map_arrays_add(&o->file, c, &o->asks, s, e);
    if (!status && c->joined)
        status = together_add(&o->together, c, s, method_names(&o->asks, names), e);
    return status;
}

/* ---- results */

static json_t *map_json(const call *c, const mv_maps *maps, int a, int i)
{
    const own *o = c->own;
    const mv_map *m = &maps[a].map[i];
    char name[ASKS_NAME + MV_MAP_NAME];
    json_t *map = reply_map(m);
    if (map && reply_set(map, "name", json_string(asks_map_name(&o->asks, &maps[a], a, i, name))) &&
        reply_set(map, "method", json_string(m->method)) && reply_set(map, "title", json_string(m->title)) &&
        reply_set(map, "unit", json_string(m->raw ? m->raw_unit : m->unit)))
        return map;
    json_decref(map);
    return NULL;
}

static mv_status print_json(const call *c, const shot *t, mv_error *e)
{
    const own *o = c->own;
    int grain[2];
    json_t *line = reply_new(c, t), *list = json_array();
    bool good = line && list;
    mv_faith_grain(t->h, t->w, grain);
    if (good && o->faith)
        good = reply_set(line, "grain", json_pack("[i,i]", grain[0], grain[1]));
    for (int a = 0; a < c->asks && good; a++)
        for (int i = 0; i < t->maps[a].n && good; i++)
            good = reply_append(list, map_json(c, t->maps, a, i));
    if (!good || !reply_set(line, "maps", list)) {
        if (!good)
            json_decref(list);
        json_decref(line);
        line = NULL;
    }
    return reply_print(line, t->out, t->name, e);
}

static const char *range_text(char text[80], const mv_map *m)
{
    char a[32], b[32];
    double lo = (double)m->lo, hi = (double)m->hi;
    if (fmax(fabs(lo), fabs(hi)) < 0.01) /* three decimals would show one digit or none */
        return mv_range_text(text, lo, hi, m->diverging);
    snprintf(text, 80, "%s to %s", mv_number_text(a, lo, 3, m->diverging), mv_number_text(b, hi, 3, m->diverging));
    return text;
}

static void print_map(const call *c, const shot *t, int a, int i, int width)
{
    const own *o = c->own;
    const mv_map *m = &t->maps[a].map[i];
    char name[ASKS_NAME + MV_MAP_NAME], figure[96], range[80];
    fprintf(t->out, "  %-*s  ", width, asks_map_name(&o->asks, &t->maps[a], a, i, name));
    if (m->channels != 3)
        fprintf(t->out, "%s %s", range_text(range, m), m->unit);
    for (int k = 0; mv_map_figure_text(m, k, figure); k++)
        fprintf(t->out, "%s%s", k || m->channels != 3 ? ", " : "", figure);
    if (*m->proof)
        fprintf(t->out, "; %s", m->proof);
    fputc('\n', t->out);
}

static void print_table(const call *c, const shot *t)
{
    const own *o = c->own;
    int width = 0;
    char name[ASKS_NAME + MV_MAP_NAME];
    for (int a = 0; a < c->asks; a++)
        for (int i = 0; i < t->maps[a].n; i++) {
            int n = (int)strlen(asks_map_name(&o->asks, &t->maps[a], a, i, name));
            width = n > width ? n : width;
        }
    fprintf(t->out, "%s\n", t->name);
    for (int a = 0; a < c->asks; a++)
        for (int i = 0; i < t->maps[a].n; i++)
            print_map(c, t, a, i, width);
    if (o->faith)
        fprintf(t->out, "  %s\n", grain_text(t, name));
}

/* ---- pages */

/* One scale where all units agree, else one for each method, or for each map of a method of several units. */
static void arrange(mv_sheet_content *content, const mv_map *const maps[], int n)
{
    bool methods = false, levels = false, all = true, within = true;
    for (int i = 0; i < n; i++) {
        methods |= strcmp(maps[i]->method, maps[0]->method) != 0;
        levels |= maps[i]->level != maps[0]->level;
        for (int k = 0; k < i; k++) {
            bool one = maps[i]->channels == 3 || maps[k]->channels == 3 || strcmp(maps[i]->unit, maps[k]->unit) == 0;
            all &= one;
            within &= one || strcmp(maps[i]->method, maps[k]->method) != 0;
        }
    }
    content->scale = all ? MV_SHEET_SCALE_ALL : within && methods ? MV_SHEET_SCALE_GROUP : MV_SHEET_SCALE_OWN;
    content->sections = methods ? MV_SHEET_BY_METHOD : levels ? MV_SHEET_BY_LEVEL : MV_SHEET_PLAIN;
}

/* maps: the n of the page */
static const char *subtitle_of(const call *c, const shot *t, const mv_map *const maps[], int n, char text[SUBTITLE])
{
    const own *o = c->own;
    char name[24], number[24], cells[GRAIN] = "", trust[FINDING] = "";
    int best = top_class(c, t);
    if (n == 1)
        finding_of_trust(trust, maps[0]);
    if (o->faith)
        grain_text(t, cells);
    mv_text_print(text, SUBTITLE, "%.200s, classified as %.80s, %s%s%s%s%s%s", t->base,
                  session_class(&c->session, best, name),
                  finding_probability(number, mv_probability(t->logits, c->session.config.classes, best), 2),
                  session_sigmoid(&c->session), *trust ? "; " : "", trust, *cells ? "; " : "", cells);
    return text;
}

static mv_status draw(const call *c, const shot *t, mv_error *e)
{
    const own *o = c->own;
    char title[FINDING], subtitle[SUBTITLE], names[200];
    int n = 0;
    for (int a = 0; a < c->asks; a++)
        n += t->maps[a].n;
    if (n == 0)
        return mv_fail(e, MV_EINPUT, "%s: found no map to draw: the model has no such class", t->name);
    const mv_map **maps = calloc((size_t)n, sizeof *maps);
    mv_sheet_item *items = calloc((size_t)n, sizeof *items);
    mv_status s = maps && items ? MV_OK : mv_fail_memory(e, t->name);
    for (int a = 0, k = 0; a < c->asks && !s; a++)
        for (int i = 0; i < t->maps[a].n; i++, k++)
            items[k].map = maps[k] = &t->maps[a].map[i];
    if (!s) {
        mv_sheet_content sheet = {.picture = t->image, .items = items, .item_count = n};
        page_words words = {.title = finding_of(title, &c->session, maps, n),
                            .subtitle = subtitle_of(c, t, maps, n, subtitle),
                            .method = method_names(&o->asks, names)};
        arrange(&sheet, maps, n);
        s = page_write(c, t, &mv_page_sheet, &words, &sheet, e);
    }
    free(maps);
    free(items);
    if (!s && !c->o.json && !page_is_stdout(c))
        fprintf(t->out, "  %s\n", t->page_name);
    return s;
}

static mv_status picture(const call *c, const shot *t, mv_error *e)
{
    mv_status s = t->raw ? map_arrays_write(c, &((const own *)c->own)->asks, t, e) : MV_OK;
    if (!s && c->o.json)
        s = print_json(c, t, e);
    else if (!s && !page_is_stdout(c))
        print_table(c, t);
    if (!s && c->wants_overlay)
        s = overlay_write(c, t, e);
    return !s && c->wants_page && !c->joined ? draw(c, t, e) : s;
}

static mv_status close_all(call *c, mv_error *e)
{
    own *o = c->own;
    char names[200];
    mv_status s = together_close(&o->together, c, method_names(&o->asks, names), e);
    if (c->store && (raw_file_close(&o->file, c, s ? NULL : e) && !s))
        s = e->code;
    asks_free(&o->asks);
    return s;
}

static const char *const examples[] = {"explain photo.jpg",
                                       "explain --method hirescam --at levels.2 --class church photo.jpg",
                                       "explain --method cam,occlusion,lens -o why.png photo.jpg",
                                       "explain --method rise:n=400,seed=7 --class church --faith photo.jpg",
                                       "explain --method pca -o colours.png photos/",
                                       "explain --raw maps.safetensors photos/",
                                       NULL};

const command command_explain = {.name = "explain",
                                 .operands = "IMAGE...",
                                 .summary =
                                     "Draws what speaks for a class, by any method, and measures whether it is true",
                                 .params = params,
                                 .size = sizeof(own),
                                 .takes = TAKES_NETWORK | TAKES_CLASSES | TAKES_PICTURES | TAKES_PAGES | TAKES_MAPS |
                                          TAKES_SHEETS | TAKES_OVERLAY | TAKES_JSON,
                                 .results = "maps",
                                 .examples = examples,
                                 .check = check,
                                 .open = open_asks,
                                 .study = study_picture,
                                 .picture = picture,
                                 .close = close_all};
