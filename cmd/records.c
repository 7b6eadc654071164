#include "cmd/records.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "src/base/text.h"
#include "src/file/json.h"

enum { LONGEST_LINE = 16 << 20, MOST_ROWS = 256, MOST_STAGES = 256, MOST_CELLS = 65536, MOST_PICTURES = 100000000 };

/* ---- in memory */

void record_free(record *one)
{
    for (int i = 0; i < one->n; i++)
        free(one->score[i].stage);
    free(one->score);
    free(one->image);
    *one = (record){0};
}

void records_free(records *r)
{
    for (int i = 0; i < r->n; i++)
        record_free(&r->record[i]);
    for (int i = 0; i < r->rows; i++)
        free(r->row[i]);
    free(r->record);
    free(r->row);
    free(r->device);
    json_decref(r->settings);
    if (r->out)
        fclose(r->out);
    *r = (records){0};
}

int records_row(records *r, const char *name)
{
    for (int i = 0; i < r->rows; i++)
        if (strcmp(r->row[i], name) == 0)
            return i;
    char **more = r->rows < MOST_ROWS ? realloc(r->row, ((size_t)r->rows + 1) * sizeof *more) : NULL;
    if (!more)
        return -1;
    r->row = more;
    r->row[r->rows] = strdup(name);
    return r->row[r->rows] ? r->rows++ : -1;
}

static mv_status keep(records *r, record *one, mv_error *e)
{
    if (r->n == r->room) {
        int room = r->room ? 2 * r->room : 64;
        record *more = realloc(r->record, (size_t)room * sizeof *more);
        if (!more) {
            record_free(one);
            return mv_fail_memory(e, "records");
        }
        r->record = more;
        r->room = room;
    }
    r->record[r->n++] = *one;
    *one = (record){0};
    return MV_OK;
}

static int by_place(const void *a, const void *b)
{
    const record *x = a, *y = b;
    return x->i != y->i ? (x->i > y->i) - (x->i < y->i) : (x->index > y->index) - (x->index < y->index);
}

void records_sort(records *r)
{
    if (r->n)
        qsort(r->record, (size_t)r->n, sizeof *r->record, by_place);
}

/* ---- lines */

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static bool set(json_t *object, const char *key, json_t *value)
{
    return object && json_object_set_new(object, key, value) == 0;
}

static json_t *list_of(const double *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        if (json_array_append_new(list, number(v[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *line_of(const records *r, const record *one)
{
    json_t *line = json_pack("{s:i,s:i,s:s,s:i,s:i,s:i,s:f}", "i", one->i, "index", one->index, "image", one->image,
                             "class", one->class_, "answer", one->answer, "rank", one->rank, "p", one->p),
           *faith = json_object(), *redrawn = json_object();
    bool good = line && faith && redrawn;
    for (int i = 0; i < one->n && good; i++) {
        const score *s = &one->score[i];
        good = set(faith, r->row[s->row], list_of(s->v, FIGURES)) &&
               (!s->stages || set(redrawn, r->row[s->row], list_of(s->stage, s->stages)));
    }
    if (one->grain[0])
        good = good && set(line, "grain", json_pack("[i,i]", one->grain[0], one->grain[1]));
    good = good && (json_object_size(faith) ? set(line, "faith", json_incref(faith)) : true) &&
           (json_object_size(redrawn) ? set(line, "redrawn", json_incref(redrawn)) : true);
    json_decref(faith);
    json_decref(redrawn);
    if (good)
        return line;
    json_decref(line);
    return NULL;
}

/* Writes a line, and takes the value. A killed process loses no line that was written. */
static mv_status write_line(records *r, json_t *value, mv_error *e)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(value);
    if (!text)
        return mv_fail_memory(e, r->path);
    bool bad = fprintf(r->out, "%s\n", text) < 0 || fflush(r->out);
    free(text);
    return bad ? mv_fail_errno(e, r->path, "cannot be written") : MV_OK;
}

mv_status records_add(records *r, record *one, mv_error *e)
{
    mv_status s = keep(r, one, e);
    return s || !r->out ? s : write_line(r, line_of(r, &r->record[r->n - 1]), e);
}

/* ---- reading */

/* A file while it is read. */
typedef struct {
    const char *path;
    int number; /* of the line */
    json_t *head;
    bool ended;
    int failed;
} reading;

static mv_status wrong(const reading *f, const char *what, mv_error *e)
{
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
        json_object_size(faith) > MOST_ROWS)
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

static mv_status read_record(records *r, const reading *f, const json_t *line, mv_error *e)
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
    return keep(r, &one, e);
}

static mv_status compare_settings(const records *r, const reading *f, json_t *settings, mv_error *e)
{
    const char *key;
    json_t *v;
    json_object_foreach(r->settings, key, v)
    {
        if (!json_equal(v, json_object_get(settings, key)))
            return mv_fail(e, MV_EINPUT, "%s: is of another run: its '%.40s' differs", f->path, key);
    }
    if (json_object_size(r->settings) != json_object_size(settings))
        return mv_fail(e, MV_EINPUT, "%s: is of another run: it has other settings", f->path);
    return MV_OK;
}

/* The first line: takes over the settings, or compares them. */
static mv_status read_head(records *r, reading *f, json_t *line, mv_error *e)
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

static mv_status read_line(records *r, reading *f, const char *text, size_t n, mv_error *e)
{
    bool light = mv_json_weight(text, n) <= MV_JSON_ROOM;
    json_t *line = light ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    mv_status s = MV_OK;
    if (!json_is_object(line) || f->ended)
        s = wrong(f, f->ended ? "a line after the last one" : "no JSON", e);
    else if (!f->head)
        s = read_head(r, f, line, e);
    else if (json_object_get(line, "end")) {
        f->ended = true;
        if (!whole(json_object_get(line, "end"), "failed", 0, MOST_PICTURES, &f->failed))
            s = wrong(f, "no last line", e);
    } else
        s = read_record(r, f, line, e);
    json_decref(line);
    return s;
}

/* The next line with its end, into *text, which grows; its length; 0 at the end of the file; -1 where it is too long or
 * there is no memory. */
static ssize_t next_line(FILE *in, char **text, size_t *room)
{
    size_t n = 0;
    for (;;) {
        if (n + 2 > *room) {
            size_t more = *room ? 2 * *room : 4096;
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

/* Reads a file from its start. *size: bytes of the whole lines before the last line of a run that has ended. */
static mv_status read_file(records *r, reading *f, FILE *in, off_t *size, mv_error *e)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n = 0;
    mv_status s = MV_OK;
    *size = 0;
    while (!s && (n = next_line(in, &text, &room)) > 0 && text[n - 1] == '\n') {
        f->number++;
        s = read_line(r, f, text, (size_t)n, e);
        *size += s || f->ended ? 0 : n;
        n = 0;
    }
    if (!s && ferror(in))
        s = mv_fail_errno(e, f->path, "cannot be read");
    if (!s && n < 0) {
        f->number++;
        s = wrong(f, "a line that is too long", e);
    }
    bool torn = n > 0; /* only the beginning of one of our lines may be cut off */
    if (!s && torn && strncmp(text, "{\"", n < 2 ? (size_t)n : 2))
        s = mv_fail(e, MV_EINPUT, "%s: does not end in a record of eval", f->path);
    free(text);
    return s;
}

/* ---- the file of a run */

static json_t *head_of(const records *r, int part, int parts)
{
    return json_pack("{s:i,s:s,s:[i,i],s:O}", "eval", 1, "device", r->device, "part", part, parts, "settings",
                     r->settings);
}

/* Two runs that write one file would count pictures twice. */
static mv_status lock(const records *r, mv_error *e)
{
    if (flock(fileno(r->out), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) /* no locks here */
        return MV_OK;
    return mv_fail(e, MV_EIO, "%s: found another process that writes it, expected none: wait for it", r->path);
}

/* Reads what is there, and cuts off what is not whole. */
static mv_status read_back(records *r, int part, int parts, bool *empty, mv_error *e)
{
    reading f = {.path = r->path};
    off_t size = 0;
    mv_status s = read_file(r, &f, r->out, &size, e);
    const json_t *was = json_object_get(f.head, "part");
    if (!s && f.head &&
        (json_integer_value(json_array_get(was, 0)) != part || json_integer_value(json_array_get(was, 1)) != parts))
        s = mv_fail(e, MV_EINPUT, "%s: is of another part of the pictures (--shard)", r->path);
    *empty = !f.head;
    json_decref(f.head);
    if (!s && (ftruncate(fileno(r->out), size) || fseeko(r->out, 0, SEEK_END)))
        s = mv_fail_errno(e, r->path, "cannot be continued");
    return s;
}

static mv_status go_on(records *r, int part, int parts, mv_error *e)
{
    bool empty = false;
    r->out = fopen(r->path, "a+e");
    if (!r->out)
        return mv_fail_errno(e, r->path, "cannot be continued");
    mv_status s = lock(r, e);
    if (!s)
        s = read_back(r, part, parts, &empty, e);
    if (!s && empty)
        s = write_line(r, head_of(r, part, parts), e);
    if (s) {
        fclose(r->out);
        r->out = NULL;
    }
    return s;
}

mv_status records_open(records *r, const char *path, int part, int parts, bool resume, mv_error *e)
{
    r->path = path;
    if (resume && access(path, F_OK) == 0)
        return go_on(r, part, parts, e);
    r->out = fopen(path, "wxe");
    if (!r->out && errno == EEXIST)
        return mv_fail(e, MV_EINPUT, "--records: %s is there; --resume goes on with it", path);
    if (!r->out)
        return mv_fail_errno(e, path, "cannot be written");
    mv_status s = lock(r, e);
    return s ? s : write_line(r, head_of(r, part, parts), e);
}

mv_status records_close(records *r, bool ended, mv_error *e)
{
    mv_status s = MV_OK;
    if (!r->out)
        return MV_OK;
    if (ended)
        s = write_line(r, json_pack("{s:{s:i,s:i}}", "end", "pictures", r->n, "failed", r->failed), e);
    if (fclose(r->out) && !s)
        s = mv_fail_errno(e, r->path, "cannot be written");
    r->out = NULL;
    return s;
}

/* ---- parts */

/* Each part of `parts` once: `seen` has a place for each. */
static mv_status check_part(const reading *f, int *parts, bool **seen, mv_error *e)
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
    reading f = {.path = path};
    off_t size;
    FILE *in = fopen(path, "re");
    if (!in)
        return mv_fail_errno(e, path, "cannot be read");
    mv_status s = read_file(r, &f, in, &size, e);
    if (!s && !f.head)
        s = mv_fail(e, MV_EINPUT, "%s: is empty, expected the records of eval", path);
    if (!s && !f.ended)
        s = mv_fail(e, MV_EINPUT, "%s: is of a run that has not ended; the same command with --resume ends it", path);
    if (!s)
        s = check_part(&f, parts, seen, e);
    r->failed += f.failed;
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
        if (by_place(&r->record[i - 1], &r->record[i]) == 0)
            s = mv_fail(e, MV_EINPUT, "--merge: found %s twice", r->record[i].image);
    return s;
}
