#include "src/explain/principal.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/random.h"

enum {
    EXTRA = 6, /* further vectors of the subspace: they make it converge faster */
    MOST = MV_PRINCIPAL_MOST + EXTRA,
    SWEEPS = 60,      /* of Jacobi's method on a small matrix */
    ITERATIONS = 2000 /* an upper bound; some tens are usual */
};

typedef struct {
    size_t n, channels, m; /* m: the smaller of both, the side of the Gram matrix */
    double *x;             /* (n, channels), centred */
    double *gram;          /* (m, m): X X^T if there are fewer rows than channels, else X^T X */
    double *v, *gv;        /* (vectors, m) */
    int vectors;
    double value[MOST]; /* eigenvalues of the vectors, falling */
    double noise;       /* what rounding alone makes of an eigenvalue */
} work;

static double dot(const double *a, const double *b, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

/* ---- the Gram matrix */

static void centre(work *k, const float *x)
{
    for (size_t i = 0; i < k->n * k->channels; i++)
        k->noise += 1e-26 * (double)x[i] * (double)x[i];
    for (size_t c = 0; c < k->channels; c++) {
        double mean = 0;
        for (size_t i = 0; i < k->n; i++)
            mean += (double)x[i * k->channels + c];
        mean /= (double)k->n;
        for (size_t i = 0; i < k->n; i++)
            k->x[i * k->channels + c] = (double)x[i * k->channels + c] - mean;
    }
}

static void fill_gram(work *k)
{
    size_t m = k->m;
    if (k->n <= k->channels) {
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j <= i; j++)
                k->gram[i * m + j] = k->gram[j * m + i] =
                    dot(k->x + i * k->channels, k->x + j * k->channels, k->channels);
        return;
    }
    memset(k->gram, 0, m * m * sizeof *k->gram);
    for (size_t r = 0; r < k->n; r++) {
        const double *row = k->x + r * k->channels;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j <= i; j++)
                k->gram[i * m + j] += row[i] * row[j];
    }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < i; j++)
            k->gram[j * m + i] = k->gram[i * m + j];
}

/* ---- eigenvectors */

/* Makes the vectors orthonormal (Gram-Schmidt, twice). A vector that vanishes becomes 0. */
static void orthonormalise(const work *k)
{
    for (int i = 0; i < k->vectors; i++) {
        double *v = k->v + (size_t)i * k->m, before = sqrt(dot(v, v, k->m));
        for (int again = 0; again < 2; again++)
            for (int j = 0; j < i; j++) {
                const double *u = k->v + (size_t)j * k->m;
                double along = dot(u, v, k->m);
                for (size_t p = 0; p < k->m; p++)
                    v[p] -= along * u[p];
            }
        double length = sqrt(dot(v, v, k->m)), scale = length > 1e-12 * before ? 1 / length : 0;
        for (size_t p = 0; p < k->m; p++)
            v[p] *= scale;
    }
}

/* Eigenvectors (columns of q) of a small symmetric matrix by Jacobi's method; its diagonal becomes the eigenvalues. */
static void jacobi(double a[MOST][MOST], double q[MOST][MOST], int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            q[i][j] = i == j;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        double off = 0;
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n; j++) {
                off += a[i][j] * a[i][j];
                if (a[i][j] == 0)
                    continue;
                double theta = (a[j][j] - a[i][i]) / (2 * a[i][j]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int r = 0; r < n; r++) {
                    double x = a[r][i], y = a[r][j];
                    a[r][i] = c * x - s * y, a[r][j] = s * x + c * y;
                }
                for (int r = 0; r < n; r++) {
                    double x = a[i][r], y = a[j][r];
                    a[i][r] = c * x - s * y, a[j][r] = s * x + c * y;
                    x = q[r][i], y = q[r][j];
                    q[r][i] = c * x - s * y, q[r][j] = s * x + c * y;
                }
            }
        if (off == 0)
            return;
    }
}

static void multiply(const work *k)
{
    for (int i = 0; i < k->vectors; i++)
        for (size_t p = 0; p < k->m; p++)
            k->gv[(size_t)i * k->m + p] = dot(k->gram + p * k->m, k->v + (size_t)i * k->m, k->m);
}

/* Turns the vectors, and G times them, to the eigenvectors of G within their span, by falling eigenvalue. */
static void rotate(work *k)
{
    double a[MOST][MOST], q[MOST][MOST], column[2][MOST];
    int order[MOST], n = k->vectors;
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            a[i][j] = a[j][i] = dot(k->v + (size_t)i * k->m, k->gv + (size_t)j * k->m, k->m);
    jacobi(a, q, n);
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && a[i][i] > a[order[at - 1]][order[at - 1]]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int i = 0; i < n; i++)
        k->value[i] = fmax(0, a[order[i]][order[i]]);
    for (size_t p = 0; p < k->m; p++) {
        for (int i = 0; i < n; i++)
            column[0][i] = k->v[(size_t)i * k->m + p], column[1][i] = k->gv[(size_t)i * k->m + p];
        for (int i = 0; i < n; i++) {
            double v = 0, g = 0;
            for (int j = 0; j < n; j++)
                v += q[j][order[i]] * column[0][j], g += q[j][order[i]] * column[1][j];
            k->v[(size_t)i * k->m + p] = v;
            k->gv[(size_t)i * k->m + p] = g;
        }
    }
}

/* |G v - lambda v| of the first `n` vectors, the largest, relative to the first eigenvalue */
static double residual(const work *k, int n)
{
    double worst = 0;
    for (int i = 0; i < n && i < k->vectors; i++) {
        double sum = 0;
        for (size_t p = 0; p < k->m; p++) {
            double d = k->gv[(size_t)i * k->m + p] - k->value[i] * k->v[(size_t)i * k->m + p];
            sum += d * d;
        }
        worst = fmax(worst, sqrt(sum));
    }
    return k->value[0] > 0 ? worst / k->value[0] : 0;
}

static void find_vectors(work *k, int n)
{
    for (size_t i = 0; i < (size_t)k->vectors * k->m; i++) /* any fixed start */
        k->v[i] = mv_random_uniform(0, 0, i) - 0.5;
    for (int i = 0; i < ITERATIONS; i++) {
        orthonormalise(k);
        multiply(k);
        rotate(k);
        if (residual(k, n) < 1e-13)
            break;
        memcpy(k->v, k->gv, (size_t)k->vectors * k->m * sizeof *k->v);
    }
    orthonormalise(k);
}

/* ---- projections */

static void turn(double *column, size_t n, size_t step)
{
    double lo = 0, hi = 0;
    for (size_t i = 0; i < n; i++) {
        lo = fmin(lo, column[i * step]);
        hi = fmax(hi, column[i * step]);
    }
    for (size_t i = 0; i < n && hi < -lo; i++)
        column[i * step] = -column[i * step];
}

/* X v; from an eigenvector u of X X^T it is sqrt(lambda) u. */
static void project(const work *k, double *out, int columns)
{
    for (int i = 0; i < columns; i++) {
        const double *v = k->v + (size_t)i * k->m;
        bool flat = i >= k->vectors || k->value[i] <= fmax(k->noise, 1e-14 * k->value[0]);
        for (size_t r = 0; r < k->n; r++)
            out[r * (size_t)columns + (size_t)i] = flat                  ? 0
                                                   : k->n <= k->channels ? sqrt(k->value[i]) * v[r]
                                                                         : dot(k->x + r * k->channels, v, k->channels);
        turn(out + i, k->n, (size_t)columns);
    }
}

mv_status mv_principal(double *out, double *share, const float *x, size_t n, size_t channels, int columns, mv_error *e)
{
    work k = {.n = n, .channels = channels, .m = n < channels ? n : channels};
    size_t vectors = (size_t)columns + EXTRA;
    k.vectors = (int)(vectors < k.m ? vectors : k.m);
    k.x = malloc(n * channels * sizeof *k.x);
    k.gram = malloc(k.m * k.m * sizeof *k.gram);
    k.v = calloc(vectors * k.m, sizeof *k.v);
    k.gv = calloc(vectors * k.m, sizeof *k.gv);
    mv_status s = k.x && k.gram && k.v && k.gv ? MV_OK : mv_fail_memory(e, "principal directions");
    if (!s) {
        double total = 0;
        centre(&k, x);
        fill_gram(&k);
        for (size_t i = 0; i < k.m; i++)
            total += k.gram[i * k.m + i];
        find_vectors(&k, columns);
        project(&k, out, columns);
        for (int i = 0; share && i < columns; i++)
            share[i] = i < k.vectors && total > 0 ? k.value[i] / total : 0;
    }
    free(k.x);
    free(k.gram);
    free(k.v);
    free(k.gv);
    return s;
}
