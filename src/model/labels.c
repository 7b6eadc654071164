#include "src/model/labels.h"

#include <stdlib.h>
#include <string.h>

bool mv_labels_new(mv_labels *out, int n)
{
    size_t room = n > 0 ? (size_t)n : 1;
    *out = (mv_labels){.n = n, .name = calloc(room, sizeof *out->name), .wnid = calloc(room, sizeof *out->wnid)};
    if (out->name && out->wnid)
        return true;
    mv_labels_free(out);
    return false;
}

mv_status mv_labels_parse(mv_labels *out, const char *text, size_t size, const char *place, mv_error *e)
{
    const char *line = text, *end = text + size, *stop;
    int n = 0;
    while (line < end && (line = memchr(line, '\n', (size_t)(end - line)))) {
        line++;
        n++;
    }
    if (!mv_labels_new(out, n))
        return mv_fail_memory(e, place);
    mv_status s = MV_OK;
    line = text;
    for (int i = 0; !s && i < n; i++, line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        const char *tab = memchr(line, '\t', (size_t)(stop - line));
        if (!tab) {
            s = mv_fail(e, MV_EINPUT, "%s: found no tab in line %d, expected a WordNet id, a tab and a name", place,
                        i + 1);
            break;
        }
        out->wnid[i] = strndup(line, (size_t)(tab - line));
        out->name[i] = strndup(tab + 1, (size_t)(stop - tab) - 1);
        if (!out->wnid[i] || !out->name[i])
            s = mv_fail_memory(e, place);
    }
    if (s)
        mv_labels_free(out);
    return s;
}

void mv_labels_free(mv_labels *labels)
{
    for (int i = 0; i < labels->n; i++) {
        if (labels->name)
            free(labels->name[i]);
        if (labels->wnid)
            free(labels->wnid[i]);
    }
    free(labels->name);
    free(labels->wnid);
    *labels = (mv_labels){0};
}
