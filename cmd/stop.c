#include "cmd/stop.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cmd/talk.h"
#include "src/file/mapping.h"
#include "src/file/output.h"

static atomic_int caught, watching, results_error; /* asked for by several threads */
static bool for_reader;                            /* what the run computes is for the reader of standard output */
static atomic_long looked;                         /* milliseconds: when it was last seen that he is there */
enum { LOOK_MS = 20 };

/* The first three ask, the others end the program at once. */
enum { ASKING = 3 };
static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1, SIGUSR2};
static const int faults[] = {SIGBUS, SIGSEGV, SIGABRT, SIGTRAP, SIGILL, SIGFPE};
enum {
    SIGNALS = sizeof signals / sizeof *signals,
    FAULTS = sizeof faults / sizeof *faults,
    SOME_MEMORY = 256 << 20, /* bytes; less than that is short */
    FAULT_STACK = 1 << 16
};

static void end_by(int number)
{
    signal(number, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    raise(number);
}

static bool asks(int number)
{
    for (int i = 0; i < ASKING; i++)
        if (number == signals[i])
            return true;
    return false;
}

static void on_signal(int number)
{
    if (caught || !watching || !asks(number)) {
        mv_output_discard_all();
        end_by(number);
    }
    caught = number;
}

static void catch_signals(void)
{
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction now, next = {.sa_handler = on_signal}; /* no SA_RESTART: a read that waits is left */
        sigemptyset(&next.sa_mask);
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaction(signals[i], &next, NULL);
    }
}

void stop_watch(bool reader)
{
    for_reader = reader;
    watching = 1;
    signal(SIGPIPE, SIG_IGN);
}

static bool memory_is_short(void)
{
    void *some = mmap(NULL, SOME_MEMORY, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (some != MAP_FAILED)
        munmap(some, SOME_MEMORY);
    return some == MAP_FAILED;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    static const char text[] = "mvscope: out of memory: a library cannot go on without it, so the program ends\n";
    (void)context;
    if (number == SIGBUS && mv_mapping_mend(info->si_addr))
        return;
    mv_output_discard_all();
    if (!memory_is_short())
        end_by(number);
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    _exit(EXIT_FAILED);
}

/* ---- threads */

#ifdef MV_SANITIZED /* a sanitizer creates threads itself, and has stacks of its own for faults */
static void guard_threads(void)
{
}
#else
typedef struct {
    void *(*work)(void *of);
    void *of;
    int rounds; /* of destructors, at the end of the thread, that have begun */
    char stack[FAULT_STACK];
} start;

static pthread_key_t started; /* the start of a thread, until it has ended */

/* At the end of a thread the C library calls destructors in rounds, as long as some have set their keys again, up to a
 * limit. This one does so until the last round: what the destructors of libraries do before may fault, too. */
static void forget(void *of)
{
    start *s = of;
    if (++s->rounds < PTHREAD_DESTRUCTOR_ITERATIONS && pthread_setspecific(started, s) == 0)
        return;
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(s);
}

static void *begin(void *of)
{
    start *s = of;
    void *(*work)(void *) = s->work;
    void *work_of = s->of;
    if (pthread_setspecific(started, s) == 0)
        sigaltstack(&(stack_t){.ss_sp = s->stack, .ss_size = sizeof s->stack}, NULL);
    else
        free(s);
    return work(work_of);
}

#ifdef __GLIBC__
void __longjmp_chk(struct __jmp_buf_tag to[1], int value) __attribute__((noreturn));

typedef void jumper(struct __jmp_buf_tag to[1], int value);

static jumper *jump; /* the C library's longjmp, which checks that it goes upwards */

static void find_jump(void)
{
    if (!jump)
        *(void **)&jump = dlsym(RTLD_NEXT, "__longjmp_chk");
}

/* Takes the place of the C library's. Where cairo gets no memory for a polygon it jumps by memory that nobody has
 * written. A signal mask from there would block the fault that follows, and the program would die of it, unhandled.
 * None of our libraries saves one. */
void __longjmp_chk(struct __jmp_buf_tag to[1], int value)
{
    find_jump();
    to->__mask_was_saved = 0;
    if (jump)
        jump(to, value);
    abort();
}
#else
static void find_jump(void)
{
}
#endif

typedef int creator(pthread_t *thread, const pthread_attr_t *how, void *(*work)(void *of), void *of);

static creator *create; /* the C library's pthread_create */
static bool guarding;

static void find_create(void)
{
    if (!create)
        *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
}

static void guard_threads(void)
{
    find_create();
    find_jump();
    guarding = pthread_key_create(&started, forget) == 0;
}

/* Takes the place of the C library's, so that every thread has a stack for its faults, those that libraries start among
 * them. The usual one may be full: without memory GLib's errors call each other without end. Or it is lost, as where
 * cairo jumps nowhere. Where there is no memory for this stack a thread does without. */
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*work)(void *of), void *of)
{
    find_create(); /* for a library that starts a thread before the program begins */
    if (!create)
        return EAGAIN;
    start *s = guarding ? malloc(sizeof *s) : NULL;
    if (!s)
        return create(thread, how, work, of);
    s->work = work;
    s->of = of;
    s->rounds = 0;
    int error = create(thread, how, begin, s);
    if (error)
        free(s);
    return error;
}
#endif

void stop_guard(void)
{
    static char stack[FAULT_STACK]; /* where the usual one may be full */
    guard_threads();
    catch_signals();
    signal(SIGXFSZ, SIG_IGN);
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    for (size_t i = 0; i < FAULTS; i++) {
        struct sigaction now, next = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigemptyset(&next.sa_mask);
        /* A sanitizer has handlers of its own, and more to say; but it does not mend. */
        if (faults[i] == SIGBUS || (sigaction(faults[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL))
            sigaction(faults[i], &next, NULL);
    }
}

bool stop_new_thread(pthread_t *thread, void *(*work)(void *of), void *of)
{
    sigset_t others, before;
    sigfillset(&others);
    for (size_t i = 0; i < FAULTS; i++)
        sigdelset(&others, faults[i]); /* a fault that is blocked ends the program, unhandled */
    pthread_sigmask(SIG_SETMASK, &others, &before);
    bool new = pthread_create(thread, NULL, work, of) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return new;
}

/* True once in LOOK_MS: stop_asked is called for each operation of the network. */
static bool look_again(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    long now = (long)t.tv_sec * 1000 + t.tv_nsec / 1000000, before = looked;
    return now - before >= LOOK_MS && atomic_compare_exchange_strong(&looked, &before, now);
}

bool stop_asked(void)
{
    if (for_reader && !caught && !results_error && look_again())
        stop_if_reader_left();
    return caught || results_error;
}

void stop_results(int error)
{
    results_error = error;
}

int stop_results_error(void)
{
    return results_error;
}

void stop_if_reader_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR))
        stop_results(EPIPE);
}

void stop_end(void)
{
    if (caught)
        end_by(caught);
    if (results_error == EPIPE)
        end_by(SIGPIPE);
}
