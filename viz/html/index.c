#include "viz/html/index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assets/assets.h"
#include "viz/draw/jpeg_file.h"
#include "viz/html/stream_impl.h"

char *mv_index_reference(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    char *out = malloc(3 * strlen(path) + 1), *to = out;
    if (!out)
        return NULL;
    for (; *path; path++)
        if (strchr(plain, *path))
            *to++ = *path;
        else
            to += sprintf(to, "%%%02X", (unsigned char)*path);
    *to = '\0';
    return out;
}

static mv_stream *begin(mv_html_sink *sink, void *context, mv_error *e)
{
    mv_stream *s = calloc(1, sizeof *s);
    if (!s) {
        mv_fail_memory(e, "index");
        return NULL;
    }
    s->sink = sink;
    s->context = context;
    return s;
}

static mv_status end(mv_stream *s, mv_error *e)
{
    mv_stream_flush(s);
    mv_status status = s->status;
    mv_stream_free(s);
    free(s);
    return status == MV_OK || (e && e->code)
               ? status
               : mv_fail(e, status, "index: found a failure while writing, expected none");
}

static void put_thumb(mv_stream *s, const mv_image *thumb, mv_error *e)
{
    uint8_t *bytes;
    size_t size;
    mv_status status = mv_jpeg_encode(thumb->rgb, thumb->w, thumb->h, &bytes, &size, e);
    if (status) {
        s->status = status;
        return;
    }
    mv_stream_format(s, "<img alt=\"\" loading=\"lazy\" width=\"%d\" height=\"%d\" src=\"data:image/jpeg;base64,",
                     thumb->w, thumb->h);
    mv_stream_base64(s, bytes, size);
    mv_stream_base64_end(s);
    mv_stream_text(s, "\">");
    free(bytes);
}

mv_status mv_index_row(const mv_index_entry *entry, mv_html_sink *sink, void *context, mv_error *e)
{
    mv_stream *s = begin(sink, context, e);
    bool known = isfinite(entry->probability);
    if (!s)
        return MV_ENOMEM;
    mv_stream_text(s, MV_INDEX_ROW);
    mv_stream_html(s, entry->page);
    mv_stream_text(s, "\" data-p=\"");
    if (known)
        mv_stream_number(s, entry->probability, 6);
    mv_stream_text(s, "\"><td>");
    if (entry->thumb)
        put_thumb(s, entry->thumb, e);
    mv_stream_text(s, "</td><td><a href=\"");
    mv_stream_html(s, entry->page);
    mv_stream_text(s, "\">");
    mv_stream_html(s, entry->name);
    mv_stream_text(s, "</a></td><td>");
    mv_stream_html(s, entry->class_);
    mv_stream_text(s, "</td><td>");
    if (known)
        mv_stream_format(s, "%.2f&#8201;%%", 100 * entry->probability);
    mv_stream_text(s, "</td></tr>\n");
    return end(s, e);
}

mv_status mv_index_write(const char *title, const char *recipe, const char *const *rows, int count, mv_html_sink *sink,
                         void *context, mv_error *e)
{
    mv_stream *s = begin(sink, context, e);
    const char *at = (const char *)MV_ASSET(html_index).bytes, *open, *close;
    if (!s)
        return MV_ENOMEM;
    while ((open = strstr(at, "{{")) && (close = strstr(open, "}}"))) {
        mv_stream_bytes(s, at, (size_t)(open - at));
        if (strncmp(open, "{{title", 7) == 0)
            mv_stream_html(s, title);
        else if (strncmp(open, "{{recipe", 8) == 0)
            mv_stream_html(s, recipe);
        else
            for (int i = 0; i < count; i++)
                mv_stream_text(s, rows[i]);
        at = close + 2;
    }
    mv_stream_text(s, at);
    return end(s, e);
}
