/* classify: what a picture shows, and why: the exact evidence of its classes as pages, overlays and numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/findings.h"
#include "cmd/map_arrays.h"
#include "cmd/overlay.h"
#include "cmd/page_file.h"
#include "cmd/reply.h"
#include "cmd/talk.h"
#include "cmd/together.h"
#include "src/base/text.h"
#include "src/explain/logits.h"
#include "viz/page/classify.h"
#include "viz/page/sheet.h"

typedef struct {
    int top;
    bool explain;
    mv_param_texts class_;
    const char *against, *raw;
    /* ---- state */
    asks asks; /* the names of the maps */
    raw_file file;
    together together; /* contact sheets */
} own;

static const char sheet_method[] = "exact CAM";

enum { MOST_CLASSES = 5 }; /* three maps a class, without the second one's own for all but the first: a page holds 12 */

#define AT(member) offsetof(own, member)
static const mv_param params[] = {
    OPTION_TOP(AT(top), "number of classes to print"),
    {.name = "explain",
     .kind = MV_PARAM_FLAG,
     .offset = AT(explain),
     .help = "write a page per picture: which cells speak for the class, and against the runner-up"},
    OPTION_CLASSES(AT(class_)),
    OPTION_CLASS("against", AT(against), "a second class: show what speaks for the class against it"),
    OPTION_RAW(AT(raw), "write the evidence as numbers: .safetensors, .npz or .npy of all pictures, or FOLDER/"),
    {0}};

typedef struct {
    int index;
    double logit, probability;
} answer;

static int by_logit(const void *a, const void *b)
{
    const answer *x = a, *y = b;
    return x->logit != y->logit ? (x->logit < y->logit) - (x->logit > y->logit)
                                : (x->index > y->index) - (x->index < y->index);
}

/* The softmax over all classes, or the sigmoid of a single one; the most probable first. */
static void rank_classes(answer *out, const float *logits, int n)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - most);
    for (int i = 0; i < n; i++)
        out[i] =
            (answer){i, (double)logits[i], n == 1 ? mv_probability(logits, 1, 0) : exp((double)logits[i] - most) / sum};
    qsort(out, (size_t)n, sizeof *out, by_logit);
}

static mv_status print_json(const call *c, const shot *t, const answer *sorted, int n, mv_error *e)
{
    json_t *list = json_array(), *line = reply_new(c, t);
    bool good = true;
    for (int i = 0; i < n && good; i++) {
        char text[24];
        const answer *a = &sorted[i];
        const char *wnid = session_wnid(&c->session, a->index);
        good = reply_append(list, json_pack("{s:i,s:s*,s:s,s:f,s:f}", "index", a->index, "wnid", wnid, "name",
                                            session_label(&c->session, a->index, text), "probability", a->probability,
                                            "logit", a->logit));
    }
    if (!good || !line) {
        json_decref(list);
        json_decref(line);
        line = NULL;
    } else if (!reply_set(line, "top", list)) {
        json_decref(line);
        line = NULL;
    }
    return reply_print(line, t->out, t->name, e);
}

static void print_table(const call *c, const shot *t, const answer *sorted, int n)
{
    char text[24];
    fprintf(t->out, "%s\n", t->name);
    for (int i = 0; i < n; i++)
        fprintf(t->out, "  %6.2f %%  %9.3f  %s%s\n", 100 * sorted[i].probability, sorted[i].logit,
                session_class(&c->session, sorted[i].index, text), session_sigmoid(&c->session));
}

/* ---- the page */

/* The maps of all asks side by side. */
static mv_status draw(const call *c, const shot *t, const answer *sorted, mv_error *e)
{
    enum { BARS = 8 };
    const own *o = c->own;
    char number[32], title[120], subtitle[320], names[BARS][24], method[96], p[24];
    mv_map evidence[CALL_ASKS];
    mv_class_bar bars[BARS];
    int classes = c->session.config.classes, n = o->top < classes ? o->top : classes, maps = 0;
    for (int a = 0; a < c->asks; a++)
        for (int i = 0; i < t->maps[a].n && maps < CALL_ASKS; i++)
            evidence[maps++] = t->maps[a].map[i];
    mv_text_print(title, sizeof title, "Classified as %.80s, %s", session_class(&c->session, sorted[0].index, names[0]),
                  finding_probability(p, sorted[0].probability, 2));
    page_words words = {.title = title, .subtitle = subtitle, .method = method};
    if (classes > 1)
        mv_text_print(subtitle, sizeof subtitle, "%.1f logits ahead of %s  \xc2\xb7  %.200s",
                      sorted[0].logit - sorted[1].logit, session_class(&c->session, sorted[1].index, names[0]),
                      t->base);
    else
        mv_text_print(subtitle, sizeof subtitle, "by the sigmoid of its one logit, %s  \xc2\xb7  %.200s",
                      mv_number_text(number, sorted[0].logit, 3, true), t->base);
    n = n < BARS ? n : BARS;
    for (int i = 0; i < n; i++)
        bars[i] = (mv_class_bar){session_class(&c->session, sorted[i].index, names[i]), sorted[i].probability};
    snprintf(method, sizeof method, "exact CAM, %d \xc3\x97 %d cells of 32 px, bilinear", evidence[0].h, evidence[0].w);
    mv_classify_content content = {
        .picture = t->image, .top = bars, .top_count = n, .evidence = evidence, .evidence_count = maps};
    mv_status status = page_write(c, t, &mv_page_classify, &words, &content, e);
    if (status || c->o.json || page_is_stdout(c))
        return status;
    for (int i = 0; i < maps; i++)
        fprintf(t->out, "  %s: %s\n", evidence[i].title, evidence[i].proof);
    fprintf(t->out, "  %s\n", t->page_name);
    return MV_OK;
}

/* ---- the command */

static void check(call *c)
{
    own *o = c->own;
    c->indexed = true;
    c->wants_page = c->shows = o->explain;
    c->stores_only = true;
    if (o->explain)
        page_check(c, c->o.sheet ? &mv_page_sheet : &mv_page_classify);
    if (o->raw)
        raw_choose(c, o->raw, o->against || o->class_.n != 1);
    overlay_check(c, &mv_page_classify);
    if (!o->explain && !o->raw && !c->o.overlay && (o->against || o->class_.n))
        die(EXIT_MISUSE, "--%s: has no effect without --explain, --overlay or --raw", o->against ? "against" : "class");
    if (o->class_.n > MOST_CLASSES)
        die(EXIT_MISUSE, "--class: found %d classes, expected at most %d", o->class_.n, MOST_CLASSES);
}

/* ".top", ".second", ".class.7" */
static const char *class_word(char text[24], int class_)
{
    if (class_ < 0)
        return class_ == MV_CLASS_TOP ? ".top" : ".second";
    snprintf(text, 24, ".class.%d", class_);
    return text;
}

static void add_ask(call *c, int class_, int against, bool overlaid)
{
    asks *a = &((own *)c->own)->asks;
    char one[24], two[24];
    bool both = against != MV_MAP_NONE;
    snprintf(a->name[a->n++], ASKS_NAME, "cam%s%s%s", class_word(one, class_), both ? ".over" : "",
             both ? class_word(two, against) : "");
    c->overlay_asks |= (unsigned)overlaid << c->asks;
    c->ask[c->asks++] =
        (mv_ask){.method = mv_method_lookup("cam"), .params = NULL, .class_ = class_, .against = against};
}

/* Each class that --class names, and with --against that class and the difference. Without both: top and second, and
 * on pages what speaks for top against second. */
static mv_status open_asks(call *c, mv_error *e)
{
    const own *o = c->own;
    int class_[CALL_ASKS] = {MV_CLASS_TOP}, against = MV_MAP_NONE, n = o->class_.n ? o->class_.n : 1;
    if (!o->explain && !o->raw && !c->wants_overlay)
        return MV_OK;
    if (asks_find_classes(c, &o->class_, class_, e) ||
        (o->against && session_find_class(&c->session, o->against, "--against", &against, e)))
        return e->code;
    for (int i = 0; i < n; i++)
        if (class_[i] == against)
            return mv_fail(e, MV_EINPUT, "--against: found '%.60s', the class itself, expected another", o->against);
    for (int i = 0; i < n; i++) {
        add_ask(c, class_[i], MV_MAP_NONE, !o->against);
        if (i == 0 && o->against)
            add_ask(c, against, MV_MAP_NONE, false);
        if (o->against)
            add_ask(c, class_[i], against, true);
    }
    bool alone = c->joined && !o->raw; /* a contact sheet shows the answer's */
    if (!o->class_.n && !o->against && (o->explain || o->raw) && !alone)
        add_ask(c, MV_CLASS_SECOND, MV_MAP_NONE, false);
    if (!o->class_.n && !o->against && o->explain && !alone)
        add_ask(c, MV_CLASS_TOP, MV_CLASS_SECOND, false);
    return MV_OK;
}

static mv_status study_picture(call *c, study *s, mv_error *e)
{
    own *o = c->own;
    mv_status status = c->store ? map_arrays_add(&o->file, c, &o->asks, s, e) : MV_OK;
    return !status && c->joined ? together_add(&o->together, c, s, sheet_method, e) : status;
}

static mv_status close_all(call *c, mv_error *e)
{
    own *o = c->own;
    mv_status s = together_close(&o->together, c, sheet_method, e);
    if (c->store && raw_file_close(&o->file, c, s ? NULL : e) && !s)
        s = e->code;
    return s;
}

static mv_status picture(const call *c, const shot *t, mv_error *e)
{
    const own *o = c->own;
    int classes = c->session.config.classes, n = o->top < classes ? o->top : classes;
    answer *sorted = malloc((size_t)classes * sizeof *sorted);
    if (!sorted)
        return mv_fail_memory(e, t->name);
    rank_classes(sorted, t->logits, classes);
    mv_status status = MV_OK;
    if (c->o.json)
        status = print_json(c, t, sorted, n, e);
    else if (!page_is_stdout(c))
        print_table(c, t, sorted, n);
    if (!status && t->raw)
        status = map_arrays_write(c, &o->asks, t, e);
    if (!status && c->wants_overlay)
        status = overlay_write(c, t, e);
    if (!status && o->explain && !c->joined)
        status = draw(c, t, sorted, e);
    free(sorted);
    return status;
}

static const char *const examples[] = {"classify photo.jpg",
                                       "classify --json photos/ > answers.jsonl",
                                       "classify --explain -o why.pdf photo.jpg",
                                       "classify --overlay over/ --photo colour photos/",
                                       "classify --raw cam.npz --class church --against 'golf ball' photo.jpg",
                                       NULL};

const command command_classify = {.name = "classify",
                                  .operands = "IMAGE...",
                                  .summary = "Says what a picture shows, and with --explain why",
                                  .params = params,
                                  .size = sizeof(own),
                                  .takes = TAKES_NETWORK | TAKES_CLASSES | TAKES_PICTURES | TAKES_PAGES | TAKES_MAPS |
                                           TAKES_SHEETS | TAKES_OVERLAY | TAKES_JSON,
                                  .results = "top",
                                  .pages_need = "explain",
                                  .examples = examples,
                                  .check = check,
                                  .open = open_asks,
                                  .study = study_picture,
                                  .picture = picture,
                                  .close = close_all};
