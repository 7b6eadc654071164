/* Inside the Mamba mixers: a probe that reduces the values of chosen mixer blocks to maps, figures and, if they are
 * asked for, token-by-token matrices. Hidden attention and contributions are computed and reduced in device memory,
 * batch by batch; only what was asked for is computed.
 *
 *     mv_mixer_options o = {.wants = MV_MIXER_STATES | MV_MIXER_BIT(MV_MIXER_HIDDEN), .channel = MV_CHANNEL_MEAN};
 *     mv_mixer_maps *m = mv_mixer_maps_new(&o, &config, h, w, &e);
 *     mv_run *r = mv_run_new(model, h, w, capacity, mv_mixer_maps_probe(m), &e);
 *     mv_run_forward(r, planes, pictures, logits, &e);
 *     for (int i = 0; i < mv_mixer_maps_count(m); i++)
 *         const mv_mixer_map *a = mv_mixer_maps_lookup(m, picture, i, MV_MIXER_H);
 *
 * The mixer (Hatamizadeh & Kautz 2024, arXiv 2407.08083), for one window of T tokens, E channels and 8 states:
 *
 *     h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t        y_t = C_t . h_t + D x_t        out = [y | z] W_o^T
 *
 * Hidden attention (Ali, Zimerman & Wolf 2024, arXiv 2403.01590) is M in y = (M + diag D) x; D is not part of the
 * matrix. Contributions (after LaTIM, arXiv 2502.15612) go through the short convolutions as well, with the gates of
 * SiLU, dt, B and C held fixed: out_i = sum_k T[i,k], one vector for each token k; the matrix has their Euclidean
 * norms.
 */
#ifndef MV_EXPLAIN_MIXER_H
#define MV_EXPLAIN_MIXER_H

#include "src/explain/rows.h"
#include "src/model/weights.h"
#include "src/run/probe.h"

/* What can be shown of a mixer block. The maps of a state are one value a token; `padding` of a map is the part of the
 * sum over all tokens that is on padding. */
typedef enum {
    MV_MIXER_DT,        /* the step size: mean over channels */
    MV_MIXER_B,         /* |B| over the 8 states */
    MV_MIXER_C,         /* |C| over the 8 states */
    MV_MIXER_WRITE,     /* |dt x| |B|: what the token writes to the state */
    MV_MIXER_H,         /* |h| over channels and states: the state after the token */
    MV_MIXER_RATIO,     /* |y| / |z|: the scan against the local branch */
    MV_MIXER_HALF_LIFE, /* ln 2 / (dt |A|): tokens until half of a state is forgotten; median over channels, states */
    MV_MIXER_HIDDEN,    /* q^T M for the query q: the mean over channels of |M| */
    MV_MIXER_CONTRIBUTIONS, /* q^T T for the query q: the norms of contributions, each row divided by its sum */
    MV_MIXER_KINDS
} mv_mixer_kind;

#define MV_MIXER_BIT(kind) (1u << (kind))
enum {
    MV_MIXER_STATES = (1 << MV_MIXER_HIDDEN) - 1, /* the bits of all maps of the state */
    MV_MIXER_MATRICES = (1 << MV_MIXER_HIDDEN) | (1 << MV_MIXER_CONTRIBUTIONS),
    MV_CHANNEL_MEAN = -1,
    MV_MIXER_LIST = 64 /* blocks that can be listed */
};

typedef struct {
    bool level[MV_LEVELS];            /* which levels; none set: all that have mixers */
    int blocks, block[MV_MIXER_LIST]; /* J of levels.I.blocks.J, of each chosen level in which J is a mixer; 0: all */
    unsigned wants;                   /* MV_MIXER_BITs of the maps */
    unsigned matrices;                /* of those in MV_MIXER_MATRICES: whose matrix is delivered too */
    int channel;    /* MV_CHANNEL_MEAN, or one channel: all kinds but B, C and contributions are then of this channel */
    bool with_sign; /* hidden: the mean of M, not of |M| */
    mv_query_kind query;    /* of hidden and contributions */
    int cell[MV_LEVELS][2]; /* MV_QUERY_CELL: y, x in cells of the level itself, for each chosen level */
} mv_mixer_options;

typedef struct mv_mixer_maps mv_mixer_maps;

/* For a network and pictures of h x w px. NULL on failure. MV_EINPUT: a chosen level, or the network, has no mixer (the
 * levels that have some are named); a block is not a mixer of a chosen level (those are named); the level does not have
 * the channel; the cell is outside the grid (its size is named). MV_EMISUSE: nothing is wanted. */
mv_mixer_maps *mv_mixer_maps_new(const mv_mixer_options *options, const mv_config *config, int h, int w, mv_error *e);
void mv_mixer_maps_free(mv_mixer_maps *m); /* accepts NULL; call it after the run that uses the probe is freed */

mv_probe *mv_mixer_maps_probe(mv_mixer_maps *m); /* borrowed; set its `next` to continue the chain */

/* ---- what is shown: blocks in network order. Known before a run. */

typedef struct {
    int level;
    int block;    /* J */
    int channels; /* E: that are scanned */
    mv_query query;
    mv_grid grid;
} mv_mixer_block;

int mv_mixer_maps_count(const mv_mixer_maps *m);
mv_mixer_block mv_mixer_maps_block_at(const mv_mixer_maps *m, int i);

/* "dt", "B", "C", "write", "h", "ratio", "half_life", "hidden", "contributions": in raw output and on the command line.
 * Static; NULL for another number. */
const char *mv_mixer_key(mv_mixer_kind kind);
/* "step size", "|B|", ...: in titles. Static. */
const char *mv_mixer_title(mv_mixer_kind kind);
/* "what a token adds to the state: |dt x| |B|", ...: one line, for captions and help. Static. */
const char *mv_mixer_summary(mv_mixer_kind kind);

/* ---- results of the last forward, valid until the next one or the free */

typedef struct {
    mv_map map; /* on the cells of the level, padding cropped, with its words: title, unit, level, block, windows, the
                   share of the sum that fell on padding; map.what is the key */
    double padding; /* the same share, 0 to 1 */
} mv_mixer_map;

/* Picture 0.. of the forward, i as above. Borrowed; NULL if it was not asked for or not computed. */
const mv_mixer_map *mv_mixer_maps_lookup(const mv_mixer_maps *m, int picture, int i, mv_mixer_kind kind);

/* The matrix (windows, T, T) of hidden attention or contributions, raw, padding included: row i of a window is what
 * token i takes from every token of it. Borrowed; NULL if it was not asked for. */
const float *mv_mixer_maps_matrix(const mv_mixer_maps *m, int picture, int i, mv_mixer_kind kind);

/* The map of another query from a matrix that was asked for. out->map is the caller's to mv_map_free. MV_EINPUT for a
 * cell outside the grid, MV_EMISUSE without the matrix. */
mv_status mv_mixer_maps_query(mv_mixer_map *out, const mv_mixer_maps *m, int picture, int i, mv_mixer_kind kind,
                              mv_query query, mv_error *e);

/* With contributions: the scan's share of a block, 1 - sum |z part| / (sum |scan part| + sum |z part|) over all pairs
 * of tokens; NaN if they were not asked for. */
double mv_mixer_maps_scan_share(const mv_mixer_maps *m, int picture, int i);

/* What hidden attention leaves out: the diagonal D of y = (M + diag D) x. The mean over channels of |D|, or of D
 * `with_sign`; or that of one channel. MV_EINPUT for a block that is no mixer, or a channel that it does not have. */
mv_status mv_mixer_diagonal(double *out, const mv_model *model, int level, int block, int channel, bool with_sign,
                            mv_error *e);

#endif
