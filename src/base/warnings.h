/* Warnings: what a function assumed or left out although it succeeded, such as a missing end of a picture file. The
 * caller says where they go; the program prints each of them once.
 */
#ifndef MV_WARNINGS_H
#define MV_WARNINGS_H

enum { MV_WARNINGS_KEPT = 8 };

typedef struct {
    int n;                            /* of all; the first MV_WARNINGS_KEPT are kept */
    char text[MV_WARNINGS_KEPT][400]; /* one sentence each, "PLACE: found X; it is Y" */
} mv_warnings;

/* Appends a sentence. `warnings` may be NULL: nobody listens. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void
mv_warn(mv_warnings *warnings, const char *format, ...);

#endif
