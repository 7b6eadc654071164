/* A network's parameters on a device, read in one walk over the network (arXiv 2407.08083) in the order of the
 * published checkpoints. The walk folds batch norms into the convolutions before them, doubles the bias of dt_proj and
 * computes A = -exp(A_log), so that forward.c reads as the equations.
 *
 * A device may prefer multiples of some number of channels (channel_multiple). The maps of levels 0 and 1, and the
 * ranks of dt, then get spare ones behind the network's own: their weights, biases and gammas are zero, so they stay
 * zero. No site shows them, and no cost counts them.
 */
#ifndef MV_MODEL_H
#define MV_MODEL_H

#include "src/base/backend.h"
#include "src/model/config.h"

/* Where parameters come from: a checkpoint or a generator. Without a source, parameters are only counted. */
typedef struct mv_source mv_source;
struct mv_source {
    /* Writes tensor `name` (PyTorch's name; after a '/' that of a tensor outside of the network), which must have this
     * shape, to out as fp32. If there is none, *found is false and out unchanged. */
    mv_status (*read)(mv_source *, const char *name, int nd, const int *dim, float *out, bool *found, mv_error *);
    /* MV_EINPUT if the tensor has another shape or type; fine if there is none. Asked before memory is taken for the
     * values, so that a file takes no more than it has. NULL: whatever is asked for is there. */
    mv_status (*check)(mv_source *, const char *name, int nd, const int *dim, mv_error *);
    const char *place; /* begins error messages: the file's name */
};

typedef struct {
    mv_conv conv1, conv2;
    mv_vector gamma; /* absent without layer scale */
} mv_conv_block;

typedef struct {
    mv_dense in, x, out; /* in_proj, x_proj, out_proj */
    mv_vector conv_x, conv_z;
    mv_ssm ssm;
} mv_mixer;

typedef struct {
    mv_dense qkv, proj;
    int heads;
} mv_attention;

typedef struct {
    bool attends;
    union {
        mv_mixer mixer;
        mv_attention attention;
    };
    mv_vector norm1[2], norm2[2]; /* weight, bias */
    mv_vector gamma1, gamma2;     /* absent without layer scale */
    mv_dense fc1, fc2;
} mv_token_block;

typedef struct {
    int depth, channels, window;
    mv_conv_block *conv;   /* levels 0 and 1 */
    mv_token_block *token; /* levels 2 and 3 */
    mv_conv down;          /* levels 0 to 2 */
} mv_level;

/* The parts for which costs are reported. */
enum { MV_PART_STEM, MV_PART_LEVEL0, MV_PART_HEAD = MV_PART_LEVEL0 + MV_LEVELS, MV_PARTS };

typedef struct {
    mv_config config;
    mv_backend *backend; /* borrowed; must outlive the model */
    mv_conv stem[2];
    mv_level level[MV_LEVELS];
    mv_vector norm_scale, norm_shift; /* the final batch norm as x * scale + shift; absent without one */
    mv_dense head;                    /* absent with 0 classes */
    float *head_weight,
        *head_bias; /* (classes, 8 dim) and (classes) on the host, for the exact CAM; NULL without a source or head */
    size_t parameters[MV_PARTS]; /* trainable ones, as torch counts them */
} mv_model;

/* Reads every parameter from `source` and hands it to `backend`, one at a time. A missing tensor, another shape or a
 * value that is not finite is MV_EINPUT, which names the tensor. `source` NULL: parameters are counted; the backend
 * must then be the null device, which needs no values. NULL on failure. */
mv_model *mv_model_new(const mv_config *config, mv_backend *backend, mv_source *source, mv_error *e);
void mv_model_free(mv_model *m); /* NULL is fine */

size_t mv_model_parameters(const mv_model *m); /* of all parts */

/* The name of the module that a layer's bias is in, PyTorch's path: "levels.2.blocks.0.mlp.fc1". w: the address of a
 * convolution or a linear layer of the model, of a norm's pair of vectors, or of the model's norm_shift. NULL for a
 * layer without a bias, and for any other address. Returns text or a static string. */
const char *mv_layer_name(const mv_model *m, const void *w, char text[64]);

/* The mean of rows first .. last - 1 of the head: 8 dim weights, then the bias. The model has a head on the host. */
void mv_model_head_mean(double *mean, const mv_model *m, int first, int last);

#endif
