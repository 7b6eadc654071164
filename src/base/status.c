#include "src/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

mv_status mv_fail(mv_error *e, mv_status code, const char *format, ...)
{
    if (e && e->code == MV_OK) {
        va_list args;
        va_start(args, format);
        vsnprintf(e->text, sizeof e->text, format, args);
        va_end(args);
        e->code = code;
    }
    return code;
}

mv_status mv_fail_errno(mv_error *e, const char *place, const char *what)
{
    int saved = errno;
    return mv_fail(e, saved == ENOMEM ? MV_ENOMEM : MV_EIO, "%s: %s: %s", place, what, strerror(saved));
}

mv_status mv_fail_memory(mv_error *e, const char *place)
{
    return mv_fail(e, MV_ENOMEM, "%s: out of memory", place);
}
