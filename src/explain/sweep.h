/* Sweeps: every head, block, branch, channel or token of a network is edited in turn (src/run/edit.h), to see how much
 * the answer for one picture depends on it. The edits are independent, so they go through the network in batches of the
 * same picture, each with an edit of its own. The first picture has none: the changes are counted from its logits.
 *
 *     heads      each head's output set to zero, which is the network without its columns of the projection
 *     blocks     each block skipped, in all levels: what it adds to its input set to zero
 *     mixers     of each mixer: the scan off (y = 0), the local branch off (z = 0), the step size frozen to its mean
 *                over the tokens of a window, and C zero, which leaves D x of the scan
 *     branches   of each block of levels 2 and 3: the mixer or the attention off, and the MLP off
 *     channels   each channel of a site set to zero
 *     tokens     the token of each cell of a site replaced by the mean over the site's tokens
 *
 *     mv_sweep *s = mv_sweep_new(model, h, w, 8, &e);
 *     mv_sweep_add(s, MV_SWEEP_HEADS, NULL, &e);
 *     mv_sweep_run(s, planes, &class_, 1, NULL, change, &e);       // change of mv_sweep_count(s) logits
 *     mv_sweep_free(s);
 */
#ifndef MV_SWEEP_H
#define MV_SWEEP_H

#include "src/explain/passes.h"
#include "src/run/edit.h"

typedef enum {
    MV_SWEEP_HEADS,
    MV_SWEEP_BLOCKS,
    MV_SWEEP_MIXERS,
    MV_SWEEP_BRANCHES,
    MV_SWEEP_CHANNELS,
    MV_SWEEP_TOKENS,
    MV_SWEEPS
} mv_sweep_kind;

const char *mv_sweep_kind_name(int kind); /* "heads"; NULL past the last */

/* True for channels and tokens: they are those of a site. */
bool mv_sweep_kind_has_site(mv_sweep_kind kind);

/* What one pass edits, and where it stands in the grid of its kind. */
typedef struct {
    mv_sweep_kind kind;
    int level, block; /* MV_MAP_NONE: of channels and tokens */
    int part;         /* number of the head or channel; of the four edits of a mixer, of the two branches; else 0 */
    int row, column;
} mv_sweep_item;

/* The items of one kind as a grid: heads have a row for each block, and a column for each head; blocks a row for each
 * level, and a column for each block; mixers and branches a row for each block, and a column for each edit; channels
 * rows of MV_SWEEP_ROW; tokens are the cells of the site. Rows may be shorter than `columns`. */
typedef struct {
    mv_sweep_kind kind;
    const char *site; /* of channels and tokens; NULL */
    int first, count; /* its items */
    int rows, columns;
} mv_sweep_grid;

enum {
    MV_SWEEP_ROW = 32,
    MV_SWEEP_MOST = 16384, /* items */
    MV_SWEEP_NAME = 128
};

typedef struct mv_sweep mv_sweep;

/* For inputs of h x w px, `batch` passes at a time. The model is borrowed. NULL on failure. */
mv_sweep *mv_sweep_new(const mv_model *model, int h, int w, int batch, mv_error *e);
void mv_sweep_free(mv_sweep *s); /* NULL is fine */

/* Edits of every pass, the first included: what is swept is then the network with these edits. Borrowed; add to them
 * before the first mv_sweep_add. */
mv_edits *mv_sweep_edits(mv_sweep *s);

/* Adds all items of a kind. site: of channels (NULL: "levels.3") and tokens (NULL: "levels.1.downsample", the tokens
 * that enter level 2). MV_EINPUT where the network has none of them, for a site that does not exist or has none, and
 * for too many items. All kinds are added before the first run. */
mv_status mv_sweep_add(mv_sweep *s, mv_sweep_kind kind, const char *site, mv_error *e);

int mv_sweep_count(const mv_sweep *s);
mv_sweep_item mv_sweep_at(const mv_sweep *s, int i);
int mv_sweep_grids(const mv_sweep *s);
mv_sweep_grid mv_sweep_grid_at(const mv_sweep *s, int i);

/* Its edit: "SITE[INDEX]" or "SITE,SITE", as of mv_edits_add, and its kind. Borrowed. */
const char *mv_sweep_item_edit(const mv_sweep *s, int i, mv_edit_kind *kind);

const mv_sites *mv_sweep_sites(const mv_sweep *s); /* of one picture. Borrowed */

/* "levels.2.blocks.4.head.3", "levels.0.blocks.1", "levels.2.blocks.0.scan" (local, dt, C), "levels.2.blocks.3.mlp",
 * "levels.3.channel.12", "levels.1.downsample.cell.3.4": for JSON and files. Returns text. */
const char *mv_sweep_item_name(const mv_sweep *s, int i, char text[MV_SWEEP_NAME]);

/* "head 3 of level 2 block 4", "the scan of level 2 block 0": for people. Returns text. */
const char *mv_sweep_item_words(const mv_sweep *s, int i, char text[MV_SWEEP_NAME]);

/* Names of a grid's rows and columns, short: "2.4", "y = 0". Returns text. */
const char *mv_sweep_row_name(const mv_sweep *s, int grid, int row, char text[32]);
const char *mv_sweep_column_name(const mv_sweep *s, int grid, int column, char text[32]);

/* The passes: for mv_passes_stop_when, mv_passes_watch and mv_passes_count. Borrowed. */
mv_passes *mv_sweep_passes(mv_sweep *s);

/* Runs all items on one picture, planes (3, h, w) normalised: 1 + mv_sweep_count passes. change (n, mv_sweep_count):
 * the logit of each of the n classes with the edit, less the logit without it; not finite where the network does not
 * survive the edit. before: all logits without the edit; NULL: not wanted. */
mv_status mv_sweep_run(mv_sweep *s, const float *planes, const int *classes, int n, float *before, double *change,
                       mv_error *e);

#endif
