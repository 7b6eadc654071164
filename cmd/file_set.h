/* A set of files and folders, as the kernel knows them: by device and inode, through whatever link. */
#ifndef FILE_SET_H
#define FILE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "src/base/status.h"

/* Begins as {0}. Open addressing, at most half full. */
typedef struct {
    struct file_id {
        dev_t device;
        ino_t inode;
        bool used;
    } * slot;
    size_t n, room;
} file_set;

/* Adds what `st` is of; *added is false if it is there already. */
mv_status file_set_try(file_set *s, const struct stat *st, bool *added, mv_error *e);

/* The same. False if it is there already. Ends the program with status 1 without memory. */
bool file_set_add(file_set *s, const struct stat *st);

void file_set_free(file_set *s);

#endif
