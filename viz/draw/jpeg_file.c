#include "viz/draw/jpeg_file.h"

#include <stdio.h>

#include <jpeglib.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { QUALITY = 92, LONGEST_COMMENT = 65533 };

_Static_assert(MV_JPEG_MOST <= JPEG_MAX_DIMENSION, "a side of a JPEG");

typedef struct {
    struct jpeg_error_mgr errors; /* first: libjpeg points at it */
    jmp_buf failed;
    struct jpeg_compress_struct jpeg;
    struct jpeg_destination_mgr sink;
    uint8_t *bytes;
    size_t size, room;
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

/* ---- memory that grows: libjpeg's own says nothing of what it has moved when there is no more */

static void grow(j_compress_ptr jpeg)
{
    encoder *k = (encoder *)(void *)jpeg->err;
    size_t room = k->room ? 2 * k->room : 1 << 16;
    uint8_t *bytes = realloc(k->bytes, room);
    if (!bytes)
        fail((j_common_ptr)jpeg);
    k->sink.next_output_byte = bytes + k->room;
    k->sink.free_in_buffer = room - k->room;
    k->bytes = bytes;
    k->room = room;
}

static boolean grow_full(j_compress_ptr jpeg)
{
    grow(jpeg);
    return TRUE;
}

static void end_sink(j_compress_ptr jpeg)
{
    encoder *k = (encoder *)(void *)jpeg->err;
    k->size = k->room - k->sink.free_in_buffer;
}

/* ---- compression */

/* What is compressed: the pixels, and texts, which may be none. */
typedef struct {
    const mv_pixels *pixels;
    char *const *comment;
    int comments;
    uint8_t *row; /* of one row */
} content;

static void put_head(struct jpeg_compress_struct *j, const content *in)
{
    j->image_width = (JDIMENSION)in->pixels->w;
    j->image_height = (JDIMENSION)in->pixels->h;
    j->input_components = 3;
    j->in_color_space = JCS_RGB;
    jpeg_set_defaults(j);
    jpeg_set_quality(j, QUALITY, TRUE);
    j->comp_info[0].h_samp_factor = j->comp_info[0].v_samp_factor = 1;
    j->optimize_coding = TRUE;
    j->dct_method = JDCT_ISLOW; /* the same on every machine */
    jpeg_start_compress(j, TRUE);
    for (int i = 0; i < in->comments; i++) {
        size_t n = strlen(in->comment[i]);
        jpeg_write_marker(j, JPEG_COM, (const JOCTET *)in->comment[i],
                          (unsigned)(n < LONGEST_COMMENT ? n : LONGEST_COMMENT));
    }
}

static void compress(encoder *k, const content *in)
{
    struct jpeg_compress_struct *j = &k->jpeg;
    k->sink = (struct jpeg_destination_mgr){
        .init_destination = grow, .empty_output_buffer = grow_full, .term_destination = end_sink};
    j->dest = &k->sink;
    put_head(j, in);
    while (j->next_scanline < j->image_height) {
        JSAMPROW row = in->row;
        mv_pixels_row(in->pixels, 0, (int)j->next_scanline, in->pixels->w, in->row);
        jpeg_write_scanlines(j, &row, 1);
    }
    jpeg_finish_compress(j);
}

static mv_status encode(const content *in, uint8_t **bytes, size_t *size, mv_error *e)
{
    encoder *k = calloc(1, sizeof *k);
    if (!k)
        return mv_fail_memory(e, "jpeg");
    mv_status s = MV_OK;
    k->jpeg.err = jpeg_std_error(&k->errors);
    k->errors.error_exit = fail;
    k->errors.output_message = be_silent;
    if (!setjmp(k->failed)) {
        jpeg_create_compress(&k->jpeg);
        compress(k, in);
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

static mv_status encode_pixels(const mv_pixels *pixels, char *const *comment, int comments, uint8_t **bytes,
                               size_t *size, mv_error *e)
{
    int w = pixels->w, h = pixels->h;
    *bytes = NULL;
    *size = 0;
    if (w < 1 || h < 1 || w > MV_JPEG_MOST || h > MV_JPEG_MOST)
        return mv_fail(e, MV_EINPUT, "jpeg: found %d x %d px, expected 1 to %d a side", w, h, MV_JPEG_MOST);
    content in = {pixels, comment, comments, malloc((size_t)w * 3)};
    mv_status s = in.row ? encode(&in, bytes, size, e) : mv_fail_memory(e, "jpeg");
    free(in.row);
    return s;
}

mv_status mv_jpeg_encode(const uint8_t *rgb, int w, int h, uint8_t **bytes, size_t *size, mv_error *e)
{
    const mv_pixels pixels = {.w = w, .h = h, .bytes = rgb, .stride = 3 * (size_t)w};
    return encode_pixels(&pixels, NULL, 0, bytes, size, e);
}

/* ---- files */

/* "Command: mvscope classify photo.jpg". NULL without memory. */
static char *comment_of(const char *key, const char *value)
{
    size_t n = strlen(key) + strlen(value) + 3;
    char *text = malloc(n);
    if (text)
        snprintf(text, n, "%s: %s", key, value);
    return text;
}

mv_status mv_jpeg_write(const mv_pixels *pixels, const mv_canvas_target *to, mv_error *e)
{
    int n = to->note_count + (to->date != NULL);
    char **comment = calloc((size_t)n + 1, sizeof *comment);
    uint8_t *bytes = NULL;
    size_t size = 0;
    mv_status s = comment ? MV_OK : mv_fail_memory(e, "jpeg");
    for (int i = 0; i < n && s == MV_OK; i++) {
        bool note = i < to->note_count;
        comment[i] = comment_of(note ? to->notes[i].key : "Creation Time", !note                ? to->date
                                                                           : to->notes[i].value ? to->notes[i].value
                                                                                                : "");
        s = comment[i] ? MV_OK : mv_fail_memory(e, "jpeg");
    }
    if (s == MV_OK)
        s = encode_pixels(pixels, comment, n, &bytes, &size, e);
    if (s == MV_OK && (s = to->write(to->ctx, bytes, size)))
        mv_fail(e, s, "jpeg: the file cannot be written");
    for (int i = 0; comment && i < n; i++)
        free(comment[i]);
    free(comment);
    free(bytes);
    return s;
}
