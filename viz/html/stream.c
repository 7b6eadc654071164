#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "viz/html/stream_impl.h"

enum { LEVEL = 6, MOST_AT_ONCE = 1 << 30 };

void mv_stream_flush(mv_stream *s)
{
    if (s->status == MV_OK && s->size > 0)
        s->status = s->sink(s->context, s->buffer, s->size);
    s->size = 0;
}

void mv_stream_bytes(mv_stream *s, const char *bytes, size_t n)
{
    while (n > 0) {
        size_t part = sizeof s->buffer - s->size;
        part = part < n ? part : n;
        memcpy(s->buffer + s->size, bytes, part);
        s->size += part;
        bytes += part;
        n -= part;
        if (s->size == sizeof s->buffer)
            mv_stream_flush(s);
    }
}

void mv_stream_text(mv_stream *s, const char *text)
{
    mv_stream_bytes(s, text, strlen(text));
}

void mv_stream_format(mv_stream *s, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mv_stream_text(s, text);
}

/* ---- escapes */

/* The length of the well-formed UTF-8 character at p, 0 if there is none. */
static int character(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    int n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f); /* surrogates; above U+10FFFF */
    return overlong || beyond ? 0 : n;
}

/* U+0080 to U+009F in UTF-8 */
static bool is_control(const unsigned char *p, int n)
{
    return (n == 1 && (*p < 0x20 || *p == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

#define REPLACEMENT "\xef\xbf\xbd"

static const char *html_escape(unsigned char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

void mv_stream_html(mv_stream *s, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)(text ? text : ""); *p;) {
        int n = character(p);
        const char *escape = html_escape(*p);
        if (n == 0 || is_control(p, n))
            mv_stream_text(s, REPLACEMENT);
        else if (escape)
            mv_stream_text(s, escape);
        else
            mv_stream_bytes(s, (const char *)p, (size_t)n);
        p += n ? n : 1;
    }
}

/* '<' is escaped, too, so that no text can end a script element or begin a comment in it. */
void mv_stream_json(mv_stream *s, const char *text)
{
    mv_stream_text(s, "\"");
    for (const unsigned char *p = (const unsigned char *)(text ? text : ""); *p;) {
        int n = character(p);
        bool line = n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9); /* U+2028, U+2029 */
        if (n == 0 || is_control(p, n) || line)
            mv_stream_text(s, REPLACEMENT);
        else if (strchr("\"\\<>&", *p))
            mv_stream_format(s, "\\u%04x", *p);
        else
            mv_stream_bytes(s, (const char *)p, (size_t)n);
        p += n ? n : 1;
    }
    mv_stream_text(s, "\"");
}

void mv_stream_number(mv_stream *s, double value, int digits)
{
    if (isfinite(value))
        mv_stream_format(s, "%.*g", digits, value);
    else
        mv_stream_text(s, "null");
}

/* ---- base64 */

static void put_three(mv_stream *s, const uint8_t *b, int n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned v = (unsigned)b[0] << 16 | (n > 1 ? (unsigned)b[1] << 8 : 0) | (n > 2 ? b[2] : 0);
    char four[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
                    n > 2 ? digits[v & 63] : '='};
    mv_stream_bytes(s, four, 4);
}

void mv_stream_base64(mv_stream *s, const uint8_t *bytes, size_t n)
{
    while (n > 0 && s->held > 0) {
        s->three[s->held++] = *bytes++;
        n--;
        if (s->held == 3) {
            put_three(s, s->three, 3);
            s->held = 0;
        }
    }
    for (; n >= 3; n -= 3, bytes += 3)
        put_three(s, bytes, 3);
    for (; n > 0; n--)
        s->three[s->held++] = *bytes++;
}

void mv_stream_base64_end(mv_stream *s)
{
    if (s->held > 0)
        put_three(s, s->three, s->held);
    s->held = 0;
}

mv_status mv_stream_pack_begin(mv_stream *s, mv_error *e)
{
    if (!s->packer)
        s->packer = calloc(1, sizeof *s->packer);
    if (!s->packed)
        s->packed = malloc(MV_HTML_BUFFER);
    if (!s->packer || !s->packed)
        return mv_fail_memory(e, "html page");
    bool opened = s->packing ? deflateReset(s->packer) == Z_OK : deflateInit(s->packer, LEVEL) == Z_OK;
    s->packing = s->packing || opened;
    return opened ? MV_OK : mv_fail_memory(e, "html page");
}

/* All that is there to take, with Z_FINISH all there is. */
static void take_packed(mv_stream *s, int flush)
{
    do {
        s->packer->next_out = s->packed;
        s->packer->avail_out = MV_HTML_BUFFER;
        deflate(s->packer, flush);
        mv_stream_base64(s, s->packed, MV_HTML_BUFFER - s->packer->avail_out);
    } while (s->packer->avail_out == 0);
}

void mv_stream_pack(mv_stream *s, const void *bytes, size_t n)
{
    const Bytef *from = bytes;
    while (n > 0) {
        uInt part = n < MOST_AT_ONCE ? (uInt)n : MOST_AT_ONCE;
        s->packer->next_in = (Bytef *)(uintptr_t)from; /* which is only read */
        s->packer->avail_in = part;
        take_packed(s, Z_NO_FLUSH);
        from += part;
        n -= part;
    }
}

void mv_stream_pack_end(mv_stream *s)
{
    s->packer->avail_in = 0;
    take_packed(s, Z_FINISH);
    mv_stream_base64_end(s);
}

void mv_stream_free(mv_stream *s)
{
    if (s->packing)
        deflateEnd(s->packer);
    free(s->packer);
    free(s->packed);
    s->packer = NULL;
    s->packed = NULL;
    s->packing = false;
}
