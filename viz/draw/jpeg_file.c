#include "viz/draw/jpeg_file.h"

#include <stdio.h>

#include <jpeglib.h>
#include <setjmp.h>
#include <stdlib.h>

enum { QUALITY = 92 };

typedef struct {
    struct jpeg_error_mgr errors; /* first: libjpeg points at it */
    jmp_buf failed;
    struct jpeg_compress_struct jpeg;
    unsigned char *bytes;
    unsigned long size;
} encoder;

/* libjpeg cannot go on; without a file to write, only memory can be what it lacks. */
static void fail(j_common_ptr jpeg)
{
    encoder *k = (encoder *)(void *)jpeg->err;
    longjmp(k->failed, 1);
}

static void be_silent(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void compress(encoder *k, const uint8_t *rgb, int w, int h)
{
    struct jpeg_compress_struct *j = &k->jpeg;
    jpeg_mem_dest(j, &k->bytes, &k->size);
    j->image_width = (JDIMENSION)w;
    j->image_height = (JDIMENSION)h;
    j->input_components = 3;
    j->in_color_space = JCS_RGB;
    jpeg_set_defaults(j);
    jpeg_set_quality(j, QUALITY, TRUE);
    j->comp_info[0].h_samp_factor = j->comp_info[0].v_samp_factor = 1;
    j->optimize_coding = TRUE;
    j->dct_method = JDCT_ISLOW; /* the same on every machine */
    jpeg_start_compress(j, TRUE);
    while (j->next_scanline < j->image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (size_t)j->next_scanline * (size_t)w * 3); /* which is only read */
        jpeg_write_scanlines(j, &row, 1);
    }
    jpeg_finish_compress(j);
}

mv_status mv_jpeg_encode(const uint8_t *rgb, int w, int h, uint8_t **bytes, size_t *size, mv_error *e)
{
    if (w < 1 || h < 1 || w > JPEG_MAX_DIMENSION || h > JPEG_MAX_DIMENSION)
        return mv_fail(e, MV_EINPUT, "jpeg: found %d x %d px, expected 1 to %ld a side", w, h, JPEG_MAX_DIMENSION);
    encoder *k = calloc(1, sizeof *k);
    if (!k)
        return mv_fail_memory(e, "jpeg");
    mv_status s = MV_OK;
    k->jpeg.err = jpeg_std_error(&k->errors);
    k->errors.error_exit = fail;
    k->errors.output_message = be_silent;
    if (!setjmp(k->failed)) {
        jpeg_create_compress(&k->jpeg);
        compress(k, rgb, w, h);
    } else
        s = mv_fail_memory(e, "jpeg");
    jpeg_destroy_compress(&k->jpeg);
    *bytes = s == MV_OK ? k->bytes : NULL;
    *size = s == MV_OK ? k->size : 0;
    if (s != MV_OK)
        free(k->bytes);
    free(k);
    return s;
}
