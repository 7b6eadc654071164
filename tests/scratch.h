/* A folder of a test's own, gone with it. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <sys/types.h>

/* cmocka's set-up and tear-down */
int scratch_enter(void **state);
int scratch_leave(void **state);

const char *scratch_folder(void);
/* FOLDER/NAME, in one of a few buffers of this thread that take turns */
const char *in_folder(const char *name);
/* Entries of a folder */
int files_in(const char *path);
void put_file(const char *path, const char *text, mode_t mode);

#endif
