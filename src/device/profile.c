#include "src/device/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/clock.h"
#include "src/base/quantile.h"

enum { MOST = 256, PASSES = 64, REPLAYS = 5, RECORDED = 200 };

typedef struct {
    mv_profile_row facts; /* what mv_profile_rows returns, but for the seconds */
    double pass[PASSES];  /* seconds in each pass */
    double now, each;     /* seconds in this pass; of one call in a recording */
    int calls;            /* in this pass */
} row;

struct mv_profile {
    mv_backend b;     /* first: a device is a profile */
    mv_backend *real; /* that computes */
    int rows, passes, seen, left_out;
    row *row;
    mv_profile_row *sorted; /* of mv_profile_rows */
    row *last;              /* of the call whose place is not known yet */
};

/* ---- one call */

/* The row of an operation; NULL where there are too many. *first: it has not been called before. */
static row *row_of(mv_profile *p, const char *op, const char *shape, double flops, double bytes, bool *first)
{
    *first = false;
    for (int i = 0; i < p->rows; i++)
        if (strcmp(p->row[i].facts.op, op) == 0 && strcmp(p->row[i].facts.shape, shape) == 0)
            return &p->row[i];
    if (p->rows == MOST) {
        p->left_out++;
        return NULL;
    }
    row *r = &p->row[p->rows++];
    *r = (row){.facts = {.flops = flops, .bytes = bytes}};
    snprintf(r->facts.op, sizeof r->facts.op, "%s", op);
    snprintf(r->facts.shape, sizeof r->facts.shape, "%s", shape);
    *first = true;
    return r;
}

static void count(mv_profile *p, row *r, double seconds)
{
    p->last = r;
    if (!r)
        return;
    r->now += seconds;
    r->calls++;
}

/* A recorded operation is done many times. Where its output is its residual, that is put back afterwards. */
typedef struct {
    mv_tensor t;
    float *values;
} saved;

static saved save(mv_profile *p, mv_tensor t, bool wanted, mv_error *e)
{
    saved s = {t, wanted ? malloc(mv_tensor_count(t) * sizeof(float)) : NULL};
    if (wanted && !s.values)
        mv_fail_memory(e, "profile");
    else if (wanted)
        p->real->read(p->real, s.values, mv_view_of(t), e);
    return s;
}

static void put_back(mv_profile *p, saved *s, mv_error *e)
{
    if (s->values && !e->code)
        p->real->write(p->real, mv_view_of(s->t), s->values, e);
    free(s->values);
}

/* Seconds of the replay of a graph: the median of five, or fewer that take a fifth of a second. */
static double seconds_of(mv_backend *b, void *graph, mv_error *e)
{
    double times[REPLAYS], begin = mv_clock_now();
    size_t n = 0;
    b->replay(b, graph, e);
    b->finish(b, e);
    while (!e->code && n < REPLAYS && (n == 0 || mv_clock_now() - begin < 0.2)) {
        double t = mv_clock_now();
        b->replay(b, graph, e);
        b->finish(b, e);
        times[n++] = mv_clock_now() - t;
    }
    if (e->code)
        return 0;
    mv_sort(times, n);
    return mv_quantile(times, n, 0.5);
}

/* How many calls take some milliseconds, if one takes `seconds` with what starting a graph takes. */
static int times_for(double seconds)
{
    int n = (int)(4e-3 / (seconds + 1e-6));
    return n < 1 ? 1 : n > RECORDED ? RECORDED : n;
}

/* Seconds of one CALL on a device that records; CALL leaves a status. */
#define RECORDED_SECONDS(seconds, b, times, CALL)                                                                      \
    do {                                                                                                               \
        void *graph = NULL;                                                                                            \
        mv_error ended = {0}; /* a recording must be ended even if an operation failed */                              \
        if ((b)->record((b), e))                                                                                       \
            break;                                                                                                     \
        for (int i = 0; i < (times) && !e->code; i++)                                                                  \
            CALL;                                                                                                      \
        (b)->recorded((b), &graph, e->code ? &ended : e);                                                              \
        if (!e->code)                                                                                                  \
            seconds = seconds_of((b), graph, e) / (times);                                                             \
        if (graph)                                                                                                     \
            (b)->forget((b), graph);                                                                                   \
    } while (0)

/* Runs CALL, a call of `real`, and times it. */
#define TIMED(OP, OUT, IN_PLACE, FLOPS, BYTES, CALL, ...)                                                              \
    do {                                                                                                               \
        char shape[72];                                                                                                \
        bool first;                                                                                                    \
        snprintf(shape, sizeof shape, __VA_ARGS__);                                                                    \
        row *r = row_of(p, OP, shape, FLOPS, BYTES, &first);                                                           \
        if (!real->record) {                                                                                           \
            double begin = mv_clock_now();                                                                             \
            mv_status s = CALL;                                                                                        \
            count(p, r, mv_clock_now() - begin);                                                                       \
            return s;                                                                                                  \
        }                                                                                                              \
        if (first) {                                                                                                   \
            saved kept = save(p, OUT, IN_PLACE, e);                                                                    \
            if (!e->code)                                                                                              \
                CALL; /* algorithms are chosen */                                                                      \
            if (!e->code)                                                                                              \
                RECORDED_SECONDS(r->each, real, 1, CALL);                                                              \
            int times = times_for(r->each);                                                                            \
            if (!e->code && times > 1)                                                                                 \
                RECORDED_SECONDS(r->each, real, times, CALL);                                                          \
            put_back(p, &kept, e);                                                                                     \
        }                                                                                                              \
        count(p, r, r ? r->each : 0);                                                                                  \
        return e->code ? e->code : CALL;                                                                               \
    } while (0)

#define TAKE(b)                                                                                                        \
    mv_profile *p = (mv_profile *)(b);                                                                                 \
    mv_backend *real = p->real

#define WATCHED(b)                                                                                                     \
    TAKE(b);                                                                                                           \
    mv_backend *self = real

#include "src/device/pass_ops.h"

/* ---- what is passed on */

static void *alloc(mv_backend *b, size_t bytes)
{
    TAKE(b);
    return real->alloc(real, bytes);
}

static void release(mv_backend *b, void *memory)
{
    TAKE(b);
    real->release(real, memory);
}

static mv_status read(mv_backend *b, float *host, mv_view from, mv_error *e)
{
    TAKE(b);
    return real->read(real, host, from, e);
}

static mv_status write(mv_backend *b, mv_view to, const float *host, mv_error *e)
{
    TAKE(b);
    return real->write(real, to, host, e);
}

static mv_status finish(mv_backend *b, mv_error *e)
{
    TAKE(b);
    return real->finish(real, e);
}

static mv_status upload_new(mv_backend *b, void **upload, mv_error *e)
{
    TAKE(b);
    return real->upload_new(real, upload, e);
}

static void upload_free(mv_backend *b, void *upload)
{
    TAKE(b);
    real->upload_free(real, upload);
}

static mv_status upload_send(mv_backend *b, void *upload, void *to, const void *from, size_t bytes, mv_error *e)
{
    TAKE(b);
    return real->upload_send(real, upload, to, from, bytes, e);
}

static mv_status upload_over(mv_backend *b, void *upload, mv_error *e)
{
    TAKE(b);
    return real->upload_over(real, upload, e);
}

static void mark(mv_backend *b, const char *site, const char *op)
{
    TAKE(b);
    if (real->mark)
        real->mark(real, site, op);
    if (p->last && p->last->facts.calls == 0 && p->last->calls == 1 && p->passes == 0)
        snprintf(p->last->facts.site, sizeof p->last->facts.site, "%s", site);
    p->last = NULL;
}

static void free_nothing(mv_backend *b)
{
    (void)b;
}

/* Its own functions, and none that record or deliver later: every operation is called in every pass. */
static mv_backend table_of(const mv_backend *real)
{
    mv_backend b = {.name = real->name,
                    .act = real->act,
                    .fp8 = real->fp8,
                    .channel_multiple = real->channel_multiple,
                    .free = free_nothing};
    memcpy(b.about, real->about, sizeof b.about);
    b.alloc = alloc, b.release = release, b.read = read, b.write = write, b.finish = finish;
    b.mark = mark;
    pass_ops_offer(&b, real);
    if (real->upload_new)
        b.upload_new = upload_new, b.upload_free = upload_free, b.upload_send = upload_send,
        b.upload_over = upload_over;
    return b;
}

/* ---- a profile */

mv_profile *mv_profile_new(mv_backend *device, mv_error *e)
{
    mv_profile *p = calloc(1, sizeof *p);
    if (p) {
        p->real = device;
        p->b = table_of(device);
        p->row = calloc(MOST, sizeof *p->row);
        p->sorted = calloc(MOST, sizeof *p->sorted);
        if (p->row && p->sorted)
            return p;
    }
    mv_profile_free(p);
    mv_fail_memory(e, "profile");
    return NULL;
}

void mv_profile_free(mv_profile *p)
{
    if (!p)
        return;
    free(p->row);
    free(p->sorted);
    free(p);
}

mv_backend *mv_profile_device(mv_profile *p)
{
    return &p->b;
}

void mv_profile_pass(mv_profile *p)
{
    int at = p->seen++ % PASSES; /* the last ones */
    if (p->passes < PASSES)
        p->passes++;
    for (int i = 0; i < p->rows; i++) {
        row *r = &p->row[i];
        r->pass[at] = r->now;
        r->facts.calls = r->calls;
        r->now = 0, r->calls = 0;
    }
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const mv_profile_row *)a)->seconds, y = ((const mv_profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

const mv_profile_row *mv_profile_rows(mv_profile *p, int *n)
{
    for (int i = 0; i < p->rows; i++) {
        double sorted[PASSES];
        memcpy(sorted, p->row[i].pass, sizeof sorted);
        mv_sort(sorted, (size_t)p->passes);
        p->sorted[i] = p->row[i].facts;
        p->sorted[i].seconds = p->passes ? mv_quantile(sorted, (size_t)p->passes, 0.5) : 0;
    }
    qsort(p->sorted, (size_t)p->rows, sizeof *p->sorted, by_seconds);
    *n = p->rows;
    return p->sorted;
}

int mv_profile_left_out(const mv_profile *p)
{
    return p->left_out;
}
