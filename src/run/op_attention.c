/* Self-attention, and reductions of its rows. */
#include "src/run/op_impl.h"
#include "src/run/tape_impl.h"

static void attention_back(mv_run *r, const mv_node *n)
{
    mv_tensor qkv = n->in[0], drows = {0}, dqkv = mv_grad_sum(r, qkv).out;
    mv_tensor work = mv_scratch_new(r, MV_F32, 4, qkv.dim[0], n->n, qkv.dim[1], 3);
    if (n->inner_wanted)
        drows = mv_grad_sum(r, n->inner).out;
    if (mv_op_ready(r))
        MV_OP_RUN(r, attention_back, dqkv, drows, mv_grad_of(r, n->out), qkv, n->n, mv_tape_held(r), work);
}

void mv_attention_rows(mv_run *r, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows)
{
    if (!mv_op_expect(r, 3 * out.dim[2] == qkv.dim[2] && out.dim[2] % heads == 0, "attention", out, qkv))
        return;
    if (!mv_tape_skips(r))
        MV_OP_RUN(r, attention, out, qkv, heads, rows);
    r->costs.attention_macs[r->part] += 2 * mv_tensor_count(out) * (uint64_t)out.dim[1];
    mv_node *n = mv_tape_add(r, attention_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {qkv}, .inner = rows, .out = out, .n = heads};
}

void mv_attend(mv_run *r, mv_tensor out, mv_tensor rows, mv_tensor qkv)
{
    mv_tape_refuse(r, "mixer.attn");
    if (mv_op_expect(r, rows.nd == 4 && 3 * out.dim[2] == qkv.dim[2], "attend", rows, qkv))
        MV_OP_RUN(r, attend, out, rows, qkv);
}

mv_tensor mv_follow(mv_run *r, mv_tensor rows, mv_tensor from, mv_rows_form form)
{
    mv_tensor to = mv_scratch_new(r, MV_F32, 3, rows.dim[0], rows.dim[1], rows.dim[3]);
    if (mv_op_expect(r,
                     rows.nd == 4 && from.nd == 2 && rows.dim[2] == rows.dim[3] && from.dim[1] == rows.dim[2] &&
                         rows.dim[0] % from.dim[0] == 0,
                     "follow", rows, from))
        MV_OP_RUN(r, follow, to, rows, from, form);
    return to;
}

void mv_roll(mv_run *r, mv_tensor out, mv_tensor rows, mv_tensor before)
{
    if (mv_op_expect(r,
                     rows.nd == 3 && rows.dim[1] == rows.dim[2] && mv_tensor_same_shape(out, rows) &&
                         (!before.nd || mv_tensor_same_shape(before, rows)),
                     "roll", rows, before))
        MV_OP_RUN(r, roll, out, rows, before);
}

void mv_mean_heads(mv_run *r, mv_tensor out, mv_tensor rows)
{
    if (mv_op_expect(r,
                     rows.nd == 4 && out.nd == 3 && out.dim[0] == rows.dim[0] && out.dim[1] == rows.dim[2] &&
                         out.dim[2] == rows.dim[3],
                     "mean_heads", out, rows))
        MV_OP_RUN(r, mean_heads, out, rows);
}

mv_tensor mv_measure(mv_run *r, mv_tensor rows, int h, int w)
{
    mv_tensor out = mv_scratch_new(r, MV_F32, 4, rows.dim[0], rows.dim[1], rows.dim[2], 3);
    int side = 1;
    while (side * side < rows.dim[2])
        side++;
    int windows = (h + side - 1) / side * ((w + side - 1) / side);
    if (mv_op_expect(r, rows.nd == 4 && side * side == rows.dim[3] && rows.dim[0] == r->pictures * windows, "measure",
                     rows, out))
        MV_OP_RUN(r, measure, out, rows, h, w);
    return out;
}
