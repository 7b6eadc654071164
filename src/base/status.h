/* Failures: a code and one sentence.
 *
 * A function that can fail takes `mv_error *e` as its last argument. It records the first failure there and returns the
 * code, or NULL; later failures do not change the record. Callers that do not need the sentence pass NULL. The sentence
 * reads "PLACE: found X, expected Y".
 */
#ifndef MV_STATUS_H
#define MV_STATUS_H

typedef enum {
    MV_OK = 0,
    MV_EINPUT,  /* a file, option value or name is invalid */
    MV_EIO,     /* a system call failed: open, read, write, rename */
    MV_ENOMEM,  /* out of memory */
    MV_EDEVICE, /* the device failed, or does not support the request */
    MV_EMISUSE  /* the caller broke a function's contract */
} mv_status;

typedef struct {
    mv_status code; /* MV_OK: nothing has failed yet */
    char text[512];
} mv_error;

/* Records a failure, unless one is recorded already. Returns `code`. `e` may be NULL. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
mv_status
mv_fail(mv_error *e, mv_status code, const char *format, ...);

/* mv_fail with errno's text: "PLACE: WHAT: No space left on device". The code is MV_EIO, or MV_ENOMEM for ENOMEM. */
mv_status mv_fail_errno(mv_error *e, const char *place, const char *what);

/* "PLACE: out of memory". Returns MV_ENOMEM. */
mv_status mv_fail_memory(mv_error *e, const char *place);

#endif
