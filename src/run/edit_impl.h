/* For the files of edits: the list and its check (edit.c), and the probe (edit_apply.c). */
#ifndef MV_EDIT_IMPL_H
#define MV_EDIT_IMPL_H

#include <stddef.h>

#include "src/run/edit.h"

/* What an edit's index counts. */
typedef enum { MV_EDIT_WHOLE, MV_EDIT_HEAD, MV_EDIT_CHANNEL, MV_EDIT_TOKEN, MV_EDIT_CELL } mv_edit_axis;

/* Besides the kinds of edit.h */
enum { MV_EDIT_NOISE = MV_EDIT_VALUES + 1 };

typedef struct {
    char *text;   /* as given, for errors */
    int patterns; /* index into mv_edits.pattern */
    int picture;  /* or MV_EDITS_ALL */
    int kind;     /* an mv_edit_kind, or MV_EDIT_NOISE */
    mv_edit_axis along;
    int index, column; /* column: of a cell, whose row is the index */
    mv_tensor values;  /* owns data */
    uint64_t seed;
    double scale;
} mv_edit;

struct mv_edits {
    mv_probe probe;
    int only, start;
    int n, room;
    mv_edit *edit;
    int patterns; /* each list of patterns once: a sweep edits a few sites a thousand times */
    char **pattern;
    bool *fits;   /* for each: the site at hand fits */
    float *value; /* of one picture, on the host, and as much room again */
    size_t values;
};

/* ---- edit_apply.c */

/* The probe's functions. */
bool mv_edit_wants(mv_probe *p, const char *site);
bool mv_edit_sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view view);

/* The dimensions [*from, *to) that count tokens, or cells of a picture; false if there are none. `axes` as in probe.h.
 */
bool mv_edit_token_dims(const char *axes, int *from, int *to);

/* The dimensions that the edit's index counts; false if the value has none. All of a whole value. */
bool mv_edit_index_dims(const mv_edit *t, const char *axes, int nd, int *from, int *to);

/* The level that a site's name says; -1: none. */
int mv_edit_level(const char *site);

#endif
