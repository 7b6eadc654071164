/* The operations as plain loops in double over fp32 values: slow, and short enough to be obviously right.
 * Letters and layouts as in backend.h. An absent vector or residual is NULL.
 */
#ifndef OP_REFERENCE_H
#define OP_REFERENCE_H

#include "src/base/backend.h"

double ref_act(double x, mv_act act);

/* x (B H W C), w (O C 3 3) -> out (B H' W' O) */
void ref_conv2d(double *out, const float *x, int b, int h, int w, int c, int o, int stride, const float *weight,
                const float *bias, mv_act act, const float *residual);
void ref_linear(double *out, const float *x, size_t rows, int in, int o, const float *weight, const float *bias,
                mv_act act, const float *gamma, const float *residual);
/* residual + gamma * act(x) */
void ref_add(double *out, const float *x, const float *gamma, const float *residual, mv_act act, size_t rows, int c);
void ref_layernorm(double *out, const float *x, const float *weight, const float *bias, double eps, size_t rows, int c);
/* One half of xz, from column `from` on, to (N T E) */
void ref_conv1d_silu(double *out, const float *xz, int from, const float *taps, int n, int tokens, int e);
void ref_step(double *dt, const float *proj, const float *weight, const float *bias, size_t tokens, int e, int rank);
/* Every state, (N T E S) */
void ref_states(double *h, const float *x, const float *proj, const double *dt, const float *A, int n, int tokens,
                int e, int rank);
void ref_readout(double *y, const float *x, const float *proj, const double *h, const float *D, size_t tokens, int e,
                 int rank);
/* |h_t| (N T) from h (N T E S) */
void ref_state_norm(double *out, const float *h, size_t tokens, int e);
/* |M_e|, or M_e with_sign, of a channel (N T T), by its definition and not by the recurrence; channel -1: the mean over
 * channels */
void ref_hidden(double *out, const float *dt, const float *proj, const float *A, int n, int tokens, int e, int rank,
                int channel, bool with_sign);
void ref_half_life(double *out, const float *dt, const float *A, size_t tokens, int e, int channel);
/* Rows of the queries [first, first + queries), packed as backend.h says, with `room` rows for each window. */
void ref_spread(double *rows, const float *xz, const float *proj, const float *dt, const float *A, const float *D,
                const float *wx, const float *wz, int n, int tokens, int e, int rank, int first, int queries, int room);
/* Writes rows [first, first + queries) of out and parts only. */
void ref_weigh(double *out, double *parts, const float *vectors, int n, int tokens, int channels, int first,
               int queries, int room);
void ref_roll(double *out, const float *rows, const float *before, int n, int tokens);
/* Of rows (N heads T T): to (N heads T) from (windows T), also through (A + I) / 2; the mean (N T T); figures
 * (N heads T 3) for windows of side x side tokens over h x w cells */
void ref_follow(double *to, const float *rows, const float *from, int n, int heads, int tokens, int windows,
                mv_rows_form form);
void ref_mean_heads(double *out, const float *rows, int n, int heads, int tokens);
void ref_measure(double *out, const float *rows, int n, int heads, int side, int h, int w);
/* softmax(q k^T / sqrt(d)), (N heads T T); and rows v, (N T C) */
void ref_rows(double *rows, const float *qkv, int n, int tokens, int heads, int d);
void ref_attend(double *out, const double *rows, const float *qkv, int n, int tokens, int heads, int d);
void ref_split(double *out, const float *x, int b, int h, int w, int c, int window);
void ref_merge(double *out, const float *x, int b, int h, int w, int c, int window);
void ref_affine(double *out, const float *x, const float *scale, const float *shift, size_t rows, int c);
void ref_pool(double *out, const float *x, int b, size_t cells, int c, const float *scale, const float *shift);

#endif
