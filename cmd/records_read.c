#include "cmd/records_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
#include "src/file/json.h"

enum { LONGEST_LINE = 16 << 20, MOST_STAGES = 256, MOST_CELLS = 65536, MOST_PICTURES = 100000000 };

/* ---- a file */

static mv_status wrong(const records_reading *f, const char *what, mv_error *e)
{
    if (errno == ENOMEM) /* it was 0 before the line was read */
        return mv_fail_memory(e, f->path);
    return mv_fail(e, MV_EINPUT, "%s: line %d: found %s, expected the records of eval", f->path, f->number, what);
}

/* A whole number of a member, least to most; false where it is anything else. */
static bool whole(const json_t *object, const char *key, int least, int most, int *out)
{
    const json_t *v = json_object_get(object, key);
    json_int_t n = json_integer_value(v);
    *out = (int)n;
    return json_is_integer(v) && n >= least && n <= most;
}

static bool read_list(const json_t *list, double *out, int n)
{
    if (!json_is_array(list) || json_array_size(list) != (size_t)n)
        return false;
    for (int i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!json_is_number(v) && !json_is_null(v))
            return false;
        out[i] = json_is_null(v) ? NAN : json_number_value(v);
    }
    return true;
}

static bool read_scores(records *r, record *one, const json_t *line)
{
    json_t *faith = json_object_get(line, "faith"), *redrawn = json_object_get(line, "redrawn"), *v;
    const char *name;
    if ((faith && !json_is_object(faith)) || (redrawn && !json_is_object(redrawn)) ||
        json_object_size(faith) > RECORDS_ROWS)
        return false;
    one->score = calloc(json_object_size(faith) + 1, sizeof *one->score);
    if (!one->score)
        return false;
    json_object_foreach(faith, name, v)
    {
        score *s = &one->score[one->n];
        json_t *stages = json_object_get(redrawn, name);
        if (!mv_text_is_clean(name) || strlen(name) > 200 || (s->row = records_row(r, name)) < 0 ||
            !read_list(v, s->v, FIGURES))
            return false;
        one->n++;
        s->stages = (int)json_array_size(stages);
        if (s->stages > MOST_STAGES || (stages && !json_is_array(stages)))
            return false;
        s->stage = s->stages ? calloc((size_t)s->stages, sizeof *s->stage) : NULL;
        if (s->stages && (!s->stage || !read_list(stages, s->stage, s->stages)))
            return false;
    }
    return true;
}

/* Of a picture whose maps were measured. */
static bool read_grain(record *one, const json_t *line)
{
    double v[2] = {0};
    const json_t *grain = json_object_get(line, "grain");
    if (!grain)
        return one->n == 0;
    if (!read_list(grain, v, 2) || !(v[0] >= 1 && v[0] <= MOST_CELLS && v[1] >= 1 && v[1] <= MOST_CELLS))
        return false;
    one->grain[0] = (int)v[0];
    one->grain[1] = (int)v[1];
    return true;
}

static mv_status read_record(records *r, const records_reading *f, const json_t *line, mv_error *e)
{
    record one = {0};
    const char *image = json_string_value(json_object_get(line, "image"));
    const json_t *p = json_object_get(line, "p");
    int classes = (int)json_array_size(json_object_get(r->settings, "classes"));
    one.p = json_number_value(p);
    bool good = image && mv_text_is_safe(image) && whole(line, "i", 0, MOST_PICTURES, &one.i) &&
                whole(line, "index", 0, MOST_PICTURES, &one.index) &&
                whole(line, "class", 0, classes - 1, &one.class_) &&
                whole(line, "answer", 0, classes - 1, &one.answer) && whole(line, "rank", 0, classes - 1, &one.rank) &&
                json_is_number(p) && one.p >= 0 && one.p <= 1;
    if (good)
        one.image = strdup(image);
    if (!good || !one.image || !read_scores(r, &one, line) || !read_grain(&one, line)) {
        record_free(&one);
        return wrong(f, "no record of a picture", e);
    }
    return records_keep(r, &one, e);
}

static mv_status compare_settings(const records *r, const records_reading *f, json_t *settings, mv_error *e)
{
    const char *key;
    json_t *v;
    json_object_foreach(r->settings, key, v)
    {
        if (json_equal(v, json_object_get(settings, key)))
            continue;
        if (!strcmp(key, "pictures") || !strcmp(key, "list"))
            return mv_fail(e, MV_EINPUT, "%s: is of another run: its list of pictures or their labels differs",
                           f->path);
        return mv_fail(e, MV_EINPUT, "%s: is of another run: its '%.40s' differs", f->path, key);
    }
    if (json_object_size(r->settings) != json_object_size(settings))
        return mv_fail(e, MV_EINPUT, "%s: is of another run: it has other settings", f->path);
    return MV_OK;
}

/* The first line: takes over the settings, or compares them. */
static mv_status read_head(records *r, records_reading *f, json_t *line, mv_error *e)
{
    json_t *settings = json_object_get(line, "settings");
    const char *device = json_string_value(json_object_get(line, "device"));
    const json_t *part = json_object_get(line, "part");
    if (json_integer_value(json_object_get(line, "eval")) != 1 || !json_is_object(settings) || !device ||
        !mv_text_is_safe(device) || !json_is_array(part) || json_array_size(part) != 2 ||
        !json_is_array(json_object_get(settings, "classes")))
        return wrong(f, "another first line", e);
    f->head = json_incref(line);
    if (!r->settings)
        r->settings = json_incref(settings);
    if (compare_settings(r, f, settings, e))
        return MV_EINPUT;
    if (!r->device)
        r->device = strdup(device);
    else if (strcmp(r->device, device)) { /* parts may be computed in different places */
        char *both = strstr(r->device, device) ? strdup(r->device) : NULL;
        if (!both && asprintf(&both, "%s, %s", r->device, device) < 0)
            both = NULL;
        free(r->device);
        r->device = both;
    }
    return r->device ? MV_OK : mv_fail_memory(e, f->path);
}

static mv_status parse_line(json_t **line, const records_reading *f, const char *text, size_t n, mv_error *e)
{
    char place[300];
    mv_text_print(place, sizeof place, "%s: line %d", f->path, f->number);
    if (mv_json_weigh(text, n, MV_JSON_ROOM, place, e))
        return e->code;
    errno = 0;
    *line = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    if (!*line && errno == ENOMEM) /* jansson's own error code is not reliable here */
        return mv_fail_memory(e, place);
    return json_is_object(*line) ? MV_OK : wrong(f, "no JSON", e);
}

/* The last line. Without "unread", which only a run with unread pictures writes, all were read. */
static mv_status read_end(records_reading *f, const json_t *end, mv_error *e)
{
    const json_t *unread = json_object_get(end, "unread");
    f->ended = true;
    f->unread = json_is_true(unread);
    bool good = whole(end, "failed", 0, MOST_PICTURES, &f->failed) && (!unread || json_is_boolean(unread));
    return good ? MV_OK : wrong(f, "no last line", e);
}

static mv_status read_line(records *r, records_reading *f, const char *text, size_t n, mv_error *e)
{
    json_t *line = NULL;
    mv_status s = f->ended ? wrong(f, "a line after the last one", e) : parse_line(&line, f, text, n, e);
    if (!s && !f->head)
        s = read_head(r, f, line, e);
    else if (!s && json_object_get(line, "end"))
        s = read_end(f, json_object_get(line, "end"), e);
    else if (!s)
        s = read_record(r, f, line, e);
    json_decref(line);
    return s;
}

/* The next line with its end, into *text, which grows; its length; 0 at the end of the file; -1 where it is too long,
 * and with ENOMEM where there is no memory. */
static ssize_t next_line(FILE *in, char **text, size_t *room)
{
    size_t n = 0;
    for (;;) {
        if (n + 2 > *room) {
            size_t more = *room ? 2 * *room : 4096;
            errno = 0;
            char *larger = more <= LONGEST_LINE ? realloc(*text, more) : NULL;
            if (!larger)
                return -1;
            *text = larger;
            *room = more;
        }
        int c = getc(in);
        if (c == EOF)
            return (ssize_t)n;
        (*text)[n++] = (char)c;
        if (c == '\n')
            return (ssize_t)n;
    }
}

mv_status records_read(records *r, records_reading *f, FILE *in, off_t *size, mv_error *e)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n = 0;
    mv_status s = MV_OK;
    *size = 0;
    while (!s && (errno = 0, n = next_line(in, &text, &room)) > 0 && text[n - 1] == '\n') {
        f->number++;
        s = read_line(r, f, text, (size_t)n, e);
        *size += s || f->ended ? 0 : n;
        n = 0;
    }
    if (!s && ferror(in))
        s = mv_fail_errno(e, f->path, "cannot be read");
    if (!s && n < 0) {
        f->number++;
        s = errno == ENOMEM
                ? mv_fail_memory(e, f->path)
                : mv_fail(e, MV_EINPUT, "%s: line %d: found a line of more than %d MiB, expected a shorter one",
                          f->path, f->number, LONGEST_LINE >> 20);
    }
    bool torn = n > 0; /* only the beginning of one of our lines may be cut off */
    if (!s && torn && strncmp(text, "{\"", n < 2 ? (size_t)n : 2))
        s = mv_fail(e, MV_EINPUT, "%s: does not end in a record of eval", f->path);
    free(text);
    return s;
}

/* ---- parts */

/* Each part of `parts` once: `seen` has a place for each. */
static mv_status check_part(const records_reading *f, int *parts, bool **seen, mv_error *e)
{
    const json_t *part = json_object_get(f->head, "part");
    json_int_t i = json_integer_value(json_array_get(part, 0)), n = json_integer_value(json_array_get(part, 1));
    if (i == 0 && n == 0)
        i = n = 1;
    if (n < 1 || n > 100000 || i < 1 || i > n)
        return mv_fail(e, MV_EINPUT, "%s: found part %lld of %lld, expected parts of at most 100000", f->path,
                       (long long)i, (long long)n);
    if (!*seen) {
        *parts = (int)n;
        *seen = calloc((size_t)n, sizeof **seen);
        if (!*seen)
            return mv_fail_memory(e, f->path);
    }
    if (n != *parts)
        return mv_fail(e, MV_EINPUT, "%s: is part %d of %d, expected a part of %d as those before", f->path, (int)i,
                       (int)n, *parts);
    if ((*seen)[i - 1])
        return mv_fail(e, MV_EINPUT, "%s: is part %d of %d, which was given before", f->path, (int)i, (int)n);
    (*seen)[i - 1] = true;
    return MV_OK;
}

static mv_status merge_one(records *r, const char *path, int *parts, bool **seen, mv_error *e)
{
    records_reading f = {.path = path};
    off_t size;
    FILE *in = fopen(path, "re");
    if (!in)
        return mv_fail_errno(e, path, "cannot be read");
    mv_status s = records_read(r, &f, in, &size, e);
    if (!s && !f.head)
        s = mv_fail(e, MV_EINPUT, "%s: is empty, expected the records of eval", path);
    if (!s && !f.ended)
        s = mv_fail(e, MV_EINPUT, "%s: is of a run that has not ended; the same command with --resume ends it", path);
    if (!s)
        s = check_part(&f, parts, seen, e);
    r->failed += f.failed;
    r->unread |= f.unread;
    json_decref(f.head);
    fclose(in);
    return s;
}

mv_status records_merge(records *r, int n, const char *const *paths, mv_error *e)
{
    int parts = 0;
    bool *seen = NULL;
    mv_status s = MV_OK;
    for (int i = 0; i < n && !s; i++)
        s = merge_one(r, paths[i], &parts, &seen, e);
    for (int i = 0; i < parts && !s; i++)
        if (!seen[i])
            s = mv_fail(e, MV_EINPUT, "--merge: found no records of part %d of %d, expected all parts", i + 1, parts);
    free(seen);
    records_sort(r);
    for (int i = 1; i < r->n && !s; i++)
        if (records_order(&r->record[i - 1], &r->record[i]) == 0)
            s = mv_fail(e, MV_EINPUT, "--merge: found %s twice", r->record[i].image);
    return s;
}
