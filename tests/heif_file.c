#include <setjmp.h>
#include <stdarg.h>

#include "tests/heif_file.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/reference_png.h"

enum { TILE = 64, MOST = 1 << 18 };

typedef struct {
    uint8_t *at;
    size_t n;
} bytes;

static void put(bytes *b, unsigned width, uint64_t value)
{
    assert_true(b->n + width <= MOST);
    for (unsigned i = width; i-- > 0;)
        b->at[b->n++] = (uint8_t)(value >> (8 * i));
}

static void put_bytes(bytes *b, const void *from, size_t n)
{
    assert_true(b->n + n <= MOST);
    memcpy(b->at + b->n, from, n);
    b->n += n;
}

static size_t begin(bytes *b, const char *type)
{
    put(b, 4, 0);
    put_bytes(b, type, 4);
    return b->n - 8;
}

static size_t begin_full(bytes *b, const char *type, unsigned version)
{
    size_t at = begin(b, type);
    put(b, 4, (uint64_t)version << 24);
    return at;
}

static void end(bytes *b, size_t at)
{
    bytes size = {.at = b->at + at};
    put(&size, 4, b->n - at);
}

uint8_t *heif_box(uint8_t *file, size_t size, const char *type)
{
    for (size_t i = 4; i + 4 <= size; i++)
        if (!memcmp(file + i, type, 4))
            return file + i;
    fail_msg("no box %s", type);
    return NULL;
}

static uint32_t side(uint32_t length)
{
    return length ? length : TILE;
}

static unsigned count(const heif_made *m)
{
    unsigned n = 0;
    while (m->item[n].type)
        n++;
    return n;
}

static bool is_coded(const heif_item *i)
{
    return !strcmp(i->type, "hvc1");
}

/* The data of a grid or an overlay, with sizes of 32 bits; none of others. */
static void put_data(bytes *b, const heif_item *i)
{
    if (!strcmp(i->type, "grid")) {
        put(b, 2, 1);
        put(b, 1, i->rows ? i->rows - 1 : 0);
        put(b, 1, i->columns ? i->columns - 1 : 0);
    } else if (!strcmp(i->type, "iovl")) {
        put(b, 2, 1);
        put(b, 8, 0xFFFF);
    } else
        return;
    put(b, 4, side(i->w));
    put(b, 4, side(i->h));
    for (unsigned k = 0; k < i->offsets; k++) {
        put(b, 4, (uint32_t)i->x);
        put(b, 4, (uint32_t)i->y);
    }
}

/* The places of the data, which are in idat and at `tile`. */
static void put_places(bytes *b, const heif_made *m, size_t tile, size_t length)
{
    unsigned n = count(m);
    uint8_t *data = malloc(MOST);
    assert_non_null(data);
    bytes idat = {.at = data};
    size_t at = begin_full(b, "iloc", 1);
    put(b, 2, 0x4400);
    put(b, 2, n);
    for (unsigned i = 0; i < n; i++) {
        bool coded = is_coded(&m->item[i]);
        size_t from = idat.n, extents = coded && m->repeat ? m->repeat : 1;
        put_data(&idat, &m->item[i]);
        put(b, 2, i + 1);
        put(b, 2, !coded);
        put(b, 2, 0);
        put(b, 2, extents);
        while (extents-- > 0) {
            put(b, 4, coded ? tile : from);
            put(b, 4, coded ? length : idat.n - from);
        }
    }
    end(b, at);
    at = begin(b, "idat");
    put_bytes(b, data, idat.n);
    end(b, at);
    free(data);
}

static void put_items(bytes *b, const heif_made *m)
{
    unsigned n = count(m), all = n + (m->twice != 0);
    size_t list = begin_full(b, "iinf", 0);
    put(b, 2, all);
    for (unsigned i = 0; i < all; i++) {
        size_t at = begin_full(b, "infe", 2);
        put(b, 2, i < n ? i + 1 : m->twice);
        put(b, 2, 0);
        put_bytes(b, m->item[i < n ? i : n - 1].type, 4);
        put(b, 1, 0);
        end(b, at);
    }
    end(b, list);
}

/* Properties 1 to 3 are hvcC, auxC and pixi; 3 + i is the size of item i. */
static void put_properties(bytes *b, const heif_made *m, const uint8_t *codec, size_t codec_size)
{
    static const char alpha[] = "urn:mpeg:hevc:2015:auxid:1";
    unsigned n = count(m);
    size_t all = begin(b, "iprp"), list = begin(b, "ipco");
    put_bytes(b, codec, codec_size);
    size_t at = begin_full(b, "auxC", 0);
    bool any = false;
    for (unsigned i = 0; i < n; i++)
        any = any || m->item[i].alpha;
    put_bytes(b, any ? alpha : "", any ? sizeof alpha : 1);
    end(b, at);
    at = begin_full(b, "pixi", 0);
    put(b, 4, 0x03080808);
    end(b, at);
    for (unsigned i = 0; i < n; i++) {
        at = begin_full(b, "ispe", 0);
        put(b, 4, side(m->item[i].w));
        put(b, 4, side(m->item[i].h));
        end(b, at);
    }
    end(b, list);
    at = begin_full(b, "ipma", 0);
    put(b, 4, n);
    for (unsigned i = 0; i < n; i++) {
        bool coded = is_coded(&m->item[i]), aux = m->item[i].alpha;
        put(b, 2, i + 1);
        put(b, 1, 2U + coded + aux);
        if (coded)
            put(b, 1, 1);
        if (aux)
            put(b, 1, 2);
        put(b, 1, 3);
        put(b, 1, 4 + i);
    }
    end(b, at);
    end(b, all);
}

static void put_references(bytes *b, const heif_made *m)
{
    if (!m->reference[0].type)
        return;
    unsigned wide = m->version ? 4 : 2;
    size_t all = begin_full(b, "iref", m->version);
    for (const heif_reference *r = m->reference; r->type; r++) {
        size_t at = begin(b, r->type);
        unsigned n = r->n ? r->n : 1;
        put(b, wide, r->from);
        put(b, 2, n);
        for (unsigned k = 0; k < n; k++)
            put(b, wide, r->to + k * r->step);
        end(b, at);
    }
    end(b, all);
}

uint8_t *heif_file(const heif_made *m, size_t *size)
{
    size_t whole;
    uint8_t *photo = reference_file("tests/data/image/photo.heic", &whole);
    const uint8_t *codec = heif_box(photo, whole, "hvcC") - 4, *coded = heif_box(photo, whole, "mdat") + 4;
    size_t codec_size = codec[3], length = (size_t)(photo + whole - coded);
    bytes b = {.at = malloc(MOST)};
    assert_non_null(b.at);
    size_t tile = 0;
    for (int round = 0; round < 2; round++) { /* the first finds where the tile is */
        b.n = 0;
        size_t at = begin(&b, "ftyp");
        put_bytes(&b, "heic\0\0\0\0mif1heic", 16);
        end(&b, at);
        size_t meta = begin_full(&b, "meta", 0);
        at = begin_full(&b, "hdlr", 0);
        put_bytes(&b, "\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0", 21);
        end(&b, at);
        at = begin_full(&b, "pitm", 0);
        put(&b, 2, 1);
        end(&b, at);
        put_places(&b, m, tile, length + m->padding);
        put_items(&b, m);
        put_properties(&b, m, codec, codec_size);
        put_references(&b, m);
        end(&b, meta);
        tile = b.n + 8;
    }
    size_t data = begin(&b, "mdat");
    put_bytes(&b, coded, length);
    for (size_t i = 0; i < m->padding; i++)
        put(&b, 1, 0);
    end(&b, data);
    free(photo);
    *size = b.n;
    return b.at;
}
