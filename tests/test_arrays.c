/* Arrays of any program's dump are read the same from every container, in pieces, and damaged ones are refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "src/file/arrays.h"
#include "src/file/npy.h"
#include "src/file/store.h"
#include "tests/scratch.h"

enum { ROWS = 3, COLUMNS = 50000 }; /* beyond what is read at once for a header */

static float *values(void)
{
    float *v = malloc(sizeof(float) * ROWS * COLUMNS);
    assert_non_null(v);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        v[i] = 0.5F * (float)(i % 9973) - 7;
    return v;
}

static void write_store(const char *path, bool two)
{
    mv_error e = {0};
    float *v = values();
    mv_store *s = mv_store_open(path, &e);
    assert_non_null(s);
    mv_store_declare(s, "levels.2.blocks.0", 2, (int[]){ROWS, COLUMNS}, &e);
    if (two)
        mv_store_declare(s, "head", 2, (int[]){1, 4}, &e);
    mv_store_append(s, "levels.2.blocks.0", v, ROWS, &e);
    if (two)
        mv_store_append(s, "head", v, 1, &e);
    assert_int_equal(mv_store_commit(s, &e), MV_OK);
    free(v);
}

/* One array as numpy.savez_compressed writes it. */
static void write_compressed(const char *path, const void *bytes, size_t n)
{
    int code;
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    assert_non_null(z);
    zip_source_t *from = zip_source_buffer(z, bytes, n, 0);
    zip_int64_t at = zip_file_add(z, "levels.2.blocks.0.npy", from, 0);
    assert_true(at >= 0);
    assert_int_equal(zip_set_file_compression(z, (zip_uint64_t)at, ZIP_CM_DEFLATE, 6), 0);
    assert_int_equal(zip_close(z), 0);
}

static char *npy_bytes(size_t *n)
{
    float *v = values();
    *n = MV_NPY_HEADER + sizeof(float) * ROWS * COLUMNS;
    char *bytes = malloc(*n);
    assert_non_null(bytes);
    mv_npy_header(bytes, MV_F32, 2, (int[]){ROWS, COLUMNS});
    memcpy(bytes + MV_NPY_HEADER, v, *n - MV_NPY_HEADER);
    free(v);
    return bytes;
}

static void expect_array(mv_arrays *a, int i)
{
    mv_error e = {0};
    mv_tensor t;
    float *v = values(), *got = malloc(sizeof(float) * ROWS * COLUMNS);
    assert_non_null(got);
    assert_int_equal(mv_arrays_shape(a, i, &t, &e), MV_OK);
    assert_true(t.nd == 2 && t.dim[0] == ROWS && t.dim[1] == COLUMNS && t.type == MV_F32 && !t.data);
    assert_int_equal(mv_arrays_read(a, i, COLUMNS, COLUMNS, got, &e), MV_OK); /* the second row */
    assert_memory_equal(got, v + COLUMNS, sizeof(float) * COLUMNS);
    assert_int_equal(mv_arrays_read(a, i, 0, ROWS * COLUMNS, got, &e), MV_OK);
    assert_memory_equal(got, v, sizeof(float) * ROWS * COLUMNS);
    assert_int_equal(mv_arrays_read(a, i, 1, ROWS * COLUMNS, got, &e), MV_EMISUSE);
    free(v);
    free(got);
}

static void every_container_gives_the_same(void **state)
{
    (void)state;
    static const char *const names[] = {"x.safetensors", "x.npz", "dump/"};
    for (int i = 0; i < 3; i++) {
        mv_error e = {0};
        write_store(in_folder(names[i]), true);
        mv_arrays *a = mv_arrays_open(in_folder(names[i]), &e);
        assert_non_null(a);
        assert_int_equal(mv_arrays_count(a), 2); /* a manifest is none */
        assert_string_equal(mv_arrays_name_at(a, 0), "head");
        assert_int_equal(mv_arrays_lookup(a, "levels.2.blocks.0"), 1);
        assert_int_equal(mv_arrays_lookup(a, "levels.2"), -1);
        assert_false(mv_arrays_is_one(a));
        expect_array(a, 1);
        float head[4];
        assert_int_equal(mv_arrays_read(a, 0, 0, 4, head, &e), MV_OK);
        expect_array(a, 1);
        mv_arrays_close(a);
    }
}

static void a_lone_array_is_called_after_its_file(void **state)
{
    (void)state;
    mv_error e = {0};
    write_store(in_folder("levels.2.blocks.0.npy"), false);
    mv_arrays *a = mv_arrays_open(in_folder("levels.2.blocks.0.npy"), &e);
    assert_non_null(a);
    assert_true(mv_arrays_is_one(a));
    assert_string_equal(mv_arrays_name_at(a, 0), "levels.2.blocks.0");
    expect_array(a, 0);
    mv_arrays_close(a);
}

static void compressed_arrays_are_read(void **state)
{
    (void)state;
    size_t n;
    char *bytes = npy_bytes(&n);
    write_compressed(in_folder("c.npz"), bytes, n);
    mv_arrays *a = mv_arrays_open(in_folder("c.npz"), NULL);
    assert_non_null(a);
    expect_array(a, 0);
    mv_arrays_close(a);
    free(bytes);
}

static void refused(const char *path, const char *why)
{
    mv_error e = {0};
    mv_tensor t;
    float *v = malloc(sizeof(float) * ROWS * COLUMNS);
    assert_non_null(v);
    mv_arrays *a = mv_arrays_open(path, &e);
    if (a && !mv_arrays_shape(a, 0, &t, &e))
        mv_arrays_read(a, 0, 0, ROWS * COLUMNS, v, &e);
    print_message("%s\n", e.text);
    assert_int_not_equal(e.code, MV_OK);
    assert_non_null(strstr(e.text, why));
    mv_arrays_close(a);
    free(v);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    size_t n;
    char *bytes = npy_bytes(&n);
    refused(in_folder("none.npz"), "cannot be read");
    put_file(in_folder("a.npz"), "junk", 0600);
    refused(in_folder("a.npz"), "cannot be read");
    put_file(in_folder("a.txt"), "junk", 0600);
    refused(in_folder("a.txt"), "another ending");
    mkdir(in_folder("empty"), 0700);
    refused(in_folder("empty"), "no array");
    assert_int_equal(mkfifo(in_folder("pipe.npz"), 0600), 0);
    refused(in_folder("pipe.npz"), "a pipe");
    write_compressed(in_folder("short.npz"), bytes, n - 4); /* the shape says more than there is */
    refused(in_folder("short.npz"), "levels.2.blocks.0: found");
    memcpy(bytes, "junk", 4);
    write_compressed(in_folder("other.npz"), bytes, n);
    refused(in_folder("other.npz"), "levels.2.blocks.0: found other bytes");
    free(bytes);
    mkdir(in_folder("twins"), 0700);
    put_file(in_folder("twins/a.npy"), "junk", 0600);
    put_file(in_folder("twins/a.NPY"), "junk", 0600);
    refused(in_folder("twins"), "found two arrays named 'a'");
}

/* Any byte of an archive may be wrong: nothing crashes, and what is read has the checksum it should have. */
static void flipped_bytes_are_survived(void **state)
{
    (void)state;
    write_store(in_folder("f.npz"), true);
    FILE *f = fopen(in_folder("f.npz"), "rb+");
    struct stat st;
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    float *v = values(), *got = malloc(sizeof(float) * ROWS * COLUMNS);
    assert_non_null(got);
    for (long at = 0; at < st.st_size; at += at < 400 || at > st.st_size - 500 ? 1 : 9973) {
        fseek(f, at, SEEK_SET);
        int byte = fgetc(f);
        for (int bit = 1; bit < 256; bit *= 16) {
            mv_error e = {0};
            fseek(f, at, SEEK_SET);
            fputc(byte ^ bit, f);
            fflush(f);
            mv_arrays *a = mv_arrays_open(in_folder("f.npz"), &e);
            int i = a ? mv_arrays_lookup(a, "levels.2.blocks.0") : -1;
            mv_tensor t;
            if (i >= 0 && !mv_arrays_shape(a, i, &t, &e) && mv_tensor_count(t) == ROWS * COLUMNS &&
                !mv_arrays_read(a, i, 0, ROWS * COLUMNS, got, &e) && t.type == MV_F32)
                assert_memory_equal(got, v, sizeof(float) * ROWS * COLUMNS);
            mv_arrays_close(a);
        }
        fseek(f, at, SEEK_SET);
        fputc(byte, f);
    }
    fclose(f);
    free(v);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_container_gives_the_same, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_lone_array_is_called_after_its_file, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(compressed_arrays_are_read, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(damaged_files_are_refused, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(flipped_bytes_are_survived, scratch_enter, scratch_leave),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
