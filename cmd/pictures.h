/* Passes of several pictures through the network. */
#ifndef PICTURES_H
#define PICTURES_H

#include "cmd/inputs.h"
#include "src/run/run.h"

/* One picture on its way. */
typedef struct {
    const char *path;
    int index, of;  /* of a ready input's pictures */
    mv_image shown; /* what the network sees, for pages; only if asked for */
} picture;

/* Called after a pass for each of its pictures: its place in the pass, and its logits. */
typedef void picture_done(void *context, const picture *p, int at, const float *logits);

/* Runs all pictures, `batch` a pass, with these probes. `shown`: pictures are kept for pages.
 * `before` (may be NULL) is called before each pass, to clear what probes hold. A picture that fails is complained of
 * and the others go on; returns the exit status. */
int pictures_run(session *s, inputs *all, int batch, mv_probe *probes, bool shown, void (*before)(void *),
                 picture_done *done, void *context);

#endif
