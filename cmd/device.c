#include "cmd/device.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/talk.h"
#include "src/device/cpu.h"

/* A missing plug-in or driver is normal, so neither causes a warning. */
typedef enum { AVAILABLE, NOT_INSTALLED, NO_DRIVER, FAULTY } plugin_state;

static plugin_state find_plugin(const mv_plugin **plugin, mv_error *e)
{
    char folder[PATH_MAX], path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder);
    char *slash = n > 0 ? memrchr(folder, '/', (size_t)n) : NULL;
    if (!slash) { /* the working folder is no place to take a program from */
        mv_fail(e, MV_EDEVICE, "the folder of mvscope, where its GPU plug-in lies, cannot be found without /proc");
        return NOT_INSTALLED;
    }
    *slash = 0;
    if (mv_plugin_find(folder, path, sizeof path, e))
        return NOT_INSTALLED;
    mv_status driver = mv_plugin_driver(e);
    if (driver == MV_EINPUT)
        return NO_DRIVER;
    if (!driver && !mv_plugin_trust(path, e))
        *plugin = mv_plugin_open(path, e);
    return *plugin ? AVAILABLE : FAULTY;
}

/* The plug-in is looked for once. */
static plugin_state plugin_once(const mv_plugin **out, mv_error *e)
{
    static const mv_plugin *plugin;
    static plugin_state state;
    static mv_error why;
    if (!plugin && !why.code)
        state = find_plugin(&plugin, &why);
    *out = plugin;
    if (!plugin)
        mv_fail(e, why.code, "%s", why.text);
    return state;
}

const mv_plugin *device_plugin(mv_error *e)
{
    const mv_plugin *plugin;
    plugin_once(&plugin, e);
    return plugin;
}

/* The part of -d cpu:ISA after the colon; NULL for the best instruction set. */
static const char *cpu_isa(const options *o)
{
    const char *d = o->device;
    return d && strncmp(d, "cpu:", 4) == 0 ? d + 4 : NULL;
}

mv_backend *device_cpu(const options *o)
{
    mv_error e = {0};
    mv_dtype act = precision_of(o, MV_F32);
    if (act == MV_F16)
        die(EXIT_FAILED, "-p %s: the CPU computes in fp32 or bf16; fp16 and fp8 are for GPUs",
            has_fp8(o) ? "fp8" : "fp16");
    if (act == MV_BF16 && !mv_cpu_has_bf16())
        warn("this processor has no bf16 instructions: products of bf16 values are computed in fp32, which is right "
             "but not "
             "faster than -p fp32");
    mv_backend *b = mv_cpu_new(act, o->threads, cpu_isa(o), &e);
    if (!b && cpu_isa(o) && e.code == MV_EINPUT)
        die(misuse_of(&e), "-d %s", e.text);
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
    return mv_plugin_device(p, card, precision_of(o, o->exact ? MV_F32 : MV_F16), has_fp8(o), e);
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
    if (!automatic && strcmp(d, "cpu") && !cpu_isa(o))
        die(EXIT_MISUSE, "-d: found '%s', expected auto, cpu[:plain|avx2|avx512|avx512bf16] or cuda[:N]", d);
    const mv_plugin *plugin;
    if (automatic) {
        plugin_state state = plugin_once(&plugin, &e);
        mv_backend *b = plugin ? gpu_of(o, 0, &e) : NULL;
        *gpu = b != NULL;
        if (b)
            return b;
        if (state == NO_DRIVER ? o->verbose : state != NOT_INSTALLED)
            warn("%s; using the CPU instead", e.text);
    }
    return device_cpu(o);
}

const char *device_precision(const mv_backend *b)
{
    return options_precisions[b->fp8 ? 3 : b->act == MV_F32 ? 0 : b->act == MV_BF16 ? 1 : 2];
}
