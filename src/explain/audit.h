/* What depends on the order of the scans, and on padding.
 *
 * A mixer reads the cells of a window row by row from the top left, and padding is at the right and below. The content
 * of a picture has no such order. So the picture is mirrored (left and right exchanged) and turned upside down (top and
 * bottom exchanged), the network runs again, and the maps are turned back and compared with the original ones: exact
 * class evidence, and every map of the state of every block. The mirror changes the order within rows, the other one
 * the order of rows. A network whose maps did not depend on the order would give a correlation of 1 and a distance
 * of 0; a photo is not symmetric for a trained network either, so read both against the evidence's.
 *
 * Maps are turned back as cells. Where the input is not a whole number of cells, cells then stand for slightly other
 * pixels.
 */
#ifndef MV_EXPLAIN_AUDIT_H
#define MV_EXPLAIN_AUDIT_H

#include "src/explain/inside.h"

typedef enum { MV_FLIP_MIRRORED, MV_FLIP_UPSIDE_DOWN, MV_FLIPS } mv_flip;

typedef struct {
    double correlation; /* Pearson's, over cells; NaN where one of the maps is even */
    double distance;    /* |b - a| / |a|, a the original */
} mv_likeness;

enum { MV_AUDIT_STATES = MV_MIXER_HIDDEN }; /* the maps of the state: the first kinds of mv_mixer_kind */

typedef struct {
    int level, block;
    mv_likeness state[MV_AUDIT_STATES][MV_FLIPS];
    /* Shares on padding, 0 to 1: of the tokens, of hidden attention for the query, of the sum of the state's norm. */
    double tokens, hidden, norm;
} mv_audit_block;

typedef struct {
    int class_;                      /* the top class of the original, whose evidence is compared */
    double logit, flipped[MV_FLIPS]; /* of that class */
    int top[MV_FLIPS];               /* the top class after the flip */
    mv_likeness evidence[MV_FLIPS];
    int blocks;
    mv_audit_block block[];
} mv_audit;

/* Pearson's correlation and the relative distance of n values. */
mv_likeness mv_likeness_of(const float *a, const float *b, size_t n);

/* out (planes, h, w) = in with its rows or columns reversed. */
void mv_flip_planes(float *out, const float *in, int planes, int h, int w, mv_flip flip);

typedef struct mv_auditor mv_auditor;

/* For pictures of h x w px: a run of its own, one picture at a time. The blocks and the channel are those of `view`;
 * `asked` ends a pass early (NULL: none does). Everything is borrowed. NULL on failure. */
mv_auditor *mv_auditor_new(const mv_inside_params *view, const mv_model *model, int h, int w, bool (*asked)(void),
                           mv_error *e);
void mv_auditor_free(mv_auditor *a); /* accepts NULL */
bool mv_auditor_fits(const mv_auditor *a, int h, int w);

/* Audits one picture: its planes (3, h, w) and logits; `maps` are those of mv_method_inside with all states and
 * hidden attention; `evidence` is the exact CAM of its top class. The caller's to free(). NULL on failure. */
mv_audit *mv_auditor_run(mv_auditor *a, const float *planes, const float *logits, const mv_maps *maps,
                         const mv_map *evidence, mv_error *e);

#endif
