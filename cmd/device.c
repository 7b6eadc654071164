#include "cmd/device.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/session.h"
#include "cmd/talk.h"
#include "src/device/cpu.h"

const mv_plugin *device_plugin(mv_error *e)
{
    static const mv_plugin *plugin;
    static mv_error why;
    char program[PATH_MAX] = "", path[PATH_MAX + 64];
    if (plugin || why.code) {
        if (!plugin)
            mv_fail(e, why.code, "%s", why.text);
        return plugin;
    }
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = n > 0 ? strrchr(program, '/') : NULL;
    if (slash)
        *slash = 0;
    snprintf(path, sizeof path, "%s/%s", slash ? program : ".", MV_PLUGIN_CUDA);
    if (access(path, F_OK))
        snprintf(path, sizeof path, "%s/../lib/mvscope/%s", slash ? program : ".", MV_PLUGIN_CUDA);
    if (access(path, F_OK))
        mv_fail(&why, MV_EDEVICE, "the GPU plug-in %s is not installed; `make cuda` builds it", MV_PLUGIN_CUDA);
    else if (!mv_plugin_driver(&why))
        plugin = mv_plugin_open(path, &why);
    if (!plugin)
        mv_fail(e, why.code, "%s", why.text);
    return plugin;
}

/* Whether there is a file to complain about: without one, this is a program for the CPU. */
static bool plugin_installed(void)
{
    mv_error e = {0};
    return device_plugin(&e) || !strstr(e.text, "is not installed");
}

mv_backend *device_cpu(const options *o)
{
    mv_error e = {0};
    mv_dtype act = precision_of(o, MV_F32);
    if (act == MV_F16)
        die(EXIT_FAILED, "-p fp16: the CPU computes in fp32 or bf16; fp16 is for GPUs");
    if (act == MV_BF16 && !mv_cpu_has_bf16())
        warn("this processor has no bf16 instructions: products are made in fp32 of bf16 values, which is right and no "
             "faster than -p fp32");
    mv_backend *b = mv_cpu_new(act, o->threads, &e);
    if (!b)
        die_of(&e, false);
    return b;
}

static mv_backend *gpu_of(const options *o, int card, mv_error *e)
{
    const mv_plugin *p = device_plugin(e);
    int n = 0;
    if (!p || p->count(&n, e))
        return NULL;
    if (card >= n) {
        mv_fail(e, MV_EDEVICE, "found %d GPU%s, numbered from 0", n, n == 1 ? "" : "s");
        return NULL;
    }
    return p->open(card, precision_of(o, MV_F16), e);
}

/* "cuda" or "cuda:N" */
static bool card_of(const char *d, int *card)
{
    char *end = NULL;
    *card = 0;
    if (strncmp(d, "cuda", 4))
        return false;
    if (!d[4])
        return true;
    if (d[4] != ':' || d[5] < '0' || d[5] > '9')
        return false;
    long n = strtol(d + 5, &end, 10);
    *card = n > 1 << 20 ? 1 << 20 : (int)n;
    return !*end;
}

mv_backend *device_chosen(const options *o, bool *gpu)
{
    const char *d = o->device;
    bool automatic = strcmp(d, "auto") == 0;
    int card;
    mv_error e = {0};
    *gpu = false;
    if (card_of(d, &card)) {
        mv_backend *b = gpu_of(o, card, &e);
        if (!b)
            die(EXIT_FAILED, "-d %s: %s", d, e.text);
        return b;
    }
    if (!automatic && strcmp(d, "cpu"))
        die(EXIT_MISUSE, "-d, --device: found '%s', expected auto, cpu or cuda[:N]", d);
    if (automatic && plugin_installed()) {
        mv_backend *b = gpu_of(o, 0, &e);
        *gpu = b != NULL;
        if (b)
            return b;
        warn("%s; going on with the CPU", e.text);
    }
    return device_cpu(o);
}
