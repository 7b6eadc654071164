/* The options that commands share, and the parsing of all options from their tables (base/param.h). popt is the parser.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/param.h"
#include "src/base/tensor.h"

/* What a command takes: each bit adds its options. */
enum {
    TAKES_MODEL = 1,      /* --model */
    TAKES_WEIGHTS = 2,    /* and --device, --threads: the network is run */
    TAKES_PRECISION = 4,  /* --precision */
    TAKES_SIZE = 8,       /* --size */
    TAKES_CROP = 16,      /* --crop-pct, --crop-mode, --interpolation */
    TAKES_PICTURES = 32,  /* operands are pictures: --no-exif, --max-pixels, --max-memory, --batch, --resume, --shard */
    TAKES_PAGES = 64,     /* writes a page for each picture: --output, --format and the looks of pages */
    TAKES_VALUES = 128,   /* --output names a store of values */
    TAKES_JSON = 256,     /* --json */
    TAKES_DECODING = 512, /* of those the three about decoding, for a command with a loop of its own */
    TAKES_CLASSES = 1024, /* works with a classification head only; no options */
    TAKES_QUIET = 2048,   /* --quiet: part of TAKES_PICTURES and TAKES_DECODING */
    TAKES_OVERLAY = 4096, /* --overlay and its looks */
    TAKES_SHEETS = 8192,  /* --sheet */
    TAKES_PAGE_FILE = 16384, /* as TAKES_PAGES for a command that writes a page with --output alone */
    TAKES_MAPS = 32768,      /* there are maps on its pages: --colours, --colour-scale, --grid */
    TAKES_NETWORK = TAKES_MODEL | TAKES_WEIGHTS | TAKES_PRECISION | TAKES_SIZE | TAKES_CROP /* all but pictures */
};

typedef struct {
    const char *model, *weights, *device;
    int precision;      /* an index of options_precisions; -1: the device's own */
    bool exact;         /* without --precision a GPU computes in fp32, too: set by commands, not by an option */
    int threads;        /* 0: one for each core */
    mv_param_size size; /* 0: the model's */
    double crop_pct;    /* 0: the model's */
    int crop_mode;      /* -1: the model's */
    int interpolation;  /* -1: the model's */
    bool no_exif;
    size_t max_pixels, max_memory;
    int batch;
    bool resume;
    mv_param_part shard; /* n 0: everything */
    const char *out;
    int format; /* an index of the words png, svg, pdf; -1: not given: see page_format */
    int theme;  /* -1, or an index of light, dark */
    double zoom;
    int width;
    int use;            /* an index of neurips, cvpr, slide; -1: not given */
    int colours, scale; /* -1, or a word's index */
    const char *overlay;
    double alpha, threshold; /* 0: not given */
    int photo;               /* -1, or an index of grey, colour */
    bool grid;
    int sheet; /* pictures on a page; 0: not given */
    bool json, quiet, verbose, help, version;
} options;

/* Options as they were given, in order, and what popt holds of the command line: the values and operands. */
typedef struct {
    struct poptContext_s *parser;
    struct options_rows *rows; /* its table */
    int n;
    struct {
        const mv_param *param;
        char *value; /* NULL for a flag */
    } * item;
} given;

/* The words of --precision and --device, ended by NULL. */
extern const char *const options_precisions[], *const options_devices[];

struct command;
struct call;
struct operands;

/* Rows that tables of commands share. `at` is the offset of a text, `text` the help. */
#define OPTION_CLASS(word, at, text)                                                                                   \
    {                                                                                                                  \
        .name = word, .kind = MV_PARAM_TEXT, .offset = at, .argument = "CLASS", .completes = MV_COMPLETE_CLASS,        \
        .help = text                                                                                                   \
    }

/* at: of mv_param_texts */
#define OPTION_CLASSES(at)                                                                                             \
    {                                                                                                                  \
        .name = "class", .kind = MV_PARAM_TEXTS, .offset = at, .argument = "CLASS", .completes = MV_COMPLETE_CLASS,    \
        .help = "what to explain, repeatable: a number, wnid or name, second, or top, the default"                     \
    }

#define OPTION_AT(at, text)                                                                                            \
    {                                                                                                                  \
        .name = "at", .kind = MV_PARAM_TEXT, .offset = at, .argument = "SITE", .completes = MV_COMPLETE_SITE,          \
        .help = text                                                                                                   \
    }

#define OPTION_RAW(at, text)                                                                                           \
    {                                                                                                                  \
        .name = "raw", .kind = MV_PARAM_TEXT, .offset = at, .argument = "FILE|FOLDER/", .completes = MV_COMPLETE_FILE, \
        .help = text                                                                                                   \
    }

/* at: of an int */
#define OPTION_TOP(at, text)                                                                                           \
    {                                                                                                                  \
        .name = "top", .letter = 'k', .kind = MV_PARAM_INTEGER, .offset = at, .least = 1, .most = 1000000,             \
        .otherwise = "5", .argument = "N", .help = text                                                                \
    }

/* at: of an int */
#define OPTION_THREADS(at)                                                                                             \
    {                                                                                                                  \
        .name = "threads", .letter = 'j', .kind = MV_PARAM_INTEGER, .offset = at, .least = 1, .most = 1024,            \
        .argument = "THREADS", .help = "CPU threads, one per core by default"                                          \
    }

/* argue: its argument, for one device or several */
#define OPTION_DEVICE(at, argue)                                                                                       \
    {                                                                                                                  \
        .name = "device", .letter = 'd', .kind = MV_PARAM_TEXT, .offset = at, .otherwise = "auto",                     \
        .words = options_devices, .argument = argue,                                                                   \
        .help = "where to compute: auto, cpu[:plain|avx2|avx512|avx512bf16] or cuda[:N]"                               \
    }

/* Calls back for every option of a command, shared ones included, in the order of help. `group` is its heading: equal
 * pointers mean the same group. */
typedef void option_visitor(void *context, const char *group, const mv_param *p);
void options_visit(const struct command *c, option_visitor *visit, void *context);

/* Parses a command's options into c->o and c->own, and sets its operands. --help and --version end the program; a
 * mistake ends it with status 2 and names the nearest option. */
void options_parse(struct call *c, int argc, const char **argv);

/* Frees the values and operands of the options. */
void options_free(struct call *c);

/* The model where -m is not given, by the environment's MVSCOPE_MODEL; NULL: the embedded one. */
const char *options_default_model(void);

/* True if the option of that name was given. */
bool options_given(const struct call *c, const char *name);

/* Ends the program with status 2 if an option that only changes pages was given; `why` completes "has no effect ". */
void options_refuse_page(const struct call *c, const char *why);

/* Ends the program with status 2 if an option that prepares pictures was given and all of `o` are ready inputs. */
void options_refuse_preparing(const struct call *c, const struct operands *o);

/* The command line that makes this page again, as text for the shell: the options that change what is drawn, in order,
 * and the base names of `source` and of the others, a list ended by NULL, unless NULL. The caller's to free; NULL
 * without memory. */
char *options_recipe(const struct call *c, const char *source, const char *const *others);

/* Threads that --threads allows; one for each core that this process may use if it was not given. */
int threads_of(const options *o);

/* The type that --precision asks for; `otherwise` if it was not given. */
mv_dtype precision_of(const options *o, mv_dtype otherwise);
bool has_fp8(const options *o); /* -p fp8 */

/* "-k, --top" */
const char *option_name(const mv_param *p, char text[64]);

/* The help of one command, and of the program. */
void options_help(const struct command *c);

#endif
