/* Every operation of a device, case by case, against plain double loops: one table that any `mv_backend` is held to.
 *
 * A case makes its values fresh from a seed, rounds them to the device's types first, so that the reference sees what
 * the device sees, lays guard zones around all of them and NaN where an answer is due. What the bounds must be is the
 * caller's to say: see op_output_distance.
 */
#ifndef OP_CASES_H
#define OP_CASES_H

#include <stdint.h>

#include "src/base/backend.h"

enum { OP_OUTPUTS = 2 };

typedef struct {
    const char *name;
    mv_dtype type; /* as the device wrote it: an fp32 value is held to more than the rest of a bf16 device's */
    bool exact;    /* only moved or rounded, so no bit may differ */
    size_t n;
    float *got;
    double *want;
} op_output;

typedef struct {
    mv_error error;   /* the device's sentence, if it failed: no outputs then */
    char damage[200]; /* a sentence where an input, a guard zone or a part to be left alone was changed; else "" */
    int outputs;
    op_output output[OP_OUTPUTS];
} op_result;

int op_cases(void);
/* "conv2d B1 H5 W7 C3 O17 s2 relu residual"; letters as in backend.h, heads h and d, window w or side s, stride s. */
const char *op_case_name(int i);
void op_case_run(int i, mv_backend *b, uint64_t seed, op_result *r);
void op_result_free(op_result *r);

typedef struct {
    double nmse;   /* |got - want|^2 / |want|^2 */
    double excess; /* the largest |got - want| / (absolute + relative |want|): 1 at most is within; infinite for NaN */
    size_t at;     /* where that is */
} op_distance;

op_distance op_output_distance(const op_output *o, double absolute, double relative);

typedef struct {
    double nmse, absolute, relative;
} op_bounds;

/* Tells what is wrong with a result by `who`, and how many faults that is: fp32 outputs are held to `wide`, others to
 * `narrow`, and what is only moved to every bit. `worst`, where given, keeps the largest NMSE of both kinds. */
int op_result_faults(const op_result *r, const char *who, const char *name, op_bounds wide, op_bounds narrow,
                     double worst[2]);

#endif
