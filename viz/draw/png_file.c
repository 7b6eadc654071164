/* Rows are converted to RGB, filtered and compressed block by block. */
#include "viz/draw/png_file.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "viz/draw/deflate.h"

typedef struct {
    const mv_canvas_target *to;
    mv_status status; /* what the hook returned; MV_OK: libpng itself failed */
} sink;

static void take(png_structp png, png_bytep bytes, size_t n)
{
    sink *s = png_get_io_ptr(png);
    s->status = s->to->write(s->to->ctx, bytes, n);
    if (s->status != MV_OK)
        png_error(png, "write");
}

static void flush(png_structp png)
{
    (void)png;
}

static void fail(png_structp png, png_const_charp why)
{
    (void)why;
    png_longjmp(png, 1);
}

static void warn(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

/* --- rows -------------------------------------------------------------------------------------- */

static void rgb_row(const mv_png_pixels *p, int y, uint8_t *out)
{
    const uint8_t *row = p->bytes + (size_t)y * p->stride;
    if (!p->words) {
        memcpy(out, row, (size_t)p->w * 3);
        return;
    }
    const uint32_t *word = (const uint32_t *)(const void *)row;
    for (int x = 0; x < p->w; x++) {
        *out++ = (uint8_t)(word[x] >> 16);
        *out++ = (uint8_t)(word[x] >> 8);
        *out++ = (uint8_t)word[x];
    }
}

/* PNG's predictor: whichever of left (a), up (b) and corner (c) is nearest to a + b - c. Written so that the compiler
 * handles sixteen in one vector. */
static void paeth_strip(uint8_t *out, const uint8_t *x, const uint8_t *a, const uint8_t *b, const uint8_t *c)
{
    int16_t p[16];
    for (int i = 0; i < 16; i++) {
        int16_t up = (int16_t)(b[i] - c[i]), left = (int16_t)(a[i] - c[i]), both = (int16_t)(up + left);
        int16_t da = up < 0 ? (int16_t)-up : up, db = left < 0 ? (int16_t)-left : left;
        int16_t dc = both < 0 ? (int16_t)-both : both;
        int16_t bc = db <= dc ? b[i] : c[i];
        int16_t least = db <= dc ? db : dc;
        p[i] = da <= least ? a[i] : bc;
    }
    for (int i = 0; i < 16; i++)
        out[i] = (uint8_t)(x[i] - p[i]);
}

/* One filtered row of 1 + n bytes. A row that equals the one above is all zeros with the filter "up"; the rest use
 * Paeth's predictor. `row` and `above` have 3 zero bytes in front, and they and `out` have 16 bytes of room behind. */
static void filter_row(uint8_t *out, const uint8_t *row, const uint8_t *above, size_t n)
{
    if (memcmp(row, above, n) == 0) {
        *out = 2;
        memset(out + 1, 0, n);
        return;
    }
    *out++ = 4;
    for (size_t i = 0; i < n; i += 16)
        paeth_strip(out + i, row + i, row + i - 3, above + i, above + i - 3);
}

/* --- the file ---------------------------------------------------------------------------------- */

typedef struct {
    mv_deflate *deflate;
    uint8_t *rows;  /* two rows with room around them */
    uint8_t *block; /* filtered rows that are not compressed yet */
} buffers;

static void write_pixels(png_structp png, const mv_png_pixels *p, const buffers *m)
{
    static const png_byte idat[5] = "IDAT";
    size_t n = (size_t)p->w * 3, room = n + 32, filled = 0;
    memset(m->rows, 0, 2 * room);
    mv_deflate_start(m->deflate);
    for (int y = 0; y < p->h; y++) {
        uint8_t *row = m->rows + (y & 1 ? room : 0) + 16, *above = m->rows + (y & 1 ? 0 : room) + 16;
        rgb_row(p, y, row);
        filter_row(m->block + filled, row, above, n);
        filled += n + 1;
        bool end = y == p->h - 1;
        if (filled + n + 1 > MV_DEFLATE_BLOCK || end) {
            mv_deflate_block(m->deflate, m->block, filled, end);
            png_write_chunk(png, idat, m->deflate->out, m->deflate->size);
            filled = 0;
        }
    }
}

static void write_texts(png_structp png, png_infop info, const mv_canvas_target *to, png_text *text)
{
    int n = 0;
    for (int i = 0; i < to->note_count; i++)
        text[n++] = (png_text){.compression = PNG_ITXT_COMPRESSION_NONE,
                               .key = (char *)(uintptr_t)to->notes[i].key,
                               .text = (char *)(uintptr_t)(to->notes[i].value ? to->notes[i].value : "")};
    if (to->date) {
        text[n++] = (png_text){.compression = PNG_ITXT_COMPRESSION_NONE,
                               .key = (char *)(uintptr_t) "Creation Time",
                               .text = (char *)(uintptr_t)to->date};
    }
    png_set_text(png, info, text, n);
}

static void write_file(png_structp png, png_infop info, const mv_png_pixels *p, const sink *s, const buffers *m,
                       png_text *text)
{
    png_set_IHDR(png, info, (png_uint_32)p->w, (png_uint_32)p->h, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(png, info, PNG_sRGB_INTENT_PERCEPTUAL);
    if (p->per_metre > 0)
        png_set_pHYs(png, info, (png_uint_32)(p->per_metre + 0.5), (png_uint_32)(p->per_metre + 0.5),
                     PNG_RESOLUTION_METER);
    write_texts(png, info, s->to, text);
    png_write_info(png, info);
    write_pixels(png, p, m);
    png_write_chunk(png, (const png_byte *)"IEND", NULL, 0);
}

/* libpng's failures jump to here and nowhere else. */
static mv_status run(png_structp png, png_infop info, const mv_png_pixels *p, sink *s, const buffers *m, png_text *text)
{
    if (setjmp(png_jmpbuf(png)))
        return s->status == MV_OK ? MV_ENOMEM : s->status;
    png_set_write_fn(png, s, take, flush);
    write_file(png, info, p, s, m, text);
    return MV_OK;
}

mv_status mv_png_write(const mv_png_pixels *p, const mv_canvas_target *to, mv_error *e)
{
    size_t room = (size_t)p->w * 3 + 32;
    sink s = {to, MV_OK};
    buffers m = {malloc(sizeof *m.deflate), malloc(2 * room), malloc(MV_DEFLATE_BLOCK + 16)};
    png_text *text = calloc((size_t)to->note_count + 1, sizeof *text);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, fail, warn);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    mv_status status = MV_ENOMEM;
    if (m.deflate && m.rows && m.block && text && info)
        status = run(png, info, p, &s, &m, text);
    png_destroy_write_struct(&png, &info);
    free(text);
    free(m.block);
    free(m.rows);
    free(m.deflate);
    if (status == MV_OK)
        return MV_OK;
    return s.status == MV_OK ? mv_fail_memory(e, "png") : mv_fail(e, status, "png: the file cannot be written");
}
