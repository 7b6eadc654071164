/* Where self-attention looks: a probe that reduces the rows of chosen blocks to maps and figures. The rows are reduced
 * in device memory, batch by batch, and only the results are copied to the host. (The rows of L3 at 512 px would be
 * 700 MB.)
 *
 *     mv_attention_maps *m = mv_attention_maps_new(&options, &config, h, w, &e);
 *     mv_run *r = mv_run_new(model, h, w, capacity, mv_attention_maps_probe(m), &e);
 *     mv_run_forward(r, planes, pictures, logits, &e);
 *     for (int i = 0; i < mv_attention_maps_count(m); i++) {
 *         mv_attention_block b = mv_attention_maps_block_at(m, i);
 *         const mv_attention_map *a = mv_attention_maps_lookup(m, picture, i, MV_HEAD_MEAN);
 *         mv_rows_against_even(&relative, &a->map, b.query, &b.grid, &e);
 *     }
 *
 * rows.h explains the numbers.
 */
#ifndef MV_EXPLAIN_ATTENTION_H
#define MV_EXPLAIN_ATTENTION_H

#include "src/explain/rows.h"
#include "src/run/probe.h"

enum {
    MV_HEAD_MEAN = -1, /* the mean of a block's heads */
    MV_HEAD_EACH = -2, /* every head, and the mean */
    MV_BLOCK_ROLLOUT = -2,
    MV_ATTENTION_LIST = 64 /* blocks, and heads, that can be listed */
};

typedef struct {
    bool level[MV_LEVELS];                /* which levels; none set: all that have attention */
    int blocks, block[MV_ATTENTION_LIST]; /* J of levels.I.blocks.J, of each chosen level in which J attends; 0: all */
    int heads, head[MV_ATTENTION_LIST];   /* numbers, MV_HEAD_MEAN or MV_HEAD_EACH; 0: the mean */
    mv_query_kind query;
    int cell[MV_LEVELS][2]; /* MV_QUERY_CELL: y, x in cells of the level itself, for each chosen level */
    bool rollout;           /* also the rollout of each chosen level, through all of its attention blocks */
} mv_attention_options;

typedef struct mv_attention_maps mv_attention_maps;

/* For a network and pictures of h x w px. NULL on failure. MV_EINPUT: a chosen level, or the network, has no attention
 * (the levels that have some are named); a block is not an attention block of a chosen level (those are named); a level
 * does not have the head; the cell is outside the grid (its size is named). */
mv_attention_maps *mv_attention_maps_new(const mv_attention_options *options, const mv_config *config, int h, int w,
                                         mv_error *e);
void mv_attention_maps_free(
    mv_attention_maps *m); /* accepts NULL; call it after the run that uses the probe is freed */

mv_probe *mv_attention_maps_probe(mv_attention_maps *m); /* borrowed; set its `next` to continue the chain */

/* ---- what is shown: blocks in network order, then the rollout of their level. Known before a run. */

typedef struct {
    int level;
    int block; /* J, or MV_BLOCK_ROLLOUT */
    int heads; /* that the block has */
    mv_query query;
    mv_grid grid;
} mv_attention_block;

int mv_attention_maps_count(const mv_attention_maps *m);
mv_attention_block mv_attention_maps_block_at(const mv_attention_maps *m, int i);

/* ---- results of the last forward, valid until the next one or the free */

typedef struct {
    mv_map map;          /* raw shares on the cells of the level; titled "Level 2, block 4, head 3" */
    double padding;      /* part of the shares of the query that falls on padding, 0 to 1 */
    mv_rows_stats stats; /* of the head, over all real queries whatever the query is; for the mean of the heads the mean
                            of their figures; zeros for a rollout */
} mv_attention_map;

/* Picture 0.. of the forward, i as above, head 0.. or MV_HEAD_MEAN (the only one of a rollout). Borrowed; NULL if it
 * was not asked for or not computed. */
const mv_attention_map *mv_attention_maps_lookup(const mv_attention_maps *m, int picture, int i, int head);

#endif
