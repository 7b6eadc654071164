#include "src/run/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const mv_tensor none;

/* ---- scratch */

enum { ALIGN = 64 };

size_t mv_mark(const mv_run *r)
{
    return r->used;
}

void mv_rewind(mv_run *r, size_t mark)
{
    r->used = mark;
}

mv_tensor mv_new(mv_run *r, mv_dtype type, int nd, ...)
{
    mv_tensor t = {.type = type, .nd = nd};
    va_list dims;
    va_start(dims, nd);
    for (int i = 0; i < nd; i++)
        t.dim[i] = va_arg(dims, int);
    va_end(dims);
    size_t bytes = (mv_tensor_bytes(t) + ALIGN - 1) / ALIGN * ALIGN;
    if (bytes > r->size - r->used && !r->error.code)
        mv_run_fail(r, MV_EMISUSE, "%s: scratch of %zu bytes is full, expected the dry run's size to be enough",
                    r->path, r->size);
    if (r->error.code)
        return t;
    t.data = r->base + r->used;
    r->used += bytes;
    if (r->used > r->peak)
        r->peak = r->used;
    return t;
}

/* ---- names */

void mv_enter(mv_run *r, int part, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->path, sizeof r->path, format, args);
    va_end(args);
    r->part = part;
}

static const char *site_name(const mv_run *r, char text[128], const char *leaf)
{
    snprintf(text, 128, "%s%s%s", r->path, *r->path && leaf ? "." : "", leaf ? leaf : "");
    return text;
}

bool mv_wants(const mv_run *r, const char *leaf)
{
    char site[128];
    if (!r->probes || r->error.code)
        return false;
    site_name(r, site, leaf);
    for (mv_probe *p = r->probes; p; p = p->next)
        if (p->wants(p, site))
            return true;
    return false;
}

bool mv_tap(mv_run *r, const char *leaf, mv_view v)
{
    bool changed = false;
    char site[128];
    if (!r->probes)
        return false;
    site_name(r, site, leaf);
    for (mv_probe *p = r->probes; p && !r->error.code; p = p->next)
        if (p->wants(p, site))
            changed |= p->sees(p, r, site, v);
    return changed;
}

mv_view mv_view_planes(mv_tensor x)
{
    int h = x.dim[1], w = x.dim[2], c = x.dim[3];
    return (mv_view){.data = x.data,
                     .type = x.type,
                     .nd = 4,
                     .dim = {x.dim[0], c, h, w},
                     .stride = {(ptrdiff_t)h * w * c, 1, (ptrdiff_t)w * c, c}};
}

/* data moved by n elements; a value without data (after a failure) stays so */
static void *advance(mv_tensor x, int n)
{
    return x.data ? (char *)x.data + (size_t)n * mv_dtype_size(x.type) : NULL;
}

mv_view mv_view_columns(mv_tensor x, int from, int n)
{
    mv_view v = mv_view_of(x);
    v.data = advance(x, from);
    v.dim[v.nd - 1] = n;
    return v;
}

mv_view mv_view_heads(mv_tensor qkv, int which, int heads)
{
    int t = qkv.dim[1], c = qkv.dim[2] / 3, d = c / heads;
    return (mv_view){.data = advance(qkv, which * c),
                     .type = qkv.type,
                     .nd = 4,
                     .dim = {qkv.dim[0], heads, t, d},
                     .stride = {(ptrdiff_t)t * 3 * c, d, 3 * (ptrdiff_t)c, 1}};
}

/* ---- checks */

static bool ready(const mv_run *r)
{
    return !r->error.code;
}

/* The contract of an op: told with the path, so that a wrong call in forward.c is found at once. */
static bool expect(mv_run *r, bool holds, const char *op, mv_tensor a, mv_tensor b)
{
    char sa[64], sb[64];
    if (ready(r) && !holds)
        mv_run_fail(r, MV_EMISUSE, "%s: %s was given %s and %s", r->path, op, mv_shape_text(sa, a.nd, a.dim),
                    mv_shape_text(sb, b.nd, b.dim));
    return ready(r);
}

static uint64_t rows_of(mv_tensor x)
{
    return mv_tensor_count(x) / (uint64_t)x.dim[x.nd - 1];
}

/* The device tells what failed; where is known here. What fails later is found by the mark. */
static void done(mv_run *r, const char *op, mv_status s)
{
    if (!s) {
        if (r->b->mark)
            r->b->mark(r->b, r->path, op);
        return;
    }
    mv_error told = r->error;
    r->error = (mv_error){0};
    mv_run_fail(r, s, "%s: %s", *r->path ? r->path : "first or last layers",
                told.code ? told.text : "the device failed");
}

/* ---- operations */

mv_tensor mv_picture(mv_run *r, const float *planes)
{
    mv_tensor out = mv_new(r, r->b->act, 4, r->pictures, r->h, r->w, 3);
    if (ready(r))
        done(r, "picture", r->b->picture(r->b, out, planes, &r->error));
    return out;
}

static void count_conv(mv_run *r, mv_tensor out, const mv_conv *w)
{
    r->macs[r->part] += mv_tensor_count(out) * (uint64_t)w->in * MV_TAPS * MV_TAPS;
}

mv_tensor mv_conv2d(mv_run *r, mv_tensor x, const mv_conv *w, mv_act act)
{
    int s = w->stride;
    mv_tensor out = mv_new(r, r->b->act, 4, x.dim[0], (x.dim[1] + s - 1) / s, (x.dim[2] + s - 1) / s, w->out);
    if (expect(r, x.nd == 4 && x.dim[3] == w->in, "conv2d", x, out)) {
        done(r, "conv2d", r->b->conv2d(r->b, out, x, w, act, none, &r->error));
        count_conv(r, out, w);
    }
    return out;
}

void mv_conv2d_onto(mv_run *r, mv_tensor x, mv_tensor y, const mv_conv *w)
{
    if (!expect(r, mv_tensor_same_shape(x, y) && y.dim[3] == w->in && w->in == w->out && w->stride == 1, "conv2d_onto",
                x, y))
        return;
    done(r, "conv2d", r->b->conv2d(r->b, x, y, w, MV_ACT_NONE, x, &r->error));
    count_conv(r, x, w);
}

static mv_tensor with_columns(mv_run *r, mv_tensor x, int n, mv_dtype type)
{
    return x.nd == 2 ? mv_new(r, type, 2, x.dim[0], n) : mv_new(r, type, 3, x.dim[0], x.dim[1], n);
}

mv_tensor mv_linear(mv_run *r, mv_tensor x, const mv_dense *w, mv_act act, mv_dtype type)
{
    mv_tensor out = with_columns(r, x, w->out, type);
    if (expect(r, x.dim[x.nd - 1] == w->in, "linear", x, out)) {
        done(r, "linear", r->b->linear(r->b, out, x, w, act, (mv_vector){0}, none, &r->error));
        r->macs[r->part] += rows_of(x) * (uint64_t)w->in * (uint64_t)w->out;
    }
    return out;
}

void mv_linear_onto(mv_run *r, mv_tensor x, mv_tensor y, const mv_dense *w, mv_vector gamma)
{
    if (!expect(r, y.dim[y.nd - 1] == w->in && x.dim[x.nd - 1] == w->out && rows_of(x) == rows_of(y), "linear_onto", x,
                y))
        return;
    done(r, "linear", r->b->linear(r->b, x, y, w, MV_ACT_NONE, gamma, x, &r->error));
    r->macs[r->part] += rows_of(y) * (uint64_t)w->in * (uint64_t)w->out;
}

void mv_add_onto(mv_run *r, mv_tensor x, mv_tensor y, mv_vector gamma)
{
    if (expect(r, mv_tensor_same_shape(x, y), "add", x, y))
        done(r, "add", r->b->add(r->b, x, y, gamma, x, &r->error));
}

mv_tensor mv_layernorm(mv_run *r, mv_tensor x, const mv_vector norm[2])
{
    mv_tensor out = with_columns(r, x, x.dim[x.nd - 1], r->b->act);
    if (expect(r, norm[0].n == x.dim[x.nd - 1], "layernorm", x, out))
        done(r, "layernorm", r->b->layernorm(r->b, out, x, norm[0], norm[1], 1e-5f, &r->error));
    return out;
}

void mv_conv1d_silu(mv_run *r, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz)
{
    if (!expect(r,
                mv_tensor_same_shape(yz, xz) && 2 * x.dim[2] == xz.dim[2] && wx.n == MV_TAPS * x.dim[2] && wz.n == wx.n,
                "conv1d_silu", x, xz))
        return;
    done(r, "conv1d_silu", r->b->conv1d_silu(r->b, x, yz, xz, wx, wz, &r->error));
    r->macs[r->part] += mv_tensor_count(xz) * MV_TAPS;
}

mv_tensor mv_step(mv_run *r, mv_tensor proj, const mv_ssm *w)
{
    mv_tensor dt = mv_new(r, MV_F32, 3, proj.dim[0], proj.dim[1], w->channels);
    if (expect(r, proj.dim[2] == w->rank + 2 * MV_STATES, "step", proj, dt))
        done(r, "step", r->b->step(r->b, dt, proj, w, &r->error));
    return dt;
}

void mv_scan(mv_run *r, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w, mv_tensor h)
{
    if (!expect(r, x.dim[2] == w->channels && yz.dim[2] == 2 * w->channels && proj.dim[2] == w->rank + 2 * MV_STATES,
                "scan", x, proj))
        return;
    done(r, "scan", r->b->scan(r->b, yz, x, proj, dt, w, h, &r->error));
    /* the step size's product; h = a h + u, y = C h; D x */
    r->macs[r->part] += mv_tensor_count(x) * (uint64_t)(w->rank + 2 * MV_STATES + 1);
}

void mv_readout(mv_run *r, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w)
{
    if (expect(r, h.nd == 4 && h.dim[3] == MV_STATES, "readout", x, h))
        done(r, "readout", r->b->readout(r->b, yz, x, proj, h, w, &r->error));
}

/* The next two only tell of the network: no multiply-adds of it are counted. */
mv_tensor mv_state_norm(mv_run *r, mv_tensor h)
{
    mv_tensor out = mv_new(r, MV_F32, 2, h.dim[0], h.dim[1]);
    if (expect(r, h.nd == 4 && h.dim[3] == MV_STATES, "state_norm", h, out))
        done(r, "state_norm", r->b->state_norm(r->b, out, h, &r->error));
    return out;
}

mv_tensor mv_hidden(mv_run *r, mv_tensor dt, mv_tensor proj, const mv_ssm *w)
{
    mv_tensor out = mv_new(r, MV_F32, 3, proj.dim[0], proj.dim[1], proj.dim[1]);
    if (expect(r, dt.nd == 3 && dt.dim[2] == w->channels && proj.dim[2] == w->rank + 2 * MV_STATES, "hidden", dt, proj))
        done(r, "hidden", r->b->hidden(r->b, out, dt, proj, w, &r->error));
    return out;
}

void mv_attention_rows(mv_run *r, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows)
{
    if (!expect(r, 3 * out.dim[2] == qkv.dim[2] && out.dim[2] % heads == 0, "attention", out, qkv))
        return;
    done(r, "attention", r->b->attention(r->b, out, qkv, heads, rows, &r->error));
    r->attention_macs[r->part] += 2 * mv_tensor_count(out) * (uint64_t)out.dim[1];
}

void mv_attend(mv_run *r, mv_tensor out, mv_tensor rows, mv_tensor qkv)
{
    if (expect(r, rows.nd == 4 && 3 * out.dim[2] == qkv.dim[2], "attend", rows, qkv))
        done(r, "attend", r->b->attend(r->b, out, rows, qkv, &r->error));
}

mv_tensor mv_split(mv_run *r, mv_tensor x, int window)
{
    int b = x.dim[0], h = x.dim[1], w = x.dim[2], c = x.dim[3];
    if (h == window && w == window)
        return mv_tensor_of(x.data, x.type, 3, b, h * w, c);
    int windows = ((h + window - 1) / window) * ((w + window - 1) / window);
    mv_tensor out = mv_new(r, x.type, 3, b * windows, window * window, c);
    if (ready(r))
        done(r, "split", r->b->split(r->b, out, x, window, &r->error));
    return out;
}

mv_tensor mv_merge(mv_run *r, mv_tensor x, int window, int h, int w)
{
    int c = x.dim[2];
    if (h == window && w == window)
        return mv_tensor_of(x.data, x.type, 4, x.dim[0], h, w, c);
    mv_tensor out = mv_new(r, x.type, 4, r->pictures, h, w, c);
    if (ready(r))
        done(r, "merge", r->b->merge(r->b, out, x, window, &r->error));
    return out;
}

mv_tensor mv_affine(mv_run *r, mv_tensor x, mv_vector scale, mv_vector shift)
{
    mv_tensor out = mv_new(r, x.type, 4, x.dim[0], x.dim[1], x.dim[2], x.dim[3]);
    if (expect(r, scale.n == x.dim[3] && shift.n == scale.n, "affine", x, out))
        done(r, "affine", r->b->affine(r->b, out, x, scale, shift, &r->error));
    return out;
}

mv_tensor mv_pool(mv_run *r, mv_tensor x, mv_vector scale, mv_vector shift)
{
    mv_tensor out = mv_new(r, r->b->act, 2, x.dim[0], x.dim[3]);
    if (ready(r))
        done(r, "pool", r->b->pool(r->b, out, x, scale, shift, &r->error));
    return out;
}
