#include "src/file/zip_read.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "src/base/text.h"
#include "src/file/mapping.h"

enum {
    LOCAL = 30, /* sizes of the records' fixed parts */
    CENTRAL = 46,
    END = 22,
    END64 = 56,
    LOCATOR = 20,
    COMMENT = 65535, /* most bytes after the end record */
    STORED = 0,      /* methods */
    DEFLATED = 8,
    ENCRYPTED = 1,   /* flag */
    EXTRA_64 = 1,    /* tag of the extra field with 64-bit sizes */
    EXPANSION = 1032 /* deflate makes at most this many bytes of one */
};
static const uint64_t elsewhere = 0xffffffff; /* a 32-bit field whose value is in the extra field */

typedef struct {
    char *name;
    uint64_t header, data, packed, size; /* offsets of the local header and the data; sizes in the file and unpacked */
    uint32_t crc;
    unsigned method, flags;
} entry;

struct mv_zip {
    char *file;
    mv_mapping mapping; /* empty over borrowed bytes */
    const unsigned char *bytes;
    uint64_t size;
    int n;
    entry *entries; /* by name */
};

typedef struct {
    uint64_t count, at, size; /* of the central directory */
} directory;

static uint64_t get(const unsigned char *at, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)at[i] << 8 * i;
    return v;
}

static mv_status damaged(const mv_zip *z, const char *found, mv_error *e)
{
    return mv_fail(e, MV_EINPUT, "%s: cannot be read: found %s, expected a whole .zip archive", z->file, found);
}

/* ---- the end of the file */

/* The end record: its comment reaches to the end of the file. */
static const unsigned char *find_end(const mv_zip *z)
{
    for (uint64_t back = END; back <= z->size && back <= END + COMMENT; back++) {
        const unsigned char *at = z->bytes + z->size - back;
        if (get(at, 4) == 0x06054b50 && get(at + 20, 2) == back - END)
            return at;
    }
    return NULL;
}

/* The 64-bit end record, if a locator before `end` names one. *before: where the directory has to end. */
static mv_status read_end64(const mv_zip *z, const unsigned char *end, directory *d, uint64_t *before, mv_error *e)
{
    if (*before < LOCATOR || get(end - LOCATOR, 4) != 0x07064b50)
        return MV_OK;
    uint64_t place = get(end - LOCATOR + 8, 8), limit = *before - LOCATOR;
    if (limit < END64 || place > limit - END64 || get(z->bytes + place, 4) != 0x06064b50)
        return damaged(z, "no 64-bit end record where its locator points", e);
    const unsigned char *at = z->bytes + place;
    if (get(at + 4, 8) != limit - place - 12)
        return damaged(z, "a 64-bit end record of another length", e);
    d->count = get(at + 32, 8);
    d->size = get(at + 40, 8);
    d->at = get(at + 48, 8);
    *before = place;
    return MV_OK;
}

static mv_status find_directory(const mv_zip *z, directory *d, mv_error *e)
{
    const unsigned char *end = find_end(z);
    if (!end)
        return damaged(z, "no end record (is the file cut short?)", e);
    if (get(end + 4, 2) != get(end + 6, 2))
        return damaged(z, "one part of a split archive", e);
    *d = (directory){get(end + 10, 2), get(end + 16, 4), get(end + 12, 4)};
    uint64_t before = (uint64_t)(end - z->bytes);
    mv_status s = read_end64(z, end, d, &before, e);
    if (s)
        return s;
    if (d->at > before || d->size != before - d->at)
        return damaged(z, "a directory that does not end where the end record begins", e);
    if (d->count > d->size / CENTRAL)
        return damaged(z, "more entries than the directory has room for", e);
    if (d->count > MV_ZIP_ENTRIES)
        return mv_fail(e, MV_EINPUT, "%s: found %llu entries, expected at most %d", z->file,
                       (unsigned long long)d->count, MV_ZIP_ENTRIES);
    return MV_OK;
}

/* ---- the entries */

/* Takes the values that do not fit in 32 bits from the extra field, in their fixed order. */
static bool read_extra64(entry *t, const unsigned char *extra, size_t n)
{
    uint64_t *const wide[] = {&t->size, &t->packed, &t->header};
    bool complete = t->size != elsewhere && t->packed != elsewhere && t->header != elsewhere;
    while (!complete && n >= 4) {
        size_t tag = (size_t)get(extra, 2), length = (size_t)get(extra + 2, 2);
        extra += 4;
        n -= 4;
        if (length > n)
            return false;
        if (tag == EXTRA_64) {
            const unsigned char *at = extra;
            for (size_t i = 0; i < 3; i++)
                if (*wide[i] == elsewhere) {
                    if ((size_t)(at - extra) + 8 > length)
                        return false;
                    *wide[i] = get(at, 8);
                    at += 8;
                }
            return true;
        }
        extra += length;
        n -= length;
    }
    return complete;
}

/* Reads one record of the directory. Returns its size, 0 if it is damaged. */
static size_t read_central(entry *t, const unsigned char *at, uint64_t left, const char **name, size_t *letters)
{
    if (left < CENTRAL || get(at, 4) != 0x02014b50)
        return 0;
    size_t extra = (size_t)get(at + 30, 2), size = CENTRAL + extra + (size_t)get(at + 32, 2);
    *letters = (size_t)get(at + 28, 2);
    size += *letters;
    if (size > left)
        return 0;
    t->flags = (unsigned)get(at + 8, 2);
    t->method = (unsigned)get(at + 10, 2);
    t->crc = (uint32_t)get(at + 16, 4);
    t->packed = get(at + 20, 4);
    t->size = get(at + 24, 4);
    t->header = get(at + 42, 4);
    *name = (const char *)at + CENTRAL;
    return read_extra64(t, at + CENTRAL + *letters, extra) ? size : 0;
}

/* Finds the data by the local header. `end`: where the directory begins. */
static bool find_data(const mv_zip *z, entry *t, size_t letters, uint64_t end)
{
    if (t->header > end || end - t->header < LOCAL)
        return false;
    const unsigned char *at = z->bytes + t->header;
    uint64_t left = end - t->header - LOCAL, n = get(at + 26, 2), skip = n + get(at + 28, 2);
    if (get(at, 4) != 0x04034b50 || n != letters || skip > left || memcmp(at + LOCAL, t->name, letters) != 0)
        return false;
    t->data = t->header + LOCAL + skip;
    return t->packed <= left - skip;
}

static bool size_is_possible(const entry *t)
{
    if (t->flags & ENCRYPTED)
        return true; /* it is never read */
    if (t->method == STORED)
        return t->size == t->packed;
    return t->method != DEFLATED || t->size / EXPANSION <= t->packed;
}

/* A sentence about one entry, whose name is anybody's bytes. */
static mv_status entry_fault(const mv_zip *z, const char *name, const char *found, mv_error *e)
{
    char *safe = mv_text_escape(name);
    mv_status s = safe ? mv_fail(e, MV_EINPUT, "%s: cannot be read: entry '%.100s': found %s", z->file, safe, found)
                       : mv_fail_memory(e, z->file);
    free(safe);
    return s;
}

static mv_status read_entries(mv_zip *z, const directory *d, mv_error *e)
{
    const unsigned char *at = z->bytes + d->at;
    uint64_t left = d->size;
    for (uint64_t i = 0; i < d->count; i++) {
        entry *t = &z->entries[z->n];
        const char *name;
        size_t letters, size = read_central(t, at, left, &name, &letters);
        if (size == 0)
            return damaged(z, "a directory with a damaged record", e);
        if (letters == 0 || letters > MV_ZIP_NAME || memchr(name, 0, letters))
            return damaged(z, "an entry whose name is empty, too long or holds a zero", e);
        t->name = strndup(name, letters);
        if (!t->name)
            return mv_fail_memory(e, z->file);
        z->n++;
        if (!find_data(z, t, letters, d->at))
            return entry_fault(z, t->name, "no header of its own where the directory points, or data beyond the end",
                               e);
        if (!size_is_possible(t))
            return entry_fault(z, t->name, "a size that its data cannot have", e);
        at += size;
        left -= size;
    }
    return left ? damaged(z, "a directory with bytes that belong to no entry", e) : MV_OK;
}

static int by_place(const void *a, const void *b)
{
    uint64_t left = ((const entry *)a)->header, right = ((const entry *)b)->header;
    return (left > right) - (left < right);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* Entries that share bytes are how a small archive claims to hold much. */
static mv_status check_entries(mv_zip *z, mv_error *e)
{
    if (z->n == 0)
        return MV_OK;
    qsort(z->entries, (size_t)z->n, sizeof *z->entries, by_place);
    for (int i = 1; i < z->n; i++) {
        const entry *t = &z->entries[i - 1];
        if (z->entries[i].header < t->data + t->packed)
            return entry_fault(z, z->entries[i].name, "bytes that belong to another entry, expected its own", e);
    }
    qsort(z->entries, (size_t)z->n, sizeof *z->entries, by_name);
    for (int i = 1; i < z->n; i++)
        if (strcmp(z->entries[i - 1].name, z->entries[i].name) == 0)
            return entry_fault(z, z->entries[i].name, "two of that name, expected one", e);
    return MV_OK;
}

/* ---- opening */

static mv_status read_archive(mv_zip *z, mv_error *e)
{
    directory d = {0};
    mv_status s = find_directory(z, &d, e);
    if (s)
        return s;
    z->entries = calloc((size_t)d.count + 1, sizeof *z->entries);
    if (!z->entries)
        return mv_fail_memory(e, z->file);
    s = read_entries(z, &d, e);
    return s ? s : check_entries(z, e);
}

static mv_zip *new_archive(const char *name, mv_error *e)
{
    mv_zip *z = calloc(1, sizeof *z);
    if (z && (z->file = strdup(name)))
        return z;
    free(z);
    mv_fail_memory(e, name);
    return NULL;
}

static mv_status read_bytes(void *z_, const mv_mapping *m, mv_error *e)
{
    mv_zip *z = z_;
    z->bytes = m->bytes;
    z->size = m->size;
    return read_archive(z, e);
}

mv_zip *mv_zip_of(const void *bytes, size_t size, const char *name, mv_error *e)
{
    const mv_mapping all = {.bytes = bytes, .size = size};
    mv_zip *z = new_archive(name, e);
    if (!z || !read_bytes(z, &all, e))
        return z;
    mv_zip_close(z);
    return NULL;
}

mv_zip *mv_zip_open(const char *path, mv_error *e)
{
    mv_zip *z = new_archive(path, e);
    if (!z || !mv_mapping_read(&z->mapping, path, read_bytes, z, e))
        return z;
    mv_zip_close(z);
    return NULL;
}

mv_status mv_zip_whole(const mv_zip *z, mv_error *e)
{
    return mv_mapping_check(&z->mapping, z->file, e);
}

void mv_zip_close(mv_zip *z)
{
    if (!z)
        return;
    for (int i = 0; i < z->n; i++)
        free(z->entries[i].name);
    free(z->entries);
    mv_mapping_close(&z->mapping);
    free(z->file);
    free(z);
}

int mv_zip_count(const mv_zip *z)
{
    return z->n;
}

const char *mv_zip_name_at(const mv_zip *z, int i)
{
    return z->entries[i].name;
}

uint64_t mv_zip_size_at(const mv_zip *z, int i)
{
    return z->entries[i].size;
}

int mv_zip_lookup(const mv_zip *z, const char *name)
{
    entry key = {.name = (char *)(uintptr_t)name};
    const entry *found = z->n ? bsearch(&key, z->entries, (size_t)z->n, sizeof *z->entries, by_name) : NULL;
    return found ? (int)(found - z->entries) : -1;
}

/* ---- data */

const unsigned char *mv_zip_stored(const mv_zip *z, int i)
{
    const entry *t = &z->entries[i];
    return t->method == STORED && !(t->flags & ENCRYPTED) ? z->bytes + t->data : NULL;
}

static mv_status compare(const entry *t, const unsigned char *bytes, const char *place, mv_error *e)
{
    if (crc32_z(0, bytes, (size_t)t->size) == t->crc)
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "%s: found another checksum, expected that of the archive: it is damaged", place);
}

mv_status mv_zip_check(const mv_zip *z, int i, const char *place, mv_error *e)
{
    const entry *t = &z->entries[i];
    return compare(t, z->bytes + t->data, place, e);
}

/* The first n bytes of a deflated entry. */
static mv_status unpack(const mv_zip *z, const entry *t, unsigned char *out, size_t n, const char *place, mv_error *e)
{
    enum { PIECE = 1 << 30 };
    z_stream stream = {0};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return mv_fail_memory(e, place);
    uint64_t in = 0;
    size_t done = 0;
    int code = Z_OK;
    while (done < n && code == Z_OK) {
        uint64_t give = t->packed - in < PIECE ? t->packed - in : PIECE;
        size_t room = n - done < PIECE ? n - done : PIECE;
        stream.next_in = (unsigned char *)(uintptr_t)(z->bytes + t->data + in);
        stream.avail_in = (uInt)give;
        stream.next_out = out + done;
        stream.avail_out = (uInt)room;
        code = inflate(&stream, Z_NO_FLUSH);
        in += give - stream.avail_in;
        done += room - stream.avail_out;
    }
    inflateEnd(&stream);
    if (code == Z_MEM_ERROR)
        return mv_fail_memory(e, place);
    if (done < n)
        return mv_fail(e, MV_EINPUT, "%s: found compressed data that are damaged or end after %zu bytes, expected %zu",
                       place, done, n);
    return MV_OK;
}

mv_status mv_zip_read(const mv_zip *z, int i, unsigned char *out, size_t n, const char *place, mv_error *e)
{
    const entry *t = &z->entries[i];
    mv_status s = MV_OK;
    if (n > t->size)
        return mv_fail(e, MV_EMISUSE, "%s: found %llu bytes, expected %zu", place, (unsigned long long)t->size, n);
    if (t->flags & ENCRYPTED)
        return mv_fail(e, MV_EINPUT, "%s: found an encrypted entry, expected a plain one", place);
    if (t->method == STORED)
        memcpy(out, z->bytes + t->data, n);
    else if (t->method == DEFLATED)
        s = unpack(z, t, out, n, place, e);
    else
        s = mv_fail(e, MV_EINPUT, "%s: found compression method %u, expected 0 (stored) or 8 (deflate)", place,
                    t->method);
    return !s && n == t->size ? compare(t, out, place, e) : s;
}
