/* Pictures on one page: what a page of several pictures needs is kept, and drawn when the last one has been explained.
 * A row is a picture, a column a map. Pictures and maps are kept no larger than they are drawn, so the memory is
 * bounded by the number of pictures.
 */
#ifndef TOGETHER_H
#define TOGETHER_H

#include "cmd/command.h"

enum { TOGETHER_MOST = 64 }; /* pictures */

typedef struct {
    struct together_row *row;
    int n;
    void *fonts;
} together; /* starts as zeros */

/* MV_EINPUT if a page does not hold so many pictures with so many maps each. */
mv_status together_check(int pictures, int maps, mv_error *e);

/* Keeps the picture and its maps; of the method pca its features, too. Call it on the thread that computes. */
mv_status together_add(together *t, const call *c, const study *s, mv_error *e);

/* Draws the page that -o names, and prints its name. Nothing, if no picture came. methods: for the recipe. */
mv_status together_write(together *t, call *c, const char *methods, mv_error *e);

void together_free(together *t);

#endif
