/* devices: what can compute here, and why something cannot. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/device.h"
#include "cmd/reply.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/device/cpu.h"

static json_t *cpu_json(const mv_backend *b)
{
    return json_pack("{s:s,s:b,s:s,s:s,s:b}", "device", "cpu", "available", 1, "about", b->about, "loops", mv_cpu_isa(),
                     "bf16", mv_cpu_has_bf16());
}

/* Every card, or the reason why there is none: as text, or into a list. False where the list cannot take it. */
static bool list_cards(json_t *list)
{
    mv_error e = {0};
    int n = 0;
    bool good = true;
    const mv_plugin *p = device_plugin(&e);
    if (!p || p->count(&n, &e)) {
        char *why = must(mv_text_escape_once(e.text)); /* a path, and what the loader of libraries says */
        if (list)
            good = reply_append(list, json_pack("{s:s,s:b,s:s}", "device", "cuda", "available", 0, "why", why));
        else
            printf("cuda    not available: %s\n", why);
        free(why);
    }
    for (int i = 0; i < n && good; i++) {
        char name[24], about[160] = "";
        mv_error failed = {0};
        bool works = !p->describe(i, about, &failed);
        snprintf(name, sizeof name, "cuda:%d", i);
        if (list)
            good = reply_append(list, json_pack("{s:s,s:b,s:s}", "device", name, "available", works,
                                                works ? "about" : "why", works ? about : failed.text));
        else if (works)
            printf("%s  %s\n        fp16, bf16, fp32%s\n", name, about, p->has_fp8(i) ? ", fp8" : "");
        else
            printf("%s  not available: %s\n", name, failed.text);
    }
    return good;
}

static int run(call *c)
{
    if (c->operands)
        die(EXIT_MISUSE, "devices: found '%s', expected no operand (mvscope devices --help)", c->operand[0]);
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(MV_F32, 0, NULL, &e);
    if (!b)
        die_of(&e, false);
    if (c->o.json) {
        json_t *all = json_array();
        if (!reply_append(all, cpu_json(b)) || !list_cards(all) || reply_print(json_incref(all), stdout, "devices", &e))
            die(EXIT_FAILED, "devices: out of memory, or a name that is not UTF-8");
        json_decref(all);
    } else {
        printf("cpu     %s\n        %s\n", b->about,
               mv_cpu_has_bf16() ? "fp32, bf16"
                                 : "fp32; bf16 widened to fp32, as the processor has no bf16 instructions");
        list_cards(NULL);
    }
    b->free(b);
    return EXIT_DONE;
}

static const char *const examples[] = {"devices", NULL};

const command command_devices = {.name = "devices",
                                 .operands = "",
                                 .summary = "Lists the devices that can compute, and why others cannot",
                                 .takes = TAKES_JSON,
                                 .examples = examples,
                                 .run = run};
