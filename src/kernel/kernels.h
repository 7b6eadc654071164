/* The CPU's loops, as tables of functions: the sources are compiled once per instruction set, and a caller takes the
 * best table that the processor supports. A kernel takes no memory and reports no errors. Rows are dense; data with a
 * `type` are fp32 or bf16, and arithmetic is fp32. Letters as in backend.h.
 */
#ifndef MV_KERNELS_H
#define MV_KERNELS_H

#include <stddef.h>

#include "src/base/backend.h"

/* The scan of one window over channels [from, to). */
typedef struct {
    int tokens, channels, rank, from, to;
    mv_dtype type;    /* of x, proj, yz */
    const void *x;    /* T E */
    const void *proj; /* T R+2S: [r | B | C] */
    const float *dt;  /* T E; NULL: computed from dt_weight and dt_bias */
    const float *dt_weight, *dt_bias;
    const float *A, *D; /* E S; E */
    void *yz;           /* T 2E: the left half of each row is written */
    float *h;           /* T E S, or NULL */
} mv_scan_job;

/* Channels whose gradients of a scan are computed together: a job begins at a multiple of it, and has no more. So the
 * sums over channels have an order that does not depend on the number of threads. */
enum { MV_SCAN_BACK_CHANNELS = 32 };

/* backend.h's `scan_back` of one window, for channels [from, to). */
typedef struct {
    int tokens, channels, rank, from, to;
    mv_dtype type;    /* of dyz, x, proj, dx */
    const void *dyz;  /* T 2E: the left half of each row is dy */
    const void *x;    /* T E */
    const void *proj; /* T R+2S: [r | B | C] */
    const float *dt;  /* T E */
    const float *h;   /* T E S; not read if held */
    const float *A, *D;
    void *dx;    /* T E */
    float *ddt;  /* T E; NULL: held */
    float *dh;   /* T E S, or NULL */
    float *sums; /* T 2S: receives [dB | dC], summed over these channels, unless held */
} mv_scan_back_job;

/* Rows of a head that are computed together. A job begins at a multiple of it, so that a row's result is the same to
 * the last bit for any number of threads that share the head. */
enum { MV_ATTENTION_ROWS = 6 };

/* Rows [from, to) of softmax(q k^T scale) v, of one head. */
typedef struct {
    int tokens, d, stride, from, to; /* stride: elements from one token's q to the next token's; the same for k and v */
    mv_dtype type;
    const void *q, *k, *v; /* token 0 of this head */
    void *out;             /* token 0 of this head; out_stride elements from token to token */
    int out_stride;
    float scale;
    float *rows;   /* T T: receives the softmax, or NULL */
    float *packed; /* mv_kernels.packed(T, d) floats, filled by `pack` */
    float *scores; /* mv_kernels.scores(T) floats that no other call uses */
} mv_attention_job;

/* backend.h's `attention_back` of one head. */
typedef struct {
    int tokens, d;
    int stride; /* elements from one token's q to the next token's; the same for k, v and dq, dk, dv */
    mv_dtype type;
    bool held;             /* dq and dk are 0 */
    const void *q, *k, *v; /* token 0 of this head */
    const void *dout;      /* the same, `dout_stride` elements from token to token */
    int dout_stride;
    void *dq, *dk, *dv;
    float scale;
    float *drows;   /* T T, or NULL */
    float *scratch; /* mv_kernels.attention_back_scratch(T, d) floats that no other call uses */
} mv_attention_back_job;

/* Hidden attention of one window, the mean over channels [from, to): the columns of blocks first, first + every, ... */
typedef struct {
    int tokens, channels, rank, first, every, from, to;
    bool with_sign;
    mv_dtype type;    /* of proj */
    const void *proj; /* T R+2S: [r | B | C] */
    const float *dt;  /* T E */
    const float *A;   /* E S */
    float *out;       /* T T */
    float *scratch;   /* mv_kernels.hidden_scratch floats that no other call uses */
} mv_hidden_job;

/* backend.h's `spread` for one window: channels [from, to) of the rows of queries [first, first + queries). */
typedef struct {
    int tokens, channels, rank, first, queries, from, to;
    mv_dtype type;    /* of xz, proj, rows */
    const void *xz;   /* T 2E */
    const void *proj; /* T R+2S: [r | B | C] */
    const float *dt;  /* T E */
    const float *A, *D;
    const float *wx, *wz; /* E*3 */
    void *rows;           /* 2E columns */
    float *scratch;       /* mv_kernels.spread_scratch(T) floats that no other call uses */
} mv_spread_job;

/* Resampling: the weights are fixed-point numbers of so many fractional bits, which is Pillow's PRECISION_BITS (of 32
 * bits, 8 are the pixel's and 2 are for the filter's overshoot); lines are padded to a multiple of LANES bytes. */
enum { MV_BICUBIC_FRACTION = 32 - 8 - 2, MV_BICUBIC_LANES = 32 };

typedef struct {
    const char *name; /* of the instruction set: "plain", "avx2", "avx512", "avx512bf16" */

    void (*layernorm)(void *out, const void *x, const float *weight, const float *bias, float eps, size_t rows, int c,
                      mv_dtype type);
    /* out = residual + gamma * act(acc); residual and gamma may be NULL; act NONE or GELU (erf) */
    void (*epilogue)(void *out, mv_dtype out_type, const float *acc, const float *gamma, const void *residual,
                     mv_dtype residual_type, mv_act act, size_t rows, int c);
    void (*widen)(float *out, const void *in, mv_dtype type, size_t n);
    void (*narrow)(void *out, mv_dtype type, const float *in, size_t n);
    /* Tokens [from, to) of one window; see backend.h's conv1d_silu. wx and wz are E*3. */
    void (*conv1d_silu)(void *x, void *yz, const void *xz, const float *wx, const float *wz, int tokens, int e,
                        int from, int to, mv_dtype type);
    void (*step)(float *dt, const void *proj, const float *weight, const float *bias, size_t tokens, int e, int rank,
                 mv_dtype type);
    void (*scan)(const mv_scan_job *job);
    void (*readout)(void *yz, const void *x, const void *proj, const float *h, const float *D, size_t tokens, int e,
                    int rank, mv_dtype type);

    void (*norm)(float *out, const float *x, size_t rows, size_t n); /* Euclidean, of each row of n values */
    int (*hidden_blocks)(int tokens);                                /* of columns, into which a window is divided */
    size_t (*hidden_scratch)(int tokens, int every);
    void (*hidden)(const mv_hidden_job *job);
    /* backend.h's half_life for these tokens, over channels [from, to); dt has e channels. scratch: room for
     * half_life_scratch(to - from) floats that no other call uses. */
    void (*half_life)(float *out, const float *dt, const float *A, size_t tokens, int e, int from, int to,
                      float *scratch);
    size_t (*half_life_scratch)(int channels);
    size_t (*spread_scratch)(int tokens);
    void (*spread)(const mv_spread_job *job);
    /* Rows [from, to) of backend.h's roll for one window; before NULL: none. */
    void (*roll)(float *out, const float *rows, const float *before, int tokens, int from, int to);

    size_t (*packed)(int tokens, int d);
    size_t (*scores)(int tokens);
    void (*pack)(const mv_attention_job *job);      /* writes k and v of the head to job->packed */
    void (*attention)(const mv_attention_job *job); /* after pack */
    void (*attend)(const mv_attention_job *job);    /* after pack: out = rows v, with job->rows as the softmax */

    /* Of the backward pass, as backend.h says. activate and activate_back: n values; activate: not GELU_TANH. */
    void (*activate)(void *out, const void *x, mv_act act, int n, mv_dtype type);
    void (*activate_back)(void *dx, const void *dy, const void *x, mv_act act, bool held, int n, mv_dtype type);
    void (*dot)(float *out, const void *x, const void *y, bool one_row, bool positive, size_t rows, size_t c,
                mv_dtype type);
    /* A row of w cells of dx, with c channels, of the transpose of a convolution of stride 2. Rows above and below have
     * (3 3 C) for each of (w + 1) / 2 cells of dy: what the cell adds to its neighbours. For an even row, above is the
     * row of dy at it, and below NULL; for an odd one they are its neighbours, below NULL if there is none. */
    void (*gather)(void *dx, const void *residual, const float *above, const float *below, bool odd, int w, int c,
                   mv_dtype type);
    void (*mean_back)(void *dx, const void *dy, const float *scale, size_t cells, int c, mv_dtype type);
    /* A residual may be NULL, and may be dx itself. */
    void (*layernorm_back)(void *dx, const void *dy, const void *x, const float *weight, float eps, bool held,
                           const void *residual, size_t rows, int c, mv_dtype type);
    /* Tokens [from, to) of one window. */
    void (*conv1d_silu_back)(void *dxz, const void *dx, const void *dyz, const void *xz, const float *wx,
                             const float *wz, bool held, int tokens, int e, int from, int to, mv_dtype type);
    /* Writes the first R columns of dproj's rows. scratch: e floats that no other call uses. */
    void (*step_back)(void *dproj, const float *ddt, const float *dt, const float *weight, size_t tokens, int e,
                      int rank, mv_dtype type, float *scratch);
    void (*scan_back)(const mv_scan_back_job *job);
    size_t (*attention_back_scratch)(int tokens, int d);
    void (*attention_back)(const mv_attention_back_job *job);

    /* Sums of bytes, for resampling: sums[l] += sum over t of weight[t] * lines[t * stride + l] for l < n, a multiple
     * of MV_BICUBIC_LANES. A long sum comes in pieces: the first one sets `sums` to the rounding half before it adds;
     * the last one writes out[l] = sums[l] shifted right by MV_BICUBIC_FRACTION and clipped to a byte, and may leave
     * `sums` undefined. */
    void (*bicubic)(uint8_t *out, int32_t *sums, size_t n, const uint8_t *lines, size_t stride, const int32_t *weight,
                    int taps, bool first, bool last);
} mv_kernels;

/* The best table for this processor; and the i-th of all that it supports, best first: NULL past the last. */
const mv_kernels *mv_kernels_best(void);
const mv_kernels *mv_kernels_at(int i);

#endif
