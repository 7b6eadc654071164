/* What a device must offer: memory, weights in the form it likes, and the operations of the network.
 *
 * Three devices stand behind it: `cpu` (oneDNN and own loops; the reference), `null` (computes nothing: a dry
 * run for shapes, MACs and memory) and the GPU plug-in. The network (forward.c) is written once, over ops.h,
 * which checks shapes and hands out memory before it calls here; so a device may trust its arguments.
 *
 * Letters: B pictures, H W rows and columns, C channels; N windows of all pictures (picture-major, then rows of
 * windows), T tokens of a window, E = C/2 scanned channels, S = 8 states, R = rank of the step size.
 * Pictures are channels last (B H W C), tokens N T C. Activations have the device's type `act`; vectors (norms,
 * gamma, A, D) and the states are fp32. An output aliases no input but the residual, which may be the output itself.
 *
 * Values told to be fp32 (dt, h, rows and what is made of them) are written as fp32 whatever `act` is, and so is an
 * `out` of `linear` that asks for it, as the logits do. NaN that comes in is NaN that goes out.
 *
 * Every function that can fail returns its code and writes the sentence into *e. A GPU may run behind the caller:
 * then a late failure is told by `finish`, `read` or the next call.
 */
#ifndef MV_BACKEND_H
#define MV_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

enum { MV_STATES = 8, MV_TAPS = 3 }; /* d_state and d_conv of every mixer */

typedef enum { MV_ACT_NONE, MV_ACT_RELU, MV_ACT_GELU, MV_ACT_GELU_TANH } mv_act; /* GELU is the exact (erf) form */

typedef struct mv_backend mv_backend;

/* A 3x3 convolution, padding 1, with bias; batch norm is folded in before it comes here. */
typedef struct {
    int in, out, stride;
    void *w; /* the device's own form */
} mv_conv;

/* A product y = x W^T + b. */
typedef struct {
    int in, out;
    void *w;
} mv_dense;

/* A vector of fp32 in device memory; NULL data is an absent vector. */
typedef struct {
    int n;
    float *data;
} mv_vector;

/* Room for values on their way to the host: so many bytes on the device, and as many on the host. */
typedef struct {
    size_t size;
    void *device;
    float *host;
    void *own; /* the device's */
} mv_tray;

/* The mixer's weights that belong to the scan. */
typedef struct {
    int channels, rank;  /* E, R */
    mv_vector dt_weight; /* R*E: dt_proj's weight transposed, a row of channels for each rank */
    mv_vector dt_bias;   /* E: TWICE the checkpoint's, as the released models count it */
    mv_vector A;         /* E*S: -exp(A_log) */
    mv_vector D;         /* E */
} mv_ssm;

struct mv_backend {
    const char *name; /* "cpu", "cuda:0", "null" */
    char about[160];  /* one line for `devices` and recipes: processor, instruction set, library */
    mv_dtype act;     /* type of activations: MV_F32, MV_BF16 or MV_F16 */

    void (*free)(mv_backend *);

    /* ---- memory. alloc: at least 64-byte aligned, NULL when there is none. */
    void *(*alloc)(mv_backend *, size_t bytes);
    void (*release)(mv_backend *, void *);
    /* Gathers a strided value into dense row-major fp32 on the host, and back. Waits for what was asked before. */
    mv_status (*read)(mv_backend *, float *host, mv_view from, mv_error *);
    mv_status (*write)(mv_backend *, mv_view to, const float *host, mv_error *);
    /* Waits until all is done; tells of late failures. */
    mv_status (*finish)(mv_backend *, mv_error *);

    /* ---- weights: converted once. `w` is fp32 on the host, (out, in, 3, 3) or (out, in); bias may be NULL.
     * The result lives until its _free, which takes an empty handle too. The null device takes NULL weights. */
    mv_status (*conv_new)(mv_backend *, mv_conv *out, int n_in, int n_out, int stride, const float *w,
                          const float *bias, mv_error *);
    mv_status (*dense_new)(mv_backend *, mv_dense *out, int n_in, int n_out, const float *w, const float *bias,
                           mv_error *);
    mv_status (*vector_new)(mv_backend *, mv_vector *out, int n, const float *values, mv_error *);
    void (*conv_free)(mv_backend *, mv_conv *);
    void (*dense_free)(mv_backend *, mv_dense *);
    void (*vector_free)(mv_backend *, mv_vector *);

    /* ---- operations */

    /* out (B H W C) = planes (B C H W, fp32 on the host), cast to `act`. planes NULL, on a GPU: those of the last call,
     * which are there still */
    mv_status (*picture)(mv_backend *, mv_tensor out, const float *planes, mv_error *);
    /* out (B H' W' O) = act(conv(x (B H W C)) + bias) + residual (as out, or nd 0); H' = ceil(H / stride); any act */
    mv_status (*conv2d)(mv_backend *, mv_tensor out, mv_tensor x, const mv_conv *w, mv_act act, mv_tensor residual,
                        mv_error *);
    /* out (..., O) = residual + gamma * act(x (..., C) W^T + b); gamma and residual may be absent; act is NONE or GELU
     */
    mv_status (*linear)(mv_backend *, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, mv_vector gamma,
                        mv_tensor residual, mv_error *);
    /* out = residual + gamma * x: what `linear` fuses, for when x was watched. Same arithmetic, so fp32 is bit-equal.
     */
    mv_status (*add)(mv_backend *, mv_tensor out, mv_tensor x, mv_vector gamma, mv_tensor residual, mv_error *);
    /* out (..., C): (x - mean) / sqrt(var + eps) * weight + bias over the last dimension */
    mv_status (*layernorm)(mv_backend *, mv_tensor out, mv_tensor x, mv_vector weight, mv_vector bias, float eps,
                           mv_error *);
    /* xz (N T 2E) -> x (N T E) = silu(conv3(left half)), right half of yz (N T 2E) = silu(conv3(right half)).
     * Depthwise along T, zero padding 1 on both sides, no bias; wx, wz: E*3 taps. The left half of yz is left alone. */
    mv_status (*conv1d_silu)(mv_backend *, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz,
                             mv_error *);
    /* dt (N T E, fp32) = softplus(first R columns of proj (N T R+16) W^T + 2b): the step size by itself, when it is
     * watched */
    mv_status (*step)(mv_backend *, mv_tensor dt, mv_tensor proj, const mv_ssm *w, mv_error *);
    /* h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t, h before the window 0; left half of yz = C_t . h_t + D x_t.
     * x (N T E); proj (N T R+16) holds [r | B | C]; dt as `step` gives it, or nd 0: made inside;
     * h (N T E S, fp32) receives every state, or nd 0: none is kept. The right half of yz is left alone. */
    mv_status (*scan)(mv_backend *, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                      mv_tensor h, mv_error *);
    /* left half of yz = C_t . h_t + D x_t from given states: after an edit of h */
    mv_status (*readout)(mv_backend *, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w,
                         mv_error *);
    /* out (N T C) = softmax(q k^T / sqrt(d)) v; qkv (N T 3C) is packed (3, heads, d). rows (N heads T T, fp32) receives
     * the softmax, or nd 0: it is never stored. */
    mv_status (*attention)(mv_backend *, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, mv_error *);
    /* out (N T C) = rows v with given rows: after an edit of them */
    mv_status (*attend)(mv_backend *, mv_tensor out, mv_tensor rows, mv_tensor qkv, mv_error *);
    /* out (N T, fp32) = the Euclidean norm of all E*S states h (N T E S, fp32) of a token */
    mv_status (*state_norm)(mv_backend *, mv_tensor out, mv_tensor h, mv_error *);
    /* Hidden attention (Ali, Zimerman & Wolf 2024, arXiv 2403.01590): out (N T T, fp32) = the mean over channels of
     * |M_e|, M_e[i,j] = sum_n C_i[n] exp(A_en (S_i - S_j)) dt_j[e] B_j[n] for j <= i, S = cumsum dt; exactly 0 for j >
     * i. dt as `step` gives it; y = (M + diag D) x is what `scan` makes of the same proj. */
    mv_status (*hidden)(mv_backend *, mv_tensor out, mv_tensor dt, mv_tensor proj, const mv_ssm *w, mv_error *);
    /* x (B H W C) -> out (N s*s C), zero padding right and below; and back to out (B H W C), padding dropped */
    mv_status (*split)(mv_backend *, mv_tensor out, mv_tensor x, int window, mv_error *);
    mv_status (*merge)(mv_backend *, mv_tensor out, mv_tensor x, int window, mv_error *);
    /* out = x * scale + shift over the last dimension (the final batch norm, when it is watched) */
    mv_status (*affine)(mv_backend *, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *);
    /* out (B C) = mean over H W of x (B H W C), times scale plus shift where given */
    mv_status (*pool)(mv_backend *, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *);

    /* ---- reductions of watched attention rows A (N heads T T), all values fp32 and dense. NULL on a device whose
     * memory is the host's, where reading costs nothing. */

    /* to (N heads T): to_j = sum_i from_i A_ij; with `residual` through A~ = (A + I) / 2, its rows brought to sum 1.
     * from (W T) is a row for each of the W windows of a picture, or of all N. */
    mv_status (*follow)(mv_backend *, mv_tensor to, mv_tensor rows, mv_tensor from, bool residual, mv_error *);
    /* out (N T T) = the mean of the heads */
    mv_status (*mean_heads)(mv_backend *, mv_tensor out, mv_tensor rows, mv_error *);
    /* out (N heads T 3), of each row i: -sum_j A ln A; sum_j A |p_i - p_j| in tokens; the share on padding. Windows are
     * of sqrt(T) tokens a side and cover pictures of h x w cells, padded right and below. */
    mv_status (*measure)(mv_backend *, mv_tensor out, mv_tensor rows, int h, int w, mv_error *);

    /* ---- passes that repeat; NULL where the device gains nothing by it. Ops between record and recorded are not done
     * but kept, with their addresses; replay does them all again for a new picture (`values` floats, as `picture` had).
     * The same pass must have been done once before, so that all memory is at hand. */
    mv_status (*record)(mv_backend *, mv_error *);
    mv_status (*recorded)(mv_backend *, void **pass, mv_error *);
    mv_status (*replay)(mv_backend *, void *pass, const float *planes, size_t values, mv_error *);
    void (*forget)(mv_backend *, void *pass);

    /* ---- values brought over behind the caller's back; NULL where a read costs nothing. put: the value as dense fp32
     * to byte `at` of the tray, in the order of the ops and so recorded with them. send: the first `bytes` of the tray
     * start over to the host, beside the ops that come after. wait: they are there, until the next send; only then may
     * be put anew. */
    mv_status (*tray_new)(mv_backend *, mv_tray *out, size_t bytes, mv_error *);
    void (*tray_free)(mv_backend *, mv_tray *); /* takes an empty one too */
    mv_status (*tray_put)(mv_backend *, mv_tray *, size_t at, mv_view from, mv_error *);
    mv_status (*tray_send)(mv_backend *, mv_tray *, size_t bytes, mv_error *);
    mv_status (*tray_wait)(mv_backend *, mv_tray *, mv_error *);

    /* Tells that all asked for since the last mark was `op` at `site`, so that a failure that shows later can be named;
     * NULL where failures show at once. */
    void (*mark)(mv_backend *, const char *site, const char *op);
};

/* What a device's shared object shows, under the name "mv_plugin_cuda". */
enum { MV_PLUGIN_ABI = 2 }; /* of this file: a plug-in of another is refused */

typedef struct {
    int abi;
    mv_status (*count)(int *n, mv_error *);                   /* devices here; why not, when there is none */
    mv_status (*describe)(int i, char text[160], mv_error *); /* one line: name, capability, memory */
    mv_backend *(*open)(int i, mv_dtype act, mv_error *);     /* NULL on failure; freed by backend->free */
} mv_plugin;

#endif
