#include "tests/reference_png.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <png.h>

mv_image reference_png(const char *path)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&png, path))
        fail_msg("%s: %s", path, png.message);
    png.format = PNG_FORMAT_RGBA; /* RGB would blend alpha */
    uint8_t *rgba = malloc(PNG_IMAGE_SIZE(png));
    assert_non_null(rgba);
    assert_true(png_image_finish_read(&png, NULL, rgba, 0, NULL));
    mv_image image;
    assert_int_equal(mv_image_new(&image, (int)png.width, (int)png.height, NULL), MV_OK);
    for (size_t i = 0; i < (size_t)png.width * png.height; i++)
        memcpy(image.rgb + 3 * i, rgba + 4 * i, 3);
    free(rgba);
    return image;
}

struct sink {
    uint8_t *bytes;
    size_t size;
};

static void append(png_structp png, png_bytep data, png_size_t n)
{
    struct sink *s = png_get_io_ptr(png);
    s->bytes = realloc(s->bytes, s->size + n);
    assert_non_null(s->bytes);
    memcpy(s->bytes + s->size, data, n);
    s->size += n;
}

uint8_t *reference_png_write(int w, int h, int depth, int colour, int interlaced, const uint16_t *samples,
                             const uint8_t *palette, size_t *size)
{
    struct sink sink = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    if (setjmp(png_jmpbuf(png)))
        fail_msg("libpng refused to write");
    png_set_write_fn(png, &sink, append, NULL);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, colour,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (palette) {
        png_color entry[256];
        for (int i = 0; i < 1 << depth; i++)
            entry[i] = (png_color){palette[3 * i], palette[3 * i + 1], palette[3 * i + 2]};
        png_set_PLTE(png, info, entry, 1 << depth);
    }
    png_write_info(png, info);
    int channels = png_get_channels(png, info);
    size_t row_bytes = png_get_rowbytes(png, info);
    uint8_t *rows = calloc((size_t)h, row_bytes);
    png_bytepp row = malloc((size_t)h * sizeof *row);
    assert_true(rows && row);
    for (int y = 0; y < h; y++) {
        row[y] = rows + (size_t)y * row_bytes;
        for (int i = 0; i < w * channels; i++) {
            unsigned v = samples[y * w * channels + i];
            if (depth == 16) {
                row[y][2 * i] = (uint8_t)(v >> 8);
                row[y][2 * i + 1] = (uint8_t)v;
            } else
                row[y][i * depth / 8] |= (uint8_t)(v << (8 - depth - i * depth % 8));
        }
    }
    png_write_image(png, row);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(row);
    free(rows);
    *size = sink.size;
    return sink.bytes;
}

uint8_t *reference_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing", path);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    rewind(f);
    uint8_t *bytes = malloc((size_t)n);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)n, f), n);
    fclose(f);
    *size = (size_t)n;
    return bytes;
}
