#include "src/run/trace.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/pattern.h"
#include "src/run/back.h"

typedef struct {
    char *name;
    int pass;
    mv_tensor value; /* owns data */
    size_t room;     /* bytes */
} kept;

struct mv_trace {
    mv_probe probe;
    char *patterns;
    mv_trace_sink *sink;
    void *context;
    int n, room;
    kept *value;
};

static bool wants(mv_probe *p, const char *site)
{
    return mv_pattern_match(((mv_trace *)p)->patterns, site);
}

static kept *entry(mv_trace *t, const char *site, int pass)
{
    for (int i = 0; i < t->n; i++)
        if (t->value[i].pass == pass && strcmp(t->value[i].name, site) == 0)
            return &t->value[i];
    if (t->n == t->room) {
        int room = t->room ? 2 * t->room : 16;
        kept *more = realloc(t->value, (size_t)room * sizeof *more);
        if (!more)
            return NULL;
        t->value = more;
        t->room = room;
    }
    kept *k = &t->value[t->n];
    *k = (kept){.name = strdup(site), .pass = pass};
    if (!k->name)
        return NULL;
    t->n++;
    return k;
}

/* Appends the value of one batch; false without memory. */
static bool append(kept *k, mv_tensor v)
{
    size_t old = k->value.nd ? mv_tensor_count(k->value) : 0, more = mv_tensor_count(v),
           bytes = (old + more) * sizeof(float);
    if (bytes > k->room) {
        size_t room = k->room ? bytes + bytes / 2 : bytes;
        float *grown = realloc(k->value.data, room);
        if (!grown)
            return false;
        k->value.data = grown;
        k->room = room;
    }
    memcpy((float *)k->value.data + old, v.data, more * sizeof(float));
    void *data = k->value.data;
    int rows = k->value.nd ? k->value.dim[0] : 0;
    k->value = v;
    k->value.data = data;
    k->value.dim[0] += rows;
    return true;
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    mv_run_keep(r, p, site->name, mv_run_pass(r), v);
    return false;
}

static void hand_on(mv_probe *p, mv_run *r, const char *site, int pass, mv_tensor v)
{
    mv_trace *t = (mv_trace *)p;
    mv_error e = {0};
    if (t->sink) {
        if (t->sink(t->context, site, v, &e))
            mv_run_fail(r, e.code, "%s", e.text);
        return;
    }
    kept *k = entry(t, site, pass);
    if (!k || !append(k, v))
        mv_run_fail(r, MV_ENOMEM, "%s: out of memory for %zu captured values", site, mv_tensor_count(v));
}

mv_trace *mv_trace_new(const char *patterns, mv_trace_sink *sink, void *context, mv_error *e)
{
    mv_trace *t = calloc(1, sizeof *t);
    char *copy = strdup(patterns);
    if (!t || !copy) {
        free(t);
        free(copy);
        mv_fail_memory(e, "trace");
        return NULL;
    }
    *t = (mv_trace){
        .probe = {.wants = wants, .sees = sees, .kept = hand_on}, .patterns = copy, .sink = sink, .context = context};
    return t;
}

mv_probe *mv_trace_probe(mv_trace *t)
{
    return &t->probe;
}

void mv_trace_clear(mv_trace *t)
{
    for (int i = 0; i < t->n; i++) {
        free(t->value[i].name);
        free(t->value[i].value.data);
    }
    t->n = 0;
}

void mv_trace_free(mv_trace *t)
{
    if (!t)
        return;
    mv_trace_clear(t);
    free(t->value);
    free(t->patterns);
    free(t);
}

int mv_trace_count(const mv_trace *t)
{
    return t->n;
}

const char *mv_trace_name_at(const mv_trace *t, int i)
{
    return t->value[i].name;
}

int mv_trace_pass_at(const mv_trace *t, int i)
{
    return t->value[i].pass;
}

mv_tensor mv_trace_at(const mv_trace *t, int i)
{
    return t->value[i].value;
}

bool mv_trace_lookup_pass(const mv_trace *t, const char *site, int pass, mv_tensor *out)
{
    for (int i = 0; i < t->n; i++)
        if (t->value[i].pass == pass && strcmp(t->value[i].name, site) == 0) {
            *out = t->value[i].value;
            return true;
        }
    return false;
}

bool mv_trace_lookup(const mv_trace *t, const char *site, mv_tensor *out)
{
    return mv_trace_lookup_pass(t, site, 0, out);
}

/* ---- values that are computed and left alone */

static bool idle_wants(mv_probe *p, const char *site)
{
    return mv_pattern_match(((mv_idle *)p)->patterns, site);
}

static bool idle_sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    (void)p, (void)r, (void)site, (void)value;
    return false;
}

static void idle_kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    (void)p, (void)r, (void)site, (void)part, (void)value;
}

mv_probe *mv_idle_probe(mv_idle *idle, const char *patterns)
{
    *idle = (mv_idle){{.wants = idle_wants, .sees = idle_sees, .kept = idle_kept}, patterns};
    return &idle->probe;
}
