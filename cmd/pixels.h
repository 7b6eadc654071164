/* The pictures of a batch on their way to a run: as bytes, which a device copies and normalises itself; or as planes,
 * if there is a ready input among them. Both give the same bits.
 */
#ifndef PIXELS_H
#define PIXELS_H

#include "cmd/inputs.h"
#include "src/picture/preprocess.h"
#include "src/run/run.h"

typedef struct {
    const mv_preprocess *preprocess;
    int room, h, w;
    uint8_t *bytes; /* (room, h, w, 3) */
    float *planes;  /* (room, 3, h, w); made for the first ready input */
    bool ready;     /* the pictures are in `planes` */
    float table[3 * 256];
} pixels;

/* An empty batch with room for so many pictures of no size yet. The pre-processing is borrowed. */
void pixels_new(pixels *p, const mv_preprocess *preprocess, int room);
void pixels_free(pixels *p);

/* Empties the batch and gives it a size. */
mv_status pixels_clear(pixels *p, int h, int w, mv_error *e);
/* Picture `index` of the input becomes number i, after those before it. */
mv_status pixels_put(pixels *p, int i, const input *in, int index, mv_error *e);
/* Writes picture i as planes (3, h, w). */
void pixels_planes(const pixels *p, int i, float *out);
mv_pictures pixels_of(const pixels *p);

#endif
