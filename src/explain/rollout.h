/* Rollouts: what a cell of a level's output looks at in the level's input, through all of its blocks. A probe that
 * multiplies the blocks' rows while they pass, in device memory; one matrix for each level is copied to the host, and
 * any query is followed through it there.
 *
 *     R = A~_last ... A~_first        A~ = (A / its row sums + I) / 2
 *
 * A is the mean of the heads of an attention block (Abnar & Zuidema 2020, arXiv 2005.00928), or the contributions of a
 * mixer block (mixer.h), which makes the rollout a hybrid one.
 */
#ifndef MV_EXPLAIN_ROLLOUT_H
#define MV_EXPLAIN_ROLLOUT_H

#include "src/explain/rows.h"
#include "src/run/probe.h"

typedef struct {
    bool level[MV_LEVELS];  /* which levels */
    bool attention, mixers; /* which blocks of them; the others are left out */
} mv_rollout_options;

typedef struct mv_rollout mv_rollout;

/* For a network and pictures of h x w px. NULL on failure. MV_EINPUT: a chosen level has no block of the chosen kinds.
 */
mv_rollout *mv_rollout_new(const mv_rollout_options *options, const mv_config *config, int h, int w, mv_error *e);
void mv_rollout_free(mv_rollout *r); /* accepts NULL; call it after the run that uses the probe is freed */

mv_probe *mv_rollout_probe(mv_rollout *r); /* borrowed; set its `next` to continue the chain */

/* ---- known before a run */

const mv_grid *mv_rollout_grid(const mv_rollout *r, int level); /* borrowed */

/* ---- results of the last forward, valid until the next one or the free */

/* R (windows, T, T) of a picture: rows of tokens, padding included, each with sum 1. Borrowed; NULL if it was not
 * computed. */
const float *mv_rollout_rows(const mv_rollout *r, int picture, int level);

/* to (windows, T) = weight^T R; weight (windows, T). MV_EMISUSE if R was not computed. */
mv_status mv_rollout_follow(double *to, const mv_rollout *r, int picture, int level, const double *weight, mv_error *e);

/* ---- between levels */

/* Weights of level 3's tokens (windows, T) to weights of level 2's: a cell spreads evenly over the valid taps, at most
 * 9, of the convolution of stride 2 between them. What is on padding is lost. */
void mv_rollout_bridge(double *to, const mv_grid *level2, const double *from, const mv_grid *level3);

/* ---- maps */

/* Gives a map of raw shares the words of a rollout: its method, level and geometry. */
void mv_rollout_describe(mv_map *map, const char *method, const mv_grid *g, double on_padding);

/* The map of a query through one level, against an even spread (rows.h), its shares as raw values. `title` begins its
 * title. The map is the caller's to mv_map_free. */
mv_status mv_rollout_map(mv_map *out, const mv_rollout *r, int picture, int level, mv_query query, const char *method,
                         const char *title, mv_error *e);

#endif
