#include "cmd/html_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/page_file.h"
#include "cmd/stop.h"
#include "src/base/text.h"
#include "src/explain/evidence.h"
#include "src/explain/logits.h"
#include "src/explain/rows_keep.h"
#include "src/file/output.h"
#include "viz/html/html.h"

/* Bytes of values before they are compressed and written in base64: a page stays below 8 MB. */
enum { ROWS_BUDGET = 5400 << 10, EVIDENCE_BUDGET = 384 << 10 };

struct html_file {
    mv_rows_keep *rows;
    mv_evidence_keep *evidence;
};

struct html_facts {
    mv_coded *block;
    int blocks;
    mv_evidence evidence;
    mv_html_map map[HTML_MAPS]; /* its words are those of the answer's maps */
    int8_t *code[HTML_MAPS];    /* of the maps */
    int maps;
};

/* ---- while pictures run */

html_file *html_file_new(call *c, mv_error *e)
{
    html_file *f = calloc(1, sizeof *f);
    if (!f) {
        mv_fail_memory(e, "html page");
        return NULL;
    }
    f->rows = mv_rows_keep_new(&c->session.config, ROWS_BUDGET, e);
    f->evidence = f->rows ? mv_evidence_keep_new(c->session.model, e) : NULL;
    if (!f->evidence) {
        html_file_free(f);
        return NULL;
    }
    mv_rows_keep_probe(f->rows)->next = mv_evidence_keep_probe(f->evidence);
    mv_evidence_keep_probe(f->evidence)->next = c->probes;
    c->probes = mv_rows_keep_probe(f->rows);
    return f;
}

void html_file_free(html_file *f)
{
    if (!f)
        return;
    mv_rows_keep_free(f->rows);
    mv_evidence_keep_free(f->evidence);
    free(f);
}

static mv_status add_map(html_facts *facts, const mv_map *m, int w, mv_error *e)
{
    size_t n = (size_t)m->h * (size_t)m->w;
    int8_t *code = facts->code[facts->maps] = malloc(n);
    if (!code)
        return mv_fail_memory(e, "html page");
    facts->map[facts->maps++] = (mv_html_map){.title = m->title,
                                              .method = m->method,
                                              .unit = m->unit,
                                              .proof = m->proof,
                                              .h = m->h,
                                              .w = m->w,
                                              .cell = m->cell ? m->cell : (double)w / m->w,
                                              .code = code,
                                              .most = mv_coded_signed(code, m->v, n)};
    return MV_OK;
}

mv_status html_facts_of(html_facts **out, const html_file *f, const study *s, const int asks[HTML_MAPS], mv_error *e)
{
    html_facts *facts = *out = calloc(1, sizeof *facts);
    if (!facts)
        return mv_fail_memory(e, "html page");
    mv_status status = mv_evidence_of(&facts->evidence, f->evidence, s->picture, s->shot->logits, EVIDENCE_BUDGET, e);
    if (!status)
        status = mv_rows_keep_take(f->rows, s->picture, &facts->block, &facts->blocks, e);
    for (int i = 0; i < HTML_MAPS && !status; i++)
        if (asks[i] >= 0 && s->maps[asks[i]].n > 0)
            status = add_map(facts, &s->maps[asks[i]].map[0], s->shot->w, e);
    if (status) {
        html_facts_free(facts);
        *out = NULL;
    }
    return status;
}

void html_facts_free(html_facts *facts)
{
    if (!facts)
        return;
    mv_rows_keep_drop(facts->block, facts->blocks);
    mv_evidence_free(&facts->evidence);
    for (int i = 0; i < facts->maps; i++)
        free(facts->code[i]);
    free(facts);
}

/* ---- the file */

enum { ITEMS = 7, CLASS_NAME = 24 };

typedef struct {
    char *command, *subtitle;
    char model[120], pipeline[64], device[64];
    const char *item[ITEMS];
    int items;
    mv_html_class *class_;
    char (*name)[CLASS_NAME]; /* of classes without one */
} words;

static void words_free(words *w)
{
    free(w->command);
    free(w->subtitle);
    free(w->class_);
    free(w->name);
}

static mv_status words_of(words *w, const call *c, const shot *t, const page_words *said, const mv_evidence *v,
                          mv_error *e)
{
    const session *s = &c->session;
    *w = (words){.command = options_recipe(c, t->path, said->others),
                 .subtitle = page_subtitle(c, said->subtitle),
                 .class_ = calloc((size_t)v->n, sizeof *w->class_),
                 .name = calloc((size_t)v->n, sizeof *w->name)};
    if (!w->command || !w->subtitle || !w->class_ || !w->name)
        return mv_fail_memory(e, t->name);
    mv_text_print(w->model, sizeof w->model, "model %s %.6s", s->name, s->hash);
    session_pipeline(s, w->pipeline);
    snprintf(w->device, sizeof w->device, "%s %s", session_precision(s), session_device(s));
    const char *const items[ITEMS] = {w->command,  w->model,  said->method, said->beside,
                                      w->pipeline, w->device, MV_VERSION};
    for (int i = 0; i < ITEMS; i++)
        if (items[i] && *items[i])
            w->item[w->items++] = items[i];

    double sum = 0, top = (double)t->logits[v->class_[0]];
    for (int k = 0; k < c->session.config.classes; k++)
        sum += exp((double)t->logits[k] - top);
    for (int i = 0; i < v->n; i++) {
        double logit = (double)t->logits[v->class_[i]];
        w->class_[i] =
            (mv_html_class){.number = v->class_[i],
                            .name = session_class(s, v->class_[i], w->name[i]),
                            .logit = logit,
                            .probability = v->n == 1 ? mv_probability(t->logits, 1, 0) : exp(logit - top) / sum};
    }
    return MV_OK;
}

static mv_status put(void *file, const void *bytes, size_t n)
{
    return mv_output_write(file, bytes, n);
}

static double mean_logit(const call *c, const shot *t)
{
    double sum = 0;
    for (int k = 0; k < c->session.config.classes; k++)
        sum += (double)t->logits[k];
    return sum / c->session.config.classes;
}

static mv_status write_page(const call *c, const shot *t, const html_facts *f, const page_words *said, const words *w,
                            mv_output *file, mv_error *e)
{
    const mv_evidence *v = &f->evidence;
    mv_html_content content = {.title = said->title,
                               .subtitle = w->subtitle,
                               .name = t->base,
                               .version = MV_VERSION,
                               .recipe = w->item,
                               .recipe_count = w->items,
                               .picture = t->image,
                               .classes = w->class_,
                               .class_count = v->n,
                               .class_total = c->session.config.classes,
                               .evidence = {v->h, v->w, 4 << (MV_LEVELS - 1), v->code, v->most, mean_logit(c, t)},
                               .maps = f->map,
                               .map_count = f->maps,
                               .blocks = f->block,
                               .block_count = f->blocks};
    return mv_html_write(&content, put, file, e);
}

mv_status html_file_write(const call *c, const shot *t, const html_facts *facts, const page_words *said, mv_error *e)
{
    words w;
    mv_error writing = {0};
    mv_status status = words_of(&w, c, t, said, &facts->evidence, e);
    mv_output *file = status ? NULL : mv_output_open(t->page, e);
    if (!status)
        status = file ? write_page(c, t, facts, said, &w, file, &writing) : e->code;
    if (file && status) {
        const mv_error *first = mv_output_error(file);
        mv_fail(e, first->code ? first->code : status, "%s", first->code ? first->text : writing.text);
        mv_output_discard(file);
        if (page_is_stdout(c))
            stop_if_reader_left();
    } else if (file)
        status = mv_output_commit(file, e);
    words_free(&w);
    return status;
}
