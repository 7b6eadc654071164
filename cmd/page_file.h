/* Pages as files: how they look, what their foot and their text chunks say, and that they appear whole or not at all.
 */
#ifndef PAGE_FILE_H
#define PAGE_FILE_H

#include "cmd/command.h"
#include "viz/page/film.h"

/* What made a page's content, in the words of its recipe. */
typedef struct {
    const char *name, *hash; /* of the model */
    const char *model, *pipeline, *device;
} page_source;

/* What a page says around its content. */
typedef struct {
    const char *title, *subtitle;
    const char *method;        /* "attention rows": for the recipe */
    const char *beside;        /* what else computed: "beside T2 1a2b3c, bf16 cpu"; NULL: nothing */
    const char *const *others; /* further operands, after shot.path in the recipe, ended by NULL; NULL: none */
    const page_source *source; /* NULL: the session */
} page_words;

/* The line under the title: the words' own, and that the model is the demo model where it is. The caller's to free;
 * NULL without memory. */
char *page_subtitle(const call *c, const char *subtitle);

/* Which of png, svg and pdf a page without a name of its own is: the index of page_endings. */
int page_format(const options *o);

/* Ends the program with status 2 for a look that has no effect: a colour table on this kind of page, a zoom on .svg or
 * .pdf, a width beside --for. Call it from command.check. */
void page_check(const call *c, const mv_page_kind *kind);

/* The same for where the page goes: standard output beside --json, --format beside a file's own name. */
void page_check_name(const call *c, bool to_stdout, bool folder);

/* Draws one page and writes it to t->page, with the recipe: the command line, the model, the method, the
 * pre-processing, precision and device, and the version. */
mv_status page_write(const call *c, const shot *t, const mv_page_kind *kind, const page_words *words,
                     const void *content, mv_error *e);

/* The same for films: --animate. */
void film_check(const call *c);

/* Draws a film and writes it to t->film; the recipe is in its texts. */
mv_status film_write(const call *c, const shot *t, const page_words *words, const mv_film_content *content,
                     mv_error *e);

/* True if the page goes to standard output, which then carries nothing else. */
bool page_is_stdout(const call *c);

#endif
