/* The arrangement of a report: four columns on A4, stacked on narrower pages. */
#include "viz/page/report.h"

#include <math.h>

#include "viz/page/report_impl.h"

enum { WIDE = 1280, MOST_CLASSES = 20, MOST_MAPS = 512, MOST_SIDE = 4096 };

static mv_status check_charts(const mv_report_content *c, mv_error *e)
{
    mv_status s = mv_page_check_count(c->lens.blocks, 0, MOST_MAPS, "blocks through depth", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->lens.classes, 0, MOST_CLASSES, "classes through depth", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->ablation.rows, 0, MOST_MAPS, "blocks with heads", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->branches.rows, 0, MOST_MAPS, "mixers", e);
    for (int i = 0; s == MV_OK && i < c->mixer_count; i++)
        if (c->mixer[i].matrix)
            s = mv_page_check_count(c->mixer[i].tokens, 1, MOST_SIDE, "tokens", e);
    return s;
}

static mv_status check(const void *content, mv_error *e)
{
    const mv_report_content *c = content;
    mv_status s = mv_page_check_picture(c->picture, "the picture", e);
    if (s == MV_OK && c->photo)
        s = mv_page_check_picture(c->photo, "the photo", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->top_count, 1, MOST_CLASSES, "classes", e);
    if (s == MV_OK)
        s = mv_page_check_maps(c->evidence, c->evidence_count, 3, "maps of evidence", "a map of evidence", e);
    if (s == MV_OK)
        s = mv_page_check_maps(c->attention, c->attention_count, MOST_MAPS, "maps of attention", "a map of attention",
                               e);
    if (s == MV_OK && c->rollout)
        s = mv_page_check_map(c->rollout, "the rollout", e);
    return s == MV_OK ? check_charts(c, e) : s;
}

/* Panels side by side, or below each other; NULLs are left out. `width`: NULL, or their px side by side, 0 for a share
 * of the rest. */
static mv_panel *beside(const mv_report *r, bool side, mv_panel *const *p, const double *width, int n)
{
    mv_panel *all = side ? mv_panel_row(r->l, REPORT_GUTTER, MV_TOP) : mv_panel_column(r->l);
    bool any = false;
    for (int i = 0; i < n; i++) {
        if (!p[i])
            continue;
        if (any && !side)
            mv_panel_add(all, mv_panel_space(r->l, 20));
        mv_panel_add(all, side && width ? mv_panel_wide(p[i], width[i]) : p[i]);
        any = true;
    }
    return any ? all : NULL;
}

/* A hairline and a heading above a part, if there is one. */
static void add_section(const mv_report *r, mv_panel *page, const char *title, const char *words, mv_panel *inside)
{
    mv_layout *l = r->l;
    if (!inside)
        return;
    mv_panel_add(page, mv_panel_space(l, 8));
    mv_panel_add(page, mv_panel_hairline(l));
    mv_panel_add(page, mv_panel_space(l, 8));
    if (title) {
        mv_panel *head = mv_panel_add(page, mv_panel_row(l, 12, MV_BASELINE));
        mv_panel_add(head, mv_panel_wide(mv_panel_label(l, MV_TYPE_SECTION, MV_INK, title, 1), MV_NATURAL));
        mv_panel_add(head, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, words, r->wide ? 1 : 3));
        mv_panel_add(page, mv_panel_space(l, 4));
    }
    mv_panel_add(page, inside);
}

/* px of `columns` of 12, with the gutters between them. */
static double span(double inner, int columns)
{
    double one = (inner - 11 * REPORT_GUTTER) / 12;
    return columns * one + (columns - 1) * REPORT_GUTTER;
}

static mv_panel *answer_row(const mv_report *r, double inner)
{
    double two = r->wide ? span(inner, 2) : span(inner, 6), six = r->wide ? span(inner, 6) : inner;
    int maps = r->c->evidence_count;
    mv_panel *first[] = {mv_report_picture(r, two), mv_report_answer(r)};
    const double halves[] = {two, 0};
    mv_panel *answer = beside(r, true, first, halves, 2);
    mv_panel *evidence = mv_report_evidence(r, r->wide && maps < 3 ? span(inner, 2 * maps) : six);
    mv_panel *all[] = {answer, evidence, mv_report_lens_chart(r)};
    const double widths[] = {r->wide ? span(inner, 4) : inner, r->wide && maps < 3 ? span(inner, 2 * maps) : six, 0};
    return beside(r, r->wide, all, widths, 3);
}

static mv_panel *attention_row(const mv_report *r, double inner)
{
    double half = r->wide ? span(inner, 6) : inner, roll = r->wide ? 156 : 160;
    bool rolled = r->c->rollout != NULL;
    mv_panel *maps[] = {mv_report_rollout(r, roll),
                        mv_report_thumbnails(r, rolled ? half - roll - REPORT_GUTTER : half, r->wide ? 150 : 320)};
    const double widths[] = {roll, 0};
    mv_panel *charts[] = {mv_report_scatter(r), mv_report_heads(r)};
    const double left[] = {half, 0};
    mv_panel *both[] = {beside(r, true, maps, widths, 2), beside(r, true, charts, NULL, 2)};
    return beside(r, r->wide, both, left, 2);
}

static mv_panel *mixer_row(const mv_report *r, double inner)
{
    double half = r->wide ? span(inner, 6) : inner, maps = r->wide ? 492 : inner;
    mv_panel *inside[] = {mv_report_mixers(r, maps), mv_report_matrices(r, r->wide ? half - maps - 24 : inner)};
    const double widths[] = {maps, 0};
    mv_panel *charts[] = {mv_report_branch_bars(r), mv_report_faith_charts(r)};
    const double left[] = {half, 0};
    mv_panel *both[] = {beside(r, r->wide, inside, widths, 2), beside(r, r->wide, charts, NULL, 2)};
    return beside(r, r->wide, both, left, 2);
}

static mv_panel *body(mv_page *p, const void *content)
{
    mv_report r = {.p = p, .l = p->layout, .c = content, .wide = p->inner >= WIDE};
    const mv_report_content *c = content;
    mv_extent signs = {0}, even = {0}, rolled = {0};
    for (int i = 0; i < c->evidence_count; i++)
        mv_extent_add(&signs, &c->evidence[i]);
    for (int i = 0; i < c->attention_count; i++)
        mv_extent_add(&even, &c->attention[i]);
    if (c->rollout)
        mv_extent_add(&rolled, c->rollout);
    r.signs = mv_page_colouring(p, &signs);
    r.even = mv_page_colouring_even(p, &even);
    r.rolled = mv_page_colouring_even(p, &rolled);
    r.aspect = (double)c->picture->w / c->picture->h;
    r.tall = fmax(REPORT_PICTURE - ceil(p->over / 4) * 4, REPORT_LEAST);
    mv_panel *page = mv_panel_column(r.l);
    mv_panel_add(page, answer_row(&r, p->inner));
    add_section(&r, page, c->attention_count ? "Self-attention" : NULL, mv_report_attention_words(&r),
                attention_row(&r, p->inner));
    add_section(&r, page, c->mixer_count ? "Inside the mixers" : NULL, mv_report_mixer_words(&r),
                mixer_row(&r, p->inner));
    add_section(&r, page, NULL, NULL, mv_report_checks(&r, !r.wide ? 2 : c->check_count <= 4 ? 4 : 5));
    return page;
}

const mv_page_kind mv_page_report = {"report", 1600, check, body, .sequential = true, .diverging = true, .paper = true};
