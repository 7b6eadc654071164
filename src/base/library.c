#include "src/base/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "src/base/text.h"

/* The loader has no codes, only words; they are not translated. */
static const char absent[] = "cannot open shared object file: No such file or directory";

void *mv_library_load(const char *const names[], int flags, mv_error *why)
{
    for (int i = 0; names[i]; i++) {
        errno = 0;
        void *library = dlopen(names[i], flags);
        if (library)
            return library;
        bool without_memory = errno == ENOMEM;
        const char *words = dlerror();
        if (!words)
            words = names[i];
        if (strncmp(words, names[i], strlen(names[i])) == 0 && strstr(words, absent))
            continue;
        if (without_memory) { /* then the loader's words say what it was doing, not why it failed */
            mv_fail(why, MV_ENOMEM, "it cannot be loaded: out of memory");
        } else {
            char told[180];
            mv_text_print(told, sizeof told, "%.*s", mv_text_said(words), words);
            mv_fail(why, MV_EIO, "it cannot be loaded: %s", told);
        }
    }
    mv_fail(why, MV_EINPUT, "it is not installed"); /* unless one of the names was there, which stays the reason */
    return NULL;
}
