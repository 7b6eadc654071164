/* Any text as a name in the hub, as the card of a model and as the names of a repository's files: no name leaves the
 * cache, and what is read of a card is safe to print.
 *
 * Covers: src/file/hub_cache.c src/file/hub_files.c
 */
#include "src/base/text.h"
#include "src/file/hub_impl.h"
#include "tests/fuzz.h"

static void check_path(const mv_hub_name *name)
{
    char *path = mv_hub_path("/cache", name, "snapshots/%s", "0123456789abcdef0123456789abcdef01234567");
    fuzz_expect(path && strncmp(path, "/cache/models--", 15) == 0 && !strstr(path, "/../"));
    free(path);
}

static void names_of(const char *text)
{
    mv_hub_name name;
    mv_error e = {0}, f = {0};
    if (!fuzz_refused(mv_hub_name_parse(&name, text, &e), &e))
        check_path(&name);
    snprintf(name.id, sizeof name.id, "a/b");
    if (!fuzz_refused(mv_hub_revision_set(&name, text, "--revision", &f), &f))
        check_path(&name);
    if (mv_hub_is_file_name(text))
        fuzz_expect(*text && *text != '.' && !strchr(text, '/') && mv_text_is_clean(text));
    if (mv_hub_is_commit(text))
        fuzz_expect(strlen(text) < MV_HUB_COMMIT && !strpbrk(text, "./"));
    if (mv_hub_is_etag(text))
        fuzz_expect(strlen(text) < MV_HUB_ETAG && !strchr(text, '/'));
}

static void choose(char *text)
{
    enum { FILES = 16 };
    const char *file[FILES];
    int n = 0, plain[MV_HUB_PLAIN], weights;
    for (char *at = strtok(text, "\n"); at && n < FILES; at = strtok(NULL, "\n"))
        file[n++] = at;
    mv_hub_choose(file, n, plain, &weights);
    fuzz_expect(weights >= -1 && weights < n && (weights < 0 || mv_hub_is_file_name(file[weights])));
    for (int i = 0; i < MV_HUB_PLAIN; i++)
        fuzz_expect(plain[i] >= -1 && plain[i] < n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char licence[256], path[PATH_MAX];
    if (size > 4096)
        return 0;
    char *text = fuzz_text(data, size);
    names_of(text);
    fuzz_file("README.md", data, size);
    mv_hub_read_licence(fuzz_path(path, "README.md"), licence, sizeof licence);
    fuzz_expect(strlen(licence) < sizeof licence && mv_text_is_safe(licence));
    choose(text);
    free(text);
    return 0;
}
