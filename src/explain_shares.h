/* What an attention block's rows say of each picture of a pass, head by head: the shares of a query and the figures of
 * mv_rows_stats. Rows are reduced where they lie. A device with `follow` does it in its own memory, and only shares and
 * figures come to the host; from any other, the host reads the rows of one window and one head at a time.
 *
 * For a rollout the mean of the heads of all blocks is kept till the last block has been seen, on the same side.
 */
#ifndef MV_EXPLAIN_SHARES_H
#define MV_EXPLAIN_SHARES_H

#include "explain_rows.h"
#include "run.h"

typedef struct {
    /* what is asked for */
    mv_grid grid;
    mv_query query;
    int heads;  /* that the block has */
    int head;   /* the only one looked at; negative: all */
    bool shown; /* shares and figures are made */
    bool mean;  /* the mean of the heads is kept */
    bool rolls; /* the last block of a rollout */
    /* the answer, of the last pass; NULL where none is shown */
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

/* Reduces a pass's rows (windows of its pictures, heads, T, T), which are dense. On a device the first pass takes
 * memory and writes the query; later ones of no more pictures only launch and read. */
mv_status mv_shares_pass(mv_shares *s, mv_run *r, mv_view rows, mv_error *e);

/* q^T A~_last ... A~_first of the pass's pictures into share (pictures, windows, tokens). All n blocks, in the order of
 * the network, have kept their means, and the last one rolls. */
mv_status mv_shares_roll(const mv_shares *block, int n, mv_run *r, double *share, mv_error *e);

void mv_shares_forget(mv_shares *s); /* what a pass left on the host */
void mv_shares_free(mv_shares *s);   /* and the device's memory; the device must live still */

#endif
