#include "src/run/run.h"

#include <stdlib.h>
#include <string.h>

#include "src/device/null.h"
#include "src/run/forward.h"
#include "src/run/keep.h"

/* The run's own probe in a dry run: what the real chain wants is planned for, but not shown. */
typedef struct {
    mv_probe probe;
    mv_probe *chain;
} shadow;

static bool shadow_wants(mv_probe *p, const char *site)
{
    for (mv_probe *q = ((shadow *)p)->chain; q; q = q->next)
        if (q->wants(q, site))
            return true;
    return false;
}

static bool shadow_sees(mv_probe *p, mv_run *r, const char *site, mv_view value)
{
    (void)p, (void)r, (void)site, (void)value;
    return false;
}

static mv_run *run_with(const mv_model *model, int h, int w, int capacity, mv_probe *probes, size_t scratch,
                        mv_error *e)
{
    mv_run *r = calloc(1, sizeof *r);
    if (!r) {
        mv_fail_memory(e, "run");
        return NULL;
    }
    *r = (mv_run){.model = model,
                  .b = model->backend,
                  .probes = probes,
                  .h = h,
                  .w = w,
                  .capacity = capacity,
                  .size = scratch,
                  .most = MV_TRAY_MOST};
    r->way = r->lane;
    r->base = r->b->alloc(r->b, scratch);
    if (!r->base) {
        free(r);
        mv_fail(e, MV_ENOMEM,
                "%s: out of memory: %.1f MB of scratch for %d pictures of %dx%d; fewer at a time need less",
                model->backend->name, (double)scratch * 1e-6, capacity, h, w);
        return NULL;
    }
    return r;
}

/* Bytes of scratch that one pass needs, from a dry run of the same network with the same wants. */
static mv_status scratch_size(const mv_model *model, int h, int w, int capacity, mv_probe *probes, size_t *bytes,
                              mv_error *e)
{
    mv_status s = MV_ENOMEM;
    mv_backend *null = mv_null_new(model->backend->act, e);
    mv_model *shape = null ? mv_model_new(&model->config, null, NULL, e) : NULL;
    shadow sh = {.probe = {.wants = shadow_wants, .sees = shadow_sees}, .chain = probes};
    mv_run *dry = shape ? run_with(shape, h, w, capacity, probes ? &sh.probe : NULL, SIZE_MAX / 2, e) : NULL;
    if (dry) {
        s = mv_run_forward(dry, NULL, capacity, NULL, e);
        *bytes = dry->peak ? dry->peak : 1;
    } else if (e)
        s = e->code;
    mv_run_free(dry);
    mv_model_free(shape);
    if (null)
        null->free(null);
    return s;
}

mv_run *mv_run_new(const mv_model *model, int h, int w, int capacity, mv_probe *probes, mv_error *e)
{
    mv_error mine = {0};
    if (!e)
        e = &mine;
    if (h < MV_SIZE_MIN || w < MV_SIZE_MIN || h > MV_SIZE_MAX || w > MV_SIZE_MAX || capacity < 1) {
        mv_fail(e, MV_EINPUT, "run: %d pictures of %dx%d pixels, expected at least one of %d to %d a side", capacity, h,
                w, MV_SIZE_MIN, MV_SIZE_MAX);
        return NULL;
    }
    for (;; capacity = (capacity + 1) / 2) { /* what does not fit at once goes in several passes */
        size_t bytes = 0;
        mv_error full = {0};
        if (scratch_size(model, h, w, capacity, probes, &bytes, e))
            return NULL;
        mv_run *r = run_with(model, h, w, capacity, probes, bytes, &full);
        if (r)
            return r;
        if (full.code != MV_ENOMEM || capacity == 1) {
            mv_fail(e, full.code, "%s", full.text);
            return NULL;
        }
    }
}

void mv_run_free(mv_run *r)
{
    if (!r)
        return;
    mv_lanes_free(r);
    r->b->release(r->b, r->base);
    free(r);
}

size_t mv_run_memory(const mv_run *r)
{
    return r->size;
}

/* Whether the same ops on the same addresses do every pass: what is watched, if at all, is only kept. */
static bool repeats(const mv_run *r)
{
    if (r->pictures < r->capacity)
        return false;
    for (const mv_probe *p = r->probes; p; p = p->next)
        if (!p->kept)
            return false;
    return r->b->record;
}

/* One pass over r->pictures. A device that can is asked at the second time to record it, and from then on to do all of
 * it at once. */
static void pass(mv_run *r, mv_lane *l, mv_lane *before, const float *planes, size_t values)
{
    mv_backend *b = r->b;
    bool may = repeats(r);
    if (may && l->pass) {
        b->replay(b, l->pass, planes, values, &r->error);
        return;
    }
    bool room = mv_lane_ready(r, l);
    if (!room)
        mv_lane_deliver(r, before); /* what is read at once must not come before it */
    bool records = room && may && !l->pass && r->done == r->pictures && !b->record(b, &r->error);
    r->used = 0;
    memset(r->macs, 0, sizeof r->macs);
    memset(r->attention_macs, 0, sizeof r->attention_macs);
    mv_keep_logits(r, mv_forward(r, planes));
    r->done = r->error.code ? 0 : r->pictures;
    if (records) {
        mv_error e = {0}; /* a recording is ended whatever became of the ops */
        b->recorded(b, &l->pass, r->error.code ? &e : &r->error);
        if (!r->error.code)
            b->replay(b, l->pass, planes, values, &r->error);
    }
}

static mv_status told(const mv_run *r, mv_error *e)
{
    return r->error.code ? mv_fail(e, r->error.code, "%s", r->error.text) : MV_OK;
}

mv_status mv_run_feed(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e)
{
    size_t picture = (size_t)3 * (size_t)r->h * (size_t)r->w, classes = (size_t)r->model->config.classes;
    r->error = (mv_error){0};
    for (r->first = 0; r->first < pictures && !r->error.code; r->first += r->pictures) {
        mv_lane *before = r->way;
        r->pictures = pictures - r->first < r->capacity ? pictures - r->first : r->capacity;
        r->way = r->pictures < r->capacity ? &r->lane[2] : r->way == r->lane ? r->lane + 1 : r->lane;
        r->way->logits = logits ? logits + (size_t)r->first * classes : NULL;
        pass(r, r->way, before, planes ? planes + (size_t)r->first * picture : NULL, (size_t)r->pictures * picture);
        mv_lane_send(r, r->way);
        mv_lane_deliver(r, before); /* while this pass runs */
    }
    if (r->error.code)
        mv_lane_deliver(r, r->way); /* drops it, once it has landed */
    return told(r, e);
}

bool mv_run_pending(const mv_run *r)
{
    return r->way->sent;
}

mv_status mv_run_settle(mv_run *r, mv_error *e)
{
    mv_lane_deliver(r, r->way);
    if (!r->error.code)
        r->b->finish(r->b, &r->error);
    return told(r, e);
}

mv_status mv_run_forward(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e)
{
    mv_status s = mv_run_feed(r, planes, pictures, logits, e);
    return s ? s : mv_run_settle(r, e);
}
