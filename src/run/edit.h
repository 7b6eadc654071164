/* Edits: a probe that changes named values inside the network, to measure how the answer depends on them.
 *
 *     SITE=zero             SITE[head=3]=zero         SITE[channel=5]=mean
 *     SITE=mean             the mean over its tokens (T, or H and W)
 *     SITE=values           values of a file, or those that another picture has there (activation patching)
 */
#ifndef MV_EDIT_H
#define MV_EDIT_H

#include "src/run/probe.h"
#include "src/run/sites.h"

typedef enum { MV_EDIT_ZERO, MV_EDIT_MEAN, MV_EDIT_VALUES } mv_edit_kind;

typedef struct mv_edits mv_edits;

mv_edits *mv_edits_new(mv_error *e); /* empty */
void mv_edits_free(mv_edits *ed);

/* Adds "SITES", "SITES[head=N]" or "SITES[channel=N]"; SITES is a pattern of base/pattern.h. Brackets with '=' are an
 * index, those without are a set of the pattern. values (fp32, copied) are for MV_EDIT_VALUES: they have the shape of
 * the site, or a first dimension that divides the site's and is repeated. With an index, only the chosen head or
 * channel of them is used. MV_EINPUT says what is wrong with `text`. */
mv_status mv_edits_add(mv_edits *ed, const char *text, mv_edit_kind kind, mv_tensor values, mv_error *e);

/* Checks every edit against the sites of the coming run: MV_EINPUT for one that matches no site, a head or channel that
 * does not exist, a site without tokens, a diagnostic site, or values of another shape (both shapes are named). */
mv_status mv_edits_check(const mv_edits *ed, const mv_sites *sites, mv_error *e);

/* Borrowed; set its `next` to continue the chain. Probes after it see the edited values. */
mv_probe *mv_edits_probe(mv_edits *ed);

#endif
