/* Paths of files and folders that may not be there yet. */
#ifndef PATH_PARTS_H
#define PATH_PARTS_H

#include <stdbool.h>

/* Cuts the last part, with the slashes behind it, off `path`, and puts it in front of *rest, which is the caller's to
 * free and may be NULL: "new/below/". False without memory. */
bool path_cut_last(char *path, char **rest);

/* "a/.//b/" becomes "a/b/". False where a ".." follows a folder that is not there. */
bool path_clean_rest(char *rest);

/* The path without links of a file that may be new; the caller's to free. NULL, with errno, where its folder is not
 * there. */
char *path_real(const char *path);

#endif
