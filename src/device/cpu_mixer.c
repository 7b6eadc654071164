/* What can be known of a mixer beyond its output, on the CPU device: half-lives and contributions. The loops are in
 * src/kernel.
 */
#include <string.h>

#include "src/device/cpu_impl.h"

/* ---- half-life */

typedef struct {
    mv_cpu *c;
    mv_tensor out, dt;
    const mv_ssm *w;
    int channel, pieces;
} half_life_job;

static void half_life_piece(void *job, int i, int worker)
{
    const half_life_job *j = job;
    const mv_kernels *k = j->c->k;
    int from, to, e = j->w->channels, first = j->channel < 0 ? 0 : j->channel, last = j->channel < 0 ? e : first + 1;
    mv_share(mv_rows_in(j->dt), j->pieces, i, &from, &to);
    float *scratch = mv_cpu_scratch(j->c, worker, 0, k->half_life_scratch(last - first));
    if (scratch)
        k->half_life((float *)j->out.data + from, (float *)j->dt.data + (size_t)from * (size_t)e, j->w->A.data,
                     (size_t)(to - from), e, first, last, scratch);
}

static mv_status cpu_half_life(mv_backend *b, mv_tensor out, mv_tensor dt, const mv_ssm *w, int channel, mv_error *e)
{
    half_life_job j = {.c = mv_cpu_of(b), .out = out, .dt = dt, .w = w, .channel = channel};
    j.pieces = mv_cpu_pieces(j.c, mv_rows_in(dt), 16);
    return mv_cpu_run(j.c, half_life_piece, &j, j.pieces, e);
}

/* ---- contributions */

typedef struct {
    mv_cpu *c;
    mv_tensor rows, xz, proj, dt, out, parts;
    const mv_ssm *w;
    mv_vector wx, wz;
    int first, queries, groups;
} spread_job;

enum { GROUP = 16 }; /* channels of a piece: whole vectors of any instruction set */

static void spread_piece(void *job, int i, int worker)
{
    const spread_job *j = job;
    const mv_kernels *k = j->c->k;
    int tokens = j->xz.dim[1], e = j->w->channels, from = i % j->groups * GROUP;
    size_t window = (size_t)(i / j->groups), token = window * (size_t)tokens;
    mv_spread_job s = {.tokens = tokens,
                       .channels = e,
                       .rank = j->w->rank,
                       .first = j->first,
                       .queries = j->queries,
                       .from = from,
                       .to = mv_least(from + GROUP, e),
                       .type = j->rows.type,
                       .xz = mv_at(j->xz, token * 2 * (size_t)e),
                       .proj = mv_at(j->proj, token * (size_t)(j->w->rank + 2 * MV_STATES)),
                       .dt = (float *)j->dt.data + token * (size_t)e,
                       .A = j->w->A.data,
                       .D = j->w->D.data,
                       .wx = j->wx.data,
                       .wz = j->wz.data,
                       .rows = mv_at(j->rows, window * (size_t)j->rows.dim[1] * 2 * (size_t)e),
                       .scratch = mv_cpu_scratch(j->c, worker, 0, k->spread_scratch(tokens))};
    if (s.scratch)
        k->spread(&s);
}

static mv_status cpu_spread(mv_backend *b, mv_tensor rows, mv_tensor xz, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                            mv_vector wx, mv_vector wz, int first, int queries, mv_error *e)
{
    spread_job j = {.c = mv_cpu_of(b),
                    .rows = rows,
                    .xz = xz,
                    .proj = proj,
                    .dt = dt,
                    .w = w,
                    .wx = wx,
                    .wz = wz,
                    .first = first,
                    .queries = queries,
                    .groups = (w->channels + GROUP - 1) / GROUP};
    size_t width = (size_t)rows.dim[2], used = mv_spread_rows(xz.dim[1], first, queries), all = (size_t)rows.dim[1];
    for (size_t n = 0; n < (size_t)rows.dim[0]; n++)
        memset(mv_at(rows, (n * all + used) * width), 0, (all - used) * width * mv_dtype_size(rows.type));
    return mv_cpu_run(j.c, spread_piece, &j, rows.dim[0] * j.groups, e);
}

/* One query: `vectors` are its rows. The scan's part of a token next to the query and the z branch's are added before
 * the norm of both. */
static void weigh_query(const spread_job *j, float *out, float *parts, const float *vectors, int i, float *sum)
{
    const mv_kernels *k = j->c->k;
    int tokens = j->out.dim[1], channels = j->rows.dim[2], scanned = mv_least(i + 2, tokens);
    const float *local = vectors + (size_t)scanned * (size_t)channels;
    float norm[MV_TAPS];
    double scan = 0, z = 0;
    k->norm(out, vectors, (size_t)scanned, (size_t)channels);
    k->norm(norm, local, MV_TAPS, (size_t)channels);
    memset(out + scanned, 0, (size_t)(tokens - scanned) * sizeof *out);
    for (int t = 0; t < scanned; t++)
        scan += (double)out[t];
    for (int o = 0; o < MV_TAPS; o++) {
        int token = i + o - 1;
        if (token < 0 || token >= tokens)
            continue;
        z += (double)norm[o];
        for (int c = 0; c < channels; c++)
            sum[c] =
                vectors[(size_t)token * (size_t)channels + (size_t)c] + local[(size_t)o * (size_t)channels + (size_t)c];
        k->norm(out + token, sum, 1, (size_t)channels);
    }
    parts[0] = (float)scan;
    parts[1] = (float)z;
}

static void weigh_piece(void *job, int i, int worker)
{
    const spread_job *j = job;
    int tokens = j->out.dim[1], query = j->first + i % j->queries;
    size_t window = (size_t)(i / j->queries), row = window * (size_t)tokens + (size_t)query,
           at = window * (size_t)j->rows.dim[1] + mv_spread_rows(tokens, j->first, i % j->queries);
    float *sum = mv_cpu_scratch(j->c, worker, 0, (size_t)j->rows.dim[2]);
    if (sum)
        weigh_query(j, (float *)j->out.data + row * (size_t)tokens, (float *)j->parts.data + 2 * row,
                    (const float *)j->rows.data + at * (size_t)j->rows.dim[2], query, sum);
}

static mv_status cpu_weigh(mv_backend *b, mv_tensor out, mv_tensor parts, mv_tensor vectors, int first, int queries,
                           mv_error *e)
{
    spread_job j = {.c = mv_cpu_of(b), .out = out, .parts = parts, .rows = vectors, .first = first, .queries = queries};
    return mv_cpu_run(j.c, weigh_piece, &j, out.dim[0] * queries, e);
}

void mv_cpu_offer_mixer(mv_backend *b)
{
    b->half_life = cpu_half_life;
    b->spread = cpu_spread;
    b->weigh = cpu_weigh;
}
