/* Inside mixer.h: mixer.c checks the options and answers, mixer_probe.c reduces the values, mixer_words.c makes maps.
 */
#ifndef MV_MIXER_IMPL_H
#define MV_MIXER_IMPL_H

#include "src/explain/mixer.h"

enum { MV_MIXER_OF_HIDDEN, MV_MIXER_OF_CONTRIBUTIONS, MV_MIXER_MATRIX_KINDS };

/* The results of one block for one picture. What was not asked for stays empty. */
typedef struct {
    mv_mixer_map map[MV_MIXER_KINDS];
    float *matrix[MV_MIXER_MATRIX_KINDS]; /* (windows, T, T) */
    double scan, local; /* sums of the norms of contributions: of the scan's part, of the z branch's */
} mv_mixer_result;

typedef struct {
    mv_mixer_block block;
    char site[48];    /* "levels.2.blocks.0.mixer." */
    unsigned arrived; /* a bit for each part of a kept value that has arrived in this forward */
    int seen;         /* pictures that `result` has entries for */
    mv_mixer_result *result;
} mv_mixer_view;

/* Memory for values of a whole batch. */
typedef struct {
    size_t room;
    double *v;
} mv_mixer_store;

struct mv_mixer_maps {
    mv_probe probe;
    mv_mixer_options options;
    int views;
    mv_mixer_view *view;
    float *query[MV_LEVELS]; /* (windows, T): the weights of the query */
    /* Of the block whose values arrive: what later ones are combined with. */
    mv_mixer_store x, written, z;
    mv_mixer_store token; /* of one map */
};

/* The probe's functions, without a next one. */
mv_probe mv_mixer_probe(void);
void mv_mixer_view_clear(mv_mixer_view *v);

/* Makes the map of the tokens (windows, T) of a picture, padding included; an earlier one is freed. */
mv_status mv_mixer_finish(mv_mixer_map *to, const mv_mixer_maps *m, const mv_mixer_block *b, mv_mixer_kind kind,
                          mv_query q, const double *token, mv_error *e);

#endif
