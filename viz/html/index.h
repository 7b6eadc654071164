/* The index of a folder of pages: one file for a browser with a row for each picture, which loads nothing and works
 * from file://. It is read without scripts; with them it is sorted by name, class or probability.
 *
 * A row is one line of the file, so that rows of an index that exists can be taken over as they are.
 */
#ifndef MV_HTML_INDEX_H
#define MV_HTML_INDEX_H

#include "src/base/image.h"
#include "viz/html/html.h"

/* How the row of a page begins, up to its reference; a quote follows that. */
#define MV_INDEX_ROW "<tr data-page=\""

/* In the head of every index. */
#define MV_INDEX_MARK "<meta name=\"generator\" content=\"mvscope index\">"

typedef struct {
    const char *page;      /* the reference of the page, as mv_index_reference makes it */
    const char *name;      /* of the picture */
    const char *class_;    /* NULL: not known */
    double probability;    /* NaN: not known */
    const mv_image *thumb; /* NULL: none */
} mv_index_entry;

/* A path as a relative reference: bytes that are no letter, digit or one of "-._~/" as %XX. The caller's to free; NULL
 * without memory. */
char *mv_index_reference(const char *path);

/* One row, with the end of its line. Errors: MV_ENOMEM, and what the sink returned. */
mv_status mv_index_row(const mv_index_entry *entry, mv_html_sink *sink, void *context, mv_error *e);

/* The whole file: rows in order, each as mv_index_row wrote it. */
mv_status mv_index_write(const char *title, const char *recipe, const char *const *rows, int count, mv_html_sink *sink,
                         void *context, mv_error *e);

#endif
