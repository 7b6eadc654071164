/* What a run of `eval` is made of, as the first line of its records says: the model, the list of pictures, the methods
 * and how they are measured. Parts are joined, and runs are continued, only where all of it is the same.
 */
#ifndef EVALUATION_SETTINGS_H
#define EVALUATION_SETTINGS_H

#include <jansson.h>

#include "cmd/trust_study.h"

/* `boxes`: regions are marked. The caller's to json_decref; NULL without memory. */
json_t *evaluation_settings(call *c, const trust_study *t, bool boxes);

#endif
