/* The network as the paper draws it.
 *
 *   picture -> stem /4 -> level 0 (conv) -> /2 -> level 1 (conv) -> /2 -> level 2 (tokens) -> /2 -> level 3 (tokens)
 *           -> batch norm -> mean over space -> linear
 *
 * The batch norm and the linear head are absent in the backbones of other tasks.
 *
 * The blocks of a level update its features x in place; their other memory is freed when a block ends. While operations
 * are on the tape, every value is in memory of its own and nothing is freed. Operations are fused unless a probe wants
 * a value that fusing would lose: then that value is computed on its own.
 *
 * The stem, each convolutional block and each half of another block are segments, which a backward pass computes once
 * more (tape_impl.h): what a half computes last is then not needed, as the input of the next one was kept.
 */
#include "src/run/forward.h"

#include "src/run/ops.h"
#include "src/run/tape_impl.h"

static void tap(mv_run *r, const char *leaf, const char *axes, mv_tensor t)
{
    mv_tap(r, leaf, axes, mv_view_of(t));
}

/* The first `channels` of t; behind them there may be zeros. */
static void tap_planes(mv_run *r, const char *leaf, mv_tensor t, int channels)
{
    mv_view v = mv_view_planes(t);
    v.dim[1] = channels;
    mv_tap(r, leaf, "BCHW", v);
}

static int channels_of(const mv_conv *w)
{
    return w->out - w->spare_out;
}

/* x + gamma BN(conv(GELU(BN(conv(x))))), batch norms folded; "norm2" is the branch, before gamma if there is one */
static mv_tensor conv_block(mv_run *r, const void *weights, mv_tensor x)
{
    const mv_conv_block *b = weights;
    size_t mark = mv_scratch_mark(r);
    if (!b->gamma.n)
        mv_tape_last(r, "norm2", NULL);
    mv_tensor y = mv_conv2d(r, x, &b->conv1, MV_ACT_GELU_TANH);
    if (b->gamma.n || mv_wants(r, "norm2")) {
        mv_tensor branch = mv_conv2d(r, y, &b->conv2, MV_ACT_NONE);
        tap_planes(r, "norm2", branch, channels_of(&b->conv2));
        x = mv_add_onto(r, x, branch, b->gamma);
    } else
        x = mv_conv2d_onto(r, x, y, MV_ACT_NONE, &b->conv2);
    mv_scratch_rewind(r, mark);
    tap_planes(r, NULL, x, channels_of(&b->conv2));
    return x;
}

/* The same of a block that no probe looks into and that has no gamma. What comes before the activation is kept: it is
 * all that the way back reads. */
static mv_tensor conv_block_kept(mv_run *r, const void *weights, mv_tensor x)
{
    const mv_conv_block *b = weights;
    size_t mark = mv_scratch_mark(r);
    mv_tensor y = mv_conv2d_kept(r, x, &b->conv1);
    mv_tape_last(r, "norm2", NULL);
    x = mv_conv2d_onto(r, x, y, MV_ACT_GELU_TANH, &b->conv2);
    mv_scratch_rewind(r, mark);
    tap_planes(r, NULL, x, channels_of(&b->conv2));
    return x;
}

/* Norms of what each token contributes to the mixer's output, and of the parts of its two branches. */
static void contributions(mv_run *r, const mv_mixer_values *v)
{
    int n = v->dt.dim[0], t = v->dt.dim[1];
    mv_tensor out = mv_scratch_new(r, MV_F32, 3, n, t, t), parts = mv_scratch_new(r, MV_F32, 3, n, t, 2);
    mv_contributions(r, out, parts, v);
    mv_tap_diagnostic(r, "mixer.contributions", "NTT", mv_view_of(out));
    mv_tap_diagnostic(r, "mixer.contribution_parts", "NTP", mv_view_of(parts));
}

/* Two branches of half width: both are convolved, and one is scanned. They are concatenated, not multiplied:
 * [y | z] (N T C). */
static mv_tensor mixer(mv_run *r, const mv_mixer *w, mv_tensor u)
{
    int n = u.dim[0], t = u.dim[1], e = w->ssm.channels, rank = w->ssm.rank;
    mv_tensor xz = mv_linear(r, u, &w->in, MV_ACT_NONE, u.type);
    mv_tensor x = mv_scratch_new(r, u.type, 3, n, t, e), yz = mv_scratch_new(r, u.type, 3, n, t, 2 * e);
    mv_conv1d_silu(r, x, yz, xz, w->conv_x, w->conv_z);
    tap(r, "mixer.x", "NTE", x);
    mv_tap(r, "mixer.z", "NTE", mv_view_columns(yz, e, e));

    mv_tensor proj = mv_linear(r, x, &w->x, MV_ACT_NONE, u.type); /* [r | B | C] */
    mv_tensor dt = {0}, h = {0};
    bool hidden = mv_wants_value(r, "mixer.hidden_attn"), norm = mv_wants_value(r, "mixer.state_norm");
    bool parts = mv_wants_value(r, "mixer.contribution_parts"),
         whole = parts || mv_wants_value(r, "mixer.contributions");
    bool steps = hidden || whole || mv_tape_on(r) || mv_wants(r, "mixer.dt");
    if (steps)
        dt = mv_step(r, proj, &w->ssm);
    const mv_mixer_values now = {xz, proj, dt, w};
    mv_mixer_enter(r, &now);
    if (steps)
        tap(r, "mixer.dt", "NTE", dt);
    mv_tap(r, "mixer.B", "NTS", mv_view_columns(proj, rank, MV_STATES));
    mv_tap(r, "mixer.C", "NTS", mv_view_columns(proj, rank + MV_STATES, MV_STATES));
    if (norm || mv_tape_on(r) || mv_wants(r, "mixer.h"))
        h = mv_scratch_new(r, MV_F32, 4, n, t, e, MV_STATES);
    mv_scan(r, yz, x, proj, dt, &w->ssm, h);
    if (h.nd && mv_tap(r, "mixer.h", "NTES", mv_view_of(h)))
        mv_readout(r, yz, x, proj, h, &w->ssm);
    if (norm)
        mv_tap_diagnostic(r, "mixer.state_norm", "NT", mv_view_of(mv_state_norm(r, h)));
    if (hidden)
        mv_tap_diagnostic(r, "mixer.hidden_attn", "NTT", mv_view_of(mv_hidden(r, dt, proj, &w->ssm, -1, false)));
    if (whole)
        contributions(r, &now);
    mv_tap(r, "mixer.y", "NTE", mv_view_columns(yz, 0, e));
    mv_mixer_enter(r, NULL);
    return yz;
}

/* softmax(q k^T / sqrt d) v, heads side by side (N T C). Every token attends to all tokens of its window. */
static mv_tensor attention(mv_run *r, const mv_attention *w, mv_tensor u)
{
    mv_tensor qkv = mv_linear(r, u, &w->qkv, MV_ACT_NONE, u.type), rows = {0};
    mv_tap(r, "mixer.q", "NhTd", mv_view_heads(qkv, 0, w->heads));
    mv_tap(r, "mixer.k", "NhTd", mv_view_heads(qkv, 1, w->heads));
    mv_tap(r, "mixer.v", "NhTd", mv_view_heads(qkv, 2, w->heads));
    mv_tape_last(r, "mixer.attn", "mixer");
    mv_tensor out = mv_scratch_new(r, u.type, 3, u.dim[0], u.dim[1], u.dim[2]);
    if (mv_wants(r, "mixer.attn"))
        rows = mv_scratch_new(r, MV_F32, 4, u.dim[0], w->heads, u.dim[1], u.dim[1]);
    mv_attention_rows(r, out, qkv, w->heads, rows);
    if (rows.nd && mv_tap(r, "mixer.attn", "NhTT", mv_view_of(rows)))
        mv_attend(r, out, rows, qkv);
    return out;
}

/* x + gamma * (y W^T + b); if a probe watches the product, it is computed on its own */
static mv_tensor onto(mv_run *r, mv_tensor x, mv_tensor y, const mv_dense *w, mv_vector gamma, const char *site)
{
    if (!mv_wants(r, site))
        return mv_linear_onto(r, x, y, MV_ACT_NONE, w, gamma);
    mv_tensor out = mv_linear(r, y, w, MV_ACT_NONE, x.type);
    tap(r, site, "NTC", out);
    return mv_add_onto(r, x, out, gamma);
}

/* x += g1 mix(LN(x)); mix is a mixer or self-attention */
static mv_tensor mixing(mv_run *r, const void *weights, mv_tensor x)
{
    const mv_token_block *b = weights;
    size_t mark = mv_scratch_mark(r);
    mv_tensor u = mv_layernorm(r, x, b->norm1);
    tap(r, "norm1", "NTC", u);
    mv_tensor y = b->attends ? attention(r, &b->attention, u) : mixer(r, &b->mixer, u);
    mv_tape_last(r, "mixer", "mixer");
    x = onto(r, x, y, b->attends ? &b->attention.proj : &b->mixer.out, b->gamma1, "mixer");
    mv_scratch_rewind(r, mark);
    return x;
}

/* x += g2 MLP(LN(x)) */
static mv_tensor mlp(mv_run *r, const void *weights, mv_tensor x)
{
    const mv_token_block *b = weights;
    size_t mark = mv_scratch_mark(r);
    mv_tensor u = mv_layernorm(r, x, b->norm2);
    tap(r, "norm2", "NTC", u);
    mv_tape_last(r, "mlp", NULL);
    x = onto(r, x, mv_linear(r, u, &b->fc1, MV_ACT_GELU, u.type), &b->fc2, b->gamma2, "mlp");
    mv_scratch_rewind(r, mark);
    tap(r, NULL, "NTC", x);
    return x;
}

/* The same of the last level, whose few tokens have wide layers: what comes before the activation is small, and slow to
 * compute again. */
static mv_tensor mlp_kept(mv_run *r, const void *weights, mv_tensor x)
{
    const mv_token_block *b = weights;
    size_t mark = mv_scratch_mark(r);
    mv_tensor u = mv_layernorm(r, x, b->norm2);
    tap(r, "norm2", "NTC", u);
    mv_tensor y = mv_linear_kept(r, u, &b->fc1);
    mv_tape_last(r, "mlp", NULL);
    x = mv_linear_onto(r, x, y, MV_ACT_GELU, &b->fc2, b->gamma2);
    mv_scratch_rewind(r, mark);
    tap(r, NULL, "NTC", x);
    return x;
}

static mv_tensor conv_segment(mv_run *r, const mv_conv_block *b, mv_tensor x)
{
    bool keeps = mv_tape_may_keep(r) && !b->gamma.n && !mv_wants(r, "norm2") && !mv_wants(r, NULL);
    return mv_tape_segment(r, keeps ? conv_block_kept : conv_block, b, x, !keeps);
}

static mv_tensor token_segments(mv_run *r, const mv_token_block *b, mv_tensor x, bool last)
{
    x = mv_tape_segment(r, mixing, b, x, true);
    return mv_tape_segment(r, last && mv_tape_may_keep(r) && !mv_wants(r, "mlp") ? mlp_kept : mlp, b, x, true);
}

/* Levels 0 and 1 apply their blocks to whole maps, levels 2 and 3 to windows of tokens: the map is zero-padded right
 * and below to whole windows before the blocks, and cropped after them. Padding is scanned and attended to like any
 * token. */
static mv_tensor level(mv_run *r, const mv_level *l, int i, mv_tensor x)
{
    int h = x.dim[1], w = x.dim[2];
    mv_tensor tokens = l->token ? mv_split(r, x, l->window) : x;
    for (int j = 0; j < l->depth; j++) {
        mv_path_enter(r, MV_PART_LEVEL0 + i, "levels.%d.blocks.%d", i, j);
        tokens = l->token ? token_segments(r, &l->token[j], tokens, i == MV_LEVELS - 1)
                          : conv_segment(r, &l->conv[j], tokens);
    }
    x = l->token ? mv_merge(r, tokens, l->window, h, w) : tokens;
    mv_path_enter(r, MV_PART_LEVEL0 + i, "levels.%d", i);
    tap_planes(r, NULL, x, l->channels);
    if (i == MV_LEVELS - 1)
        return x;
    x = mv_conv2d(r, x, &l->down, MV_ACT_NONE);
    tap_planes(r, "downsample", x, channels_of(&l->down));
    return x;
}

/* From the pictures of the run, so x is not read. */
static mv_tensor stem(mv_run *r, const void *weights, mv_tensor x)
{
    const mv_conv *w = weights;
    if (r->b->stem && !mv_wants(r, "input"))
        x = mv_stem(r, &w[0], MV_ACT_RELU);
    else {
        x = mv_picture(r);
        tap_planes(r, "input", x, x.dim[3]);
        x = mv_conv2d(r, x, &w[0], MV_ACT_RELU);
    }
    return mv_conv2d(r, x, &w[1], MV_ACT_RELU);
}

mv_tensor mv_forward(mv_run *r)
{
    const mv_model *m = r->model;
    const mv_vector no = {0};
    mv_path_enter(r, MV_PART_STEM, "%s", "");
    mv_tensor x = mv_tape_segment(r, stem, m->stem, (mv_tensor){0}, true);
    tap_planes(r, "patch_embed", x, channels_of(&m->stem[1]));
    for (int i = 0; i < MV_LEVELS; i++)
        x = level(r, &m->level[i], i, x);

    mv_path_enter(r, MV_PART_HEAD, "%s", "");
    mv_tensor pooled;
    if (m->config.no_norm)
        pooled = mv_mean_pool(r, x, no, no);
    else if (mv_wants(r, "norm")) {
        mv_tensor normed = mv_affine(r, x, m->norm_scale, m->norm_shift);
        tap_planes(r, "norm", normed, normed.dim[3]);
        pooled = mv_mean_pool(r, normed, no, no);
    } else /* the norm is affine, so it may be applied after the mean */
        pooled = mv_mean_pool(r, x, m->norm_scale, m->norm_shift);
    tap(r, "avgpool", "BC", pooled);
    if (m->config.classes == 0)
        return (mv_tensor){0};
    mv_tensor logits = mv_linear_into(r, mv_keep_logits_room(r), pooled, &m->head);
    tap(r, "head", "BC", logits);
    return logits;
}
