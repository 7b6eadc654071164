#include "src/device/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/library.h"
#include "src/base/text.h"

mv_status mv_plugin_find(const char *folder, char path[], size_t room, mv_error *e)
{
    static const char *const places[] = {"", "../lib/mvscope/"};
    for (int i = 0; i < 2; i++)
        if ((size_t)snprintf(path, room, "%s/%s%s", folder, places[i], MV_PLUGIN_CUDA) < room && !access(path, F_OK))
            return MV_OK;
    return mv_fail(e, MV_EINPUT, "the GPU plug-in %s is not installed; `make cuda` builds it", MV_PLUGIN_CUDA);
}

mv_status mv_plugin_driver(mv_error *e)
{
    /* The CUDA runtime opens the driver by this name, too, and then finds it open. */
    static const char *const names[] = {"libcuda.so.1", NULL};
    mv_error why = {0};
    if (mv_library_load(names, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE, &why))
        return MV_OK;
    if (why.code == MV_EINPUT)
        return mv_fail(e, MV_EINPUT, "no NVIDIA driver is installed: install it, or use -d cpu");
    return mv_fail(e, MV_EDEVICE, "the NVIDIA driver: %s; -d cpu does without it", why.text);
}

static mv_status trust_one(const char *path, mv_error *e)
{
    struct stat st, program;
    if (stat(path, &st))
        return mv_fail(e, MV_EDEVICE, "the GPU plug-in is not loaded: %s cannot be examined: %s", path,
                       strerror(errno));
    bool ours = st.st_uid == 0 || st.st_uid == geteuid() ||
                (stat("/proc/self/exe", &program) == 0 && st.st_uid == program.st_uid);
    if (!ours)
        return mv_fail(
            e, MV_EDEVICE,
            "the GPU plug-in is not loaded: %s belongs to user %u, expected root, you or the owner of mvscope", path,
            (unsigned)st.st_uid);
    if (st.st_mode & S_IWOTH)
        return mv_fail(e, MV_EDEVICE,
                       "the GPU plug-in is not loaded: every user may write to %s; chmod o-w removes that right", path);
    return MV_OK;
}

mv_status mv_plugin_trust(const char *path, mv_error *e)
{
    char folder[PATH_MAX], real[PATH_MAX];
    if (!realpath(path, real))
        return mv_fail(e, MV_EDEVICE, "the GPU plug-in is not loaded: %s cannot be followed: %s", path,
                       strerror(errno));
    const char *const names[] = {path, real};
    for (int i = 0; i < 2; i++) {
        const char *slash = strrchr(names[i], '/');
        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - names[i]) + 1 : 1, slash ? names[i] : ".");
        if (trust_one(folder, e))
            return MV_EDEVICE;
    }
    return trust_one(real, e);
}

const mv_plugin *mv_plugin_open(const char *path, mv_error *e)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *words = dlerror(), *why = words ? words : path;
        mv_fail(e, MV_EDEVICE, "the GPU plug-in cannot be loaded: %.*s", mv_text_said(why), why);
        return NULL;
    }
    const mv_plugin *p = dlsym(library, "mv_plugin_cuda");
    if (!p)
        mv_fail(e, MV_EDEVICE, "%s: found no mv_plugin_cuda, expected a plug-in of mvscope", path);
    else if (p->abi != MV_PLUGIN_ABI || p->backend_size != sizeof(mv_backend)) {
        mv_fail(e, MV_EDEVICE,
                "%s: found a GPU plug-in of another version (interface %d of %zu bytes), expected interface %d of %zu "
                "bytes: build it again",
                path, p->abi, p->abi < 3 ? (size_t)0 : p->backend_size, MV_PLUGIN_ABI, sizeof(mv_backend));
        p = NULL;
    }
    if (!p)
        dlclose(library);
    return p;
}

mv_backend *mv_plugin_device(const mv_plugin *p, int i, mv_dtype act, bool fp8, mv_error *e)
{
    mv_backend *b = p->open(i, act, fp8, e);
    if (b && mv_backend_check(b, e)) {
        b->free(b);
        return NULL;
    }
    return b;
}
