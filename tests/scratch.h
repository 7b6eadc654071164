/* A folder of the test's own, which is removed after it, and files in it. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <sys/types.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

/* cmocka's set-up and tear-down */
int scratch_enter(void **state);
int scratch_leave(void **state);

const char *scratch_folder(void);
/* FOLDER/NAME, in one of a few buffers of this thread that take turns */
const char *in_folder(const char *name);
/* Entries of a folder */
int files_in(const char *path);
void put_file(const char *path, const char *text, mode_t mode);

/* The array in the bytes of a .npy, and in a file: mv_npy_of with a copy of the data, the caller's to free. */
mv_status npy_decode(mv_tensor *out, const void *bytes, size_t size, const char *name, mv_error *e);
mv_status npy_load(mv_tensor *out, const char *path, mv_error *e);

#endif
