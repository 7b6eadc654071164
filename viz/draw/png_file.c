/* Rows are converted to RGB and filtered, then libdeflate compresses all of them: smaller than zlib's level 6 in the
 * time of its level 1. */
#include "viz/draw/png_file.h"

#include <libdeflate.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* libdeflate's level, and the bytes of a chunk. */
enum { LEVEL = 4, CHUNK = 1 << 20 };

struct mv_png {
    const mv_canvas_target *to;
    int w, h, frames, done;
    int channels; /* 3, or 4 in an animation, whose frames are transparent where nothing changes */
    double per_metre;
    uint32_t sequence; /* of the next chunk of an animation */
    mv_status status;  /* what the hook returned; MV_OK: libpng itself failed */
    png_structp png;
    png_infop info;
    png_text *text;
    struct libdeflate_compressor *deflate;
    uint8_t *rows;     /* two rows with room around them */
    uint8_t *filtered; /* all rows of a part */
    uint8_t *packed;   /* the same, compressed */
    size_t filtered_room, packed_room;
};

static void take(png_structp png, png_bytep bytes, size_t n)
{
    mv_png *f = png_get_io_ptr(png);
    f->status = f->to->write(f->to->ctx, bytes, n);
    if (f->status != MV_OK)
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
 * Paeth's predictor. `row` and `above` have a pixel of `left` zero bytes in front, and they and `out` have 16 bytes of
 * room behind. */
static void filter_row(uint8_t *out, const uint8_t *row, const uint8_t *above, size_t n, int left)
{
    if (memcmp(row, above, n) == 0) {
        *out = 2;
        memset(out + 1, 0, n);
        return;
    }
    *out++ = 4;
    for (size_t i = 0; i < n; i += 16)
        paeth_strip(out + i, row + i, row + i - left, above + i, above + i - left);
}

/* --- the file ---------------------------------------------------------------------------------- */

static void put32(uint8_t *out, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Compressed bytes: IDAT in the first frame, which every viewer shows, and fdAT in the others. */
static void write_compressed(mv_png *f, const uint8_t *bytes, size_t n)
{
    static const png_byte idat[5] = "IDAT", fdat[5] = "fdAT";
    uint8_t number[4];
    for (size_t part; n > 0; bytes += part, n -= part) {
        part = n < CHUNK ? n : CHUNK;
        if (f->done == 0) {
            png_write_chunk(f->png, idat, bytes, part);
            continue;
        }
        put32(number, f->sequence++);
        png_write_chunk_start(f->png, fdat, (png_uint_32)(part + 4));
        png_write_chunk_data(f->png, number, 4);
        png_write_chunk_data(f->png, bytes, part);
        png_write_chunk_end(f->png);
    }
}

/* Room for at least n bytes; what was there is lost. */
static void make_room(mv_png *f, uint8_t **bytes, size_t *room, size_t n)
{
    if (n <= *room)
        return;
    free(*bytes);
    *bytes = malloc(n);
    *room = *bytes ? n : 0;
    if (!*bytes)
        png_error(f->png, "memory");
}

/* Row y of a part; with an alpha, what is the same as before is transparent. */
static void part_row(const mv_png *f, const mv_pixels *p, mv_part part, int y, const bool *same, uint8_t *row)
{
    mv_pixels_row(p, part.x, part.y + y, part.w, row);
    if (f->channels == 3)
        return;
    const bool *kept = same ? same + (size_t)(part.y + y) * (size_t)f->w + part.x : NULL;
    for (int x = part.w - 1; x >= 0; x--) { /* from the end, as it grows in place */
        const uint8_t rgb[3] = {row[3 * x], row[3 * x + 1], row[3 * x + 2]};
        bool clear = kept && kept[x];
        memset(row + 4 * x, clear ? 0 : 255, 4);
        if (!clear)
            memcpy(row + 4 * x, rgb, 3);
    }
}

static void write_pixels(mv_png *f, const mv_pixels *p, mv_part part, const bool *same)
{
    size_t n = (size_t)part.w * (size_t)f->channels, room = (size_t)f->w * 4 + 32, all = (n + 1) * (size_t)part.h;
    make_room(f, &f->filtered, &f->filtered_room, all + 16);
    memset(f->rows, 0, 2 * room);
    for (int y = 0; y < part.h; y++) {
        uint8_t *row = f->rows + (y & 1 ? room : 0) + 16, *above = f->rows + (y & 1 ? 0 : room) + 16;
        part_row(f, p, part, y, same, row);
        filter_row(f->filtered + (size_t)y * (n + 1), row, above, n, f->channels);
    }
    make_room(f, &f->packed, &f->packed_room, libdeflate_zlib_compress_bound(f->deflate, all));
    write_compressed(f, f->packed, libdeflate_zlib_compress(f->deflate, f->filtered, all, f->packed, f->packed_room));
}

/* Which part of the picture the next pixels replace, and for how long they are shown. */
static void write_control(mv_png *f, mv_part part, int milliseconds)
{
    static const png_byte fctl[5] = "fcTL";
    uint8_t b[26] = {0}; /* the last two: the frame stays, and is laid over what is there */
    put32(b, f->sequence++);
    put32(b + 4, (uint32_t)part.w);
    put32(b + 8, (uint32_t)part.h);
    put32(b + 12, (uint32_t)part.x);
    put32(b + 16, (uint32_t)part.y);
    put32(b + 20, (uint32_t)milliseconds << 16 | 1000);
    b[25] = f->done > 0;
    png_write_chunk(f->png, fctl, b, sizeof b);
}

static void write_texts(mv_png *f)
{
    const mv_canvas_target *to = f->to;
    png_text *text = f->text;
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
    png_set_text(f->png, f->info, text, n);
}

static void write_head(mv_png *f)
{
    static const png_byte actl[5] = "acTL";
    png_set_IHDR(f->png, f->info, (png_uint_32)f->w, (png_uint_32)f->h, 8,
                 f->channels == 4 ? PNG_COLOR_TYPE_RGB_ALPHA : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(f->png, f->info, PNG_sRGB_INTENT_PERCEPTUAL);
    if (f->per_metre > 0)
        png_set_pHYs(f->png, f->info, (png_uint_32)(f->per_metre + 0.5), (png_uint_32)(f->per_metre + 0.5),
                     PNG_RESOLUTION_METER);
    write_texts(f);
    png_write_info(f->png, f->info);
    if (f->frames > 1) {
        uint8_t b[8] = {0}; /* 0 plays: for ever */
        put32(b, (uint32_t)f->frames);
        png_write_chunk(f->png, actl, b, sizeof b);
    }
}

/* libpng's failures jump to one of the next three and nowhere else. */
static mv_status try_head(mv_png *f)
{
    if (setjmp(png_jmpbuf(f->png)))
        return f->status == MV_OK ? MV_ENOMEM : f->status;
    png_set_write_fn(f->png, f, take, flush);
    write_head(f);
    return MV_OK;
}

static mv_status try_frame(mv_png *f, const mv_pixels *p, const mv_part *part, const bool *same, int milliseconds)
{
    if (setjmp(png_jmpbuf(f->png)))
        return f->status == MV_OK ? MV_ENOMEM : f->status;
    if (f->frames > 1)
        write_control(f, *part, milliseconds);
    write_pixels(f, p, *part, same);
    return MV_OK;
}

static mv_status try_end(mv_png *f)
{
    if (setjmp(png_jmpbuf(f->png)))
        return f->status == MV_OK ? MV_ENOMEM : f->status;
    png_write_chunk(f->png, (const png_byte *)"IEND", NULL, 0);
    return MV_OK;
}

static mv_status failed(const mv_png *f, mv_status status, mv_error *e)
{
    if (status == MV_OK)
        return MV_OK;
    return f->status == MV_OK ? mv_fail_memory(e, "png") : mv_fail(e, status, "png: the file cannot be written");
}

void mv_png_free(mv_png *f)
{
    if (!f)
        return;
    png_destroy_write_struct(&f->png, &f->info);
    free(f->text);
    free(f->packed);
    free(f->filtered);
    free(f->rows);
    libdeflate_free_compressor(f->deflate);
    free(f);
}

static mv_status open_file(mv_png **out, int w, int h, double per_metre, int frames, const mv_canvas_target *to,
                           mv_error *e)
{
    mv_png *f = calloc(1, sizeof *f);
    if (!f)
        return mv_fail_memory(e, "png");
    *f = (mv_png){.to = to,
                  .w = w,
                  .h = h,
                  .frames = frames,
                  .channels = frames > 1 ? 4 : 3,
                  .per_metre = per_metre,
                  .text = calloc((size_t)to->note_count + 1, sizeof *f->text),
                  .deflate = libdeflate_alloc_compressor(LEVEL),
                  .rows = malloc(2 * ((size_t)w * 4 + 32)),
                  .png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, fail, warn)};
    f->info = f->png ? png_create_info_struct(f->png) : NULL;
    bool made = f->text && f->deflate && f->rows && f->info;
    mv_status status = failed(f, made ? try_head(f) : MV_ENOMEM, e);
    if (status == MV_OK)
        *out = f;
    else
        mv_png_free(f);
    return status;
}

mv_png *mv_png_open(int w, int h, double per_metre, int frames, const mv_canvas_target *to, mv_error *e)
{
    mv_png *f = NULL;
    open_file(&f, w, h, per_metre, frames, to, e);
    return f;
}

mv_status mv_png_frame(mv_png *f, const mv_pixels *p, mv_part part, const bool *same, int milliseconds, mv_error *e)
{
    if (p->w != f->w || p->h != f->h || f->done == f->frames)
        return mv_fail(e, MV_EMISUSE, "png: found frame %d of %d x %d px, expected %d of %d x %d px", f->done + 1, p->w,
                       p->h, f->frames, f->w, f->h);
    if (f->done == 0)
        part = (mv_part){0, 0, f->w, f->h};
    mv_status status =
        try_frame(f, p, &part, f->done ? same : NULL, milliseconds > UINT16_MAX ? UINT16_MAX : milliseconds);
    f->done++;
    return failed(f, status, e);
}

mv_status mv_png_finish(mv_png *f, mv_error *e)
{
    mv_status status = f->done == f->frames
                           ? failed(f, try_end(f), e)
                           : mv_fail(e, MV_EMISUSE, "png: found %d frames, expected %d", f->done, f->frames);
    mv_png_free(f);
    return status;
}

mv_status mv_png_write(const mv_pixels *p, const mv_canvas_target *to, mv_error *e)
{
    mv_png *f = NULL;
    mv_status status = open_file(&f, p->w, p->h, p->per_metre, 1, to, e);
    if (status == MV_OK)
        status = mv_png_frame(f, p, (mv_part){0}, NULL, 0, e);
    if (status == MV_OK)
        return mv_png_finish(f, e);
    mv_png_free(f);
    return status;
}
