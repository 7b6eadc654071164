/* What fuzzers share: what must hold, bytes taken one after the other, and a folder for the files that readers open. */
#ifndef MV_TESTS_FUZZ_H
#define MV_TESTS_FUZZ_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_expect(bool holds)
{
    if (!holds)
        abort();
}

/* True for a refusal, which must come with its reason; what succeeds has none. */
static inline bool fuzz_refused(mv_status s, const mv_error *e)
{
    fuzz_expect(s == e->code && (s == MV_OK) == !e->text[0]);
    return s != MV_OK;
}

/* ---- the input as a sequence of values; zeros follow its end */

typedef struct {
    const uint8_t *at;
    size_t left;
} fuzz_bytes;

static inline uint8_t fuzz_byte(fuzz_bytes *b)
{
    if (!b->left)
        return 0;
    b->left--;
    return *b->at++;
}

static inline uint32_t fuzz_word(fuzz_bytes *b)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)fuzz_byte(b) << 8 * i;
    return v;
}

/* The bytes up to a line feed, as text of at most size - 1 letters. Returns `out`. */
static inline char *fuzz_line(fuzz_bytes *b, char *out, size_t size)
{
    size_t n = 0;
    while (b->left && *b->at != '\n') {
        char c = (char)fuzz_byte(b);
        if (c && n + 1 < size)
            out[n++] = c;
    }
    fuzz_byte(b);
    out[n] = 0;
    return out;
}

/* All of the input as text, which ends at its first 0; the caller's to free. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    fuzz_expect(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    return text;
}

/* ---- a folder of this process, in memory where there is such a file system */

static char fuzz_home[128];

static inline void fuzz_empty(const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *one; d && (one = readdir(d));) {
        char path[PATH_MAX];
        if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, one->d_name);
        if (unlink(path)) {
            fuzz_empty(path);
            rmdir(path);
        }
    }
    if (d)
        closedir(d);
}

static inline void fuzz_leave(void)
{
    fuzz_empty(fuzz_home);
    rmdir(fuzz_home);
}

/* The folder, which is made at the first call: TMPDIR says where. */
static inline const char *fuzz_folder(void)
{
    const char *in = getenv("TMPDIR");
    if (!*fuzz_home) {
        snprintf(fuzz_home, sizeof fuzz_home, "%.100s/mvscope-fuzz-XXXXXX", in && *in ? in : "/dev/shm");
        fuzz_expect(mkdtemp(fuzz_home) && atexit(fuzz_leave) == 0);
    }
    return fuzz_home;
}

/* FOLDER/NAME; returns `path`. */
static inline char *fuzz_path(char path[PATH_MAX], const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", fuzz_folder(), name);
    return path;
}

/* Writes a file there. */
static inline void fuzz_file(const char *name, const void *bytes, size_t n)
{
    char path[PATH_MAX];
    FILE *f = fopen(fuzz_path(path, name), "we");
    fuzz_expect(f && fwrite(bytes, 1, n, f) == n);
    fuzz_expect(fclose(f) == 0);
}

/* How many files and folders are in a folder. */
static inline int fuzz_count(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *one; d && (one = readdir(d));)
        n += strcmp(one->d_name, ".") != 0 && strcmp(one->d_name, "..") != 0;
    if (d)
        closedir(d);
    return n;
}

#endif
