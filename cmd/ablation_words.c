/* The words of an ablation: its classes, the finding, the order of the changes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd/ablation.h"
#include "cmd/edit_words.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/explain/estimate.h"
#include "src/explain/logits.h"

int ablation_classes(const ablation_result *r, int n, int top, int room, int *out)
{
    int count = 0;
    const int asked[] = {r->class_, r->against};
    const float *side[] = {r->before, r->after};
    for (int k = 0; k < 2; k++)
        if (asked[k] >= 0)
            out[count++] = asked[k];
    for (int rank = 0, last[2] = {MV_MAP_NONE, MV_MAP_NONE}; rank < top && rank < n; rank++)
        for (int k = 0; k < 2; k++) {
            if (!side[k])
                continue;
            last[k] = mv_class_next(side[k], n, last[k]);
            bool known = false;
            for (int i = 0; i < count; i++)
                known |= out[i] == last[k];
            if (!known && count < room)
                out[count++] = last[k];
        }
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && r->before[out[k]] > r->before[out[k - 1]]; k--) {
            int c = out[k];
            out[k] = out[k - 1];
            out[k - 1] = c;
        }
    return count;
}

int ablation_next(const double *change, int from, int to, int last)
{
    int found = -1;
    for (int i = from; i < to; i++) {
        double v = fabs(change[i]);
        bool left = isfinite(v) && (last < 0 || v < fabs(change[last]) || (i > last && v == fabs(change[last])));
        if (left && (found < 0 || v > fabs(change[found])))
            found = i;
    }
    return found;
}

const char *ablation_quantity(const call *c, const ablation_result *r, char text[ABLATION_WORDS])
{
    char a[24], b[24];
    if (r->against < 0)
        mv_text_print(text, ABLATION_WORDS, "the logit of %.100s", session_class(&c->session, r->class_, a));
    else
        mv_text_print(text, ABLATION_WORDS, "the margin of %.100s over %.100s",
                      session_class(&c->session, r->class_, a), session_class(&c->session, r->against, b));
    return text;
}

/* "falls from 0.95 to 0.41" */
static void say_move(char text[80], double from, double to)
{
    char a[32], b[32];
    mv_number_text(a, from, 2, false);
    mv_number_text(b, to, 2, false);
    if (strcmp(a, b) == 0)
        snprintf(text, 80, "stays at %s", a);
    else
        snprintf(text, 80, "%s from %s to %s", to < from ? "falls" : "rises", a, b);
}

/* Of the edits of --set. */
static void say_edits(const call *c, const ablation *a, const ablation_result *r, char text[ABLATION_WORDS])
{
    const session *s = &c->session;
    const mv_param_texts *set = ablation_asked(a)->set;
    int n = s->config.classes, before = mv_class_next(r->before, n, MV_MAP_NONE),
        after = mv_class_next(r->after, n, MV_MAP_NONE);
    char edit[EDIT_WORDS], name[2][24], move[80], from[32], to[32];
    if (set->n == 1)
        edit_words_say(&s->config, set->v[0], edit);
    else
        snprintf(edit, sizeof edit, "With %d edits", set->n);
    if (r->class_ == before && after != before)
        mv_text_print(
            text, ABLATION_WORDS, "%s: %.70s (%s) becomes %.70s (%s)", edit, session_class(s, before, name[0]),
            mv_number_text(from, mv_probability(r->before, n, before), 2, false), session_class(s, after, name[1]),
            mv_number_text(to, mv_probability(r->after, n, after), 2, false));
    else {
        say_move(move, mv_probability(r->before, n, r->class_), mv_probability(r->after, n, r->class_));
        mv_text_print(text, ABLATION_WORDS, "%s: %.100s %s", edit, session_class(s, r->class_, name[0]), move);
    }
}

const double *ablation_shown(const ablation_result *r)
{
    return r->change ? r->change : r->estimate;
}

const char *ablation_agreement(const ablation_result *r, mv_sweep_grid g, char text[80])
{
    char number[32];
    *text = 0;
    if (!r->change || !r->estimate)
        return text;
    mv_agreement a = mv_estimate_agreement(r->change, r->estimate, g.first, g.first + g.count);
    if (a.n == 0)
        return text;
    snprintf(text, 80, "correlation %s, same sign in %d of %d",
             isfinite(a.correlation) ? mv_number_text(number, a.correlation, 2, false) : "-", a.same, a.n);
    return text;
}

const char *ablation_finding(const call *c, const ablation *a, const ablation_result *r, char text[ABLATION_WORDS])
{
    const mv_sweep *s = ablation_sweep(a);
    char words[MV_SWEEP_NAME], of[ABLATION_WORDS], moved[32];
    const double *shown = ablation_shown(r);
    int most = s ? ablation_next(shown, 0, mv_sweep_count(s), -1) : -1;
    if (r->after)
        say_edits(c, a, r, text);
    else if (most < 0)
        snprintf(text, ABLATION_WORDS, "No edit gave a finite answer");
    else
        mv_text_print(text, ABLATION_WORDS, "Without %s, %.200s %s by %s%s", mv_sweep_item_words(s, most, words),
                      ablation_quantity(c, r, of), shown[most] < 0 ? "falls" : "rises",
                      r->change ? "" : "an estimated ", mv_number_text(moved, fabs(shown[most]), 2, false));
    return text;
}
