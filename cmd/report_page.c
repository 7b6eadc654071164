#include "cmd/report_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/photo.h"
#include "src/base/number.h"
#include "src/base/text.h"

enum {
    POINTS = MV_FAITH_POINTS,
    NAME = REPORT_NAME,
    FINEST = 8,     /* px a side of the smallest cells of evidence that are drawn */
    MOST_CELLS = 32 /* of them a side */
};

/* Everything that the content of a page points at. */
typedef struct {
    mv_report_content content;
    whole_photo photo;
    char photo_words[160], answer_words[160], faith_note[96];
    mv_class_bar bar[REPORT_TOP];
    mv_map evidence[3]; /* with titles of their own; values are borrowed */
    float *coarse[3];   /* of those that are drawn by larger cells */
    mv_map *attention;  /* likewise */
    mv_report_head *head;
    const char **lens_block, **head_row;
    char (*lens_name)[NAME];
    double *lens;
    const char *lens_class[REPORT_LENSES];
    mv_report_mixer mixer[MV_LEVELS];
    mv_bar_row *branch;
    double share[POINTS], low[2][POINTS], high[2][POINTS];
    mv_report_check check[REPORT_CHECKS];
} facts;

static void free_facts(facts *f)
{
    photo_close(&f->photo);
    for (int i = 0; i < 3; i++)
        free(f->coarse[i]);
    free(f->attention);
    free(f->head);
    free(f->lens_block);
    free(f->head_row);
    free(f->lens_name);
    free(f->lens);
    free(f->branch);
}

/* ---- the picture */

/* The whole photo; of a ready input what the network saw. */
static mv_status add_photo(facts *f, const call *c, const shot *t, mv_error *e)
{
    mv_report_content *k = &f->content;
    mv_status status = photo_open(&f->photo, c, t, e);
    k->photo = f->photo.image;
    k->photo_words = f->photo_words;
    if (!k->photo) {
        snprintf(f->photo_words, sizeof f->photo_words, "what the network sees: %d \xc3\x97 %d px", t->w, t->h);
        return status;
    }
    bool part = mv_preprocess_area(&c->session.config.preprocess, k->photo->w, k->photo->h, k->crop);
    if (!part)
        k->crop[2] = 0;
    snprintf(f->photo_words, sizeof f->photo_words, "%d \xc3\x97 %d px%s %d \xc3\x97 %d px", k->photo->w, k->photo->h,
             part ? "; outlined: what the network sees, as" : "; the network sees it as", t->w, t->h);
    return MV_OK;
}

static void add_answer(facts *f, const report_findings *found)
{
    mv_report_content *k = &f->content;
    size_t at = 0;
    char text[32];
    for (int i = 0; i < found->n; i++)
        f->bar[i] = (mv_class_bar){found->name[i], found->probability[i]};
    for (int i = 0; i < found->n && i < 3; i++)
        at += (size_t)snprintf(f->answer_words + at, sizeof f->answer_words - at, "%s%s", i ? ", " : "logits ",
                               mv_number_text(text, found->logit[i], 2, true));
    if (found->n > 1)
        snprintf(f->answer_words + at, sizeof f->answer_words - at, "; margin %s",
                 mv_number_text(text, found->logit[0] - found->logit[1], 2, true));
    k->top = f->bar;
    k->top_count = found->n;
    k->answer_words = f->answer_words;
}

/* A map of single pixels is noise at the size of a sheet, and has no lines, so in grey nothing of it would be seen: it
 * is drawn as the means of larger cells. */
static mv_status coarsen(mv_map *m, float **values, const shot *t, mv_error *e)
{
    int cell = FINEST;
    while (t->h > MOST_CELLS * cell || t->w > MOST_CELLS * cell)
        cell *= 2;
    int h = (t->h + cell - 1) / cell, w = (t->w + cell - 1) / cell;
    if (m->channels > 1 || h >= m->h || w >= m->w)
        return MV_OK;
    *values = malloc((size_t)h * (size_t)w * sizeof **values);
    if (!*values)
        return mv_fail_memory(e, t->name);
    mv_coarsen(*values, h, w, m->v, m->h, m->w);
    m->h = h;
    m->w = w;
    m->v = *values;
    m->raw = NULL;
    m->cell = cell;
    mv_map_range(m);
    return MV_OK;
}

static mv_status add_evidence(facts *f, const shot *t, const report_asks *a, const report_findings *found, mv_error *e)
{
    const int asks[] = {a->top, a->second, a->margin};
    mv_report_content *k = &f->content;
    for (int i = 0; i < 3; i++) {
        if (asks[i] < 0 || t->maps[asks[i]].n == 0)
            continue;
        int n = k->evidence_count++;
        mv_map *m = &f->evidence[n];
        *m = t->maps[asks[i]].map[0];
        if (coarsen(m, &f->coarse[n], t, e))
            return e->code;
        if (i < 2)
            snprintf(m->title, sizeof m->title, "For %s", found->name[i]);
        else
            mv_text_print(m->title, sizeof m->title, "%.44s over %.44s", found->name[0], found->name[1]);
    }
    k->evidence = f->evidence;
    return MV_OK;
}

/* ---- attention */

static mv_status add_attention(facts *f, const shot *t, const report_asks *a, mv_error *e)
{
    mv_report_content *k = &f->content;
    if (a->rollout >= 0 && t->maps[a->rollout].n > 0)
        k->rollout = &t->maps[a->rollout].map[0];
    if (a->attention < 0)
        return MV_OK;
    const mv_maps *maps = &t->maps[a->attention];
    f->attention = malloc((size_t)maps->n * sizeof *f->attention + 1);
    f->head = malloc((size_t)maps->n * sizeof *f->head + 1);
    if (!f->attention || !f->head)
        return mv_fail_memory(e, "page");
    for (int i = 0; i < maps->n; i++) {
        const mv_map *m = &maps->map[i];
        if (m->head >= 0)
            f->head[k->head_count++] =
                (mv_report_head){m->level, m->block, m->head, mv_map_figure_value(m, "each_query_entropy"),
                                 mv_map_figure_value(m, "each_query_reach_px")};
        else if (m->head == MV_MAP_MEAN)
            f->attention[k->attention_count++] = *m;
    }
    k->attention = f->attention;
    k->head = f->head;
    return MV_OK;
}

/* ---- depth */

static mv_status add_lens(facts *f, const shot *t, const report_asks *a, const report_findings *found, mv_error *e)
{
    mv_report_lens *k = &f->content.lens;
    int blocks = a->lens[0] >= 0 ? t->maps[a->lens[0]].n : 0;
    bool early = false;
    if (blocks == 0)
        return MV_OK;
    f->lens_block = malloc((size_t)blocks * sizeof *f->lens_block);
    f->lens_name = malloc((size_t)blocks * sizeof *f->lens_name);
    f->lens = malloc((size_t)blocks * REPORT_LENSES * sizeof *f->lens);
    if (!f->lens_block || !f->lens_name || !f->lens)
        return mv_fail_memory(e, "page");
    for (int i = 0; i < blocks; i++) {
        const mv_map *m = &t->maps[a->lens[0]].map[i];
        snprintf(f->lens_name[i], NAME, "%d.%d", m->level, m->block);
        f->lens_block[i] = f->lens_name[i];
        early |= m->level < 3;
    }
    for (int c = 0; c < REPORT_LENSES && a->lens[c] >= 0 && t->maps[a->lens[c]].n == blocks; c++) {
        for (int i = 0; i < blocks; i++)
            f->lens[c * blocks + i] = mv_map_figure_value(&t->maps[a->lens[c]].map[i], "logit");
        f->lens_class[c] = found->name[c];
        k->classes++;
    }
    k->block = f->lens_block;
    k->blocks = blocks;
    k->class_name = f->lens_class;
    k->value = f->lens;
    k->unit = "logit";
    k->note = early ? "If the network ended there; of level 2, the downsampling alone follows."
                    : "If the network ended there.";
    return MV_OK;
}

/* ---- mixers */

static mv_map taken(const mv_maps *maps, const mv_map *of, mv_mixer_kind kind)
{
    const mv_map *m = mv_inside_lookup(maps, of->level, of->block, mv_mixer_key(kind));
    return m ? *m : (mv_map){0};
}

static void add_mixers(facts *f, const shot *t, const report_asks *a)
{
    mv_report_content *k = &f->content;
    for (int level = 0; level < MV_LEVELS; level++) {
        const mv_maps *maps = a->inside[level] >= 0 ? &t->maps[a->inside[level]] : NULL;
        if (!maps || maps->n == 0)
            continue;
        const mv_map *first = &maps->map[0],
                     *shares = mv_inside_lookup(maps, first->level, first->block, "contributions"),
                     *matrix = mv_inside_lookup(maps, first->level, first->block, "hidden_matrix");
        f->mixer[k->mixer_count++] =
            (mv_report_mixer){.level = first->level,
                              .block = first->block,
                              .dt = taken(maps, first, MV_MIXER_DT),
                              .state = taken(maps, first, MV_MIXER_H),
                              .half_life = taken(maps, first, MV_MIXER_HALF_LIFE),
                              .hidden = taken(maps, first, MV_MIXER_HIDDEN),
                              .matrix = matrix ? matrix->v : NULL,
                              .tokens = matrix ? matrix->w : 0,
                              .scan_share = shares ? mv_map_figure_value(shares, "scan_share") : (double)NAN};
    }
    k->mixer = f->mixer;
}

/* ---- what was studied */

static mv_status add_sweeps(facts *f, const report_result *r, mv_error *e)
{
    mv_report_content *k = &f->content;
    if (r->heads.rows > 0) {
        f->head_row = malloc((size_t)r->heads.rows * sizeof *f->head_row);
        if (!f->head_row)
            return mv_fail_memory(e, "page");
        for (int i = 0; i < r->heads.rows; i++)
            f->head_row[i] = r->heads.row[i];
        k->ablation = (mv_report_ablation){.block = f->head_row,
                                           .rows = r->heads.rows,
                                           .columns = r->heads.columns,
                                           .heads = r->heads.length,
                                           .value = r->heads.change};
    }
    if (r->mixers.rows > 0 && r->mixers.columns > 1) {
        f->branch = calloc((size_t)r->mixers.rows, sizeof *f->branch);
        if (!f->branch)
            return mv_fail_memory(e, "page");
        /* the first two edits of a mixer: its scan off, its local branch off */
        for (int i = 0; i < r->mixers.rows; i++) {
            const double *change = r->mixers.change + (size_t)i * (size_t)r->mixers.columns;
            f->branch[i] = (mv_bar_row){r->mixers.row[i], {change[0], change[1]}};
        }
        k->branches = (mv_report_branches){.row = f->branch, .rows = r->mixers.rows};
    }
    return MV_OK;
}

static void add_faith(facts *f, const report_result *r)
{
    mv_report_content *k = &f->content;
    if (r->steps == 0)
        return;
    const double *mean[] = {r->random.deletion, r->random.insertion},
                 *spread[] = {r->spread.deletion, r->spread.insertion};
    for (int i = 0; i <= r->steps; i++) {
        f->share[i] = (double)i / r->steps;
        for (int s = 0; s < 2; s++) {
            f->low[s][i] = fmax(mean[s][i] - spread[s][i], 0);
            f->high[s][i] = fmin(mean[s][i] + spread[s][i], 1);
        }
    }
    snprintf(f->faith_note, sizeof f->faith_note, "%d steps; random: %d map%s as coarse, mean%s", r->steps, r->seeds,
             r->seeds == 1 ? "" : "s", r->seeds == 1 ? "" : " \xc2\xb1 deviation");
    k->faith = (mv_report_faith){
        .n = r->steps + 1,
        .share = f->share,
        .deletion = {r->map.deletion, mean[0], f->low[0], f->high[0], r->map.deletion_area, r->random.deletion_area},
        .insertion = {r->map.insertion, mean[1], f->low[1], f->high[1], r->map.insertion_area,
                      r->random.insertion_area},
        .map = "evidence",
        .note = f->faith_note};
}

mv_status report_draw(const call *c, const shot *t, const report_asks *asks, const report_findings *found,
                      const report_result *r, mv_error *e)
{
    facts *f = calloc(1, sizeof *f);
    if (!f)
        return mv_fail_memory(e, t->name);
    f->content.picture = t->image;
    add_answer(f, found);
    add_mixers(f, t, asks);
    add_faith(f, r);
    mv_status status = add_photo(f, c, t, e);
    if (!status)
        status = add_evidence(f, t, asks, found, e);
    if (!status)
        status = add_attention(f, t, asks, e);
    if (!status)
        status = add_lens(f, t, asks, found, e);
    if (!status)
        status = add_sweeps(f, r, e);
    for (int i = 0; i < found->checks; i++)
        f->check[i] = (mv_report_check){found->check[i], found->finding[i]};
    f->content.check = f->check;
    f->content.check_count = found->checks;
    char method[128];
    snprintf(method, sizeof method, "%s, attention, hybrid rollout, lens, mixers%s%s",
             f->content.evidence_count ? f->content.evidence[0].method : "exact CAM",
             r->heads.rows || r->mixers.rows ? ", edits" : "", r->steps ? ", deletion" : "");
    page_words words = {.title = found->title, .subtitle = found->subtitle, .method = method};
    if (!status)
        status = page_write(c, t, &mv_page_report, &words, &f->content, e);
    free_facts(f);
    free(f);
    return status;
}
