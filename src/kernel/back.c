/* Kernels of the backward pass that go from element to element, or row by row: activations and their derivatives, sums
 * of products, the columns of a convolution of stride 2, the mean. */
#include "src/kernel/kernel_impl.h"

/* ---- activations */

INLINE vf v_act(vf x, mv_act act)
{
    if (act == MV_ACT_RELU)
        return v_max(v_all(0), x); /* in this order NaN stays */
    return act == MV_ACT_GELU ? v_gelu(x) : x;
}

INLINE void activate_typed(void *out, const void *x, mv_act act, int n, mv_dtype type)
{
    OVER(n, { PUT(out, (size_t)i, type, v_act(GET(x, (size_t)i, type), act)); });
}

void KERNEL(activate)(void *out, const void *x, mv_act act, int n, mv_dtype type)
{
    if (act == MV_ACT_RELU)
        TYPED(activate_typed, type, out, x, MV_ACT_RELU, n);
    else if (act == MV_ACT_GELU)
        TYPED(activate_typed, type, out, x, MV_ACT_GELU, n);
    else
        TYPED(activate_typed, type, out, x, MV_ACT_NONE, n);
}

/* What dy is multiplied by: act'(x), or g(x) of act(x) = x g(x) if held. x g'(x) is far below one unit in the last
 * place of g(x) beyond +-FAR, where its factors are infinity and 0. */
INLINE vf v_slope(vf x, mv_act act, bool held)
{
    const float FAR = 13;
    vf near = v_max(v_all(-FAR), v_min(v_all(FAR), x));
    if (act == MV_ACT_RELU)
        return (vf)(((vi)v_all(1) & (x > 0)) | v_nan(x));
    if (act == MV_ACT_GELU) {
        vf g = 0.5f * (1.0f + v_erf(x * 0.70710678118654752f));
        return held ? g : g + near * v_exp(near * near * -0.5f) * 0.39894228040143268f;
    }
    if (act == MV_ACT_GELU_TANH) { /* (1 + tanh u) / 2 = 1 / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
        const float twice = 1.5957691216057308f;
        vf square = near * near, g = 1.0f / (1.0f + v_exp(-twice * near * (1.0f + 0.044715f * square)));
        return held ? g : g + near * g * (1.0f - g) * twice * (1.0f + 3 * 0.044715f * square);
    }
    return v_all(1);
}

INLINE void activate_back_typed(void *dx, const void *dy, const void *x, mv_act act, bool held, int n, mv_dtype type)
{
    OVER(n, {
        vf v = GET(dy, (size_t)i, type) * v_slope(GET(x, (size_t)i, type), act, held);
        PUT(dx, (size_t)i, type, v);
    });
}

void KERNEL(activate_back)(void *dx, const void *dy, const void *x, mv_act act, bool held, int n, mv_dtype type)
{
    if (act == MV_ACT_RELU)
        TYPED(activate_back_typed, type, dx, dy, x, MV_ACT_RELU, false, n);
    else if (act == MV_ACT_GELU && held)
        TYPED(activate_back_typed, type, dx, dy, x, MV_ACT_GELU, true, n);
    else if (act == MV_ACT_GELU)
        TYPED(activate_back_typed, type, dx, dy, x, MV_ACT_GELU, false, n);
    else if (act == MV_ACT_GELU_TANH && held)
        TYPED(activate_back_typed, type, dx, dy, x, MV_ACT_GELU_TANH, true, n);
    else if (act == MV_ACT_GELU_TANH)
        TYPED(activate_back_typed, type, dx, dy, x, MV_ACT_GELU_TANH, false, n);
    else
        TYPED(activate_back_typed, type, dx, dy, x, MV_ACT_NONE, false, n);
}

/* ---- sums of products */

/* Blocks are added in double: a row may be a whole picture. */
INLINE void dot_typed(float *out, const void *x, const void *y, bool one_row, bool positive, size_t rows, size_t c,
                      mv_dtype type)
{
    enum { BLOCK = 64 * LANES };
    for (size_t r = 0; r < rows; r++) {
        double all = 0;
        for (size_t from = 0; from < c; from += BLOCK) {
            const size_t in = r * c + from, with = one_row ? from : in;
            vf sum = {0};
            OVER((int)(c - from < BLOCK ? c - from : BLOCK), {
                vf v = GET(y, with + (size_t)i, type);
                sum += GET(x, in + (size_t)i, type) * (positive ? v_max(v_all(0), v) : v);
            });
            all += (double)v_sum(sum);
        }
        out[r] = (float)all;
    }
}

void KERNEL(dot)(float *out, const void *x, const void *y, bool one_row, bool positive, size_t rows, size_t c,
                 mv_dtype type)
{
    TYPED(dot_typed, type, out, x, y, one_row, positive, rows, c);
}

/* ---- a convolution of stride 2, and the mean */

/* What dy's cells left and right of a column, or the one at it, add to a cell of c channels. */
typedef struct {
    const float *add[4];
    int n;
} taps;

static void note_row(taps *t, const float *row, int u, int column, int across, size_t c)
{
    if (!row)
        return;
    const float *here = row + ((size_t)(column / 2) * 9 + (size_t)u * 3) * c;
    t->add[t->n++] = here + (column % 2 ? 2 : 1) * c;
    if (column % 2 && column / 2 + 1 < across)
        t->add[t->n++] = here + 9 * c;
}

INLINE void gather_typed(void *dx, const void *residual, const float *above, const float *below, bool odd, int w, int c,
                         mv_dtype type)
{
    const int across = (w + 1) / 2;
    for (int column = 0; column < w; column++) {
        taps t = {.n = 0};
        note_row(&t, above, odd ? 2 : 1, column, across, (size_t)c);
        note_row(&t, below, 0, column, across, (size_t)c);
        const size_t at = (size_t)column * (size_t)c;
        OVER(c, {
            vf v = residual ? GET(residual, at + (size_t)i, type) : v_all(0);
            for (int k = 0; k < t.n; k++)
                v += GET(t.add[k], (size_t)i, MV_F32);
            PUT(dx, at + (size_t)i, type, v);
        });
    }
}

void KERNEL(gather)(void *dx, const void *residual, const float *above, const float *below, bool odd, int w, int c,
                    mv_dtype type)
{
    TYPED(gather_typed, type, dx, residual, above, below, odd, w, c);
}

INLINE void mean_back_typed(void *dx, const void *dy, const float *scale, size_t cells, int c, mv_dtype type)
{
    for (size_t r = 0; r < cells; r++) {
        void *to = row_to(dx, r, c, type);
        OVER(c, {
            vf v = GET(dy, (size_t)i, type) / (float)cells;
            PUT(to, (size_t)i, type, scale ? v * GET(scale, (size_t)i, MV_F32) : v);
        });
    }
}

void KERNEL(mean_back)(void *dx, const void *dy, const float *scale, size_t cells, int c, mv_dtype type)
{
    TYPED(mean_back_typed, type, dx, dy, scale, cells, c);
}
