/* Faults on threads of the program where memory is short: a sentence and status 1, whatever is left of the stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/stop.h"

static void end_memory(void)
{
    setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY});
}

static void *be_trapped(void *of)
{
    end_memory();
    raise(SIGTRAP);
    return of;
}

static void *jump_nowhere(void *of)
{
    jmp_buf nowhere;
    memset(nowhere, 0, sizeof nowhere);
    end_memory();
    longjmp(nowhere, 1);
    return of;
}

static void *do_nothing(void *of)
{
    return of;
}

/* The status as wait gives it. */
static int status_of(void *(*work)(void *of))
{
    int status = -1, nothing = open("/dev/null", O_WRONLY);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const int faults[] = {SIGABRT, SIGSEGV, SIGTRAP};
        pthread_t thread;
        dup2(nothing, STDERR_FILENO);
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
            signal(faults[i], SIG_DFL); /* cmocka has handlers of its own */
        stop_guard();
        if (stop_new_thread(&thread, work, NULL))
            pthread_join(thread, NULL);
        _exit(0);
    }
    close(nothing);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_threads(void **state)
{
    (void)state;
    assert_int_equal(status_of(do_nothing), 0);
    assert_int_equal(status_of(be_trapped), 1 << 8);
    assert_int_equal(status_of(jump_nowhere), 1 << 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
