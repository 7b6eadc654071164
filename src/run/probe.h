/* Probes watch or change the named values of a run, by the site names that PyTorch users know (sites in man/).
 * A probe is asked first, then shown: what nobody wants is never made.
 *
 * Also here: the patterns sites are chosen by, and the probe that lists them.
 */
#ifndef MV_PROBE_H
#define MV_PROBE_H

#include <stdbool.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

typedef struct mv_run mv_run;
typedef struct mv_probe mv_probe;

struct mv_probe {
    bool (*wants)(mv_probe *, const char *site);
    /* `value` is the site's public shape over device memory: mv_run_read and mv_run_write move it. The first
     * dimension counts the pictures of this pass, or their windows, picture-major; mv_run_first says which picture is
     * the first. Returns true if it changed the value. Trouble is told by mv_run_fail. */
    bool (*sees)(mv_probe *, mv_run *, const char *site, mv_view value);
    /* Receives what `sees` asked for by mv_run_keep, fp32; the value is gone after the call. mv_run_first and
     * mv_run_pictures are those of the value's pass. NULL: the probe reads, or changes, in `sees`. Where every probe of
     * a run has it, a device that records passes may leave `sees` out from the third pass on: it must ask for the same
     * every time, and do nothing besides. */
    void (*kept)(mv_probe *, mv_run *, const char *site, int part, mv_tensor value);
    mv_probe *next; /* asked after this one; NULL ends the chain */
};

/* ---- patterns: `*` within a dot-separated segment, `**` across segments, `?` one letter, `[23]` sets, commas join:
 * "levels.3.**.attn", "**.dt,head", "levels.[23].blocks.*" */

/* Whether `site` fits any of the comma-separated patterns. Time is bounded by the product of the lengths. */
bool mv_pattern_match(const char *patterns, const char *site);

/* MV_EINPUT, naming the nearest sites, for the first pattern of a comma-separated list that fits none of the n sites;
 * also for an empty pattern and a set that does not close. `place` stands in errors ("--site"). */
mv_status mv_pattern_check(const char *patterns, int n, const char *const sites[], const char *place, mv_error *e);

/* ---- the list: every site's name and shape, without values */

typedef struct {
    char *name;
    int nd, dim[MV_MAX_DIMS];
} mv_site;

typedef struct {
    int n, room;
    mv_site *site;     /* in the order of the run */
    const char **name; /* the same names, for mv_pattern_check; NULL until mv_sites_list is done */
} mv_sites;

struct mv_config;

/* All sites of a network for `pictures` of h x w pixels, by a dry run on the null device. */
mv_status mv_sites_list(mv_sites *out, const struct mv_config *config, int pictures, int h, int w, mv_error *e);
const mv_site *mv_sites_lookup(const mv_sites *s, const char *name); /* NULL when there is none */
void mv_sites_free(mv_sites *s);

#endif
