/* What is left of the network when its blocks are skipped. */
#include "src/model/grid.h"
#include "src/run/op_impl.h"

mv_tensor mv_rest(mv_run *r, mv_tensor tokens, int level)
{
    const mv_model *m = r->model;
    mv_grid g = mv_grid_of(&m->config, level, r->h, r->w);
    bool fits = g.window && tokens.nd == 3 && tokens.dim[0] == r->pictures * g.windows && tokens.dim[1] == g.tokens;
    if (!mv_op_expect(r, fits, "rest", tokens, tokens))
        return tokens;
    mv_tensor x = mv_merge(r, tokens, g.window, g.h, g.w);
    for (; level < MV_LEVELS - 1; level++)
        x = mv_conv2d(r, x, &m->level[level].down, MV_ACT_NONE);
    return m->config.no_norm ? x : mv_affine(r, x, m->norm_scale, m->norm_shift);
}
