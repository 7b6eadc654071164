/* What `ablate` computes of a picture: its answer before and after the edits of --set, with the evidence for a class,
 * and how the class changes with each edit of the sweeps, which are made on top of those of --set.
 *
 * Before and after go through the network one by one and on the same route, so that an edit that changes nothing
 * changes no bit.
 */
#ifndef ABLATION_H
#define ABLATION_H

#include "cmd/command.h"
#include "src/explain/sweep.h"

/* What is asked; borrowed. */
typedef struct {
    const mv_param_texts *set;   /* edit_words.h */
    const mv_param_list *sweeps; /* words are kinds: -1 - mv_sweep_kind */
    const char *at;              /* the site of channels and tokens; NULL: theirs */
    bool estimate;               /* first-order estimates of the sweeps, too; without sweeps: of all kinds, alone */
    int class_, against;         /* a number, MV_CLASS_RANK(k), or (against) MV_MAP_NONE */
} ablation_ask;

typedef struct {
    int class_, against; /* numbers; against: or MV_MAP_NONE */
    float *before;       /* all logits of the picture as it is */
    float *after;        /* with the edits of --set; NULL without any */
    mv_maps maps;        /* with --set: the evidence before, after, and its change */
    double *change;      /* by each edit of the sweeps: of the logit, or of the margin; NULL without any */
    double *estimate;    /* the same to first order (estimate.h); NULL: not asked for */
} ablation_result;

/* What is shown first: exact changes if there are any, else estimates; NULL without either. */
const double *ablation_shown(const ablation_result *r);

void ablation_result_free(void *of); /* for command.drop */

typedef struct ablation ablation;

/* For inputs of c->height x c->width. Files are read and other pictures run here, so this takes a while. MV_EINPUT for
 * what does not fit the network. NULL on failure. */
ablation *ablation_new(call *c, const ablation_ask *ask, mv_error *e);
void ablation_free(ablation *a); /* NULL is fine */

const mv_sweep *ablation_sweep(const ablation *a); /* NULL: none */
const ablation_ask *ablation_asked(const ablation *a);

/* Of one picture. *out is the caller's to ablation_result_free, also on failure. */
mv_status ablation_run(ablation *a, const study *s, ablation_result **out, mv_error *e);

/* ---- its words (ablation_words.c) */

enum { ABLATION_WORDS = 480 };

/* The classes that are shown: the `top` first ones before and after, and those that were asked for, by the logit
 * before. Returns how many, at most `room`. */
int ablation_classes(const ablation_result *r, int n, int top, int room, int *out);

/* The next item of [from, to) by the size of its change, after `last` (-1: the largest); -1: no more that are finite.
 */
int ablation_next(const double *change, int from, int to, int last);

/* "the logit of church", "the margin of church over parachute". Returns text. */
const char *ablation_quantity(const call *c, const ablation_result *r, char text[ABLATION_WORDS]);

/* "correlation 0.98, same sign in 22 of 24": estimates against exact changes. "" where only one of them is known.
 * Returns text. */
const char *ablation_agreement(const ablation_result *r, mv_sweep_grid g, char text[80]);

/* The finding: "Without head 3 of level 2 block 4: church falls from 0.95 to 0.41". Returns text. */
const char *ablation_finding(const call *c, const ablation *a, const ablation_result *r, char text[ABLATION_WORDS]);

/* ---- its page (ablation_page.c) */

/* Draws it; top: as of ablation_classes. */
mv_status ablation_draw(const call *c, const shot *t, const ablation *a, const ablation_result *r, int top,
                        mv_error *e);

#endif
