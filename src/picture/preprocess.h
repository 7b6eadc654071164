/* From a decoded picture to what the network is shown: resize, crop, normalise.
 *
 * The pipeline the published accuracies were measured with (timm's evaluation transform on
 * Pillow), byte for byte: antialiased bicubic, a = -0.5, in Pillow's 8-bit fixed point, width
 * before height, then a crop from the middle. Only the pixels the crop shows are computed, and
 * memory is bounded whatever the picture's proportions.
 */
#ifndef MV_PREPROCESS_H
#define MV_PREPROCESS_H

#include <stdbool.h>

#include "src/base/image.h"
#include "src/base/status.h"

typedef enum {
    MV_CROP_CENTER, /* the shorter side fills the crop, the rest of the longer one is lost */
    MV_CROP_SQUASH, /* both sides are scaled to the crop's, the proportions are lost */
    MV_CROP_BORDER  /* the longer side fits, the rest is filled with the mean colour */
} mv_crop_mode;

enum { MV_PREPROCESS_MAX_SIDE = 16384 };

typedef struct {
    int h, w;        /* the crop in pixels, 1 .. MV_PREPROCESS_MAX_SIDE */
    double crop_pct; /* the share of the resized picture that the crop keeps, 0.01 .. 4; above 1 it is padded */
    mv_crop_mode mode;
    float mean[3], std[3]; /* of R, G, B in 0 .. 1; std above 0 */
} mv_preprocess;

/* The h x w picture the network sees, the caller's to mv_image_free. MV_EINPUT as mv_preprocess_check,
 * MV_EMISUSE for an empty picture, MV_ENOMEM. On failure *out is empty. */
mv_status mv_preprocess_crop(const mv_preprocess *pp, const mv_image *in, mv_image *out, mv_error *e);

/* chw[c][y][x] = (rgb / 255 - mean[c]) / std[c] in fp32, rounded after each step as NumPy does:
 * 3 * crop->h * crop->w values. */
void mv_preprocess_normalise(const mv_preprocess *pp, const mv_image *crop, float *chw);

/* "center", "squash", "border"; false for any other name. */
bool mv_crop_mode_of(const char *name, mv_crop_mode *out);
const char *mv_crop_mode_name(mv_crop_mode mode);

#endif
