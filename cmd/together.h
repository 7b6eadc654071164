/* Pictures on one page: what a page of several pictures needs is kept, and drawn when the last one has been explained,
 * or with --sheet when the page is full. A row is a picture, a column a map; pictures of one map each are a grid.
 * Pictures and maps are kept no larger than they are drawn, so the memory is bounded by the pictures of a page.
 */
#ifndef TOGETHER_H
#define TOGETHER_H

#include "cmd/command.h"

enum { TOGETHER_MOST = 64 }; /* pictures */

typedef struct {
    struct together_row *row;
    int n, pages;  /* pages: that were begun */
    char *written; /* names of pages, a line each */
    void *fonts;
} together; /* starts as zeros */

/* MV_EINPUT if a page does not hold that many maps of each of its pictures. */
mv_status together_check(const call *c, int maps, mv_error *e);

/* Keeps the picture and its maps; of the method pca its features, too. If the page of --sheet is full, it is drawn.
 * methods: for the recipe. Call it on the thread that computes. */
mv_status together_add(together *t, call *c, const study *s, const char *methods, mv_error *e);

/* Draws the last page and prints the names of all, unless the run was stopped; then frees what is kept. For
 * command.close; does nothing if pages are not joined. */
mv_status together_close(together *t, call *c, const char *methods, mv_error *e);

#endif
