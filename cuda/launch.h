/* The kernels of the GPU device, launched on a stream. Values have the type of the device (float, half_t or bf16_t, as
 * `type` says), vectors and sums are fp32; letters and layouts as in backend.h. Launches are not checked here: the
 * device checks after each. Pointers are memory of the card, and are not kept.
 */
#pragma once

#include "cuda/kernel.h"

namespace mv
{

/* ---- rows.cu */

/* out = act(x) * scale[c] + shift[c] + residual; scale, shift and residual may be NULL. Types are fp32 or one of 16
 * bits. */
struct row_job {
    mv_dtype out_type, x_type, residual_type;
    void *out;
    const void *x, *residual;
    const float *scale, *shift;
    mv_act act;
    size_t rows;
    int c;
};
void launch_rows(const row_job &, cudaStream_t);
/* out (rows c) = (x - mean) / sqrt(var + eps) * weight + bias, each row on its own */
void launch_layernorm(mv_dtype, void *out, const void *x, const float *weight, const float *bias, float eps, int rows,
                      int c, cudaStream_t);
/* out (pictures c) = mean of x (pictures cells c) over cells, times scale plus shift; both NULL: the mean alone */
void launch_mean_pool(mv_dtype, void *out, const void *x, const float *scale, const float *shift, int pictures,
                      int cells, int c, cudaStream_t);

/* ---- rows_back.cu; see backend.h's dot, activate_back, layernorm_back, mean_pool_back */

struct dot_job {
    mv_dtype x_type, y_type;
    float *out;
    const void *x, *y;
    bool one, positive; /* one: y is a single row */
    size_t rows;
    int c;
};
void launch_dot(const dot_job &, cudaStream_t);
/* n values */
void launch_activate_back(mv_dtype, void *dx, const void *dy, const void *x, mv_act, bool held, size_t n, cudaStream_t);
struct layernorm_back_job {
    mv_dtype type;
    void *dx;
    const void *dy, *x, *residual; /* residual: or NULL */
    const float *weight;
    float eps;
    bool held;
    int rows, c;
};
void launch_layernorm_back(const layernorm_back_job &, cudaStream_t);
void launch_mean_pool_back(mv_dtype, void *dx, const void *dy, const float *scale, int pictures, int cells, int c,
                           cudaStream_t);

/* ---- product.cu; see library.h's product */

struct product;
void launch_product(const product &, cudaStream_t);

/* ---- narrow.cu */

/* fp16 rows of k values (a multiple of 16) as E4M3: out = x / scale[row] */
void launch_narrow(unsigned char *out, float *scale, const void *x, int rows, int k, cudaStream_t);

/* ---- move.cu, move_back.cu */

/* out (B h w 3) of pixels: fp32 planes (B 3 h w), or bytes (B h w 3) that the table (3 256) translates */
void launch_picture(mv_dtype, void *out, mv_dtype from, const void *pixels, const float *table, int pictures, int h,
                    int w, cudaStream_t);
/* windows: merge false: out (tokens) from x (picture), zeros outside; true: the other way, without the padding */
void launch_windows(mv_dtype, void *out, const void *x, int pictures, int h, int w, int c, int window, bool merge,
                    cudaStream_t);
/* Rows [first, first + rows) of the matrix whose row is an output pixel (b, y, x) and whose columns are the 9 c values
 * that a 3x3 convolution sees there (ky, kx, c), zero-padded to `width` columns. */
struct columns_job {
    mv_dtype type;
    void *out;
    const void *x;
    int h, w, c, stride, oh, ow, width;
    size_t first, rows;
};
void launch_columns(const columns_job &, cudaStream_t);
/* Rows [top, top + rows) of every picture of dx (pictures h w c) = residual + the sums of what the 3x3 convolution's
 * windows hold of each value: `columns` (fp32) as of launch_columns, of the output's rows from `from` to before `to`.
 */
struct gather_job {
    mv_dtype type;
    void *dx;
    const void *residual; /* or NULL */
    const float *columns;
    int pictures, h, w, c, stride, ow, width, top, rows, from, to;
};
void launch_gather_columns(const gather_job &, cudaStream_t);
/* to (c 3 3 n) = w (n 3 3 c) turned by half a turn */
void launch_turn(mv_dtype, void *to, const void *w, int n, int c, cudaStream_t);
/* w (n k) times scale[n], and bias times scale: a layer's gamma folded into its product */
void launch_fold(mv_dtype, void *out, const void *w, const float *scale, int n, int k, cudaStream_t);

/* ---- stem.cu */

/* out (B oh ow n) = the 3x3 convolution with stride 2 of a picture, and bias */
struct stem_job {
    mv_dtype type;
    void *out;
    const void *x; /* planes: fp32 (B 3 h w); with a table: bytes (B h w 3); else (B h w 3) of `type` */
    bool planes;
    const float *table; /* (3 256), or NULL */
    const void *weights, *bias;
    int pictures, h, w, oh, ow, n;
    float least; /* below it nothing is stored: 0 for ReLU, or -INFINITY */
};
void launch_stem(const stem_job &, cudaStream_t);
bool stem_on_tensor_cores(mv_dtype, int n); /* n: output channels */
/* Lays the weights w (n 3 3 3) out as launch_stem reads them; returns their number. `to` may be NULL. */
size_t stem_weights(mv_dtype, int n, float *to, const float *w);

/* ---- views.cu */

/* A strided value of any type to dense fp32, row-major, and back. */
void launch_gather(float *out, const mv_view &, cudaStream_t);
void launch_scatter(const mv_view &, const float *in, cudaStream_t);

/* ---- conv1d.cu; see backend.h's conv1d_silu */

void launch_conv1d_silu(mv_dtype, void *x, void *yz, const void *xz, const float *wx, const float *wz, int windows,
                        int tokens, int e, cudaStream_t);

/* ---- conv1d_back.cu; see backend.h's conv1d_silu_back */

struct conv1d_back_job {
    mv_dtype type;
    void *dxz;
    const void *dx, *dyz, *xz;
    const float *wx, *wz;
    bool held;
    int windows, tokens, e;
};
void launch_conv1d_silu_back(const conv1d_back_job &, cudaStream_t);

/* ---- scan.cu and step.cu; see backend.h's scan, step, readout, whose layouts these are */

struct scan_job {
    mv_dtype type;
    void *yz;
    const void *x, *proj;
    const float *dt; /* NULL: computed inside */
    const float *dt_weight, *dt_bias, *A, *D;
    float *h; /* NULL: not stored */
    int windows, tokens, channels, rank;
};
void launch_scan(const scan_job &, cudaStream_t);
void launch_step(float *dt, const scan_job &, cudaStream_t); /* of the job: proj, dt_weight, dt_bias and the sizes */
void launch_readout(const scan_job &, cudaStream_t);         /* of the job: yz, x, proj, h, D and the sizes */

/* ---- scan_back.cu; see backend.h's scan_back and step_back, whose layouts these are */

struct scan_back_job {
    mv_dtype type;
    void *dx, *dproj; /* dproj and ddt NULL: the scan is held, and h is not read */
    float *ddt, *dh;  /* dh: or NULL */
    const void *dyz, *x, *proj;
    const float *dt, *h, *A, *D;
    int windows, tokens, channels, rank;
};
size_t scan_back_scratch(const scan_back_job &); /* bytes that launch_scan_back needs besides */
void launch_scan_back(const scan_back_job &, float *scratch, cudaStream_t);
struct step_back_job {
    mv_dtype type;
    void *dproj;
    const float *ddt, *dt, *weight;
    size_t tokens; /* of all windows */
    int channels, rank;
};
void launch_step_back(const step_back_job &, cudaStream_t);

/* ---- contributions.cu; see backend.h's half_life, spread, weigh */

void launch_half_life(float *out, const float *dt, const float *A, int tokens, int channels, int channel, cudaStream_t);
struct spread_job {
    mv_dtype type;
    void *rows;
    const void *xz, *proj;
    const float *dt, *A, *D, *wx, *wz;
    int windows, tokens, channels, rank, first, queries, room; /* room: rows of a window */
};
void launch_spread(const spread_job &, cudaStream_t);
void launch_weigh(float *out, float *parts, const float *vectors, int windows, int tokens, int channels, int room,
                  int first, int queries, cudaStream_t);

/* ---- attention_mma.cu, attention_plain.cu; see backend.h's attention, attend */

struct attention_job {
    mv_dtype type;
    void *out;
    const void *qkv;
    float *rows;                   /* NULL: not stored; attend reads them */
    int windows, tokens, heads, d; /* d: values of a head */
};
enum { MOST_HEAD = 256 }; /* the widest head that the kernels hold, also those of attention_back */
void launch_attention(const attention_job &, cudaStream_t);
void launch_attend(const attention_job &, cudaStream_t);

/* ---- attention_back.cu; see backend.h's attention_back */

struct attention_back_job {
    mv_dtype type;
    void *dqkv;
    float *drows, *work; /* drows: or NULL */
    const void *dout, *qkv;
    int windows, tokens, heads, d;
    bool held;
};
void launch_attention_back(const attention_back_job &, cudaStream_t);

/* ---- reduce.cu; see backend.h's follow, roll, mean_heads, measure, state_norm, hidden */

void launch_follow(float *to, const float *rows, const float *from, int n, int heads, int windows, int tokens,
                   mv_rows_form, cudaStream_t);
/* before: or NULL */
void launch_roll(float *out, const float *rows, const float *before, int windows, int tokens, cudaStream_t);
void launch_mean_heads(float *out, const float *rows, int n, int heads, int tokens, cudaStream_t);
/* side: tokens of a window's side; h, w: cells of a picture */
void launch_measure(float *out, const float *rows, int n, int heads, int tokens, int side, int h, int w, cudaStream_t);
void launch_state_norm(float *out, const float *h, int tokens, int channels, cudaStream_t);
/* of the job: type, proj, dt, A and the sizes; channel -1: the mean of all */
void launch_hidden(float *out, const scan_job &, int channel, bool with_sign, cudaStream_t);

/* Calls f with a value of the device's type. */
template <class F> void of_type(mv_dtype type, F f)
{
    if (type == MV_F32)
        f(0.0f);
    else if (type == MV_F16)
        f(half_t{});
    else
        f(bf16_t{});
}

/* The number of values in a 16-byte access, if c and all addresses allow it; else 1. */
template <class T> int lanes_of(int c, std::initializer_list<const void *> addresses)
{
    const int n = static_cast<int>(16 / sizeof(T));
    bool fits = c % n == 0;
    for (const void *p : addresses)
        fits = fits && reinterpret_cast<uintptr_t>(p) % 16 == 0;
    return fits ? n : 1;
}

}  // namespace mv
