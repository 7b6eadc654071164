#include "src/file/zip_layout.h"

#include <string.h>

enum {
    VERSION = 45,      /* of the format: the first with 64-bit sizes */
    UNIX = 3 << 8,     /* the host system: the mode is valid */
    UTF8 = 1 << 11,    /* flag: the encoding of names */
    DATE = 1 << 5 | 1, /* 1 January 1980, the earliest: the same arrays make the same file */
    ZIP64 = 1          /* tag of the extra field with 64-bit sizes */
};
static const uint32_t elsewhere = 0xffffffff; /* a 32-bit field whose value is in the extra field */
static const uint32_t mode = 0100644;

static unsigned char *put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *at++ = (unsigned char)(value >> 8 * i);
    return at;
}

static unsigned char *put_text(unsigned char *at, const char *text)
{
    size_t n = strlen(text);
    memcpy(at, text, n);
    return at + n;
}

/* The fields that local and central records share, from "version needed" to the length of the name. */
static unsigned char *put_common(unsigned char *at, const mv_npz_entry *t)
{
    at = put(at, VERSION, 2);
    at = put(at, UTF8, 2);
    at = put(at, 0, 2); /* method: stored */
    at = put(at, 0, 2); /* time */
    at = put(at, DATE, 2);
    at = put(at, t->crc, 4);
    at = put(at, elsewhere, 4); /* size compressed */
    at = put(at, elsewhere, 4); /* size */
    return put(at, strlen(t->name), 2);
}

size_t mv_npz_local_size(const char *name)
{
    return 30 + strlen(name) + 20;
}

size_t mv_npz_local(unsigned char *out, const mv_npz_entry *t)
{
    unsigned char *at = put(out, 0x04034b50, 4);
    at = put_common(at, t);
    at = put(at, 20, 2); /* length of the extra field */
    at = put_text(at, t->name);
    at = put(at, ZIP64, 2);
    at = put(at, 16, 2);
    at = put(at, t->size, 8);
    at = put(at, t->size, 8);
    return (size_t)(at - out);
}

size_t mv_npz_central(unsigned char *out, const mv_npz_entry *t)
{
    unsigned char *at = put(out, 0x02014b50, 4);
    at = put(at, UNIX | VERSION, 2);
    at = put_common(at, t);
    at = put(at, 28, 2); /* length of the extra field */
    at = put(at, 0, 2);  /* of the comment */
    at = put(at, 0, 2);  /* disk */
    at = put(at, 0, 2);  /* internal attributes */
    at = put(at, (uint64_t)mode << 16, 4);
    at = put(at, elsewhere, 4); /* offset */
    at = put_text(at, t->name);
    at = put(at, ZIP64, 2);
    at = put(at, 24, 2);
    at = put(at, t->size, 8);
    at = put(at, t->size, 8);
    at = put(at, t->offset, 8);
    return (size_t)(at - out);
}

void mv_npz_end(unsigned char out[MV_NPZ_END], uint64_t count, uint64_t offset, uint64_t size)
{
    unsigned char *at = put(out, 0x06064b50, 4); /* zip64 end of central directory */
    at = put(at, 44, 8);                         /* bytes that follow in this record */
    at = put(at, UNIX | VERSION, 2);
    at = put(at, VERSION, 2);
    at = put(at, 0, 4); /* this disk, and the directory's */
    at = put(at, 0, 4);
    at = put(at, count, 8);
    at = put(at, count, 8);
    at = put(at, size, 8);
    at = put(at, offset, 8);
    at = put(at, 0x07064b50, 4); /* its locator */
    at = put(at, 0, 4);
    at = put(at, offset + size, 8);
    at = put(at, 1, 4);
    at = put(at, 0x06054b50, 4); /* end of central directory, all of it elsewhere */
    at = put(at, 0, 2);
    at = put(at, 0, 2);
    at = put(at, 0xffff, 2);
    at = put(at, 0xffff, 2);
    at = put(at, elsewhere, 4);
    at = put(at, elsewhere, 4);
    put(at, 0, 2); /* length of the comment */
}
