/* Edits: a probe that changes named values inside the network, to measure how the answer depends on them.
 *
 *     SITE=zero             SITE[head=3]=zero         SITE[channel=5]=mean      SITE[cell=4,7]=mean
 *     SITE=mean             the mean over its tokens (T, or H and W)
 *     SITE=noise            Gaussian noise is added, as strong as the value (Meng et al. 2022, arXiv 2202.05262)
 *     SITE=original         the value itself: nothing changes, but the network takes the route of an edit
 *     SITE=values           values of a file, or those that another picture has there (activation patching)
 *
 * An edit may be of one picture alone. So many edits of one picture go through the network as one batch, with a picture
 * among them that is not edited: see src/explain/sweep.h.
 */
#ifndef MV_EDIT_H
#define MV_EDIT_H

#include <stdint.h>

#include "src/run/probe.h"
#include "src/run/sites.h"

typedef enum { MV_EDIT_ZERO, MV_EDIT_MEAN, MV_EDIT_ORIGINAL, MV_EDIT_VALUES } mv_edit_kind;

typedef struct mv_edits mv_edits;

mv_edits *mv_edits_new(mv_error *e); /* empty */
void mv_edits_free(mv_edits *ed);

/* Adds "SITES" or "SITES[INDEX]"; edits of one value are made in the order in which they were added. SITES is a pattern
 * of base/pattern.h. Brackets with '=' are an index, those without are a set of the pattern:
 *
 *     head=N         head N of q, k, v and attn
 *     channel=N      channel N
 *     token=N        token N of every window; cell N of a site without windows, row by row
 *     cell=Y,X       the token, or the query, of a cell of the level's grid
 *
 * values (fp32, copied) are for MV_EDIT_VALUES: they have the shape of the site, or a first dimension that divides the
 * site's and is repeated. With an index, only the chosen part of them is used. MV_EINPUT says what is wrong with
 * `text`. */
mv_status mv_edits_add(mv_edits *ed, const char *text, mv_edit_kind kind, mv_tensor values, mv_error *e);

/* Adds noise to the same places: Gaussian, of mean 0, `scale` (0 or more) times as wide as the standard deviation of
 * the values that it is added to. It depends on the seed, the site and the place within the picture's value alone, so
 * it is the same whatever the batch. */
mv_status mv_edits_add_noise(mv_edits *ed, const char *text, uint64_t seed, double scale, mv_error *e);

/* Edits that are added from here on are of this picture only, counted from 0 over a forward (mv_run_first), plus what
 * mv_edits_start said; MV_EDITS_ALL, as at the beginning: of every picture. */
enum { MV_EDITS_ALL = -1 };
void mv_edits_only(mv_edits *ed, int picture);

/* The number of the first picture of the coming forwards; 0 at the beginning. */
void mv_edits_start(mv_edits *ed, int picture);

/* Checks every edit against the sites of the coming run: MV_EINPUT for one that matches no site, a head, channel, token
 * or cell that does not exist, a site without tokens, a diagnostic site, or values of another shape (both shapes are
 * named). */
mv_status mv_edits_check(const mv_edits *ed, const mv_sites *sites, mv_error *e);

/* What an index may count at a site: its channels, or 0; and the rows and columns of its cells, or false. */
int mv_edit_channels(const mv_site *site);
bool mv_edit_cells(const mv_site *site, const mv_sites *sites, int *h, int *w);

/* Borrowed; set its `next` to continue the chain. Probes after it see the edited values. Every picture takes the route
 * of the edited one, so that differences between them come from the edits alone. */
mv_probe *mv_edits_probe(mv_edits *ed);

#endif
