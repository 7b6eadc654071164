/* The sites of a network: the name and shape of every value that a run shows to probes, without the values. */
#ifndef MV_SITES_H
#define MV_SITES_H

#include <stdbool.h>

#include "src/base/status.h"
#include "src/base/tensor.h"
#include "src/model/config.h"

typedef struct {
    char *name;
    char axes[MV_MAX_DIMS + 1]; /* a letter for each dimension: see mv_site_info in probe.h */
    bool diagnostic;            /* nothing downstream depends on the value */
    int nd, dim[MV_MAX_DIMS];
} mv_site;

typedef struct {
    int n, room;
    mv_site *site;     /* in the order of the run */
    const char **name; /* the same names as an array, for mv_pattern_check */
} mv_sites;

/* Lists all sites of a network for `pictures` of h x w pixels, by a dry run on the null device. The list is the
 * caller's to mv_sites_free; it is empty on failure. */
mv_status mv_sites_list(mv_sites *out, const mv_config *config, int pictures, int h, int w, mv_error *e);
/* Appends grad.SITE for each site that is not diagnostic: what a run with backward passes shows (back.h). */
mv_status mv_sites_add_gradients(mv_sites *s, mv_error *e);
void mv_sites_free(mv_sites *s); /* the list is empty afterwards */

#endif
