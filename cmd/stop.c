#include "cmd/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cmd/talk.h"
#include "src/file/mapping.h"
#include "src/file/output.h"

static volatile sig_atomic_t caught, watching;
static atomic_int results_error;
static bool for_reader;    /* what the run computes is for the reader of standard output */
static atomic_long looked; /* milliseconds: when it was last seen that he is there */
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

void stop_guard(void)
{
    static char stack[FAULT_STACK]; /* where the usual one may be full */
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

struct start {
    void *(*work)(void *of);
    void *of;
    char stack[FAULT_STACK];
};

/* cairo jumps nowhere where it gets no memory for a polygon; after that only another stack takes the fault. */
static void *begin(void *of)
{
    struct start *start = of;
    sigaltstack(&(stack_t){.ss_sp = start->stack, .ss_size = sizeof start->stack}, NULL);
    void *result = start->work(start->of);
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(start);
    return result;
}

bool stop_new_thread(pthread_t *thread, void *(*work)(void *of), void *of)
{
    sigset_t others, before;
    struct start *start = malloc(sizeof *start);
    if (!start)
        return false;
    start->work = work;
    start->of = of;
    sigfillset(&others);
    for (size_t i = 0; i < FAULTS; i++)
        sigdelset(&others, faults[i]); /* a fault that is blocked ends the program, unhandled */
    pthread_sigmask(SIG_SETMASK, &others, &before);
    bool started = pthread_create(thread, NULL, begin, start) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started)
        free(start);
    return started;
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
