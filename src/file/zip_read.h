/* A .zip archive for reading: what torch.save and numpy.savez write. Entries are stored or deflated, sizes and offsets
 * have 32 or 64 bits. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT section 4.3
 *
 * Nothing in it is trusted. Opening checks the whole central directory and every local header: the directory ends where
 * the end record begins, both headers of an entry have one name, every entry lies before the directory, entries do not
 * overlap, no two have one name, and no entry claims more bytes than deflate can make of what is there. A stored entry
 * is used where it lies in the file, without a copy.
 */
#ifndef MV_ZIP_READ_H
#define MV_ZIP_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct mv_zip mv_zip;

enum { MV_ZIP_ENTRIES = 1 << 20, MV_ZIP_NAME = 1024 }; /* limits */

/* Maps the file. NULL on failure: there is no such file, or it is no archive or a damaged one. */
mv_zip *mv_zip_open(const char *path, mv_error *e);

/* The same over bytes that stay the caller's until the close; `name` begins errors. */
mv_zip *mv_zip_of(const void *bytes, size_t size, const char *name, mv_error *e);

void mv_zip_close(mv_zip *z); /* NULL is fine */

/* Entries sorted by name (bytewise), 0 <= i < count: anybody's bytes, to be escaped before they are printed. */
int mv_zip_count(const mv_zip *z);
const char *mv_zip_name_at(const mv_zip *z, int i);
uint64_t mv_zip_size_at(const mv_zip *z, int i); /* bytes, uncompressed */

/* The index of a name; -1 where there is none. */
int mv_zip_lookup(const mv_zip *z, const char *name);

/* The bytes of a stored entry, which are a part of the file; NULL for one that is compressed or encrypted. */
const unsigned char *mv_zip_stored(const mv_zip *z, int i);

/* Copies or inflates the first n bytes of entry i, n <= its size; errors begin with `place`. With all of the bytes
 * their checksum is compared. MV_EINPUT: damaged, or of a kind that is not read. */
mv_status mv_zip_read(const mv_zip *z, int i, unsigned char *out, size_t n, const char *place, mv_error *e);

/* MV_EIO if the file changed or failed since it was opened: then bytes that were read are not the file's. */
mv_status mv_zip_whole(const mv_zip *z, mv_error *e);

/* Compares the checksum of entry i, which is stored. */
mv_status mv_zip_check(const mv_zip *z, int i, const char *place, mv_error *e);

#endif
