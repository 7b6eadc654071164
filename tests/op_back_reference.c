#include "tests/op_back_reference.h"

#include <math.h>
#include <string.h>

double ref_act_back(double x, mv_act act, bool held)
{
    const double a = sqrt(2 / M_PI), c = 0.044715;
    double g = 1, slope = 0; /* act(x) = x g(x); g'(x) */
    switch (act) {
    case MV_ACT_RELU: return x > 0 ? 1 : x <= 0 ? 0 : x; /* NaN stays */
    case MV_ACT_GELU:
        g = 0.5 * erfc(-x * M_SQRT1_2);
        slope = exp(-x * x / 2) / sqrt(2 * M_PI);
        break;
    case MV_ACT_GELU_TANH: {
        double t = tanh(a * (x + c * x * x * x));
        g = 0.5 * (1 + t);
        slope = 0.5 * (1 - t * t) * a * (1 + 3 * c * x * x);
        break;
    }
    case MV_ACT_NONE: return 1;
    }
    return held ? g : g + x * slope;
}

void ref_dot(double *out, const float *x, const float *y, bool one_row, bool positive, size_t rows, int c)
{
    for (size_t r = 0; r < rows; r++, x += c) {
        out[r] = 0;
        for (int i = 0; i < c; i++) {
            double v = (double)y[(one_row ? 0 : r * (size_t)c) + (size_t)i];
            out[r] += (double)x[i] * (positive && v < 0 ? 0 : v);
        }
    }
}

static void begin_with(double *dx, const float *residual, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] = residual ? (double)residual[i] : 0;
}

void ref_conv2d_back(double *dx, const float *dy, int b, int h, int w, int c, int o, int stride, const float *weight,
                     const float *residual)
{
    int down = (h + stride - 1) / stride, across = (w + stride - 1) / stride;
    size_t picture = (size_t)h * (size_t)w * (size_t)c;
    begin_with(dx, residual, (size_t)b * picture);
    for (int p = 0; p < b; p++, dx += picture)
        for (int y = 0; y < down; y++)
            for (int column = 0; column < across; column++, dy += o)
                for (int tap = 0; tap < MV_TAPS * MV_TAPS; tap++) {
                    int m = y * stride + tap / MV_TAPS - 1, n = column * stride + tap % MV_TAPS - 1;
                    if (m < 0 || m >= h || n < 0 || n >= w)
                        continue;
                    double *to = dx + ((size_t)m * (size_t)w + (size_t)n) * (size_t)c;
                    for (int k = 0; k < o; k++)
                        for (int i = 0; i < c; i++)
                            to[i] += (double)weight[(k * c + i) * MV_TAPS * MV_TAPS + tap] * (double)dy[k];
                }
}

void ref_linear_back(double *dx, const float *dy, size_t rows, int in, int o, const float *weight,
                     const float *residual)
{
    begin_with(dx, residual, rows * (size_t)in);
    for (size_t r = 0; r < rows; r++, dx += in, dy += o)
        for (int k = 0; k < o; k++)
            for (int i = 0; i < in; i++)
                dx[i] += (double)dy[k] * (double)weight[(size_t)k * (size_t)in + (size_t)i];
}

void ref_layernorm_back(double *dx, const float *dy, const float *x, const float *weight, double eps, bool held,
                        const float *residual, size_t rows, int c)
{
    begin_with(dx, residual, rows * (size_t)c);
    for (size_t r = 0; r < rows; r++, x += c, dx += c, dy += c) {
        double mean = 0, var = 0, sum = 0, along = 0;
        for (int i = 0; i < c; i++)
            mean += (double)x[i] / c;
        for (int i = 0; i < c; i++)
            var += ((double)x[i] - mean) * ((double)x[i] - mean) / c;
        double scale = 1 / sqrt(var + eps);
        for (int i = 0; i < c; i++) {
            double e = (double)weight[i] * (double)dy[i];
            sum += e / c;
            along += e * ((double)x[i] - mean) * scale / c;
        }
        for (int i = 0; i < c; i++)
            dx[i] +=
                scale * ((double)weight[i] * (double)dy[i] - sum - (held ? 0 : ((double)x[i] - mean) * scale * along));
    }
}

/* The derivative of silu, or its gate, at token t of the convolution of one channel */
static double silu_back(const float *xz, size_t stride, const float *taps, int t, int tokens, bool held)
{
    double a = 0;
    for (int k = 0; k < MV_TAPS; k++)
        if (t + k - 1 >= 0 && t + k - 1 < tokens)
            a += (double)taps[k] * (double)xz[(size_t)(t + k - 1) * stride];
    double g = 1 / (1 + exp(-a));
    return held ? g : g + a * g * (1 - g);
}

void ref_conv1d_silu_back(double *dxz, int from, const float *dout, int width, int at, const float *xz,
                          const float *taps, int n, int tokens, int e, bool held)
{
    const size_t stride = 2 * (size_t)e, T = (size_t)tokens;
    for (int w = 0; w < n; w++, dxz += T * stride, xz += T * stride, dout += T * (size_t)width)
        for (int i = 0; i < e; i++) {
            double *to = dxz + from + i;
            for (size_t t = 0; t < T; t++)
                to[t * stride] = 0;
            for (int t = 0; t < tokens; t++) {
                double da = (double)dout[(size_t)t * (size_t)width + (size_t)(at + i)] *
                            silu_back(xz + from + i, stride, taps + i * MV_TAPS, t, tokens, held);
                for (int k = 0; k < MV_TAPS; k++)
                    if (t + k - 1 >= 0 && t + k - 1 < tokens)
                        to[(size_t)(t + k - 1) * stride] += (double)taps[i * MV_TAPS + k] * da;
            }
        }
}

void ref_step_back(double *dr, const float *ddt, const double *dt, const float *weight, size_t tokens, int e, int rank)
{
    for (size_t t = 0; t < tokens; t++, ddt += e, dt += e)
        for (int k = 0; k < rank; k++) {
            double sum = 0;
            for (int i = 0; i < e; i++)
                sum += (double)ddt[i] * -expm1(-dt[i]) * (double)weight[(size_t)k * (size_t)e + (size_t)i];
            *dr++ = sum;
        }
}

/* One channel of one window; its values are `e` apart from token to token, its states e * MV_STATES, those of dyz 2 e,
 * those of proj `width`. Adds to dbc. */
static void scan_back(double *dx, double *dbc, double *ddt, double *dh, const float *dy, const float *x,
                      const float *proj, const double *dt, const double *h, const float *A, double D, int tokens,
                      size_t e, size_t width)
{
    double l[MV_STATES] = {0}; /* of token t + 1, then of token t */
    for (int token = tokens - 1; token >= 0; token--) {
        size_t t = (size_t)token;
        const float *B = proj + t * width, *C = B + MV_STATES;
        double d = dt[t * e], in = (double)x[t * e], out = (double)dy[t * 2 * e], u = 0, slope = 0;
        for (int s = 0; s < MV_STATES; s++) {
            double a = (double)A[s], carried = token + 1 < tokens ? exp(dt[(t + 1) * e] * a) * l[s] : 0;
            l[s] = out * (double)C[s] + carried;
            u += l[s] * (double)B[s];
            slope += token ? a * exp(d * a) * h[(t - 1) * e * MV_STATES + (size_t)s] * l[s] : 0;
            if (dh)
                dh[t * e * MV_STATES + (size_t)s] = l[s];
            if (dbc) {
                dbc[t * 2 * MV_STATES + (size_t)s] += d * in * l[s];
                dbc[t * 2 * MV_STATES + MV_STATES + (size_t)s] += out * h[t * e * MV_STATES + (size_t)s];
            }
        }
        dx[t * e] = d * u + D * out;
        if (ddt)
            ddt[t * e] = in * u + slope;
    }
}

void ref_scan_back(double *dx, double *dbc, double *ddt, double *dh, const float *dyz, const float *x,
                   const float *proj, const double *dt, const double *h, const float *A, const float *D, int n,
                   int tokens, int e, int rank)
{
    const size_t width = (size_t)rank + 2 * MV_STATES, T = (size_t)tokens, E = (size_t)e;
    if (dbc)
        memset(dbc, 0, (size_t)n * T * 2 * MV_STATES * sizeof *dbc);
    for (size_t w = 0; w < (size_t)n; w++)
        for (size_t i = 0; i < E; i++) {
            size_t at = w * T * E + i;
            scan_back(dx + at, dbc ? dbc + w * T * 2 * MV_STATES : NULL, ddt ? ddt + at : NULL,
                      dh ? dh + at * MV_STATES : NULL, dyz + w * T * 2 * E + i, x + at, proj + w * T * width + rank,
                      dt + at, h + at * MV_STATES, A + i * MV_STATES, (double)D[i], tokens, E, width);
        }
}

void ref_attention_back(double *dqkv, double *drows, const float *dout, const double *rows, const float *qkv, int n,
                        int tokens, int heads, int d, bool held)
{
    const size_t c = (size_t)heads * (size_t)d, T = (size_t)tokens, token = 3 * c;
    memset(dqkv, 0, (size_t)n * T * token * sizeof *dqkv);
    for (size_t w = 0; w < (size_t)n; w++)
        for (size_t head = 0; head < (size_t)heads; head++)
            for (size_t i = 0; i < T; i++) {
                const size_t first = w * T * token + head * (size_t)d, row = ((w * (size_t)heads + head) * T + i) * T;
                const float *out = dout + (w * T + i) * c + head * (size_t)d;
                double mean = 0; /* sum of A dA */
                for (size_t j = 0; j < T; j++) {
                    double da = 0;
                    for (size_t k = 0; k < (size_t)d; k++) {
                        da += (double)out[k] * (double)qkv[first + j * token + 2 * c + k];
                        dqkv[first + j * token + 2 * c + k] += rows[row + j] * (double)out[k];
                    }
                    mean += rows[row + j] * da;
                    drows[row + j] = da;
                }
                for (size_t j = 0; j < T && !held; j++) {
                    double dz = rows[row + j] * (drows[row + j] - mean) / sqrt(d);
                    for (size_t k = 0; k < (size_t)d; k++) {
                        dqkv[first + i * token + k] += dz * (double)qkv[first + j * token + c + k];
                        dqkv[first + j * token + c + k] += dz * (double)qkv[first + i * token + k];
                    }
                }
            }
}

void ref_pool_back(double *dx, const float *dy, int b, size_t cells, int c, const float *scale)
{
    for (int p = 0; p < b; p++, dy += c)
        for (size_t i = 0; i < cells; i++)
            for (int k = 0; k < c; k++)
                *dx++ = (double)dy[k] * (scale ? (double)scale[k] : 1) / (double)cells;
}
