/* What maps say, in one sentence: the title of a page states it. */
#ifndef FINDINGS_H
#define FINDINGS_H

#include "cmd/session.h"
#include "src/base/map.h"

enum { FINDING = 320 };

/* "Half of what speaks for church lies in 12 % of the picture", "cam and rise agree: rank correlation 0.83", "Church
 * leads from level 3, block 1 on". Returns text. */
const char *finding_of(char text[FINDING], const session *s, const mv_map *const maps[], int n);

/* The same of several pictures: rows of `columns` maps, NULL where a picture has none. */
const char *finding_of_pictures(char text[FINDING], const mv_map *const maps[], int pictures, int columns);

/* "Level 3 looks at the border: 2.1x even", "Level 3, block 1 puts half of its attention on 4 of 49 cells", "Attention
 * is nearly even: no cell gets more than 1.9x": of maps in multiples of an even spread. Returns text. */
const char *finding_of_attention(char text[FINDING], const mv_map *maps, int n);

/* "12 of 64 heads put half of their attention on one cell". Returns text. */
const char *finding_of_heads(char text[FINDING], const mv_map *maps, int n);

/* "the map beats random cells at deletion and insertion, a blob in the middle at insertion", by the figures of faith;
 * empty for a map that was not measured. Returns text. */
const char *finding_of_trust(char text[FINDING], const mv_map *map);

/* The part of the picture, 0 to 1, that the highest values cover which make up half of the sum of the positive ones.
 * NaN where no value is positive, or without memory. */
double finding_half_of(const mv_map *map);

/* "p = 0.95", "p = 0.998", "p > 0.9999", "p < 0.01": never 1 and never 0, with more than `digits` digits near 1.
 * Returns text. */
const char *finding_probability(char text[24], double p, int digits);

#endif
