/* What eval measures of one picture besides its answer: how true the maps of each method are.
 */
#ifndef TRUST_STUDY_H
#define TRUST_STUDY_H

#include "cmd/another.h"
#include "cmd/command.h"
#include "cmd/records.h"
#include "cmd/truth.h"

/* Words of --without. */
enum { WITHOUT_ROAD, WITHOUT_GRID, WITHOUT_RANDOM, WITHOUTS };

typedef struct {
    const truth *truth;
    const char *label[CALL_ASKS]; /* of each ask: "cam", "rise:n=400" */
    int steps, seeds;
    bool without[WITHOUTS];
    int redraws;  /* the redrawn network is asked for the first pictures of this number, evenly spread; 0: none */
    size_t below; /* letters of the folder, with its slash, before the path below it */
    struct regions *regions; /* boxes or masks; NULL: none */
    another quarters;        /* of four pictures in one; open from the first one on */
} trust_study;

/* Adds the scores of picture `i` of the list, which is answered as `one` says, to it: a row for each map of each
 * method at the grain of faith.h, then those of random maps and of a blob in the middle. */
mv_status trust_study_picture(trust_study *t, const call *c, const study *s, records *r, record *one, mv_error *e);
void trust_study_free(trust_study *t);

#endif
