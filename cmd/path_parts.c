#include "cmd/path_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"

bool path_cut_last(char *path, char **rest)
{
    size_t n = strlen(path);
    char *longer;
    while (n && path[n - 1] == '/')
        n--;
    path[n] = '\0';
    const char *name = mv_text_base_name(path);
    if (asprintf(&longer, "%s/%s", name, *rest ? *rest : "") < 0)
        return false;
    free(*rest);
    *rest = longer;
    path[name - path] = '\0';
    return true;
}

bool path_clean_rest(char *rest)
{
    char *to = rest, *part = rest;
    for (char *slash; (slash = strchr(part, '/')); part = slash + 1) {
        size_t n = (size_t)(slash - part);
        if (n == 2 && part[0] == '.' && part[1] == '.')
            return false;
        if (n > 1 || (n == 1 && *part != '.')) {
            memmove(to, part, n + 1);
            to += n + 1;
        }
    }
    *to = '\0';
    return true;
}

char *path_real(const char *path)
{
    char *real = realpath(path, NULL), *file = NULL;
    if (real)
        return real;
    const char *name = mv_text_base_name(path);
    char *folder = name > path ? strndup(path, (size_t)(name - path)) : strdup(".");
    real = folder ? realpath(folder, NULL) : NULL;
    if (real && asprintf(&file, "%s/%s", real, name) < 0)
        file = NULL;
    int saved = errno;
    free(folder);
    free(real);
    errno = saved;
    return file;
}
