/* Any sizes, crops and filters: a grey picture stays grey, with the mean colour outside, and areas are finite.
 *
 * Covers: src/picture/preprocess.c src/picture/resample.c src/base/image.c
 */
#include <math.h>

#include "src/picture/preprocess.h"
#include "tests/fuzz.h"

enum { GREY = 137, MOST_IN = 1 << 14, MOST_OUT = 1 << 12, MOST_ROWS = 1 << 16, SIDE = 300001 };

/* Any side, but rarely a long one, which takes long. */
static int side_of(fuzz_bytes *b, int side)
{
    uint32_t v = fuzz_word(b);
    return (int)((v & 0xfffff) % (unsigned)side >> (v >> 24) % 20);
}

/* Sides whose product is small: either may be long. */
static void size_of(int *w, int *h, fuzz_bytes *b, int most, int side)
{
    *w = side_of(b, side);
    *h = side_of(b, side);
    if ((int64_t)*w * *h > most)
        *(*w > *h ? h : w) = 1 + most / (1 + (*w > *h ? *w : *h)) / 2;
}

static void check(const mv_preprocess *pp, const mv_image *in, const mv_image *out)
{
    static const uint8_t fill[3] = {124, 116, 104};
    double area[4], frame[4];
    fuzz_expect(out->w == pp->w && out->h == pp->h && out->rgb);
    mv_preprocess_frame(pp, in->w, in->h, frame);
    if (mv_preprocess_area(pp, in->w, in->h, area))
        for (int i = 0; i < 4; i++)
            fuzz_expect(isfinite(area[i]) && area[i] >= 0);
    for (int i = 0; i < 4; i++)
        fuzz_expect(isfinite(frame[i]));
    for (size_t i = 0; i < (size_t)out->w * (size_t)out->h; i++) {
        const uint8_t *p = out->rgb + 3 * i;
        bool grey = p[0] == p[1] && p[1] == p[2] && abs(p[0] - GREY) <= 1;
        fuzz_expect(grey || memcmp(p, fill, 3) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes b = {data, size};
    mv_image in = {0}, out = {0};
    mv_error e = {0};
    mv_preprocess pp = {.mean = {.485f, .456f, .406f}, .std = {.2f, .2f, .2f}};
    if (size < 10)
        return 0;
    unsigned how = fuzz_byte(&b), percent = fuzz_byte(&b);
    pp.mode = (mv_crop_mode)(how & 3);
    pp.filter = how & 4 ? MV_RESAMPLE_BILINEAR : MV_RESAMPLE_BICUBIC;
    pp.crop_pct = how & 8 ? percent / 60.0 : 1;
    if (how & 16)
        memcpy(&pp.crop_pct, b.at, sizeof pp.crop_pct);
    size_of(&in.w, &in.h, &b, MOST_IN, how & 32 ? 200 : SIDE);
    size_of(&pp.w, &pp.h, &b, MOST_OUT, how & 64 ? 300 : MV_PREPROCESS_MAX_SIDE + 2);
    if ((int64_t)in.h * pp.w > MOST_ROWS)
        pp.w = 1;
    if (in.w > 0 && in.h > 0) {
        fuzz_expect(mv_image_new(&in, in.w, in.h, &e) == MV_OK);
        memset(in.rgb, GREY, (size_t)in.w * (size_t)in.h * 3);
    }
    if (fuzz_refused(mv_preprocess_crop(&pp, &in, &out, &e), &e))
        fuzz_expect(!out.rgb);
    else
        check(&pp, &in, &out);
    mv_image_free(&out);
    mv_image_free(&in);
    return 0;
}
