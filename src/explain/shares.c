#include "src/explain/shares.h"

#include <stdlib.h>

#include "src/run/ops.h"

mv_status mv_shares_new(mv_shares *s, const mv_grid *grid, mv_query query, int heads, mv_error *e)
{
    *s = (mv_shares){.grid = *grid, .heads = heads, .query = mv_query_constant(query, grid)};
    return s->query ? MV_OK : mv_fail_memory(e, "attention");
}

void mv_shares_free(mv_shares *s)
{
    free(s->query);
    s->query = NULL;
}

/* ---- on the device */

static mv_tensor query_of(const mv_shares *s, mv_run *r)
{
    return mv_run_constant(r, s->query, s->grid.windows, s->grid.tokens);
}

void mv_shares_keep(const mv_shares *s, mv_run *r, mv_probe *p, const char *site, mv_tensor rows)
{
    mv_run_keep(r, p, site, MV_SHARES_SHARE, mv_view_of(mv_follow(r, rows, query_of(s, r), MV_ROWS_GIVEN)));
    mv_run_keep(r, p, site, MV_SHARES_FIGURES, mv_view_of(mv_measure(r, rows, s->grid.h, s->grid.w)));
}

mv_tensor mv_shares_mean(mv_run *r, mv_tensor rows)
{
    mv_tensor mean = mv_scratch_hold(r, MV_F32, 3, rows.dim[0], rows.dim[2], rows.dim[3]);
    mv_mean_heads(r, mean, rows);
    return mean;
}

void mv_shares_roll(const mv_shares *s, mv_run *r, mv_probe *p, const char *site, const mv_tensor *mean, int n)
{
    mv_tensor from = query_of(s, r), to = {0};
    for (int i = n - 1; i >= 0; i--) {
        int all = mean[i].dim[0], tokens = mean[i].dim[1];
        to = mv_follow(r, mv_tensor_of(mean[i].data, MV_F32, 4, all, 1, tokens, tokens), from, MV_ROWS_RESIDUAL);
        from = mv_tensor_of(to.data, MV_F32, 2, all, tokens);
    }
    mv_run_keep(r, p, site, MV_SHARES_ROLLED, mv_view_of(to));
}

/* ---- on the host */

/* Where window n of a picture's head is in a kept value. */
static const float *values_at(const mv_shares *s, mv_tensor value, int picture, int n, int head, size_t each)
{
    size_t row = (size_t)(picture * s->grid.windows + n) * (size_t)value.dim[1] + (size_t)head;
    return (const float *)value.data + row * (size_t)s->grid.tokens * each;
}

void mv_shares_read(const mv_shares *s, double *share, mv_tensor value, int picture, int head)
{
    for (int n = 0; n < s->grid.windows; n++) {
        const float *from = values_at(s, value, picture, n, head, 1);
        for (int t = 0; t < s->grid.tokens; t++)
            *share++ = (double)from[t];
    }
}

mv_rows_stats mv_shares_stats(const mv_shares *s, mv_tensor value, int picture, int head)
{
    mv_rows_stats stats = {0};
    for (int n = 0; n < s->grid.windows; n++)
        mv_rows_average(&stats, &s->grid, n, values_at(s, value, picture, n, head, 3));
    return stats;
}
