/* The reader takes every file the format allows and no other; the writer's files come back bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/safetensors.h"
#include "tests/scratch.h"

typedef struct {
    unsigned char *bytes; /* exactly `size`, so that a sanitizer sees a read beyond */
    size_t size;
} file;

static file file_of(const char *json, size_t header, const void *data, size_t n)
{
    file f = {malloc(8 + header + n), 8 + header + n};
    assert_non_null(f.bytes);
    memcpy(f.bytes, &(uint64_t){header}, 8);
    memcpy(f.bytes + 8, json, header);
    if (data)
        memcpy(f.bytes + 8 + header, data, n);
    else
        memset(f.bytes + 8 + header, 0, n);
    return f;
}

/* Every byte a reader could touch; the sum keeps the compiler honest. */
static double touch(const mv_safetensors *st)
{
    double sum = 0;
    for (int i = 0; i < mv_safetensors_count(st); i++) {
        mv_tensor t;
        if (!mv_safetensors_lookup(st, mv_safetensors_name_at(st, i), &t))
            continue;
        size_t n = mv_tensor_count(t);
        float *values = malloc((n + 1) * sizeof *values);
        mv_safetensors_read(values, t);
        for (size_t k = 0; k < n; k++)
            sum += values[k] == values[k] ? 1 : 0;
        free(values);
    }
    return sum;
}

/* All seven types, the odd U8 first so that nothing after it is aligned. */
static const char every_type[] = "{\"u8\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                                 "\"f32\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[3,11]},"
                                 "\"f16\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[11,13]},"
                                 "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[1,1,1,1,2],\"data_offsets\":[13,17]},"
                                 "\"none\":{\"dtype\":\"F64\",\"shape\":[4,0],\"data_offsets\":[17,17]},"
                                 "\"i32\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[17,21]},"
                                 "\"i64\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[21,29]},"
                                 "\"f64\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[29,37]},"
                                 "\"__metadata__\":{\"format\":\"pt\",\"note\":\"h\\u00e9\"}}  ";
static const unsigned char every_data[37] = {
    1,    2,    255,                          /* u8 */
    0,    0,    0xc0, 0x3f, 0, 0, 0x20, 0xc0, /* 1.5, -2.5 */
    0,    0x3e,                               /* 1.5 */
    0xc0, 0x3f, 0x20, 0xc0,                   /* 1.5, -2.5 */
    0xfe, 0xff, 0xff, 0xff,                   /* -2 */
    0,    0,    0,    0,    1, 0, 0,    0,    /* 2^32 */
    0,    0,    0,    0,    0, 0, 0x04, 0xc0, /* -2.5 */
};

static file every_file(void)
{
    return file_of(every_type, sizeof every_type - 1, every_data, sizeof every_data);
}

static void expect_values(const mv_safetensors *st, const char *name, mv_dtype type, int nd, size_t n, ...)
{
    mv_tensor t;
    float got[8];
    assert_true(mv_safetensors_lookup(st, name, &t));
    assert_int_equal(t.type, type);
    assert_int_equal(t.nd, nd);
    assert_int_equal(mv_tensor_count(t), n);
    mv_safetensors_read(got, t);
    va_list values;
    va_start(values, n);
    for (size_t i = 0; i < n; i++)
        assert_true(got[i] == (float)va_arg(values, double));
    va_end(values);
}

static void reads_every_type_at_any_byte(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        file f = every_file();
        unsigned char *moved = malloc(f.size + shift);
        memcpy(moved + shift, f.bytes, f.size);
        mv_error e = {0};
        mv_safetensors *st = mv_safetensors_of(moved + shift, f.size, "memory", &e);
        if (!st)
            fail_msg("%s", e.text);
        assert_int_equal(mv_safetensors_count(st), 8);
        assert_string_equal(mv_safetensors_file(st), "memory");
        expect_values(st, "u8", MV_U8, 1, 3, 1., 2., 255.);
        expect_values(st, "f32", MV_F32, 2, 2, 1.5, -2.5);
        expect_values(st, "f16", MV_F16, 0, 1, 1.5);
        expect_values(st, "bf16", MV_BF16, 5, 2, 1.5, -2.5);
        expect_values(st, "i32", MV_I32, 1, 1, -2.);
        expect_values(st, "i64", MV_I64, 1, 1, 4294967296.);
        expect_values(st, "f64", MV_F64, 1, 1, -2.5);
        expect_values(st, "none", MV_F64, 2, 0);
        assert_string_equal(mv_safetensors_metadata(st, "format"), "pt");
        assert_string_equal(mv_safetensors_metadata(st, "note"), "h\xc3\xa9");
        assert_null(mv_safetensors_metadata(st, "absent"));
        for (int i = 1; i < mv_safetensors_count(st); i++)
            assert_true(strcmp(mv_safetensors_name_at(st, i - 1), mv_safetensors_name_at(st, i)) < 0);
        mv_tensor t;
        assert_false(mv_safetensors_lookup(st, "absent", &t));
        assert_false(mv_safetensors_lookup(st, "__metadata__", &t));
        assert_int_equal(mv_safetensors_find(st, "absent", &t, &e), MV_EINPUT);
        assert_string_equal(e.text, "memory: found no tensor 'absent', expected one");
        assert_true(mv_safetensors_lookup(st, "f32", &t));
        mv_safetensors_forget(st, t); /* borrowed: nothing happens */
        mv_safetensors_close(st);
        free(moved);
        free(f.bytes);
    }
    mv_safetensors_close(NULL);
}

static void unaligned_tensors_longer_than_the_bounce(void **state)
{
    (void)state;
    enum { N = 5000 };
    unsigned char *data = malloc(1 + 2 * N);
    for (int i = 0; i < N; i++)
        memcpy(data + 1 + 2 * i, &(uint16_t){mv_f32_to_f16((float)(i % 2000))}, 2);
    const char *json = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                       "\"b\":{\"dtype\":\"F16\",\"shape\":[50,100],\"data_offsets\":[1,10001]}}";
    file f = file_of(json, strlen(json), data, 1 + 2 * N);
    mv_safetensors *st = mv_safetensors_of(f.bytes, f.size, "memory", NULL);
    assert_non_null(st);
    mv_tensor t;
    assert_true(mv_safetensors_lookup(st, "b", &t));
    float *values = malloc(N * sizeof *values);
    mv_safetensors_read(values, t);
    for (int i = 0; i < N; i++)
        assert_true(values[i] == (float)(i % 2000));
    free(values);
    mv_safetensors_close(st);
    free(f.bytes);
    free(data);
}

static void other_types_are_present_but_unusable(void **state)
{
    (void)state;
    const char *json = "{\"mask\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]},"
                       "\"w\":{\"dtype\":\"F8_E4M3\",\"shape\":[5],\"data_offsets\":[3,8]},"
                       "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}";
    file f = file_of(json, strlen(json), NULL, 12);
    mv_error e = {0};
    mv_safetensors *st = mv_safetensors_of(f.bytes, f.size, "memory", &e);
    assert_non_null(st);
    assert_int_equal(mv_safetensors_count(st), 3);
    mv_tensor t;
    assert_false(mv_safetensors_lookup(st, "mask", &t));
    assert_true(mv_safetensors_lookup(st, "x", &t));
    assert_int_equal(mv_safetensors_find(st, "x", &t, &e), MV_OK);
    assert_int_equal(mv_safetensors_find(st, "w", &t, &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "tensor 'w': found type F8_E4M3"));
    mv_safetensors_close(st);
    free(f.bytes);
}

static void expect_refused(const char *json, size_t data, const char *part)
{
    file f = file_of(json, strlen(json), NULL, data);
    mv_error e = {0};
    mv_safetensors *st = mv_safetensors_of(f.bytes, f.size, "FILE", &e);
    if (st)
        fail_msg("accepted: %s", json);
    assert_int_equal(e.code, MV_EINPUT);
    if (strncmp(e.text, "FILE: ", 6) != 0 || !strstr(e.text, part))
        fail_msg("%s gives '%s', which lacks '%s'", json, e.text, part);
    free(f.bytes);
}

#define T(fields)            "{\"a\":{" fields "}}"
#define A(shape, begin, end) "\"a\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"
#define B(begin, end)        "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" begin "," end "]}"

static void hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        size_t data;
        const char *part;
    } cases[] = {
        {"{\"a\":", 0, "not JSON"},
        {"{} x", 0, "not JSON"},
        {"{\"a\":\x1b}", 0, "not JSON"},
        {"{\"a\":1,\"a\":2}", 0, "duplicate"},
        {"[]", 0, "does not begin with '{'"},
        {"\xff\xfe", 0, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"}, /* JSON, but no header */
        {"{\"a\\u0000b\":1}", 0, "not JSON"},
        {"{\"a\":7}", 0, "tensor 'a': found no object"},
        {"{\"\\u001b[2J\":7}", 0, "control characters"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ that is not an object"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "'k' that is not a string"},
        {T("\"shape\":[1],\"data_offsets\":[0,4]"), 4, "'a': found no dtype"},
        {T("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), 4, "'a': found no shape"},
        {T("\"dtype\":\"F32\",\"shape\":[1]"), 4, "'a': found no data_offsets"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":0"), 4, "fields beyond"},
        {T("\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]"), 4, "dtype that is not a string"},
        {T("\"dtype\":\"F\\u001b\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "control characters"},
        {T("\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]"), 4, "shape that is not an array"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{}"), 4, "data_offsets that is not an array"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4, "not two whole numbers"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]"), 4, "not two whole numbers"},
        {"{" A("1", "0", "4.0") "}", 4, "not two whole numbers"},
        {"{" A("1", "-4", "0") "}", 4, "not two whole numbers"},
        {"{" A("1", "0", "\"4\"") "}", 4, "not two whole numbers"},
        {"{" A("1", "0", "99999999999999999999") "}", 4, "not JSON"},
        {"{" A("1", "4", "0") "}", 4, "before they begin"},
        {"{" A("1", "0", "8") "}", 4, "end at 8, expected at most the 4 bytes"},
        {"{" A("1", "0", "9223372036854775807") "}", 4, "at most the 4 bytes"},
        {"{" A("1.5", "0", "4") "}", 4, "dimension 0"},
        {"{" A("-1", "0", "4") "}", 4, "dimension 0"},
        {"{" A("1,2147483648", "0", "4") "}", 4, "dimension 1"},
        {"{" A("1,1,1,1,1,1", "0", "4") "}", 4, "tensor 'a': found 6 dimensions, expected at most 5"},
        {"{" A("2", "0", "4") "}", 4, "found 4 bytes of data, expected 8 for shape 2 of F32"},
        {"{" A("", "0", "8") "}", 8, "expected 4 for shape scalar of F32"},
        {"{" A("2147483647,2147483647,2147483647", "0", "4") "}", 4, "more than memory can address"},
        {"{" A("2147483647,2147483647,4,0", "0", "0") "}", 0, "more than memory can address"},
        {"{" A("1073741824,1073741824,4", "0", "0") "}", 0, "more than memory can address"},
        {"{" A("1", "0", "4") "," B("2", "6") "}", 6, "'b' at 2, expected it after 'a', which ends at 4"},
        {"{" A("1", "0", "4") "," B("0", "4") "}", 4, "expected it after"},
        {"{" A("1", "0", "4") "," B("6", "10") "}", 10, "2 bytes before tensor 'b' that belong to none"},
        {"{" A("1", "0", "4") "}", 9, "5 bytes after the last tensor"},
        {"{}", 1, "1 bytes after the last tensor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i].json, cases[i].data, cases[i].part);

    char deep[20000]; /* the parser has a floor before the stack has an end */
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    memcpy(deep, "{\"a\":", 5);
    expect_refused(deep, 0, "not JSON");
}

static void hostile_lengths(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        const char *part;
    } cases[] = {{0, "header of 0 bytes"},
                 {3, "header of 3 bytes, expected at most the 2"},
                 {100000000, "at most the 2"},
                 {100000001, "header of 100000001 bytes, expected 1 to 100000000"},
                 {UINT64_MAX, "header of 18446744073709551615 bytes"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file f = file_of("{}", 2, NULL, 0);
        memcpy(f.bytes, &cases[i].length, 8);
        mv_error e = {0};
        assert_null(mv_safetensors_of(f.bytes, f.size, "FILE", &e));
        if (!strstr(e.text, cases[i].part))
            fail_msg("'%s' lacks '%s'", e.text, cases[i].part);
        free(f.bytes);
    }
    mv_error e = {0};
    assert_null(mv_safetensors_of(NULL, 0, "FILE", &e));
    assert_non_null(strstr(e.text, "found 0 bytes"));
    file f = file_of("{}", 2, NULL, 0);
    mv_safetensors *st = mv_safetensors_of(f.bytes, f.size, "FILE", NULL);
    assert_non_null(st);
    assert_int_equal(mv_safetensors_count(st), 0);
    mv_safetensors_close(st);
    free(f.bytes);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    file f = every_file();
    for (size_t n = 0; n < f.size; n++) {
        unsigned char *cut = malloc(n + 1);
        unsigned char *exact = realloc(cut, n ? n : 1);
        memcpy(exact, f.bytes, n);
        mv_error e = {0};
        assert_null(mv_safetensors_of(exact, n, "FILE", &e));
        assert_int_equal(e.code, MV_EINPUT);
        free(exact);
    }
    free(f.bytes);
}

static void every_changed_byte_is_survived(void **state)
{
    (void)state;
    static const unsigned char others[] = {0, ' ', '"', '0', '9', '-', ',', '[', ']', '{', '}', 'e', 0x7f, 0x80, 0xff};
    file f = every_file();
    for (size_t i = 0; i < sizeof every_type - 1 + 8; i++)
        for (size_t k = 0; k < sizeof others; k++) {
            unsigned char was = f.bytes[i];
            f.bytes[i] = others[k];
            mv_error e = {0};
            mv_safetensors *st = mv_safetensors_of(f.bytes, f.size, "FILE", &e);
            if (st)
                touch(st);
            else
                assert_int_equal(e.code, MV_EINPUT);
            mv_safetensors_close(st);
            f.bytes[i] = was;
        }
    free(f.bytes);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    mv_error missing = {0}, directory = {0}, fifo = {0}, empty = {0};
    assert_null(mv_safetensors_open(in_folder("absent"), &missing));
    assert_int_equal(missing.code, MV_EIO);
    assert_non_null(strstr(missing.text, "absent: cannot be read: No such file or directory"));
    assert_null(mv_safetensors_open(scratch_folder(), &directory));
    assert_non_null(strstr(directory.text, "found a folder"));
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_null(mv_safetensors_open(in_folder("fifo"), &fifo)); /* and does not wait for a writer */
    assert_non_null(strstr(fifo.text, "found a pipe or device"));
    close(open(in_folder("empty"), O_CREAT | O_WRONLY, 0600));
    assert_null(mv_safetensors_open(in_folder("empty"), &empty));
    assert_non_null(strstr(empty.text, "found 0 bytes"));
}

static void written_bytes_are_the_format(void **state)
{
    (void)state;
    float a[2] = {1.5F, -2.5F};
    uint8_t b = 7;
    const char *names[] = {"z", "a.b"}, *keys[] = {"k"}, *values[] = {"v"};
    mv_tensor tensors[] = {mv_tensor_of(&b, MV_U8, 0), mv_tensor_of(a, MV_F32, 2, 1, 2)};
    mv_error e = {0};
    assert_int_equal(mv_safetensors_write(in_folder("x"), 2, names, tensors, 1, keys, values, &e), MV_OK);
    static const char expected[] = "\x88\0\0\0\0\0\0\0"
                                   "{\"__metadata__\":{\"k\":\"v\"},"
                                   "\"z\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
                                   "\"a.b\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[1,9]}}  "
                                   "\x07\0\0\xc0\x3f\0\0\x20\xc0";
    unsigned char got[512];
    FILE *f = fopen(in_folder("x"), "rb");
    assert_non_null(f);
    size_t n = fread(got, 1, sizeof got, f);
    fclose(f);
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(got, expected, n);
}

static void round_trip(void **state)
{
    (void)state;
    enum { N = 3 * 5 * 7 };
    static const char *names[] = {"F32", "F16", "BF16", "F64", "I64", "I32", "U8"};
    static const char *keys[] = {"manifest", "\xc3\xa9"}, *values[] = {"{\"a\": [1, 2]}\n", ""};
    mv_tensor tensors[MV_DTYPES];
    unsigned char *data[MV_DTYPES];
    uint32_t seed = 1;
    for (int i = 0; i < MV_DTYPES; i++) { /* random bits: NaN payloads, subnormals and infinities among them */
        size_t bytes = N * mv_dtype_size((mv_dtype)i);
        data[i] = malloc(bytes);
        for (size_t k = 0; k < bytes; k++)
            data[i][k] = (unsigned char)((seed = seed * 1664525 + 1013904223) >> 24);
        tensors[i] = mv_tensor_of(data[i], (mv_dtype)i, 3, 3, 5, 7);
    }
    mv_error e = {0};
    assert_int_equal(mv_safetensors_write(in_folder("x"), MV_DTYPES, names, tensors, 2, keys, values, &e), MV_OK);
    mv_safetensors *st = mv_safetensors_open(in_folder("x"), &e);
    assert_non_null(st);
    assert_int_equal(mv_safetensors_count(st), MV_DTYPES);
    for (int i = 0; i < MV_DTYPES; i++) {
        mv_tensor t;
        assert_int_equal(mv_safetensors_find(st, names[i], &t, &e), MV_OK);
        assert_int_equal(t.type, i);
        assert_true(mv_tensor_same_shape(t, tensors[i]));
        assert_memory_equal(t.data, data[i], mv_tensor_bytes(t));
        free(data[i]);
    }
    assert_string_equal(mv_safetensors_metadata(st, "manifest"), values[0]);
    assert_string_equal(mv_safetensors_metadata(st, keys[1]), "");
    mv_safetensors_close(st);
}

static void writer_refuses(void **state)
{
    (void)state;
    float v = 0;
    mv_tensor t = mv_tensor_of(&v, MV_F32, 1, 1), two[] = {t, t};
    const char *twice[] = {"a", "a"}, *reserved[] = {"__metadata__"}, *latin[] = {"caf\xe9"}, *key[] = {"k"};
    mv_error e1 = {0}, e2 = {0}, e3 = {0}, e4 = {0}, e5 = {0};
    assert_int_equal(mv_safetensors_write(in_folder("x"), 2, twice, two, 0, NULL, NULL, &e1), MV_EINPUT);
    assert_non_null(strstr(e1.text, "'a' twice"));
    assert_int_equal(mv_safetensors_write(in_folder("x"), 1, reserved, two, 0, NULL, NULL, &e2), MV_EINPUT);
    assert_non_null(strstr(e2.text, "reserved"));
    assert_int_equal(mv_safetensors_write(in_folder("x"), 1, latin, two, 0, NULL, NULL, &e3), MV_EINPUT);
    assert_int_equal(mv_safetensors_write(in_folder("x"), 1, twice, two, 1, key, latin, &e4), MV_EINPUT);
    assert_non_null(strstr(e4.text, "UTF-8"));
    assert_int_equal(access(in_folder("x"), F_OK), -1);
    assert_int_equal(mv_safetensors_write("/dev/full", 1, twice, two, 0, NULL, NULL, &e5), MV_EIO);
    assert_non_null(strstr(e5.text, "/dev/full: cannot be written: No space left on device"));
}

/* Reference: Python's hashlib over the same 65 bytes. */
static void hash_of_the_file(void **state)
{
    (void)state;
    const char *json = "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}";
    file f = file_of(json, strlen(json), &(float){1.5F}, 4);
    mv_safetensors *st = mv_safetensors_of(f.bytes, f.size, "memory", NULL);
    assert_non_null(st);
    char hex[65];
    mv_safetensors_sha256(st, hex);
    assert_string_equal(hex, "a7a323cd6c9441f9a78fd12974338461ed1a1326a6ebc25a54ae1e8f4964548b");
    mv_safetensors_close(st);
    free(f.bytes);
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        pages = -1;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void forgotten_tensors_leave_memory(void **state)
{
    (void)state;
    enum { N = 8 << 20 }; /* 32 MiB */
    float *v = malloc(N * sizeof *v), *w = malloc(N * sizeof *w);
    assert_true(v && w);
    for (int i = 0; i < N; i++)
        v[i] = w[i] = (float)i;
    const char *name[] = {"v"};
    mv_tensor t = mv_tensor_of(v, MV_F32, 1, N);
    assert_int_equal(mv_safetensors_write(in_folder("x"), 1, name, &t, 0, NULL, NULL, NULL), MV_OK);
    mv_safetensors *st = mv_safetensors_open(in_folder("x"), NULL);
    assert_non_null(st);
    assert_true(mv_safetensors_lookup(st, "v", &t));
    long before = resident_kib();
    if (before < 0)
        skip();
    mv_safetensors_read(w, t);
    long mapped = resident_kib();
    mv_safetensors_forget(st, t);
    long after = resident_kib();
    assert_true(mapped - before > 24 * 1024);
    assert_true(mapped - after > 24 * 1024);
    char hex[65];
    mv_safetensors_sha256(st, hex); /* reads all of it, keeps none */
    assert_true(resident_kib() - after < 20 * 1024);
    mv_safetensors_read(w, t);
    assert_memory_equal(v, w, N * sizeof *v);
    mv_safetensors_close(st);
    free(v);
    free(w);
}

/* Files that another program's writer made. */
static void reference_files(void **state)
{
    (void)state;
    static const char *const paths[] = {"tests/data/golden/plain.safetensors", "assets/nano.safetensors"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        mv_error e = {0};
        mv_safetensors *st = mv_safetensors_open(paths[i], &e);
        if (!st)
            fail_msg("%s", e.text);
        assert_true(mv_safetensors_count(st) > 0);
        assert_true(touch(st) > 0);
        mv_safetensors_close(st);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type_at_any_byte),
        cmocka_unit_test(unaligned_tensors_longer_than_the_bounce),
        cmocka_unit_test(other_types_are_present_but_unusable),
        cmocka_unit_test(hostile_headers),
        cmocka_unit_test(hostile_lengths),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_changed_byte_is_survived),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(written_bytes_are_the_format, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(round_trip, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(writer_refuses, scratch_enter, scratch_leave),
        cmocka_unit_test(hash_of_the_file),
        cmocka_unit_test_setup_teardown(forgotten_tensors_leave_memory, scratch_enter, scratch_leave),
        cmocka_unit_test(reference_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
