/* What somebody marked on the pictures of eval: boxes in a COCO file, or for each picture a VOC file or a mask, in a
 * folder that has the names of the pictures: val/1.xml or 1.xml, val/1.png or 1.png for DIR/val/1.jpg.
 *
 * Boxes of another class are passed over; where no category of a file is a class of the model, all its boxes count.
 * Regions go through the pre-processing of the pictures, so crops and proportions are theirs.
 */
#ifndef REGIONS_H
#define REGIONS_H

#include "cmd/command.h"

typedef struct regions regions;

/* Opens a file or folder. NULL on failure. */
regions *regions_open(const session *s, const char *path, size_t max_pixels, size_t max_memory, mv_error *e);
void regions_free(regions *r); /* NULL is fine */

/* The pixels of the network's input that lie inside, h * w of them, the caller's to free; *inside NULL where nothing of
 * this class is marked on the picture. below: the path below the folder of pictures. */
mv_status regions_of(const regions *r, const session *s, const char *below, int class_, int h, int w, bool **inside,
                     mv_error *e);

#endif
