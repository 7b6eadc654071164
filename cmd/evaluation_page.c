#include "cmd/evaluation_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/page_file.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/explain/faith.h"
#include "viz/page/eval.h"

enum { TITLE = 160, SUBTITLE = 320 };

/* What the page shows, and the memory of it. */
typedef struct {
    mv_eval_content content;
    double confidence[MV_CALIBRATION_BINS], accuracy[MV_CALIBRATION_BINS];
    const char *class_name[MV_EVAL_CLASSES];
    double confusion[MV_EVAL_CLASSES * MV_EVAL_CLASSES];
    mv_eval_figure figure[MV_EVAL_FIGURES];
    mv_interval_row row[MV_EVAL_FIGURES][MV_EVAL_METHODS];
    const char *stage[MV_EVAL_STAGES];
    mv_series line[MV_EVAL_METHODS];
    char calibration_note[160], confusion_note[160], figures_note[256];
} page;

static void set_calibration(page *p, const evaluation *v)
{
    const mv_calibration *c = &v->calibration;
    for (int k = 0; k < MV_CALIBRATION_BINS; k++)
        if (c->bin[k].n) {
            p->confidence[p->content.bins] = c->bin[k].confidence;
            p->accuracy[p->content.bins++] = c->bin[k].accuracy;
        }
    p->content.confidence = p->confidence;
    p->content.accuracy = p->accuracy;
    p->content.calibration_note = p->calibration_note;
    snprintf(p->calibration_note, sizeof p->calibration_note,
             "%d answers in %d even bins  \xc2\xb7  mean probability %.1f %%, right %.1f %%  \xc2\xb7  expected "
             "calibration error %.1f %%",
             c->n, MV_CALIBRATION_BINS, 100 * c->confidence, 100 * v->top1.mean, 100 * c->error);
}

/* ---- confusion */

static const evaluation *sorted; /* pages are written one at a time */

static int wrong(const class_result *c)
{
    return c->pictures - c->top1;
}

static int by_errors(const void *a, const void *b)
{
    int i = *(const int *)a, k = *(const int *)b, x = wrong(&sorted->class_[i]), y = wrong(&sorted->class_[k]);
    return x != y ? (x < y) - (x > y) : (i > k) - (i < k);
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* All classes that have pictures, or those with the most wrong answers. */
static mv_status set_confusion(page *p, const evaluation *v, mv_error *e)
{
    int *list = malloc(((size_t)v->classes + 1) * sizeof *list), all = 0, n;
    if (!list)
        return mv_fail_memory(e, "eval");
    for (int i = 0; i < v->classes; i++)
        if (v->class_[i].pictures)
            list[all++] = i;
    n = all < MV_EVAL_CLASSES ? all : MV_EVAL_CLASSES;
    sorted = v;
    qsort(list, (size_t)all, sizeof *list, by_errors);
    qsort(list, (size_t)n, sizeof *list, by_number);
    for (int i = 0; i < n; i++) {
        p->class_name[i] = v->brief[list[i]];
        for (int k = 0; k < n; k++)
            p->confusion[i * n + k] = NAN;
        if (v->class_[list[i]].top1)
            p->confusion[i * n + i] = (double)v->class_[list[i]].top1 / v->class_[list[i]].pictures;
    }
    for (int j = 0; j < v->confusions; j++)
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n && v->confusion[j].true_ == list[i]; k++)
                if (v->confusion[j].answer == list[k])
                    p->confusion[i * n + k] = (double)v->confusion[j].n / v->class_[list[i]].pictures;
    free(list);
    p->content.classes = n;
    p->content.class_name = p->class_name;
    p->content.confusion = p->confusion;
    p->content.confusion_note = p->confusion_note;
    snprintf(p->confusion_note, sizeof p->confusion_note,
             "Rows are the true classes: the share of their pictures; blank: none.%s",
             n < all ? " Of all classes, those with the most wrong answers." : "");
    return MV_OK;
}

/* ---- maps */

static const map_result *find(const evaluation *v, const char *name)
{
    for (int i = 0; i < v->maps; i++)
        if (strcmp(v->map[i].name, name) == 0)
            return &v->map[i];
    return NULL;
}

static void set_figures(page *p, const evaluation *v)
{
    static const struct {
        const char *title, *note;
        double at; /* NaN: random cells */
    } words[FIGURES] = {{"Deletion: small is good", "line: random cells", NAN},
                        {"Insertion: large is good", "line: random cells", NAN},
                        {"ROAD: large is good", "line: chance", 0},
                        {"In the right quarter: large is good", "line: chance", 0.25},
                        {"Maximum inside the mark: large is good", "line: the area of the mark", NAN},
                        {"Positive values inside the mark: large is good", "line: the area of the mark", NAN}};
    const map_result *random = find(v, EVAL_RANDOM_CELLS);
    for (int f = 0; f < FIGURES; f++) {
        mv_eval_figure *to = &p->figure[p->content.figures];
        int n = 0;
        for (int i = 0; i < v->maps && n < MV_EVAL_METHODS; i++) {
            const mv_estimate *x = &v->map[i].figure[f];
            if (x->n && !(v->map[i].random && f >= FIGURE_ROAD))
                p->row[f][n++] = (mv_interval_row){v->map[i].name, x->mean, x->low, x->high, v->map[i].random ? 2 : 0};
        }
        if (n == 0)
            continue;
        *to = (mv_eval_figure){.title = words[f].title, .at = words[f].at, .rows = n, .row = p->row[f]};
        if (isnan(to->at) && random && random->figure[f].n)
            to->at = random->figure[f].mean;
        to->note = isnan(to->at) ? NULL : words[f].note;
        p->content.figures++;
    }
    p->content.figure = p->figure;
    char cells[32];
    if (v->grain[0] && v->grain[1])
        snprintf(cells, sizeof cells, "%dx%d", v->grain[0], v->grain[1]);
    else
        snprintf(cells, sizeof cells, "%d px", MV_FAITH_CELL);
    snprintf(p->figures_note, sizeof p->figures_note,
             "Means over the pictures with 95 %% bootstrap intervals, all maps averaged to %s cells. Random cells: a "
             "random value for each; centre: a blob in the middle%s.",
             cells, v->maps > MV_EVAL_METHODS ? "; the first 32 maps" : "");
    p->content.figures_note = p->figures_note;
}

static void set_stages(page *p, const evaluation *v)
{
    const json_t *names = json_object_get(v->of->settings, "stages");
    for (int i = 0; i < v->maps && p->content.lines < MV_EVAL_METHODS; i++)
        if (v->map[i].stages && v->map[i].stages == (int)json_array_size(names) && v->map[i].stages <= MV_EVAL_STAGES) {
            int k = p->content.lines++;
            p->content.stages = v->map[i].stages;
            p->line[k] =
                (mv_series){.name = v->map[i].name, .y = v->map[i].stage, .hue = k, .dash = k / 4, .marks = true};
        }
    for (int k = 0; k < p->content.stages; k++) {
        const char *name = json_string_value(json_array_get(names, (size_t)k));
        p->stage[k] = name && mv_text_is_clean(name) ? name : "";
    }
    p->content.stage_name = p->stage;
    p->content.line = p->line;
}

/* ---- words */

/* The method with the best insertion, where it beats random cells beyond doubt. */
static const map_result *best_of(const evaluation *v)
{
    const map_result *best = NULL;
    for (int i = 0; i < v->maps; i++) {
        const map_result *m = &v->map[i];
        bool beats = m->gain[FIGURE_INSERTION].n && m->gain[FIGURE_INSERTION].low > 0;
        if (!m->random && beats && (!best || m->figure[1].mean > best->figure[1].mean + 0.005)) /* alike: the first */
            best = m;
    }
    return best;
}

static void words_of(char title[TITLE], char subtitle[SUBTITLE], const evaluation *v)
{
    const map_result *best = best_of(v), *random = find(v, EVAL_RANDOM_CELLS);
    char count[48];
    mv_count_text(count, v->of->n, "picture");
    if (v->of->n == 0)
        snprintf(title, TITLE, "No picture could be answered");
    else if (best && random)
        mv_text_print(title, TITLE, "%.1f %% right; %.60s shows best what counts", 100 * v->top1.mean, best->name);
    else
        snprintf(title, TITLE, "%.1f %% of %s right", 100 * v->top1.mean, count);
    int used = snprintf(subtitle, SUBTITLE, "%s", count);
    if (v->of->failed)
        used += snprintf(subtitle + used, SUBTITLE - (size_t)used, ", %d more failed", v->of->failed);
    if (v->of->n)
        used += snprintf(subtitle + used, SUBTITLE - (size_t)used, "  \xc2\xb7  top-1 %.1f to %.1f %%, top-5 %.1f %%",
                         100 * v->top1.low, 100 * v->top1.high, 100 * v->top5.mean);
    if (best && random)
        snprintf(subtitle + used, SUBTITLE - (size_t)used, "  \xc2\xb7  insertion %.2f against %.2f of random cells",
                 best->figure[1].mean, random->figure[1].mean);
}

static const char *text_of(const evaluation *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v->of->settings, key));
    return text && mv_text_is_clean(text) ? text : "";
}

mv_status evaluation_page(const call *c, const evaluation *v, const char *path, mv_error *e)
{
    page *p = calloc(1, sizeof *p);
    struct mv_fonts *fonts = NULL;
    mv_maps none[CALL_ASKS] = {0};
    char title[TITLE], subtitle[SUBTITLE];
    if (!p || set_confusion(p, v, e)) {
        free(p);
        return mv_fail_memory(e, path);
    }
    set_calibration(p, v);
    set_figures(p, v);
    set_stages(p, v);
    words_of(title, subtitle, v);
    char model[120], device[96];
    mv_text_print(model, sizeof model, "model %.80s %.6s", text_of(v, "model"), text_of(v, "sha256"));
    snprintf(device, sizeof device, "%.16s %.64s", text_of(v, "precision"), v->of->device);
    page_source source = {.name = text_of(v, "model"),
                          .hash = text_of(v, "sha256"),
                          .model = model,
                          .pipeline = text_of(v, "pipeline"),
                          .device = device};
    page_words words = {.title = title, .subtitle = subtitle, .method = "", .source = &source};
    shot t = {.path = c->operand[0],
              .name = "eval",
              .base = mv_text_base_name(c->operand[0]),
              .maps = none,
              .page = path,
              .fonts = &fonts};
    mv_status s = page_write(c, &t, &mv_page_eval, &words, &p->content, e);
    mv_fonts_free(fonts);
    free(p);
    return s;
}
