/* What pth.c opens and pth_collect.c fills. */
#ifndef MV_PTH_IMPL_H
#define MV_PTH_IMPL_H

#include "src/file/pickle.h"
#include "src/file/pth.h"
#include "src/file/zip_read.h"

typedef struct {
    char *name;
    bool usable;
    const char *type;                         /* of what is not usable: "type BOOL" */
    mv_tensor shape;                          /* without data */
    int64_t stride[MV_MAX_DIMS], offset, end; /* in elements; end: of what the view shows */
    int entry;                                /* of the archive: the storage */
} mv_pth_tensor;

struct mv_pth {
    char *file;
    bool mapped;
    mv_zip *zip;
    char root[MV_ZIP_NAME]; /* "archive/", without an end */
    size_t root_letters;
    unsigned char *unpacked_pickle; /* of a compressed one, while it is read */
    mv_pickle *pickle;
    int n, room;
    mv_pth_tensor *tensor;    /* by name */
    int64_t expanded;         /* elements, see MV_PTH_EXPANDED */
    unsigned char **unpacked; /* storages, by entry */
    uint64_t unpacked_bytes;
};

/* The index of an entry below the root; -1 where there is none. */
int mv_pth_entry(const mv_pth *p, const char *name, size_t letters);

/* Walks through p->pickle and appends the tensors that it describes. */
mv_status mv_pth_collect(mv_pth *p, mv_error *e);

#endif
