#include "src/device/workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* The threads of oneDNN: every worker uses one, because the work is already split. The setting belongs to the calling
 * thread, and is restored after each job. */
extern void omp_set_num_threads(int n);
extern int omp_get_max_threads(void);

enum { SPINS = 4000 }; /* some tens of microseconds: the gap between two operations */

struct mv_workers {
    int threads;
    pthread_t *thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    atomic_uint job_number; /* rises with each job */
    atomic_int next, busy;  /* the next piece; workers that have not finished the job */
    int sleeping;           /* under lock */
    bool waiting;           /* the caller sleeps until busy is 0; under lock */
    atomic_bool stop;
    mv_workers_task *task;
    void *job;
    int n;
};

typedef struct {
    mv_workers *workers;
    int worker;
} seat;

static void pause_a_little(int i)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    if (i % 256 == 255) /* another process may need this core */
        sched_yield();
}

static void work(mv_workers *p, int worker)
{
    for (int i; (i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n;)
        p->task(p->job, i, worker);
}

/* Waits for a job after number `seen`; returns its number, or `seen` if the workers are to end. */
static unsigned next_job(mv_workers *p, unsigned seen)
{
    unsigned now = seen;
    for (int i = 0; i < SPINS && now == seen; i++) {
        now = atomic_load_explicit(&p->job_number, memory_order_acquire);
        pause_a_little(i);
    }
    if (now != seen)
        return now;
    pthread_mutex_lock(&p->lock);
    p->sleeping++;
    while ((now = atomic_load(&p->job_number)) == seen && !p->stop)
        pthread_cond_wait(&p->wake, &p->lock);
    p->sleeping--;
    pthread_mutex_unlock(&p->lock);
    return now;
}

static void *worker_main(void *arg)
{
    seat s = *(seat *)arg;
    free(arg);
    mv_workers *p = s.workers;
    omp_set_num_threads(1);
    for (unsigned seen = 0, now; (now = next_job(p, seen)) != seen; seen = now) {
        if (p->stop)
            break;
        work(p, s.worker);
        if (atomic_fetch_sub_explicit(&p->busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&p->lock);
            if (p->waiting)
                pthread_cond_signal(&p->idle);
            pthread_mutex_unlock(&p->lock);
        }
    }
    return NULL;
}

static void start_job(mv_workers *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->job_number, 1, memory_order_release);
    if (p->sleeping)
        pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void mv_workers_run(mv_workers *p, mv_workers_task *task, void *job, int n)
{
    int others = p->threads - 1, before = omp_get_max_threads();
    omp_set_num_threads(1);
    p->task = task;
    p->job = job;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    if (others && n > 1) {
        atomic_store_explicit(&p->busy, others, memory_order_relaxed);
        start_job(p);
    }
    work(p, 0);
    if (others && n > 1) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&p->busy, memory_order_acquire); i++)
            pause_a_little(i);
        if (atomic_load_explicit(&p->busy, memory_order_acquire)) {
            pthread_mutex_lock(&p->lock);
            p->waiting = true;
            while (atomic_load(&p->busy))
                pthread_cond_wait(&p->idle, &p->lock);
            p->waiting = false;
            pthread_mutex_unlock(&p->lock);
        }
    }
    omp_set_num_threads(before);
}

mv_workers *mv_workers_new(int threads, mv_error *e)
{
    mv_workers *p = calloc(1, sizeof *p);
    pthread_t *thread = calloc((size_t)threads, sizeof *thread);
    if (!p || !thread) {
        free(p);
        free(thread);
        mv_fail_memory(e, "cpu");
        return NULL;
    }
    p->thread = thread;
    p->threads = 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->idle, NULL);
    for (int i = 1; i < threads; i++) {
        seat *s = malloc(sizeof *s);
        if (s)
            *s = (seat){p, i};
        if (!s || pthread_create(&thread[i], NULL, worker_main, s)) {
            free(s);
            mv_workers_free(p);
            mv_fail(e, MV_ENOMEM, "cpu: cannot start thread %d of %d; -j takes fewer", i + 1, threads);
            return NULL;
        }
        p->threads++;
    }
    return p;
}

void mv_workers_free(mv_workers *p)
{
    if (!p)
        return;
    p->stop = true;
    start_job(p);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->idle);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->thread);
    free(p);
}
