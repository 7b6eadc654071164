#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/device.h"
#include "cmd/options.h"
#include "src/device/cpu.h"

static const struct poptOption options[] = {OPTIONS_INCLUDE(options_talk, "General"), POPT_TABLEEND};

static json_t *cpu_json(const mv_backend *b)
{
    return json_pack("{s:s,s:b,s:s,s:s,s:b}", "device", "cpu", "available", 1, "about", b->about, "loops", mv_cpu_isa(),
                     "bf16", mv_cpu_has_bf16());
}

/* Every card, or the reason why there is none, in text and into a list (either may be left out). */
static void cards(json_t *list)
{
    mv_error e = {0};
    int n = 0;
    const mv_plugin *p = device_plugin(&e);
    if (!p || p->count(&n, &e)) {
        if (list)
            json_array_append_new(list, json_pack("{s:s,s:b,s:s}", "device", "cuda", "available", 0, "why", e.text));
        else
            printf("cuda    not available: %s\n", e.text);
    }
    for (int i = 0; i < n; i++) {
        char name[24], about[160] = "";
        mv_error failed = {0};
        bool works = !p->describe(i, about, &failed);
        snprintf(name, sizeof name, "cuda:%d", i);
        if (list)
            json_array_append_new(list, json_pack("{s:s,s:b,s:s}", "device", name, "available", works,
                                                  works ? "about" : "why", works ? about : failed.text));
        else if (works)
            printf("%s  %s\n        fp16, bf16, fp32\n", name, about);
        else
            printf("%s  not available: %s\n", name, failed.text);
    }
}

static int run(int n, const char **words)
{
    if (n)
        die(EXIT_MISUSE, "devices: found '%s', expected no operand (mvscope devices --help)", words[0]);
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(MV_F32, 0, &e);
    if (!b)
        die_of(&e);
    if (shared.json) {
        json_t *all = json_array();
        json_array_append_new(all, cpu_json(b));
        cards(all);
        char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
        if (!text)
            die(EXIT_FAILED, "out of memory");
        puts(text);
        free(text);
        json_decref(all);
    } else {
        printf("cpu     %s\n        %s\n", b->about,
               mv_cpu_has_bf16() ? "fp32, bf16"
                                 : "fp32; bf16 widened to fp32, as the processor has no bf16 instructions");
        cards(NULL);
    }
    b->free(b);
    return EXIT_DONE;
}

static const char *const examples[] = {"devices", NULL};

const command cmd_devices = {"devices", "",       "Lists what can compute here, and why something cannot",
                             options,   examples, run};
