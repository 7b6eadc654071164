/* How kept values reach the probes, and the logits the caller.
 *
 * A device whose memory is the host's delivers them at once. On any other, they are copied to the staging buffer of the
 * slot of their batch, which is sent after the batch, and they are delivered while the next batch runs. The dry run has
 * listed them, so the buffers are created with the run. If they would be too large, values are read at once; if there
 * is no memory for them, until there is: later feeds try again.
 */
#include <stdlib.h>
#include <string.h>

#include "src/run/run_impl.h"
#include "src/run/tape_impl.h"

enum { ALIGN = 256 };

static mv_tensor shape_of(mv_view v)
{
    mv_tensor t = {.type = MV_F32, .nd = v.nd};
    memcpy(t.dim, v.dim, sizeof t.dim);
    return t;
}

/* The shape of a kept value in a batch of so many pictures. */
static mv_tensor shape_for(const mv_run *r, const mv_kept_value *k, int pictures)
{
    mv_tensor t = k->shape;
    t.dim[0] = t.dim[0] / r->capacity * pictures;
    return t;
}

/* ---- the plan */

/* Room for one more element of `size` bytes after n; the arrays are short. */
static bool grow(void **array, int n, size_t size)
{
    void *more = n % 16 ? *array : realloc(*array, (size_t)(n + 16) * size);
    if (more)
        *array = more;
    return more;
}

static void plan_value(mv_run *r, mv_probe *p, const char *site, int part, mv_view v)
{
    mv_plan *plan = &r->plan;
    void *array = plan->value;
    char *name = strdup(site);
    if (!name || !grow(&array, plan->kept, sizeof *plan->value)) {
        free(name);
        mv_run_fail(r, MV_ENOMEM, "%s: out of memory", site);
        return;
    }
    plan->value = array;
    plan->value[plan->kept++] = (mv_kept_value){.probe = p,
                                                .site = name,
                                                .part = part,
                                                .shape = shape_of(v),
                                                .at = plan->transfer,
                                                .scale = mv_tape_unscale(r)};
    plan->transfer += (mv_view_count(v) * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
}

mv_tensor mv_run_constant(mv_run *r, const float *values, int rows, int columns)
{
    mv_plan *plan = &r->plan;
    mv_tensor t = mv_tensor_of(NULL, MV_F32, 2, rows, columns);
    int i = 0;
    while (i < plan->constants && plan->constant[i].values != values)
        i++;
    if (i == plan->constants && !r->planning) {
        mv_run_fail(r, MV_EMISUSE, "%s: found a new constant, expected those of the plan", r->path);
        return t;
    }
    if (i == plan->constants) {
        void *array = plan->constant;
        if (!grow(&array, i, sizeof *plan->constant)) {
            mv_run_fail(r, MV_ENOMEM, "%s: out of memory", r->path);
            return t;
        }
        plan->constant = array;
        plan->constant[plan->constants++] =
            (mv_constant){.values = values, .n = mv_tensor_count(t), .at = plan->constant_bytes};
        plan->constant_bytes += (mv_tensor_bytes(t) + ALIGN - 1) / ALIGN * ALIGN;
    }
    t.data = r->memory + plan->scratch + plan->constant[i].at;
    return t;
}

void mv_plan_free(mv_plan *plan)
{
    for (int i = 0; i < plan->kept; i++)
        free(plan->value[i].site);
    free(plan->value);
    free(plan->constant);
    *plan = (mv_plan){0};
}

/* ---- keeping */

void mv_scale(float *values, size_t n, float scale)
{
    for (size_t i = 0; i < n && scale != 1; i++)
        values[i] *= scale;
}

/* Memory for a value that is delivered at once. */
static float *host_value(mv_run *r, size_t bytes)
{
    if (bytes > r->host_bytes) {
        free(r->host_value);
        r->host_value = malloc(bytes);
        r->host_bytes = r->host_value ? bytes : 0;
    }
    return r->host_value;
}

/* Copies the next value of the plan to the staging buffer, unless it is there already. */
static void defer(mv_run *r, const mv_probe *p, const char *site, mv_view v)
{
    const mv_kept_value *k = r->next_kept < r->plan.kept ? &r->plan.value[r->next_kept++] : NULL;
    mv_transfer *t = &r->current->transfer;
    if (k && k->probe == p && mv_tensor_same_shape(shape_for(r, k, r->pictures), shape_of(v))) {
        if (v.data != (char *)t->device + k->at)
            r->b->transfer_put(r->b, t, k->at, v, &r->error);
    } else
        mv_run_fail(r, MV_EMISUSE, "%s: found a kept value that differs from the plan, expected %s", site,
                    k ? k->site : "no more");
}

void mv_run_keep(mv_run *r, mv_probe *p, const char *site, int part, mv_view v)
{
    if (r->error.code)
        return;
    if (r->planning) {
        plan_value(r, p, site, part, v);
        return;
    }
    if (r->deferred) {
        defer(r, p, site, v);
        return;
    }
    mv_tensor value = shape_of(v);
    value.data = host_value(r, mv_view_count(v) * sizeof(float));
    if (!value.data)
        mv_run_fail(r, MV_ENOMEM, "%s: out of memory for %zu captured values", site, mv_view_count(v));
    else if (mv_run_read_gradient(r, v, value.data))
        p->kept(p, r, site, part, value);
}

mv_tensor mv_keep_logits_room(const mv_run *r)
{
    const mv_kept_value *last = r->plan.kept ? &r->plan.value[r->plan.kept - 1] : NULL;
    if (r->planning || !r->deferred || !r->current->logits || !last || last->probe)
        return (mv_tensor){0};
    mv_tensor t = shape_for(r, last, r->pictures);
    t.data = (char *)r->current->transfer.device + last->at;
    return t;
}

void mv_keep_logits(mv_run *r, mv_tensor logits)
{
    if (r->error.code || logits.nd == 0)
        return;
    if (r->planning)
        plan_value(r, NULL, "head", 0, mv_view_of(logits));
    else if (!r->current->logits)
        return;
    else if (r->deferred)
        defer(r, NULL, "head", mv_view_of(logits));
    else
        mv_run_read(r, mv_view_of(logits), r->current->logits);
}

/* ---- delivery */

void mv_keep_begin(mv_run *r)
{
    mv_backend *b = r->b;
    mv_error full = {0};
    r->deferred = r->plan.transfer > 0 && r->plan.transfer <= b->transfer_max;
    for (int i = 0; i < MV_SLOTS && r->deferred; i++)
        if (i < 2 || r->capacity > 1) /* a batch of one picture is never short */
            r->deferred = !b->transfer_new(b, &r->slot[i].transfer, r->plan.transfer, &full);
    for (int i = 0; i < MV_SLOTS && !r->deferred && b->transfer_free; i++)
        b->transfer_free(b, &r->slot[i].transfer);
}

void mv_keep_again(mv_run *r)
{
    unsigned feeds = r->feeds++;
    if (r->deferred || feeds == 0 || (feeds & (feeds - 1)))
        return;
    mv_keep_begin(r);
    r->pictures_last = 0; /* no batch has run with the buffers yet */
}

void mv_slot_send(mv_run *r, mv_slot *s)
{
    size_t bytes = r->plan.transfer;
    const mv_kept_value *last = r->plan.kept ? &r->plan.value[r->plan.kept - 1] : NULL;
    if (last && !last->probe && !s->logits)
        bytes = last->at;
    if (r->error.code || !r->deferred || !bytes)
        return;
    s->first = r->first;
    s->pictures = r->pictures;
    s->sent = !r->b->transfer_send(r->b, &s->transfer, bytes, &r->error);
}

void mv_slot_deliver(mv_run *r, mv_slot *s)
{
    int first = r->first, pictures = r->pictures;
    if (!s->sent)
        return;
    s->sent = false;
    bool failed = r->error.code; /* the first failure is reported, but the transfer must end all the same */
    mv_error later = {0};
    if (r->b->transfer_wait(r->b, &s->transfer, failed ? &later : &r->error) || failed)
        return;
    r->first = s->first;
    r->pictures = s->pictures;
    for (int i = 0; i < r->plan.kept && !r->error.code; i++) {
        const mv_kept_value *k = &r->plan.value[i];
        mv_tensor value = shape_for(r, k, s->pictures);
        value.data = (char *)s->transfer.host + k->at;
        mv_scale(value.data, mv_tensor_count(value), k->scale);
        if (k->probe)
            k->probe->kept(k->probe, r, k->site, k->part, value);
        else if (s->logits)
            memcpy(s->logits, value.data, mv_tensor_bytes(value));
    }
    r->first = first;
    r->pictures = pictures;
}

void mv_keep_end(mv_run *r)
{
    for (int i = 0; i < MV_SLOTS; i++) {
        if (r->slot[i].recording)
            r->b->forget(r->b, r->slot[i].recording);
        if (r->b->transfer_free)
            r->b->transfer_free(r->b, &r->slot[i].transfer);
    }
    free(r->host_value);
    mv_plan_free(&r->plan);
}
