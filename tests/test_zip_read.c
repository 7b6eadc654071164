/* Archives of other writers are read, and each lie that one may tell about itself is refused by what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "src/file/mapping.h"
#include "src/file/zip_read.h"
#include "tests/scratch.h"

enum { LOCAL = 30, BIG = 300000 };

/* An archive as libzip writes it: "a" stored, "b" deflated, "c/d" stored. */
static void write_archive(const char *path, const char *big)
{
    static const char *const names[] = {"a", "b", "c/d"};
    int code;
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    assert_non_null(z);
    for (int i = 0; i < 3; i++) {
        zip_source_t *from = i == 1 ? zip_source_buffer(z, big, BIG, 0) : zip_source_buffer(z, "hello", 5, 0);
        zip_int64_t at = zip_file_add(z, names[i], from, 0);
        assert_true(at >= 0);
        assert_int_equal(zip_set_file_compression(z, (zip_uint64_t)at, i == 1 ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 6), 0);
        assert_int_equal(zip_file_set_mtime(z, (zip_uint64_t)at, 1000000000, 0), 0);
    }
    assert_int_equal(zip_close(z), 0);
}

static char *big_bytes(void)
{
    char *big = malloc(BIG);
    assert_non_null(big);
    for (int i = 0; i < BIG; i++)
        big[i] = (char)((unsigned)i * (unsigned)i >> 7);
    return big;
}

static void entries_are_read(void **state)
{
    (void)state;
    mv_error e = {0};
    char *big = big_bytes();
    unsigned char *got = malloc(BIG);
    assert_non_null(got);
    write_archive(in_folder("x.zip"), big);
    mv_zip *z = mv_zip_open(in_folder("x.zip"), &e);
    assert_non_null(z);
    assert_int_equal(mv_zip_count(z), 3);
    assert_string_equal(mv_zip_name_at(z, 2), "c/d");
    assert_int_equal(mv_zip_lookup(z, "b"), 1);
    assert_int_equal(mv_zip_lookup(z, "c"), -1);
    assert_int_equal(mv_zip_size_at(z, 1), BIG);
    assert_null(mv_zip_stored(z, 1));
    assert_memory_equal(mv_zip_stored(z, 2), "hello", 5);
    assert_int_equal(mv_zip_check(z, 0, "a", &e), MV_OK);
    assert_int_equal(mv_zip_read(z, 0, got, 3, "a", &e), MV_OK);
    assert_memory_equal(got, "hel", 3);
    for (size_t n = 0; n <= BIG; n += 1 + n / 3) {
        assert_int_equal(mv_zip_read(z, 1, got, n, "b", &e), MV_OK);
        assert_memory_equal(got, big, n);
    }
    assert_int_equal(mv_zip_read(z, 1, got, BIG, "b", &e), MV_OK);
    assert_memory_equal(got, big, BIG);
    assert_int_equal(mv_zip_read(z, 1, got, BIG + 1, "b", &e), MV_EMISUSE);
    mv_zip_close(z);
    free(big);
    free(got);
}

/* ---- lies */

typedef struct {
    unsigned char *bytes;
    size_t size, central[3], end;
} archive;

static void put(unsigned char *at, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        at[i] = (unsigned char)(v >> 8 * i);
}

static archive load(void)
{
    mv_mapping m;
    archive a = {0};
    char *big = big_bytes();
    write_archive(in_folder("x.zip"), big);
    free(big);
    assert_int_equal(mv_mapping_open(&m, in_folder("x.zip"), NULL), MV_OK);
    a.size = m.size;
    a.bytes = malloc(a.size + 64);
    assert_non_null(a.bytes);
    memcpy(a.bytes, m.bytes, m.size);
    mv_mapping_close(&m);
    a.end = a.size - 22;
    int n = 0;
    for (size_t i = 0; i < a.end && n < 3; i++)
        if (memcmp(a.bytes + i, "PK\1\2", 4) == 0)
            a.central[n++] = i;
    assert_int_equal(n, 3);
    return a;
}

static void refused(archive *a, const char *why)
{
    mv_error e = {0};
    mv_zip *z = mv_zip_of(a->bytes, a->size, "x.zip", &e);
    if (z || !strstr(e.text, why))
        fail_msg("%s: found %s", why, z ? "no refusal" : e.text);
    free(a->bytes);
}

static void lies_are_refused(void **state)
{
    (void)state;
    archive a = load();
    a.size -= 7;
    refused(&a, "no end record");
    a = load();
    a.size = 0;
    refused(&a, "no end record");
    a = load();
    put(a.bytes + a.end + 10, 60000, 2);
    refused(&a, "more entries than the directory has room for");
    a = load();
    put(a.bytes + a.end + 10, 2, 2);
    refused(&a, "bytes that belong to no entry");
    a = load();
    put(a.bytes + a.end + 16, a.central[1], 4);
    refused(&a, "a directory that does not end");
    a = load();
    put(a.bytes + a.end + 4, 1, 2);
    refused(&a, "split archive");
    a = load();
    put(a.bytes + a.central[2] + 42, 0, 4); /* c/d where a is */
    refused(&a, "entry 'c/d': found no header of its own");
    a = load();
    put(a.bytes + a.central[0] + 20, 200, 4);
    put(a.bytes + a.central[0] + 24, 200, 4); /* a runs into b */
    refused(&a, "entry 'b': found bytes that belong to another entry");
    a = load();
    put(a.bytes + a.central[2] + 20, 1 << 30, 4);
    put(a.bytes + a.central[2] + 24, 1 << 30, 4);
    refused(&a, "data beyond the end");
    a = load();
    put(a.bytes + a.central[0] + 24, 6, 4); /* stored, of another size */
    refused(&a, "entry 'a': found a size that its data cannot have");
    a = load();
    put(a.bytes + a.central[1] + 24, 0xfffffff0, 4); /* a bomb */
    refused(&a, "entry 'b': found a size that its data cannot have");
    a = load();
    put(a.bytes + a.central[1] + 24, 0xffffffff, 4); /* 64 bits that are not there */
    refused(&a, "a damaged record");
    a = load();
    a.bytes[a.central[0] + 46] = 0;
    refused(&a, "whose name is empty");
    a = load();
    a.bytes[a.central[0] + 46] = a.bytes[LOCAL] = 'b';
    refused(&a, "entry 'b': found two of that name");
    a = load();
    a.bytes[a.central[0] + 46] = a.bytes[LOCAL] = 27; /* Escape */
    put(a.bytes + a.central[0] + 24, 6, 4);
    refused(&a, "entry '\\x1b'");
}

static void damaged_data_are_refused(void **state)
{
    (void)state;
    unsigned char *got = malloc(BIG);
    assert_non_null(got);
    for (int what = 0; what < 4; what++) {
        mv_error e = {0};
        archive a = load();
        size_t b = LOCAL + 1 + 5;
        if (what == 0)
            a.bytes[b + LOCAL + 900] ^= 16; /* the compressed data of b */
        else if (what == 1)
            put(a.bytes + a.central[1] + 16, 0, 4); /* its checksum */
        else if (what == 2)
            put(a.bytes + a.central[1] + 10, 12, 2); /* bzip2 */
        else
            put(a.bytes + a.central[1] + 8, 1, 2); /* encrypted */
        mv_zip *z = mv_zip_of(a.bytes, a.size, "x.zip", &e);
        assert_non_null(z);
        assert_int_equal(mv_zip_read(z, 1, got, BIG, "x.zip: b", &e), MV_EINPUT);
        static const char *const why[] = {"damaged", "another checksum", "compression method 12", "encrypted"};
        assert_non_null(strstr(e.text, why[what]));
        mv_zip_close(z);
        free(a.bytes);
    }
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_are_read, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(lies_are_refused, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(damaged_data_are_refused, scratch_enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
