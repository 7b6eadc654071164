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

/* Fails the test with the error's text where there is one. */
void expect_ok(const mv_error *e);

/* A model of this config with generated weights of this seed on the CPU. */
network network_of(const mv_config *config, mv_dtype act, int threads, uint64_t seed);
/* The same on any device, which is the network's from here on. */
network network_on(const mv_config *config, mv_backend *b, uint64_t seed);
void network_free(network *n);

/* The config a golden file carries. */
mv_config golden_config(const mv_safetensors *file);

/* Every site of tests/data/golden/NAME.safetensors against the oracle's values, on a device that is this function's
 * from here on: fails the test at the first site that is off by more than `bound` relative L2, else tells the worst. */
void golden_every_site(const char *name, mv_backend *b, double bound);

/* How far a published variant's logits are from the oracle's (tests/data/golden/variants.safetensors), relative L2, on
 * a device that is this function's from here on; tells it, too. */
double golden_variant(const char *name, mv_backend *b);

/* Deterministic planes (pictures, 3, h, w), smooth plus noise; the caller's to free. */
float *network_input(int pictures, int h, int w, uint64_t seed);

/* |a - b| / |b| over n values; 0 where both are zero, infinite where a value is not finite. */
double relative_l2(const float *a, const float *b, size_t n);

/* A small network with an odd depth, gamma, two heads sizes: quick, yet every op of the real ones. */
mv_config small_config(void);

#endif
