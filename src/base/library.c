#include "src/base/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "src/base/text.h"

/* The loader has no codes, only words; they are not translated. */
static const char absent[] = "cannot open shared object file: No such file or directory";

void *mv_library_load(const char *const names[], int flags, char why[MV_LIBRARY_WHY])
{
    bool known = false;
    mv_text_print(why, MV_LIBRARY_WHY, "it is not installed");
    for (int i = 0; names[i]; i++) {
        errno = 0;
        void *library = dlopen(names[i], flags);
        if (library)
            return library;
        bool without_memory = errno == ENOMEM;
        const char *words = dlerror();
        if (words && strncmp(words, names[i], strlen(names[i])) == 0 && strstr(words, absent))
            continue;
        if (!known) /* without memory the loader's words say what it was doing, not why it failed */
            mv_text_print(why, MV_LIBRARY_WHY, "it cannot be loaded: %s",
                          without_memory ? "out of memory"
                          : words        ? words
                                         : names[i]);
        known = true;
    }
    return NULL;
}
