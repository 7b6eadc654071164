#include "src/base/warnings.h"

#include <stdarg.h>
#include <stdio.h>

void mv_warn(mv_warnings *warnings, const char *format, ...)
{
    if (!warnings)
        return;
    if (warnings->n < MV_WARNINGS_KEPT) {
        va_list args;
        va_start(args, format);
        vsnprintf(warnings->text[warnings->n], sizeof warnings->text[0], format, args);
        va_end(args);
    }
    warnings->n++;
}
