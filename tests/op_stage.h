/* Values of one operation on a device, with guard zones: the zones, and everything that the operation must not write,
 * are compared afterwards. The zones of inputs are NaN, which a read out of bounds would spread. Outputs are NaN
 * before, and their zones are numbers, so that a missing write and a write out of bounds are both found.
 */
#ifndef OP_STAGE_H
#define OP_STAGE_H

#include "tests/op_cases.h"

enum { STAGE_VALUES = 12, STAGE_VECTORS = 8, STAGE_OWNED = 48 };

typedef struct {
    const char *name;
    mv_tensor t;
    size_t n;
    float *host; /* what was written, rounded to the type of the device */
    bool changes;
    int skew;
    int keep_from, keep_to; /* columns that must not change */
    void *memory;
    float *before; /* host with its guard zones */
} stage_value;

typedef struct {
    mv_vector v;
    const float *host; /* NULL: absent */
} stage_vector;

typedef struct {
    mv_ssm w;
    stage_vector dt_weight, dt_bias, A, D;
} stage_ssm;

typedef struct {
    mv_backend *b;
    uint64_t seed;
    mv_error e; /* passed to every operation */
    int values, vectors, owned, outputs;
    int skew; /* elements by which the values made from now on begin behind a multiple of 64 bytes */
    stage_value value[STAGE_VALUES];
    mv_vector vector[STAGE_VECTORS];
    void *own[STAGE_OWNED];
    mv_dense dense;
    mv_conv conv;
    struct {
        const stage_value *v;
        double *want;
        bool exact;
    } output[OP_OUTPUTS];
} stage;

void stage_open(stage *s, mv_backend *b, uint64_t seed);
/* Waits for the device, checks every guard zone, copies the outputs to *r and frees all memory. */
void stage_close(stage *s, op_result *r);

/* n values in centre +- spread, rounded to `type`; the name is part of the seed. Valid until the stage is closed. */
float *stage_random(stage *s, const char *name, size_t n, mv_dtype type, float centre, float spread);

stage_value *stage_in(stage *s, const char *name, mv_dtype type, float centre, float spread, int nd, const int *dim);
stage_value *stage_given(stage *s, const char *name, mv_dtype type, const float *values, int nd, const int *dim);
stage_value *stage_out(stage *s, const char *name, mv_dtype type, int nd, const int *dim);
/* The columns [from, to) of an output are numbers that must not change. */
void stage_keep(stage *s, stage_value *v, int from, int to);

stage_vector stage_vector_of(stage *s, const char *name, size_t n, float centre, float spread);
stage_ssm stage_ssm_of(stage *s, int channels, int rank);
/* Creates s->dense or s->conv, and returns the weights on the host, rounded as for products. */
const float *stage_dense(stage *s, int in, int out, const float *bias);
const float *stage_conv(stage *s, int in, int out, int stride, const float *bias);

/* The current contents of a value; freed with the stage. */
float *stage_read(stage *s, const stage_value *v);
/* Memory for a reference. */
double *stage_doubles(size_t n);
double *stage_widened(const float *values, size_t n);
/* Takes `want`, which has only the columns that change. */
void stage_expect(stage *s, const stage_value *v, double *want, bool exact);

#define DIMS(...)                                                                                                      \
    (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (const int[])                                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

#endif
