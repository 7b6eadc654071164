/* What is stored comes back bit for bit from every container, and a store that fails leaves everything as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "src/file/npy.h"
#include "src/file/safetensors.h"
#include "src/file/store.h"
#include "tests/no_exchange.h"
#include "tests/scratch.h"

static bool holds(const char *path, const char *expected)
{
    char text[256];
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return strcmp(text, expected) == 0;
}

/* Three arrays of five rows, as if five pictures went through in batches of 2, 2 and 1; and an empty one. */
enum { ARRAYS = 4, MOST = 5 * 3 * 4 };
static const char *const names[ARRAYS] = {"levels.3.blocks.1", "head", "levels.2.mixer.attn", "none"};
static const struct {
    int nd, dim[5];
} shapes[ARRAYS] = {{3, {5, 3, 4}}, {1, {5}}, {5, {5, 1, 2, 1, 2}}, {2, {0, 7}}};
static float values[ARRAYS][MOST];

static size_t count_of(int i)
{
    size_t n = 1;
    for (int d = 0; d < shapes[i].nd; d++)
        n *= (size_t)shapes[i].dim[d];
    return n;
}

static void fill_values(void)
{
    uint32_t seed = 7;
    for (int i = 0; i < ARRAYS; i++)
        for (int k = 0; k < MOST; k++) {
            uint32_t bits = seed = seed * 1664525 + 1013904223;
            memcpy(&values[i][k], &bits, sizeof bits); /* any bits: NaN among them */
        }
}

static mv_status store_all(const char *path, int arrays, mv_error *e)
{
    static const int batches[] = {2, 2, 1};
    fill_values();
    mv_store *s = mv_store_open(path, e);
    if (!s)
        return e->code;
    for (int i = 0; i < arrays; i++)
        mv_store_declare(s, names[i], shapes[i].nd, shapes[i].dim, e);
    mv_store_meta(s, "manifest", "{\"model\": \"nano\"}", e);
    mv_store_meta(s, "note", "h\xc3\xa9", e);
    for (int b = 0, row = 0; b < 3; row += batches[b++])
        for (int i = 0; i < arrays && i < 3; i++)
            mv_store_append(s, names[i], values[i] + count_of(i) / 5 * (size_t)row, batches[b], e);
    return mv_store_commit(s, e);
}

static void expect_array(mv_tensor t, int i)
{
    assert_int_equal(t.type, MV_F32);
    assert_int_equal(t.nd, shapes[i].nd);
    for (int d = 0; d < t.nd; d++)
        assert_int_equal(t.dim[d], shapes[i].dim[d]);
    assert_memory_equal(t.data, values[i], mv_tensor_bytes(t));
}

static void expect_manifest(const char *text, size_t size)
{
    json_t *m = json_loadb(text, size, 0, NULL);
    assert_true(json_is_object(m));
    assert_string_equal(json_string_value(json_object_get(m, "model")), "nano");
    assert_string_equal(json_string_value(json_object_get(m, "note")), "h\xc3\xa9");
    assert_string_equal(json_string_value(json_object_get(m, "format")), "mvscope-dump");
    assert_int_equal(json_array_size(json_object_get(m, "files")), ARRAYS);
    assert_string_equal(json_string_value(json_array_get(json_object_get(m, "files"), 1)), "head.npy");
    json_decref(m);
}

static void as_safetensors(void **state)
{
    (void)state;
    mv_error e = {0};
    if (store_all(in_folder("x.safetensors"), ARRAYS, &e) != MV_OK)
        fail_msg("%s", e.text);
    mv_safetensors *st = mv_safetensors_open(in_folder("x.safetensors"), &e);
    if (!st)
        fail_msg("%s", e.text);
    assert_int_equal(mv_safetensors_count(st), ARRAYS);
    for (int i = 0; i < ARRAYS; i++) {
        mv_tensor t;
        assert_true(mv_safetensors_lookup(st, names[i], &t));
        expect_array(t, i);
    }
    assert_string_equal(mv_safetensors_metadata(st, "manifest"), "{\"model\": \"nano\"}");
    assert_string_equal(mv_safetensors_metadata(st, "note"), "h\xc3\xa9");
    mv_safetensors_close(st);
    assert_int_equal(files_in(scratch_folder()), 1);
}

static void *entry_of(zip_t *z, const char *name, size_t *size)
{
    zip_stat_t st;
    assert_int_equal(zip_stat(z, name, 0, &st), 0);
    assert_int_equal(st.comp_method, ZIP_CM_STORE);
    zip_file_t *f = zip_fopen(z, name, 0);
    assert_non_null(f);
    char *bytes = malloc(st.size + 1);
    assert_int_equal(zip_fread(f, bytes, st.size), st.size);
    assert_int_equal(zip_fread(f, bytes + st.size, 1), 0); /* at the end libzip checks the CRC */
    assert_int_equal(zip_fclose(f), 0);
    *size = st.size;
    return bytes;
}

static void as_npz(void **state)
{
    (void)state;
    mv_error e = {0};
    if (store_all(in_folder("x.npz"), ARRAYS, &e) != MV_OK)
        fail_msg("%s", e.text);
    int code = 0;
    zip_t *z = zip_open(in_folder("x.npz"), ZIP_RDONLY | ZIP_CHECKCONS, &code); /* libzip: all records agree */
    assert_non_null(z);
    assert_int_equal(zip_get_num_entries(z, 0), ARRAYS + 1);
    for (int i = 0; i < ARRAYS; i++) {
        char name[64];
        size_t size;
        snprintf(name, sizeof name, "%s.npy", names[i]);
        void *bytes = entry_of(z, name, &size);
        mv_tensor t;
        assert_int_equal(npy_decode(&t, bytes, size, name, &e), MV_OK);
        expect_array(t, i);
        free(t.data);
        free(bytes);
    }
    size_t size;
    char *manifest = entry_of(z, "manifest.json", &size);
    expect_manifest(manifest, size);
    free(manifest);
    zip_discard(z);
    assert_int_equal(files_in(scratch_folder()), 1);
}

static void as_npy(void **state)
{
    (void)state;
    mv_error e = {0}, two = {0}, none = {0};
    assert_int_equal(store_all(in_folder("x.npy"), 1, &e), MV_OK);
    mv_tensor t;
    assert_int_equal(npy_load(&t, in_folder("x.npy"), &e), MV_OK);
    expect_array(t, 0);
    free(t.data);
    assert_int_equal(store_all(in_folder("y.npy"), 2, &two), MV_EMISUSE);
    assert_non_null(strstr(two.text, "found 'head' as a second array"));
    assert_int_equal(store_all(in_folder("y.npy"), 0, &none), MV_EMISUSE);
    assert_int_equal(files_in(scratch_folder()), 1);
}

static void expect_dump(const char *path)
{
    for (int i = 0; i < ARRAYS; i++) {
        char file[256];
        mv_error e = {0};
        mv_tensor t;
        snprintf(file, sizeof file, "%s/%s.npy", path, names[i]);
        if (npy_load(&t, file, &e) != MV_OK)
            fail_msg("%s", e.text);
        expect_array(t, i);
        free(t.data);
    }
    char file[256], text[4096];
    snprintf(file, sizeof file, "%s/manifest.json", path);
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    expect_manifest(text, fread(text, 1, sizeof text, f));
    fclose(f);
    assert_int_equal(files_in(path), ARRAYS + 1);
}

static void as_folder(void **state)
{
    (void)state;
    mv_error e = {0};
    mode_t before = umask(027);
    assert_int_equal(store_all(in_folder("x/"), ARRAYS, &e), MV_OK);
    umask(before);
    expect_dump(in_folder("x"));
    struct stat st;
    assert_int_equal(stat(in_folder("x"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(store_all(in_folder("y.npz/"), ARRAYS, &e), MV_OK); /* the slash says so */
    expect_dump(in_folder("y.npz"));
    assert_int_equal(mkdir(in_folder("empty"), 0711), 0);
    assert_int_equal(symlink("empty", in_folder("link")), 0);
    assert_int_equal(store_all(in_folder("link"), ARRAYS, &e), MV_OK);
    expect_dump(in_folder("empty"));
    assert_int_equal(stat(in_folder("empty"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    assert_int_equal(files_in(scratch_folder()), 4);
}

static void an_earlier_dump_is_replaced(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        no_exchange = i;
        mv_error e = {0};
        assert_int_equal(store_all(in_folder("x/"), 2, &e), MV_OK);
        assert_int_equal(files_in(in_folder("x")), 3);
        assert_int_equal(chmod(in_folder("x"), 0705), 0);
        if (store_all(in_folder("x/"), ARRAYS, &e) != MV_OK)
            fail_msg("%s", e.text);
        expect_dump(in_folder("x"));
        struct stat st;
        assert_int_equal(stat(in_folder("x"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0705);
        assert_int_equal(files_in(scratch_folder()), 1);
    }
}

static void expect_refused(const char *path, const char *part)
{
    mv_error e = {0};
    assert_null(mv_store_open(path, &e));
    if (!strstr(e.text, part))
        fail_msg("'%s' lacks '%s'", e.text, part);
    mv_error before = {0}; /* the same, asked before anything runs */
    assert_int_equal(mv_store_check(path, &before), e.code);
    assert_string_equal(before.text, e.text);
}

static void anything_else_is_left_alone(void **state)
{
    (void)state;
    mv_error e = {0};
    assert_int_equal(mkdir(in_folder("x"), 0777), 0);
    put_file(in_folder("x/letter.txt"), "dear", 0644);
    expect_refused(in_folder("x"), "found 'letter.txt' in it");

    assert_int_equal(store_all(in_folder("dump/"), 2, &e), MV_OK);
    put_file(in_folder("dump/mine.npy"), "mine", 0644); /* in our folder, but not by us */
    expect_refused(in_folder("dump"), "found 'mine.npy' in it");
    assert_true(holds(in_folder("dump/mine.npy"), "mine"));

    static const char *const manifests[] = {"",
                                            "[]",
                                            "{\"format\": \"other\", \"files\": []}",
                                            "{\"format\": \"mvscope-dump\"}",
                                            "{\"format\": \"mvscope-dump\", \"files\": {}}",
                                            "{\"format\": 1, \"files\": [\"a.npy\"]}"};
    assert_int_equal(mkdir(in_folder("m"), 0777), 0);
    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        put_file(in_folder("m/manifest.json"), manifests[i], 0644);
        expect_refused(in_folder("m"), "found 'manifest.json' in it");
    }
    put_file(in_folder("plain"), "x", 0644);
    expect_refused(in_folder("plain"), "expected a name ending in");
    expect_refused(in_folder("plain/"), "found a file, expected a folder");
    expect_refused(in_folder("plain/x/"), "Not a directory");
    expect_refused(in_folder("missing/x/"), "No such file or directory");
    expect_refused(in_folder("missing/x.npz"), "No such file or directory");
    expect_refused("/proc/mvscope-dump/", "cannot be created");
    expect_refused("/", "expected the name of a folder");
    expect_refused(".", "expected the name of a folder");
    expect_refused("", "expected a name ending in");
    assert_int_equal(mkdir(in_folder("f.npz"), 0777), 0);
    expect_refused(in_folder("f.npz"), "found a folder");
    assert_int_equal(files_in(scratch_folder()), 5);
}

/* A manifest that lists files elsewhere does not get them removed. */
static void a_forged_manifest_removes_nothing(void **state)
{
    (void)state;
    put_file(in_folder("victim"), "alive", 0644);
    assert_int_equal(mkdir(in_folder("x"), 0777), 0);
    put_file(in_folder("x/manifest.json"),
             "{\"format\": \"mvscope-dump\", \"files\": [\"../victim\", \"sub\", 7, \"sub/file\"]}", 0644);
    mv_error e = {0};
    assert_int_equal(store_all(in_folder("x/"), ARRAYS, &e), MV_OK);
    expect_dump(in_folder("x"));
    assert_true(holds(in_folder("victim"), "alive"));
    assert_int_equal(files_in(scratch_folder()), 2);
}

static void what_comes_meanwhile_is_kept(void **state)
{
    (void)state;
    mv_error e = {0};
    assert_int_equal(store_all(in_folder("x/"), 2, &e), MV_OK);
    mv_store *s = mv_store_open(in_folder("x"), &e);
    assert_non_null(s);
    put_file(in_folder("x/letter.txt"), "dear", 0644);
    assert_int_equal(mv_store_commit(s, &e), MV_EINPUT);
    assert_true(holds(in_folder("x/letter.txt"), "dear"));
    assert_int_equal(files_in(in_folder("x")), 4);
    assert_int_equal(files_in(scratch_folder()), 1);
}

static const char *const containers[] = {"x.safetensors", "x.npz", "x.npy", "x/"};
enum { CONTAINERS = 4 };

static void discard_leaves_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < CONTAINERS; i++) {
        mv_error e = {0};
        mv_store *s = mv_store_open(in_folder(containers[i]), &e);
        assert_non_null(s);
        assert_int_equal(mv_store_declare(s, "a", 1, (int[]){2}, &e), MV_OK);
        assert_int_equal(mv_store_append(s, "a", (float[]){1, 2}, 2, &e), MV_OK);
        mv_store_discard(s);
        assert_int_equal(files_in(scratch_folder()), 0);
    }
    mv_store_discard(NULL);
}

static void unfilled_arrays_are_named(void **state)
{
    (void)state;
    for (int i = 0; i < CONTAINERS; i++) {
        mv_error e = {0};
        mv_store *s = mv_store_open(in_folder(containers[i]), &e);
        mv_store_declare(s, "site.a", 2, (int[]){3, 2}, &e);
        mv_store_append(s, "site.a", (float[]){1, 2, 3, 4}, 2, &e);
        assert_int_equal(mv_store_commit(s, &e), MV_EMISUSE);
        assert_non_null(strstr(e.text, "found 2 rows of 'site.a', expected 3"));
        assert_int_equal(files_in(scratch_folder()), 0);
    }
}

/* One misuse each; the store then fails for good and leaves nothing. */
static mv_status misuse(mv_store *s, int which, mv_error *e)
{
    static const float v[8];
    char name[300];
    memset(name, 'n', sizeof name);
    name[201] = 0;
    mv_store_declare(s, "a", 2, (int[]){2, 2}, e);
    switch (which) {
    case 0: return mv_store_declare(s, "a", 1, (int[]){2}, e);
    case 1: return mv_store_declare(s, "b", 0, NULL, e);
    case 2: return mv_store_declare(s, "b", 6, (int[]){1, 1, 1, 1, 1, 1}, e);
    case 3: return mv_store_declare(s, "b", 2, (int[]){1, -1}, e);
    case 4: return mv_store_declare(s, "../b", 1, (int[]){1}, e);
    case 5: return mv_store_declare(s, ".b", 1, (int[]){1}, e);
    case 6: return mv_store_declare(s, "", 1, (int[]){1}, e);
    case 7: return mv_store_declare(s, name, 1, (int[]){1}, e);
    case 8: return mv_store_declare(s, "b\n", 1, (int[]){1}, e);
    case 9: return mv_store_declare(s, "__metadata__", 1, (int[]){1}, e);
    case 10: return mv_store_declare(s, "b", 3, (int[]){2147483647, 2147483647, 2147483647}, e);
    case 11: return mv_store_append(s, "b", v, 1, e);
    case 12: return mv_store_append(s, "a", v, 3, e);
    case 13: return mv_store_append(s, "a", v, -1, e);
    case 14: mv_store_append(s, "a", v, 1, e); return mv_store_append(s, "a", v, 2, e);
    case 15: mv_store_append(s, "a", v, 1, e); return mv_store_declare(s, "b", 1, (int[]){1}, e);
    case 16: return mv_store_meta(s, "caf\xe9", "v", e);
    case 17: return mv_store_meta(s, "manifest", "[]", e);
    case 18: return mv_store_meta(s, "k", "caf\xe9", e);
    case 19: return mv_store_shrink(s, 0, 0, e);
    case 20: return mv_store_shrink(s, 4, 5, e);
    case 21: return mv_store_shrink(s, 4, 1, e); /* half a row */
    case 22: return mv_store_declare(s, "b", 5, (int[]){1, 2147483647, 2147483647, 2147483647, 0}, e);
    default: return MV_OK;
    }
}

static void misuse_is_told_and_sticks(void **state)
{
    (void)state;
    for (int c = 0; c < CONTAINERS; c++)
        for (int i = 0; i < 23; i++) {
            mv_error e = {0}, later = {0};
            mv_store *s = mv_store_open(in_folder(containers[c]), &e);
            mv_status code = misuse(s, i, &e);
            if (code != MV_EMISUSE && code != MV_EINPUT)
                fail_msg("misuse %d of %s gives %d", i, containers[c], (int)code);
            assert_int_equal(e.code, code);
            assert_int_equal(mv_store_append(s, "a", (float[4]){0}, 2, &later), code);
            assert_int_equal(mv_store_commit(s, &later), code);
            assert_string_equal(later.text, e.text);
            assert_int_equal(files_in(scratch_folder()), 0);
        }
}

static void full_disk(void **state)
{
    (void)state;
    static float big[4096];
    for (int c = 0; c < CONTAINERS; c++) {
        mv_error e = {0};
        put_file(in_folder("y"), "x", 0644);
        bool is_folder = c == 3;
        if (!is_folder)
            put_file(in_folder(containers[c]), "old", 0644);
        mv_store *s = mv_store_open(in_folder(containers[c]), &e);
        assert_non_null(s);
        mv_store_declare(s, "a", 2, (int[]){2, 4096}, &e);
        assert_int_equal(mv_store_append(s, "a", big, 1, &e), MV_OK);
        struct rlimit before, small;
        getrlimit(RLIMIT_FSIZE, &before);
        small = (struct rlimit){20000, before.rlim_max};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        mv_status during = mv_store_append(s, "a", big, 1, &e);
        mv_status end = mv_store_commit(s, NULL);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(during, MV_EIO);
        assert_int_equal(end, MV_EIO);
        if (!strstr(e.text, "cannot be written: File too large"))
            fail_msg("%s", e.text);
        assert_true(is_folder || holds(in_folder(containers[c]), "old"));
        if (!is_folder)
            unlink(in_folder(containers[c]));
        assert_int_equal(files_in(scratch_folder()), 1);
    }
    for (int c = 0; c < 3; c++) {
        mv_error e = {0};
        assert_int_equal(symlink("/dev/full", in_folder(containers[c])), 0);
        assert_int_not_equal(store_all(in_folder(containers[c]), 1, &e), MV_OK);
        if (!strstr(e.text, c == 1 ? "regular file" : "No space left on device"))
            fail_msg("%s", e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_safetensors, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(as_npz, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(as_npy, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(as_folder, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(an_earlier_dump_is_replaced, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(anything_else_is_left_alone, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_forged_manifest_removes_nothing, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(what_comes_meanwhile_is_kept, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(discard_leaves_nothing, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(unfilled_arrays_are_named, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(misuse_is_told_and_sticks, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(full_disk, enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
