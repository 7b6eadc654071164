/* Bytes of a filtered picture into a zlib stream (RFC 1950, 1951), fast.
 *
 * After PNG's filters a page is long runs of zero between photos that hold hardly a repeat. So only
 * runs of one byte are looked for, and all else is left to a Huffman code made for every block: a third
 * of the time of zlib's level 1 and smaller. The same bytes come out on every machine.
 */
#ifndef MV_PACK_H
#define MV_PACK_H

#include <stddef.h>
#include <stdint.h>

enum { MV_PACK_BLOCK = 1 << 17, MV_PACK_OUT = MV_PACK_BLOCK / 8 * 15 + 1024 };

typedef struct {
    uint64_t bits; /* not yet written, lowest first */
    int bit_count;
    int last;                 /* the byte before the block; -1 at the start */
    uint32_t a, b;            /* Adler-32 so far */
    size_t size;              /* bytes in out */
    uint8_t out[MV_PACK_OUT]; /* what this call made: take it before the next */
    uint16_t token[MV_PACK_BLOCK];
} mv_pack;

void mv_pack_start(mv_pack *p);

/* The next n bytes, at most MV_PACK_BLOCK; `final` ends the stream. */
void mv_pack_block(mv_pack *p, const uint8_t *bytes, size_t n, int final);

#endif
