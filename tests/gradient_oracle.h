/* The networks and pictures of the oracle's gradients, tests/data/gradients/NAME.safetensors: padded, odd, windows with
 * generated weights, and nano, the embedded network. */
#ifndef GRADIENT_ORACLE_H
#define GRADIENT_ORACLE_H

#include "src/model/checkpoint.h"
#include "tests/golden.h"

typedef struct {
    mv_safetensors *file;
    mv_checkpoint *checkpoint; /* of the embedded network; else NULL */
    network net;
    int h, w, class_, against[2], againsts;
    float *planes; /* (3, h, w) */
} oracle;

oracle oracle_open(const char *name, mv_backend *b); /* takes the device */
void oracle_close(oracle *o);

#endif
