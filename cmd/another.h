/* The maps of an input that is not one of the stream's pictures, by a run of its own: of another model, or of a picture
 * that was made of several.
 */
#ifndef ANOTHER_H
#define ANOTHER_H

#include "cmd/command.h"

typedef struct another another;

/* The call's asks, for inputs of h x w px on this model; both are borrowed. NULL on failure. */
another *another_new(const call *c, const mv_model *model, int h, int w, mv_error *e);
void another_free(another *a); /* NULL is fine */
bool another_fits(const another *a, int h, int w);

/* The maps of every ask, maps[CALL_ASKS], which the caller frees, also after a failure. planes (3, h, w). Asks for a
 * class get this one. */
mv_status another_explain(another *a, const float *planes, int class_, mv_maps *maps, mv_error *e);

#endif
