/* A variant's sizes, and how its pictures are prepared: from the table of published variants, from a
 * config.json, or inferred from a checkpoint's shapes. Source: arXiv 2407.08083 and the models' own configs.
 */
#ifndef MV_CONFIG_H
#define MV_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/picture/preprocess.h"

enum { MV_LEVELS = 4, MV_SIZE_MIN = 32, MV_SIZE_MAX = 16384 }; /* pixels a side of the input */

typedef struct mv_config {
    char name[48]; /* the published variant's, "L3-512-21K"; empty for any other */
    int dim;       /* channels of level 0; level i has dim << i */
    int in_dim;    /* channels inside the stem */
    int depth[MV_LEVELS], heads[MV_LEVELS], window[MV_LEVELS]; /* heads and window count in levels 2 and 3 */
    double mlp_ratio;
    bool gamma; /* gamma_1, gamma_2 in levels 2 and 3 */
    int classes;
    mv_preprocess preprocess; /* size, crop, mean and std */
} mv_config;

/* Class names, where a model brings its own. Empty (n 0) otherwise. */
typedef struct {
    int n;
    char **name; /* "church" */
    char **wnid; /* "n03028079"; NULL, or NULL entries, where unknown */
} mv_labels;

/* The published variants, in order of size. NULL past the last. */
const mv_config *mv_config_at(int i);

/* By name, letter case and '_' for '-' aside: "T", "L3-512-21K", "mambavision_t". False when there is none. */
bool mv_config_lookup(const char *name, mv_config *out);

/* Which of the keys a config spoke of: the others are to be inferred. */
enum {
    MV_HAS_DIM = 1,
    MV_HAS_IN_DIM = 2,
    MV_HAS_DEPTHS = 4,
    MV_HAS_HEADS = 8,
    MV_HAS_WINDOWS = 16,
    MV_HAS_GAMMA = 32,
    MV_HAS_CLASSES = 64,
    MV_HAS_SIZE = 128,
    MV_HAS_CROP = 256
};

/* Reads a config object (keys dim, in_dim, depths, num_heads, window_size, mlp_ratio, layer_scale, resolution,
 * num_classes, crop_pct, crop_mode, mean, std, id2label, wnids) over *c and *labels. `place` stands in errors. Unknown
 * keys are left alone; a key of the wrong type or out of range is MV_EINPUT. *has receives MV_HAS_ bits. */
mv_status mv_config_parse(mv_config *c, mv_labels *labels, unsigned *has, const char *json, size_t size,
                          const char *place, mv_error *e);

/* Whether the sizes make a network: MV_EINPUT says which does not. */
mv_status mv_config_check(const mv_config *c, const char *place, mv_error *e);

/* Block j of a level of `depth` blocks attends if it is in the last half; an odd level has one mixer more. */
bool mv_config_attends(int depth, int j);

void mv_labels_free(mv_labels *labels); /* leaves it empty */

#endif
