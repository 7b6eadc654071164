/* What an attention block's rows say of each picture of a pass, head by head: the shares of a query and the figures of
 * mv_rows_stats. Rows are reduced where they lie. A device with `follow` does it in its own memory, and only shares and
 * figures are kept (mv_run_keep), to be taken when they come; from any other, the host reads the rows of one window and
 * one head at a time, and has the answer at once.
 *
 * For a rollout the mean of the heads of all blocks is kept till the last block has been seen, on the same side.
 */
#ifndef MV_EXPLAIN_SHARES_H
#define MV_EXPLAIN_SHARES_H

#include "src/explain/rows.h"
#include "src/run/state.h"

typedef struct {
    /* what is asked for */
    mv_grid grid;
    mv_query query;
    int heads;  /* that the block has */
    int head;   /* the only one looked at; negative: all */
    bool shown; /* shares and figures are made */
    bool mean;  /* the mean of the heads is kept */
    bool rolls; /* the last block of a rollout */
    /* the answer, till forgotten; NULL where none is shown */
    double *share;        /* pictures, heads looked at, windows, tokens */
    mv_rows_stats *stats; /* pictures, heads looked at */
    /* own: on the host */
    float *host_mean; /* windows of the pass, tokens, tokens */
    /* own: on a device, all in one piece, for passes of up to so many pictures */
    mv_backend *device;
    int pictures;
    char *memory;
} mv_shares;

/* Heads that are looked at. */
int mv_shares_heads(const mv_shares *s);

/* What comes from a device, as mv_probe.kept is told */
enum { MV_SHARES_SHARE, MV_SHARES_FIGURES, MV_SHARES_ROLLED };

/* Whether the answers come behind the calls, to be taken. */
bool mv_shares_come(const mv_run *r);

/* Reduces a pass's rows (windows of its pictures, heads, T, T), which are dense. On a device: launches it, and keeps
 * shares, then figures for the probe under the site's name. The first pass takes memory there and writes the query;
 * later ones of no more pictures only launch. */
mv_status mv_shares_pass(mv_shares *s, mv_run *r, mv_view rows, mv_probe *p, const char *site, mv_error *e);
mv_status mv_shares_take(mv_shares *s, mv_run *r, int part, mv_tensor value, mv_error *e);

/* q^T A~_last ... A~_first of the pass's pictures: into share (pictures, windows, tokens); on a device kept, and share
 * left alone. All n blocks, in the order of the network, have had the pass, and the last one rolls. */
mv_status mv_shares_roll(const mv_shares *block, int n, mv_run *r, double *share, mv_probe *p, const char *site,
                         mv_error *e);

void mv_shares_forget(mv_shares *s); /* what a pass left on the host */
void mv_shares_free(mv_shares *s);   /* and the device's memory; the device must live still */

#endif
