#include "src/explain/replies.h"

#include <stdlib.h>
#include <string.h>

#include "src/explain/logits.h"

enum { MOST_KEPT = 16 << 20 }; /* values: 64 MiB */

void mv_replies_free(mv_replies *r)
{
    free(r->logits);
    *r = (mv_replies){0};
}

/* FNV-1a over 64-bit words */
uint64_t mv_replies_key(const mv_subject *s)
{
    uint64_t h = 0xcbf29ce484222325u, word;
    size_t bytes = (size_t)3 * (size_t)s->h * (size_t)s->w * sizeof(float);
    for (size_t i = 0; i < bytes; i += sizeof word) {
        size_t n = bytes - i < sizeof word ? bytes - i : sizeof word;
        word = 0;
        memcpy(&word, (const char *)s->planes + i, n);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 32;
    }
    return h ? h : 1;
}

typedef struct {
    mv_replies *kept;
    size_t classes;
    mv_pass_make *make;
    mv_pass_take *take;
    void *context;
} keeper;

static void make_input(void *context, int i, float *planes)
{
    const keeper *k = context;
    k->make(k->context, i, planes);
}

static mv_status keep(void *context, int i, const float *logits, mv_error *e)
{
    const keeper *k = context;
    memcpy(k->kept->logits + (size_t)i * k->classes, logits, k->classes * sizeof *logits);
    return k->take(k->context, i, logits, e);
}

mv_status mv_replies_run(mv_replies *r, const mv_subject *s, int n, mv_pass_make *make, mv_pass_take *take,
                         void *context, mv_error *e)
{
    size_t classes = (size_t)s->model->config.classes, values = (size_t)n * classes;
    if (values > MOST_KEPT)
        return mv_passes_run(s->passes, n, make, take, context, e);
    uint64_t key = mv_replies_key(s);
    mv_status status = MV_OK;
    if (r->key == key) {
        for (int i = 0; i < n && !status; i++)
            status = take(context, i, r->logits + (size_t)i * classes, e);
        return status;
    }
    r->key = 0;
    if (values > r->room) {
        free(r->logits);
        r->logits = malloc(values * sizeof *r->logits);
        r->room = r->logits ? values : 0;
        if (!r->logits)
            return mv_fail_memory(e, "passes");
    }
    keeper k = {r, classes, make, take, context};
    status = mv_passes_run(s->passes, n, make_input, keep, &k, e);
    r->key = status ? 0 : key;
    return status;
}

double mv_probability_of(const mv_subject *s, const float *logits)
{
    int classes = s->model->config.classes;
    double p = mv_probability(logits, classes, s->class_);
    return s->against == MV_MAP_NONE ? p : p - mv_probability(logits, classes, s->against);
}
