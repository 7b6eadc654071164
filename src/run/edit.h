/* Edits: probes that change named values on the way through the network, to see what the answer owes them.
 *
 *     SITE=zero             SITE[head=3]=zero         SITE[channel=5]=mean
 *     SITE=mean             (over its tokens: T, or H and W)
 *     SITE=values           given ones: a file's, or what another picture has there (activation patching)
 */
#ifndef MV_EDIT_H
#define MV_EDIT_H

#include "src/run/probe.h"
#include "src/run/sites.h"

typedef enum { MV_EDIT_ZERO, MV_EDIT_MEAN, MV_EDIT_VALUES } mv_edit_kind;

typedef struct mv_edits mv_edits;

mv_edits *mv_edits_new(mv_error *e); /* none yet */
void mv_edits_free(mv_edits *ed);

/* Adds "SITES", "SITES[head=N]" or "SITES[channel=N]", SITES a pattern of pattern.h (an index behind it is told from a
 * set by its '='). Heads are the second dimension of q, k, v and attn; channels the last one of tokens and the second
 * of pictures. values (fp32, copied) goes with MV_EDIT_VALUES: of the site's shape, or with a first dimension that
 * divides it, repeated; with an index, its other dimensions alone are taken from it. MV_EINPUT says what is wrong with
 * `text`. */
mv_status mv_edits_add(mv_edits *ed, const char *text, mv_edit_kind kind, mv_tensor values, mv_error *e);

/* Holds every edit against the sites of the coming run, before anything runs: MV_EINPUT for one that fits no
 * site, has no such head, channel or tokens, or whose values do not fit, saying both shapes. */
mv_status mv_edits_check(const mv_edits *ed, const mv_sites *sites, mv_error *e);

mv_probe *mv_edits_probe(
    mv_edits *ed); /* borrowed; its `next` is the caller's. Put it before probes that should see the edit. */

#endif
