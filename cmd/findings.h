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

#endif
