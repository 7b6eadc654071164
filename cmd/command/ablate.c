/* ablate: how the answer changes when values inside the network are changed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ablation.h"
#include "cmd/claims.h"
#include "cmd/edit_words.h"
#include "cmd/page_file.h"
#include "cmd/raw_file.h"
#include "cmd/reply.h"
#include "cmd/talk.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/explain/estimate.h"
#include "src/explain/logits.h"
#include "viz/page/ablate.h"

typedef struct {
    mv_param_texts set;
    mv_param_list sweep;
    bool estimate;
    const char *at, *class_, *against, *raw;
    int top;
    /* ---- state */
    ablation_ask ask;
    ablation *ablation;
    raw_file file;
} own;

static const char *kind_at(int i)
{
    return mv_sweep_kind_name(i);
}

static const mv_param params[] = {
    {.name = "set",
     .kind = MV_PARAM_TEXTS,
     .offset = offsetof(own, set),
     .argument = "EDIT",
     .completes = MV_COMPLETE_SITE,
     .check = edit_words_check,
     .help = "change a value, repeatable: SITE=zero, mean, noise, original or FILE, or SITE@PICTURE"},
    {.name = "sweep",
     .kind = MV_PARAM_LIST,
     .offset = offsetof(own, sweep),
     .least = 1, /* words alone */
     .most = 0,
     .word_at = kind_at,
     .argument = "KIND,...",
     .help = "change all of a kind in turn: heads, blocks, mixers, branches, channels or tokens"},
    {.name = "estimate",
     .kind = MV_PARAM_FLAG,
     .offset = offsetof(own, estimate),
     .help = "estimate the changes of --sweep by one backward pass; without --sweep, of all kinds alone"},
    OPTION_AT(offsetof(own, at), "site of --sweep channels (levels.3 by default) and tokens (levels.1.downsample)"),
    {.name = "class",
     .kind = MV_PARAM_TEXT,
     .offset = offsetof(own, class_),
     .otherwise = "top",
     .argument = "CLASS",
     .completes = MV_COMPLETE_CLASS,
     .help = "class by name, wnid or number; top and second are those of the picture as it is"},
    OPTION_CLASS("against", offsetof(own, against), "a class to subtract: the change is that of the margin"),
    OPTION_TOP(offsetof(own, top), "number of classes, and of edits of a sweep, to print"),
    OPTION_RAW(offsetof(own, raw), "write logits, maps and sweeps as numbers: .safetensors, .npz, or FOLDER/"),
    {0}};

/* ---- text */

static void print_classes(const call *c, const shot *t, const ablation_result *r)
{
    const own *o = c->own;
    int n = c->session.config.classes, most = o->top < n ? o->top : n;
    int *shown = malloc((size_t)(2 * most + 2) * sizeof *shown);
    int count = shown ? ablation_classes(r, n, o->top, 2 * most + 2, shown) : 0;
    for (int i = 0; i < o->set.n; i++) {
        char words[EDIT_WORDS], *safe = mv_text_escape(edit_words_say(&c->session.config, o->set.v[i], words));
        fprintf(t->out, "  %s\n", safe ? safe : "");
        free(safe);
    }
    fprintf(t->out, r->after ? "      before                 after                change\n" : "");
    for (int i = 0; i < count; i++) {
        char text[24];
        int k = shown[i];
        fprintf(t->out, "  %6.2f %%  %9.3f", 100 * mv_probability(r->before, n, k), (double)r->before[k]);
        if (r->after)
            fprintf(t->out, "   %6.2f %%  %9.3f  %+9.3f", 100 * mv_probability(r->after, n, k), (double)r->after[k],
                    (double)r->after[k] - (double)r->before[k]);
        fprintf(t->out, "  %s%s\n", session_class(&c->session, k, text), session_sigmoid(&c->session));
    }
    free(shown);
}

static void print_sweeps(const call *c, const shot *t, const ablation_result *r)
{
    const own *o = c->own;
    const mv_sweep *s = ablation_sweep(o->ablation);
    char of[ABLATION_WORDS], words[MV_SWEEP_NAME], agreement[80];
    for (int k = 0; s && k < mv_sweep_grids(s); k++) {
        mv_sweep_grid g = mv_sweep_grid_at(s, k);
        const double *shown = ablation_shown(r);
        bool both = r->change && r->estimate && g.kind != MV_SWEEP_TOKENS;
        fprintf(t->out, "  %s: %d edits, %schange of %s\n", mv_sweep_kind_name((int)g.kind), g.count,
                r->change ? "" : "estimated ", ablation_quantity(c, r, of));
        fprintf(t->out, both ? "      exact   estimate\n" : "");
        for (int n = 0, i = -1; n < o->top; n++) {
            i = ablation_next(shown, g.first, g.first + g.count, i);
            if (i < 0)
                break;
            fprintf(t->out, "  %+9.3f", shown[i]);
            if (both)
                fprintf(t->out, "  %+9.3f", r->estimate[i]);
            fprintf(t->out, "  %s\n", mv_sweep_item_words(s, i, words));
        }
        if (both && *ablation_agreement(r, g, agreement))
            fprintf(t->out, "  estimates: %s\n", agreement);
        int odd = 0;
        for (int i = g.first; i < g.first + g.count; i++)
            odd += !isfinite(shown[i]);
        if (odd)
            fprintf(t->out, "  %d edit%s gave no finite answer\n", odd, odd == 1 ? "" : "s");
    }
}

/* ---- JSON */

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *list_of(const float *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++)
        if (!reply_append(list, json_real((double)v[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *json_edits(const own *o)
{
    json_t *list = json_array();
    for (int i = 0; list && i < o->set.n; i++) {
        char *safe = mv_text_escape(o->set.v[i]);
        bool good = reply_append(list, safe ? json_string(safe) : NULL);
        free(safe);
        if (!good) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *json_class(const session *s, int i)
{
    char text[24];
    return json_pack("{s:i,s:s*,s:s}", "index", i, "wnid", session_wnid(s, i), "name", session_label(s, i, text));
}

static json_t *json_item(const mv_sweep *s, int i, const ablation_result *r)
{
    char name[MV_SWEEP_NAME];
    mv_sweep_item t = mv_sweep_at(s, i);
    json_t *item = json_pack("{s:s}", "name", mv_sweep_item_name(s, i, name));
    bool good = item;
    if (t.level >= 0)
        good =
            good && reply_set(item, "level", json_integer(t.level)) && reply_set(item, "block", json_integer(t.block));
    if (t.kind == MV_SWEEP_HEADS || t.kind == MV_SWEEP_CHANNELS)
        good = good && reply_set(item, t.kind == MV_SWEEP_HEADS ? "head" : "channel", json_integer(t.part));
    if (t.kind == MV_SWEEP_TOKENS)
        good = good && reply_set(item, "cell", json_pack("[i,i]", t.row, t.column));
    if (r->change)
        good = good && reply_set(item, "change", number(r->change[i]));
    if (r->estimate && t.kind != MV_SWEEP_TOKENS)
        good = good && reply_set(item, "estimate", number(r->estimate[i]));
    if (good)
        return item;
    json_decref(item);
    return NULL;
}

/* How well the estimates of a grid agree with the exact changes. */
static bool set_agreement(json_t *grid, const ablation_result *r, mv_sweep_grid g)
{
    if (!r->change || !r->estimate || g.kind == MV_SWEEP_TOKENS)
        return true;
    mv_agreement a = mv_estimate_agreement(r->change, r->estimate, g.first, g.first + g.count);
    return reply_set(grid, "correlation", number(a.correlation)) &&
           reply_set(grid, "same_sign", json_integer(a.same)) && reply_set(grid, "compared", json_integer(a.n));
}

static json_t *json_sweeps(const mv_sweep *s, const ablation_result *r)
{
    json_t *list = json_array();
    bool good = list;
    for (int k = 0; good && k < mv_sweep_grids(s); k++) {
        mv_sweep_grid g = mv_sweep_grid_at(s, k);
        json_t *items = json_array();
        bool whole = items;
        for (int i = g.first; whole && i < g.first + g.count; i++)
            whole = reply_append(items, json_item(s, i, r));
        json_t *grid = whole ? json_pack("{s:s,s:s*}", "kind", mv_sweep_kind_name((int)g.kind), "site", g.site) : NULL;
        if (!grid)
            json_decref(items);
        good = grid && reply_set(grid, "items", items) && set_agreement(grid, r, g) && reply_append(list, grid);
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static mv_status print_json(const call *c, const shot *t, const ablation_result *r, mv_error *e)
{
    const own *o = c->own;
    const session *s = &c->session;
    int n = s->config.classes;
    json_t *line = reply_new(c, t);
    bool good = line && reply_set(line, "class", json_class(s, r->class_));
    if (r->against >= 0)
        good = good && reply_set(line, "against", json_class(s, r->against));
    good = good && reply_set(line, "before", list_of(r->before, n));
    if (r->after)
        good = good && reply_set(line, "after", list_of(r->after, n)) && reply_set(line, "edits", json_edits(o));
    if (ablation_shown(r))
        good = good && reply_set(line, "sweeps", json_sweeps(ablation_sweep(o->ablation), r));
    if (!good) {
        json_decref(line);
        line = NULL;
    }
    return reply_print(line, t->out, t->name, e);
}

/* ---- numbers */

enum { ARRAYS = 5 + 2 * MV_SWEEPS };

/* The values of a grid; NaN where it has no cell. The caller's to free; NULL without memory. */
static float *grid_values(const mv_sweep *s, mv_sweep_grid g, const double *change)
{
    size_t n = (size_t)g.rows * (size_t)g.columns;
    float *v = malloc(n * sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        v[i] = NAN;
    for (int i = g.first; v && i < g.first + g.count; i++) {
        mv_sweep_item t = mv_sweep_at(s, i);
        v[(size_t)t.row * (size_t)g.columns + (size_t)t.column] = (float)change[i];
    }
    return v;
}

/* All numbers of a picture: logits, maps, and a grid for each sweep (channels in a row), into the file of all pictures
 * or (`path`) one of its own. */
static mv_status write_numbers(call *c, const char *path, const shot *t, const ablation_result *r, mv_error *e)
{
    static const char *const cam[] = {"cam.before", "cam.after", "cam.change"};
    own *o = c->own;
    const mv_sweep *s = ablation_sweep(o->ablation);
    raw_array a[ARRAYS];
    float *values[2 * MV_SWEEPS] = {0};
    char names[2 * MV_SWEEPS][32];
    mv_status status = MV_OK;
    int n = 0, classes = c->session.config.classes, grids = s ? mv_sweep_grids(s) : 0;
    a[n++] = (raw_array){"before", 2, {1, classes}, r->before, NULL};
    if (r->after)
        a[n++] = (raw_array){"after", 2, {1, classes}, r->after, NULL};
    for (int i = 0; i < r->maps.n; i++)
        a[n++] = (raw_array){cam[i], 3, {1, r->maps.map[i].h, r->maps.map[i].w}, mv_map_raw(&r->maps.map[i]), NULL};
    for (int k = 0; k < 2 * grids && !status; k++) {
        mv_sweep_grid g = mv_sweep_grid_at(s, k / 2);
        const double *change = k % 2 ? r->estimate : r->change;
        if (!change || (k % 2 && g.kind == MV_SWEEP_TOKENS))
            continue;
        values[k] = grid_values(s, g, change);
        if (!values[k])
            status = mv_fail_memory(e, t->name);
        snprintf(names[k], sizeof names[k], "%s%s", mv_sweep_kind_name((int)g.kind), k % 2 ? ".estimate" : "");
        a[n++] = g.kind == MV_SWEEP_CHANNELS ? (raw_array){names[k], 2, {1, g.count}, values[k], NULL}
                                             : (raw_array){names[k], 3, {1, g.rows, g.columns}, values[k], NULL};
    }
    if (!status)
        status = path ? raw_write(path, t, a, n, e) : raw_file_add(&o->file, c, t, a, n, e);
    for (int k = 0; k < 2 * grids; k++)
        free(values[k]);
    return status;
}

/* ---- the command */

/* What edits read. */
static void claim(const call *c, claims *k)
{
    const own *o = c->own;
    for (int i = 0; i < o->set.n; i++) {
        mv_error e = {0};
        char *file = edit_words_file(o->set.v[i], &e);
        if (e.code)
            die_of(&e, true);
        claims_read(k, "a file of --set", file);
        free(file);
    }
}

static bool sweeps_a_site(const own *o)
{
    bool any = false;
    for (int i = 0; i < o->sweep.n; i++)
        any |= mv_sweep_kind_has_site((mv_sweep_kind)(-1 - o->sweep.v[i]));
    return any;
}

static bool only_tokens(const own *o)
{
    bool only = true;
    for (int i = 0; i < o->sweep.n; i++)
        only &= -1 - o->sweep.v[i] == MV_SWEEP_TOKENS;
    return only;
}

static void check(call *c)
{
    const own *o = c->own;
    c->o.exact = o->estimate;
    if (c->operands && o->set.n == 0 && o->sweep.n == 0 && !o->estimate)
        die(EXIT_MISUSE, "ablate: found neither --set nor --sweep, expected what to change: --set SITE=zero, --sweep "
                         "heads; or --estimate");
    if (o->estimate && o->set.n)
        die(EXIT_MISUSE, "--estimate: found --set too, expected one of them: gradients are those of the network as it "
                         "is");
    if (o->at && !sweeps_a_site(o) && !(o->estimate && o->sweep.n == 0))
        die(EXIT_MISUSE, "--at: has no effect without --sweep channels or tokens");
    if (o->estimate && o->sweep.n && only_tokens(o))
        die(EXIT_MISUSE, "--estimate: has no effect on --sweep tokens");
    if (o->raw)
        raw_choose(c, o->raw, true);
    c->one_size = true;
    c->wants_page = c->shows = !o->raw || c->o.out;
    if (!c->wants_page)
        options_refuse_page(c, "with --raw alone; -o writes a page too");
    else
        page_check(c, &mv_page_ablate);
    if (options_given(c, "top") && c->o.json && !c->wants_page)
        die(EXIT_MISUSE, "--top: has no effect on --json, which has all numbers");
}

static void free_all(own *o)
{
    ablation_free(o->ablation);
    o->ablation = NULL;
}

static mv_status open_ablate(call *c, mv_error *e)
{
    own *o = c->own;
    o->ask = (ablation_ask){
        .set = &o->set, .sweeps = &o->sweep, .estimate = o->estimate, .at = o->at, .against = MV_MAP_NONE};
    mv_status s = session_find_class(&c->session, o->class_, "--class", &o->ask.class_, e);
    if (!s && o->against)
        s = session_find_class(&c->session, o->against, "--against", &o->ask.against, e);
    if (!s && o->ask.class_ == o->ask.against)
        s = mv_fail(e, MV_EINPUT, "--against: found the class of --class, expected another one");
    if (!s && !(o->ablation = ablation_new(c, &o->ask, e)))
        s = e->code;
    return s;
}

static mv_status study_picture(call *c, study *s, mv_error *e)
{
    own *o = c->own;
    ablation_result *r;
    mv_status status = ablation_run(o->ablation, s, &r, e);
    s->own = r;
    return !status && c->store ? write_numbers(c, NULL, s->shot, r, e) : status;
}

static mv_status picture(const call *c, const shot *t, mv_error *e)
{
    const own *o = c->own;
    const ablation_result *r = t->own;
    mv_status status = t->raw ? write_numbers((call *)c, t->raw, t, r, e) : MV_OK;
    if (!status && c->o.json)
        status = print_json(c, t, r, e);
    else if (!status && !page_is_stdout(c)) {
        fprintf(t->out, "%s\n", t->name);
        print_classes(c, t, r);
        print_sweeps(c, t, r);
    }
    if (!status && c->wants_page)
        status = ablation_draw(c, t, o->ablation, r, o->top, e);
    if (!status && c->wants_page && !c->o.json && !page_is_stdout(c))
        fprintf(t->out, "  %s\n", t->page_name);
    return status;
}

static mv_status close_ablate(call *c, mv_error *e)
{
    own *o = c->own;
    mv_status s = raw_file_close(&o->file, c, e);
    free_all(o);
    return s;
}

static const char *const examples[] = {
    "ablate --set 'levels.2.blocks.4.mixer.v[head=3]=zero' photo.jpg",
    "ablate --sweep heads,blocks -o depends.pdf photo.jpg", "ablate --sweep heads,mixers --estimate photo.jpg",
    "ablate --set 'levels.2.blocks.*.mixer=mean' --sweep mixers --json photo.jpg", NULL};

const command command_ablate = {.name = "ablate",
                                .operands = "IMAGE...",
                                .summary = "Changes values inside the network and shows what the answer depends on",
                                .params = params,
                                .size = sizeof(own),
                                .takes = TAKES_NETWORK | TAKES_CLASSES | TAKES_PICTURES | TAKES_PAGES | TAKES_MAPS |
                                         TAKES_JSON,
                                .results = "before",
                                .examples = examples,
                                .check = check,
                                .claim = claim,
                                .open = open_ablate,
                                .study = study_picture,
                                .drop = ablation_result_free,
                                .picture = picture,
                                .close = close_ablate};
