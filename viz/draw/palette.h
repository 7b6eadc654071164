/* 255 colours for pictures that may have no more, by median cut (Heckbert 1982, "Color image quantization for frame
 * buffer display").
 *
 * Colours are counted in cells of 32 levels a channel; a palette entry is the mean of the colours of its box. A colour
 * that fills a box alone, such as the paper of a page, is therefore kept exactly.
 */
#ifndef MV_PALETTE_H
#define MV_PALETTE_H

#include "src/base/status.h"
#include "viz/draw/colour.h"
#include "viz/draw/pixels.h"

enum { MV_PALETTE_COLOURS = 255 }; /* one number of a byte is left for what is transparent */

typedef struct mv_palette mv_palette;

mv_palette *mv_palette_new(mv_error *e); /* NULL without memory */
void mv_palette_free(mv_palette *p);     /* NULL is fine */

/* Counts the colours of a picture. Before mv_palette_choose. */
void mv_palette_count(mv_palette *p, const mv_pixels *pixels, uint8_t *row); /* row: room for 3 * pixels->w bytes */

/* Chooses the colours, once. Entries that are not needed are black. */
void mv_palette_choose(mv_palette *p);

mv_rgb mv_palette_at(const mv_palette *p, int i);

/* The entry that is nearest to a colour. */
uint8_t mv_palette_nearest(mv_palette *p, const uint8_t rgb[3]);

#endif
