#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/benchmark_out.h"
#include "cmd/page_file.h"
#include "src/base/text.h"
#include "viz/page/bench.h"

enum { NAME = 160, SHORT = 4 * BENCH_NAME + 1, PAGE_NAME = 24 };

typedef struct {
    char title[NAME + SHORT], note[256];
    mv_bar_row kind[MV_BENCH_KINDS], part[MV_PARTS];
    mv_bench_operation operation[MV_BENCH_OPERATIONS];
} section;

/* What the page shows, and the memory of it. */
typedef struct {
    mv_bench_content content;
    char name[MV_BENCH_ROWS][SHORT], detail[MV_BENCH_ROWS][NAME], note[768], title[NAME + SHORT], subtitle[256],
        device[200];
    mv_bench_row row[MV_BENCH_ROWS];
    mv_bench_profile profile[MV_BENCH_PROFILES];
    section section[MV_BENCH_PROFILES];
} page;

static void add_time(mv_bar_row *to, double ms, double floor)
{
    to->value[0] += ms;
    to->value[1] += floor;
}

static int by_time(const void *a, const void *b)
{
    double x = ((const mv_bar_row *)a)->value[0], y = ((const mv_bar_row *)b)->value[0];
    return (x < y) - (x > y);
}

/* Kinds past the last place share it: no time is lost. */
static void set_bars(mv_bench_profile *to, section *s, const mv_bench_operation *op, int part)
{
    int k = 0;
    while (k < to->kinds && k < MV_BENCH_KINDS - 1 && strcmp(s->kind[k].name, op->op) != 0)
        k++;
    if (k == to->kinds)
        s->kind[to->kinds++].name = k < MV_BENCH_KINDS - 1 ? op->op : "others";
    add_time(&s->kind[k], op->ms, op->floor);
    add_time(&s->part[part], op->ms, op->floor);
}

static void set_profile(page *p, bench_row *row)
{
    int n;
    const mv_profile_row *op = mv_profile_rows(row->profile, &n);
    mv_bench_profile *to = &p->profile[p->content.profiles];
    section *s = &p->section[p->content.profiles++];
    double all = 0;
    for (int i = 0; i < n; i++)
        all += op[i].seconds;
    for (int i = 0; i < MV_PARTS; i++)
        s->part[i].name = bench_part_name(i);
    for (int i = 0; i < n && i < MV_BENCH_OPERATIONS; i++) {
        int part = bench_part_of(&op[i]);
        s->operation[i] = (mv_bench_operation){.op = op[i].op,
                                               .shape = op[i].shape,
                                               .part = bench_part_name(part),
                                               .calls = op[i].calls,
                                               .ms = op[i].seconds * 1e3,
                                               .floor = bench_floor_of(row, &op[i]) * 1e3,
                                               .share = all > 0 ? op[i].seconds / all : 0};
        set_bars(to, s, &s->operation[i], part);
        to->operations++;
    }
    qsort(s->kind, (size_t)to->kinds, sizeof *s->kind, by_time);
    char name[SHORT];
    mv_text_shorten(name, sizeof name, BENCH_NAME, row->model);
    snprintf(s->title, sizeof s->title, "%s, %s on %s, batch %d", name, row->precision, row->device, row->batch);
    int out = mv_profile_left_out(row->profile);
    char left[64] = "";
    if (out)
        snprintf(left, sizeof left, " %d calls of further shapes are left out.", out);
    snprintf(s->note, sizeof s->note,
             "All operations: %.3f ms; a pass as a whole: %.3f ms.%s Floor: the multiply-adds or the bytes of each "
             "operation at the device's best rate.",
             all * 1e3, row->seconds * 1e3, left);
    *to = (mv_bench_profile){s->title, s->note, to->kinds, MV_PARTS, s->kind, s->part, to->operations, s->operation};
}

static void set_row(page *p, bench_row *r)
{
    int at = p->content.rows++;
    mv_text_shorten(p->name[at], SHORT, PAGE_NAME, r->model);
    snprintf(p->detail[at], NAME, "%s  %s  batch %d", r->precision, r->device, r->batch);
    p->row[at] = (mv_bench_row){p->name[at], p->detail[at], r->fits ? r->seconds / r->batch * 1e3 : NAN,
                                r->fits ? r->floor / r->batch * 1e3 : NAN};
    if (!r->profile)
        return;
    if (p->content.profiles < MV_BENCH_PROFILES)
        set_profile(p, r);
    else
        p->content.more_profiles++;
}

static void set_rows(page *p, bench_row *rows, int n)
{
    bool beyond = false, fp8 = false;
    for (int i = 0; i < n; i++) {
        beyond = beyond || bench_is_beyond(&rows[i]);
        fp8 = fp8 || bench_is_fp8(&rows[i]);
        if (i < MV_BENCH_ROWS)
            set_row(p, &rows[i]);
        else
            p->content.more_rows++, p->content.more_profiles += rows[i].profile != NULL;
    }
    p->content.row = p->row;
    p->content.profile = p->profile;
    p->content.note = p->note;
    snprintf(
        p->note, sizeof p->note,
        "Medians. Floor: the longer of the multiply-adds of a pass at the rate of a product of large matrices, and "
        "its weights at the rate of a sum of them, the best that were measured between the passes.%s%s%s%s",
        beyond ? " " : "", beyond ? bench_beyond_note : "", fp8 ? " " : "", fp8 ? bench_fp8_note : "");
}

/* "T classifies 12.3 images a second": the fastest row, and what it has of its floor */
static void set_words(page *p, const bench_row *rows, int n)
{
    const bench_row *best = NULL;
    char name[SHORT];
    for (int i = 0; i < n; i++)
        if (rows[i].fits && (!best || rows[i].batch / rows[i].seconds > best->batch / best->seconds))
            best = &rows[i];
    if (!best)
        return;
    mv_text_shorten(name, sizeof name, BENCH_NAME, best->model);
    snprintf(p->title, sizeof p->title, "%s: %.1f images a second", name, best->batch / best->seconds);
    mv_text_print(p->subtitle, sizeof p->subtitle,
                  "%s on %s in batches of %d, %.0f %% of the rate of its floor  \xc2\xb7  %s", best->precision,
                  best->device, best->batch, best->floor / best->seconds * 100, best->about);
    mv_text_print(p->device, sizeof p->device, "%s", best->about);
}

mv_status bench_page(const call *c, bench_row *rows, int n, const char *path, mv_error *e)
{
    page *p = calloc(1, sizeof *p);
    struct mv_fonts *fonts = NULL;
    mv_maps none[CALL_ASKS] = {0};
    if (!p)
        return mv_fail_memory(e, path);
    set_rows(p, rows, n);
    set_words(p, rows, n);
    page_source source = {.name = "", .hash = "", .model = "", .pipeline = "", .device = p->device};
    page_words words = {.title = p->title,
                        .subtitle = p->subtitle,
                        .method = "",
                        .others = c->operands ? c->operand + 1 : NULL,
                        .source = &source};
    shot t = {.path = c->operands ? c->operand[0] : NULL,
              .name = "bench",
              .base = "",
              .maps = none,
              .page = path,
              .fonts = &fonts};
    mv_status s = *p->title ? page_write(c, &t, &mv_page_bench, &words, &p->content, e)
                            : mv_fail(e, MV_ENOMEM, "bench: nothing fits into the memory, so there is no page");
    mv_fonts_free(fonts);
    free(p);
    return s;
}
