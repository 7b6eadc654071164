#include "cmd/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "src/file/mapping.h"
#include "src/file/output.h"

static volatile sig_atomic_t caught;
static atomic_int results_error;

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS = sizeof signals / sizeof *signals };

static void end_by(int number)
{
    signal(number, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    raise(number);
}

static void on_signal(int number)
{
    if (caught) {
        mv_output_discard_all();
        end_by(number);
    }
    caught = number;
}

void stop_watch(void)
{
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction now, next = {.sa_handler = on_signal}; /* no SA_RESTART: a read that waits is left */
        sigemptyset(&next.sa_mask);
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaction(signals[i], &next, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* SIGBUS of anything but a mapped file ends the program, as without a handler. */
static void on_lost_page(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (mv_mapping_mend(info->si_addr))
        return;
    mv_output_discard_all();
    end_by(number);
}

void stop_mend(void)
{
    struct sigaction lost = {.sa_sigaction = on_lost_page, .sa_flags = SA_SIGINFO};
    sigemptyset(&lost.sa_mask);
    sigaction(SIGBUS, &lost, NULL);
}

bool stop_asked(void)
{
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
