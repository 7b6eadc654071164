/* Networks beside the files of the oracle in tests/data/golden. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "src/file/safetensors.h"
#include "tests/network.h"

/* The config in a golden file. */
mv_config golden_config(const mv_safetensors *file);

/* Compares every site with tests/data/golden/NAME.safetensors, on a device that this function frees. Fails the test at
 * the first site that differs by more than `bound` relative L2, else prints the worst. */
void golden_every_site(const char *name, mv_backend *b, double bound);

/* Returns, and prints, the difference of the logits of a published variant from tests/data/golden/variants.safetensors,
 * relative L2, on a device that this function frees. */
double golden_variant(const char *name, mv_backend *b);

#endif
