/* Probes watch or change the named values of a run. The names (sites) are PyTorch's module paths: see mvscope-sites(1).
 * A probe is first asked which sites it wants; values that nobody wants are not computed.
 */
#ifndef MV_PROBE_H
#define MV_PROBE_H

#include <stdbool.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

typedef struct mv_run mv_run;
typedef struct mv_probe mv_probe;

/* What is known of a site. `axes` has a letter for each dimension of the value:
 *
 *     B pictures, N windows of all pictures, picture-major (one of them is always first)
 *     C channels, H rows, W columns, T tokens of a window, E scanned channels, S states, h heads, d channels of a head
 *     P parts: of contributions, those of the scan and of the z branch
 *
 * "BCHW", "NTC", "NhTT". The strings are valid during the call. */
typedef struct {
    const char *name, *axes;
    bool diagnostic; /* nothing downstream depends on the value, so changing it has no effect */
} mv_site_info;

struct mv_probe {
    bool (*wants)(mv_probe *, const char *site);
    /* Called when the value exists. `value` has the public shape of the site and lies in device memory: mv_run_read and
     * mv_run_write copy it. mv_run_first says which picture is the first of this batch. Returns true if it changed the
     * value. Failures are reported by mv_run_fail. */
    bool (*sees)(mv_probe *, mv_run *, const mv_site_info *site, mv_view value);
    /* Receives the values that `sees` passed to mv_run_keep, as fp32, with its `part`, a number that means something to
     * the probe only (of gradients, the backward pass); they are invalid after the call. mv_run_first and
     * mv_run_pictures refer to the batch of the value.
     *
     * NULL: the probe reads or changes values in `sees`. Otherwise `sees` must do the same for every batch and have no
     * other effect, because it is also called by the dry run that plans the memory, and is not called for batches that
     * a device replays. */
    void (*kept)(mv_probe *, mv_run *, const char *site, int part, mv_tensor value);
    mv_probe *next; /* called after this one; NULL ends the chain */
};

#endif
