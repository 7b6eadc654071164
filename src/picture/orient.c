#include "src/picture/orient_impl.h"

#include <libexif/exif-data.h>
#include <stdlib.h>

#include "src/picture/budget_impl.h"

enum { EXIF_BUDGET = 1 << 20 };

static void *exif_alloc(ExifLong size)
{
    return mv_budget_alloc(size);
}

static void *exif_realloc(void *p, ExifLong size)
{
    return mv_budget_realloc(p, size);
}

/* The value of EXIF's tag 0x0112 in a TIFF block after `mark`, 1 to 8; 1, which means "as stored", if there is none. */
static int orientation_in(ExifData *data, const uint8_t *block, size_t size)
{
    exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION); /* read, repair nothing */
    exif_data_load_data(data, block, (unsigned)size);
    const ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    int o = 1;
    if (entry && entry->format == EXIF_FORMAT_SHORT && entry->components == 1 && entry->size >= 2)
        o = exif_get_short(entry->data, exif_data_get_byte_order(data));
    return o >= 1 && o <= 8 ? o : 1;
}

static mv_status read_orientation(const mv_encoded *f, int *o, mv_error *e)
{
    static const uint8_t mark[6] = "Exif\0";
    *o = 1;
    if (!f->exif || f->exif_size > 0xFFFF)
        return MV_OK;
    mv_budget_set(EXIF_BUDGET);
    ExifMem *mem = exif_mem_new(exif_alloc, exif_realloc, mv_budget_free);
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
    /* without this, an image that lies on its side for lack of memory would go unnoticed */
    return ready && !mv_budget_failed() ? MV_OK : mv_fail_memory(e, f->name);
}

/* Orientation o says where the stored row 0 and column 0 lie: 1 top left, 2 top right, 3 bottom right, 4 bottom left,
 * 5 left top, 6 right top, 7 right bottom, 8 left bottom. */
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

mv_status mv_orient(mv_image *image, const mv_encoded *f, mv_error *e)
{
    int o;
    mv_status s = read_orientation(f, &o, e);
    return s ? s : turn(image, o, f->name, e);
}
