/* The sizes of a network, and how its input is made from a picture. They come from the table of published variants
 * (arXiv 2407.08083 and the models' own configs), from a config.json, or from a checkpoint's shapes.
 */
#ifndef MV_CONFIG_H
#define MV_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/model/labels.h"
#include "src/picture/preprocess.h"

enum {
    MV_LEVELS = 4,
    MV_SIZE_MIN = 32, /* px per side of the input */
    MV_SIZE_MAX = MV_PREPROCESS_MAX_SIDE,
    MV_CONFIG_NAMES = 256 /* bytes of the list of variants */
};

typedef struct mv_config {
    char name[48]; /* of the published variant, "L3-512-21K"; empty for any other network */
    int dim;       /* channels of level 0; level i has dim << i */
    int in_dim;    /* channels inside the stem */
    int depth[MV_LEVELS], heads[MV_LEVELS], window[MV_LEVELS]; /* levels 0 and 1 use the depth alone */
    double mlp_ratio;
    bool gamma; /* layer scale: gamma_1 and gamma_2 in levels 2 and 3 */
    int classes;
    mv_preprocess preprocess; /* size of the input, crop, mean and deviation */
} mv_config;

/* The published variants, in order of size; NULL past the last. */
const mv_config *mv_config_at(int i);

/* "T, T2, ... and L3-512-21K": their names, for messages. Returns text. */
const char *mv_config_names(char text[MV_CONFIG_NAMES]);

/* Finds a published variant by its name. Letter case is ignored, '_' may stand for '-', and "mambavision" may come
 * first: "T", "l3-512-21k", "mambavision_t". False if there is none. */
bool mv_config_lookup(const char *name, mv_config *out);

/* The keys that a config has; values for the others are inferred. */
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

/* Reads a JSON object (keys dim, in_dim, depths, num_heads, window_size, mlp_ratio, layer_scale, resolution,
 * num_classes, crop_pct, crop_mode, mean, std, id2label, wnids) into *c and *labels, and leaves what no key says
 * unchanged. Other keys are ignored; a value of the wrong type or out of range is MV_EINPUT. `place` begins messages.
 * *has receives MV_HAS_ bits. */
mv_status mv_config_parse(mv_config *c, mv_labels *labels, unsigned *has, const char *json, size_t size,
                          const char *place, mv_error *e);

/* Checks that the sizes make a network; MV_EINPUT names the one that does not. */
mv_status mv_config_check(const mv_config *c, const char *place, mv_error *e);

/* True if block j of a level of `depth` blocks is an attention block: those are the last half, rounded down. */
bool mv_config_attends(int depth, int j);

#endif
