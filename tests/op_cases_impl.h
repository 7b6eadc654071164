/* For the tables of cases: what a case is. op_cases.c has those of a forward pass, op_back_cases.c those of a backward
 * pass, and op_table.c joins them. */
#ifndef OP_CASES_IMPL_H
#define OP_CASES_IMPL_H

#include "tests/op_stage.h"

enum {
    RESIDUAL = 1,
    ONTO = 2, /* the residual, or the input, is the output itself */
    GAMMA = 4,
    FP32 = 8, /* the output or dy, for every type of the device */
    NOBIAS = 16,
    GIVEN = 32,   /* dt */
    KEPT = 64,    /* h, rows, dh, drows */
    SCALED = 128, /* by a scale and a shift */
    SIGNED = 256,
    ONE = 512, /* channel, the last */
    SHARES = 1024,
    SKEWED = 2048, /* values are aligned to one element only */
    NANS = 4096,   /* in a token of one head, the last but one; in a backward pass, one in each input that changes */
    HELD = 8192,
    ROW = 16384, /* y is one row */
    POSITIVE = 32768
};

typedef struct {
    int op;   /* index of its kind */
    int d[6]; /* as the kind's letters say */
    mv_act act;
    unsigned flags;
} op_case;

typedef struct {
    const char *name, *letters;
    void (*run)(stage *, const op_case *);
    size_t at; /* of the operation in mv_backend; 0: every device has it */
} op_kind;

extern const op_kind op_forward_kinds[], op_back_kinds[];
int op_forward_cases(void);
op_case op_forward_case_at(int i);
int op_back_cases(void);
op_case op_back_case_at(int i);

/* The output of an operation that may add a residual, and the residual: a value of its own, the output itself, or none.
 */
stage_value *op_out_of(stage *s, const op_case *c, const char *name, mv_dtype type, int nd, const int *dim,
                       stage_value *residual);

#endif
