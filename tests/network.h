/* What the tests of the network share: a device, a model with generated weights, a run, distances. */
#ifndef NETWORK_H
#define NETWORK_H

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

/* A model of this config with generated weights of this seed on the CPU (network_cpu.c). */
network network_of(const mv_config *config, mv_dtype act, int threads, uint64_t seed);
/* The same on any device; the network takes the device. */
network network_on(const mv_config *config, mv_backend *b, uint64_t seed);
void network_free(network *n);

/* Deterministic planes (pictures, 3, h, w), smooth plus noise; the caller's to free. */
float *network_input(int pictures, int h, int w, uint64_t seed);

/* |a - b| / |b| over n values; 0 where both are zero, infinite if a value is not finite. */
double relative_l2(const float *a, const float *b, size_t n);

/* A small network with an odd depth, gamma, two sizes of heads: quick, with every operation of the real ones. */
mv_config small_config(void);

#endif
