#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/back.h"
#include "src/run/op_impl.h"
#include "src/run/tape_impl.h"

/* Gradients of fp16 are computed times this, because 1/49 of a seed of 1 is near the subnormals; a power of two, so
 * that nothing is rounded when they are delivered. */
static const float fp16_scale = 1024;

/* The gradient of the value at an address. */
typedef struct {
    const char *value;
    size_t bytes;
    char *grad;
    bool borrowed;
} grad_entry;

struct mv_tape {
    mv_back back;
    bool finding;   /* the dry run that finds out what is wanted */
    bool on;        /* operations are appended */
    bool again;     /* a segment is computed once more */
    bool showing;   /* a gradient */
    bool inside;    /* a segment */
    bool last;      /* operations whose values are not read are skipped */
    mv_tensor kept; /* of the segment that is computed: see mv_tape_keep; nd 0: none */
    bool reached;   /* the first place whose gradient is wanted: the way back passes all that follows */
    int segments;   /* begun so far in the batch */
    int pass, left; /* values whose gradients are still wanted in this pass */
    int n, room, grads, grad_room;
    mv_node *node;
    grad_entry *grad;
    mv_view value;        /* whose gradient is shown */
    float *logits, *seed; /* on the host: (capacity, classes) each */
};

/* ---- what is wanted */

bool mv_tape_on(const mv_run *r)
{
    return r->tape && r->tape->on;
}

bool mv_tape_again(const mv_run *r)
{
    return r->tape && r->tape->again;
}

bool mv_tape_finding(const mv_run *r)
{
    return r->tape && r->tape->finding;
}

bool mv_tape_switch(mv_run *r, bool on)
{
    bool was = mv_tape_on(r);
    if (r->tape)
        r->tape->on = on;
    return was;
}

bool mv_tape_held(const mv_run *r)
{
    return mv_run_rules(r) == MV_RULES_HELD;
}

bool mv_tape_wants(const mv_run *r, const char *site)
{
    char name[128];
    if (!r->tape)
        return false;
    snprintf(name, sizeof name, "grad.%s", site);
    return mv_probes_want(r, name);
}

/* ---- appending */

static mv_node *append(mv_run *r)
{
    struct mv_tape *t = r->tape;
    if (r->error.code)
        return NULL;
    if (t->n == t->room) {
        int room = t->room ? 2 * t->room : 64;
        mv_node *more = realloc(t->node, (size_t)room * sizeof *more);
        if (!more) {
            mv_run_fail(r, MV_ENOMEM, "%s: out of memory", r->path);
            return NULL;
        }
        t->node = more;
        t->room = room;
    }
    mv_node *n = &t->node[t->n++];
    memset(n, 0, sizeof *n);
    return n;
}

mv_node *mv_tape_add(mv_run *r, mv_node_back *back, mv_tensor out)
{
    mv_node *n = mv_tape_on(r) ? append(r) : NULL;
    if (n) {
        n->back = back;
        n->out = out;
    }
    return n;
}

bool mv_tape_finds(mv_run *r, const char *site)
{
    struct mv_tape *t = r->tape;
    if (!mv_tape_finding(r))
        return false;
    if (mv_tape_wants(r, site) && !r->plan.wanted++) {
        r->plan.first_segment = t->segments - t->inside;
        snprintf(r->plan.first_site, sizeof r->plan.first_site, "%s", site);
    }
    return true;
}

void mv_tape_show(mv_run *r, const char *site, const char *axes, mv_view v)
{
    if (!mv_tape_on(r) || !mv_tape_wants(r, site))
        return;
    mv_node *n = append(r), *last = n && r->tape->n > 1 ? n - 1 : NULL;
    if (!n)
        return;
    /* The gradient of a value inside an operation exists after the way back through it. */
    if (last && last->inner.nd && last->inner.data == v.data) {
        last->inner_wanted = true;
        *n = *last;
        n = last;
        memset(n, 0, sizeof *n);
    }
    n->view = v;
    n->axes = axes;
    snprintf(n->site, sizeof n->site, "%s", site);
}

void mv_tape_last(mv_run *r, const char *a, const char *b)
{
    if (mv_tape_again(r))
        r->tape->last = !mv_wants(r, a) && !mv_wants(r, b);
}

bool mv_tape_skips(const mv_run *r)
{
    return r->tape && r->tape->last;
}

void mv_tape_refuse(mv_run *r, const char *values)
{
    if (r->tape && r->tape->reached && !r->tape->again)
        mv_run_fail(r, MV_EMISUSE,
                    "%s: found an edit on the way back to %s, expected edits only before the first site whose gradient "
                    "is wanted",
                    values, r->plan.first_site);
}

void mv_tape_pass(mv_run *r, const char *site)
{
    if (r->tape && strcmp(site, r->plan.first_site) == 0)
        r->tape->reached = true;
}

/* Memory that lives until the batch ends. */
static mv_tensor held_like(mv_run *r, mv_tensor x)
{
    mv_tensor t = mv_scratch_hold(r, x.type, 1, (int)mv_tensor_count(x));
    x.data = t.data;
    return x;
}

static mv_tensor copy_of(mv_run *r, mv_tensor x)
{
    if (!x.nd)
        return x;
    mv_tensor copy = held_like(r, x);
    if (mv_op_ready(r))
        MV_OP_RUN(r, copy, copy, x);
    return copy;
}

/* Before the place where something is wanted first, nothing is kept. */
static bool is_plain(const mv_run *r)
{
    return mv_tape_finding(r) || r->tape->segments < r->plan.first_segment;
}

bool mv_tape_may_keep(const mv_run *r)
{
    return r->tape && !is_plain(r) && !r->tape->back.keep && r->b->act == MV_F32;
}

bool mv_tape_keep(mv_run *r, mv_tensor *value)
{
    struct mv_tape *t = r->tape;
    if (!t->again)
        t->kept = held_like(r, *value);
    *value = t->kept;
    return !t->again;
}

mv_tensor mv_tape_segment(mv_run *r, mv_segment *segment, const void *weights, mv_tensor x, bool reads)
{
    struct mv_tape *t = r->tape;
    if (!t)
        return segment(r, weights, x);
    bool on = t->on, plain = is_plain(r);
    t->segments++;
    if (t->back.keep && !plain)
        return segment(r, weights, x);
    mv_tensor copy = plain || !reads ? x : copy_of(r, x);
    t->on = false;
    t->inside = true;
    t->kept = (mv_tensor){0};
    mv_tensor out = segment(r, weights, x);
    t->inside = false;
    t->on = on;
    mv_node *n = plain ? NULL : mv_tape_add(r, NULL, out);
    if (n) {
        n->again = segment;
        n->in[0] = copy;
        n->inner = t->kept;
        n->unread = !reads;
        n->w = weights;
        n->part = r->part;
        snprintf(n->site, sizeof n->site, "%s", r->path);
    }
    return out;
}

/* ---- gradients */

static grad_entry *entry_of(const mv_run *r, const void *value)
{
    const char *at = value;
    for (int i = r->tape->grads - 1; i >= 0 && at; i--) {
        grad_entry *g = &r->tape->grad[i];
        if (at >= g->value && at < g->value + g->bytes)
            return g;
    }
    return NULL;
}

mv_tensor mv_grad_of(mv_run *r, mv_tensor value)
{
    const grad_entry *g = entry_of(r, value.data);
    if (!g)
        return (mv_tensor){0};
    value.data = g->grad + ((const char *)value.data - g->value);
    return value;
}

void mv_grad_set(mv_run *r, mv_tensor value, mv_tensor grad, bool borrowed)
{
    struct mv_tape *t = r->tape;
    if (r->error.code)
        return;
    if (t->grads == t->grad_room) {
        int room = t->grad_room ? 2 * t->grad_room : 64;
        grad_entry *more = realloc(t->grad, (size_t)room * sizeof *more);
        if (!more) {
            mv_run_fail(r, MV_ENOMEM, "%s: out of memory", r->path);
            return;
        }
        t->grad = more;
        t->grad_room = room;
    }
    t->grad[t->grads++] = (grad_entry){value.data, mv_tensor_bytes(value), grad.data, borrowed};
}

mv_sum mv_grad_sum(mv_run *r, mv_tensor value)
{
    mv_tensor before = mv_grad_of(r, value);
    grad_entry *g = entry_of(r, value.data);
    if (g && !g->borrowed)
        return (mv_sum){before, before};
    mv_tensor out = mv_scratch_like(r, value);
    mv_grad_set(r, value, out, false);
    return (mv_sum){out, before};
}

void mv_grad_pass(mv_run *r, mv_tensor value, mv_tensor grad)
{
    if (!entry_of(r, value.data)) {
        mv_grad_set(r, value, grad, false);
        return;
    }
    mv_sum s = mv_grad_sum(r, value);
    if (mv_op_ready(r))
        MV_OP_RUN(r, add, s.out, grad, (mv_vector){0}, s.residual);
}

/* ---- the walk */

static void walk(mv_run *r, int from);

/* Computes a segment once more, and goes back through it. The gradient of its output becomes that of its input, in the
 * same memory: what is allocated in between is freed. */
static void segment_back(mv_run *r, const mv_node *n)
{
    struct mv_tape *t = r->tape;
    mv_tensor grad = mv_grad_of(r, n->out);
    size_t mark = r->used;
    int nodes = t->n, grads = t->grads;
    snprintf(r->path, sizeof r->path, "%.63s", n->site);
    r->part = n->part;
    t->on = t->again = true;
    t->kept = n->inner;
    mv_tensor x = n->unread ? mv_scratch_like(r, n->in[0]) : n->in[0], out = n->again(r, n->w, x);
    t->on = t->again = t->last = false;
    mv_grad_set(r, out, grad, false);
    walk(r, nodes);
    mv_tensor in = mv_grad_of(r, x);
    if (in.nd && in.data != grad.data && mv_op_ready(r))
        MV_OP_RUN(r, copy, grad, in);
    t->n = nodes;
    t->grads = grads;
    r->used = mark;
}

/* A gradient of 0: a value that is a constant under the rules. */
static mv_view no_gradient(mv_run *r, mv_view of)
{
    mv_tensor like = {.type = MV_F32, .nd = of.nd};
    memcpy(like.dim, of.dim, sizeof like.dim);
    return mv_view_of(mv_tape_zeros_like(r, like));
}

void mv_tape_show_now(mv_run *r, const mv_site_info *site, mv_view v)
{
    r->tape->showing = true;
    mv_show(r, site, v);
    r->tape->showing = false;
}

static void show_gradient(mv_run *r, const mv_node *n)
{
    struct mv_tape *t = r->tape;
    char name[128];
    size_t mark = r->used;
    mv_view grad = n->view;
    const grad_entry *g = entry_of(r, n->view.data);
    snprintf(name, sizeof name, "grad.%s", n->site);
    if (g)
        grad.data = g->grad + ((const char *)n->view.data - g->value);
    else
        grad = no_gradient(r, n->view);
    const mv_site_info site = {.name = name, .axes = n->axes};
    t->value = n->view;
    mv_tape_show_now(r, &site, grad);
    t->left--;
    r->used = mark;
}

/* Nothing flows back into a value whose gradient nobody has written. */
static void walk(mv_run *r, int from)
{
    struct mv_tape *t = r->tape;
    for (int i = t->n - 1; i >= from && t->left > 0 && mv_op_goes_on(r); i--) {
        const mv_node n = t->node[i]; /* a segment appends, and may move the array */
        if (!n.back && !n.again)
            show_gradient(r, &n);
        else if (entry_of(r, n.out.data) && n.back)
            n.back(r, &n);
        else if (entry_of(r, n.out.data))
            segment_back(r, &n);
    }
}

/* Asks for d(target)/d(logits), and writes it to the device. */
static void write_seed(mv_run *r, mv_tensor logits)
{
    struct mv_tape *t = r->tape;
    int classes = logits.dim[1];
    mv_tensor seed = mv_scratch_like(r, logits);
    mv_grad_set(r, logits, seed, false);
    if (r->b->dry || r->error.code)
        return;
    memset(t->seed, 0, mv_tensor_bytes(seed));
    if (t->back.seed(t->back.context, t->pass, r->first, r->pictures, classes, t->logits, t->seed, &r->error))
        return;
    for (size_t i = 0; i < mv_tensor_count(seed); i++)
        t->seed[i] *= r->b->act == MV_F16 ? fp16_scale : 1;
    mv_run_write(r, mv_view_of(seed), t->seed);
}

void mv_tape_back(mv_run *r, mv_tensor logits)
{
    struct mv_tape *t = r->tape;
    size_t mark = r->used;
    mv_costs costs = r->costs;
    if (!t || t->finding || !r->plan.wanted || r->error.code)
        return;
    t->on = false;
    if (!r->b->dry)
        mv_run_read(r, mv_view_of(logits), t->logits);
    for (t->pass = 0; t->pass < t->back.passes && !r->error.code; t->pass++) {
        r->used = mark;
        t->grads = 0;
        t->left = r->plan.wanted;
        write_seed(r, logits);
        walk(r, 0);
    }
    t->pass = 0;
    r->costs = costs;
}

/* ---- begin and end */

mv_status mv_tape_begin(mv_run *r, const mv_back *back, bool finding, mv_error *e)
{
    size_t n = (size_t)r->capacity * (size_t)r->model->config.classes;
    if (r->model->config.classes == 0)
        return mv_fail(e, MV_EMISUSE, "gradients: found a network without a head, expected logits to begin with");
    if (!r->b->dry && mv_backend_check_back(r->b, e))
        return e->code;
    r->tape = calloc(1, sizeof *r->tape);
    if (!r->tape)
        return mv_fail_memory(e, "gradients");
    r->tape->back = *back;
    r->tape->finding = finding;
    r->tape->logits = malloc(n * sizeof(float));
    r->tape->seed = malloc(n * sizeof(float));
    return r->tape->logits && r->tape->seed ? MV_OK : mv_fail_memory(e, "gradients");
}

void mv_tape_rewind(mv_run *r)
{
    struct mv_tape *t = r->tape;
    if (!t)
        return;
    t->n = t->grads = t->segments = 0;
    t->on = !t->finding;
    t->again = t->showing = t->inside = t->last = t->reached = false;
}

void mv_tape_end(mv_run *r)
{
    if (!r->tape)
        return;
    free(r->tape->node);
    free(r->tape->grad);
    free(r->tape->logits);
    free(r->tape->seed);
    free(r->tape);
    r->tape = NULL;
}

/* ---- for probes */

int mv_run_pass(const mv_run *r)
{
    return r->tape ? r->tape->pass : 0;
}

mv_view mv_run_value(const mv_run *r)
{
    return r->tape->value;
}

bool mv_tape_shows_biases(const mv_run *r)
{
    return r->tape->back.biases >> r->tape->pass & 1;
}

mv_rules mv_run_rules(const mv_run *r)
{
    const struct mv_tape *t = r->tape;
    return t && t->back.rules ? t->back.rules[t->pass] : MV_RULES_GRADIENT;
}

float mv_tape_unscale(const mv_run *r)
{
    return r->tape && r->tape->showing && r->b->act == MV_F16 ? 1 / fp16_scale : 1;
}
