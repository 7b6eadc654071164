/* Compresses the bytes of a filtered picture into a zlib stream (RFC 1950, 1951), fast.
 *
 * After PNG's filters a page consists of long runs of zeros between photos that hardly repeat. So the encoder looks for
 * runs of one byte only and leaves the rest to a Huffman code per block. It takes a third of the time of zlib's level
 * 1, and the result is smaller. The bytes are the same on every machine.
 */
#ifndef MV_DEFLATE_H
#define MV_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

enum { MV_DEFLATE_BLOCK = 1 << 17, MV_DEFLATE_OUT = MV_DEFLATE_BLOCK / 8 * 15 + 1024 };

typedef struct {
    uint64_t bits; /* not written yet, lowest first */
    int bit_count;
    int last;                    /* the byte before the block; -1 at the start */
    uint32_t a, b;               /* Adler-32 so far */
    size_t size;                 /* bytes in out */
    uint8_t out[MV_DEFLATE_OUT]; /* the output of this call: valid until the next */
    uint16_t token[MV_DEFLATE_BLOCK];
} mv_deflate;

void mv_deflate_start(mv_deflate *p);

/* Compresses the next n bytes, at most MV_DEFLATE_BLOCK. `final` ends the stream. */
void mv_deflate_block(mv_deflate *p, const uint8_t *bytes, size_t n, int final);

#endif
