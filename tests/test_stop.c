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

/* As a library does that was compiled with checks: by memory that nobody has written. */
_Noreturn void __longjmp_chk(struct __jmp_buf_tag to[1], int value);

static void *jump_nowhere(void *byte)
{
    jmp_buf nowhere;
    memset(nowhere, *(const unsigned char *)byte, sizeof nowhere);
    end_memory();
    __longjmp_chk(nowhere, 1);
    return byte;
}

static int deeper(volatile int *from)
{
    volatile int here[64] = {*from};
    return here[0] < 0 ? 0 : deeper(here) + here[1];
}

static void *fill_the_stack(void *of)
{
    end_memory();
    return deeper(&(volatile int){1}) ? of : NULL;
}

static void fill_it_at_the_end(void *of)
{
    fill_the_stack(of);
}

/* What libraries keep for a thread is freed when its function has returned. */
static void *leave_something(void *of)
{
    static pthread_key_t key;
    if (pthread_key_create(&key, fill_it_at_the_end) == 0)
        pthread_setspecific(key, of);
    return of;
}

static void *do_nothing(void *of)
{
    return of;
}

static bool new_thread(pthread_t *thread, void *(*work)(void *of), void *of)
{
    return pthread_create(thread, NULL, work, of) == 0;
}

typedef bool starter(pthread_t *thread, void *(*work)(void *of), void *of);

/* The status, as wait gives it, of a program with a thread that does this. */
static int status_of(starter *start, void *(*work)(void *of), unsigned char byte)
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
        if (start(&thread, work, &byte))
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
    static starter *const starters[] = {stop_new_thread, new_thread}; /* the program's threads, those of libraries */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(status_of(starters[i], do_nothing, 0), 0);
        assert_int_equal(status_of(starters[i], be_trapped, 0), 1 << 8);
        assert_int_equal(status_of(starters[i], jump_nowhere, 0), 1 << 8);
        assert_int_equal(status_of(starters[i], jump_nowhere, 0xff), 1 << 8);
        assert_int_equal(status_of(starters[i], fill_the_stack, 0), 1 << 8);
        assert_int_equal(status_of(starters[i], leave_something, 0), 1 << 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
