/* What the tests of the network share: a device, a model with generated weights, a run, distances. */
#ifndef NETWORK_H
#define NETWORK_H

#include "src/file/safetensors.h"
#include "src/model/weights.h"
#include "src/run/run.h"
#include "tests/weights.h"

typedef struct {
    mv_backend *backend;
    mv_model *model;
    weights w;
} network;

/* Fails the test with the text of the error, if there is one. */
void expect_ok(const mv_error *e);

/* A model of this config with generated weights of this seed on the CPU. */
network network_of(const mv_config *config, mv_dtype act, int threads, uint64_t seed);
/* The same on any device; the network takes the device. */
network network_on(const mv_config *config, mv_backend *b, uint64_t seed);
void network_free(network *n);

/* The config in a golden file. */
mv_config golden_config(const mv_safetensors *file);

/* Compares every site with tests/data/golden/NAME.safetensors, on a device that this function frees. Fails the test at
 * the first site that differs by more than `bound` relative L2, else prints the worst. */
void golden_every_site(const char *name, mv_backend *b, double bound);

/* Returns, and prints, the difference of the logits of a published variant from tests/data/golden/variants.safetensors,
 * relative L2, on a device that this function frees. */
double golden_variant(const char *name, mv_backend *b);

/* Deterministic planes (pictures, 3, h, w), smooth plus noise; the caller's to free. */
float *network_input(int pictures, int h, int w, uint64_t seed);

/* |a - b| / |b| over n values; 0 where both are zero, infinite if a value is not finite. */
double relative_l2(const float *a, const float *b, size_t n);

/* A small network with an odd depth, gamma, two sizes of heads: quick, with every operation of the real ones. */
mv_config small_config(void);

#endif
