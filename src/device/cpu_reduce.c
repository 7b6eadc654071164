/* Reductions of attention rows on the CPU device. Sums are accumulated in double, so that the order of the terms does
 * not show in the fp32 results.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/device/cpu_impl.h"

typedef struct {
    mv_cpu *c;
    mv_tensor out, rows, from;
    mv_rows_form form;
    int pieces, side, h, w;
} reduce_job;

static const float *head_rows(const reduce_job *j, int i)
{
    size_t tokens = (size_t)j->rows.dim[3];
    return (const float *)j->rows.data + (size_t)i * tokens * tokens;
}

/* A worker's memory for n doubles. */
static double *doubles(mv_cpu *c, int worker, int n)
{
    return (double *)(void *)mv_cpu_scratch(c, worker, 0, 2 * (size_t)n);
}

/* ---- follow */

static void add_row(double *to, double weight, const float *row, int tokens)
{
    for (int k = 0; k < tokens; k++)
        to[k] += weight * (double)row[k];
}

static double sum_of(const float *row, int tokens)
{
    double sum = 0;
    for (int k = 0; k < tokens; k++)
        sum += (double)row[k];
    return sum;
}

static void follow_piece(void *job, int i, int worker)
{
    const reduce_job *j = job;
    int tokens = j->rows.dim[3], window = i / j->rows.dim[1] % j->from.dim[0];
    const float *row = head_rows(j, i), *from = (const float *)j->from.data + (size_t)window * (size_t)tokens;
    float *out = (float *)j->out.data + (size_t)i * (size_t)tokens;
    double *to = doubles(j->c, worker, tokens);
    if (!to)
        return;
    memset(to, 0, (size_t)tokens * sizeof *to);
    for (int t = 0; t < tokens; t++, row += tokens) {
        double weight = (double)from[t];
        if (weight == 0)
            continue;
        if (j->form == MV_ROWS_RESIDUAL) { /* from_t / 2 over the sum of the row, (sum + 1) / 2 */
            weight /= sum_of(row, tokens) + 1;
            to[t] += weight;
        } else if (j->form == MV_ROWS_SHARES) {
            double sum = sum_of(row, tokens);
            weight = sum == 0 ? 0 : weight / sum;
        }
        add_row(to, weight, row, tokens);
    }
    for (int k = 0; k < tokens; k++)
        out[k] = (float)to[k];
}

static mv_status cpu_follow(mv_backend *b, mv_tensor to, mv_tensor rows, mv_tensor from, mv_rows_form form, mv_error *e)
{
    reduce_job j = {.c = mv_cpu_of(b), .out = to, .rows = rows, .from = from, .form = form};
    return mv_cpu_run(j.c, follow_piece, &j, rows.dim[0] * rows.dim[1], e);
}

/* ---- a step of a rollout */

static void roll_piece(void *job, int i, int worker)
{
    (void)worker;
    const reduce_job *j = job;
    int tokens = j->rows.dim[2], from, to;
    size_t matrix = (size_t)(i / j->pieces) * (size_t)tokens * (size_t)tokens;
    mv_share(tokens, j->pieces, i % j->pieces, &from, &to);
    j->c->k->roll((float *)j->out.data + matrix, (const float *)j->rows.data + matrix,
                  j->from.nd ? (const float *)j->from.data + matrix : NULL, tokens, from, to);
}

static mv_status cpu_roll(mv_backend *b, mv_tensor out, mv_tensor rows, mv_tensor before, mv_error *e)
{
    reduce_job j = {.c = mv_cpu_of(b), .out = out, .rows = rows, .from = before};
    j.pieces = mv_least(j.c->threads, rows.dim[1]);
    return mv_cpu_run(j.c, roll_piece, &j, rows.dim[0] * j.pieces, e);
}

/* ---- the mean of the heads */

static void mean_piece(void *job, int i, int worker)
{
    (void)worker;
    const reduce_job *j = job;
    int heads = j->rows.dim[1], tokens = j->rows.dim[3], from, to, window = i / j->pieces;
    size_t matrix = (size_t)tokens * (size_t)tokens;
    mv_share(tokens, j->pieces, i % j->pieces, &from, &to);
    size_t first = (size_t)from * (size_t)tokens, n = (size_t)(to - from) * (size_t)tokens;
    float *out = (float *)j->out.data + (size_t)window * matrix + first;
    memset(out, 0, n * sizeof *out);
    for (int h = 0; h < heads; h++) {
        const float *rows = head_rows(j, window * heads + h) + first;
        for (size_t k = 0; k < n; k++)
            out[k] += rows[k] / (float)heads;
    }
}

static mv_status cpu_mean_heads(mv_backend *b, mv_tensor out, mv_tensor rows, mv_error *e)
{
    reduce_job j = {.c = mv_cpu_of(b), .out = out, .rows = rows};
    j.pieces = mv_least(j.c->threads, rows.dim[3]);
    return mv_cpu_run(j.c, mean_piece, &j, rows.dim[0] * j.pieces, e);
}

/* ---- figures */

/* Of one row, whose token is at (y, x) in its window; the first below x right cells of the window are real. */
static void measure_row(float out[3], const float *row, const double *distance, int side, int y, int x, int below,
                        int right)
{
    double entropy = 0, far = 0, padding = 0;
    for (int v = 0; v < side; v++, row += side) {
        const double *away = distance + (size_t)abs(v - y) * (size_t)side;
        for (int u = 0; u < side; u++) {
            double a = (double)row[u];
            if (a > 0)
                entropy -= a * (double)logf(row[u]);
            far += a * away[abs(u - x)];
            padding += v < below && u < right ? 0 : a;
        }
    }
    out[0] = (float)entropy;
    out[1] = (float)far;
    out[2] = (float)padding;
}

static void measure_piece(void *job, int i, int worker)
{
    const reduce_job *j = job;
    int side = j->side, tokens = side * side, across = (j->w + side - 1) / side, down = (j->h + side - 1) / side,
        window = i / j->rows.dim[1] % (down * across), below = j->h - window / across * side,
        right = j->w - window % across * side;
    const float *row = head_rows(j, i);
    float *out = (float *)j->out.data + (size_t)i * (size_t)tokens * 3;
    double *distance = doubles(j->c, worker, tokens);
    if (!distance)
        return;
    for (int t = 0; t < tokens; t++)
        distance[t] = hypot(t / side, t % side);
    for (int t = 0; t < tokens; t++, row += tokens, out += 3)
        measure_row(out, row, distance, side, t / side, t % side, below, right);
}

static mv_status cpu_measure(mv_backend *b, mv_tensor out, mv_tensor rows, int h, int w, mv_error *e)
{
    reduce_job j = {.c = mv_cpu_of(b), .out = out, .rows = rows, .side = 1, .h = h, .w = w};
    while (j.side * j.side < rows.dim[3])
        j.side++;
    return mv_cpu_run(j.c, measure_piece, &j, rows.dim[0] * rows.dim[1], e);
}

void mv_cpu_offer_reductions(mv_backend *b)
{
    b->follow = cpu_follow;
    b->roll = cpu_roll;
    b->mean_heads = cpu_mean_heads;
    b->measure = cpu_measure;
}
