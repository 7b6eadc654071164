#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu.h"
#include "options.h"

static const struct poptOption options[] = {OPTIONS_INCLUDE(options_talk, "General"), POPT_TABLEEND};

static const char no_gpu[] = "this version has no GPU device";

static int run(int n, const char **words)
{
    if (n)
        die(EXIT_MISUSE, "devices: found '%s', expected no operand (mvscope devices --help)", words[0]);
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(MV_F32, 0, &e);
    if (!b)
        die_of(&e);
    const char *bf16 =
        mv_cpu_has_bf16() ? "fp32, bf16" : "fp32; bf16 widened to fp32, as the processor has no bf16 instructions";
    if (shared.json) {
        json_t *all = json_pack("[{s:s,s:b,s:s,s:s,s:b},{s:s,s:b,s:s}]", "device", "cpu", "available", 1, "about",
                                b->about, "loops", mv_cpu_isa(), "bf16", mv_cpu_has_bf16(), "device", "cuda",
                                "available", 0, "why", no_gpu);
        char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
        if (!text)
            die(EXIT_FAILED, "out of memory");
        puts(text);
        free(text);
        json_decref(all);
    } else
        printf("cpu    %s\n       %s\ncuda   not available: %s\n", b->about, bf16, no_gpu);
    b->free(b);
    return EXIT_DONE;
}

static const char *const examples[] = {"devices", NULL};

const command cmd_devices = {"devices", "",       "Lists what can compute here, and why something cannot",
                             options,   examples, run};
