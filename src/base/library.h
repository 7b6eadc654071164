/* Libraries that the program can do without until it needs them. */
#ifndef MV_LIBRARY_H
#define MV_LIBRARY_H

#include "src/base/status.h"

/* Loads a library by the first of its names (NULL ends them) that there is; `flags` are dlopen's. NULL if it cannot be
 * loaded: then `why`, which holds nothing before, is MV_EINPUT, "it is not installed", or else MV_EIO or MV_ENOMEM, "it
 * cannot be loaded: WHY", of at most 200 bytes. */
void *mv_library_load(const char *const names[], int flags, mv_error *why);

#endif
