/* What the device's tests use of cmocka, for machines with a GPU and a compiler but no packages: `make BARE=1` finds
 * this header before the real one. Same names and the same output in TAP; assertions leave the test by longjmp.
 */
#ifndef BARE_CMOCKA_H
#define BARE_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
};

typedef struct {
    jmp_buf leave;
    int failed, skipped;
} bare_state;

/* One for all objects of a program. */
extern bare_state bare_now;
__attribute__((weak)) bare_state bare_now;

__attribute__((noreturn)) static inline void bare_leave(void)
{
    longjmp(bare_now.leave, 1);
}

__attribute__((noreturn, format(printf, 3, 4))) static inline void bare_fail(const char *file, int line,
                                                                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "# ");
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n# %s:%d: failure\n", file, line);
    bare_now.failed = 1;
    bare_leave();
}

__attribute__((format(printf, 1, 2))) static inline void print_message(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

#define print_error(...) ((void)fprintf(stderr, __VA_ARGS__))
#define cmocka_unit_test(f)                                                                                            \
    {                                                                                                                  \
#f, f                                                                                                          \
    }
#define fail_msg(...)      bare_fail(__FILE__, __LINE__, __VA_ARGS__)
#define skip()             (bare_now.skipped = 1, bare_leave())
#define assert_true(x)     ((x) ? (void)0 : bare_fail(__FILE__, __LINE__, "%s", #x))
#define assert_false(x)    assert_true(!(x))
#define assert_null(x)     assert_true((x) == NULL)
#define assert_non_null(x) assert_true((x) != NULL)
#define assert_int_equal(a, b)                                                                                         \
    do {                                                                                                               \
        long long bare_a = (long long)(a), bare_b = (long long)(b);                                                    \
        if (bare_a != bare_b)                                                                                          \
            bare_fail(__FILE__, __LINE__, "%lld != %lld", bare_a, bare_b);                                             \
    } while (0)
#define assert_string_equal(a, b)                                                                                      \
    do {                                                                                                               \
        const char *bare_a = (a), *bare_b = (b);                                                                       \
        if (strcmp(bare_a, bare_b) != 0)                                                                               \
            bare_fail(__FILE__, __LINE__, "\"%s\" != \"%s\"", bare_a, bare_b);                                         \
    } while (0)
#define assert_memory_equal(a, b, n)                                                                                   \
    (memcmp(a, b, n) == 0 ? (void)0 : bare_fail(__FILE__, __LINE__, "%s and %s differ", #a, #b))

/* Apart, so that no variable of bare_run lives across the jump. */
static inline void bare_one(const struct CMUnitTest *t)
{
    bare_now.failed = bare_now.skipped = 0;
    if (setjmp(bare_now.leave) == 0)
        t->test(NULL);
}

/* Runs the tests whose names contain MVSCOPE_TEST_ONLY, or all; returns how many failed. */
static inline int bare_run(const struct CMUnitTest *tests, size_t n)
{
    const char *only = getenv("MVSCOPE_TEST_ONLY");
    int failed = 0;
    printf("TAP version 13\n1..%zu\n", n);
    for (size_t i = 0; i < n; i++) {
        struct timespec from, to;
        if (only && !strstr(tests[i].name, only))
            continue;
        clock_gettime(CLOCK_MONOTONIC, &from);
        bare_one(&tests[i]);
        clock_gettime(CLOCK_MONOTONIC, &to);
        failed += bare_now.failed;
        printf("%s %zu - %s%s (%.2f s)\n", bare_now.failed ? "not ok" : "ok", i + 1, tests[i].name,
               bare_now.skipped ? " # SKIP" : "",
               (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9);
        fflush(stdout);
    }
    return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown) bare_run(tests, sizeof(tests) / sizeof *(tests))

#endif
