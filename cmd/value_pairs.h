/* The values of two sides by site, and how far they are apart: of two networks or pictures, or of a network and a dump
 * that another program wrote. The values of the first side are held for a part of the sites at a time, so that memory
 * is bounded; a dump is read as its values are needed.
 */
#ifndef VALUE_PAIRS_H
#define VALUE_PAIRS_H

#include <jansson.h>
#include <stdio.h>

#include "cmd/another.h"
#include "src/explain/distance.h"
#include "src/file/arrays.h"
#include "src/run/sites.h"

typedef enum {
    PAIR_COMPARED,
    PAIR_MISSING, /* the second side has no such value */
    PAIR_REFUSED  /* it has another shape, or cannot be read */
} pair_state;

typedef struct {
    char *name;
    pair_state state;
    int nd, dim[MV_MAX_DIMS]; /* of the first side; dim[0] of all pictures */
    int array;                /* in the dump */
    mv_distance d;
    char *why; /* PAIR_REFUSED: a sentence */
} value_pair;

typedef struct {
    int n;
    value_pair *pair; /* in the order of the network */
    int extras;
    char **extra; /* names that only the second side has, escaped */
    double tolerance;
    int pictures, done; /* done: that were compared */
    mv_arrays *dump;    /* borrowed; NULL: two sides run */
    /* ---- state */
    int part;          /* that the sides are open for; -1: none */
    int parts, *first; /* the first pair of each part, and the end */
    int h, w;          /* pixels of the inputs */
    another side[2];
    session *session[2];
    mv_trace *trace[2];
    float *row;
    size_t room;
    int next;
} value_pairs;

/* Plans the comparison of the sites that fit `patterns`, of `pictures` inputs of h x w px. b: the session of the second
 * side, or NULL with a dump. MV_EINPUT: a pattern fits no site of the first side, or nothing can be compared. */
mv_status value_pairs_new(value_pairs *v, session *a, session *b, mv_arrays *dump, const char *patterns, int pictures,
                          int h, int w, mv_error *e);
void value_pairs_free(value_pairs *v); /* a zeroed one is fine */

/* Runs one picture: planes (3, h, w) for each side; both may be the same. logits[i] receives those of side i. */
mv_status value_pairs_add(value_pairs *v, const float *const planes[2], float *const logits[2], mv_error *e);

/* The first pair that is beyond the tolerance, or cannot be compared; and the one that is furthest apart; -1: none. */
int value_pairs_parting(const value_pairs *v);
int value_pairs_furthest(const value_pairs *v);

/* "0,5,12": the place of the largest difference. */
const char *value_pair_place(const value_pair *p, char text[64]);

void value_pairs_table(FILE *out, const value_pairs *v);

/* Adds "sites", "missing", "extra", "refused", "tolerance" and "parts_at" to an object. False without memory. */
bool value_pairs_json(json_t *line, const value_pairs *v);

#endif
