/* The page of `compare`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/comparison.h"
#include "cmd/findings.h"
#include "cmd/page_file.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "viz/page/compare.h"

enum { PAIRS = 64 };

/* What the page borrows besides the comparison. */
typedef struct {
    mv_class_bar bars[2][COMPARED_TOP];
    char names[2][COMPARED_TOP][24];
    mv_compare_pair pair[PAIRS];
    mv_compare_grid grid;
    const char **block;
    mv_compare_site *site;
    char (*texts)[3][112]; /* of each site: relative L2, cosine, largest */
    char samples[300];
} store;

static mv_compare_side side_of(const comparison *k, int i, store *t)
{
    const compared *x = &k->side[i];
    const mv_image *image = &k->side[k->two ? i : 0].image;
    for (int c = 0; c < x->top_count; c++)
        t->bars[i][c] = (mv_class_bar){session_class(x->session, x->top[c], t->names[i][c]), x->probability[c]};
    return (mv_compare_side){x->label, x->who, image->rgb && !(i && k->dump) ? image : NULL, t->bars[i],
                             i < comparison_answers(k) ? x->top_count : 0};
}

static void add_pairs(const comparison *k, store *t, mv_compare_content *content)
{
    for (int i = 0; i < k->pairs.n && i < PAIRS; i++) {
        const map_pair *p = &k->pairs.pair[i];
        t->pair[content->pair_count++] = (mv_compare_pair){p->a, p->b, &p->difference, p->figures, p->largest};
    }
    content->pairs = t->pair;
}

static mv_status add_grid(const comparison *k, store *t, mv_compare_content *content, mv_error *e)
{
    int n = mv_features_blocks(k->cells[0]), m = mv_features_blocks(k->cells[1]);
    t->block = calloc((size_t)(n + m) + 1, sizeof *t->block);
    if (!t->block)
        return mv_fail_memory(e, "CKA");
    for (int i = 0; i < n + m; i++) { /* "levels.2.blocks.3" as "2.3" */
        const char *name =
            i < n ? mv_features_block_at(k->cells[0], i, NULL) : mv_features_block_at(k->cells[1], i - n, NULL);
        char *text;
        if (asprintf(&text, "%c.%s", name[7], name + 16) < 0)
            return mv_fail_memory(e, "CKA");
        t->block[i] = text;
    }
    t->grid = (mv_compare_grid){.value = k->grid,
                                .rows = n,
                                .columns = m,
                                .row = t->block,
                                .column = t->block + n,
                                .note = comparison_samples(k, t->samples)};
    content->grid = &t->grid;
    return MV_OK;
}

static mv_status add_sites(const comparison *k, store *t, mv_compare_content *content, mv_error *e)
{
    const value_pairs *v = &k->values;
    t->site = calloc((size_t)v->n + 1, sizeof *t->site);
    t->texts = calloc((size_t)v->n + 1, sizeof *t->texts);
    if (!t->site || !t->texts)
        return mv_fail_memory(e, "--site");
    for (int i = 0; i < v->n; i++) {
        const value_pair *p = &v->pair[i];
        double relative = mv_distance_relative(&p->d);
        char(*text)[112] = t->texts[content->site_count], place[64], number[32];
        if (p->state != PAIR_COMPARED)
            continue;
        snprintf(text[0], sizeof *text, "%.3g", relative);
        snprintf(text[1], sizeof *text, "%s", mv_number_text(number, mv_distance_cosine(&p->d), 6, false));
        if (p->d.largest > 0)
            snprintf(text[2], sizeof *text, "%.3g at %s", p->d.largest, value_pair_place(p, place));
        else
            snprintf(text[2], sizeof *text, "%s", p->d.odd ? "values that are no number" : "none");
        t->site[content->site_count++] =
            (mv_compare_site){p->name, text[0], text[1], text[2], relative, relative > v->tolerance};
    }
    content->sites = t->site;
    content->tolerance = v->tolerance;
    return MV_OK;
}

static void store_free(store *t)
{
    for (int i = 0; t->block && t->block[i]; i++)
        free((char *)t->block[i]);
    free(t->block);
    free(t->site);
    free(t->texts);
}

/* "church.jpg answered church (93.3 %), golf-ball.jpg golf ball (97.1 %)  ·  method" */
static void subtitle_of(const comparison *k, char text[2400])
{
    const compared *a = &k->side[0], *b = &k->side[1];
    char name[24], p[24];
    bool both = comparison_answers(k) == 2;
    int n = mv_text_print(text, 2400, "%.500s%s%.200s, %s", both ? a->who : "", both ? ": " : "classified as ",
                          session_class(a->session, a->top[0], name), finding_probability(p, a->probability[0], 3));
    if (both)
        n += mv_text_print(text + n, 2400 - (size_t)n, "  \xc2\xb7  %.500s: %.200s, %s", b->who,
                           session_class(b->session, b->top[0], name), finding_probability(p, b->probability[0], 3));
    else if (k->dump)
        n += mv_text_print(text + n, 2400 - (size_t)n, "  \xc2\xb7  beside %.500s", b->label);
    if (k->pairs.n > PAIRS)
        n += mv_text_print(text + n, 2400 - (size_t)n, "  \xc2\xb7  the first %d of %d pairs of maps", PAIRS,
                           k->pairs.n);
    if (!k->two)
        mv_text_print(text + n, 2400 - (size_t)n, "  \xc2\xb7  %.500s", mv_text_base_name(a->name));
}

static mv_status write_page(comparison *k, const mv_compare_content *content, mv_error *e)
{
    call *c = k->c;
    const session *b = k->side[1].session;
    struct mv_fonts *fonts = NULL;
    char title[300], subtitle[2400], beside[200] = "", method[160];
    subtitle_of(k, subtitle);
    if (k->own_second)
        snprintf(beside, sizeof beside, "beside %s %.6s, %s %s", b->name, b->hash, session_precision(b),
                 session_device(b));
    if (k->o->values)
        snprintf(method, sizeof method, "values of %d sites", content->site_count);
    else
        snprintf(method, sizeof method, "%.100s%s", k->o->method, k->grid ? ", linear CKA" : "");
    char *page_name = mv_text_escape(k->page);
    if (!page_name)
        return mv_fail_memory(e, "compare");
    shot t = {.path = c->operand[0],
              .name = k->side[0].name,
              .base = mv_text_base_name(k->side[0].name),
              .of = 1,
              .h = k->h,
              .w = k->w,
              .logits = k->side[0].logits,
              .image = &k->side[0].image,
              .maps = k->maps,
              .page = k->page,
              .page_name = page_name,
              .fonts = &fonts,
              .out = stdout};
    page_words words = {.title = comparison_title(k, title),
                        .subtitle = subtitle,
                        .method = method,
                        .beside = *beside ? beside : NULL,
                        .others = c->operand + 1};
    c->asks = k->o->values ? 0 : 2; /* k->maps: for the range in the recipe */
    mv_status s = page_write(c, &t, &mv_page_compare, &words, content, e);
    if (!s && !c->o.json && !page_is_stdout(c))
        printf("%s\n", page_name);
    mv_fonts_free(fonts);
    free(page_name);
    return s;
}

mv_status comparison_draw(comparison *k, mv_error *e)
{
    store t = {0};
    mv_compare_content content = {.side = {side_of(k, 0, &t), side_of(k, 1, &t)}};
    add_pairs(k, &t, &content);
    mv_status s = k->grid ? add_grid(k, &t, &content, e) : MV_OK;
    if (!s && k->o->values)
        s = add_sites(k, &t, &content, e);
    if (!s)
        s = write_page(k, &content, e);
    store_free(&t);
    return s;
}
