/* Parameters that no training made: for measurements, which do not depend on their values, and for tests. They are
 * deterministic and exercise every term of the network: uniform values of splitmix64, keyed by FNV-1a of the tensor's
 * name.
 */
#ifndef MV_GENERATED_H
#define MV_GENERATED_H

#include <stdint.h>

#include "src/model/weights.h"

typedef struct {
    mv_source source;
    uint64_t seed;
} mv_generated;

/* A source of parameters of any shape; lives in the struct. */
mv_source *mv_generated_source(mv_generated *g, uint64_t seed);

/* n values in [-1, 1) of the tensor called `name`. */
void mv_generated_values(float *out, const char *name, size_t n, uint64_t seed);

#endif
