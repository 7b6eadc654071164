/* Deterministic weights that exercise every term of the network: uniform values of splitmix64, keyed by FNV-1a of the
 * tensor's name. The golden values were made with the same ones by the NumPy oracle.
 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include <stdint.h>

#include "src/model/weights.h"

typedef struct {
    mv_source source;
    uint64_t seed;
} weights;

/* A source of parameters of any shape; lives in the struct. */
mv_source *weights_source(weights *w, uint64_t seed);

/* n values in [-1, 1) of the tensor called `name`. */
void weights_uniform(float *out, const char *name, size_t n, uint64_t seed);

#endif
