/* Values of one operation on a device, guarded: what surrounds them, and whatever the operation was not asked to write,
 * must be the same afterwards. Inputs lie between NaN, which a read too far would spread; answers are NaN before and
 * lie between numbers, so that neither a value left out nor one too many goes unseen.
 */
#ifndef OP_STAGE_H
#define OP_STAGE_H

#include "tests/op_cases.h"

enum { STAGE_VALUES = 12, STAGE_VECTORS = 8, STAGE_OWNED = 48 };

typedef struct {
    const char *name;
    mv_tensor t;
    size_t n;
    float *host; /* what was written, as the device's type rounds it */
    bool changes;
    int keep_from, keep_to; /* columns that stay although the others change */
    void *memory;
    float *before; /* host with its guards */
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
    mv_error e; /* handed to every operation */
    int values, vectors, owned, outputs;
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
/* Waits for the device, looks at every guard, gathers the outputs into *r and gives all memory back. */
void stage_close(stage *s, op_result *r);

/* Host memory that lives as long as the stage: n values in centre +- spread, rounded to `type`. Keyed by name. */
float *stage_random(stage *s, const char *name, size_t n, mv_dtype type, float centre, float spread);

stage_value *stage_in(stage *s, const char *name, mv_dtype type, float centre, float spread, int nd, const int *dim);
stage_value *stage_given(stage *s, const char *name, mv_dtype type, const float *values, int nd, const int *dim);
stage_value *stage_out(stage *s, const char *name, mv_dtype type, int nd, const int *dim);
/* The columns [from, to) of an answer are numbers that must stay. */
void stage_keep(stage *s, stage_value *v, int from, int to);

stage_vector stage_vector_of(stage *s, const char *name, size_t n, float centre, float spread);
stage_ssm stage_ssm_of(stage *s, int channels, int rank);
/* The device's own form goes into s->dense or s->conv, the host's (rounded as products are) is returned. */
const float *stage_dense(stage *s, int in, int out, const float *bias);
const float *stage_conv(stage *s, int in, int out, int stride, const float *bias);

/* What a value holds now; the stage's to free. */
float *stage_read(stage *s, const stage_value *v);
/* Room for a reference. */
double *stage_doubles(size_t n);
double *stage_widened(const float *values, size_t n);
/* `want` is the result's from here on; it has the columns that change. */
void stage_expect(stage *s, const stage_value *v, double *want, bool exact);

#define DIMS(...)                                                                                                      \
    (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (const int[])                                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

#endif
