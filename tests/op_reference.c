#include "tests/op_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double ref_act(double x, mv_act act)
{
    switch (act) {
    case MV_ACT_RELU: return x > 0 || isnan(x) ? x : 0;
    case MV_ACT_GELU: return 0.5 * x * erfc(-x * M_SQRT1_2);
    case MV_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case MV_ACT_NONE: break;
    }
    return x;
}

/* One output cell before its bias */
static double convolved(const float *x, int h, int w, int c, const float *weight, int top, int left)
{
    double sum = 0;
    for (int ky = 0; ky < MV_TAPS; ky++)
        for (int kx = 0; kx < MV_TAPS; kx++) {
            int y = top + ky, column = left + kx;
            if (y < 0 || y >= h || column < 0 || column >= w)
                continue;
            const float *cell = x + ((size_t)y * (size_t)w + (size_t)column) * (size_t)c;
            for (int k = 0; k < c; k++)
                sum += (double)cell[k] * (double)weight[(k * MV_TAPS + ky) * MV_TAPS + kx];
        }
    return sum;
}

void ref_conv2d(double *out, const float *x, int b, int h, int w, int c, int o, int stride, const float *weight,
                const float *bias, mv_act act, const float *residual)
{
    int down = (h + stride - 1) / stride, across = (w + stride - 1) / stride;
    size_t at = 0;
    for (int p = 0; p < b; p++, x += (size_t)h * (size_t)w * (size_t)c)
        for (int y = 0; y < down; y++)
            for (int column = 0; column < across; column++)
                for (int k = 0; k < o; k++, at++) {
                    double v = convolved(x, h, w, c, weight + (size_t)k * (size_t)c * MV_TAPS * MV_TAPS, y * stride - 1,
                                         column * stride - 1);
                    out[at] = ref_act(v + (bias ? (double)bias[k] : 0), act) + (residual ? (double)residual[at] : 0);
                }
}

void ref_linear(double *out, const float *x, size_t rows, int in, int o, const float *weight, const float *bias,
                mv_act act, const float *gamma, const float *residual)
{
    for (size_t r = 0; r < rows; r++, x += in)
        for (int k = 0; k < o; k++) {
            double sum = bias ? (double)bias[k] : 0;
            for (int i = 0; i < in; i++)
                sum += (double)x[i] * (double)weight[(size_t)k * (size_t)in + (size_t)i];
            size_t at = r * (size_t)o + (size_t)k;
            out[at] = ref_act(sum, act) * (gamma ? (double)gamma[k] : 1) + (residual ? (double)residual[at] : 0);
        }
}

void ref_add(double *out, const float *x, const float *gamma, const float *residual, mv_act act, size_t rows, int c)
{
    for (size_t i = 0; i < rows * (size_t)c; i++)
        out[i] = ref_act((double)x[i], act) * (gamma ? (double)gamma[i % (size_t)c] : 1) +
                 (residual ? (double)residual[i] : 0);
}

void ref_layernorm(double *out, const float *x, const float *weight, const float *bias, double eps, size_t rows, int c)
{
    for (size_t r = 0; r < rows; r++, x += c, out += c) {
        double mean = 0, var = 0;
        for (int i = 0; i < c; i++)
            mean += (double)x[i] / c;
        for (int i = 0; i < c; i++)
            var += ((double)x[i] - mean) * ((double)x[i] - mean) / c;
        for (int i = 0; i < c; i++)
            out[i] = ((double)x[i] - mean) / sqrt(var + eps) * (double)weight[i] + (double)bias[i];
    }
}

void ref_conv1d_silu(double *out, const float *xz, int from, const float *taps, int n, int tokens, int e)
{
    for (int w = 0; w < n; w++, xz += (size_t)tokens * 2 * (size_t)e)
        for (int t = 0; t < tokens; t++)
            for (int i = 0; i < e; i++) {
                double v = 0;
                for (int k = 0; k < MV_TAPS; k++)
                    if (t + k - 1 >= 0 && t + k - 1 < tokens)
                        v += (double)taps[i * MV_TAPS + k] *
                             (double)xz[(size_t)(t + k - 1) * 2 * (size_t)e + (size_t)(from + i)];
                *out++ = v / (1 + exp(-v));
            }
}

void ref_step(double *dt, const float *proj, const float *weight, const float *bias, size_t tokens, int e, int rank)
{
    for (size_t t = 0; t < tokens; t++, proj += rank + 2 * MV_STATES)
        for (int i = 0; i < e; i++) {
            double v = (double)bias[i];
            for (int k = 0; k < rank; k++)
                v += (double)proj[k] * (double)weight[(size_t)k * (size_t)e + (size_t)i];
            *dt++ = fmax(v, 0) + log1p(exp(-fabs(v)));
        }
}

void ref_states(double *h, const float *x, const float *proj, const double *dt, const float *A, int n, int tokens,
                int e, int rank)
{
    size_t step = (size_t)e * MV_STATES; /* from a token's states to the next one's */
    for (int w = 0; w < n; w++)
        for (int t = 0; t < tokens; t++, proj += rank + 2 * MV_STATES, x += e, dt += e, h += step)
            for (size_t i = 0; i < step; i++) {
                double before = t ? (h - step)[i] : 0, d = dt[i / MV_STATES];
                h[i] = exp(d * (double)A[i]) * before +
                       d * (double)proj[rank + (int)(i % MV_STATES)] * (double)x[i / MV_STATES];
            }
}

void ref_readout(double *y, const float *x, const float *proj, const double *h, const float *D, size_t tokens, int e,
                 int rank)
{
    for (size_t t = 0; t < tokens; t++, proj += rank + 2 * MV_STATES)
        for (int i = 0; i < e; i++, h += MV_STATES) {
            double v = (double)D[i] * (double)*x++;
            for (int s = 0; s < MV_STATES; s++)
                v += h[s] * (double)proj[rank + MV_STATES + s];
            *y++ = v;
        }
}

void ref_state_norm(double *out, const float *h, size_t tokens, int e)
{
    for (size_t t = 0; t < tokens; t++) {
        double sum = 0;
        for (int i = 0; i < e * MV_STATES; i++, h++)
            sum += (double)*h * (double)*h;
        out[t] = sqrt(sum);
    }
}

/* M[i,j] of one channel; `time` is S_i - S_j */
static double hidden_value(const float *C, const float *B, const float *A, double time, double dt)
{
    double m = 0;
    for (int s = 0; s < MV_STATES; s++)
        m += (double)C[s] * exp((double)A[s] * time) * dt * (double)B[s];
    return m;
}

void ref_hidden(double *out, const float *dt, const float *proj, const float *A, int n, int tokens, int e, int rank,
                int channel, bool with_sign)
{
    const size_t width = (size_t)rank + 2 * MV_STATES, T = (size_t)tokens, E = (size_t)e,
                 from = channel < 0 ? 0 : (size_t)channel, to = channel < 0 ? E : from + 1;
    for (size_t w = 0; w < (size_t)n; w++, dt += T * E, proj += T * width, out += T * T)
        for (size_t j = 0; j < T; j++)
            for (size_t k = from; k < to; k++) {
                double time = 0;
                for (size_t i = 0; i < T; i++) {
                    if (k == from)
                        out[i * T + j] = 0;
                    time += i > j ? (double)dt[i * E + k] : 0;
                    double m = hidden_value(proj + i * width + rank + MV_STATES, proj + j * width + rank,
                                            A + k * MV_STATES, time, (double)dt[j * E + k]);
                    if (i >= j)
                        out[i * T + j] += (with_sign ? m : fabs(m)) / (double)(to - from);
                }
            }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void ref_half_life(double *out, const float *dt, const float *A, size_t tokens, int e, int channel)
{
    int from = channel < 0 ? 0 : channel, to = channel < 0 ? e : from + 1, n = (to - from) * MV_STATES;
    double *all = malloc((size_t)n * sizeof *all);
    for (size_t t = 0; t < tokens; t++, dt += e) {
        for (int k = 0; k < n; k++)
            all[k] = log(2) / ((double)dt[from + k / MV_STATES] * fabs((double)A[from * MV_STATES + k]));
        qsort(all, (size_t)n, sizeof *all, by_value);
        out[t] = (all[n / 2 - 1] + all[n / 2]) / 2;
    }
    free(all);
}

/* silu(a) / a of the convolution of one channel of xz */
static double ref_gate(const float *xz, const float *w, int t, int tokens, size_t stride)
{
    double a = 0;
    for (int o = -1; o <= 1; o++)
        if (t + o >= 0 && t + o < tokens)
            a += (double)w[o + 1] * (double)xz[(size_t)(t + o) * stride];
    return 1 / (1 + exp(-a));
}

/* P[i,k] of one channel */
static double ref_scanned(const float *xz, const float *proj, const float *dt, const float *A, double D,
                          const float *wx, int tokens, int e, int rank, int i, int k)
{
    const int width = rank + 2 * MV_STATES;
    double sum = 0, time = 0;
    for (int j = i; j >= 0 && j >= k - 1; j--) {
        double m = hidden_value(proj + i * width + rank + MV_STATES, proj + j * width + rank, A, time,
                                (double)dt[(size_t)j * (size_t)e]);
        m += i == j ? D : 0;
        if (j <= k + 1)
            sum += m * ref_gate(xz, wx, j, tokens, 2 * (size_t)e) * (double)wx[k - j + 1];
        time += (double)dt[(size_t)j * (size_t)e];
    }
    return sum;
}

void ref_spread(double *rows, const float *xz, const float *proj, const float *dt, const float *A, const float *D,
                const float *wx, const float *wz, int n, int tokens, int e, int rank, int first, int queries, int room)
{
    const size_t E = (size_t)e, T = (size_t)tokens;
    for (size_t w = 0; w < (size_t)n;
         w++, rows += (size_t)room * 2 * E, xz += T * 2 * E, dt += T * E, proj += T * ((size_t)rank + 2 * MV_STATES)) {
        memset(rows, 0, (size_t)room * 2 * E * sizeof *rows);
        double *row = rows;
        for (int i = first; i < first + queries; i++) {
            for (int k = 0; k < tokens && k <= i + 1; k++, row += 2 * E)
                for (size_t c = 0; c < E; c++)
                    row[c] = ref_scanned(xz + c, proj, dt + c, A + c * MV_STATES, (double)D[c], wx + c * MV_TAPS,
                                         tokens, e, rank, i, k) *
                             (double)xz[(size_t)k * 2 * E + c];
            for (int k = i - 1; k <= i + 1; k++, row += 2 * E)
                for (size_t c = 0; c < E && k >= 0 && k < tokens; c++)
                    row[E + c] = ref_gate(xz + E + c, wz + c * MV_TAPS, i, tokens, 2 * E) *
                                 (double)wz[c * MV_TAPS + (size_t)(k - i + 1)] * (double)xz[(size_t)k * 2 * E + E + c];
        }
    }
}

/* The norm of a + b */
static double ref_norm(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int k = 0; k < n; k++) {
        double x = (double)a[k] + (b ? (double)b[k] : 0);
        sum += x * x;
    }
    return sqrt(sum);
}

void ref_weigh(double *out, double *parts, const float *vectors, int n, int tokens, int channels, int first,
               int queries, int room)
{
    const size_t T = (size_t)tokens, C = (size_t)channels;
    for (size_t w = 0; w < (size_t)n; w++, vectors += (size_t)room * C) {
        const float *v = vectors;
        for (int i = first; i < first + queries; i++) {
            int scanned = i + 2 < tokens ? i + 2 : tokens;
            const float *z = v + (size_t)scanned * C;
            double *row = out + (w * T + (size_t)i) * T, *part = parts + (w * T + (size_t)i) * 2;
            part[0] = part[1] = 0;
            for (int k = 0; k < tokens; k++) {
                bool near = k >= i - 1 && k <= i + 1;
                const float *a = v + (size_t)k * C, *b = near ? z + (size_t)(k - i + 1) * C : NULL;
                row[k] = k < scanned ? ref_norm(a, b, channels) : 0;
                part[0] += k < scanned ? ref_norm(a, NULL, channels) : 0;
                part[1] += near ? ref_norm(b, NULL, channels) : 0;
            }
            v = z + MV_TAPS * C;
        }
    }
}

void ref_roll(double *out, const float *rows, const float *before, int n, int tokens)
{
    for (int i = 0; i < n * tokens; i++, rows += tokens) {
        double sum = 0;
        for (int j = 0; j < tokens; j++)
            sum += (double)rows[j];
        for (int k = 0; k < tokens; k++, out++) {
            *out = 0;
            for (int j = 0; j < tokens; j++) {
                double a = (sum == 0 ? i % tokens == j : (double)rows[j] / sum) / 2 + (i % tokens == j ? 0.5 : 0);
                *out +=
                    a *
                    (before
                         ? (double)
                               before[((size_t)(i / tokens) * (size_t)tokens + (size_t)j) * (size_t)tokens + (size_t)k]
                         : j == k);
            }
        }
    }
}

void ref_follow(double *to, const float *rows, const float *from, int n, int heads, int tokens, int windows,
                mv_rows_form form)
{
    for (int k = 0; k < n * heads; k++, to += tokens) {
        const float *q = from + (size_t)(k / heads % windows) * (size_t)tokens;
        for (int j = 0; j < tokens; j++)
            to[j] = 0;
        for (int i = 0; i < tokens; i++, rows += tokens) {
            double sum = 0;
            for (int j = 0; j < tokens; j++)
                sum += (double)rows[j];
            for (int j = 0; j < tokens; j++)
                to[j] += (double)q[i] * (form == MV_ROWS_RESIDUAL ? ((double)rows[j] + (i == j)) / (sum + 1)
                                         : form == MV_ROWS_SHARES ? (double)rows[j] / sum
                                                                  : (double)rows[j]);
        }
    }
}

void ref_mean_heads(double *out, const float *rows, int n, int heads, int tokens)
{
    size_t matrix = (size_t)tokens * (size_t)tokens;
    for (int w = 0; w < n; w++, rows += (size_t)heads * matrix)
        for (size_t i = 0; i < matrix; i++) {
            double sum = 0;
            for (size_t k = 0; k < (size_t)heads; k++)
                sum += (double)rows[k * matrix + i];
            *out++ = sum / heads;
        }
}

void ref_measure(double *out, const float *rows, int n, int heads, int side, int h, int w)
{
    int tokens = side * side, down = (h + side - 1) / side, across = (w + side - 1) / side;
    for (int i = 0; i < n * heads * tokens; i++, rows += tokens, out += 3) {
        int window = i / tokens / heads % (down * across), top = window / across * side, left = window % across * side;
        out[0] = out[1] = out[2] = 0;
        for (int j = 0; j < tokens; j++) {
            double a = (double)rows[j];
            out[0] -= a > 0 ? a * log(a) : 0;
            out[1] += a * hypot(j / side - i % tokens / side, j % side - i % tokens % side);
            out[2] += top + j / side < h && left + j % side < w ? 0 : a;
        }
    }
}

void ref_rows(double *rows, const float *qkv, int n, int tokens, int heads, int d)
{
    size_t c = (size_t)heads * (size_t)d;
    for (int i = 0; i < n * heads * tokens; i++, rows += tokens) {
        size_t window = (size_t)(i / tokens / heads), head = (size_t)(i / tokens % heads);
        const float *first = qkv + window * (size_t)tokens * 3 * c + head * (size_t)d;
        const float *q = first + (size_t)(i % tokens) * 3 * c;
        double most = -INFINITY, sum = 0;
        for (int t = 0; t < tokens; t++) {
            const float *k = first + (size_t)t * 3 * c + c;
            rows[t] = 0;
            for (int j = 0; j < d; j++)
                rows[t] += (double)q[j] * (double)k[j];
            rows[t] /= sqrt(d);
            most = fmax(most, rows[t]);
        }
        for (int t = 0; t < tokens; t++)
            sum += rows[t] = exp(rows[t] - most);
        for (int t = 0; t < tokens; t++)
            rows[t] /= sum;
    }
}

void ref_attend(double *out, const double *rows, const float *qkv, int n, int tokens, int heads, int d)
{
    size_t c = (size_t)heads * (size_t)d, T = (size_t)tokens;
    for (size_t w = 0; w < (size_t)n; w++)
        for (size_t t = 0; t < T; t++)
            for (size_t i = 0; i < c; i++) {
                const double *row = rows + ((w * (size_t)heads + i / (size_t)d) * T + t) * T;
                double v = 0;
                for (size_t u = 0; u < T; u++)
                    v += row[u] * (double)qkv[(w * T + u) * 3 * c + 2 * c + i];
                *out++ = v;
            }
}

/* Where cell i's token lies among the windows' tokens; cells are counted row by row in a picture of whole windows. */
static size_t token_of(int y, int x, int across, int window)
{
    size_t side = (size_t)window;
    return ((size_t)(y / window) * (size_t)across + (size_t)(x / window)) * side * side + (size_t)(y % window) * side +
           (size_t)(x % window);
}

void ref_split(double *out, const float *x, int b, int h, int w, int c, int window)
{
    int down = (h + window - 1) / window, across = (w + window - 1) / window;
    for (int p = 0; p < b; p++, x += (size_t)h * (size_t)w * (size_t)c)
        for (int y = 0; y < down * window; y++)
            for (int column = 0; column < across * window; column++) {
                size_t all = (size_t)(down * across) * (size_t)(window * window);
                double *to = out + ((size_t)p * all + token_of(y, column, across, window)) * (size_t)c;
                for (int k = 0; k < c; k++)
                    to[k] = y < h && column < w
                                ? (double)x[((size_t)y * (size_t)w + (size_t)column) * (size_t)c + (size_t)k]
                                : 0;
            }
}

void ref_merge(double *out, const float *x, int b, int h, int w, int c, int window)
{
    int down = (h + window - 1) / window, across = (w + window - 1) / window;
    size_t all = (size_t)(down * across) * (size_t)(window * window);
    for (int p = 0; p < b; p++, x += all * (size_t)c)
        for (int y = 0; y < h; y++)
            for (int column = 0; column < w; column++)
                for (int k = 0; k < c; k++)
                    *out++ = (double)x[token_of(y, column, across, window) * (size_t)c + (size_t)k];
}

void ref_affine(double *out, const float *x, const float *scale, const float *shift, size_t rows, int c)
{
    for (size_t i = 0; i < rows * (size_t)c; i++)
        out[i] = (double)x[i] * (double)scale[i % (size_t)c] + (double)shift[i % (size_t)c];
}

void ref_pool(double *out, const float *x, int b, size_t cells, int c, const float *scale, const float *shift)
{
    for (int p = 0; p < b; p++)
        for (int k = 0; k < c; k++) {
            double sum = 0;
            for (size_t i = 0; i < cells; i++)
                sum += (double)x[((size_t)p * cells + i) * (size_t)c + (size_t)k];
            *out++ = sum / (double)cells * (scale ? (double)scale[k] : 1) + (shift ? (double)shift[k] : 0);
        }
}
