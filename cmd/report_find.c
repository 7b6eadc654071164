/* What a report finds, in words and numbers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd/findings.h"
#include "cmd/report_page.h"
#include "src/base/number.h"
#include "src/base/text.h"

#define DOTS "\xe2\x80\xa6"
#define DOT  "  \xc2\xb7  "

/* The first n bytes of a name. One that is too long ends in an ellipsis. */
static void cut_name(char *out, size_t size, const char *name, size_t n)
{
    size_t room = size - sizeof DOTS;
    bool cut = n > room;
    mv_text_print(out, size, "%.*s%s", (int)(cut ? room : n), name, cut ? DOTS : "");
}

static void short_name(char *out, size_t size, const session *s, int i)
{
    char text[24], name[400];
    int n = mv_text_print(name, sizeof name, "%s%s", session_class(s, i, text), session_sigmoid(s));
    cut_name(out, size, name, (size_t)n);
}

static void find_answer(report_findings *f, const call *c, const shot *t)
{
    int classes = c->session.config.classes;
    f->n = classes < REPORT_TOP ? classes : REPORT_TOP;
    for (int i = 0; i < f->n; i++) {
        int k = f->class_[i] = mv_class_of(MV_CLASS_RANK(i), t->logits, classes);
        f->logit[i] = (double)t->logits[k];
        f->probability[i] = mv_probability(t->logits, classes, k);
        short_name(f->name[i], sizeof f->name[i], &c->session, f->class_[i]);
    }
}

static char *add_check(report_findings *f, const char *name)
{
    f->check[f->checks] = name;
    return f->finding[f->checks++];
}

/* How the evidence adds up to the answer; the exact CAM does so for every method that does not. */
static void find_proof(report_findings *f, const call *c, const shot *t, const report_asks *asks)
{
    const mv_map *cam = &t->maps[asks->cam].map[0], *top = &t->maps[asks->top].map[0];
    double mean = 0;
    int classes = c->session.config.classes;
    const char *of = top == cam ? "" : " of the exact CAM";
    char text[32], cells[48];
    if (top != cam && *top->proof) {
        snprintf(add_check(f, "Evidence adds up"), REPORT_WORDS, "%s", top->proof);
        return;
    }
    mv_count_text(cells, cam->h * cam->w, "cell");
    if (classes == 1) {
        snprintf(add_check(f, "Evidence adds up"), REPORT_WORDS, "the mean of %s%s is the logit, %s, up to %.0e", cells,
                 of, mv_number_text(text, f->logit[0], 3, true), fabs(mv_map_mean(cam) - f->logit[0]));
        return;
    }
    for (int k = 0; k < classes; k++)
        mean += (double)t->logits[k] / classes;
    snprintf(add_check(f, "Evidence adds up"), REPORT_WORDS,
             "the mean of %s%s is the logit less the mean logit, %s, up to %.0e", cells, of,
             mv_number_text(text, f->logit[0] - mean, 3, true), fabs(mv_map_mean(cam) - (f->logit[0] - mean)));
}

static void find_padding(report_findings *f, const call *c, const shot *t, const report_asks *asks)
{
    const mv_maps *maps = asks->attention >= 0 ? &t->maps[asks->attention] : NULL;
    double tokens = 0, most = 0;
    int level = 0, block = 0;
    for (int i = 0; maps && i < maps->n; i++) {
        const mv_map *m = &maps->map[i];
        tokens = fmax(tokens, m->padding);
        if (m->head == MV_MAP_MEAN && m->on_padding > most) {
            most = m->on_padding;
            level = m->level;
            block = m->block;
        }
    }
    if (!maps)
        return;
    (void)c;
    char *text = add_check(f, "Padding");
    if (tokens == 0)
        snprintf(text, REPORT_WORDS, "no window has padded tokens at %d \xc3\x97 %d px", t->w, t->h);
    else
        snprintf(text, REPORT_WORDS,
                 "up to %.0f %% of the tokens are padding, with up to %.1f %% of the attention (block %d.%d)",
                 100 * tokens, 100 * most, level, block);
}

/* "0.18 better", "0.04 worse"; "no better" for what is 0 as printed. */
static const char *better_words(char text[48], double by)
{
    char number[32];
    mv_number_text(number, fabs(by), 2, false);
    snprintf(text, 48, strcmp(number, "0.00") == 0 ? "no better" : by < 0 ? "%s worse" : "%s better", number);
    return text;
}

static void find_truth(report_findings *f, const report_result *r)
{
    char a[48], b[48];
    if (!r || r->steps == 0)
        return;
    double deletion = r->random.deletion_area - r->map.deletion_area,
           insertion = r->map.insertion_area - r->random.insertion_area;
    snprintf(add_check(f, "Against a random order"), REPORT_WORDS,
             "deletion is %s and insertion %s than with random maps (areas)", better_words(a, deletion),
             better_words(b, insertion));
}

static void find_flipped(report_findings *f, const call *c, const report_result *r)
{
    static const char *const names[MV_FLIPS] = {"Mirrored and back", "Upside down and back"};
    for (int i = 0; r && r->audit && i < MV_FLIPS; i++) {
        const mv_audit *a = r->audit;
        const mv_audit_block *b = a->blocks ? &a->block[0] : NULL;
        char like[32], logit[32], state[32], name[64];
        bool same = a->top[i] == a->class_;
        short_name(name, sizeof name, &c->session, a->top[i]);
        mv_number_text(like, a->evidence[i].correlation, 2, true);
        mv_number_text(logit, a->flipped[i] - a->logit, 2, true);
        mv_number_text(state, b ? b->state[MV_MIXER_H][i].correlation : (double)NAN, 2, true);
        snprintf(add_check(f, names[i]), REPORT_WORDS,
                 "%s%s (logit %s); correlation of the exact CAM %s, of the state %s", same ? "same answer" : "now ",
                 same ? "" : name, logit, like, state);
    }
}

void report_find(report_findings *f, const call *c, const shot *t, const report_asks *asks, const report_result *r)
{
    char top[64], base[200], p[24];
    *f = (report_findings){0};
    find_answer(f, c, t);
    find_proof(f, c, t, asks);
    find_truth(f, r);
    find_flipped(f, c, r);
    find_padding(f, c, t, asks);

    snprintf(f->title, sizeof f->title, "%s, %s", mv_text_capital(top, sizeof top, f->name[0]),
             finding_probability(p, f->probability[0], 2));
    int n = 0;
    if (f->n > 1)
        n = snprintf(f->subtitle, sizeof f->subtitle, "%.1f logits ahead of %s" DOT, f->logit[0] - f->logit[1],
                     f->name[1]);
    cut_name(base, sizeof base, t->base, strlen(t->base));
    snprintf(f->subtitle + n, sizeof f->subtitle - (size_t)n, "%s", base);
}
