/* Probes watch or change the named values of a run, by the site names that PyTorch users know (sites in man/).
 * A probe is asked first, then shown: what nobody wants is never made.
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

#endif
