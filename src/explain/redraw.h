/* The parameter-randomisation check (Adebayo et al. 2018, arXiv 1810.03292): a map that explains what the network has
 * learned must change when its parameters do. The blocks are re-drawn one after the other from the top down; a source
 * hands out a checkpoint's tensors so, for mv_model_new.
 *
 * Re-drawn means: the values of each tensor of the block are put in random order. Every tensor keeps its distribution,
 * so variances stay positive and activations keep their size; a tensor of equal values stays what it is.
 */
#ifndef MV_REDRAW_H
#define MV_REDRAW_H

#include "src/model/weights.h"

/* Stages from the top: the head, each block from the last of level 3 to the first of level 0 (a level's downsample goes
 * with its last block), and the stem. */
int mv_redraw_stages(const mv_config *c);

/* "head", "levels.3.blocks.1", "patch_embed": what stage i re-draws. Returns text. */
const char *mv_redraw_name(const mv_config *c, int i, char text[48]);

typedef struct {
    mv_source source; /* for mv_model_new */
    mv_source *from;
    const mv_config *config;
    int stages; /* that are re-drawn */
    uint64_t seed;
} mv_redraw;

/* The tensors of `from`, those of the first `stages` stages re-drawn; both are borrowed. The pointer is into *r. */
mv_source *mv_redraw_source(mv_redraw *r, mv_source *from, const mv_config *config, int stages, uint64_t seed);

#endif
