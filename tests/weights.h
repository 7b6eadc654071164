/* The generated weights under the names of the tests. The golden values were made with the same ones by the NumPy
 * oracle.
 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "src/model/generated.h"

typedef mv_generated weights;

static inline mv_source *weights_source(weights *w, uint64_t seed)
{
    return mv_generated_source(w, seed);
}

static inline void weights_uniform(float *out, const char *name, size_t n, uint64_t seed)
{
    mv_generated_values(out, name, n, seed);
}

#endif
