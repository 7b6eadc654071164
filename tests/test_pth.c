/* What torch.save writes is read as NumPy has it, whatever the view, the nest and the container; what lies about its
 * storages is refused by the name of its tensor; shards and folders give what their files have. */
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

#include "src/file/mapping.h"
#include "src/file/safetensors.h"
#include "src/file/tensors.h"
#include "tests/scratch.h"

#define DATA "tests/data/torch/"

static mv_tensors *opened(const char *path)
{
    mv_error e = {0};
    mv_tensors *t = mv_tensors_open(path, &e);
    if (!t)
        fail_msg("%s", e.text);
    return t;
}

static float *read_all(mv_tensors *t, const char *name, mv_tensor *shape)
{
    mv_error e = {0};
    if (mv_tensors_find(t, name, shape, &e))
        fail_msg("%s", e.text);
    float *v = malloc((mv_tensor_count(*shape) + 1) * sizeof *v);
    assert_non_null(v);
    if (mv_tensors_read(t, name, v, &e))
        fail_msg("%s", e.text);
    return v;
}

static void refused(const char *path, const char *why)
{
    mv_error e = {0};
    mv_tensors *t = mv_tensors_open(path, &e);
    if (t || !strstr(e.text, why))
        fail_msg("%s: expected '%s', found %s", path, why, t ? "no refusal" : e.text);
}

/* tests/torch_file.py computed the same tensors with NumPy. */
static void views_are_what_numpy_shows(void **state)
{
    (void)state;
    static const char *const files[] = {DATA "views.pth", DATA "views.deflated.pth"};
    for (int f = 0; f < 2; f++) {
        mv_tensors *right = opened(DATA "views.safetensors"), *got = opened(files[f]);
        assert_int_equal(mv_tensors_count(right), 12);
        assert_int_equal(mv_tensors_count(got), 14);
        for (int i = 0; i < mv_tensors_count(right); i++) {
            const char *name = mv_tensors_name_at(right, i);
            mv_tensor a, b;
            float *x = read_all(right, name, &a), *y = read_all(got, name, &b);
            assert_true(a.type == b.type && mv_tensor_same_shape(a, b));
            assert_memory_equal(x, y, mv_tensor_count(a) * sizeof *x);
            free(x);
            free(y);
        }
        mv_tensor t;
        mv_error e = {0};
        assert_false(mv_tensors_lookup(got, "flags", &t));
        assert_true(mv_tensors_has(got, "flags"));
        assert_int_equal(mv_tensors_find(got, "flags", &t, &e), MV_EINPUT);
        assert_non_null(strstr(e.text, "'flags': found BOOL"));
        assert_true(mv_tensors_lookup(got, "count", &t) && t.type == MV_I64 && t.nd == 0);
        assert_null(mv_tensors_metadata(got, "format"));
        mv_tensors_close(right);
        mv_tensors_close(got);
    }
}

static void nests_give_names(void **state)
{
    (void)state;
    static const char *const trainer[] = {"optimizer.state.0.exp_avg", "optimizer.state.0.step",
                                          "state_dict.a.bias",         "state_dict.a.weight",
                                          "state_dict_ema.a.bias",     "state_dict_ema.a.weight"},
                             *const lightning[] = {"state_dict.net.a.bias", "state_dict.net.a.weight"};
    mv_tensors *t = opened(DATA "trainer.pth");
    assert_int_equal(mv_tensors_count(t), 6);
    for (int i = 0; i < 6; i++)
        assert_string_equal(mv_tensors_name_at(t, i), trainer[i]);
    mv_tensors_close(t);
    t = opened(DATA "lightning.ckpt"); /* the key of its callbacks is a class, which leads to no weights */
    assert_int_equal(mv_tensors_count(t), 2);
    for (int i = 0; i < 2; i++)
        assert_string_equal(mv_tensors_name_at(t, i), lightning[i]);
    mv_tensors_close(t);
}

/* What trainers keep beside the weights, in every protocol, and without checksums. */
static void company_is_passed_over(void **state)
{
    (void)state;
    for (int protocol = 2; protocol <= 5; protocol++) {
        char path[64];
        snprintf(path, sizeof path, DATA "more%d.pth", protocol);
        mv_tensors *t = opened(path);
        assert_int_equal(mv_tensors_count(t), 2);
        assert_string_equal(mv_tensors_name_at(t, 0), "state_dict.a.bias");
        assert_string_equal(mv_tensors_name_at(t, 1), "state_dict.a.weight");
        mv_tensors_close(t);
    }
}

static void lies_are_refused_by_name(void **state)
{
    (void)state;
    refused(DATA "legacy.pth", "the format before");
    refused(DATA "short.pth", "tensor 'a.bias': found a storage of 60 elements, expected at least the 62");
    refused(DATA "lost.pth", "tensor 'a.bias': found no storage of its key");
    refused(DATA "declared.pth",
            "tensor 'a.bias': found a storage of 240 bytes in the archive, expected 1000 elements");
    refused(DATA "bomb.pth", "tensor 'a.bias': found many millions of elements");
    refused(DATA "beyond.pth", "tensor 'a.bias': found a size that 64 bits do not hold");
    refused(DATA "big_endian.pth", "byte order");
    refused(DATA "name.pth", "a\\x1b[31m");
    refused(DATA "key.pth", "found a tensor under a key of more than 500 letters or with a zero in it");
}

/* ---- shards and folders */

static void put_tensors(const char *path, int n, const char *const *names, const float *value)
{
    mv_error e = {0};
    mv_tensor t[4];
    for (int i = 0; i < n; i++)
        t[i] = mv_tensor_of((void *)(uintptr_t)&value[i], MV_F32, 1, 1);
    if (mv_safetensors_write(path, n, names, t, 0, NULL, NULL, &e))
        fail_msg("%s", e.text);
}

static void copy_file(const char *from, const char *to)
{
    mv_mapping m;
    assert_int_equal(mv_mapping_open(&m, from, NULL), MV_OK);
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(m.bytes, 1, m.size, f), m.size);
    fclose(f);
    mv_mapping_close(&m);
}

static void put_index(const char *map)
{
    char text[1000];
    snprintf(text, sizeof text, "{\"metadata\": {\"total_size\": 12}, \"weight_map\": %s}", map);
    put_file(in_folder("m/model.safetensors.index.json"), text, 0600);
}

static void put_shards(void)
{
    mkdir(in_folder("m"), 0700);
    put_tensors(in_folder("m/b.safetensors"), 2, (const char *const[]){"x.one", "x.three"}, (float[]){1, 3});
    put_tensors(in_folder("m/a.safetensors"), 1, (const char *const[]){"x.two"}, (float[]){2});
    put_index("{\"x.one\": \"b.safetensors\", \"x.two\": \"a.safetensors\", \"x.three\": \"b.safetensors\"}");
}

static void shards_are_one_checkpoint(void **state)
{
    (void)state;
    static const char *const names[] = {"x.one", "x.three", "x.two"};
    static const float values[] = {1, 3, 2};
    put_shards();
    mv_tensor shape;
    mv_tensors *t = opened(in_folder("m"));
    assert_int_equal(mv_tensors_count(t), 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(mv_tensors_name_at(t, i), names[i]);
        float *v = read_all(t, names[i], &shape);
        assert_true(*v == values[i]);
        free(v);
    }
    char hex[65], line[3][100], joined[240], *name[] = {"a.safetensors", "b.safetensors"};
    for (int i = 0; i < 2; i++) { /* as sha256sum a.safetensors b.safetensors | sha256sum */
        mv_mapping m;
        char path[64];
        snprintf(path, sizeof path, "m/%s", name[i]);
        assert_int_equal(mv_mapping_open(&m, in_folder(path), NULL), MV_OK);
        mv_mapping_sha256(m.bytes, m.size, false, hex);
        mv_mapping_close(&m);
        snprintf(line[i], sizeof line[i], "%s  %s\n", hex, name[i]);
    }
    snprintf(joined, sizeof joined, "%s%s", line[0], line[1]);
    mv_mapping_sha256(joined, strlen(joined), false, line[2]);
    assert_int_equal(mv_tensors_sha256(t, hex, NULL), MV_OK);
    assert_string_equal(hex, line[2]);
    assert_non_null(strstr(mv_tensors_file_at(t, 0), "index.json"));
    assert_non_null(strstr(mv_tensors_file_at(t, 2), "b.safetensors"));
    assert_null(mv_tensors_file_at(t, 3));
    mv_tensors_close(t);
    t = opened(in_folder("m/model.safetensors.index.json")); /* the index by its own name */
    assert_int_equal(mv_tensors_count(t), 3);
    mv_tensors_close(t);
}

/* Python's json module writes NaN, editors a byte order mark. */
static void indices_may_be_pythons(void **state)
{
    (void)state;
    put_shards();
    put_file(in_folder("m/model.safetensors.index.json"),
             "\xef\xbb\xbf{\"metadata\": {\"total_size\": NaN}, \"weight_map\": {\"x.two\": \"a.safetensors\"}}", 0600);
    mv_tensors *t = opened(in_folder("m"));
    assert_int_equal(mv_tensors_count(t), 1);
    assert_string_equal(mv_tensors_name_at(t, 0), "x.two");
    mv_tensors_close(t);
}

static void broken_shards_are_named(void **state)
{
    (void)state;
    put_shards();
    put_index("{\"x.one\": \"b.safetensors\", \"x.nine\": \"a.safetensors\"}");
    refused(in_folder("m"), "found no tensor 'x.nine' in a.safetensors");
    put_index("{\"x.one\": \"c.safetensors\"}");
    refused(in_folder("m"), "found no file c.safetensors beside the index");
    static const char *const outside[] = {
        "../m/a.safetensors", "/etc/passwd", "..", ".", "", ".hidden", "d/e", "a\\u0007"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        char map[200];
        snprintf(map, sizeof map, "{\"x.one\": \"%s\"}", outside[i]);
        put_index(map);
        refused(in_folder("m"), "expected the name of a file beside it");
    }
    put_index("{\"x.one\": 3}");
    refused(in_folder("m"), "that is no text");
    put_index("{}");
    refused(in_folder("m"), "no object \"weight_map\"");
    put_file(in_folder("m/model.safetensors.index.json"), "{\"weight_map\": {\"x.one\": \"b.safe", 0600);
    refused(in_folder("m"), "m/model.safetensors.index.json: is no JSON: premature end");
    put_index("{\"x.one\": \"model.safetensors.index.json\"}"); /* an index is no shard */
    refused(in_folder("m"), "index");
    put_file(in_folder("m/a.safetensors"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 77\n", 0600);
    put_index("{\"x.two\": \"a.safetensors\"}");
    refused(in_folder("m"), "m/a.safetensors: found a Git LFS pointer to a file of 77 bytes");
}

static void taken(const char *name)
{
    mv_tensors *t = opened(in_folder("m"));
    assert_string_equal(strrchr(mv_tensors_file(t), '/') + 1, name);
    mv_tensors_close(t);
}

static void folders_have_an_order(void **state)
{
    (void)state;
    mkdir(in_folder("m"), 0700);
    refused(in_folder("m"), "found a folder without model.safetensors");
    copy_file(DATA "trainer.pth", in_folder("m/training_args.bin")); /* what trainers leave is no checkpoint */
    refused(in_folder("m"), "found a folder without model.safetensors");
    copy_file(DATA "trainer.pth", in_folder("m/best.pth.tar"));
    taken("best.pth.tar");
    copy_file(DATA "trainer.pth", in_folder("m/last.pth"));
    refused(in_folder("m"), "found 2 checkpoints in the folder, best.pth.tar, last.pth; expected one");
    copy_file(DATA "trainer.pth", in_folder("m/pytorch_model.bin"));
    taken("pytorch_model.bin");
    copy_file(DATA "views.safetensors", in_folder("m/z.safetensors"));
    taken("z.safetensors");
    copy_file(DATA "views.safetensors", in_folder("m/y\033.safetensors"));
    refused(in_folder("m"), "y\\x1b.safetensors, z.safetensors; expected one");
    copy_file(DATA "views.safetensors", in_folder("m/model.safetensors"));
    taken("model.safetensors");
}

static void damaged_files_are_survived(void **state)
{
    (void)state;
    mv_mapping m;
    assert_int_equal(mv_mapping_open(&m, DATA "views.pth", NULL), MV_OK);
    unsigned char *bytes = malloc(m.size);
    float out[3000];
    assert_non_null(bytes);
    for (size_t at = 0; at < m.size; at += 3)
        for (int bit = 1; bit < 256; bit *= 8) {
            memcpy(bytes, m.bytes, m.size);
            bytes[at] ^= (unsigned char)bit;
            mv_error e = {0};
            mv_tensors *t = mv_tensors_of(bytes, m.size, "x", &e);
            if (!t && !*e.text)
                fail_msg("byte %zu: refused without a reason", at);
            for (int i = 0; t && i < mv_tensors_count(t); i++) {
                mv_tensor shape;
                const char *name = mv_tensors_name_at(t, i);
                if (mv_tensors_lookup(t, name, &shape) && mv_tensor_count(shape) <= 3000 && shape.type <= MV_F64)
                    mv_tensors_read(t, name, out, NULL);
            }
            mv_tensors_close(t);
        }
    for (size_t n = 0; n < m.size; n += 7) { /* cut short */
        mv_tensors *t = mv_tensors_of(m.bytes, n, "x", NULL);
        assert_null(t);
    }
    free(bytes);
    mv_mapping_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_what_numpy_shows),
        cmocka_unit_test(nests_give_names),
        cmocka_unit_test(company_is_passed_over),
        cmocka_unit_test(lies_are_refused_by_name),
        cmocka_unit_test(damaged_files_are_survived),
        cmocka_unit_test_setup_teardown(shards_are_one_checkpoint, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(indices_may_be_pythons, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(broken_shards_are_named, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(folders_have_an_order, scratch_enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
