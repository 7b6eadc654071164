/* The operations of a backward pass as plain loops in double, by the equations of backend.h.
 * tests/test_back_reference.c holds them to differences of the forward loops of op_reference.h. An absent residual,
 * scale or output is NULL.
 */
#ifndef OP_BACK_REFERENCE_H
#define OP_BACK_REFERENCE_H

#include "src/base/backend.h"

/* act'(x), or g(x) of act(x) = x g(x) if held */
double ref_act_back(double x, mv_act act, bool held);
/* y has the rows of x, or is the one row of all */
void ref_dot(double *out, const float *x, const float *y, bool one_row, bool positive, size_t rows, int c);
/* dy (B H' W' O), w (O C 3 3) -> dx (B H W C) */
void ref_conv2d_back(double *dx, const float *dy, int b, int h, int w, int c, int o, int stride, const float *weight,
                     const float *residual);
void ref_linear_back(double *dx, const float *dy, size_t rows, int in, int o, const float *weight,
                     const float *residual);
void ref_layernorm_back(double *dx, const float *dy, const float *x, const float *weight, double eps, bool held,
                        const float *residual, size_t rows, int c);
/* Columns [from, from + E) of dxz (N T 2E), from the columns [at, at + E) of rows of `width`. */
void ref_conv1d_silu_back(double *dxz, int from, const float *dout, int width, int at, const float *xz,
                          const float *taps, int n, int tokens, int e, bool held);
/* (tokens R), the columns of dproj that step_back writes */
void ref_step_back(double *dr, const float *ddt, const double *dt, const float *weight, size_t tokens, int e, int rank);
/* dbc (N T 2S), the columns of dproj that scan_back writes; dbc, ddt and dh may be NULL. */
void ref_scan_back(double *dx, double *dbc, double *ddt, double *dh, const float *dyz, const float *x,
                   const float *proj, const double *dt, const double *h, const float *A, const float *D, int n,
                   int tokens, int e, int rank);
/* rows (N h T T) as from ref_rows; drows of that shape */
void ref_attention_back(double *dqkv, double *drows, const float *dout, const double *rows, const float *qkv, int n,
                        int tokens, int heads, int d, bool held);
void ref_pool_back(double *dx, const float *dy, int b, size_t cells, int c, const float *scale);

#endif
