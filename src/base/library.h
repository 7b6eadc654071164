/* Libraries that the program can do without until it needs them. */
#ifndef MV_LIBRARY_H
#define MV_LIBRARY_H

enum { MV_LIBRARY_WHY = 200 };

/* Loads a library by the first of its names (NULL ends them) that there is; `flags` are dlopen's. NULL if it cannot be
 * loaded; `why` says "it is not installed", or why else, such as for lack of memory. */
void *mv_library_load(const char *const names[], int flags, char why[MV_LIBRARY_WHY]);

#endif
