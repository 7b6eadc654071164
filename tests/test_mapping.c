/* Mapped files that change under their reader: a sentence, on any thread, and the next file is read as ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/arrays.h"
#include "src/file/mapping.h"
#include "src/file/npy.h"
#include "src/file/safetensors.h"
#include "src/file/tensors.h"
#include "tests/scratch.h"

enum { SIZE = 1 << 20 };

static void on_bus(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!mv_mapping_mend(info->si_addr)) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

/* In each test: cmocka puts a handler of its own before it. */
static void mend_lost_pages(void)
{
    struct sigaction a = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigemptyset(&a.sa_mask);
    assert_int_equal(sigaction(SIGBUS, &a, NULL), 0);
}

static const char *file_of(const char *name, unsigned char with)
{
    const char *path = in_folder(name);
    unsigned char *bytes = malloc(SIZE);
    FILE *f = fopen(path, "wb");
    assert_non_null(bytes);
    assert_non_null(f);
    memset(bytes, with, SIZE);
    assert_int_equal(fwrite(bytes, 1, SIZE, f), SIZE);
    assert_int_equal(fclose(f), 0);
    free(bytes);
    return path;
}

static void fails(const mv_mapping *m, const char *path, const char *part)
{
    mv_error e = {0};
    assert_int_equal(mv_mapping_check(m, path, &e), MV_EIO);
    if (!strstr(e.text, part))
        fail_msg("'%s' does not say '%s'", e.text, part);
    assert_int_equal(strncmp(e.text, path, strlen(path)), 0);
}

static unsigned sum(const mv_mapping *m)
{
    unsigned n = 0;
    for (size_t i = 0; i < m->size; i++)
        n += m->bytes[i];
    return n;
}

static void *sum_of(void *m)
{
    return (void *)(uintptr_t)sum(m);
}

static void test_cut(void **state)
{
    (void)state;
    mend_lost_pages();
    mv_mapping m, other;
    mv_error e = {0};
    const char *path = strdup(file_of("cut", 1)), *whole = strdup(file_of("whole", 2));
    assert_int_equal(mv_mapping_open(&m, path, NULL), MV_OK);
    assert_int_equal(mv_mapping_open(&other, whole, NULL), MV_OK);
    assert_int_equal(mv_mapping_check(&m, path, &e), MV_OK);
    assert_int_equal(sum(&m), SIZE);
    assert_int_equal(truncate(path, SIZE / 2 - 100), 0);

    pthread_t thread[4]; /* all meet the lost page */
    void *n;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, sum_of, &m), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], &n), 0);
        assert_int_equal((uintptr_t)n, SIZE / 2 - 100);
    }
    assert_int_equal(sum(&m), SIZE / 2 - 100);
    fails(&m, path, "was cut from 1048576 to 524188 bytes while it was read");
    assert_int_equal(truncate(path, SIZE), 0);
    fails(&m, path, "was written while it was read");
    assert_int_equal(unlink(path), 0); /* only the lost page tells */
    fails(&m, path, "a part of it cannot be read");
    assert_int_equal(sum(&other), 2 * SIZE);
    assert_int_equal(mv_mapping_check(&other, whole, NULL), MV_OK);
    mv_mapping_close(&m);
    mv_mapping_close(&other);

    file_of("cut", 3); /* the next one, perhaps at the same address */
    assert_int_equal(mv_mapping_open(&m, path, NULL), MV_OK);
    assert_int_equal(sum(&m), 3 * SIZE);
    assert_int_equal(mv_mapping_check(&m, path, NULL), MV_OK);
    mv_mapping_close(&m);
    assert_false(mv_mapping_mend(&m));
    assert_false(mv_mapping_mend(NULL));
    free((void *)(uintptr_t)path);
    free((void *)(uintptr_t)whole);
}

/* No page is lost where less than one is cut off; a file that is replaced stays as it was. */
static void test_cut_within_a_page(void **state)
{
    (void)state;
    mend_lost_pages();
    mv_mapping m;
    const char *path = strdup(file_of("page", 1));
    assert_int_equal(mv_mapping_open(&m, path, NULL), MV_OK);
    assert_int_equal(truncate(path, SIZE - 1), 0);
    fails(&m, path, "was cut from 1048576 to 1048575 bytes");
    mv_mapping_close(&m);

    file_of("page", 1);
    char *next = strdup(file_of("next", 2));
    assert_int_equal(mv_mapping_open(&m, path, NULL), MV_OK);
    assert_int_equal(rename(next, path), 0);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(sum(&m), SIZE);
    assert_int_equal(mv_mapping_check(&m, path, NULL), MV_OK);
    mv_mapping_close(&m);
    free((void *)(uintptr_t)path);
    free(next);
}

static void test_load(void **state)
{
    (void)state;
    mend_lost_pages();
    mv_mapping m;
    mv_error e = {0};
    const char *path = file_of("text", 'x');
    assert_int_equal(mv_mapping_load(&m, path, SIZE, &e), MV_OK);
    assert_int_equal(m.size, SIZE);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(sum(&m), SIZE * 'x');
    assert_int_equal(mv_mapping_check(&m, path, &e), MV_OK);
    mv_mapping_close(&m);
    assert_int_equal(mv_mapping_load(&m, path, 0, &e), MV_OK);
    assert_null(m.bytes);
    assert_int_equal(truncate(path, 11), 0);
    assert_int_equal(mv_mapping_load(&m, path, 10, &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "found 11 bytes, expected at most 10"));
    e = (mv_error){0};
    assert_int_equal(mv_mapping_load(&m, "/proc/self/status", 10, &e), MV_EINPUT); /* its size is given as 0 */
    assert_non_null(strstr(e.text, "found more than 10 bytes"));
    assert_int_equal(mv_mapping_load(&m, "/proc/self/status", 1 << 20, NULL), MV_OK);
    assert_true(m.size > 10);
    mv_mapping_close(&m);
    e = (mv_error){0};
    assert_int_equal(mv_mapping_load(&m, "/dev/null", 10, &e), MV_EINPUT);
}

/* More mappings than the list has places: the rest are read. */
static void test_many(void **state)
{
    (void)state;
    mend_lost_pages();
    enum { MANY = 1100 };
    static mv_mapping m[MANY];
    const char *path = file_of("many", 1);
    int mapped = 0;
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(truncate(path, 5000), 0);
        assert_int_equal(mv_mapping_open(&m[i], path, NULL), MV_OK);
        assert_int_equal(sum(&m[i]), 5000);
        mapped += m[i].slot > 0;
    }
    assert_int_equal(mapped, 1024);
    for (int i = 0; i < MANY; i++)
        mv_mapping_close(&m[i]);
    assert_int_equal(mv_mapping_open(&m[0], path, NULL), MV_OK);
    assert_true(m[0].slot > 0);
    mv_mapping_close(&m[0]);
}

/* Readers of weights and arrays report the cause, not a consequence. */
static void test_readers(void **state)
{
    (void)state;
    mend_lost_pages();
    static float values[SIZE], out[SIZE];
    const char *const names[] = {"a", "b"};
    mv_tensor t[2] = {mv_tensor_of(values, MV_F32, 1, SIZE / 2), mv_tensor_of(values, MV_F32, 1, SIZE)};
    char *path = strdup(in_folder("x.safetensors")), *array = strdup(in_folder("x.npy")), hex[65];
    mv_error e = {0};
    assert_int_equal(mv_safetensors_write(path, 2, names, t, 0, NULL, NULL, NULL), MV_OK);
    mv_tensors *w = mv_tensors_open(path, &e);
    assert_non_null(w);
    assert_int_equal(mv_tensors_read(w, "a", out, &e), MV_OK);
    assert_int_equal(truncate(path, SIZE), 0);
    assert_int_equal(mv_tensors_read(w, "b", out, &e), MV_EIO);
    assert_non_null(strstr(e.text, "x.safetensors: was cut from "));
    e = (mv_error){0};
    assert_int_equal(mv_tensors_sha256(w, hex, &e), MV_EIO);
    mv_tensors_close(w);

    assert_int_equal(mv_safetensors_write(path, 2, names, t, 0, NULL, NULL, NULL), MV_OK);
    mv_arrays *a = mv_arrays_open(path, NULL);
    assert_non_null(a);
    assert_int_equal(truncate(path, 100), 0);
    e = (mv_error){0};
    assert_int_equal(mv_arrays_read(a, 1, 0, SIZE, out, &e), MV_EIO);
    mv_arrays_close(a);

    assert_int_equal(mv_npy_write(array, t[1], NULL), MV_OK);
    a = mv_arrays_open(array, NULL);
    assert_non_null(a);
    mv_tensor shape;
    assert_int_equal(mv_arrays_shape(a, 0, &shape, NULL), MV_OK);
    assert_int_equal(truncate(array, 300), 0);
    e = (mv_error){0};
    assert_int_equal(mv_arrays_read(a, 0, 0, SIZE, out, &e), MV_EIO);
    assert_non_null(strstr(e.text, "x.npy: was cut from "));
    mv_arrays_close(a);
    free(path);
    free(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),  cmocka_unit_test(test_cut_within_a_page), cmocka_unit_test(test_load),
        cmocka_unit_test(test_many), cmocka_unit_test(test_readers),
    };
    return cmocka_run_group_tests_name("mapping", tests, scratch_enter, scratch_leave);
}
