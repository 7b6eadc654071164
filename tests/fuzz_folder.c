/* Any bytes as the manifest of a folder, beside files that a dump writes and files that it does not: a store replaces
 * the folder or leaves all of it as it is, and what no dump wrote is never removed.
 *
 * Covers: src/file/folder.c src/file/temporary.c
 */
#include "src/file/folder.h"
#include "tests/fuzz.h"

static const char *const beside[] = {"head.npy", "notes.txt", "levels.2.npy", ".hidden"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { FILES = sizeof beside / sizeof *beside };
    char path[PATH_MAX], name[PATH_MAX];
    mv_error e = {0};
    if (size == 0)
        return 0;
    fuzz_empty(fuzz_folder());
    fuzz_expect(mkdir(fuzz_path(path, "dump"), 0700) == 0);
    fuzz_file("dump/manifest.json", data + 1, size - 1);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "dump/%s", beside[i]);
        if (data[0] >> i & 1)
            fuzz_file(name, "\x93NUMPY", 6);
    }
    mv_folder *f = mv_folder_open(path, &e);
    fuzz_expect(f || fuzz_refused(e.code, &e));
    if (f && data[0] & 128)
        mv_folder_discard(f);
    else if (f) {
        fuzz_expect(mv_folder_write(f, MV_FOLDER_MANIFEST, "{}", 2, 0, &e) == MV_OK);
        fuzz_refused(mv_folder_commit(f, &e), &e);
    }
    fuzz_expect(fuzz_count(fuzz_folder()) == 1);
    bool replaced = f && !(data[0] & 128) && !e.code;
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%s/%s", path, beside[i]);
        if (data[0] >> i & 1)
            fuzz_expect((access(name, F_OK) == 0) == !replaced && (i % 2 == 0 || !replaced));
    }
    return 0;
}
