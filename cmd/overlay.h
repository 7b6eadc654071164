/* Overlays as files (--overlay): a map over the whole photo, at the photo's own size, and nothing else.
 *
 *     overlay_check(c, &mv_page_classify);    in check, after wants_page is known
 *     overlay_write(c, t, &e);                in picture, before the page: a page that exists says that overlays do
 *
 * A folder gets NAME-METHOD-PART.png for each map: PART is the class, the level, block and head, or both, without '-',
 * so that no two pictures can write one file.
 */
#ifndef OVERLAY_H
#define OVERLAY_H

#include "cmd/page_file.h"

/* Sets wants_overlay, wants_photo and shows. Ends the program with status 2 for a look that has no effect: on an
 * overlay of maps of this kind of page, or without one. */
void overlay_check(call *c, const mv_page_kind *kind);

/* Writes the overlays of a picture; prints their names unless results are JSON or a page goes to standard output. */
mv_status overlay_write(const call *c, const shot *t, mv_error *e);

#endif
