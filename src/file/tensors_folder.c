#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/text.h"
#include "src/file/system_impl.h"
#include "src/file/tensors_impl.h"

enum { NAMED = 4 }; /* files that a message lists */

typedef struct {
    int n;
    char name[NAMED][NAME_MAX + 1]; /* the first by name */
} found;

static const char *const torch_endings[] = {".pth", ".pth.tar", ".pt", ".bin", ".ckpt"};

/* What trainers leave beside the weights. */
static bool is_by_product(const char *name)
{
    static const char *const begin[] = {"training_args", "optimizer", "scheduler",
                                        "rng_state",     "scaler",    "random_states"};
    for (size_t i = 0; i < sizeof begin / sizeof *begin; i++)
        if (strncmp(name, begin[i], strlen(begin[i])) == 0)
            return true;
    return false;
}

static bool is_torch(const char *name)
{
    for (size_t i = 0; i < sizeof torch_endings / sizeof *torch_endings; i++)
        if (mv_text_ends_in(name, torch_endings[i]))
            return !is_by_product(name);
    return false;
}

static bool is_safetensors(const char *name)
{
    return mv_text_ends_in(name, ".safetensors");
}

static bool is_index(const char *name)
{
    return mv_text_ends_in(name, ".safetensors.index.json") || mv_text_ends_in(name, ".bin.index.json");
}

static void keep(found *f, const char *name)
{
    int at = f->n < NAMED ? f->n : NAMED;
    f->n++;
    while (at > 0 && strcmp(name, f->name[at - 1]) < 0) {
        if (at < NAMED)
            memcpy(f->name[at], f->name[at - 1], sizeof f->name[at]);
        at--;
    }
    if (at < NAMED)
        snprintf(f->name[at], sizeof f->name[at], "%s", name);
}

static mv_status scan(found *out, const char *folder, bool (*wanted)(const char *name), mv_error *e)
{
    DIR *d = opendir(folder);
    *out = (found){0};
    if (!d)
        return mv_fail_errno(e, folder, "cannot be read");
    for (struct dirent *at; (at = mv_system_entry(d));)
        if (at->d_name[0] != '.' && wanted(at->d_name))
            keep(out, at->d_name);
    mv_status s = errno ? mv_fail_errno(e, folder, "cannot be read") : MV_OK;
    closedir(d);
    return s;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static mv_status join(char out[PATH_MAX], const char *folder, const char *name, mv_error *e)
{
    size_t n = strlen(folder);
    int m = snprintf(out, PATH_MAX, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
    return m > 0 && m < PATH_MAX ? MV_OK
                                 : mv_fail(e, MV_EINPUT, "%.60s...: found a path of %d letters, expected at most %d",
                                           folder, m, PATH_MAX - 1);
}

static mv_status refuse_several(const found *f, const char *folder, mv_error *e)
{
    char list[256] = "";
    for (int i = 0; i < f->n && i < NAMED; i++) {
        char *safe = mv_text_escape(f->name[i]);
        if (!safe)
            return mv_fail_memory(e, folder);
        size_t n = strlen(list);
        mv_text_print(list + n, sizeof list - n, "%s%.60s", i ? ", " : "", safe);
        free(safe);
    }
    return mv_fail(e, MV_EINPUT,
                   "%s: found %d checkpoints in the folder, %s%s; expected one, or -m with the file's name", folder,
                   f->n, list, f->n > NAMED ? ", ..." : "");
}

/* The only file of a kind, if there is any. */
static mv_status take_only(char out[PATH_MAX], bool *taken, const char *folder, bool (*wanted)(const char *name),
                           mv_error *e)
{
    found f, index;
    mv_status s = scan(&f, folder, wanted, e);
    if (s || f.n == 0)
        return s;
    *taken = true;
    if (f.n > 1) { /* shards, whose index has another name */
        s = scan(&index, folder, is_index, e);
        if (s || index.n == 1)
            return s ? s : join(out, folder, index.name[0], e);
        return refuse_several(&f, folder, e);
    }
    return join(out, folder, f.name[0], e);
}

static mv_status take_named(char out[PATH_MAX], bool *taken, const char *folder, const char *name, mv_error *e)
{
    mv_status s = join(out, folder, name, e);
    *taken = !s && is_file(out);
    return s;
}

mv_status mv_tensors_in_folder(char out[PATH_MAX], const char *folder, mv_error *e)
{
    bool taken = false;
    mv_status s = take_named(out, &taken, folder, "model.safetensors", e);
    if (!s && !taken)
        s = take_named(out, &taken, folder, "model.safetensors.index.json", e);
    if (!s && !taken)
        s = take_only(out, &taken, folder, is_safetensors, e);
    if (!s && !taken)
        s = take_named(out, &taken, folder, "pytorch_model.bin", e);
    if (!s && !taken)
        s = take_named(out, &taken, folder, "pytorch_model.bin.index.json", e);
    if (!s && !taken)
        s = take_only(out, &taken, folder, is_torch, e);
    if (!s && !taken)
        s = mv_fail(e, MV_EINPUT,
                    "%s: found a folder without model.safetensors, expected one as Hugging Face lays it out, or one "
                    "checkpoint of another name",
                    folder);
    return s;
}
