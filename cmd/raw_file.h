/* The numbers of --raw: arrays that belong to pictures. A FILE holds those of all pictures, stacked along the first
 * dimension; a FOLDER/ gets a file for each picture.
 *
 *     raw_choose(c, o->raw, several);                    // in check
 *     raw_file_add(&o->file, c, t, arrays, n, &e);       // in study: FILE
 *     raw_write(t->raw, t, arrays, n, &e);               // in picture: FOLDER/, where t->raw is set
 *     raw_file_close(&o->file, c, &e);                    // in close
 */
#ifndef RAW_FILE_H
#define RAW_FILE_H

#include "cmd/command.h"
#include "cmd/value_file.h"

/* One picture's array. The first dimension is what is stacked: 1, or the windows of a picture. */
typedef struct {
    const char *name;
    int nd, dim[MV_MAX_DIMS];
    const float *values; /* fp32, row-major */
    const mv_map *map;   /* whose target, sum and expected sum go with it, where it has them; NULL: none */
} raw_array;

enum { RAW_TEXTS = 3 };

typedef struct {
    value_file *file;          /* NULL until the first picture */
    mv_sites sites;            /* the arrays as declared; the names are the file's own */
    char *(*texts)[RAW_TEXTS]; /* of each array: the numbers of its maps, picture by picture */
} raw_file;

/* Where --raw goes: sets c->store for a FILE, or c->raw and c->wants_raw for a FOLDER/. Ends the program for any other
 * ending, and for --resume with a FILE of all pictures. several: a picture has more than the one array of a .npy. */
void raw_choose(call *c, const char *raw, bool several);

/* Appends one picture's arrays to the FILE, which is opened by the first: every picture must have the same arrays in
 * the same shapes (MV_EINPUT with both shapes). Call it on the thread that computes, picture by picture. The strings
 * are copied. A failure to write breaks the run.
 *
 * The numbers of an array's map are texts under "target", "sum" and "expected_sum", with "NAME." before them where
 * there are several arrays; those of several pictures are a list, "[4.1,3.9]", with null where a map has none. */
mv_status raw_file_add(raw_file *f, call *c, const shot *t, const raw_array *a, int n, mv_error *e);

/* Ends the FILE: it appears whole, or not at all where the run was stopped or is broken. Fine if no picture came. */
mv_status raw_file_close(raw_file *f, call *c, mv_error *e);

/* Writes one picture's arrays to a file of its own. */
mv_status raw_write(const char *path, const shot *t, const raw_array *a, int n, mv_error *e);

#endif
