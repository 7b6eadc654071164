/* One request to a web server, by libcurl: redirects, limits, time-outs and ranges. What to ask, and how often, is
 * hub.h's business.
 *
 * Only https is spoken, and http where the settings say so. Certificates are verified. Proxies are those of libcurl's
 * conventions (https_proxy, no_proxy, ...). The token goes to its origin alone (scheme, host and port), however a
 * server redirects. Nothing is decompressed: lengths are those of the file.
 */
#ifndef MV_FETCH_H
#define MV_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct mv_fetch mv_fetch;

typedef struct {
    const char *origin;       /* a URL of the server that the token is for */
    const char *token;        /* NULL: none */
    const char *certificates; /* a file of the authorities that are trusted; NULL: the system's */
    bool plain;               /* http is allowed, too */
    int stall;                /* seconds without a byte after which a transfer has failed */
    bool (*stop)(void *context);
    void *context;
} mv_fetch_settings;

enum { MV_FETCH_URL = 4096, MV_FETCH_WORD = 160 };

/* What a server said: the fields are empty, or -1, where it said nothing. */
typedef struct {
    int status;    /* of HTTP; 0: no answer */
    int redirects; /* that were followed */
    bool again;    /* a failure that may pass: a connection that broke, a busy server */
    bool stopped;  /* the settings' `stop` was true */
    int wait;      /* seconds until the server wants to be asked again */
    int64_t size;  /* of the whole file, by X-Linked-Size, Content-Range or Content-Length */
    int64_t from;  /* of Content-Range: the first byte that follows */
    char url[512]; /* that answered, without its query, for messages; bytes that are not safe are escaped */
    char type[64]; /* Content-Type */
    char etag[MV_FETCH_WORD], commit[MV_FETCH_WORD], code[MV_FETCH_WORD]; /* X-Linked-Etag or ETag without quotes,
                                                                             X-Repo-Commit, X-Error-Code */
} mv_answer;

typedef struct {
    bool head;     /* asks for the headers alone, and stops at a redirect that leaves the hub when they are known */
    int seconds;   /* that all of it may take; 0: as long as bytes come */
    uint64_t from; /* asks for the file from this byte on; the server may send all of it nevertheless (status 200) */
    void *sink;    /* for the functions below; not called for HEAD or where the status is not 2xx */
    mv_status (*begin)(void *sink, const mv_answer *a, mv_error *e); /* before the first byte; NULL: nothing to do */
    mv_status (*write)(void *sink, const void *bytes, size_t n, mv_error *e);
} mv_request;

/* NULL without memory, or where a setting is wrong. The settings and their strings must outlive it. */
mv_fetch *mv_fetch_new(const mv_fetch_settings *s, mv_error *e);
void mv_fetch_free(mv_fetch *f); /* NULL is fine */

/* Asks. MV_OK: the server answered; a->status says how, and may be 404. Otherwise there is no answer, or the sink
 * failed, or it stopped; a->again says whether another try may succeed. */
mv_status mv_fetch_ask(mv_fetch *f, const char *url, const mv_request *r, mv_answer *a, mv_error *e);

#endif
