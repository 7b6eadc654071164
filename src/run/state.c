#include "src/run/state.h"

#include <stdarg.h>
#include <stdio.h>

bool mv_run_read(mv_run *r, mv_view v, float *host)
{
    return !r->error.code && !r->b->read(r->b, host, v, &r->error);
}

bool mv_run_write(mv_run *r, mv_view v, const float *host)
{
    return !r->error.code && !r->b->write(r->b, v, host, &r->error);
}

int mv_run_first(const mv_run *r)
{
    return r->first;
}

int mv_run_pictures(const mv_run *r)
{
    return r->pictures;
}

void mv_run_fail(mv_run *r, mv_status code, const char *format, ...)
{
    if (r->error.code)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(r->error.text, sizeof r->error.text, format, args);
    va_end(args);
    r->error.code = code;
}
