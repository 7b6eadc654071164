/* Any bytes as the records of eval, to go on with or to join: they are refused, or classes and ranks are the model's.
 *
 * Covers: cmd/records.c cmd/records_read.c
 */
#include "cmd/records.h"
#include "tests/fuzz.h"

static void check(const records *r)
{
    int classes = (int)json_array_size(json_object_get(r->settings, "classes"));
    for (int i = 0; i < r->n; i++) {
        const record *one = &r->record[i];
        fuzz_expect(one->image && one->class_ >= 0 && one->class_ < classes && one->answer < classes);
        fuzz_expect(one->rank >= 0 && one->rank < classes && one->p >= 0 && one->p <= 1);
        for (int k = 0; k < one->n; k++)
            fuzz_expect(one->score[k].row >= 0 && one->score[k].row < r->rows);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[PATH_MAX];
    mv_error e = {0}, f = {0};
    fuzz_file("records", data, size);
    fuzz_path(path, "records");
    const char *const paths[] = {path};
    records joined = {0}, r = {.settings = json_pack("{s:[s,s]}", "classes", "cat", "dog"), .device = strdup("cpu")};
    fuzz_expect(r.settings && r.device);
    if (!fuzz_refused(records_merge(&joined, 1, paths, &e), &e))
        check(&joined);
    records_free(&joined);
    if (!fuzz_refused(records_open(&r, path, 0, 0, true, &f), &f)) {
        check(&r);
        record one = {.image = strdup("new"), .i = 1};
        fuzz_expect(records_add(&r, &one, &f) == MV_OK && records_close(&r, true, &f) == MV_OK);
    }
    records_free(&r);
    return 0;
}
