/* Boxes that people have drawn on pictures: COCO's JSON (cocodataset.org, "Data format") and Pascal VOC's XML (the
 * development kit of VOC 2012; ImageNet's localisation uses it, too). The bytes are not trusted: sizes, counts, depth
 * and numbers are bounded, entities in XML are refused.
 */
#ifndef MV_BOXES_H
#define MV_BOXES_H

#include <stddef.h>

#include "src/base/status.h"

enum { MV_BOXES_SIDE = 1000000, MV_BOXES_PER_PICTURE = 10000, MV_BOXES_XML = 16 << 20 /* bytes */ };

typedef struct {
    double x, y, w, h; /* px from the top left corner of the picture; finite, w and h above 0 */
    int category;      /* in mv_boxes.category; -1: none */
} mv_box;

typedef struct {
    char *name; /* of the picture's file, as it is written there; "" in VOC's files without one */
    int w, h;   /* px, 1 to MV_BOXES_SIDE */
    int n, room;
    mv_box *box;
} mv_boxed;

typedef struct {
    int n;
    mv_boxed *picture; /* by name */
    int categories;
    char **category; /* their names */
} mv_boxes;

/* Parse the bytes of a file. `place` begins messages. COCO: pictures, their boxes ("bbox"; polygons are not read) and
 * categories. VOC: one picture with its objects; parts of objects are passed over. The result is the caller's to
 * mv_boxes_free, and empty on failure. */
mv_status mv_boxes_coco(mv_boxes *out, const void *bytes, size_t size, const char *place, mv_error *e);
mv_status mv_boxes_voc(mv_boxes *out, const void *bytes, size_t size, const char *place, mv_error *e);
void mv_boxes_free(mv_boxes *b);

/* The picture of that name; NULL for none. */
const mv_boxed *mv_boxes_lookup(const mv_boxes *b, const char *name);

#endif
