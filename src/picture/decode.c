#include "src/picture/decode.h"

#include <errno.h>
#include <fcntl.h>
#include <libexif/exif-data.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/picture/codec.h"

/* --- the decoder, and the memory it may have ---------------------------------------------------------- */

/* stb_image and libexif pass no context to their allocator, so what is left to them lives in the thread; it is
 * set before each use and means nothing after it. */
static _Thread_local struct {
    size_t left;
    bool spent;  /* it asked for more than `left` */
    bool failed; /* there was no memory */
} budget;

/* Zeroed, because what a damaged file leaves out would otherwise be shown as whatever was there. */
static void *budget_alloc(size_t size)
{
    if (size > budget.left) {
        budget.spent = true;
        return NULL;
    }
    void *p = calloc(1, size);
    if (p)
        budget.left -= malloc_usable_size(p) < budget.left ? malloc_usable_size(p) : budget.left;
    else
        budget.failed = true;
    return p;
}

static void budget_free(void *p)
{
    budget.left += malloc_usable_size(p);
    free(p);
}

static void *budget_realloc(void *p, size_t size)
{
    void *q = budget_alloc(size);
    if (q && p) {
        size_t old = malloc_usable_size(p);
        memcpy(q, p, old < size ? old : size);
        budget_free(p);
    }
    return q;
}

#define STBI_MALLOC(size)     budget_alloc(size)
#define STBI_REALLOC(p, size) budget_realloc(p, size)
#define STBI_FREE(p)          budget_free(p)
#define STBI_ASSERT(x)        ((void)sizeof(x))
#define STBI_MAX_DIMENSIONS   MV_PICTURE_MAX_SIDE
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION

/* The decoder is spared the undefined-behaviour sanitizer: on a damaged JPEG the version of 2022 adds and shifts past
 * the width of an int, which costs no more than wrong pixels in a picture that is wrong anyway. Clang marks a
 * stretch of code for that, gcc only functions; what the header includes itself must come before. */
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("undefined"))), apply_to = function)
#include <stb/stb_image.h>
#pragma clang attribute pop
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"
#define static static __attribute__((no_sanitize("undefined"), unused))
#define stbi_set_unpremultiply_on_load_thread                                                                          \
    stbi__unpremultiply_on_load_thread /* declared as one, defined as the other */
#include <stb/stb_image.h>
#undef static
#pragma GCC diagnostic pop
#endif

/* What decoding an honest file takes at most: PNG of 16-bit RGBA 24 bytes a pixel, GIF 12, progressive JPEG of four
 * components 15 with rows and columns filled up to 32; twice the file for data that are joined. */
static size_t fair_budget(const mv_form *f, size_t size)
{
    size_t fill = f->kind == MV_FORM_JPEG ? 31 : 0;
    return ((size_t)f->w + fill) * ((size_t)f->h + fill) * 32 + 2 * size + ((size_t)1 << 20);
}

static mv_status decode(const mv_form *f, mv_image *out, mv_error *e)
{
    static const char *const kinds[] = {[MV_FORM_PNG] = "PNG",
                                        [MV_FORM_JPEG] = "JPEG",
                                        [MV_FORM_GIF] = "GIF",
                                        [MV_FORM_BMP] = "BMP",
                                        [MV_FORM_TGA] = "TGA"};
    const uint8_t *bytes = f->clean ? f->clean : f->bytes;
    size_t size = f->clean ? f->clean_size : f->size;
    if (size > INT_MAX)
        return mv_fail(e, MV_EINPUT, "%s: %zu bytes, expected at most %d", f->name, size, INT_MAX);

    budget.left = fair_budget(f, size);
    budget.spent = budget.failed = false;
    int w = 0, h = 0, channels;
    uint8_t *rgb = stbi_load_from_memory(bytes, (int)size, &w, &h, &channels, 3);
    if (rgb && w == f->w && h == f->h) {
        *out = (mv_image){w, h, rgb};
        return MV_OK;
    }
    free(rgb);
    if (budget.failed)
        return mv_fail_memory(e, f->name);
    if (budget.spent)
        return mv_fail(e, MV_EINPUT, "%s: is damaged: its data unpack to more than %d x %d pixels need", f->name, f->w,
                       f->h);
    return mv_fail(e, MV_EINPUT, "%s: this %s cannot be decoded: %s", f->name, kinds[f->kind],
                   rgb ? "its size is not what its header says" : stbi_failure_reason());
}

/* --- orientation ----------------------------------------------------------------------------------------- */

enum { EXIF_BUDGET = 1 << 20 };

static void *exif_alloc(ExifLong size)
{
    return budget_alloc(size);
}

static void *exif_realloc(void *p, ExifLong size)
{
    return budget_realloc(p, size);
}

/* EXIF's tag 0x0112 in the TIFF block after `mark`: 1 as it should be seen .. 8; 1 when nothing sensible is said. */
static int orientation_in(ExifData *data, const uint8_t *block, size_t size)
{
    exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION); /* read it as it is, mend nothing */
    exif_data_load_data(data, block, (unsigned)size);
    const ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    int o = 1;
    if (entry && entry->format == EXIF_FORMAT_SHORT && entry->components == 1 && entry->size >= 2)
        o = exif_get_short(entry->data, exif_data_get_byte_order(data));
    return o >= 1 && o <= 8 ? o : 1;
}

static mv_status read_orientation(const mv_form *f, int *o, mv_error *e)
{
    static const uint8_t mark[6] = "Exif\0";
    *o = 1;
    if (!f->exif || f->exif_size > 0xFFFF)
        return MV_OK;
    budget.left = EXIF_BUDGET;
    budget.failed = false;
    ExifMem *mem = exif_mem_new(exif_alloc, exif_realloc, budget_free);
    ExifData *data = mem ? exif_data_new_mem(mem) : NULL;
    uint8_t *block = malloc(sizeof mark + f->exif_size);
    bool ready = data && block;
    if (ready) {
        memcpy(block, mark, sizeof mark);
        memcpy(block + sizeof mark, f->exif, f->exif_size);
        *o = orientation_in(data, block, sizeof mark + f->exif_size);
    }
    if (data)
        exif_data_unref(data);
    if (mem)
        exif_mem_unref(mem);
    free(block);
    /* a picture lying on its side for want of memory would not be noticed */
    return ready && !budget.failed ? MV_OK : mv_fail_memory(e, f->name);
}

/* Turns the picture so that it is seen as it was taken. Orientation o says where the stored row 0 and column 0
 * lie: 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
 */
static mv_status turn(mv_image *image, int o, const char *name, mv_error *e)
{
    if (o == 1)
        return MV_OK;
    int w = image->w, h = image->h;
    bool swap = o >= 5;
    bool from_right = o == 2 || o == 3 || o == 7 || o == 8; /* stored columns are walked from the last */
    bool from_bottom = o == 3 || o == 4 || o == 6 || o == 7;
    mv_image turned;
    if (mv_image_new(&turned, swap ? h : w, swap ? w : h, NULL) != MV_OK)
        return mv_fail_memory(e, name);
    ptrdiff_t across = from_right ? -3 : 3, down = (ptrdiff_t)w * (from_bottom ? -3 : 3);
    const uint8_t *corner =
        image->rgb + 3 * (size_t)(from_right ? w - 1 : 0) + 3 * (size_t)w * (size_t)(from_bottom ? h - 1 : 0);
    ptrdiff_t step = swap ? down : across, next = swap ? across : down;
    uint8_t *out = turned.rgb;
    for (int y = 0; y < turned.h; y++) {
        const uint8_t *in = corner + y * next;
        for (int x = 0; x < turned.w; x++, in += step, out += 3)
            memcpy(out, in, 3);
    }
    mv_image_free(image);
    *image = turned;
    return MV_OK;
}

mv_status mv_picture_decode(mv_image *out, const void *bytes, size_t size, const char *name,
                            const mv_picture_options *o, mv_error *e)
{
    *out = (mv_image){0};
    mv_form f = {.bytes = bytes,
                 .size = size,
                 .name = name,
                 .max_pixels = o && o->max_pixels ? o->max_pixels : MV_PICTURE_MAX_PIXELS};
    mv_status s = mv_form_look(&f, e);
    if (s != MV_OK)
        return s;
    s = f.kind == MV_FORM_PNM ? mv_pnm_decode(&f, out, e) : decode(&f, out, e);
    free(f.clean);
    if (s == MV_OK && !(o && o->ignore_exif)) {
        int turned;
        s = read_orientation(&f, &turned, e);
        if (s == MV_OK)
            s = turn(out, turned, name, e);
    }
    if (s != MV_OK)
        mv_image_free(out);
    return s;
}

/* --- files ------------------------------------------------------------------------------------------------- */

enum { FIRST_ROOM = 1 << 16, ENOUGH_TO_TELL = 1 << 12 };

/* Reads fd to its end into *bytes, the caller's to free also on failure. What can be no picture is given up early:
 * a pipe may have no end. */
static mv_status read_all(int fd, const char *name, size_t expected, size_t most, uint8_t **bytes, size_t *size,
                          mv_error *e)
{
    size_t room = expected < FIRST_ROOM ? FIRST_ROOM : expected + 1; /* one more shows the end */
    *size = 0;
    *bytes = malloc(room);
    if (!*bytes)
        return mv_fail_memory(e, name);
    for (;;) {
        if (*size == room) {
            uint8_t *more = realloc(*bytes, room *= 2);
            if (!more)
                return mv_fail_memory(e, name);
            *bytes = more;
        }
        ssize_t n = read(fd, *bytes + *size, room - *size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mv_fail_errno(e, name, "cannot be read");
        if (n == 0)
            return MV_OK;
        *size += (size_t)n;
        if (*size > most)
            return mv_fail(e, MV_EINPUT, "%s: is more than %zu bytes, too many for a picture of the pixels allowed",
                           name, most);
        if (*size >= ENOUGH_TO_TELL && mv_form_kind_of(*bytes, *size) == MV_FORM_NONE)
            return MV_OK; /* decoding will say so */
    }
}

mv_status mv_picture_load(mv_image *out, const char *path, const mv_picture_options *o, mv_error *e)
{
    *out = (mv_image){0};
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return mv_fail_errno(e, name, "cannot be opened");

    size_t pixels = o && o->max_pixels ? o->max_pixels : MV_PICTURE_MAX_PIXELS;
    size_t most = pixels < INT_MAX / 8 - (1 << 20) ? 8 * pixels + (1 << 20) : INT_MAX;
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct stat st;
    mv_status s;
    if (fstat(fd, &st) != 0)
        s = mv_fail_errno(e, name, "cannot be read");
    else if (S_ISDIR(st.st_mode))
        s = mv_fail(e, MV_EINPUT, "%s: is a directory, expected a picture", name);
    else if (!standard && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
        s = mv_fail(e, MV_EINPUT, "%s: is a device, expected a picture", name);
    else {
        size_t expected = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0;
        s = read_all(fd, name, expected < most ? expected : most, most, &bytes, &size, e);
    }
    if (!standard)
        close(fd);
    if (s == MV_OK)
        s = mv_picture_decode(out, bytes, size, name, o, e);
    free(bytes);
    return s;
}
