/* Damaged and hostile pictures: a sentence that says what is wrong, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/picture/decode.h"
#include "tests/reference_png.h"

#define DATA "tests/data/image/"

/* In a buffer of exactly its size, so that a sanitizer sees a read beyond it. */
static void refused(const uint8_t *bytes, size_t size, const char *part)
{
    uint8_t *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    mv_image image = {1, 1, NULL};
    mv_error e = {0};
    mv_status s = mv_picture_decode(&image, exact, size, "pic", NULL, &e);
    if (s != MV_EINPUT)
        fail_msg("status %d '%s', expected a refusal with '%s'", s, e.text, part);
    assert_int_equal(e.code, MV_EINPUT);
    assert_null(image.rgb);
    assert_int_equal(strncmp(e.text, "pic: ", 5), 0);
    if (!strstr(e.text, part))
        fail_msg("'%s' does not say '%s'", e.text, part);
    free(exact);
}

/* All pixels are there, as in the file `like`, but something else is not: a warning. */
static void doubtful(const uint8_t *bytes, size_t size, const char *like, const char *part)
{
    uint8_t *exact = malloc(size);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    mv_image image, whole;
    mv_error e = {0};
    mv_warnings w = {0};
    if (mv_picture_decode(&image, exact, size, "pic", &(mv_picture_options){.warnings = &w}, &e) != MV_OK)
        fail_msg("'%s', expected a picture and '%s'", e.text, part);
    if (w.n != 1 || !strstr(w.text[0], part))
        fail_msg("%d warnings, the first '%s', expected '%s'", w.n, w.text[0], part);
    assert_int_equal(mv_picture_load(&whole, like, NULL, NULL), MV_OK);
    assert_int_equal(image.w, whole.w);
    assert_int_equal(image.h, whole.h);
    assert_memory_equal(image.rgb, whole.rgb, (size_t)image.w * (size_t)image.h * 3);
    mv_image_free(&image);
    mv_image_free(&whole);
    free(exact);
}

static void doubtful_file(const char *path, const char *like, const char *part)
{
    size_t size;
    uint8_t *file = reference_file(path, &size);
    doubtful(file, size, like, part);
    free(file);
}

/* --- PNG ---------------------------------------------------------------------------------------------------- */

static size_t get32(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, size_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void seal(uint8_t *chunk)
{
    size_t n = get32(chunk);
    uint32_t c = 0xFFFFFFFF;
    for (size_t i = 0; i < n + 4; i++) {
        c ^= chunk[4 + i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xEDB88320 ^ c >> 1 : c >> 1;
    }
    put32(chunk + 8 + n, ~c);
}

static uint8_t *chunk_of(uint8_t *png, const char *type)
{
    uint8_t *at = png + 8;
    while (memcmp(at + 4, type, 4) != 0)
        at += 12 + get32(at);
    return at;
}

/* 20 x 14, RGB, 8 bits */
static uint8_t *small_png(size_t *size)
{
    return reference_file(DATA "small.png", size);
}

/* small.png with one byte of IHDR's data changed, and its checksum put right. */
static void header_byte(int i, int value, const char *part)
{
    size_t size;
    uint8_t *png = small_png(&size);
    png[16 + i] = (uint8_t)value;
    seal(png + 8);
    refused(png, size, part);
    free(png);
}

/* The kinds of corrupt files in Willem van Schaik's PngSuite: xs*, xcr, xlf, xc*, xd*, xhd, xcs, xdt. */
static void test_pngsuite(void **state)
{
    (void)state;
    size_t size;
    uint8_t *png = small_png(&size);
    for (size_t i = 0; i < 8; i++) { /* signature bytes */
        uint8_t kept = png[i];
        png[i] = (uint8_t)(kept ^ 0x80);
        refused(png, size, "a PNG whose first 8 bytes are not PNG's");
        png[i] = kept;
    }
    uint8_t *text = malloc(size);
    assert_non_null(text);
    memcpy(text, png, 4); /* CR dropped, as by a copy in text mode */
    memcpy(text + 4, png + 5, size - 5);
    refused(text, size - 1, "was it copied as text?");
    free(text);

    memcpy(png + 12, "CgBI", 4);
    refused(png, size, "is a PNG for iOS (CgBI), which only Apple's programs read");
    memcpy(png + 12, "IHDR", 4);
    png[29] ^= 1; /* IHDR's checksum */
    refused(png, size, "cannot be decoded: IHDR: CRC error");
    png[29] ^= 1;
    uint8_t *data = chunk_of(png, "IDAT");
    data[9] ^= 1;
    refused(png, size, "cannot be decoded: IDAT: incorrect header check");
    data[9] ^= 1;
    data[8 + get32(data)] ^= 1;
    refused(png, size, "cannot be decoded: IDAT: CRC error");
    data[8 + get32(data)] ^= 1;
    uint8_t *end = chunk_of(png, "IEND");
    end[8] ^= 1;
#if PNG_LIBPNG_VER < 10645 /* later ones do not look at it */
    doubtful(png, size, DATA "small.png", "is damaged after its pixels, all of which are there: IEND: CRC error");
#endif
    end[8] ^= 1;
    size_t n = get32(data), after = (size_t)(png + size - (data + 12 + n));
    put32(data, n - 4); /* without the checksum of zlib, but with an end */
    seal(data);
    memmove(data + 8 + n, data + 12 + n, after);
#ifdef PNG_IGNORE_ADLER32 /* without the switch, the last row is lost */
    doubtful(png, size - 4, DATA "small.png", "is damaged after its pixels, all of which are there: Not enough image");
#endif
    put32(data, n - 40);
    seal(data);
    memmove(data + 12 + n - 40, data + 8 + n, after);
    refused(png, size - 40, "cannot be decoded: Not enough image data");
    free(png);

    header_byte(9, 1, "cannot be decoded: Invalid IHDR data");
    header_byte(9, 9, "Invalid IHDR data");
    header_byte(8, 0, "Invalid IHDR data");
    header_byte(8, 3, "Invalid IHDR data");
    header_byte(8, 99, "Invalid IHDR data");
    header_byte(8, 4, "Invalid IHDR data");
    header_byte(9, 3, "Missing PLTE before IDAT");
    header_byte(10, 1, "Invalid IHDR data");
    header_byte(11, 1, "Invalid IHDR data");
    header_byte(12, 2, "Invalid IHDR data");
    header_byte(3, 0, "0 x 14 pixels");
    header_byte(7, 0, "20 x 0 pixels");
}

/* Chunks in the wrong place, of the wrong size, missing or unknown. */
static void test_png_chunks(void **state)
{
    (void)state;
    size_t size;
    uint8_t *png = small_png(&size), *data = chunk_of(png, "IDAT");
    size_t at = (size_t)(data - png), whole = 12 + get32(data);
    uint8_t *other = malloc(2 * size);
    assert_non_null(other);

    memcpy(other, png, at); /* no IDAT */
    memcpy(other + at, png + at + whole, size - at - whole);
    refused(other, size - whole, "cannot be decoded: IEND: out of place");

    memcpy(other, png, 8); /* no IHDR */
    memcpy(other + 8, png + 33, size - 33);
    refused(other, size - 25, "does not begin with its header (IHDR)");

    memcpy(other, png, 33); /* two */
    memcpy(other + 33, png + 8, size - 8);
    refused(other, size + 25, "IHDR: out of place");

    memcpy(other, png, size); /* one that must be understood, and is not */
    memcpy(chunk_of(other, "IDAT") + 4, "IDOT", 4);
    seal(other + at);
    refused(other, size, "cannot be decoded: IDOT: unhandled critical chunk");

    memcpy(other, png, size); /* a length up to the moon */
    put32(other + at, 0x7FFFFFFF);
    doubtful(other, size, DATA "small.png", "the end of the PNG is missing; all pixels are there");
    refused(other, at + whole - 20, "is cut short: the PNG ends inside its data");
    put32(other + at, 0xFFFFFFFF);
    refused(other, size, "cannot be decoded: PNG unsigned integer out of range");

    memcpy(other, png, at); /* an invalid palette */
    put32(other + at, 4);
    memcpy(other + at + 4, "PLTEabcd", 8);
    seal(other + at);
    memcpy(other + at + 16, png + at, size - at);
    doubtful(other, size + 16, DATA "small.png", "PLTE: invalid"); /* which these pixels do not use */

    memcpy(other, png, size); /* data that are no zlib stream, correctly summed */
    memset(other + at + 8, 0x55, whole - 12);
    seal(other + at);
    refused(other, size, "this PNG cannot be decoded");
    free(other);
    free(png);
}

/* --- bombs ---------------------------------------------------------------------------------------------------- */

static void test_a_size_it_has_not(void **state)
{
    (void)state;
    size_t size;
    uint8_t *png = small_png(&size);
    put32(png + 16, 64000);
    put32(png + 20, 64000);
    seal(png + 8);
    refused(png, size, "64000 x 64000 = 4096000000 pixels, expected at most 64000000");
    put32(png + 16, 0xFFFFFFFF);
    put32(png + 20, 0xFFFFFFFF);
    seal(png + 8);
    refused(png, size, "expected sides of at most 1000000");
    put32(png + 16, 8000); /* within the limits, and not there */
    put32(png + 20, 8000);
    seal(png + 8);
    refused(png, size, "this PNG cannot be decoded");
    free(png);
}

struct bits {
    uint8_t *bytes;
    size_t n;
};

static void put_bits(struct bits *b, unsigned value, int count, int highest_first)
{
    for (int i = 0; i < count; i++, b->n++)
        if (value >> (highest_first ? count - 1 - i : i) & 1)
            b->bytes[b->n / 8] |= (uint8_t)(1 << b->n % 8);
}

/* 8 x 8 pixels whose data inflate to 26 MB: one zero, then "258 times the last byte", 13 bits each. */
static void test_data_that_inflate(void **state)
{
    (void)state;
    enum { TIMES = 100000, ROOM = TIMES * 13 / 8 + 16 };
    uint8_t *png = calloc(1, 8 + 25 + 12 + ROOM + 12);
    assert_non_null(png);
    size_t size;
    uint8_t *small = small_png(&size);
    memcpy(png, small, 33);
    put32(png + 16, 8);
    put32(png + 20, 8);
    seal(png + 8);
    uint8_t *data = png + 33;
    memcpy(data + 4, "IDAT\x78\x01", 6);
    struct bits b = {data + 10, 0};
    put_bits(&b, 3, 3, 0);    /* last block, fixed codes (RFC 1951, 3.2.6) */
    put_bits(&b, 0x30, 8, 1); /* literal 0 */
    for (int i = 0; i < TIMES; i++) {
        put_bits(&b, 0xC5, 8, 1); /* length 258 */
        put_bits(&b, 0, 5, 1);    /* distance 1 */
    }
    put_bits(&b, 0, 7, 1); /* end */
    put32(data, 2 + (b.n + 7) / 8 + 4);
    seal(data);
    uint8_t *end = data + 12 + get32(data);
    memcpy(end, "\0\0\0\0IEND\xAE\x42\x60\x82", 12);
    mv_image image; /* no more than the pixels is unpacked */
    mv_warnings w = {0};
    assert_int_equal(
        mv_picture_decode(&image, png, (size_t)(end + 12 - png), "pic", &(mv_picture_options){.warnings = &w}, NULL),
        MV_OK);
    assert_int_equal(w.n, 1);
    assert_non_null(strstr(w.text[0], "part of the picture may be wrong: IDAT: "));
    mv_image_free(&image);
    free(small);
    free(png);
}

/* --- JPEG ------------------------------------------------------------------------------------------------------- */

static uint8_t *jpeg_marker(uint8_t *jpeg, size_t size, int marker)
{
    for (size_t i = 2; i + 1 < size; i += 2 + (size_t)(jpeg[i + 2] << 8 | jpeg[i + 3]))
        if (jpeg[i + 1] == marker)
            return jpeg + i;
    fail_msg("no marker %x", marker);
    return NULL;
}

static void jpeg_byte(const char *path, int marker, int i, int value, const char *part)
{
    size_t size;
    uint8_t *jpeg = reference_file(path, &size);
    jpeg_marker(jpeg, size, marker)[i] = (uint8_t)value;
    refused(jpeg, size, part);
    free(jpeg);
}

static void test_jpeg(void **state)
{
    (void)state;
    jpeg_byte(DATA "colour.jpg", 0xC0, 1, 0xC3, "cannot be decoded: Unsupported JPEG process: SOF type 0xc3");
    jpeg_byte(DATA "colour.jpg", 0xC0, 4, 12, "cannot be decoded: Unsupported JPEG data precision 12");
    jpeg_byte(DATA "colour.jpg", 0xC0, 9, 2, "cannot be decoded: Bogus marker length");
    jpeg_byte(DATA "colour.jpg", 0xC0, 11, 0x51, "cannot be decoded: Bogus sampling factors");
    jpeg_byte(DATA "colour.jpg", 0xC0, 6, 0, "cannot be decoded: Empty JPEG image");
    jpeg_byte(DATA "colour.jpg", 0xC0, 10, 77, "cannot be decoded: Invalid component ID 1 in SOS");
    jpeg_byte(DATA "colour.jpg", 0xC0, 12, 7, "cannot be decoded: Quantization table 0x07 was not defined");
    jpeg_byte(DATA "colour.jpg", 0xC4, 5, 255, "cannot be decoded: Bogus Huffman table definition");
    jpeg_byte(DATA "colour.jpg", 0xDA, 4, 4, "cannot be decoded: Bogus marker length");
    jpeg_byte(DATA "colour.jpg", 0xDB, 2, 0xFF, "cannot be decoded");
    jpeg_byte(DATA "colour.jpg", 0xC0, 5, 0xFF, "is cut short: the JPEG has less data than its size says");
    jpeg_byte(DATA "colour.jpg", 0xE0, 2, 0xFF, "is cut short: a JPEG segment is longer than the rest of the file");

    size_t size;
    uint8_t *jpeg = reference_file(DATA "colour.jpg", &size);
    uint8_t *scan = jpeg_marker(jpeg, size, 0xDA);
    size_t head = (size_t)(scan - jpeg) + 2 + 12;
    memcpy(jpeg + head, "\xFF\xD9", 2); /* a scan without data */
    refused(jpeg, head + 2, "is cut short: the JPEG has less data");
    memcpy(scan, "\xFF\xD9", 2); /* no scan */
    refused(jpeg, (size_t)(scan - jpeg) + 2, "missing SOS marker");
    memcpy(jpeg + 2, "\xFF\xD9", 2); /* no frame */
    refused(jpeg, 4, "contains no image");
    refused(jpeg, 3, "is cut short");
    free(jpeg);
}

/* What libjpeg only warns about: data that are wrong are an error, bytes that belong to nothing a warning. */
static void test_jpeg_in_doubt(void **state)
{
    (void)state;
    doubtful_file(DATA "coarse.jpg", DATA "coarse.jpg", "the JPEG ends before its last scans: details are missing");
    size_t size;
    uint8_t *jpeg = reference_file(DATA "colour.jpg", &size), *more = malloc(size + 4);
    assert_non_null(more);
    memcpy(more, jpeg, size - 2);
    memcpy(more + size - 2, "\1\2\3\4\xFF\xD9", 6);
    doubtful(more, size + 4, DATA "colour.jpg", "part of the picture may be wrong: ");
    free(more);
    free(jpeg);
    jpeg = reference_file(DATA "restart.jpg", &size);
    uint8_t *restart = memmem(jpeg, size, "\xFF\xD1", 2);
    assert_non_null(restart);
    restart[1] = 0xD5;
    refused(jpeg, size, "is damaged: Corrupt JPEG data: found marker 0xd5 instead of RST1");
    free(jpeg);
}

/* A progressive file may not go over its blocks for ever. */
static void test_jpeg_of_endless_scans(void **state)
{
    (void)state;
    size_t size;
    uint8_t *jpeg = reference_file(DATA "progressive.jpg", &size);
    uint8_t *scan = jpeg_marker(jpeg, size, 0xDA);
    size_t head = (size_t)(scan - jpeg), n = 2 + (size_t)(scan[2] << 8 | scan[3]), end = head + n;
    while (jpeg[end] != 0xFF || jpeg[end + 1] == 0)
        end++;
    n = end - head;
    uint8_t *many = malloc(head + 101 * n + 2);
    assert_non_null(many);
    memcpy(many, jpeg, head);
    for (size_t i = 0; i < 101; i++)
        memcpy(many + head + i * n, scan, n);
    memcpy(many + head + 101 * n, "\xFF\xD9", 2);
    refused(many, head + 101 * n + 2, "a JPEG of more than 100 scans");
    free(many);
    free(jpeg);
}

/* --- GIF, BMP, TGA, PNM ------------------------------------------------------------------------------------------ */

static void file_byte(const char *path, size_t i, int value, const char *part)
{
    size_t size;
    uint8_t *file = reference_file(path, &size);
    assert_true(i < size);
    file[i] = (uint8_t)value;
    refused(file, size, part);
    free(file);
}

static void test_gif(void **state)
{
    (void)state;
    size_t size;
    uint8_t *gif = reference_file(DATA "thirteen.gif", &size);
    size_t colours = (size_t)6 << (gif[10] & 7), frame = 13 + colours;
    while (gif[frame] != ',')
        frame++;
    file_byte(DATA "thirteen.gif", frame, ';', "the GIF holds no picture");
    file_byte(DATA "thirteen.gif", frame, 'x', "GIF block 78 at byte");
    file_byte(DATA "thirteen.gif", frame + 5, 0, "the first frame of the GIF has 0 x 14 pixels");
    file_byte(DATA "thirteen.gif", frame + 6, 1, "the GIF has less data than its frame has pixels"); /* 276 x 14 */
    file_byte(DATA "thirteen.gif", frame + 10, 13, "GIF colours of 13 bits, expected at most 8");
    doubtful(gif, size - 2, DATA "thirteen.png", "the end of the GIF is missing; all pixels are there");
    refused(gif, size - 3, "is cut short");
    memset(gif + frame + 11 + 40, 0, size - frame - 51); /* its blocks end early */
    refused(gif, size, "this GIF cannot be decoded");
    free(gif);
}

static void test_bmp(void **state)
{
    (void)state;
    file_byte(DATA "small.bmp", 30, 1, "a BMP of kind 1 with 24 bits a pixel, which is not read");
    file_byte(DATA "small.bmp", 30, 5, "a BMP of kind 5 with 24 bits a pixel, which is not read");
    doubtful_file(DATA "bmp/rle8-delta.bmp", DATA "bmp/rle8-delta.png", "leaves pixels out or runs past a row");
    doubtful_file(DATA "bmp/rle8-long-run.bmp", DATA "bmp/rle8-long-run.png", "leaves pixels out or runs past a row");
    doubtful_file(DATA "bmp/rle8-long-abs.bmp", DATA "bmp/rle8-long-abs.png", "leaves pixels out or runs past a row");
    file_byte(DATA "small.bmp", 28, 5, "a BMP of 5 bits a pixel");
    file_byte(DATA "small.bmp", 10, 20, "BMP pixels start at byte 20, inside the header");
    file_byte(DATA "small.bmp", 13, 0x7F, "fewer pixels than its size says");
    file_byte(DATA "small.bmp", 20, 1, "fewer pixels than its size says");
    file_byte(DATA "small.bmp", 25, 0x80, "expected sides of at most");

    size_t size;
    uint8_t *bmp = reference_file(DATA "thirteen.bmp", &size);
    size_t pixels = (size_t)bmp[10] | (size_t)bmp[11] << 8;
    memmove(bmp + pixels - 4, bmp + pixels, size - pixels); /* a colour that is used is not in the palette */
    pixels -= 4;
    bmp[10] = (uint8_t)pixels;
    bmp[11] = (uint8_t)(pixels >> 8);
    bmp[pixels] = 255;
    refused(bmp, size - 4, "BMP pixels use colour 255 of a palette of");
    free(bmp);
}

static void test_tga(void **state)
{
    (void)state;
    file_byte(DATA "small.tga", 13, 1, "read as a TGA picture, it has fewer pixels");
    file_byte(DATA "runs.tga", 15, 1, "read as a TGA picture, it has fewer pixels");
    file_byte(DATA "thirteen.tga", 7, 9, "a TGA palette of");
    file_byte(DATA "thirteen.tga", 6, 255, "fewer pixels than its size says");
    file_byte(DATA "small.tga", 2, 7, "no picture of a known format");
}

static void test_pnm(void **state)
{
    (void)state;
    static const struct {
        const char *file, *part;
    } bad[] = {{"P6", "found text, \"P6\", expected a picture"},
               {"P6\n", "ends in its header"},
               {"P6\n2 2", "ends in its header"},
               {"P6\n-2 2 255\n", "ends in its header"},
               {"P6\n2 2 255\n12345678901", "fewer pixels"},
               {"P5\n2 2 65535\n1234567", "fewer pixels"},
               {"P4\n9 2\n123", "fewer pixels"},
               {"P3\n1 1 255\n1 2 ", "fewer pixels"},
               {"P3\n1 1 255\n1 2       ", "fewer numbers"},
               {"P3\n1 1 255\n1 2 x 3  ", "fewer numbers"},
               {"P2\n1 1 255\n# 9999", "fewer numbers"},
               {"P1\n2 2\n10 1x", "fewer numbers"},
               {"P5\n0 2 255\nxx", "0 x 2 pixels"},
               {"P5\n2 2 0\nxxxx", "greatest value of 0"},
               {"P5\n2 2 65536\nxxxx", "greatest value of 65536"},
               {"P5\n99999999999999999999999 2 255\nxx", "expected sides of at most"},
               {"P5\n900000 900000 255\nxx", "expected at most 64000000"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused((const uint8_t *)bad[i].file, strlen(bad[i].file), bad[i].part);
}

/* --- cut short ------------------------------------------------------------------------------------------------ */

/* Every beginning of a file is refused, and from its header on for being cut. */
static void test_every_beginning(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t tail; /* bytes at the end that the decoder does not need */
    } files[] = {{DATA "small.png", 40},   {DATA "colour.jpg", 0},   {DATA "progressive.jpg", 0},
                 {DATA "restart.jpg", 0},  {DATA "thirteen.gif", 2}, {DATA "small.bmp", 0},
                 {DATA "bmp/rle8.bmp", 4}, {DATA "bmp/rle4.bmp", 4}, {DATA "bits.bmp", 1},
                 {DATA "small.tga", 26},   {DATA "runs.tga", 26},    {DATA "thirteen.tga", 26}};
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        size_t size;
        uint8_t *file = reference_file(files[k].path, &size);
        for (size_t n = 1; n < size - files[k].tail; n++)
            refused(file, n, n > 64 ? "is cut short" : "");
        free(file);
    }
}

/* A PNG whose end is missing is whole as long as its pixels are: they end somewhere before the checksum of the data,
 * which some versions of libpng demand. */
static void test_a_png_without_its_end(void **state)
{
    (void)state;
#ifdef PNG_IGNORE_ADLER32
    const size_t spare = 4;
#else
    const size_t spare = 0;
#endif
    static const char *const paths[] = {DATA "small.png", DATA "jpeg/444.png", "tests/data/preprocess/palette.png",
                                        DATA "thirteen.png"};
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++) {
        size_t size, n;
        uint8_t *png = reference_file(paths[k], &size), *data = chunk_of(png, "IDAT");
        size_t end = (size_t)(data - png) + 8 + get32(data);
        while (memcmp(png + end + 8, "IDAT", 4) == 0)
            end += 12 + get32(png + end + 4);
        for (n = size - 1; n >= end - spare; n--)
            doubtful(png, n, paths[k], "the end of the PNG is missing; all pixels are there");
        for (n = end - 64; n < end - 20; n++)
            refused(png, n, "is cut short: the PNG ends inside its data");
        for (n = end - 20; n < end - spare; n++) { /* here, one of the two */
            mv_image image;
            mv_error e = {0};
            if (mv_picture_decode(&image, png, n, "pic", NULL, &e) == MV_OK)
                doubtful(png, n, paths[k], "the end of the PNG is missing; all pixels are there");
            mv_image_free(&image);
        }
        if (data + 8 + get32(data) == png + end) { /* one chunk, which claims 2 GB: they are not waited for */
            data[0] = 0x7F;
            doubtful(png, end - spare, paths[k], "the end of the PNG is missing; all pixels are there");
        }
        free(png);
    }
}

/* A changed byte leads to a refusal or a wrong image, never to more. */
static void test_every_byte_changed(void **state)
{
    (void)state;
    static const char *const paths[] = {DATA "bmp/rle4.bmp",    DATA "gif/inside.gif", DATA "tga/p-start.tga",
                                        DATA "progressive.jpg", DATA "cmyk.jpg",       DATA "orient-6.jpg",
                                        DATA "thirteen.gif",    DATA "thirteen.bmp",   DATA "runs.tga",
                                        DATA "thirteen.tga",    DATA "orient-6.png"};
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++) {
        size_t size;
        uint8_t *file = reference_file(paths[k], &size);
        for (size_t i = 0; i < size; i++) {
            static const uint8_t masks[] = {0x01, 0x80, 0xFF};
            for (size_t m = 0; m < sizeof masks; m++) {
                file[i] ^= masks[m];
                mv_image image;
                mv_error e = {0};
                mv_status s =
                    mv_picture_decode(&image, file, size, "pic", &(mv_picture_options){.max_pixels = 1 << 16}, &e);
                assert_true(s == MV_OK || (s == MV_EINPUT && e.text[0] && !image.rgb));
                mv_image_free(&image);
                file[i] ^= masks[m];
            }
        }
        free(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pngsuite),
        cmocka_unit_test(test_png_chunks),
        cmocka_unit_test(test_a_size_it_has_not),
        cmocka_unit_test(test_data_that_inflate),
        cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_jpeg_in_doubt),
        cmocka_unit_test(test_jpeg_of_endless_scans),
        cmocka_unit_test(test_gif),
        cmocka_unit_test(test_bmp),
        cmocka_unit_test(test_tga),
        cmocka_unit_test(test_pnm),
        cmocka_unit_test(test_every_beginning),
        cmocka_unit_test(test_a_png_without_its_end),
        cmocka_unit_test(test_every_byte_changed),
    };
    return cmocka_run_group_tests_name("image damage", tests, NULL, NULL);
}
