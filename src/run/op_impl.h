/* What the files of operations share: checks of shapes, and the call of the device. */
#ifndef MV_OP_IMPL_H
#define MV_OP_IMPL_H

#include "src/run/ops.h"
#include "src/run/run_impl.h"

static inline bool mv_op_ready(const mv_run *r)
{
    return !r->error.code;
}

static inline size_t mv_op_rows(mv_tensor x)
{
    return mv_tensor_count(x) / (size_t)x.dim[x.nd - 1];
}

/* False if the run has failed, or is asked to stop, which fails it. */
bool mv_op_goes_on(mv_run *r);

/* The same before an operation; false also if `holds` is false, which fails the run and names the shapes. */
bool mv_op_expect(mv_run *r, bool holds, const char *op, mv_tensor a, mv_tensor b);

/* A value like x, but with n columns. */
mv_tensor mv_op_columns(mv_run *r, mv_tensor x, int n, mv_dtype type);

/* Where x + something goes: x, or new memory while operations are on the tape. */
mv_tensor mv_op_onto(mv_run *r, mv_tensor x);

/* Adds the place to a failure of the device, and marks the work with it, so that a late failure can be named. */
void mv_op_done(mv_run *r, const char *op, mv_status s);

/* Calls an operation of the device; a device that computes nothing has none. */
#define MV_OP_RUN(r, op, ...)                                                                                          \
    do {                                                                                                               \
        if (!(r)->b->dry)                                                                                              \
            mv_op_done(r, #op, (r)->b->op((r)->b, __VA_ARGS__, &(r)->error));                                          \
    } while (0)

#endif
