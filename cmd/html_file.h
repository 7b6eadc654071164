/* The page for browsers (viz/html) as a file: what is kept of a picture while it passes the network, and the writing.
 *
 *     open     html_file_new     its probes join call.probes
 *     study    html_facts_of     one picture's rows and evidence, for shot.own
 *     picture  html_file_write
 *     close    html_file_free
 */
#ifndef HTML_FILE_H
#define HTML_FILE_H

#include "cmd/command.h"
#include "cmd/page_file.h"

typedef struct html_file html_file;
typedef struct html_facts html_facts;

/* Keeps what the pages of this call need: it puts its probes before those of c->probes. NULL on failure. */
html_file *html_file_new(call *c, mv_error *e);
void html_file_free(html_file *f); /* NULL is fine; when no picture runs any more */

enum { HTML_MAPS = 3 };

/* What is on the page of the picture that is studied; the caller's to html_facts_free. asks: the maps that it shows
 * beside the exact CAM, the first map of each; -1: none. */
mv_status html_facts_of(html_facts **out, const html_file *f, const study *s, const int asks[HTML_MAPS], mv_error *e);
void html_facts_free(html_facts *facts); /* NULL is fine */

/* Writes the page to t->page, whole or not at all. */
mv_status html_file_write(const call *c, const shot *t, const html_facts *facts, const page_words *words, mv_error *e);

#endif
