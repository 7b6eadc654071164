#include "src/device/plugin.h"

#include <dlfcn.h>
#include <unistd.h>

mv_status mv_plugin_driver(mv_error *e)
{
    /* CUDA's runtime opens the driver by this name too, and finds it open. */
    if (dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE))
        return MV_OK;
    return mv_fail(e, MV_EDEVICE, "no NVIDIA driver is installed: install it, or use -d cpu");
}

const mv_plugin *mv_plugin_open(const char *path, mv_error *e)
{
    if (access(path, R_OK)) {
        mv_fail(e, MV_EDEVICE, "%s: the GPU plug-in is not installed; `make cuda` builds it", path);
        return NULL;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *why = dlerror();
        mv_fail(e, MV_EDEVICE, "the GPU plug-in cannot be loaded: %s", why ? why : path);
        return NULL;
    }
    const mv_plugin *p = dlsym(library, "mv_plugin_cuda");
    if (!p)
        mv_fail(e, MV_EDEVICE, "%s: is no plug-in of mvscope", path);
    else if (p->abi != MV_PLUGIN_ABI) {
        mv_fail(e, MV_EDEVICE, "%s: the GPU plug-in is of another version (found %d, expected %d): build it anew", path,
                p->abi, MV_PLUGIN_ABI);
        p = NULL;
    }
    if (!p)
        dlclose(library);
    return p;
}
