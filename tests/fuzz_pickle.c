/* libFuzzer: whatever the pickle of a checkpoint says, reading it is safe, and so is reading every tensor that it
 * describes. The archive around it is sound, with a dozen storages.
 *
 * Covers: src/file/pickle.c src/file/pickle_machine.c src/file/pickle_globals.c src/file/pth.c src/file/pth_collect.c
 *         src/file/zip_layout.c
 */
#include "src/file/pickle.h"
#include "src/file/pth.h"
#include "src/file/zip_layout.h"
#include "tests/fuzz.h"

enum { STORAGES = 12, STORAGE = 240, MOST = 1 << 16 };

/* a/data.pkl, then a/data/0, ... */
static size_t archive(unsigned char *out, const uint8_t *bytes, size_t size)
{
    char name[STORAGES + 1][16] = {"a/data.pkl"};
    mv_npz_entry t[STORAGES + 1];
    size_t at = 0;
    for (int i = 0; i <= STORAGES; i++) {
        if (i)
            snprintf(name[i], sizeof name[i], "a/data/%d", i - 1);
        t[i] = (mv_npz_entry){.name = name[i], .offset = at, .size = i ? STORAGE : size};
        at += mv_npz_local(out + at, &t[i]);
        if (i)
            memset(out + at, i, STORAGE);
        else
            memcpy(out + at, bytes, size);
        at += t[i].size;
    }
    size_t directory = at;
    for (int i = 0; i <= STORAGES; i++)
        at += mv_npz_central(out + at, &t[i]);
    mv_npz_end(out + at, STORAGES + 1, directory, at - directory);
    return at + MV_NPZ_END;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static float values[MOST];
    mv_error e = {0};
    mv_pickle *p = mv_pickle_of(bytes, size, "fuzz", &e);
    fuzz_expect(p || fuzz_refused(e.code, &e));
    mv_pickle_close(p);
    if (!p)
        return 0;
    unsigned char *whole = malloc(size + (STORAGES + 1) * (STORAGE + 2 * MV_NPZ_RECORD) + MV_NPZ_END);
    if (!whole)
        return 0;
    mv_pth *pth = mv_pth_of(whole, archive(whole, bytes, size), false, "fuzz", &e);
    fuzz_expect(pth || fuzz_refused(e.code, &e));
    for (int i = 0; pth && i < mv_pth_count(pth); i++) {
        mv_tensor t;
        if (mv_pth_index(pth, mv_pth_name_at(pth, i)) != i)
            abort();
        if (!mv_pth_shape(pth, i, &t, NULL) && t.type <= MV_F64 && mv_tensor_count(t) <= MOST)
            fuzz_refused(mv_pth_read(pth, i, values, &e), &e);
    }
    mv_pth_close(pth);
    free(whole);
    return 0;
}
