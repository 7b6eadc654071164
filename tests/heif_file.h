/* HEIC files made by hand: items, the references between them, and the coded tile of tests/data/image/photo.heic, of
 * 64 x 64 pixels, for each item that is coded. */
#ifndef HEIF_FILE_H
#define HEIF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEIF_ITEMS = 64, HEIF_PARTS = 64 };

/* An item is numbered from 1, by its place; item 1 is the primary one. */
typedef struct {
    const char *type;       /* "hvc1", "grid", "iden", "iovl", ... */
    uint32_t w, h;          /* of ispe and of the data of grid and iovl; 0: 64 */
    unsigned rows, columns; /* of a grid; 0: 1 */
    unsigned offsets;       /* of an iovl: so many pairs x, y */
    int x, y;
    bool alpha; /* it is an alpha by its property auxC */
} heif_item;

typedef struct {
    const char *type; /* "dimg", "auxl", ... */
    unsigned from, to;
    unsigned n, step; /* to, to + step, ...; n 0: one */
} heif_reference;

typedef struct {
    heif_item item[HEIF_ITEMS + 1]; /* up to the first without a type */
    heif_reference reference[HEIF_ITEMS + 1];
    unsigned version;       /* of iref: numbers of 2 or 4 bytes */
    unsigned twice;         /* the last item again with this number, besides its own; 0: no */
    size_t repeat, padding; /* extents of each coded item, all the same; bytes behind the tile in each */
} heif_made;

/* The file, the caller's to free. */
uint8_t *heif_file(const heif_made *m, size_t *size);

/* Where the type of a box stands; fails the test without one. */
uint8_t *heif_box(uint8_t *file, size_t size, const char *type);

#endif
