/* Text on its way to a sink: escapes for HTML and JSON, numbers, and bytes as base64, compressed on request. The first
 * failure sticks; later calls do nothing. */
#ifndef MV_HTML_STREAM_IMPL_H
#define MV_HTML_STREAM_IMPL_H

#include <stdbool.h>
#include <zlib.h>

#include "viz/html/html.h"

enum { MV_HTML_BUFFER = 1 << 14 };

typedef struct {
    mv_html_sink *sink;
    void *context;
    mv_status status;
    size_t size;
    char buffer[MV_HTML_BUFFER];
    /* base64 */
    uint8_t three[3];
    int held;
    /* compressed base64 */
    z_stream *packer;
    bool packing;    /* the packer is initialised */
    uint8_t *packed; /* MV_HTML_BUFFER bytes */
} mv_stream;

void mv_stream_bytes(mv_stream *s, const char *bytes, size_t n);
void mv_stream_flush(mv_stream *s);
void mv_stream_text(mv_stream *s, const char *text); /* as it is */
void mv_stream_format(mv_stream *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mv_stream_html(mv_stream *s, const char *text); /* NULL is the empty text */
void mv_stream_json(mv_stream *s, const char *text); /* with its quotes */
/* A number of JSON with `digits` significant ones; null if it is not finite. */
void mv_stream_number(mv_stream *s, double value, int digits);

void mv_stream_base64(mv_stream *s, const uint8_t *bytes, size_t n);
void mv_stream_base64_end(mv_stream *s);

/* A zlib stream in base64. */
mv_status mv_stream_pack_begin(mv_stream *s, mv_error *e);
void mv_stream_pack(mv_stream *s, const void *bytes, size_t n);
void mv_stream_pack_end(mv_stream *s);

void mv_stream_free(mv_stream *s);

#endif
