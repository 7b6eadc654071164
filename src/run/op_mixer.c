/* The mixer: its convolution, its scan, and what can be watched of it. */
#include "src/run/op_impl.h"
#include "src/run/tape_impl.h"

static void conv1d_silu_back(mv_run *r, const mv_node *n)
{
    mv_tensor xz = n->in[0], dx = mv_grad_of(r, n->out), dyz = mv_grad_of(r, n->in[1]);
    mv_sum dxz = mv_grad_sum(r, xz);
    if (mv_op_ready(r))
        MV_OP_RUN(r, conv1d_silu_back, dxz.out, dx, dyz, xz, n->vector[0], n->vector[1], mv_tape_held(r));
}

void mv_conv1d_silu(mv_run *r, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz)
{
    if (!mv_op_expect(
            r, mv_tensor_same_shape(yz, xz) && 2 * x.dim[2] == xz.dim[2] && wx.n == MV_TAPS * x.dim[2] && wz.n == wx.n,
            "conv1d_silu", x, xz))
        return;
    MV_OP_RUN(r, conv1d_silu, x, yz, xz, wx, wz);
    r->costs.macs[r->part] += mv_tensor_count(xz) * MV_TAPS;
    mv_node *n = mv_tape_add(r, conv1d_silu_back, x);
    if (n)
        *n = (mv_node){.back = n->back, .in = {xz, yz}, .out = x, .vector = {wx, wz}};
}

static void step_back(mv_run *r, const mv_node *n)
{
    mv_tensor dproj = mv_grad_of(r, n->in[0]);
    if (mv_op_expect(r, dproj.nd, "step_back", n->in[0], n->out)) /* the scan has written its other columns */
        MV_OP_RUN(r, step_back, dproj, mv_grad_of(r, n->out), n->out, n->w);
}

mv_tensor mv_step(mv_run *r, mv_tensor proj, const mv_ssm *w)
{
    mv_tensor dt = mv_scratch_new(r, MV_F32, 3, proj.dim[0], proj.dim[1], w->channels);
    if (mv_op_expect(r, proj.dim[2] == w->rank + 2 * MV_STATES, "step", proj, dt))
        MV_OP_RUN(r, step, dt, proj, w);
    mv_node *n = mv_tape_add(r, step_back, dt);
    if (n)
        *n = (mv_node){.back = n->back, .in = {proj}, .out = dt, .w = w};
    return dt;
}

/* Of the held scan, nothing flows into dt, B and C. */
static void scan_back(mv_run *r, const mv_node *n)
{
    mv_tensor x = n->in[0], proj = n->in[1], dt = n->in[2], none = {0}, dproj = none, ddt = none, dh = none;
    mv_tensor dx = mv_grad_sum(r, x).out;
    if (!mv_tape_held(r)) {
        dproj = mv_grad_sum(r, proj).out;
        ddt = mv_grad_sum(r, dt).out;
    }
    if (n->inner_wanted)
        dh = mv_grad_sum(r, n->inner).out;
    if (mv_op_ready(r))
        MV_OP_RUN(r, scan_back, dx, dproj, ddt, dh, mv_grad_of(r, n->out), x, proj, dt, n->inner, n->w);
}

void mv_scan(mv_run *r, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w, mv_tensor h)
{
    if (!mv_op_expect(r,
                      x.dim[2] == w->channels && yz.dim[2] == 2 * w->channels && proj.dim[2] == w->rank + 2 * MV_STATES,
                      "scan", x, proj))
        return;
    MV_OP_RUN(r, scan, yz, x, proj, dt, w, h);
    /* the step size's product; h = a h + u, y = C h; D x */
    r->costs.macs[r->part] += mv_tensor_count(x) * (uint64_t)(w->rank - w->spare_ranks + 2 * MV_STATES + 1);
    mv_node *n = mv_tape_add(r, scan_back, yz);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x, proj, dt}, .inner = h, .out = yz, .w = w};
}

void mv_readout(mv_run *r, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w)
{
    mv_tape_refuse(r, "mixer.h");
    if (mv_op_expect(r, h.nd == 4 && h.dim[3] == MV_STATES, "readout", x, h))
        MV_OP_RUN(r, readout, yz, x, proj, h, w);
}

/* All from here on only describe the network, so their multiply-adds are not counted. */
mv_tensor mv_state_norm(mv_run *r, mv_tensor h)
{
    mv_tensor out = mv_scratch_new(r, MV_F32, 2, h.dim[0], h.dim[1]);
    if (mv_op_expect(r, h.nd == 4 && h.dim[3] == MV_STATES, "state_norm", h, out))
        MV_OP_RUN(r, state_norm, out, h);
    return out;
}

mv_tensor mv_hidden(mv_run *r, mv_tensor dt, mv_tensor proj, const mv_ssm *w, int channel, bool with_sign)
{
    mv_tensor out = mv_scratch_new(r, MV_F32, 3, proj.dim[0], proj.dim[1], proj.dim[1]);
    if (mv_op_expect(r,
                     dt.nd == 3 && dt.dim[2] == w->channels && proj.dim[2] == w->rank + 2 * MV_STATES &&
                         channel >= -1 && channel < w->channels,
                     "hidden", dt, proj))
        MV_OP_RUN(r, hidden, out, dt, proj, w, channel, with_sign);
    return out;
}

mv_tensor mv_half_life(mv_run *r, mv_tensor dt, const mv_ssm *w, int channel)
{
    mv_tensor out = mv_scratch_new(r, MV_F32, 2, dt.dim[0], dt.dim[1]);
    if (mv_op_expect(r, dt.nd == 3 && dt.dim[2] == w->channels && channel >= -1 && channel < w->channels, "half_life",
                     dt, out))
        MV_OP_RUN(r, half_life, out, dt, w, channel);
    return out;
}

const mv_mixer_values *mv_mixer_now(const mv_run *r)
{
    return r->mixer;
}

void mv_mixer_enter(mv_run *r, const mv_mixer_values *v)
{
    r->mixer = v;
}

/* ---- contributions */

/* Bytes of the vectors that are in memory at a time, before and after W_o; one query of one window may need more. */
enum { CONTRIBUTIONS = 16 << 20 };

/* Windows [first, first + n) of a value (N ...). */
static mv_tensor windows_of(mv_tensor t, int first, int n)
{
    size_t each = mv_tensor_bytes(t) / (size_t)t.dim[0];
    if (t.data)
        t.data = (char *)t.data + (size_t)first * each;
    t.dim[0] = n;
    return t;
}

/* The queries from `first` on whose rows fit. */
static int queries_in(int rows, int tokens, int first)
{
    int n = 1;
    while (first + n < tokens && mv_spread_rows(tokens, first, n + 1) <= (size_t)rows)
        n++;
    return n;
}

/* Of some windows, with memory for `rows` rows of each. */
static void contributions_of(mv_run *r, mv_tensor out, mv_tensor parts, const mv_mixer_values *v, char *memory,
                             int rows)
{
    int n = out.dim[0], tokens = out.dim[1], channels = v->w->out.in;
    mv_tensor before = mv_tensor_of(memory, r->b->act, 3, n, rows, channels),
              after = mv_tensor_of(NULL, MV_F32, 3, n, rows, v->w->out.out);
    after.data = memory ? memory + (mv_tensor_bytes(before) + 63) / 64 * 64 : NULL;
    for (int first = 0, queries; first < tokens; first += queries) {
        queries = queries_in(rows, tokens, first);
        if (!mv_op_expect(r, true, "contributions", out, parts)) /* the run may be stopped */
            return;
        MV_OP_RUN(r, spread, before, v->xz, v->proj, v->dt, &v->w->ssm, v->w->conv_x, v->w->conv_z, first, queries);
        if (mv_op_ready(r))
            MV_OP_RUN(r, linear, after, before, &v->w->out, MV_ACT_NONE, (mv_vector){0}, (mv_tensor){0});
        if (mv_op_ready(r))
            MV_OP_RUN(r, weigh, out, parts, after, first, queries);
    }
}

void mv_contributions(mv_run *r, mv_tensor out, mv_tensor parts, const mv_mixer_values *v)
{
    int n = out.dim[0], tokens = out.dim[1];
    size_t row = (size_t)v->w->out.in * (mv_dtype_size(r->b->act) + sizeof(float)),
           all = mv_spread_rows(tokens, 0, tokens), least = (size_t)tokens + 3,
           room = CONTRIBUTIONS / row > least ? CONTRIBUTIONS / row : least; /* rows of all windows at a time */
    if (!mv_op_expect(r,
                      out.nd == 3 && parts.nd == 3 && v->dt.nd == 3 && v->dt.dim[0] == n && v->dt.dim[1] == tokens &&
                          parts.dim[1] == tokens && v->xz.dim[1] == tokens,
                      "contributions", out, v->dt))
        return;
    size_t mark = mv_scratch_mark(r);
    mv_tensor memory = mv_scratch_new(r, MV_U8, 2, (int)room, (int)row);
    /* Short windows are taken together; of long ones, as many queries as fit. The memory is the same for every batch.
     */
    int windows = all * 2 <= room ? (int)(room / all) : 1;
    for (int first = 0, some; first < n; first += some) {
        some = n - first < windows ? n - first : windows;
        size_t rows = room / (size_t)some < all ? room / (size_t)some : all;
        mv_mixer_values part = {.xz = windows_of(v->xz, first, some),
                                .proj = windows_of(v->proj, first, some),
                                .dt = windows_of(v->dt, first, some),
                                .w = v->w};
        contributions_of(r, windows_of(out, first, some), windows_of(parts, first, some), &part, memory.data,
                         (int)rows);
    }
    r->used = mark; /* its memory is not on the tape */
}
