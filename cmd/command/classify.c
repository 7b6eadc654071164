#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"
#include "cmd/pictures.h"
#include "cmd/sheet.h"
#include "src/explain/cam.h"
#include "src/run/trace.h"
#include "viz/page/classify.h"

static int explain, top = 5, batch = 8;

static struct poptOption own[] = {
    {"top", 'k', POPT_ARG_INT, &top, 0, "classes to name; 5 if left out", "N"},
    {"explain", 0, POPT_ARG_NONE, &explain, 0, "write a page a picture: why this class and not the next", NULL},
    {"batch", 'b', POPT_ARG_INT, &batch, 0, "pictures a pass; 8 if left out", "N"},
    POPT_TABLEEND};

static const struct poptOption options[] = {OPTIONS_INCLUDE(own, "Options"),
                                            OPTIONS_INCLUDE(options_model, "Model and device"),
                                            OPTIONS_INCLUDE(options_picture, "Pictures"),
                                            OPTIONS_INCLUDE(options_output, "Output"),
                                            OPTIONS_INCLUDE(options_page, "Pages"),
                                            OPTIONS_INCLUDE(options_talk, "General"),
                                            POPT_TABLEEND};

typedef struct {
    int index;
    double logit, probability;
} answer;

typedef struct {
    session *s;
    mv_trace *norm;  /* with --explain */
    mv_fonts *fonts; /* opened by the first page */
    answer *sorted;  /* all classes */
    mv_page_style style;
    bool many;
    int status;
} work;

static int by_logit(const void *a, const void *b)
{
    const answer *x = a, *y = b;
    return x->logit != y->logit ? (x->logit < y->logit) - (x->logit > y->logit)
                                : (x->index > y->index) - (x->index < y->index);
}

/* Softmax over all classes, the most probable first. */
static void rank_classes(answer *out, const float *logits, int n)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - most);
    for (int i = 0; i < n; i++)
        out[i] = (answer){i, (double)logits[i], exp((double)logits[i] - most) / sum};
    qsort(out, (size_t)n, sizeof *out, by_logit);
}

/* The name of a picture in results: a ready input of several has an index. */
static const char *label_of(const picture *p, char *text, size_t size)
{
    if (p->of > 1)
        snprintf(text, size, "%s[%d]", p->path, p->index);
    else
        snprintf(text, size, "%s", p->path);
    return text;
}

static void print_json(const work *w, const char *name, int n)
{
    json_t *list = json_array(), *line;
    char text[24];
    for (int i = 0; i < n; i++) {
        const answer *a = &w->sorted[i];
        const char *wnid = session_wnid(w->s, a->index);
        json_array_append_new(list, json_pack("{s:i,s:s?,s:s,s:f,s:f}", "index", a->index, "wnid", wnid, "name",
                                              session_class(w->s, a->index, text), "probability", a->probability,
                                              "logit", a->logit));
    }
    line = json_pack("{s:s,s:s,s:s,s:s,s:o}", "image", name, "model", w->s->name, "device", session_device(w->s),
                     "precision", session_precision(w->s), "top", list);
    char *out = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (!out)
        die(EXIT_FAILED, "%s: out of memory, or a name that is not UTF-8", name);
    puts(out);
    free(out);
    json_decref(line);
}

static void print_table(const work *w, const char *name, int n)
{
    char text[24];
    printf("%s\n", name);
    for (int i = 0; i < n; i++) {
        const answer *a = &w->sorted[i];
        printf("  %6.2f %%  %9.3f  %s\n", 100 * a->probability, a->logit, session_class(w->s, a->index, text));
    }
}

/* "church" as a heading: "Church" */
static const char *capital(const char *name, char *text, size_t size)
{
    snprintf(text, size, "%s", name);
    if (text[0] >= 'a' && text[0] <= 'z')
        text[0] = (char)(text[0] - 'a' + 'A');
    return text;
}

static void draw(work *w, const picture *p, int at, const char *name)
{
    session *s = w->s;
    mv_error e = {0};
    mv_tensor norm;
    mv_map map[3] = {{0}};
    int classes = s->config.classes < 2 ? 1 : 2, maps = classes == 2 ? 3 : 1;
    if (!mv_trace_lookup(w->norm, "norm", &norm))
        die(EXIT_FAILED, "%s: the final norm was not captured", name);
    for (int i = 0; i < classes; i++)
        if (mv_cam(&map[i], s->model, norm, at, w->sorted[i].index, &e))
            die_of(&e);
    if (maps == 3 && mv_map_subtract(&map[2], &map[0], &map[1], &e))
        die_of(&e);

    char text[2][24], path[4096], title[160], subtitle[320], first[120], number[2][32], method[96];
    const char *winner = session_class(s, w->sorted[0].index, text[0]),
               *second = maps == 3 ? session_class(s, w->sorted[1].index, text[1]) : "";
    const char *slash = strrchr(name, '/');
    double means[3], margin = maps == 3 ? w->sorted[0].logit - w->sorted[1].logit : 0;
    double expected[3] = {w->sorted[0].logit, maps == 3 ? w->sorted[1].logit : 0, margin};
    float lo = INFINITY, hi = -INFINITY;
    capital(winner, first, sizeof first);
    snprintf(title, sizeof title, "%s", first);
    if (maps == 3)
        snprintf(subtitle, sizeof subtitle, "%.1f %% sure, %.1f logits ahead of %s  \xc2\xb7  %.200s",
                 100 * w->sorted[0].probability, margin, second, slash ? slash + 1 : name);
    else
        snprintf(subtitle, sizeof subtitle, "%.200s", slash ? slash + 1 : name);
    snprintf(map[0].title, sizeof map->title, "For %s", winner);
    snprintf(map[1].title, sizeof map->title, "For %s", second);
    snprintf(map[2].title, sizeof map->title, "%s over %s", first, second);
    for (int i = 0; i < maps; i++) {
        means[i] = mv_map_mean(&map[i]);
        lo = fminf(lo, map[i].lo), hi = fmaxf(hi, map[i].hi);
        snprintf(map[i].proof, sizeof map->proof, "mean of %d cells  %s  =  %s  %s", map[i].h * map[i].w,
                 mv_number_text(number[0], means[i], 3, true), i < 2 ? "its logit" : "the margin",
                 mv_number_text(number[1], expected[i], 3, true));
    }
    mv_class_bar bars[8];
    char names[8][24];
    int n = top < s->config.classes ? top : s->config.classes;
    n = n < 8 ? n : 8;
    for (int i = 0; i < n; i++)
        bars[i] = (mv_class_bar){session_class(s, w->sorted[i].index, names[i]), w->sorted[i].probability};
    snprintf(method, sizeof method, "exact CAM, %d \xc3\x97 %d cells of 32 px, bilinear", map[0].h, map[0].w);

    char key[4096];
    snprintf(key, sizeof key, "%s", p->path);
    if (p->of > 1) { /* a page for each of a ready input's pictures */
        char stem[240];
        snprintf(key, sizeof key, "%s-%d.x", picture_stem(p->path, stem, sizeof stem), p->index);
    }
    sheet to;
    sheet_place(path, key, "classify", w->many);
    if (!sheet_open(&to, s, path, p->path, "classify", method, (double)lo, (double)hi)) {
        w->status = EXIT_FAILED;
    } else {
        if (!w->fonts && !(w->fonts = mv_fonts_new(&e)))
            die_of(&e);
        mv_heading heading = {.title = title, .subtitle = subtitle, .recipe = to.recipe};
        mv_classify_content page = {
            .picture = &p->shown, .top = bars, .top_count = n, .evidence = map, .evidence_count = maps};
        mv_status status = mv_page_write(&mv_page_classify, &heading, &page, &w->style, w->fonts, &to.target, &e);
        if (!sheet_close(&to, status, &e))
            w->status = EXIT_FAILED;
        else if (!shared.json && strcmp(path, "/dev/stdout")) { /* "-o -": stdout is the page's */
            for (int i = 0; i < maps; i++)
                printf("  %s: %s\n", map[i].title, map[i].proof);
            printf("  %s\n", path);
        }
    }
    for (int i = 0; i < 3; i++)
        mv_map_free(&map[i]);
}

static void forget(void *context)
{
    work *w = context;
    if (w->norm)
        mv_trace_clear(w->norm);
}

static void done(void *context, const picture *p, int at, const float *logits)
{
    work *w = context;
    char name[4200];
    int n = top < w->s->config.classes ? top : w->s->config.classes;
    bool page_on_stdout = explain && shared.out && strcmp(shared.out, "-") == 0;
    label_of(p, name, sizeof name);
    for (int i = 0; i < w->s->config.classes; i++)
        if (!isfinite(logits[i])) {
            complain("%s: the logit of class %d is %f, expected a finite number", name, i, (double)logits[i]);
            w->status = EXIT_FAILED;
            return;
        }
    rank_classes(w->sorted, logits, w->s->config.classes);
    if (shared.json)
        print_json(w, name, n);
    else if (!page_on_stdout)
        print_table(w, name, n);
    if (explain)
        draw(w, p, at, name);
}

static int run(int n, const char **words)
{
    if (n == 0)
        die(EXIT_MISUSE, "classify: found no picture, expected at least one (mvscope classify --help)");
    if (top < 1)
        die(EXIT_MISUSE, "-k: found %d, expected 1 or more", top);
    if (batch < 1 || batch > 4096)
        die(EXIT_MISUSE, "-b: found %d, expected 1 to 4096", batch);
    if (shared.out && !explain)
        die(EXIT_MISUSE, "-o: classify writes a file only with --explain");
    session s;
    mv_error e = {0};
    work w = {.s = &s, .style = option_page_style()};
    session_open(&s);
    operands o = operands_of(n, words);
    int pictures = o.n, height, width;
    if (explain && o.n == 1)
        picture_size(&s, o.path[0], &pictures, &height, &width);
    w.many = pictures > 1;
    if (explain)
        sheet_check(w.many);
    inputs *read = inputs_new(&s, &o);
    session_load(&s);
    w.sorted = malloc((size_t)s.config.classes * sizeof *w.sorted);
    if (explain)
        w.norm = mv_trace_new("norm", NULL, NULL, &e);
    if (!w.sorted || e.code)
        die(EXIT_FAILED, "out of memory");
    int status = pictures_run(&s, read, pictures_a_pass(&o, batch), w.norm ? mv_trace_probe(w.norm) : NULL, explain,
                              forget, done, &w);
    free(w.sorted);
    mv_trace_free(w.norm);
    mv_fonts_free(w.fonts);
    inputs_free(read);
    operands_free(&o);
    session_close(&s);
    return status ? status : w.status;
}

static const char *const examples[] = {"classify photo.jpg", "classify --json photos/ > answers.jsonl",
                                       "classify --explain -o why.pdf photo.jpg", NULL};

const command cmd_classify = {"classify", "IMAGE...", "Says what a picture shows, and with --explain why",
                              options,    examples,   run};
