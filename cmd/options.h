/* Options as data: the tables that parse also print the help, complete in the shell and are held against the man pages.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <popt.h>
#include <stdbool.h>
#include <stddef.h>

#include "cmd/program.h"
#include "src/base/tensor.h"
#include "src/model/config.h"
#include "src/picture/preprocess.h"
#include "viz/page/page.h"

/* What every command understands. */
typedef struct {
    const char *model, *device, *precision, *out;
    int threads, json, verbose;
} shared_options;

/* How a picture becomes an input. */
typedef struct {
    const char *size, *crop_pct, *crop_mode;
    int no_exif;
    const char *max_pixels;
} picture_options;

/* How a page looks. */
typedef struct {
    const char *theme, *zoom, *width, *colours, *scale;
    int grid;
} page_options;

extern shared_options shared;
extern picture_options picture_choice;
extern page_options page_choice;

/* Tables for POPT_ARG_INCLUDE_TABLE. */
extern struct poptOption options_model[], options_output[], options_talk[], options_picture[], options_page[];
#define OPTIONS_INCLUDE(table, title)                                                                                  \
    {                                                                                                                  \
        NULL, 0, POPT_ARG_INCLUDE_TABLE, table, 0, title, NULL                                                         \
    }

/* Parses a command's options; the operands are returned, ended by NULL, *n of them. --help and --version end the
 * program; a mistake does so with status 2, naming the nearest option. */
const char **options_parse(const command *c, int argc, const char **argv, int *n);

/* The options of this call as they were given, without operands and -o: for recipes. */
const char *options_given(void);

/* Calls back for every option of a command, tables followed: long name, short name or 0, argument's name or NULL, what
 * it does. */
typedef void option_visitor(void *context, const char *table, const struct poptOption *o);
void options_visit(const command *c, option_visitor *visit, void *context);

/* ---- values; what does not fit ends the program with status 2 and says what was expected */
int option_integer(const char *option, const char *text, int least, int most);
double option_number(const char *option, const char *text, double least, double most);
/* N or HxW */
void option_size(const char *option, const char *text, int *h, int *w);
mv_dtype option_precision(mv_dtype otherwise); /* of -p, or `otherwise` where it was left out */
mv_page_style option_page_style(void);
/* The nearest of n words to a mistyped one, or NULL when none is near. */
const char *nearest_word(const char *word, int n, const char *const words[]);

#endif
