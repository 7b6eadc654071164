/* Any bytes as an EXIF block or an XMP packet: an orientation or none; and an image is turned as it says.
 *
 * Covers: src/picture/orient.c src/base/image.c
 */
#include "src/picture/orient_impl.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mv_encoded f = {.name = "fuzz"};
    mv_image image = {0};
    mv_error e = {0};
    if (size == 0)
        return 0;
    if (data[0] & 1)
        mv_orient_by_exif(&f, data + 1, size - 1);
    else
        mv_orient_by_xmp(&f, data + 1, size - 1);
    fuzz_expect(f.exif >= 0 && f.exif <= 8 && f.xmp >= 0 && f.xmp <= 8 && !(f.exif && f.xmp));
    int w = 1 + (data[0] >> 1 & 3), h = 1 + (data[0] >> 3 & 3), sum = 0, now = 0, o = f.exif + f.xmp;
    fuzz_expect(mv_image_new(&image, w, h, &e) == MV_OK);
    for (int i = 0; i < w * h * 3; i++)
        sum += image.rgb[i] = (uint8_t)i;
    fuzz_expect(mv_orient(&image, &f, &e) == MV_OK && image.w == (o > 4 ? h : w) && image.h == (o > 4 ? w : h));
    for (int i = 0; i < w * h * 3; i++)
        now += image.rgb[i];
    fuzz_expect(now == sum);
    mv_image_free(&image);
    return 0;
}
