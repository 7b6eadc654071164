/* What a device offers: memory, weights in its own form, and the operations of the network.
 *
 * There are three devices: `cpu` (oneDNN and own loops; the reference), `null` (computes nothing: a dry run for shapes,
 * multiply-adds and memory) and the GPU plug-in. The network (run/forward.c) calls the functions of run/ops.h, which
 * check shapes and allocate outputs before they call the device, so a device may rely on its arguments.
 *
 * Letters: B pictures, H W rows and columns, C channels; N windows of all pictures (ordered by picture, then by rows of
 * windows), T tokens of a window, h heads, E = C/2 scanned channels, S = 8 states, R = rank of the step size.
 * Pictures are channels last (B H W C), tokens are N T C. Activations have the device's type `act`; vectors (norms,
 * gamma, A, D) and the states are fp32. An output never aliases an input, except that it may be the residual.
 *
 * Values marked fp32 (dt, h, rows and what is computed from them) are fp32 for every `act`, and so is the `out` of
 * `linear` if its type is fp32, as that of the logits is. NaN inputs give NaN outputs.
 *
 * Every function that can fail returns a code and writes a sentence to *e. A GPU works asynchronously: a failure may
 * be reported by a later call, by `finish` or by `read`.
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

/* A 3x3 convolution with padding 1 and a bias. Batch norms are already folded in. */
typedef struct {
    int in, out, stride;
    void *w;                 /* in the form of the device */
    int spare_in, spare_out; /* how many of the channels are zeros behind the network's own: see channel_multiple. Set
                                by whoever calls conv_new */
} mv_conv;

/* A linear layer y = x W^T + b. */
typedef struct {
    int in, out;
    void *w;
    int spare_out; /* as of a convolution */
} mv_dense;

/* Multiply-adds for each position of the output, without those with spare channels. */
static inline size_t mv_conv_macs(const mv_conv *w)
{
    return (size_t)(w->in - w->spare_in) * (size_t)(w->out - w->spare_out) * MV_TAPS * MV_TAPS;
}

static inline size_t mv_dense_macs(const mv_dense *w)
{
    return (size_t)w->in * (size_t)(w->out - w->spare_out);
}

/* A vector of fp32 in device memory. data NULL: there is no vector. */
typedef struct {
    int n;
    float *data;
} mv_vector;

/* A staging buffer for values on their way to the host: `size` bytes on the device and as many on the host. Operations
 * may write their outputs there, as `transfer_put` does. */
typedef struct {
    size_t size;
    void *device;
    float *host;
    void *own; /* belongs to the device */
} mv_transfer;

/* The weights of a mixer's scan. */
typedef struct {
    int channels, rank;  /* E, R */
    int spare_ranks;     /* how many of R are zeros behind the network's own: see channel_multiple */
    mv_vector dt_weight; /* R*E: dt_proj's weight transposed, a row of channels for each rank */
    mv_vector dt_bias;   /* E: TWICE the bias of the checkpoint, because the released code adds it twice */
    mv_vector A;         /* E*S: -exp(A_log) */
    mv_vector D;         /* E */
} mv_ssm;

/* How a reduction reads rows A. */
typedef enum {
    MV_ROWS_GIVEN,
    MV_ROWS_RESIDUAL, /* (A + I) / 2 with rows scaled to sum 1 (Abnar & Zuidema 2020, arXiv 2005.00928) */
    MV_ROWS_SHARES    /* rows scaled to sum 1; a row that sums to 0 stays 0 */
} mv_rows_form;

/* The number of rows that `spread` writes for the queries [first, first + queries) of a window of T tokens. */
static inline size_t mv_spread_rows(int tokens, int first, int queries)
{
    size_t n = (size_t)queries, i = (size_t)first;
    return n * 5 + n * i + n * (n - (n > 0)) / 2 - (queries > 0 && first + queries == tokens);
}

/* The batches of a very long run: all of ImageNet-21k, 128 pictures at a time, takes fewer. */
enum { MV_BATCHES_MANY = 1 << 17 };

struct mv_backend {
    const char *name;     /* "cpu", "cuda:0", "null" */
    char about[160];      /* one line for `devices` and recipes: processor, instruction set, library */
    mv_dtype act;         /* type of activations: MV_F32, MV_BF16 or MV_F16 */
    bool fp8;             /* some products of an F16 device are of E4M3: see `linear` */
    bool dry;             /* a device that computes nothing: it has none of the operations, and run/ops.h skips them */
    int channel_multiple; /* maps of convolutions and rows of x_proj are stored with a multiple of so many channels: the
                             model adds zeros; at least 1, or 0 for 1 */
    long batches;         /* that are expected, as far as the program knows, which may write it: a device spends time on
                             preparing for many; 0: few */
    size_t transfer_max;  /* bytes that a staging buffer may have; 0: the memory is the host's, and there are none */

    void (*free)(mv_backend *);

    /* ---- memory. alloc: aligned to 64 bytes or more; NULL if there is not enough. */
    void *(*alloc)(mv_backend *, size_t bytes);
    void (*release)(mv_backend *, void *);
    /* Copies a strided value to dense row-major fp32 on the host, and back. Waits for all earlier work. */
    mv_status (*read)(mv_backend *, float *host, mv_view from, mv_error *);
    mv_status (*write)(mv_backend *, mv_view to, const float *host, mv_error *);
    /* Waits for all work and reports its failures. */
    mv_status (*finish)(mv_backend *, mv_error *);

    /* ---- weights, converted once. `w` is fp32 on the host, (out, in, 3, 3) or (out, in); bias may be NULL. The result
     * lives until the _free function, which accepts an empty handle. The null device accepts NULL weights. */
    mv_status (*conv_new)(mv_backend *, mv_conv *out, int n_in, int n_out, int stride, const float *w,
                          const float *bias, mv_error *);
    mv_status (*dense_new)(mv_backend *, mv_dense *out, int n_in, int n_out, const float *w, const float *bias,
                           mv_error *);
    mv_status (*vector_new)(mv_backend *, mv_vector *out, int n, const float *values, mv_error *);
    void (*conv_free)(mv_backend *, mv_conv *);
    void (*dense_free)(mv_backend *, mv_dense *);
    void (*vector_free)(mv_backend *, mv_vector *);

    /* ---- operations */

    /* out (B H W 3) = pixels, cast to `act`. pixels are fp32 planes (B 3 H W), or bytes (B H W 3) of which v in channel
     * c stands for table[256 c + v]. */
    mv_status (*picture)(mv_backend *, mv_tensor out, mv_tensor pixels, mv_vector table, mv_error *);
    /* out (B H' W' O) = act(conv(picture(pixels, table)) + bias), bit for bit what `picture` and `conv2d` compute one
     * after the other; act is NONE or RELU, w has three input channels and stride 2. NULL on a device that gains
     * nothing by it. */
    mv_status (*stem)(mv_backend *, mv_tensor out, mv_tensor pixels, mv_vector table, const mv_conv *w, mv_act act,
                      mv_error *);
    /* out (B H' W' O) = act(conv(x (B H W C)) + bias) + residual; H' = ceil(H / stride). residual has the shape of out,
     * or nd 0: none. Any act. */
    mv_status (*conv2d)(mv_backend *, mv_tensor out, mv_tensor x, const mv_conv *w, mv_act act, mv_tensor residual,
                        mv_error *);
    /* out (..., O) = residual + gamma * act(x (..., C) W^T + b). gamma and residual may be absent; act is NONE or GELU.
     * On a device with fp8, x and W of large layers are rounded to E4M3, each row scaled by a power of two. */
    mv_status (*linear)(mv_backend *, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, mv_vector gamma,
                        mv_tensor residual, mv_error *);
    /* out = residual + gamma * x: the second half of `linear`, for when a probe watches x. It computes the same as the
     * fused form, so fp32 results are bit-equal. */
    mv_status (*add)(mv_backend *, mv_tensor out, mv_tensor x, mv_vector gamma, mv_tensor residual, mv_error *);
    /* out (..., C): (x - mean) / sqrt(var + eps) * weight + bias over the last dimension */
    mv_status (*layernorm)(mv_backend *, mv_tensor out, mv_tensor x, mv_vector weight, mv_vector bias, float eps,
                           mv_error *);
    /* xz (N T 2E) -> x (N T E) = silu(conv3(left half)), right half of yz (N T 2E) = silu(conv3(right half)).
     * Depthwise along T, zero padding 1 on both sides, no bias; wx, wz: E*3 taps. The left half of yz is not written.
     */
    mv_status (*conv1d_silu)(mv_backend *, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz,
                             mv_error *);
    /* dt (N T E, fp32) = softplus(first R columns of proj (N T R+16) W^T + 2b): the step size, for when a probe watches
     * it */
    mv_status (*step)(mv_backend *, mv_tensor dt, mv_tensor proj, const mv_ssm *w, mv_error *);
    /* h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t, h before the window 0; left half of yz = C_t . h_t + D x_t.
     * x (N T E); proj (N T R+16) holds [r | B | C]; dt as from `step`, or nd 0: computed inside;
     * h (N T E S, fp32, aligned to 16 bytes) receives every state, or nd 0: they are not stored. The right half of yz
     * is not written. */
    mv_status (*scan)(mv_backend *, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                      mv_tensor h, mv_error *);
    /* left half of yz = C_t . h_t + D x_t from the states in h: after an edit of them */
    mv_status (*readout)(mv_backend *, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w,
                         mv_error *);
    /* out (N T C) = softmax(q k^T / sqrt(d)) v; qkv (N T 3C) is packed (3, heads, d). rows (N h T T, fp32) receives the
     * softmax, or nd 0: it is not stored. */
    mv_status (*attention)(mv_backend *, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, mv_error *);
    /* out (N T C) = rows v from the rows given: after an edit of them */
    mv_status (*attend)(mv_backend *, mv_tensor out, mv_tensor rows, mv_tensor qkv, mv_error *);
    /* out (N T, fp32) = the Euclidean norm of all E*S states h (N T E S, fp32) of a token */
    mv_status (*state_norm)(mv_backend *, mv_tensor out, mv_tensor h, mv_error *);
    /* Hidden attention (Ali, Zimerman & Wolf 2024, arXiv 2403.01590): out (N T T, fp32) = the mean over channels of
     * |M_e|, or of M_e `with_sign`; or that of one channel, if `channel` is not -1. M_e[i,j] = sum_n C_i[n] exp(A_en
     * (S_i - S_j)) dt_j[e] B_j[n] for j <= i, S = cumsum dt; exactly 0 for j > i. dt as from `step`; for the same proj,
     * `scan` computes y = (M + diag D) x. */
    mv_status (*hidden)(mv_backend *, mv_tensor out, mv_tensor dt, mv_tensor proj, const mv_ssm *w, int channel,
                        bool with_sign, mv_error *);
    /* out (N T, fp32) = ln 2 / (dt |A|), the tokens until half of a state is forgotten: the median over channels and
     * states, which is the mean of the two in the middle; of the states of one channel, if `channel` is not -1 */
    mv_status (*half_life)(mv_backend *, mv_tensor out, mv_tensor dt, const mv_ssm *w, int channel, mv_error *);

    /* ---- contributions to a mixer's output, token by token (after LaTIM, arXiv 2502.15612): with dt, B, C and the
     * gates sigma = silu(a) / a of both branches held fixed, out_i = sum_k T[i,k] exactly.
     *
     *     T[i,k] = W_o [P_e[i,k] x0_k | Z_e[i,k] z0_k]        xz = [x0 | z0]        xc, zc = conv3 of x0, z0
     *     P_e[i,k] = sum over |k-j| <= 1 of (M_e[i,j] + D_e [i=j]) sigma(xc_j) wx_e[k-j+1]
     *     Z_e[i,k] = sigma(zc_i) wz_e[k-i+1] for |k-i| <= 1, else 0
     *
     * The vectors before W_o are made for the queries [first, first + queries) at a time. They are packed: query i has
     * min(i + 2, T) rows [P x0 | 0], of the tokens k = 0, 1, ..., because later tokens contribute nothing; then three
     * rows [0 | Z z0] of the tokens i - 1, i, i + 1, zeros where there is no such token. */

    /* rows (N Q 2E): the rows of these queries, then zeros */
    mv_status (*spread)(mv_backend *, mv_tensor rows, mv_tensor xz, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                        mv_vector wx, mv_vector wz, int first, int queries, mv_error *);
    /* vectors (N Q C, fp32) are these rows after W_o. Rows [first, first + queries) of out (N T T, fp32) = |T[i,k]|, 0
     * for k > i + 1; of parts (N T 2, fp32) = the sums over k of the norms of the scan's part and of the z branch's. */
    mv_status (*weigh)(mv_backend *, mv_tensor out, mv_tensor parts, mv_tensor vectors, int first, int queries,
                       mv_error *);

    /* x (B H W C) -> out (N s*s C), zero-padded right and below; and back to out (B H W C) without the padding */
    mv_status (*split)(mv_backend *, mv_tensor out, mv_tensor x, int window, mv_error *);
    mv_status (*merge)(mv_backend *, mv_tensor out, mv_tensor x, int window, mv_error *);
    /* out = x * scale + shift over the last dimension (the final batch norm, for when a probe watches it); shift may be
     * absent */
    mv_status (*affine)(mv_backend *, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *);
    /* out (B C) = mean over H W of x (B H W C), times scale plus shift if they are given */
    mv_status (*mean_pool)(mv_backend *, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *);

    /* ---- backward. dv is d(target)/dv for a target that is one number of each picture, and has v's shape and type;
     * there are no gradients of weights. An output is written, not added to: `residual`, of its shape or nd 0, is what
     * is added, and it may be the output itself. Sums over tokens and channels have a fixed order, so runs repeat bit
     * for bit. `held`: factors of an operation that depend on its input count as constants, so that it is linear: gates
     * g(a) of an activation a g(a), the deviation of a layer norm, the rows of attention, and exp(dt A), dt, B and C of
     * a scan (MambaLRP, arXiv 2406.07592; CP-LRP, arXiv 2202.07304). */

    /* out = x, of the same type */
    mv_status (*copy)(mv_backend *, mv_tensor out, mv_tensor x, mv_error *);
    /* out (...) fp32 = sum over the last dimension of x * y, both fp32 or both of `act`. y has the shape of x, or is
     * one row (C) for all. With `positive`, y counts as 0 where it is negative. */
    mv_status (*dot)(mv_backend *, mv_tensor out, mv_tensor x, mv_tensor y, bool positive, mv_error *);
    /* out = act(x), what `linear` (GELU) and `conv2d` (the others) do in one step; bit-equal to it in fp32 */
    mv_status (*activate)(mv_backend *, mv_tensor out, mv_tensor x, mv_act act, mv_error *);
    /* dx = dy * act'(x), or dy * g(x) if held; 0 at 0 for RELU, for which x may also be act(x). dx may be dy. */
    mv_status (*activate_back)(mv_backend *, mv_tensor dx, mv_tensor dy, mv_tensor x, mv_act act, bool held,
                               mv_error *);
    /* dx (B H W C) = residual + the transpose of the convolution, without bias and act, of dy (B H' W' O) */
    mv_status (*conv2d_back)(mv_backend *, mv_tensor dx, mv_tensor dy, const mv_conv *w, mv_tensor residual,
                             mv_error *);
    /* dx (..., C) = residual + dy (..., O) W; dy may be fp32, which the product may round to `act` */
    mv_status (*linear_back)(mv_backend *, mv_tensor dx, mv_tensor dy, const mv_dense *w, mv_tensor residual,
                             mv_error *);
    /* With r = 1 / sqrt(var + eps), n = (x - mean) r, e = weight dy and means over the last dimension:
     * dx = residual + r (e - mean e - n mean(e n)), without the last term if held */
    mv_status (*layernorm_back)(mv_backend *, mv_tensor dx, mv_tensor dy, mv_tensor x, mv_vector weight, float eps,
                                bool held, mv_tensor residual, mv_error *);
    /* dxz (N T 2E) of xz (N T 2E), from dx (N T E) and the right half of dyz (N T 2E) */
    mv_status (*conv1d_silu_back)(mv_backend *, mv_tensor dxz, mv_tensor dx, mv_tensor dyz, mv_tensor xz, mv_vector wx,
                                  mv_vector wz, bool held, mv_error *);
    /* First R columns of dproj (N T R+16) = (ddt (1 - exp(-dt))) W; ddt, dt (N T E) fp32, dt as from `step`. The other
     * columns are not written. */
    mv_status (*step_back)(mv_backend *, mv_tensor dproj, mv_tensor ddt, mv_tensor dt, const mv_ssm *w, mv_error *);
    /* From dy, the left half of dyz (N T 2E), t from T down, a_t = exp(dt_t A):
     *
     *     l_t = dy_t C_t + a_{t+1} l_{t+1}        u_t = sum_S l_t B_t        dx_t = dt_t u_t + D dy_t
     *     ddt_t = x_t u_t + sum_S A a_t h_{t-1} l_t        dB_t = sum_E dt_t x_t l_t        dC_t = sum_E dy_t h_t
     *
     * dx (N T E); ddt (N T E) fp32; the last 16 columns of dproj (N T R+16) = [dB | dC], the others are not written.
     * ddt and dproj of nd 0: the scan is held, and dx is all. dh (N T E S) fp32 receives l, or nd 0: it is not stored;
     * l is what a shift of h_t does that the recurrence carries on. h (N T E S) as from `scan`, which is not read if
     * held. */
    mv_status (*scan_back)(mv_backend *, mv_tensor dx, mv_tensor dproj, mv_tensor ddt, mv_tensor dh, mv_tensor dyz,
                           mv_tensor x, mv_tensor proj, mv_tensor dt, mv_tensor h, const mv_ssm *w, mv_error *);
    /* dqkv (N T 3C) of qkv, from dout (N T C); rows A are computed again. dv = A^T do; dA = do v^T;
     * dZ = A (dA - rowsum(A dA)); dq = dZ k / sqrt d; dk = dZ^T q / sqrt d; the columns of q and k are 0 if held.
     * drows (N h T T) fp32 receives dA, or nd 0: it is not stored. work (N h T 3) fp32 is for the device to use. */
    mv_status (*attention_back)(mv_backend *, mv_tensor dqkv, mv_tensor drows, mv_tensor dout, mv_tensor qkv, int heads,
                                bool held, mv_tensor work, mv_error *);
    /* dx (B H W C) = dy (B C), times scale if it is given, / (H W) */
    mv_status (*mean_pool_back)(mv_backend *, mv_tensor dx, mv_tensor dy, mv_vector scale, mv_error *);

    /* ---- reductions of attention rows A (N h T T), so that maps and not tensors are copied to the host. All values
     * are fp32 and dense. */

    /* to (N h T): to_j = sum_i from_i A_ij, with A read as `form` says. from (W T) has a row for each of the W windows
     * of a picture, or of all N windows. */
    mv_status (*follow)(mv_backend *, mv_tensor to, mv_tensor rows, mv_tensor from, mv_rows_form form, mv_error *);
    /* One step of a rollout (Abnar & Zuidema 2020): out (N T T) = (A / its row sums + I) / 2 times before (N T T), or
     * alone if before has nd 0. A row that sums to 0 is read as the row of I. */
    mv_status (*roll)(mv_backend *, mv_tensor out, mv_tensor rows, mv_tensor before, mv_error *);
    /* out (N T T) = the mean over heads */
    mv_status (*mean_heads)(mv_backend *, mv_tensor out, mv_tensor rows, mv_error *);
    /* out (N h T 3), for each row i: -sum_j A ln A; sum_j A |p_i - p_j| in tokens; the share on padding. Windows have
     * sqrt(T) tokens a side and cover pictures of h x w cells, padded right and below. */
    mv_status (*measure)(mv_backend *, mv_tensor out, mv_tensor rows, int h, int w, mv_error *);

    /* ---- recording, for batches that repeat; all NULL on a device that gains nothing by it. Operations between
     * `record` and `recorded` are not executed but recorded, with their addresses. `replay` executes a recording. The
     * same batch must have run once before, so that all memory has been allocated. */
    mv_status (*record)(mv_backend *, mv_error *);
    mv_status (*recorded)(mv_backend *, void **recording, mv_error *);
    mv_status (*replay)(mv_backend *, void *recording, mv_error *);
    void (*forget)(mv_backend *, void *recording);

    /* ---- asynchronous host-to-device copies of pictures; NULL on a device whose memory is the host's. send: copies to
     * memory of the device, in parallel with earlier work; later work waits for it, and `from` may be reused on return.
     * over: all work that reads the copy has been started. The next send waits for that work and for nothing after it,
     * so `over` must be called before it. */
    mv_status (*upload_new)(mv_backend *, void **upload, mv_error *);
    void (*upload_free)(mv_backend *, void *upload); /* accepts NULL */
    mv_status (*upload_send)(mv_backend *, void *upload, void *to, const void *from, size_t bytes, mv_error *);
    mv_status (*upload_over)(mv_backend *, void *upload, mv_error *);

    /* ---- asynchronous device-to-host copies; NULL on a device whose memory is the host's. put: converts a value to
     * dense fp32 at byte `at` of the staging buffer, in the order of the operations, and so is recorded with them.
     * send: starts to copy the first `bytes` to the host, in parallel with later operations. wait: returns when they
     * have arrived; they stay valid until the next send. Do not put again before wait has returned. */
    mv_status (*transfer_new)(mv_backend *, mv_transfer *out, size_t bytes, mv_error *);
    void (*transfer_free)(mv_backend *, mv_transfer *); /* accepts an empty one */
    mv_status (*transfer_put)(mv_backend *, mv_transfer *, size_t at, mv_view from, mv_error *);
    mv_status (*transfer_send)(mv_backend *, mv_transfer *, size_t bytes, mv_error *);
    mv_status (*transfer_wait)(mv_backend *, mv_transfer *, mv_error *);

    /* Names the work since the last call as `op` at `site`, so that a late failure can be reported with its place. NULL
     * on a device that reports failures at once. */
    void (*mark)(mv_backend *, const char *site, const char *op);
};

/* Checks that a device has all functions that it must have: MV_EDEVICE names the first one that is missing. The second
 * checks those of the backward pass. */
mv_status mv_backend_check(const mv_backend *b, mv_error *e);
mv_status mv_backend_check_back(const mv_backend *b, mv_error *e);

/* What a device's shared object exports under the name "mv_plugin_cuda". A plug-in whose abi or backend_size differs
 * from the program's is refused. */
enum { MV_PLUGIN_ABI = 7 };

typedef struct {
    int abi;
    size_t backend_size;                                       /* sizeof(mv_backend) */
    mv_status (*count)(int *n, mv_error *e);                   /* number of devices; on failure the reason */
    mv_status (*describe)(int i, char text[160], mv_error *e); /* one line: name, capability, memory */
    bool (*has_fp8)(int i);                                    /* products of E4M3 with scales by row and column */
    /* NULL on failure; freed by backend->free. fp8, with act F16: MV_EDEVICE if the device has none of it */
    mv_backend *(*open)(int i, mv_dtype act, bool fp8, mv_error *e);
} mv_plugin;

#endif
