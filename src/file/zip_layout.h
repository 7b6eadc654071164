/* The layout of a .zip file with uncompressed entries, for a writer that fills in the data later and in any order.
 * It keeps nothing in memory and writes nothing twice. Always the 64-bit form, for sizes and offsets
 * beyond 4 GiB. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT sections 4.3 to 4.5
 *
 *     local header, data      per entry
 *     central directory       a record per entry, then mv_npz_end
 */
#ifndef MV_ZIP_LAYOUT_H
#define MV_ZIP_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;      /* in the archive, UTF-8, at most MV_NPZ_NAME bytes */
    uint64_t offset, size; /* of its local header; of its data */
    uint32_t crc;          /* CRC-32 of its data */
} mv_npz_entry;

enum { MV_NPZ_NAME = 255, MV_NPZ_RECORD = 46 + 28 + MV_NPZ_NAME, MV_NPZ_END = 56 + 20 + 22 };

/* Each writes a record to `out`, which has at least MV_NPZ_RECORD bytes, and returns its size. */
size_t mv_npz_local(unsigned char *out, const mv_npz_entry *t);
size_t mv_npz_central(unsigned char *out, const mv_npz_entry *t);

/* The size of what mv_npz_local writes; the data follow it. */
size_t mv_npz_local_size(const char *name);

/* Writes the end of the file. The central directory has `count` records, which start at `offset` and take `size` bytes.
 */
void mv_npz_end(unsigned char out[MV_NPZ_END], uint64_t count, uint64_t offset, uint64_t size);

#endif
