#include "src/run/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/device/null.h"
#include "src/run/forward.h"
#include "src/run/run_impl.h"
#include "src/run/tape_impl.h"

/* ---- the run */

/* What a run is made for. */
typedef struct {
    int h, w, capacity;
    mv_probe *probes;
    const mv_back *back; /* NULL: no backward passes */
} purpose;

/* Takes the plan, also on failure. `finding`: see mv_tape_begin. */
static mv_run *run_with(const mv_model *model, const purpose *p, bool finding, mv_plan *plan, mv_error *e)
{
    mv_run *r = calloc(1, sizeof *r);
    if (!r) {
        mv_plan_free(plan);
        mv_fail_memory(e, "run");
        return NULL;
    }
    *r = (mv_run){.model = model,
                  .b = model->backend,
                  .probes = p->probes,
                  .h = p->h,
                  .w = p->w,
                  .capacity = p->capacity,
                  .plan = *plan};
    r->current = r->slot;
    size_t bytes = mv_run_memory(r);
    r->memory = r->b->alloc(r->b, bytes ? bytes : 1);
    if (!r->memory)
        mv_fail(e, MV_ENOMEM,
                "%s: out of memory: %.1f MB of scratch for %d pictures of %dx%d; fewer at a time need less", r->b->name,
                (double)bytes * 1e-6, p->capacity, p->h, p->w);
    else if (!mv_pixels_begin(r, r->memory + plan->scratch + plan->constant_bytes, e) &&
             !(p->back && mv_tape_begin(r, p->back, finding, e)))
        return r;
    mv_run_free(r);
    return NULL;
}

/* A dry run of the network of `shape`. Takes the plan, and replaces it by what was found. */
static mv_status dry_run(const mv_model *shape, const purpose *p, bool finding, mv_plan *plan, mv_error *e)
{
    plan->scratch = (size_t)1 << 62; /* never touched */
    mv_run *r = run_with(shape, p, finding, plan, e);
    *plan = (mv_plan){0};
    if (!r)
        return e->code;
    r->planning = true;
    mv_status s = mv_run_forward(r, NULL, p->capacity, NULL, e);
    if (!s && finding) {
        *plan = (mv_plan){.wanted = r->plan.wanted, .first_segment = r->plan.first_segment};
        memcpy(plan->first_site, r->plan.first_site, sizeof plan->first_site);
    } else if (!s) {
        *plan = r->plan;
        plan->scratch = r->peak;
        r->plan = (mv_plan){0};
    }
    mv_run_free(r);
    return s;
}

/* Plans a full batch by a dry run of the same network with the same probes: those that keep values are called, of the
 * others it is only asked what they want. A run with backward passes has one before it, which finds out how far back
 * they go. */
static mv_status plan_of(const mv_model *model, const purpose *p, mv_plan *out, mv_error *e)
{
    mv_backend *null = mv_null_new(model->backend->act, e);
    if (null)
        null->channel_multiple = model->backend->channel_multiple;
    mv_model *shape = null ? mv_model_new(&model->config, null, NULL, e) : NULL;
    mv_status s = shape ? MV_OK : e->code;
    if (!s && p->back)
        s = dry_run(shape, p, true, out, e);
    if (!s)
        s = dry_run(shape, p, false, out, e);
    mv_model_free(shape);
    if (null)
        null->free(null);
    return s;
}

static mv_status write_constants(mv_run *r, mv_error *e)
{
    mv_status s = MV_OK;
    for (int i = 0; i < r->plan.constants && !s; i++) {
        const mv_constant *c = &r->plan.constant[i];
        mv_tensor t = mv_tensor_of(r->memory + r->plan.scratch + c->at, MV_F32, 1, (int)c->n);
        s = r->b->write(r->b, mv_view_of(t), c->values, e);
    }
    return s;
}

mv_run *mv_run_new_back(const mv_model *model, int h, int w, int capacity, mv_probe *probes, const mv_back *back,
                        mv_error *e)
{
    mv_error mine = {0};
    purpose p = {h, w, capacity, probes, back};
    if (!e)
        e = &mine;
    if (h < MV_SIZE_MIN || w < MV_SIZE_MIN || h > MV_SIZE_MAX || w > MV_SIZE_MAX || capacity < 1) {
        mv_fail(e, MV_EINPUT, "run: found %d pictures of %dx%d pixels, expected at least one of %d to %d a side",
                capacity, h, w, MV_SIZE_MIN, MV_SIZE_MAX);
        return NULL;
    }
    for (;; p.capacity = (p.capacity + 1) / 2) {
        mv_plan plan = {0};
        mv_error full = {0};
        if (plan_of(model, &p, &plan, e))
            return NULL;
        mv_run *r = run_with(model, &p, false, &plan, &full);
        if (r) {
            mv_keep_begin(r);
            if (!write_constants(r, e))
                return r;
            mv_run_free(r);
            return NULL;
        }
        if (full.code != MV_ENOMEM || p.capacity == 1) {
            mv_fail(e, full.code, "%s", full.text);
            return NULL;
        }
    }
}

mv_run *mv_run_new(const mv_model *model, int h, int w, int capacity, mv_probe *probes, mv_error *e)
{
    return mv_run_new_back(model, h, w, capacity, probes, NULL, e);
}

void mv_run_free(mv_run *r)
{
    if (!r)
        return;
    mv_keep_end(r);
    mv_tape_end(r);
    mv_pixels_end(r);
    r->b->release(r->b, r->memory);
    free(r);
}

/* ---- batches */

/* True if every batch consists of the same operations on the same addresses, so that a recording can be replayed:
 * probes, if there are any, only keep values, and these are delivered later. The seeds of backward passes differ. */
static bool repeats(const mv_run *r)
{
    if (!r->b->record || !r->deferred || r->tape || r->pictures < r->capacity)
        return false;
    for (const mv_probe *p = r->probes; p; p = p->next)
        if (!p->kept)
            return false;
    return true;
}

/* A recording fits a batch that reads the same memory in the same form, and sends the same values. */
static bool fits(const mv_run *r, const mv_slot *s)
{
    return s->recording && s->reads.data == r->pixels.data && s->reads.type == r->pixels.type &&
           s->answers == (s->logits != NULL);
}

static void forget(mv_run *r, mv_slot *s)
{
    if (s->recording)
        r->b->forget(r->b, s->recording);
    s->recording = NULL;
}

/* Computes r->pictures pictures, which are in r->pixels. A device that can record does so at the second full batch, and
 * replays the recording from then on. */
static void compute(mv_run *r)
{
    mv_backend *b = r->b;
    mv_slot *s = r->current;
    bool may = repeats(r);
    if (may && fits(r, s)) {
        b->replay(b, s->recording, &r->error);
        return;
    }
    if (may)
        forget(r, s);
    bool records = may && r->pictures_last == r->pictures && !b->record(b, &r->error);
    r->used = r->held = 0;
    r->next_kept = 0;
    r->costs = (mv_costs){0};
    mv_tape_rewind(r);
    mv_tensor logits = mv_forward(r);
    mv_tape_back(r, logits);
    mv_keep_logits(r, logits);
    r->pictures_last = r->error.code ? 0 : r->pictures;
    if (records) {
        mv_error ignored = {0}; /* a recording must be ended even if an operation failed */
        b->recorded(b, &s->recording, r->error.code ? &ignored : &r->error);
        s->reads = r->pixels;
        s->answers = s->logits != NULL;
        if (!r->error.code)
            b->replay(b, s->recording, &r->error);
        else
            forget(r, s); /* it may be half of the batch */
    }
}

static void batch(mv_run *r, mv_pictures p)
{
    mv_pixels_load(r, p);
    if (!r->error.code)
        compute(r);
    mv_pixels_over(r);
}

static mv_slot *next_slot(mv_run *r)
{
    if (r->pictures < r->capacity)
        return &r->slot[2];
    return &r->slot[r->current == &r->slot[0] ? 1 : 0];
}

static mv_status error_copy(const mv_run *r, mv_error *e)
{
    return r->error.code ? mv_fail(e, r->error.code, "%s", r->error.text) : MV_OK;
}

mv_status mv_run_feed_pictures(mv_run *r, mv_pictures p, int pictures, float *logits, mv_error *e)
{
    size_t picture = (size_t)3 * (size_t)r->h * (size_t)r->w * (p.table ? 1 : sizeof(float)),
           classes = (size_t)r->model->config.classes;
    r->error = (mv_error){0};
    mv_keep_again(r);
    for (r->first = 0; r->first < pictures && !r->error.code; r->first += r->pictures) {
        mv_slot *before = r->current;
        r->pictures = pictures - r->first < r->capacity ? pictures - r->first : r->capacity;
        r->current = next_slot(r);
        r->current->logits = logits ? logits + (size_t)r->first * classes : NULL;
        batch(r, (mv_pictures){p.data ? (const char *)p.data + (size_t)r->first * picture : NULL, p.table});
        mv_slot_send(r, r->current);
        mv_slot_deliver(r, before); /* while this batch runs */
    }
    if (r->error.code)
        mv_slot_deliver(r, r->current); /* waits for the transfer and drops the values */
    return error_copy(r, e);
}

mv_status mv_run_feed(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e)
{
    return mv_run_feed_pictures(r, (mv_pictures){planes, NULL}, pictures, logits, e);
}

bool mv_run_pending(const mv_run *r)
{
    return r->current->sent;
}

mv_status mv_run_settle(mv_run *r, mv_error *e)
{
    mv_slot_deliver(r, r->current);
    if (!r->error.code)
        r->b->finish(r->b, &r->error);
    return error_copy(r, e);
}

mv_status mv_run_forward(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e)
{
    mv_status s = mv_run_feed(r, planes, pictures, logits, e);
    return s ? s : mv_run_settle(r, e);
}

/* ---- what others may know and do */

void mv_run_stop_when(mv_run *r, bool (*asked)(void))
{
    r->stop_asked = asked;
}

int mv_run_height(const mv_run *r)
{
    return r->h;
}

int mv_run_width(const mv_run *r)
{
    return r->w;
}

int mv_run_capacity(const mv_run *r)
{
    return r->capacity;
}

size_t mv_run_memory(const mv_run *r)
{
    return r->plan.scratch + r->plan.constant_bytes + mv_pixels_bytes(r);
}

mv_costs mv_run_costs(const mv_run *r)
{
    return r->costs;
}

bool mv_run_read(mv_run *r, mv_view v, float *host)
{
    return !r->error.code && !r->b->read(r->b, host, v, &r->error);
}

bool mv_run_read_gradient(mv_run *r, mv_view v, float *host)
{
    if (!mv_run_read(r, v, host))
        return false;
    mv_scale(host, mv_view_count(v), mv_tape_unscale(r));
    return true;
}

bool mv_run_write(mv_run *r, mv_view v, const float *host)
{
    return !r->error.code && !r->b->write(r->b, v, host, &r->error);
}

int mv_run_first(const mv_run *r)
{
    return r->first;
}

int mv_run_pictures(const mv_run *r)
{
    return r->pictures;
}

void mv_run_fail(mv_run *r, mv_status code, const char *format, ...)
{
    if (r->error.code)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(r->error.text, sizeof r->error.text, format, args);
    va_end(args);
    r->error.code = code;
}
