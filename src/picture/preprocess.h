/* From a decoded picture to the network's input: resize, crop, normalise.
 *
 * This is the pipeline with which the published accuracies were measured (timm's evaluation transform on Pillow), byte
 * for byte: antialiased bicubic with a = -0.5 in Pillow's 8-bit fixed point, width before height, then a central crop.
 * Bilinear is what timm's create_transform does where its caller names no interpolation.
 * Only the pixels of the crop are computed, and memory is bounded for pictures of any proportions.
 */
#ifndef MV_PREPROCESS_H
#define MV_PREPROCESS_H

#include <stdbool.h>

#include "src/base/image.h"
#include "src/base/status.h"
#include "src/picture/resample.h"

typedef enum {
    MV_CROP_CENTER, /* the shorter side fills the crop, the rest of the longer side is cut off */
    MV_CROP_SQUASH, /* both sides are scaled to the crop's; the proportions change */
    MV_CROP_BORDER  /* the longer side fills the crop, the rest is filled with the mean colour */
} mv_crop_mode;

enum { MV_PREPROCESS_MAX_SIDE = 16384 };

typedef struct {
    int h, w;        /* the crop in pixels, 1 .. MV_PREPROCESS_MAX_SIDE */
    double crop_pct; /* side of the crop by side of the resized picture, 0.01 .. 4; above 1 the picture is padded */
    mv_crop_mode mode;
    mv_resample_filter filter;
    float mean[3], std[3]; /* of R, G, B in 0 .. 1; std above 0 */
} mv_preprocess;

/* Makes the h x w image that the network sees, the caller's to mv_image_free; it is empty on failure. MV_EINPUT for a
 * value outside the ranges above, MV_EMISUSE for an empty image, MV_ENOMEM. */
mv_status mv_preprocess_crop(const mv_preprocess *pp, const mv_image *in, mv_image *out, mv_error *e);

/* The part of an in_w x in_h picture that the network sees: left, top, width and height in the picture's pixels. False
 * where that is the whole picture. */
bool mv_preprocess_area(const mv_preprocess *pp, int in_w, int in_h, double area[4]);

/* The part of an in_w x in_h picture that the network's input covers, as above. It reaches beyond the picture where the
 * input is padding. */
void mv_preprocess_frame(const mv_preprocess *pp, int in_w, int in_h, double frame[4]);

/* table[256 c + v] = (v / 255 - mean[c]) / std[c]: what the normalisation makes of byte v, for 3 channels */
void mv_preprocess_table(const mv_preprocess *pp, float table[3 * 256]);

/* chw[c][y][x] = (rgb / 255 - mean[c]) / std[c] in fp32, rounded after each step as in NumPy:
 * 3 * crop->h * crop->w values. */
void mv_preprocess_normalise(const mv_preprocess *pp, const mv_image *crop, float *chw);

/* "center", "squash", "border"; false for any other name. */
bool mv_crop_mode_of(const char *name, mv_crop_mode *out);
const char *mv_crop_mode_name(mv_crop_mode mode);

/* "bicubic", "bilinear"; false for any other name. */
bool mv_interpolation_of(const char *name, mv_resample_filter *out);
const char *mv_interpolation_name(mv_resample_filter filter);

#endif
