/* numpy's files are read, ours are numpy's byte for byte, and nothing else gets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/npy.h"
#include "tests/scratch.h"

typedef struct {
    unsigned char *bytes; /* exactly `size`, so that a sanitizer sees a read beyond */
    size_t size;
} file;

static file file_of(int version, const char *literal, const void *data, size_t n)
{
    size_t length = strlen(literal), prefix = version == 1 ? 10 : 12;
    file f = {malloc(prefix + length + n), prefix + length + n};
    assert_non_null(f.bytes);
    memcpy(f.bytes, "\x93NUMPY", 6);
    f.bytes[6] = (unsigned char)version;
    f.bytes[7] = 0;
    memcpy(f.bytes + 8, &(uint32_t){(uint32_t)length}, prefix - 8);
    memcpy(f.bytes + prefix, literal, length);
    if (data)
        memcpy(f.bytes + prefix + length, data, n);
    else
        memset(f.bytes + prefix + length, 0, n);
    return f;
}

/* numpy 2.4: numpy.save of arange(6, dtype='<f4').reshape(2, 3) */
#define SPACES_10 "          "
static const char from_numpy[] =
    "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }" SPACES_10 SPACES_10 SPACES_10
        SPACES_10 SPACES_10 "        \n"
    "\x00\x00\x00\x00\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@\x00\x00\xa0@";

static void written_bytes_are_numpys(void **state)
{
    (void)state;
    float v[] = {0, 1, 2, 3, 4, 5};
    mv_error e = {0};
    assert_int_equal(mv_npy_write(in_folder("x.npy"), mv_tensor_of(v, MV_F32, 2, 2, 3), &e), MV_OK);
    char got[256];
    FILE *f = fopen(in_folder("x.npy"), "rb");
    assert_non_null(f);
    size_t n = fread(got, 1, sizeof got, f);
    fclose(f);
    assert_int_equal(n, 152);
    assert_int_equal(sizeof from_numpy - 1, 152);
    assert_memory_equal(got, from_numpy, n);
}

static void expect_reads(int version, const char *literal, mv_dtype type, int nd, const void *data, size_t bytes)
{
    file f = file_of(version, literal, data, bytes);
    mv_error e = {0};
    mv_tensor t;
    if (npy_decode(&t, f.bytes, f.size, "FILE", &e) != MV_OK)
        fail_msg("%s gives '%s'", literal, e.text);
    assert_int_equal(t.type, type);
    assert_int_equal(t.nd, nd);
    assert_int_equal(mv_tensor_bytes(t), bytes);
    assert_int_equal((uintptr_t)t.data % 8, 0);
    assert_memory_equal(t.data, data, bytes);
    free(t.data);
    free(f.bytes);
}

static void reads_what_the_format_allows(void **state)
{
    (void)state;
    static const unsigned char data[48] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (int version = 1; version <= 3; version++)
        expect_reads(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", MV_F32, 2, data, 24);
    static const struct {
        const char *descr;
        mv_dtype type;
    } types[] = {{"<f2", MV_F16}, {"<f4", MV_F32}, {"<f8", MV_F64}, {"<i4", MV_I32}, {"<i8", MV_I64}, {"|u1", MV_U8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char literal[100];
        snprintf(literal, sizeof literal, "{'descr': '%s', 'fortran_order': False, 'shape': (6,), }\n", types[i].descr);
        expect_reads(1, literal, types[i].type, 1, data, 6 * mv_dtype_size(types[i].type));
    }
    expect_reads(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", MV_F32, 0, data, 4);
    expect_reads(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 0), }\n", MV_F32, 2, data, 0);
    expect_reads(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 2, 1, 3)}", MV_U8, 5, data, 6);
    expect_reads(1, "{\"shape\":(2,3,),\"fortran_order\":False,\"descr\":\"|u1\"}", MV_U8, 2, data, 6);
}

static void expect_refused(int version, const char *literal, size_t bytes, const char *part)
{
    file f = file_of(version, literal, NULL, bytes);
    mv_error e = {0};
    mv_tensor t = {.nd = -1};
    if (npy_decode(&t, f.bytes, f.size, "FILE", &e) == MV_OK)
        fail_msg("accepted: %s", literal);
    assert_int_equal(e.code, MV_EINPUT);
    assert_int_equal(t.nd, -1);
    if (strncmp(e.text, "FILE: ", 6) != 0 || !strstr(e.text, part))
        fail_msg("%s gives '%s', which lacks '%s'", literal, e.text, part);
    free(f.bytes);
}

static void hostile_headers(void **state)
{
    (void)state;
#define D "'descr': '<f4', "
#define F "'fortran_order': False, "
#define S "'shape': (2,), "
    static const struct {
        const char *literal;
        size_t bytes;
        const char *part;
    } cases[] = {
        {"{" D F S "}", 4, "found 4 bytes of data, expected 8 for shape 2 of F32"},
        {"{" D F S "}", 9, "found 9 bytes of data"},
        {"{" D F "}", 8, "lacks"},
        {"{}", 8, "lacks"},
        {"", 8, "expected {"},
        {"{" D F S, 8, "expected a short string in quotes"},
        {"{" D F S "} x", 8, "nothing after }"},
        {"{" D D F S "}", 8, "'descr' twice"},
        {"{" D F S "'x': 1}", 8, "found 'x'"},
        {"{" D F "'shape': (2)}", 8, "a comma in a shape of one dimension"},
        {"{" D F "'shape': (2, -1)}", 8, "a number or )"},
        {"{" D F "'shape': (2 3)}", 8, ", or )"},
        {"{" D F "'shape': [2]}", 8, "expected ("},
        {"{" D F "'shape': (2L,)}", 8, ", or )"},
        {"{" D F "'shape': (,)}", 8, "a number or )"},
        {"{" D F "'shape': (2", 8, ", or )"},
        {"{" D F "'shape': (1, 1, 1, 1, 1, 1)}", 4, "more than 5 dimensions"},
        {"{" D F "'shape': (2147483648,)}", 4, "over 2147483647"},
        {"{" D F "'shape': (99999999999999999999999999,)}", 4, "over 2147483647"},
        {"{" D F "'shape': (2147483647, 2147483647, 2147483647)}", 4, "more than memory can address"},
        {"{" D F "'shape': (2147483647, 2147483647)}", 4, "expected 18446744056529682436"},
        {"{" D "'fortran_order': True, " S "}", 8, "Fortran order"},
        {"{" D "'fortran_order': 0, " S "}", 8, "True or False"},
        {"{" D "'fortran_order': Fal", 8, "True or False"},
        {"{'descr': '>f4', " F S "}", 8, "big endian"},
        {"{'descr': '|O', " F S "}", 16, "numbers of type '|O'"},
        {"{'descr': '<c8', " F S "}", 16, "numbers of type '<c8'"},
        {"{'descr': '', " F S "}", 16, "numbers of type ''"},
        {"{'descr': [('x', '<f4')], " F S "}", 8, "records"},
        {"{'descr': <f4, " F S "}", 8, "a short string in quotes"},
        {"{'descr': '<f4\", " F S "}", 8, "numbers of type '<f4\", '"},
        {"{'descr': '\\x3cf4', " F S "}", 8, "a short string in quotes"},
        {"{'descr': 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', " F S "}", 8, "a short string in quotes"},
        {"{'descr' '<f4', " F S "}", 8, "expected :"},
        {"{'descr': '<f4' " F S "}", 8, ", or }"},
        {"{'descr': __import__('os').system('x'), " F S "}", 8, "a short string in quotes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int version = 1; version <= 3; version++)
            expect_refused(version, cases[i].literal, cases[i].bytes, cases[i].part);
    expect_refused(4, "{" D F S "}", 8, "version 4.0");
    expect_refused(0, "{" D F S "}", 8, "version 0.0");

    char *blank = malloc(70001);
    memset(blank, ' ', 70000);
    blank[70000] = 0;
    expect_refused(2, blank, 0, "header of 70000 bytes, expected at most 65536");
    free(blank);
    mv_tensor t;
    mv_error e = {0};
    assert_int_equal(npy_decode(&t, "\x93NUMPX\x01\x00v\x00", 10, "FILE", &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "found other bytes at its start"));
    assert_int_equal(npy_decode(&t, NULL, 0, "FILE", NULL), MV_EINPUT);
}

static void every_truncation_and_change_is_survived(void **state)
{
    (void)state;
    size_t size = sizeof from_numpy - 1;
    mv_tensor t;
    for (size_t n = 0; n < size; n++) {
        unsigned char *cut = malloc(n ? n : 1);
        memcpy(cut, from_numpy, n);
        assert_int_equal(npy_decode(&t, cut, n, "FILE", NULL), MV_EINPUT);
        free(cut);
    }
    unsigned char *bytes = malloc(size);
    memcpy(bytes, from_numpy, size);
    for (size_t i = 0; i < 128; i++)
        for (int b = 0; b < 256; b++) {
            bytes[i] = (unsigned char)b;
            if (npy_decode(&t, bytes, size, "FILE", NULL) == MV_OK) {
                assert_int_equal(mv_tensor_bytes(t), 24);
                free(t.data);
            }
            bytes[i] = (unsigned char)from_numpy[i];
        }
    free(bytes);
}

static void round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < MV_DTYPES; i++) {
        unsigned char data[2 * 3 * 8];
        uint32_t seed = (uint32_t)i + 1;
        for (size_t k = 0; k < sizeof data; k++)
            data[k] = (unsigned char)((seed = seed * 1664525 + 1013904223) >> 24);
        mv_tensor t = mv_tensor_of(data, (mv_dtype)i, 3, 2, 1, 3), back;
        mv_error e = {0};
        assert_int_equal(mv_npy_write(in_folder("x.npy"), t, &e), MV_OK);
        assert_int_equal(npy_load(&back, in_folder("x.npy"), &e), MV_OK);
        assert_true(mv_tensor_same_shape(t, back));
        if (i == MV_BF16)
            assert_int_equal(back.type, MV_F32);
        else
            assert_memory_equal(back.data, data, mv_tensor_bytes(t));
        free(back.data);
    }
}

static void bf16_becomes_f4(void **state)
{
    (void)state;
    enum { N = 3000 };
    uint16_t half[N];
    for (int i = 0; i < N; i++)
        half[i] = mv_f32_to_bf16((float)(i % 256) - 128);
    mv_tensor back;
    mv_error e = {0};
    assert_int_equal(mv_npy_write(in_folder("x.npy"), mv_tensor_of(half, MV_BF16, 1, N), &e), MV_OK);
    assert_int_equal(npy_load(&back, in_folder("x.npy"), &e), MV_OK);
    assert_int_equal(back.type, MV_F32);
    for (int i = 0; i < N; i++)
        assert_true(((float *)back.data)[i] == (float)(i % 256) - 128);
    free(back.data);
}

static void largest_header_fits(void **state)
{
    (void)state;
    int dim[5] = {2147483647, 2147483647, 2147483647, 2147483647, 2147483647};
    char header[MV_NPY_HEADER];
    mv_npy_header(header, MV_F32, 5, dim);
    static const char end[] = "2147483647), }    \n";
    assert_memory_equal(header + MV_NPY_HEADER - (sizeof end - 1), end, sizeof end - 1);
}

static void files_that_cannot_be(void **state)
{
    (void)state;
    float v = 1;
    mv_tensor t, one = mv_tensor_of(&v, MV_F32, 1, 1);
    mv_error missing = {0}, directory = {0}, full = {0}, nowhere = {0};
    assert_int_equal(npy_load(&t, in_folder("absent.npy"), &missing), MV_EIO);
    assert_non_null(strstr(missing.text, "absent.npy: cannot be read: No such file"));
    assert_int_equal(npy_load(&t, scratch_folder(), &directory), MV_EINPUT);
    assert_int_equal(mv_npy_write("/dev/full", one, &full), MV_EIO);
    assert_non_null(strstr(full.text, "No space left on device"));
    assert_int_equal(mv_npy_write(in_folder("no/x.npy"), one, &nowhere), MV_EIO);
    assert_non_null(strstr(nowhere.text, "its folder: No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_bytes_are_numpys, scratch_enter, scratch_leave),
        cmocka_unit_test(reads_what_the_format_allows),
        cmocka_unit_test(hostile_headers),
        cmocka_unit_test(every_truncation_and_change_is_survived),
        cmocka_unit_test_setup_teardown(round_trip, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(bf16_becomes_f4, scratch_enter, scratch_leave),
        cmocka_unit_test(largest_header_fits),
        cmocka_unit_test_setup_teardown(files_that_cannot_be, scratch_enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
