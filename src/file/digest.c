#include <stdio.h>
#include <string.h>

#include "src/file/digest_impl.h"

bool mv_digest_is_hex(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

void mv_digest_begin(mv_digest *d, const char *etag, uint64_t size)
{
    d->kind = mv_digest_is_hex(etag, 2 * SHA256_DIGEST_SIZE) ? MV_DIGEST_SHA256
              : mv_digest_is_hex(etag, 2 * SHA1_DIGEST_SIZE) ? MV_DIGEST_GIT
                                                             : MV_DIGEST_NONE;
    char head[32];
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size);
    sha256_init(&d->sha256);
    sha1_init(&d->git);
    sha1_init(&d->plain);
    sha1_update(&d->git, (size_t)n + 1, (const uint8_t *)head); /* with its NUL */
}

void mv_digest_add(mv_digest *d, const void *bytes, size_t n)
{
    if (d->kind == MV_DIGEST_SHA256)
        sha256_update(&d->sha256, n, bytes);
    if (d->kind == MV_DIGEST_GIT) {
        sha1_update(&d->git, n, bytes);
        sha1_update(&d->plain, n, bytes);
    }
}

void mv_digest_hex(char *out, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

bool mv_digest_is(mv_digest *d, const char *etag, char found[65])
{
    uint8_t bytes[SHA256_DIGEST_SIZE];
    *found = 0;
    if (d->kind == MV_DIGEST_NONE)
        return true;
    if (d->kind == MV_DIGEST_SHA256) {
        sha256_digest(&d->sha256, SHA256_DIGEST_SIZE, bytes);
        mv_digest_hex(found, bytes, SHA256_DIGEST_SIZE);
        return strcmp(found, etag) == 0;
    }
    sha1_digest(&d->plain, SHA1_DIGEST_SIZE, bytes);
    mv_digest_hex(found, bytes, SHA1_DIGEST_SIZE);
    if (strcmp(found, etag) == 0)
        return true;
    sha1_digest(&d->git, SHA1_DIGEST_SIZE, bytes);
    mv_digest_hex(found, bytes, SHA1_DIGEST_SIZE);
    return strcmp(found, etag) == 0;
}
