/* Moving pictures: an animated PNG is read back chunk by chunk and its frames by libpng, a GIF by giflib. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gif_lib.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/drawing.h"
#include "viz/draw/animation.h"

enum { W = 61, H = 47, FRAMES = 9, PIXELS = W * H };

static const mv_note notes[] = {{"Command", "mvscope mixer --animate scan.png photo.jpg"}, {"Source", "photo.jpg"}};

static mv_canvas_target target_of(drawing_buffer *b)
{
    return (mv_canvas_target){
        .write = drawing_keep, .ctx = b, .notes = notes, .note_count = 2, .date = "2026-01-31T12:00:00Z"};
}

/* A scene over which cells appear; the frame before the last changes nothing. */
static void paint(uint8_t *rgb, int frame)
{
    int seen = frame == FRAMES - 2 ? frame - 1 : frame;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t *p = rgb + 3 * (y * W + x);
            bool cell = y / 12 * 4 + x / 16 < 2 * seen;
            int dark = 3 * y;
            p[0] = (uint8_t)(cell ? 20 + 60 * (y / 12) : dark);
            p[1] = (uint8_t)(cell ? 200 - 40 * (x / 16) : dark);
            p[2] = (uint8_t)(cell ? 90 : dark);
        }
}

static drawing_buffer animate(mv_animation_kind kind, bool words)
{
    drawing_buffer b = {.left = -1};
    mv_error e = {0};
    mv_canvas_target to = target_of(&b);
    uint8_t rgb[3 * PIXELS];
    uint32_t word[PIXELS];
    mv_animation *a = mv_animation_new(kind, &to, W, H, FRAMES, &e);
    assert_non_null(a);
    mv_pixels pixels = {.w = W, .h = H, .bytes = rgb, .stride = 3 * W};
    if (words)
        pixels = (mv_pixels){.w = W, .h = H, .bytes = (const uint8_t *)word, .stride = 4 * W, .words = true};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < FRAMES; i++) {
            paint(rgb, i);
            for (int k = 0; k < PIXELS; k++)
                word[k] = (uint32_t)rgb[3 * k] << 16 | (uint32_t)rgb[3 * k + 1] << 8 | rgb[3 * k + 2];
            if (pass == 0)
                assert_int_equal(mv_animation_look(a, &pixels, &e), MV_OK);
            else
                assert_int_equal(mv_animation_add(a, &pixels, 60 + i, &e), MV_OK);
        }
    assert_int_equal(mv_animation_finish(a, &e), MV_OK);
    return b;
}

/* --- animated PNG ------------------------------------------------------------------------------ */

static uint32_t word_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

typedef struct {
    const uint8_t *bytes;
    size_t size, at;
} source;

static void give(png_structp png, png_bytep out, size_t n)
{
    source *s = png_get_io_ptr(png);
    assert_true(s->at + n <= s->size);
    memcpy(out, s->bytes + s->at, n);
    s->at += n;
}

/* Reads a PNG of w x h px, all of it, and lays it over what is in rgb. */
static void read_png(const void *bytes, size_t size, int w, int h, uint8_t *rgb)
{
    source s = {bytes, size, 0};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_read_fn(png, &s, give);
    png_read_info(png, info);
    assert_int_equal(png_get_image_width(png, info), w);
    assert_int_equal(png_get_image_height(png, info), h);
    size_t channels = png_get_channels(png, info);
    uint8_t row[4 * W];
    for (int y = 0; y < h; y++) {
        png_read_row(png, row, NULL);
        for (size_t x = 0; x < (size_t)w; x++)
            if (channels == 3 || row[4 * x + 3] == 255)
                memcpy(rgb + ((size_t)y * (size_t)w + x) * 3, row + channels * x, 3);
            else
                assert_int_equal(row[4 * x + 3], 0);
    }
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
}

static void add_chunk(drawing_buffer *b, const char *kind, const void *bytes, size_t n)
{
    uint8_t head[8] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}, tail[4];
    memcpy(head + 4, kind, 4);
    uLong sum = crc32(crc32(0, (const Bytef *)kind, 4), n ? bytes : (const void *)kind, (uInt)n);
    for (int i = 0; i < 4; i++)
        tail[i] = (uint8_t)(sum >> (24 - 8 * i));
    drawing_keep(b, head, 8);
    if (n)
        drawing_keep(b, bytes, n);
    drawing_keep(b, tail, 4);
}

/* What is read of an animated PNG: the picture after each of its frames. */
typedef struct {
    uint8_t shown[3 * PIXELS];
    drawing_buffer packed; /* of the frame being read */
    int x, y, w, h, frames, texts;
    uint32_t sequence;
} film;

/* Puts a frame of its own together, has libpng read it, and compares the picture with what was fed. */
static void end_frame(film *f)
{
    if (f->frames == 0)
        return;
    uint8_t head[13] = {0, 0, 0, (uint8_t)f->w, 0, 0, 0, (uint8_t)f->h, 8, 6, 0, 0, 0}, part[3 * PIXELS],
            fed[3 * PIXELS];
    drawing_buffer png = {.left = -1};
    drawing_keep(&png, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(&png, "IHDR", head, sizeof head);
    add_chunk(&png, "IDAT", f->packed.bytes, f->packed.size);
    add_chunk(&png, "IEND", NULL, 0);
    for (int y = 0; y < f->h; y++)
        memcpy(part + 3 * y * f->w, f->shown + 3 * ((f->y + y) * W + f->x), (size_t)f->w * 3);
    read_png(png.bytes, png.size, f->w, f->h, part);
    free(png.bytes);
    f->packed.size = 0;
    for (int y = 0; y < f->h; y++)
        memcpy(f->shown + 3 * ((f->y + y) * W + f->x), part + 3 * y * f->w, (size_t)f->w * 3);
    paint(fed, f->frames - 1);
    assert_memory_equal(f->shown, fed, sizeof fed);
}

static void read_control(film *f, const uint8_t *b)
{
    end_frame(f);
    assert_int_equal(word_at(b), f->sequence++);
    f->w = (int)word_at(b + 4), f->h = (int)word_at(b + 8);
    f->x = (int)word_at(b + 12), f->y = (int)word_at(b + 16);
    assert_true(f->w > 0 && f->h > 0 && f->x >= 0 && f->y >= 0 && f->x + f->w <= W && f->y + f->h <= H);
    assert_int_equal(b[20] << 8 | b[21], 60 + f->frames);
    assert_int_equal(b[22] << 8 | b[23], 1000);
    assert_int_equal(b[24], 0);
    assert_int_equal(b[25], f->frames > 0);
    if (f->frames == 0)
        assert_true(f->w == W && f->h == H);
    else
        assert_true(f->w * f->h < W * H);
    if (f->frames == FRAMES - 2)
        assert_int_equal(f->w * f->h, 1);
    f->frames++;
}

static void an_animated_png_is_its_frames(void **state)
{
    (void)state;
    drawing_buffer b = animate(MV_ANIMATION_PNG, false);
    const uint8_t *bytes = (const uint8_t *)b.bytes;
    film f = {.packed = {.left = -1}};
    bool begun = false, ended = false;
    for (size_t at = 8; at < b.size && !ended;) {
        uint32_t n = word_at(bytes + at);
        const char *kind = b.bytes + at + 4;
        const uint8_t *data = bytes + at + 8;
        assert_true(at + 12 + n <= b.size);
        assert_int_equal(crc32(0, bytes + at + 4, n + 4), word_at(data + n));
        if (memcmp(kind, "acTL", 4) == 0) {
            assert_true(n == 8 && word_at(data) == FRAMES && word_at(data + 4) == 0 && f.frames == 0);
            begun = true;
        } else if (memcmp(kind, "fcTL", 4) == 0) {
            assert_true(begun && n == 26);
            read_control(&f, data);
        } else if (memcmp(kind, "IDAT", 4) == 0) {
            assert_int_equal(f.frames, 1);
            drawing_keep(&f.packed, data, n);
        } else if (memcmp(kind, "fdAT", 4) == 0) {
            assert_true(f.frames > 1 && word_at(data) == f.sequence++);
            drawing_keep(&f.packed, data + 4, n - 4);
        } else if (memcmp(kind, "iTXt", 4) == 0)
            f.texts++;
        else
            ended = memcmp(kind, "IEND", 4) == 0;
        at += 12 + n;
        assert_true(!ended || at == b.size);
    }
    end_frame(&f);
    assert_true(ended);
    assert_int_equal(f.frames, FRAMES);
    assert_int_equal(f.texts, 3);

    uint8_t still[3 * PIXELS], fed[3 * PIXELS]; /* who knows no animation sees the first frame */
    read_png(b.bytes, b.size, W, H, still);
    paint(fed, 0);
    assert_memory_equal(still, fed, sizeof fed);
    free(f.packed.bytes);
    free(b.bytes);
}

static void one_frame_is_a_plain_png(void **state)
{
    (void)state;
    drawing_buffer b = {.left = -1};
    mv_canvas_target to = target_of(&b);
    uint8_t rgb[3 * PIXELS], back[3 * PIXELS];
    paint(rgb, 3);
    mv_animation *a = mv_animation_new(MV_ANIMATION_PNG, &to, W, H, 1, NULL);
    mv_pixels pixels = {.w = W, .h = H, .bytes = rgb, .stride = 3 * W};
    assert_int_equal(mv_animation_add(a, &pixels, 60, NULL), MV_OK);
    assert_int_equal(mv_animation_finish(a, NULL), MV_OK);
    read_png(b.bytes, b.size, W, H, back);
    assert_memory_equal(back, rgb, sizeof rgb);
    for (size_t i = 0; i + 4 < b.size; i++)
        assert_true(memcmp(b.bytes + i, "acTL", 4) != 0 && memcmp(b.bytes + i, "fcTL", 4) != 0);
    free(b.bytes);
}

/* --- GIF --------------------------------------------------------------------------------------- */

static int give_gif(GifFileType *file, GifByteType *out, int n)
{
    source *s = file->UserData;
    size_t left = s->size - s->at, take = (size_t)n < left ? (size_t)n : left;
    memcpy(out, s->bytes + s->at, take);
    s->at += take;
    return (int)take;
}

/* The scene has fewer than 256 colours, but a palette entry stands for a cube of 8 levels a channel. */
static void a_gif_is_its_frames(void **state)
{
    (void)state;
    drawing_buffer b = animate(MV_ANIMATION_GIF, false);
    source s = {(const uint8_t *)b.bytes, b.size, 0};
    GifFileType *file = DGifOpen(&s, give_gif, NULL);
    assert_non_null(file);
    assert_int_equal(DGifSlurp(file), GIF_OK);
    assert_int_equal(s.at, s.size);
    assert_true(file->SWidth == W && file->SHeight == H);
    assert_int_equal(file->ImageCount, FRAMES);
    uint8_t shown[3 * PIXELS], fed[3 * PIXELS];
    int comments = 0, loops = 0;
    for (int i = 0; i < FRAMES; i++) {
        const SavedImage *image = &file->SavedImages[i];
        const GifImageDesc *d = &image->ImageDesc;
        GraphicsControlBlock control;
        assert_int_equal(DGifSavedExtensionToGCB(file, i, &control), GIF_OK);
        assert_int_equal(control.DelayTime, (60 + i + 5) / 10);
        for (int k = 0; k < image->ExtensionBlockCount; k++) {
            const ExtensionBlock *x = &image->ExtensionBlocks[k];
            comments += x->Function == COMMENT_EXT_FUNC_CODE;
            loops += x->Function == APPLICATION_EXT_FUNC_CODE && memcmp(x->Bytes, "NETSCAPE2.0", 11) == 0;
        }
        for (int y = 0; y < d->Height; y++)
            for (int x = 0; x < d->Width; x++) {
                int number = image->RasterBits[y * d->Width + x];
                GifColorType c = file->SColorMap->Colors[number];
                if (number == control.TransparentColor)
                    continue;
                uint8_t *p = shown + 3 * ((d->Top + y) * W + d->Left + x);
                p[0] = c.Red, p[1] = c.Green, p[2] = c.Blue;
            }
        paint(fed, i);
        for (int k = 0; k < 3 * PIXELS; k++)
            assert_in_range(shown[k] - fed[k] + 8, 0, 16);
    }
    assert_int_equal(comments, 3);
    assert_int_equal(loops, 1);
    DGifCloseFile(file, NULL);
    free(b.bytes);
}

/* --- both -------------------------------------------------------------------------------------- */

static void the_same_frames_give_the_same_bytes(void **state)
{
    (void)state;
    for (mv_animation_kind kind = MV_ANIMATION_PNG; kind <= MV_ANIMATION_GIF; kind++) {
        drawing_buffer a = animate(kind, false), b = animate(kind, true);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.bytes, b.bytes, a.size);
        free(a.bytes);
        free(b.bytes);
    }
}

/* Wherever the disk is full: the failure is reported, and nothing leaks (ASan). */
static void a_failed_write_is_reported(void **state)
{
    (void)state;
    for (mv_animation_kind kind = MV_ANIMATION_PNG; kind <= MV_ANIMATION_GIF; kind++)
        for (int left = 0; left < 60; left++) {
            drawing_buffer b = {.left = left};
            mv_canvas_target to = target_of(&b);
            mv_error e = {0};
            uint8_t rgb[3 * PIXELS];
            mv_animation *a = mv_animation_new(kind, &to, W, H, 2, &e);
            mv_pixels pixels = {.w = W, .h = H, .bytes = rgb, .stride = 3 * W};
            mv_status status = MV_OK;
            for (int i = 0; i < 2 && !status; i++) {
                paint(rgb, i);
                status = mv_animation_add(a, &pixels, 60, &e);
            }
            if (status)
                mv_animation_free(a);
            else
                status = mv_animation_finish(a, &e);
            if (left < 5)
                assert_int_equal(status, MV_EIO);
            assert_int_equal(status, e.code);
            free(b.bytes);
        }
}

static void wrong_use_is_refused(void **state)
{
    (void)state;
    mv_error e = {0};
    drawing_buffer b = {.left = -1};
    mv_canvas_target to = target_of(&b);
    uint8_t rgb[3 * PIXELS] = {0};
    mv_pixels pixels = {.w = W, .h = H, .bytes = rgb, .stride = 3 * W}, small = pixels;
    small.w--;
    assert_null(mv_animation_new(MV_ANIMATION_GIF, &to, 70000, 10, 3, &e));
    assert_int_equal(e.code, MV_EINPUT);
    mv_animation *a = mv_animation_new(MV_ANIMATION_GIF, &to, W, H, 2, NULL);
    assert_int_equal(mv_animation_add(a, &small, 60, NULL), MV_EMISUSE);
    assert_int_equal(mv_animation_add(a, &pixels, 60, NULL), MV_OK);
    assert_int_equal(mv_animation_finish(a, NULL), MV_EMISUSE);
    mv_animation_kind kind;
    assert_int_equal(mv_animation_kind_of(&kind, "a.GIF", NULL), MV_OK);
    assert_int_equal(kind, MV_ANIMATION_GIF);
    assert_int_equal(mv_animation_kind_of(&kind, "a.mp4", NULL), MV_EINPUT);
    free(b.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_animated_png_is_its_frames), cmocka_unit_test(one_frame_is_a_plain_png),
        cmocka_unit_test(a_gif_is_its_frames),           cmocka_unit_test(the_same_frames_give_the_same_bytes),
        cmocka_unit_test(a_failed_write_is_reported),    cmocka_unit_test(wrong_use_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
