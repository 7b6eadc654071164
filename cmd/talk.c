#include "cmd/talk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int talk_quiet;

static void say(const char *format, va_list args)
{
    fflush(stdout); /* results and complaints in the order they came */
    fprintf(stderr, "mvscope: ");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!talk_quiet)
        say(format, args);
    va_end(args);
}

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    exit(status);
}

void die_of(const mv_error *e)
{
    die(EXIT_FAILED, "%s", e->text);
}

void *must(void *p)
{
    if (!p)
        die(EXIT_FAILED, "out of memory");
    return p;
}

int finish(int status)
{
    bool bad = ferror(stdout) != 0;
    if (fflush(stdout) || bad) {
        complain("standard output: %s",
                 bad ? "a write failed" : "cannot be written: the disk is full or the reader is gone");
        return EXIT_FAILED;
    }
    return status;
}
