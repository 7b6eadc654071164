/* The sizes of a network, and how its input is made from a picture. They come from the table of published variants
 * (arXiv 2407.08083 and the models' own configs), from a config.json, or from a checkpoint's shapes.
 */
#ifndef MV_CONFIG_H
#define MV_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/base/warnings.h"
#include "src/model/labels.h"
#include "src/picture/preprocess.h"

enum {
    MV_LEVELS = 4,
    MV_SIZE_MIN = 32, /* px per side of the input */
    MV_SIZE_MAX = MV_PREPROCESS_MAX_SIDE,
    MV_DIM_MAX = 8192, /* channels of level 0, of the stem, and heads */
    MV_DEPTH_MAX = 512,
    MV_WINDOW_MAX = 512,
    MV_MLP_RATIO_MAX = 64,
    MV_CLASSES_MAX = 1000 * 1000,
    MV_CONFIG_NAMES = 256, /* bytes of the list of variants */
    MV_CONFIG_REPOSITORY = 96
};

#define MV_CONFIG_OWNER "nvidia" /* of the published repositories */

typedef struct mv_config {
    char name[48]; /* of the published variant, "L3-512-21K"; empty for any other network */
    int dim;       /* channels of level 0; level i has dim << i */
    int in_dim;    /* channels inside the stem */
    int depth[MV_LEVELS], heads[MV_LEVELS], window[MV_LEVELS]; /* levels 0 and 1 use the depth alone */
    double mlp_ratio;
    bool gamma;      /* layer scale: gamma_1 and gamma_2 in levels 2 and 3 */
    bool conv_gamma; /* layer scale: gamma in levels 0 and 1 */
    bool no_norm;    /* there is no batch norm before the mean over space: backbones of other tasks */
    int classes;   /* rows of the classification head; 0: there is none, and the network ends at the mean over space */
    char head[80]; /* the module of the head's Linear, "head.1"; empty: "head". A '/' before it: see mv_source */
    bool head_no_bias;
    mv_preprocess preprocess; /* size of the input, crop, interpolation, mean and deviation */
} mv_config;

/* The published variants, in order of size; NULL past the last. */
const mv_config *mv_config_at(int i);

/* "T, T2, ... and L3-512-21K": their names, for messages. Returns text. */
const char *mv_config_names(char text[MV_CONFIG_NAMES]);

/* Finds a published variant by its name. Letter case is ignored, '_' may stand for '-', "mambavision" or "mamba_vision"
 * may come first, and so may the owner of the repositories; "-1K" may follow: "T", "l3-512-21k", "mamba_vision_T",
 * "nvidia/MambaVision-T-1K". False if there is none. */
bool mv_config_lookup(const char *name, mv_config *out);

/* The repository on the Hugging Face hub with a variant's weights: "nvidia/MambaVision-T-1K". Returns text. */
const char *mv_config_repository(const mv_config *c, char text[MV_CONFIG_REPOSITORY]);

/* What a config says; the rest is inferred. */
enum {
    MV_HAS_HEADS = 1,
    MV_HAS_WINDOWS = 2,
    MV_HAS_SIZE = 4,
    MV_HAS_CROP = 8,
    MV_HAS_MODE = 16,
    MV_HAS_FILTER = 32,
    MV_HAS_MEAN = 64,
    MV_HAS_STD = 128
};

/* Reads a config.json: a JSON object with keys dim, in_dim, depths, num_heads, window_size, mlp_ratio, layer_scale,
 * layer_scale_conv, num_classes, resolution, crop_pct, crop_mode, interpolation, mean, std, id2label, label_names and
 * wnids, and timm's pretrained_cfg, whose pre-processing counts where the keys outside say something else. What no key
 * says stays unchanged in *c, and c->classes stays as the weights have it: labels are read for that many classes. Other
 * keys are ignored. A value of the wrong type or out of range is MV_EINPUT, in pretrained_cfg and labels a warning.
 * `place` begins messages. *has receives MV_HAS_ bits. `warnings` may be NULL. */
mv_status mv_config_parse(mv_config *c, mv_labels *labels, unsigned *has, const char *json, size_t size,
                          const char *place, mv_warnings *warnings, mv_error *e);

/* Reads a preprocessor_config.json of Hugging Face (size, crop_size, do_resize, do_center_crop, do_rescale,
 * rescale_factor, do_normalize, resample, image_mean, image_std, crop_pct), which counts where the config, read before
 * from `config_place` and found to say *has, says something else; a warning then names the keys. What it asks for and
 * the pipeline lacks is a warning too. MV_EINPUT if it is no JSON object. *has receives further bits. */
mv_status mv_config_parse_processor(mv_config *c, unsigned *has, const char *json, size_t size, const char *place,
                                    const char *config_place, mv_warnings *warnings, mv_error *e);

/* Checks that no number is beyond the limits above, wherever it came from; MV_EINPUT names the one that is. Nothing is
 * computed from a number, and no memory taken for it, before. */
mv_status mv_config_bound(const mv_config *c, const char *place, mv_error *e);

/* Checks the limits, and that the sizes make a network; MV_EINPUT names the one that does not. */
mv_status mv_config_check(const mv_config *c, const char *place, mv_error *e);

/* True if block j of a level of `depth` blocks is an attention block: those are the last half, rounded down. */
bool mv_config_attends(int depth, int j);

#endif
