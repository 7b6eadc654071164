/* What the tests of pages share: a picture and maps to draw, a file in memory, pictures against tests/ref/, and the
 * layout of a page read back from its SVG. */
#ifndef DRAWING_H
#define DRAWING_H

#include <stddef.h>

#include "src/base/image.h"
#include "src/base/map.h"

/* cmocka's set-up and tear-down of a group: the fonts are its state. */
int drawing_open_fonts(void **state);
int drawing_close_fonts(void **state);

/* 0 to 1, the same order in every run. */
double drawing_uniform(void);

/* A disc before a sky that fades: something to recognise in a reference. free() its rgb. */
mv_image drawing_scene(int w, int h);

/* Signed evidence in logits per cell, and multiples of an even spread. mv_map_free. */
mv_map drawing_signed_map(int h, int w, int seed);
mv_map drawing_even_map(int h, int w, int seed);

/* A file in memory, and the write hook that fills it. bytes end in a zero. */
typedef struct {
    char *bytes;
    size_t size, room;
    int left; /* writes until failure; -1: never */
} drawing_buffer;

mv_status drawing_keep(void *buffer, const void *bytes, size_t n);

/* The pixels of a PNG, RGB row by row. The caller's to free(). */
uint8_t *drawing_read(const drawing_buffer *b, int *w, int *h);

/* Fails unless the PNG looks like tests/ref/NAME.png. A page that differs leaves build/pictures/NAME-out.png and
 * NAME-diff.png. MV_UPDATE_REF=1 takes the present page as the reference: look at it before you commit it. */
void drawing_compare(const char *name, const drawing_buffer *b);

typedef struct {
    double x, y, w, h;
} drawing_box;

enum { DRAWING_BOXES = 8000 };

typedef struct {
    double w, h;   /* px */
    double points; /* width of the page in points; 0: in px */
    drawing_box text[DRAWING_BOXES], image[DRAWING_BOXES];
    int texts, images;
} drawing_layout;

/* Reads the boxes of all texts and pictures from an SVG, and fails where one overlaps another or leaves the margins. */
void drawing_check_layout(drawing_layout *l, const drawing_buffer *b);
void drawing_check_texts(drawing_layout *l, const drawing_buffer *b); /* of a page that need not have a picture */

#endif
