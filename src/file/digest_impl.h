/* Hashes in hexadecimal digits, and the hash that an ETag of a hub is: SHA-256 of a file in large storage, git's blob
 * name (SHA-1) of one in the repository itself. It is fed while the file arrives.
 */
#ifndef MV_DIGEST_IMPL_H
#define MV_DIGEST_IMPL_H

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    MV_DIGEST_NONE, /* the etag is no hash that is known: nothing can be checked */
    MV_DIGEST_GIT,  /* 40 hexadecimal digits: of git's blob, or, at some mirrors, of the bytes alone */
    MV_DIGEST_SHA256
} mv_digest_kind;

typedef struct {
    mv_digest_kind kind;
    struct sha1_ctx git, plain;
    struct sha256_ctx sha256;
} mv_digest;

/* `size` is that of the whole file, in bytes. */
void mv_digest_begin(mv_digest *d, const char *etag, uint64_t size);
void mv_digest_add(mv_digest *d, const void *bytes, size_t n);

/* True if the bytes are those of the etag, or if it is no hash. `found` is what they are instead. */
bool mv_digest_is(mv_digest *d, const char *etag, char found[65]);

/* Writes n bytes as 2 n hexadecimal digits in lower case. */
void mv_digest_hex(char *out, const uint8_t *bytes, size_t n);

/* True for n hexadecimal digits in lower case and nothing else. */
bool mv_digest_is_hex(const char *text, size_t n);

#endif
