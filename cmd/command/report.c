/* report: one picture's whole story on one page, or as a page for browsers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/asks.h"
#include "cmd/html_file.h"
#include "cmd/page_file.h"
#include "cmd/reply.h"
#include "cmd/report_page.h"
#include "cmd/report_study.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/explain/attention.h"
#include "src/explain/attention_method.h"
#include "src/explain/inside.h"
#include "src/model/grid.h"

/* Most memory of the matrices of one mixer and picture. */
enum { MATRIX_BYTES = 64 << 20 };

typedef struct {
    bool html;
    int steps, seeds;
    mv_param_list without;
    const char *method;

    report_ask ask;
    report_asks asks;
    mv_attention_params attention;
    mv_ask evidence; /* the method that explains */
    mv_ask cam;      /* the exact CAM relative to the mean of all classes */
    mv_inside_params inside[MV_LEVELS];
    void *evidence_params, *cam_params;
    const char *name; /* of the evidence, with parameters */
    report_study *study;
    html_file *file;
} own;

static const char *const parts[] = {"heads", "branches", "faith", "mirror", NULL};

static const char *method_word(int i)
{
    const mv_method *m = mv_method_at(i);
    return m ? m->name : NULL;
}

#define AT(member) offsetof(own, member)
static const mv_param params[] = {
    {.name = "method",
     .kind = MV_PARAM_TEXT,
     .offset = AT(method),
     .otherwise = "held",
     .argument = "METHOD[:PARAMS]",
     .word_at = method_word,
     .help = "what explains the answer: a method that draws one map of a class (mvscope methods)"},
    {.name = "html",
     .kind = MV_PARAM_FLAG,
     .offset = AT(html),
     .help = "write a page for browsers, in which cells can be pointed at; so does -o FILE.html"},
    {.name = "steps",
     .kind = MV_PARAM_INTEGER,
     .offset = AT(steps),
     .least = 2,
     .most = MV_FAITH_STEPS,
     .otherwise = "16",
     .argument = "N",
     .help = "steps of deletion and insertion"},
    {.name = "seeds",
     .kind = MV_PARAM_INTEGER,
     .offset = AT(seeds),
     .least = 1,
     .most = MV_FAITH_SEEDS,
     .otherwise = "2",
     .argument = "N",
     .help = "random maps beside the evidence in deletion and insertion"},
    {.name = "without",
     .kind = MV_PARAM_LIST,
     .offset = AT(without),
     .least = 1, /* words alone */
     .most = 0,
     .words = parts,
     .argument = "PART",
     .help = "leave out what takes further passes: heads, branches (scan and local), faith (deletion and insertion), "
             "mirror (the picture mirrored and upside down)"},
    {0}};

/* ---- before anything is opened */

static void check_method(call *c)
{
    own *o = c->own;
    mv_error e = {0};
    if (mv_ask_parse(&o->evidence, &o->evidence_params, o->method, &e))
        die(misuse_of(&e), "--method: %s", e.text);
    const mv_method *m = o->evidence.method;
    if (!(m->takes & (MV_TAKES_CLASS | MV_MAY_TAKE_CLASS)) || m->count)
        die(EXIT_MISUSE, "--method: found %s, which draws %s, expected a method that draws one map of a class", m->name,
            m->count ? "several maps" : "no class");
    c->o.exact |= (m->takes & MV_TAKES_GRADIENT) != 0;
}

static void refuse_with_html(const call *c)
{
    static const char *const passes[] = {"steps", "seeds", "without", NULL}, *const looks[] = {
                                                                                 "format",       "theme", "zoom",
                                                                                 "width",        "for",   "colours",
                                                                                 "colour-scale", "grid",  NULL};
    for (int i = 0; passes[i]; i++)
        if (options_given(c, passes[i]))
            die(EXIT_MISUSE, "--%s: has no effect on a page for browsers, which shows no further passes", passes[i]);
    for (int i = 0; looks[i]; i++)
        if (options_given(c, looks[i]))
            die(EXIT_MISUSE, "--%s: has no effect on a page for browsers", looks[i]);
}

static void check(call *c)
{
    own *o = c->own;
    o->html |= c->o.out && mv_text_ends_in(c->o.out, ".html");
    c->wants_page = c->shows = true;
    c->html = o->html;
    c->wants_photo = !o->html;
    check_method(c);
    for (int i = 0; i < o->without.n; i++)
        o->ask.without[-1 - o->without.v[i]] = true;
    if (o->ask.without[REPORT_FAITH] && (options_given(c, "steps") || options_given(c, "seeds")))
        die(EXIT_MISUSE, "--%s: has no effect --without faith", options_given(c, "steps") ? "steps" : "seeds");
    o->ask.steps = o->steps;
    o->ask.seeds = o->seeds;
    if (!o->html) {
        page_check(c, &mv_page_report);
        return;
    }
    refuse_with_html(c);
}

/* ---- what is asked */

static int add_method(call *c, const mv_method *m, const void *params_, int class_, int against)
{
    if (!m)
        return -1;
    c->ask[c->asks] = (mv_ask){.method = m, .params = params_, .class_ = class_, .against = against};
    return c->asks++;
}

static int add_ask(call *c, const char *method, const void *params_, int class_, int against)
{
    return add_method(c, mv_method_lookup(method), params_, class_, against);
}

/* The evidence for the first class, the second, and the first over the second. The exact CAM of one class is drawn less
 * the mean of all, as all share an offset, unless its parameters say otherwise. */
static mv_status ask_evidence(call *c, own *o, mv_error *e)
{
    const int classes = c->session.config.classes;
    report_asks *a = &o->asks;
    if (mv_ask_parse(&o->cam, &o->cam_params, classes > 1 ? "cam:relative" : "cam", e))
        return e->code;
    if (!options_given(c, "method"))
        asks_choose_default(&o->evidence, c);
    a->cam = add_ask(c, "cam", o->cam.params, MV_CLASS_TOP, MV_MAP_NONE);
    const mv_method *m = o->evidence.method, *cam = o->cam.method;
    const bool plain = m == cam && (!o->evidence.params || strcmp(o->method, cam->name) == 0);
    const void *p = plain ? NULL : o->evidence.params, *one = plain ? o->cam.params : p;
    o->name = !plain ? o->method : classes > 1 ? "cam:relative" : "cam";
    a->top = plain ? a->cam : add_method(c, m, one, MV_CLASS_TOP, MV_MAP_NONE);
    if (classes > 1)
        a->second = add_method(c, m, one, MV_CLASS_SECOND, MV_MAP_NONE);
    if (classes > 1 && (m->takes & MV_TAKES_AGAINST))
        a->margin = add_method(c, m, p, MV_CLASS_TOP, MV_CLASS_SECOND);
    return MV_OK;
}

static bool attends(const mv_config *config)
{
    for (int level = 2; level < MV_LEVELS; level++)
        if (config->depth[level] > 1) /* the last half of the blocks, rounded down */
            return true;
    return false;
}

/* The last mixer of a level, with its token-by-token matrix unless that is huge. */
static void ask_inside(call *c, own *o, int level)
{
    const mv_config *config = &c->session.config;
    const mv_preprocess *pp = &config->preprocess;
    int last = -1;
    for (int j = 0; j < config->depth[level]; j++)
        last = mv_config_attends(config->depth[level], j) ? last : j;
    if (last < 0)
        return;
    mv_grid g = mv_grid_of(config, level, pp->h, pp->w);
    double matrix = (double)g.windows * g.tokens * g.tokens * sizeof(float);
    mv_inside_params *p = &o->inside[level];
    mv_param_defaults(p, mv_inside_param);
    p->level = (mv_param_list){.n = 1, .v = {level}};
    p->block = (mv_param_list){.n = 1, .v = {last}};
    p->channel = MV_CHANNEL_MEAN;
    p->wants = MV_MIXER_STATES | MV_MIXER_MATRICES;
    p->matrices = matrix <= MATRIX_BYTES ? MV_MIXER_BIT(MV_MIXER_HIDDEN) : 0;
    c->ask[c->asks] = (mv_ask){.method = &mv_method_inside, .params = p, .class_ = MV_MAP_NONE, .against = MV_MAP_NONE};
    o->asks.inside[level] = c->asks++;
}

static mv_status open_report(call *c, mv_error *e)
{
    own *o = c->own;
    const mv_config *config = &c->session.config;
    report_asks *a = &o->asks;
    *a = (report_asks){-1, -1, -1, -1, -1, -1, -1, {-1, -1, -1, -1}, {-1, -1, -1}};
    if (ask_evidence(c, o, e))
        return e->code;
    o->ask.without[REPORT_FAITH] |= config->classes == 1; /* its probability is always 1 */
    if (o->html) {
        o->file = html_file_new(c, e);
        return o->file ? MV_OK : e->code;
    }
    if (attends(config)) {
        mv_param_defaults(&o->attention, mv_attention_param);
        o->attention.head = (mv_param_list){.n = 2, .v = {MV_HEAD_MEAN, MV_HEAD_EACH}};
        a->attention = add_ask(c, "attention", &o->attention, MV_MAP_NONE, MV_MAP_NONE);
    }
    a->rollout = add_ask(c, "hybrid", NULL, MV_MAP_NONE, MV_MAP_NONE);
    for (int i = 0; i < REPORT_LENSES && i < config->classes; i++)
        a->lens[i] = add_ask(c, "lens", NULL, MV_CLASS_RANK(i), MV_MAP_NONE);
    a->raw = add_ask(c, "cam", NULL, MV_CLASS_TOP, MV_MAP_NONE);
    for (int level = MV_LEVELS - 1; level >= 2; level--)
        ask_inside(c, o, level);
    o->study = report_study_new(c, &o->ask, &o->inside[2], e);
    return o->study ? MV_OK : e->code;
}

/* ---- a picture */

/* What is known of it: one of both. */
typedef struct {
    report_result *result;
    html_facts *html;
} known;

static void drop(void *of)
{
    known *k = of;
    report_result_free(k->result);
    html_facts_free(k->html);
    free(k);
}

/* True if the evidence is the exact CAM, which a page for browsers shows in any case. */
static bool is_cam(const own *o)
{
    return o->asks.top == o->asks.cam;
}

static mv_status study_picture(call *c, study *s, mv_error *e)
{
    const own *o = c->own;
    known *k = s->own = calloc(1, sizeof *k);
    if (!k)
        return mv_fail_memory(e, s->shot->name);
    const report_asks *a = &o->asks;
    if (o->html) {
        const int maps[HTML_MAPS] = {a->top, a->second, a->margin}, none[HTML_MAPS] = {-1, -1, -1};
        return html_facts_of(&k->html, o->file, s, is_cam(o) ? none : maps, e);
    }
    return report_study_run(o->study, s, &s->maps[a->top].map[0], &s->maps[a->raw].map[0], &s->maps[a->inside[2]],
                            &k->result, e);
}

static json_t *sweep_json(const report_sweep *s, int columns)
{
    json_t *all = json_object();
    bool good = all != NULL;
    for (int i = 0; i < s->rows && good; i++) {
        json_t *row = json_array();
        for (int k = 0; k < s->length[i] && k < columns && good; k++)
            good = reply_append(row, json_real(s->change[(size_t)i * (size_t)s->columns + (size_t)k]));
        good = good && reply_set(all, s->row[i], row);
    }
    if (good)
        return all;
    json_decref(all);
    return NULL;
}

static bool add_numbers(json_t *line, const char *method, const report_result *r)
{
    bool good = true;
    if (r->heads.rows)
        good = reply_set(line, "without_head", sweep_json(&r->heads, r->heads.columns));
    if (r->mixers.rows && good)
        good = reply_set(line, "without_scan_local", sweep_json(&r->mixers, 2));
    if (r->steps && good)
        good =
            reply_set(line, "faith",
                      json_pack("{s:s,s:i,s:i,s:f,s:f,s:f,s:f}", "method", method, "steps", r->steps, "seeds", r->seeds,
                                "deletion", r->map.deletion_area, "random_deletion", r->random.deletion_area,
                                "insertion", r->map.insertion_area, "random_insertion", r->random.insertion_area));
    for (int i = 0; r->audit && i < MV_FLIPS && good; i++) {
        const mv_audit *a = r->audit;
        double like = a->evidence[i].correlation;
        good = reply_set(line, i == MV_FLIP_MIRRORED ? "mirrored" : "upside_down",
                         json_pack("{s:i,s:f,s:o}", "top", a->top[i], "logit", a->flipped[i], "evidence",
                                   isfinite(like) ? json_real(like) : json_null()));
    }
    return good;
}

static mv_status print_json(const call *c, const shot *t, const report_findings *f, const report_result *r, mv_error *e)
{
    const own *o = c->own;
    json_t *line = reply_new(c, t), *top = json_array();
    bool good = line && top;
    for (int i = 0; i < f->n && good; i++)
        good = reply_append(top, json_pack("{s:i,s:s,s:f,s:f}", "index", f->class_[i], "name", f->name[i],
                                           "probability", f->probability[i], "logit", f->logit[i]));
    good = good && reply_set(line, "top", top);
    if (!good || (r && !add_numbers(line, o->name, r))) {
        json_decref(line);
        line = NULL;
    }
    return reply_print(line, t->out, t->name, e);
}

static void print_findings(const call *c, const shot *t, const report_findings *f)
{
    if (c->pictures > 1 || t->of > 1)
        fprintf(t->out, "%s\n", t->name);
    fprintf(t->out, "%s%s%s\n", f->title, f->n > 1 ? ", ahead of " : "", f->n > 1 ? f->name[1] : "");
    for (int i = 0; i < f->checks; i++)
        fprintf(t->out, "  %s: %s\n", f->check[i], f->finding[i]);
}

static mv_status picture(const call *c, const shot *t, mv_error *e)
{
    const own *o = c->own;
    const known *k = t->own;
    const report_result *r = k->result;
    report_findings f;
    report_find(&f, c, t, &o->asks, r);
    if (c->o.json) {
        if (print_json(c, t, &f, r, e))
            return e->code;
    } else if (!page_is_stdout(c)) {
        print_findings(c, t, &f);
    }
    char method[128];
    snprintf(method, sizeof method, "%s%sexact CAM, attention rows, hidden attention",
             is_cam(o) ? "" : o->evidence.method->name, is_cam(o) ? "" : ", ");
    page_words words = {.title = f.title, .subtitle = f.subtitle, .method = method};
    mv_status status = o->html ? html_file_write(c, t, k->html, &words, e) : report_draw(c, t, &o->asks, &f, r, e);
    if (!status && !c->o.json && !page_is_stdout(c))
        fprintf(t->out, "%s\n", t->page_name);
    return status;
}

static mv_status close_report(call *c, mv_error *e)
{
    own *o = c->own;
    (void)e;
    report_study_free(o->study);
    html_file_free(o->file);
    free(o->evidence_params);
    free(o->cam_params);
    return MV_OK;
}

static const char *const examples[] = {"report photo.jpg", "report --theme dark -o photo.pdf photo.jpg",
                                       "report --html photo.jpg", "report --without heads,branches -o pages/ photos/",
                                       NULL};

const command command_report = {
    .name = "report",
    .operands = "IMAGE...",
    .summary = "Tells on one page what a picture shows, why the network says so, and whether that is true",
    .params = params,
    .size = sizeof(own),
    .takes = TAKES_NETWORK | TAKES_CLASSES | TAKES_PICTURES | TAKES_PAGES | TAKES_MAPS | TAKES_JSON,
    .results = "top",
    .examples = examples,
    .check = check,
    .open = open_report,
    .study = study_picture,
    .drop = drop,
    .picture = picture,
    .close = close_report};
