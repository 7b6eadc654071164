/* Inside a store: its arrays, and the container that they are written to. */
#ifndef MV_STORE_IMPL_H
#define MV_STORE_IMPL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "src/base/tensor.h"
#include "src/file/folder.h"
#include "src/file/output.h"
#include "src/file/partial_impl.h"
#include "src/file/store.h"

typedef struct {
    char *name, *file; /* "NAME", "NAME.npy" */
    mv_tensor tensor;  /* shape as declared or shrunk; without data */
    uint64_t row;      /* bytes of one index of dimension 0 */
    int rows;          /* appended so far */
    uint64_t offset;   /* of its values in the file; the header's size in a folder */
    uint32_t crc;      /* npz: of the values so far */
} mv_store_array;

struct mv_store {
    char *path;
    mv_store_kind kind;
    json_t *meta; /* key: text */
    mv_store_array *arrays;
    int count, room;
    int next;            /* where the next lookup starts: arrays tend to come in order */
    bool begun;          /* no more declarations */
    mv_partial *partial; /* of a resumable store */
    mv_error error;      /* the first failure */

    /* The container; not open while a resumable store collects. */
    mv_output *output; /* every kind but FOLDER */
    mv_folder *folder;
    bool stale;   /* shapes or texts have changed since the header was written */
    uint64_t end; /* of the last array */
};

/* All record their failure in s->error. */
mv_status mv_container_open(mv_store *s);
mv_status mv_container_begin(mv_store *s); /* all arrays are declared; offsets are known after it */
/* Writes the n bytes of array `a` that follow its first `done` bytes. */
mv_status mv_container_put(mv_store *s, mv_store_array *a, uint64_t done, const void *bytes, size_t n);
mv_status mv_container_commit(mv_store *s);
void mv_container_discard(mv_store *s);

#endif
