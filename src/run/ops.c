#include "src/run/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/run/op_impl.h"
#include "src/run/tape_impl.h"

/* ---- scratch */

enum { ALIGN = 64 };

size_t mv_scratch_mark(const mv_run *r)
{
    return r->used;
}

void mv_scratch_rewind(mv_run *r, size_t mark)
{
    if (!mv_tape_on(r)) /* the way back reads what is on the tape */
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

mv_tensor mv_scratch_like(mv_run *r, mv_tensor t)
{
    size_t at = r->used;
    t.data = take(r, t, &r->used) ? r->memory + at : NULL;
    return t;
}

mv_tensor mv_scratch_new(mv_run *r, mv_dtype type, int nd, ...)
{
    va_list dims;
    va_start(dims, nd);
    mv_tensor t = shape_of(type, nd, dims);
    va_end(dims);
    return mv_scratch_like(r, t);
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

bool mv_probes_want(const mv_run *r, const char *site)
{
    for (mv_probe *p = r->probes; p; p = p->next)
        if (p->wants(p, site))
            return true;
    return false;
}

bool mv_wants_value(const mv_run *r, const char *leaf)
{
    char site[128];
    if (!r->probes || r->error.code)
        return false;
    site_name(r, site, leaf);
    for (mv_probe *p = r->probes; p; p = p->next)
        if (!(p->kept && mv_tape_again(r)) && p->wants(p, site)) /* see mv_show */
            return true;
    return false;
}

bool mv_wants(const mv_run *r, const char *leaf)
{
    char site[128];
    return mv_wants_value(r, leaf) || (!r->error.code && mv_tape_wants(r, site_name(r, site, leaf)));
}

/* What probes allocate is freed when they return, and their operations are not on the tape. The dry run only calls
 * those that keep values: see probe.h. They have seen the values of a segment that is computed again; the others may
 * edit it, and do so again. */
bool mv_show(mv_run *r, const mv_site_info *site, mv_view v)
{
    bool changed = false, on = mv_tape_switch(r, false);
    for (mv_probe *p = r->probes; p && !r->error.code; p = p->next) {
        size_t mark = r->used;
        if (p->wants(p, site->name) && (p->kept ? !mv_tape_again(r) : !r->planning))
            changed |= p->sees(p, r, site, v);
        r->used = mark;
    }
    mv_tape_switch(r, on);
    return changed;
}

bool mv_tap(mv_run *r, const char *leaf, const char *axes, mv_view v)
{
    char name[128];
    if (!r->probes || mv_tape_finds(r, site_name(r, name, leaf)))
        return false;
    mv_site_info site = {.name = name, .axes = axes};
    bool changed = mv_show(r, &site, v);
    if (changed)
        mv_tape_refuse(r, name);
    mv_tape_pass(r, name);
    mv_tape_show(r, name, axes, v);
    return changed;
}

void mv_tap_diagnostic(mv_run *r, const char *leaf, const char *axes, mv_view v)
{
    char name[128];
    mv_site_info site = {.name = site_name(r, name, leaf), .axes = axes, .diagnostic = true};
    if (r->probes && !mv_tape_finding(r))
        mv_show(r, &site, v);
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

bool mv_op_goes_on(mv_run *r)
{
    if (r->stop_asked && r->stop_asked())
        mv_run_fail(r, MV_EIO, "%s: the run was stopped", r->path);
    return !r->error.code;
}

bool mv_op_expect(mv_run *r, bool holds, const char *op, mv_tensor a, mv_tensor b)
{
    char sa[64], sb[64];
    mv_op_goes_on(r);
    if (mv_op_ready(r) && !holds)
        mv_run_fail(r, MV_EMISUSE, "%s: %s found values of %s and %s, whose shapes do not fit", r->path, op,
                    mv_shape_text(sa, a.nd, a.dim), mv_shape_text(sb, b.nd, b.dim));
    return mv_op_ready(r);
}

mv_tensor mv_op_columns(mv_run *r, mv_tensor x, int n, mv_dtype type)
{
    return x.nd == 2 ? mv_scratch_new(r, type, 2, x.dim[0], n) : mv_scratch_new(r, type, 3, x.dim[0], x.dim[1], n);
}

mv_tensor mv_op_onto(mv_run *r, mv_tensor x)
{
    return mv_tape_on(r) ? mv_scratch_like(r, x) : x;
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
