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

/* The part of the picture, 0 to 1, that the highest values cover which make up half of the sum of the positive ones.
 * NaN where no value is positive, or without memory. */
double finding_half(const mv_map *map);

/* Spearman's rank correlation of two maps of one channel over the whole picture. */
double finding_agreement(const mv_map *a, const mv_map *b);

#endif
