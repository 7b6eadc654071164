/* The mixer: its convolution, its scan, and what can be watched of it. */
#include "src/run/op_impl.h"

void mv_conv1d_silu(mv_run *r, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz)
{
    if (!mv_op_expect(
            r, mv_tensor_same_shape(yz, xz) && 2 * x.dim[2] == xz.dim[2] && wx.n == MV_TAPS * x.dim[2] && wz.n == wx.n,
            "conv1d_silu", x, xz))
        return;
    MV_OP_RUN(r, conv1d_silu, x, yz, xz, wx, wz);
    r->costs.macs[r->part] += mv_tensor_count(xz) * MV_TAPS;
}

mv_tensor mv_step(mv_run *r, mv_tensor proj, const mv_ssm *w)
{
    mv_tensor dt = mv_scratch_new(r, MV_F32, 3, proj.dim[0], proj.dim[1], w->channels);
    if (mv_op_expect(r, proj.dim[2] == w->rank + 2 * MV_STATES, "step", proj, dt))
        MV_OP_RUN(r, step, dt, proj, w);
    return dt;
}

void mv_scan(mv_run *r, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w, mv_tensor h)
{
    if (!mv_op_expect(r,
                      x.dim[2] == w->channels && yz.dim[2] == 2 * w->channels && proj.dim[2] == w->rank + 2 * MV_STATES,
                      "scan", x, proj))
        return;
    MV_OP_RUN(r, scan, yz, x, proj, dt, w, h);
    /* the step size's product; h = a h + u, y = C h; D x */
    r->costs.macs[r->part] += mv_tensor_count(x) * (uint64_t)(w->rank + 2 * MV_STATES + 1);
}

void mv_readout(mv_run *r, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w)
{
    if (mv_op_expect(r, h.nd == 4 && h.dim[3] == MV_STATES, "readout", x, h))
        MV_OP_RUN(r, readout, yz, x, proj, h, w);
}

/* The next two only describe the network, so their multiply-adds are not counted. */
mv_tensor mv_state_norm(mv_run *r, mv_tensor h)
{
    mv_tensor out = mv_scratch_new(r, MV_F32, 2, h.dim[0], h.dim[1]);
    if (mv_op_expect(r, h.nd == 4 && h.dim[3] == MV_STATES, "state_norm", h, out))
        MV_OP_RUN(r, state_norm, out, h);
    return out;
}

mv_tensor mv_hidden(mv_run *r, mv_tensor dt, mv_tensor proj, const mv_ssm *w)
{
    mv_tensor out = mv_scratch_new(r, MV_F32, 3, proj.dim[0], proj.dim[1], proj.dim[1]);
    if (mv_op_expect(r, dt.nd == 3 && dt.dim[2] == w->channels && proj.dim[2] == w->rank + 2 * MV_STATES, "hidden", dt,
                     proj))
        MV_OP_RUN(r, hidden, out, dt, proj, w);
    return out;
}
