/* compare: two pictures, models, classes, devices or precisions side by side, and values against those of a dump. */
#include <stdlib.h>
#include <string.h>

#include "cmd/comparison.h"
#include "cmd/page_file.h"
#include "cmd/talk.h"
#include "viz/page/compare.h"

#define AT(member) offsetof(comparison_options, member)

static const mv_param params[] = {
    {.name = "method",
     .kind = MV_PARAM_TEXT,
     .offset = AT(method),
     .otherwise = "cam",
     .argument = "METHOD",
     .help = "method whose maps are compared, with its parameters: rise:n=4000,seed=7 (mvscope methods)"},
    OPTION_CLASS("class", AT(class_),
                 "class to explain: a number, a name, a wnid, top or second; the answer of the first side by default"),
    OPTION_CLASS("with-class", AT(with_class), "class that the second side explains, the same by default"),
    {.name = "with-model",
     .kind = MV_PARAM_TEXT,
     .offset = AT(with_model),
     .argument = "MODEL",
     .completes = MV_COMPLETE_FILE,
     .help = "checkpoint of the second side; the blocks of both are compared too, over all pictures"},
    {.name = "with-weights",
     .kind = MV_PARAM_TEXT,
     .offset = AT(with_weights),
     .argument = "ema|model|NAME",
     .help = "which network of the second side's checkpoint, as --weights; without --with-model of the same one"},
    {.name = "with-device",
     .kind = MV_PARAM_TEXT,
     .offset = AT(with_device),
     .argument = "DEVICE",
     .help = "device of the second side, as --device"},
    {.name = "with-precision",
     .kind = MV_PARAM_WORD,
     .offset = AT(with_precision),
     .words = options_precisions,
     .argument = "PRECISION",
     .help = "number format of the second side"},
    {.name = "site",
     .letter = 's',
     .kind = MV_PARAM_TEXTS,
     .offset = AT(site),
     .argument = "PATTERN",
     .completes = MV_COMPLETE_SITE,
     .help = "compare values instead of maps: pattern of their sites, repeatable"},
    {.name = "dump",
     .kind = MV_PARAM_TEXT,
     .offset = AT(dump),
     .argument = "FILE|FOLDER",
     .completes = MV_COMPLETE_FILE,
     .help = "values of the second side from a dump (.safetensors, .npz, .npy or a folder) that any program wrote"},
    {.name = "tolerance",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(tolerance),
     .least = 0,
     .most = 1e9,
     .argument = "R",
     .help =
         "largest relative L2 of values that counts as equal; if it is given, exit status 1 says that one is larger"},
    OPTION_RAW(AT(raw), "write maps, differences and CKA as numbers: a .safetensors file, or FOLDER/"),
    {0}};

/* ---- words that do not go together */

static void refuse(const call *c, const char *const *names, const char *why)
{
    for (; *names; names++)
        if (options_given(c, *names))
            die(EXIT_MISUSE, "--%s: has no effect %s", *names, why);
}

static void check_method(call *c, comparison_options *o)
{
    mv_error e = {0};
    if (mv_ask_parse(&o->ask, &o->memory, o->method, &e))
        die(e.code == MV_EINPUT ? EXIT_MISUSE : EXIT_FAILED, "--method: %s", e.text);
    c->o.exact = (o->ask.method->takes & MV_TAKES_GRADIENT) != 0;
    if (!(o->ask.method->takes & MV_TAKES_CLASS))
        refuse(c, (const char *const[]){"class", "with-class", NULL}, "on a method whose maps have no class");
}

static void check(call *c)
{
    comparison_options *o = c->own;
    if (c->operands == 0)
        die(EXIT_MISUSE, "compare: found no picture, expected one or two (mvscope compare --help)");
    o->values = o->site.n > 0;
    if (o->with_weights && !o->with_model && !c->o.model)
        die(EXIT_MISUSE,
            "--with-weights: found the embedded model, which holds one network, expected -m or --with-model");
    if (o->with_weights && !o->with_model)
        o->with_model = c->o.model;
    o->other = o->with_model || o->with_device || o->with_precision >= 0 || o->with_class || o->dump;
    if (o->values)
        refuse(c, (const char *const[]){"method", "class", "with-class", "raw", NULL},
               "with --site, which compares values");
    else
        refuse(c, (const char *const[]){"dump", "tolerance", NULL}, "without --site, which says what is compared");
    if (o->dump)
        refuse(c, (const char *const[]){"with-model", "with-weights", "with-device", "with-precision", NULL},
               "with --dump, which is the second side");
    if (!o->values)
        check_method(c, o);
    c->raw = o->raw;
    c->wants_raw = o->raw != NULL;
    c->wants_page = c->shows = c->o.out || (!o->raw && !o->values);
    if (!c->wants_page)
        options_refuse_page(c, o->values ? "with --site alone; -o writes a page too"
                                         : "with --raw alone; -o writes a page too");
    else
        page_check(c, &mv_page_compare);
}

static int run(call *c)
{
    comparison_options *o = c->own;
    int status = comparison_run(c);
    free(o->memory);
    return status;
}

static const char *const examples[] = {"compare photo.jpg photos/golf-ball.jpg",
                                       "compare --class church --with-class parachute photo.jpg",
                                       "compare -q --with-precision bf16 --site 'levels.*.blocks.*' photo.jpg",
                                       "compare --site '**' --dump hook.npz --tolerance 1e-4 input.safetensors", NULL};

static const mv_param picture_operand = {.completes = MV_COMPLETE_FILE};

const command command_compare = {.name = "compare",
                                 .operands = "IMAGE [IMAGE]",
                                 .completes = &picture_operand,
                                 .summary = "Compares two pictures, models, classes, precisions or a port's values",
                                 .params = params,
                                 .size = sizeof(comparison_options),
                                 .takes = TAKES_NETWORK | TAKES_DECODING | TAKES_PAGES | TAKES_MAPS | TAKES_JSON,
                                 .examples = examples,
                                 .check = check,
                                 .run = run};
