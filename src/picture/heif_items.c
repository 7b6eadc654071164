#include "src/picture/heif_impl.h"

#include <stdlib.h>

/* The boxes are those of ISO/IEC 14496-12, 8.11 (meta, iloc, iinf, iref, idat), the images those of ISO/IEC 23008-12,
 * 6.6 (iden, grid, iovl). All of a file's items count, whether the primary image needs them or not. What readers may
 * take in two ways is refused, since libheif could see another file than this one does: two boxes of a kind that may be
 * there once, sizes that do not fit, items of the same number. */

#define TYPE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum {
    META = TYPE('m', 'e', 't', 'a'),
    IINF = TYPE('i', 'i', 'n', 'f'),
    INFE = TYPE('i', 'n', 'f', 'e'),
    IREF = TYPE('i', 'r', 'e', 'f'),
    ILOC = TYPE('i', 'l', 'o', 'c'),
    IDAT = TYPE('i', 'd', 'a', 't'),
    UUID = TYPE('u', 'u', 'i', 'd'),
    DIMG = TYPE('d', 'i', 'm', 'g'),
    AUXL = TYPE('a', 'u', 'x', 'l'),
    IDEN = TYPE('i', 'd', 'e', 'n'),
    GRID = TYPE('g', 'r', 'i', 'd'),
    IOVL = TYPE('i', 'o', 'v', 'l'),
    HVC1 = TYPE('h', 'v', 'c', '1'),
    AV01 = TYPE('a', 'v', '0', '1')
};

/* Bytes that are read from their beginning. What lies behind their end is 0, and `ended` says so. */
typedef struct {
    const uint8_t *at;
    size_t left;
    bool ended;
} part;

typedef struct {
    uint32_t id, type;
    int level;          /* 0: made of no other image */
    uint64_t decodings; /* images that are decoded for it, with itself */
    bool has_auxiliary;
} item;

/* To decode one item, the other is decoded. */
typedef struct {
    int whole, other; /* in `item` */
    bool derived;     /* whole is made of the other; else the other is auxiliary to it, such as its alpha */
} need;

typedef struct {
    const mv_encoded *f;
    size_t most; /* pixels of a canvas */
    part meta, iinf, iref, iloc, idat;
    int items, needs;
    item *item; /* by number */
    need *need;
} heif_items;

static uint64_t take(part *p, unsigned bytes)
{
    uint64_t value = 0;
    if (p->left < bytes) {
        p->ended = true;
        p->left = 0;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | p->at[i];
    p->at += bytes;
    p->left -= bytes;
    return value;
}

static void skip(part *p, size_t bytes)
{
    p->ended = p->ended || p->left < bytes;
    bytes = p->left < bytes ? p->left : bytes;
    p->at += bytes;
    p->left -= bytes;
}

/* The next box: its type, and its content. False at the end of p, and, with `ended`, for a box that does not fit: then
 * its type is set if it has one. A box of size 0 goes to the end of the file; inside of another box, where readers
 * differ, it does not fit. */
static bool next_box(part *p, bool of_file, uint32_t *type, part *content)
{
    size_t all = p->left;
    if (!all)
        return false;
    uint64_t size = take(p, 4);
    *type = (uint32_t)take(p, 4);
    if (size == 0 && of_file)
        size = all;
    else if (size == 1)
        size = take(p, 8);
    if (*type == UUID)
        skip(p, 16);
    size_t header = all - p->left;
    if (p->ended || size < header || size > all) {
        p->ended = true;
        return false;
    }
    *content = (part){.at = p->at, .left = (size_t)size - header};
    skip(p, content->left);
    return true;
}

static mv_status unfit(const heif_items *h, const char *box, mv_error *e)
{
    return mv_fail(e, MV_EINPUT,
                   "%s: is damaged: found a box %s of the HEIF whose sizes or counts do not fit its content",
                   h->f->name, box);
}

/* ---- boxes */

static mv_status keep(const heif_items *h, part *where, part content, const char *box, mv_error *e)
{
    if (where->at)
        return mv_fail(e, MV_EINPUT, "%s: is damaged: found two boxes %s in the HEIF, expected one", h->f->name, box);
    *where = content;
    return MV_OK;
}

static mv_status find_boxes(heif_items *h, mv_error *e)
{
    part file = {.at = h->f->bytes, .left = h->f->size}, content;
    uint32_t type = 0;
    mv_status s = MV_OK;
    while (!s && next_box(&file, true, &type, &content))
        if (type == META)
            s = keep(h, &h->meta, content, "meta", e);
    /* What else is cut short, libheif says if it needs it: many programs add bytes to files that are no boxes. */
    if (!s && file.ended && type == META)
        return mv_encoded_short(h->f, "the HEIF ends inside one of its boxes", e);
    part meta = h->meta;
    if (meta.at)
        skip(&meta, 4);
    while (!s && next_box(&meta, false, &type, &content)) {
        if (type == IINF)
            s = keep(h, &h->iinf, content, "iinf", e);
        else if (type == IREF)
            s = keep(h, &h->iref, content, "iref", e);
        else if (type == ILOC)
            s = keep(h, &h->iloc, content, "iloc", e);
        else if (type == IDAT)
            s = keep(h, &h->idat, content, "idat", e);
    }
    return !s && meta.ended ? unfit(h, "meta", e) : s;
}

/* ---- items */

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const item *)a)->id, y = ((const item *)b)->id;
    return (x > y) - (x < y);
}

static item *item_lookup(const heif_items *h, uint32_t id)
{
    item key = {.id = id};
    return h->items ? bsearch(&key, h->item, (size_t)h->items, sizeof key, by_id) : NULL;
}

static mv_status read_item(heif_items *h, part p, mv_error *e)
{
    unsigned version = (unsigned)take(&p, 1);
    skip(&p, 3);
    item i = {.id = (uint32_t)take(&p, version < 3 ? 2 : 4)};
    skip(&p, 2);
    i.type = version < 2 ? 0 : (uint32_t)take(&p, 4);
    if (p.ended || version > 3)
        return unfit(h, "infe", e);
    h->item[h->items++] = i;
    return MV_OK;
}

static mv_status read_items(heif_items *h, mv_error *e)
{
    part p = h->iinf, content;
    uint32_t type;
    unsigned version = (unsigned)take(&p, 1);
    skip(&p, 3);
    uint64_t n = take(&p, version ? 4 : 2);
    if (n > MV_HEIF_ITEMS)
        return mv_fail(e, MV_EINPUT, "%s: found %llu items in the HEIF, expected at most %d", h->f->name,
                       (unsigned long long)n, MV_HEIF_ITEMS);
    h->item = malloc((size_t)(n + 1) * sizeof *h->item);
    if (!h->item)
        return mv_fail_memory(e, h->f->name);
    mv_status s = MV_OK;
    while (!s && next_box(&p, false, &type, &content))
        if (type == INFE)
            s = (uint64_t)h->items < n ? read_item(h, content, e) : unfit(h, "iinf", e);
    if (!s && (p.ended || (uint64_t)h->items != n))
        s = unfit(h, "iinf", e);
    if (s)
        return s;
    qsort(h->item, (size_t)h->items, sizeof *h->item, by_id);
    for (int i = 1; i < h->items; i++)
        if (h->item[i].id == h->item[i - 1].id)
            return mv_fail(e, MV_EINPUT, "%s: is damaged: found two items %u in the HEIF, expected one", h->f->name,
                           (unsigned)h->item[i].id);
    return MV_OK;
}

/* ---- references */

static bool is_derived(const item *i)
{
    return i->type == GRID || i->type == IDEN || i->type == IOVL;
}

/* libheif looks at the tiles of a grid itself, but expects of the others that what they name is an image. */
static mv_status add_reference(heif_items *h, uint32_t type, uint32_t from, uint32_t to, mv_error *e)
{
    item *a = item_lookup(h, from), *b = item_lookup(h, to);
    if (!a || (type != DIMG && type != ILOC && type != AUXL))
        return MV_OK;
    bool is_image = b && (is_derived(b) || b->type == HVC1 || b->type == AV01);
    if (type == DIMG && !is_image && (a->type == IDEN || a->type == IOVL))
        return mv_fail(e, MV_EINPUT,
                       "%s: is damaged: image %u of the HEIF is made of item %u, which is not there or no image that "
                       "others are made of",
                       h->f->name, (unsigned)from, (unsigned)to);
    if (!b)
        return MV_OK;
    bool auxiliary = type == AUXL;
    item *whole = auxiliary ? b : a, *other = auxiliary ? a : b;
    whole->has_auxiliary = whole->has_auxiliary || auxiliary;
    h->need[h->needs++] =
        (need){.whole = (int)(whole - h->item), .other = (int)(other - h->item), .derived = !auxiliary};
    return MV_OK;
}

/* Sizes must be exact: some readers go on where the numbers end, others where the box ends. */
static mv_status read_references(heif_items *h, mv_error *e)
{
    part p = h->iref, content;
    uint32_t type;
    unsigned version = (unsigned)take(&p, 1), wide = version ? 4 : 2;
    skip(&p, 3);
    size_t all = 0, room = p.left / wide < MV_HEIF_REFERENCES ? p.left / wide : MV_HEIF_REFERENCES;
    h->need = malloc((room + 1) * sizeof *h->need);
    if (!h->need)
        return mv_fail_memory(e, h->f->name);
    mv_status s = version > 1 ? unfit(h, "iref", e) : MV_OK;
    while (!s && next_box(&p, false, &type, &content)) {
        uint32_t from = (uint32_t)take(&content, wide);
        size_t n = (size_t)take(&content, 2);
        all += n + 1;
        if (content.ended || content.left != n * wide)
            return unfit(h, "iref", e);
        if (all > MV_HEIF_REFERENCES)
            return mv_fail(e, MV_EINPUT, "%s: found more than %d references in the HEIF, expected fewer", h->f->name,
                           MV_HEIF_REFERENCES);
        while (!s && n-- > 0)
            s = add_reference(h, type, from, (uint32_t)take(&content, wide), e);
    }
    return !s && p.ended ? unfit(h, "iref", e) : s;
}

/* The level of an image is one above the highest of its parts. In a circle levels rise without end. */
static mv_status find_levels(heif_items *h, mv_error *e)
{
    for (bool rises = true; rises;) {
        rises = false;
        for (int i = 0; i < h->needs; i++) {
            item *whole = &h->item[h->need[i].whole], *other = &h->item[h->need[i].other];
            if (whole->level > other->level)
                continue;
            rises = true;
            whole->level = other->level + 1;
            if (whole->level > MV_HEIF_LEVELS || whole == other)
                return mv_fail(e, MV_EINPUT,
                               "%s: found image %u of the HEIF, which is made of itself, or of images of images on "
                               "more than %d levels, expected fewer; such a file is damaged or made to do harm",
                               h->f->name, (unsigned)whole->id, MV_HEIF_LEVELS);
        }
    }
    return MV_OK;
}

/* Without circles, too, images of images of images can be more than anyone decodes. */
static mv_status count_decodings(heif_items *h, mv_error *e)
{
    uint64_t most = MV_HEIF_REPEATS + 2 * (uint64_t)h->items;
    for (int i = 0; i < h->items; i++)
        h->item[i].decodings = 1;
    for (int level = 1; level <= MV_HEIF_LEVELS; level++)
        for (int i = 0; i < h->needs; i++) {
            item *whole = &h->item[h->need[i].whole];
            if (whole->level != level)
                continue;
            whole->decodings += h->item[h->need[i].other].decodings;
            if (whole->decodings > most)
                return mv_fail(e, MV_EINPUT,
                               "%s: found image %u of the HEIF, for which more than %llu images are decoded, expected "
                               "fewer of %d items; such a file is damaged or made to do harm",
                               h->f->name, (unsigned)whole->id, (unsigned long long)most, h->items);
        }
    return MV_OK;
}

/* libheif 1.15 copies the alpha of a part with the size and the depth of its colours, which the file need not give it.
 */
static mv_status check_alpha(const heif_items *h, mv_error *e)
{
    static const char *const alpha[] = {"urn:mpeg:avc:2015:auxid:1", "urn:mpeg:hevc:2015:auxid:1",
                                        "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"};
    bool has = false;
    for (size_t i = 0; i < sizeof alpha / sizeof *alpha; i++)
        has = has || memmem(h->meta.at, h->meta.left, alpha[i], strlen(alpha[i]));
    for (int i = 0; has && i < h->needs; i++) {
        const item *whole = &h->item[h->need[i].whole], *other = &h->item[h->need[i].other];
        if (h->need[i].derived && is_derived(whole) && other->has_auxiliary)
            return mv_fail(
                e, MV_EINPUT,
                "%s: found image %u of the HEIF, a part of image %u, with an alpha of its own, expected that "
                "only the whole has one; convert the picture to PNG",
                h->f->name, (unsigned)other->id, (unsigned)whole->id);
    }
    return MV_OK;
}

/* ---- places of data */

/* Of iloc: how many bytes its numbers have. */
typedef struct {
    unsigned version, offset, length, base, index;
} form;

/* The canvas of a grid or an overlay, which libheif makes as large as its data say. Where a part of an overlay begins
 * left of the canvas or above it, libheif 1.15 reads beyond the part. */
static mv_status check_canvas(const heif_items *h, const item *i, part p, mv_error *e)
{
    skip(&p, 1);
    unsigned wide = take(&p, 1) & 1 ? 4 : 2;
    skip(&p, i->type == GRID ? 2 : 8); /* rows and columns; the background */
    unsigned long long w = take(&p, wide), high = take(&p, wide);
    if (p.ended)
        return mv_fail(e, MV_EINPUT, "%s: is damaged: found a grid or an overlay in the HEIF without its size",
                       h->f->name);
    if (w > MV_HEIF_SIDE || high > MV_HEIF_SIDE || w * high > h->most)
        return mv_fail(e, MV_EINPUT,
                       "%s: found a grid or an overlay of %llu x %llu pixels in the HEIF, expected at most %zu pixels "
                       "(--max-pixels) and sides of at most %d",
                       h->f->name, w, high, h->most, MV_HEIF_SIDE);
    while (i->type == IOVL && p.left >= wide)
        if (take(&p, wide) >> (8 * wide - 1))
            return mv_fail(e, MV_EINPUT,
                           "%s: found an overlay in the HEIF, a part of which begins outside of its canvas, expected "
                           "it inside; convert the picture to PNG or JPEG",
                           h->f->name);
    return MV_OK;
}

/* The bytes of an extent. False if they are not in the file. */
static bool find_extent(const heif_items *h, unsigned method, uint64_t base, uint64_t offset, uint64_t length,
                        part *data)
{
    part from = method == 0 ? (part){.at = h->f->bytes, .left = h->f->size} : h->idat;
    if (method > 1 || base > from.left || offset > from.left - base || length > from.left - base - offset || !length)
        return false;
    *data = (part){.at = from.at + base + offset, .left = (size_t)length};
    return true;
}

/* Adds the bytes of an item's data to `all`. */
static mv_status read_place(const heif_items *h, part *p, const form *of, uint64_t *all, mv_error *e)
{
    const item *i = item_lookup(h, (uint32_t)take(p, of->version < 2 ? 2 : 4));
    unsigned method = of->version ? (unsigned)take(p, 2) & 15 : 0;
    skip(p, 2);
    uint64_t base = take(p, of->base), offset = 0, length = 0;
    unsigned extents = (unsigned)take(p, 2);
    for (unsigned k = 0; k < extents && !p->ended; k++) {
        skip(p, of->index);
        offset = take(p, of->offset);
        length = take(p, of->length);
        *all += length < h->f->size ? length : h->f->size;
    }
    part data;
    if (p->ended)
        return unfit(h, "iloc", e);
    if (!i || (i->type != GRID && i->type != IOVL))
        return MV_OK;
    if (extents != 1 || !find_extent(h, method, base, offset, length, &data))
        return mv_fail(e, MV_EINPUT,
                       "%s: is cut short or damaged: found a grid or an overlay in the HEIF whose data are not one "
                       "piece of the file",
                       h->f->name);
    return check_canvas(h, i, data, e);
}

/* Data that lie upon each other would grow in libheif's memory: it copies those of all items. Encoders do so with equal
 * tiles, such as those of an alpha that is opaque, which are small. */
static mv_status read_places(const heif_items *h, mv_error *e)
{
    part p = h->iloc;
    form of = {.version = (unsigned)take(&p, 1)};
    skip(&p, 3);
    unsigned sizes = (unsigned)take(&p, 2);
    of.offset = sizes >> 12;
    of.length = sizes >> 8 & 15;
    of.base = sizes >> 4 & 15;
    of.index = of.version ? sizes & 15 : 0;
    uint64_t n = take(&p, of.version < 2 ? 2 : 4), all = 0, most = 2 * (uint64_t)h->f->size + (16 << 20);
    /* Numbers have 0, 4 or 8 bytes. Of version 1, some readers have indices and others have none. */
    if (p.ended || of.version > 2 || n > MV_HEIF_ITEMS || ((of.offset | of.length | of.base | of.index) & 3) ||
        of.offset > 8 || of.length > 8 || of.base > 8 || of.index > 8 || (of.version == 1 && of.index))
        return unfit(h, "iloc", e);
    for (mv_status s; n > 0; n--)
        if ((s = read_place(h, &p, &of, &all, e)))
            return s;
    if (all > most)
        return mv_fail(
            e, MV_EINPUT,
            "%s: found items of %llu bytes in the HEIF, expected at most %llu for the size of the file; such a "
            "file is damaged or made to do harm",
            h->f->name, (unsigned long long)all, (unsigned long long)most);
    return MV_OK;
}

mv_status mv_heif_check_items(const mv_encoded *f, size_t most, mv_error *e)
{
    heif_items h = {.f = f, .most = most};
    mv_status s = find_boxes(&h, e);
    if (!s && h.iinf.at)
        s = read_items(&h, e);
    if (!s && h.iref.at)
        s = read_references(&h, e);
    if (!s)
        s = find_levels(&h, e);
    if (!s)
        s = count_decodings(&h, e);
    if (!s && h.needs)
        s = check_alpha(&h, e);
    if (!s && h.iloc.at)
        s = read_places(&h, e);
    free(h.item);
    free(h.need);
    return s;
}
