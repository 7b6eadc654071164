#include "src/run/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/run/op_impl.h"

/* ---- scratch */

enum { ALIGN = 64 };

size_t mv_scratch_mark(const mv_run *r)
{
    return r->used;
}

void mv_scratch_rewind(mv_run *r, size_t mark)
{
    r->used = mark;
}

static mv_tensor shape_of(mv_dtype type, int nd, va_list dims)
{
    mv_tensor t = {.type = type, .nd = nd};
    for (int i = 0; i < nd; i++)
        t.dim[i] = va_arg(dims, int);
    return t;
}

/* Adds the value's bytes to *end, which is r->used or r->held; false if there is no room. */
static bool take(mv_run *r, mv_tensor t, size_t *end)
{
    size_t bytes = (mv_tensor_bytes(t) + ALIGN - 1) / ALIGN * ALIGN;
    if (bytes > r->plan.scratch - r->used - r->held)
        mv_run_fail(r, MV_EMISUSE, "%s: scratch of %zu bytes is full, expected the size of the dry run to suffice",
                    r->path, r->plan.scratch);
    if (r->error.code)
        return false;
    *end += bytes;
    if (r->used + r->held > r->peak)
        r->peak = r->used + r->held;
    return true;
}

mv_tensor mv_scratch_new(mv_run *r, mv_dtype type, int nd, ...)
{
    va_list dims;
    va_start(dims, nd);
    mv_tensor t = shape_of(type, nd, dims);
    va_end(dims);
    size_t at = r->used;
    if (take(r, t, &r->used))
        t.data = r->memory + at;
    return t;
}

mv_tensor mv_scratch_hold(mv_run *r, mv_dtype type, int nd, ...)
{
    va_list dims;
    va_start(dims, nd);
    mv_tensor t = shape_of(type, nd, dims);
    va_end(dims);
    if (take(r, t, &r->held))
        t.data = r->memory + r->plan.scratch - r->held;
    return t;
}

/* ---- names */

void mv_path_enter(mv_run *r, int part, const char *format, ...)
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

/* Shows a value to the probes that want it. What they allocate is freed when they return. The dry run only calls probes
 * that keep values: see probe.h. */
static bool show(mv_run *r, const char *leaf, const char *axes, bool diagnostic, mv_view v)
{
    bool changed = false;
    char name[128];
    if (!r->probes)
        return false;
    mv_site_info site = {.name = site_name(r, name, leaf), .axes = axes, .diagnostic = diagnostic};
    for (mv_probe *p = r->probes; p && !r->error.code; p = p->next) {
        size_t mark = r->used;
        if (p->wants(p, name) && (p->kept || !r->planning))
            changed |= p->sees(p, r, &site, v);
        r->used = mark;
    }
    return changed;
}

bool mv_tap(mv_run *r, const char *leaf, const char *axes, mv_view v)
{
    return show(r, leaf, axes, false, v);
}

void mv_tap_diagnostic(mv_run *r, const char *leaf, const char *axes, mv_view v)
{
    show(r, leaf, axes, true, v);
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

/* The address of element n. A value that has no data after a failure keeps none. */
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

bool mv_op_expect(mv_run *r, bool holds, const char *op, mv_tensor a, mv_tensor b)
{
    char sa[64], sb[64];
    if (r->stop_asked && r->stop_asked())
        mv_run_fail(r, MV_EIO, "%s: the run was stopped", r->path);
    if (mv_op_ready(r) && !holds)
        mv_run_fail(r, MV_EMISUSE, "%s: %s found values of %s and %s, whose shapes do not fit", r->path, op,
                    mv_shape_text(sa, a.nd, a.dim), mv_shape_text(sb, b.nd, b.dim));
    return mv_op_ready(r);
}

mv_tensor mv_op_columns(mv_run *r, mv_tensor x, int n, mv_dtype type)
{
    return x.nd == 2 ? mv_scratch_new(r, type, 2, x.dim[0], n) : mv_scratch_new(r, type, 3, x.dim[0], x.dim[1], n);
}

void mv_op_done(mv_run *r, const char *op, mv_status s)
{
    if (!s) {
        if (r->b->mark)
            r->b->mark(r->b, r->path, op);
        return;
    }
    mv_error found = r->error;
    r->error = (mv_error){0};
    mv_run_fail(r, s, "%s: %s", *r->path ? r->path : "first or last layers",
                found.code ? found.text : "the device failed");
}
