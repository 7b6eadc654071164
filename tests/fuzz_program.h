/* For fuzzers of what commands share: the program without its `main`, whose end is caught. What is in memory when it
 * ends is lost, as in the program, so leaks are not looked for. Its words go nowhere by -close_fd_mask=3.
 */
#ifndef MV_TESTS_FUZZ_PROGRAM_H
#define MV_TESTS_FUZZ_PROGRAM_H

#include <setjmp.h>

#define main mvscope_main
int mvscope_main(int argc, char **argv);
#include "cmd/main.c"
#undef main
#include "tests/fuzz.h"

/* Asked by the leak sanitizer; ASAN_OPTIONS cannot change it. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

static jmp_buf fuzz_return;
static volatile bool fuzz_caught;

/* The linker gives every call of exit() to this one: --wrap=exit. */
void __real_exit(int status) __attribute__((noreturn));
void __wrap_exit(int status) __attribute__((noreturn));
void __wrap_exit(int status)
{
    if (!fuzz_caught)
        __real_exit(status);
    fuzz_expect(status >= EXIT_DONE && status <= EXIT_MISUSE);
    longjmp(fuzz_return, 1);
}

/* Calls a function, which may end the program; true if it did not. Files that an end leaves open are closed: they have
 * the first free descriptors. */
static inline bool fuzz_run(void (*function)(void *), void *context)
{
    const int first = dup(STDERR_FILENO);
    fuzz_expect(first >= 0 && close(first) == 0);
    fuzz_caught = true;
    bool back = setjmp(fuzz_return) == 0;
    if (back)
        function(context);
    fuzz_caught = false;
    for (int fd = first; !back && close(fd) == 0; fd++)
        continue;
    return back;
}

#endif
