#include "cmd/writers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "viz/draw/fonts.h"

enum { THREADS = 8, ROOM = 4 * THREADS };

typedef enum { EMPTY, WAITING, WORKING, DONE } state;

/* A queue entry: a job and its result. */
typedef struct {
    state state;
    void *job; /* NULL: a complaint alone, whose text is in error */
    mv_error error;
    char *text;
    size_t size;
} slot;

struct writers {
    writer_work *work;
    void *context;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    slot slot[ROOM];        /* job number i in i % ROOM */
    long put, taken, given; /* jobs that were put; that a thread took; whose results were printed */
    bool printing, closing; /* printing: a thread prints results, in order */
    int failed, threads;
    pthread_t thread[THREADS];
    struct mv_fonts *fonts; /* used when no thread could be started */
};

/* Works on the job in `s`, which is this thread's until it is DONE. */
static void work_on(writers *w, slot *s, struct mv_fonts **fonts)
{
    FILE *out = open_memstream(&s->text, &s->size);
    if (!out) {
        mv_fail_memory(&s->error, "results");
        return;
    }
    w->work(w->context, s->job, out, fonts, &s->error);
    if (!mv_text_close(out, &s->text))
        mv_fail_memory(&s->error, "results");
}

static void print_slot(slot *s)
{
    if (s->text && s->size && !stop_results_error() && !talk_results(s->text, s->size)) {
        int why = errno;
        stop_results(why);
        if (why != EPIPE && why != EINTR)
            complain("standard output: cannot be written: %s", strerror(why));
    }
    if (s->error.code && stop_results_error() != EPIPE)
        complain("%s", s->error.text);
    free(s->text);
}

/* Prints the results that are next in order, as far as they are there. Called with the lock held. */
static void print_in_order(writers *w)
{
    if (w->printing)
        return;
    w->printing = true;
    while (w->given < w->put && w->slot[w->given % ROOM].state == DONE) {
        slot *s = &w->slot[w->given % ROOM];
        pthread_mutex_unlock(&w->lock);
        print_slot(s);
        pthread_mutex_lock(&w->lock);
        w->failed += s->job && s->error.code;
        *s = (slot){0};
        w->given++;
        pthread_cond_broadcast(&w->changed);
    }
    w->printing = false;
}

static void *writer_main(void *of)
{
    writers *w = of;
    struct mv_fonts *fonts = NULL;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->taken == w->put && !w->closing)
            pthread_cond_wait(&w->changed, &w->lock);
        if (w->taken == w->put)
            break;
        slot *s = &w->slot[w->taken++ % ROOM];
        if (s->state != WAITING)
            continue; /* already done: a report without a job, or a job taken earlier through a reused entry */
        s->state = WORKING;
        pthread_mutex_unlock(&w->lock);
        work_on(w, s, &fonts);
        pthread_mutex_lock(&w->lock);
        s->state = DONE;
        print_in_order(w);
    }
    pthread_mutex_unlock(&w->lock);
    mv_fonts_free(fonts);
    return NULL;
}

writers *writers_new(int threads, writer_work *work, void *context)
{
    writers *w = must(calloc(1, sizeof *w));
    w->work = work;
    w->context = context;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    for (; w->threads < threads && w->threads < THREADS; w->threads++)
        if (!stop_new_thread(&w->thread[w->threads], writer_main, w))
            break;
    return w;
}

static void put(writers *w, void *job, const mv_error *error)
{
    pthread_mutex_lock(&w->lock);
    while (w->put - w->given == ROOM)
        pthread_cond_wait(&w->changed, &w->lock);
    slot *s = &w->slot[w->put % ROOM];
    *s = (slot){.state = job ? WAITING : DONE, .job = job};
    if (error)
        s->error = *error;
    w->put++;
    if (w->threads == 0) {
        w->taken++;
        if (job)
            work_on(w, s, &w->fonts);
        s->state = DONE;
    }
    print_in_order(w);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

void writers_put(writers *w, void *job)
{
    put(w, job, NULL);
}

void writers_complain(writers *w, const char *text)
{
    mv_error e = {0};
    mv_fail(&e, MV_EINPUT, "%s", text);
    put(w, NULL, &e);
}

void writers_end(writers *w, int *failed)
{
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->threads; i++)
        pthread_join(w->thread[i], NULL);
    print_in_order(w);
    *failed = w->failed;
    mv_fonts_free(w->fonts);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
