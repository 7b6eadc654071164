/* Every operation of a device against plain double loops: one table of cases for all devices.
 *
 * A case makes its values from a seed and rounds them to the types of the device, so that the reference and the device
 * see the same. All values have guard zones (op_stage.h). The caller chooses the bounds: see op_output_distance.
 */
#ifndef OP_CASES_H
#define OP_CASES_H

#include <stdint.h>

#include "src/base/backend.h"

enum { OP_OUTPUTS = 4 };

typedef struct {
    const char *name;
    mv_dtype type; /* as the device wrote it: the bounds of fp32 outputs are tighter, on a bf16 device, too */
    bool exact;    /* only moved or rounded: no bit may differ */
    size_t n;
    float *got;
    double *want;
} op_output;

typedef struct {
    mv_error error;   /* of the device, if it failed: then there are no outputs */
    char damage[200]; /* a sentence if an input, a guard zone or other memory was changed; else "" */
    int outputs;
    op_output output[OP_OUTPUTS];
} op_result;

int op_cases(void);
/* Prints which operations of the table a device lacks, and returns the number of their cases: op_case_run does nothing
 * for these. */
int op_cases_without(const mv_backend *b);
/* "conv2d B1 H5 W7 C3 O17 s2 relu residual"; letters as in backend.h, heads h and d, window w or side s, stride s.
 * Valid until the next call. */
const char *op_case_name(int i);
void op_case_run(int i, mv_backend *b, uint64_t seed, op_result *r);
void op_result_free(op_result *r);

typedef struct {
    double nmse;   /* |got - want|^2 / |want|^2 */
    double excess; /* the largest |got - want| / (absolute + relative |want|): at most 1 if within bounds; infinite for
                      NaN */
    size_t at;     /* where that is */
} op_distance;

op_distance op_output_distance(const op_output *o, double absolute, double relative);

typedef struct {
    double nmse, absolute, relative;
} op_bounds;

/* Prints the faults of a result by `who`, and returns their number: fp32 outputs must be within `wide`, others within
 * `narrow`, and values that are only moved must be bit-equal. `worst`, if not NULL, keeps the largest NMSE of both
 * kinds. */
int op_result_faults(const op_result *r, const char *who, const char *name, op_bounds wide, op_bounds narrow,
                     double worst[2]);

#endif
