/* The maps of two sides, pair by pair: the signed difference, its norms, and where it is largest. */
#ifndef MAP_PAIRS_H
#define MAP_PAIRS_H

#include <jansson.h>
#include <stdio.h>

#include "src/explain/distance.h"

typedef struct {
    const mv_map *a, *b; /* borrowed */
    mv_map difference;   /* b - a */
    mv_distance d;
    char figures[128], largest[160]; /* in words */
} map_pair;

typedef struct {
    int n, alone; /* alone: maps of either side without a partner */
    map_pair *pair;
} map_pairs;

/* Pairs maps of the same level, block and head, in the order of a. MV_EINPUT where there is no pair, where their cells
 * do not agree, and for maps of colours. */
mv_status map_pairs_of(map_pairs *out, const mv_maps *a, const mv_maps *b, mv_error *e);
void map_pairs_free(map_pairs *p); /* a zeroed one is fine */

/* Least and greatest; least > most where there is none. */
typedef struct {
    double least, most;
} pair_range;

typedef struct {
    pair_range relative, cosine, correlation;
    bool same; /* no cell differs */
} map_pairs_summary;

map_pairs_summary map_pairs_sum_up(const map_pairs *p);

void map_pairs_table(FILE *out, const map_pairs *p);

/* A list with an object for each pair; NULL without memory. */
json_t *map_pairs_json(const map_pairs *p);

/* Writes "a.NAME", "b.NAME" and "difference.NAME" (h, w) of each pair, raw where the maps have raw values, and
 * "cka" (rows, columns), unless NULL, to a .safetensors. */
mv_status map_pairs_write(const char *path, const map_pairs *p, const float *cka, int rows, int columns, mv_error *e);

#endif
