#include "cmd/records_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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
    char **more = r->rows < RECORDS_ROWS ? realloc(r->row, ((size_t)r->rows + 1) * sizeof *more) : NULL;
    if (!more)
        return -1;
    r->row = more;
    r->row[r->rows] = strdup(name);
    return r->row[r->rows] ? r->rows++ : -1;
}

mv_status records_keep(records *r, record *one, mv_error *e)
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

int records_order(const void *a, const void *b)
{
    const record *x = a, *y = b;
    return x->i != y->i ? (x->i > y->i) - (x->i < y->i) : (x->index > y->index) - (x->index < y->index);
}

void records_sort(records *r)
{
    if (r->n)
        qsort(r->record, (size_t)r->n, sizeof *r->record, records_order);
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
    mv_status s = records_keep(r, one, e);
    return s || !r->out ? s : write_line(r, line_of(r, &r->record[r->n - 1]), e);
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
    records_reading f = {.path = r->path};
    off_t size = 0;
    mv_status s = records_read(r, &f, r->out, &size, e);
    const json_t *was = json_object_get(f.head, "part");
    if (!s && f.head &&
        (json_integer_value(json_array_get(was, 0)) != part || json_integer_value(json_array_get(was, 1)) != parts))
        s = mv_fail(e, MV_EINPUT, "%s: is of another part of the pictures (--shard)", r->path);
    *empty = !f.head;
    json_decref(f.head);
    if (!s && (TEMP_FAILURE_RETRY(ftruncate(fileno(r->out), size)) || fseeko(r->out, 0, SEEK_END)))
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
    struct stat is;
    r->path = path;
    bool there = stat(path, &is) == 0, absent = !there && errno == ENOENT;
    if (absent && lstat(path, &is) == 0)
        return mv_fail(e, MV_EINPUT, "--records: %s is a link to nothing, expected a file or a new name", path);
    if (there && !S_ISREG(is.st_mode)) /* opening a pipe would wait for its other end */
        return mv_fail(e, MV_EINPUT, "--records: %s is a %s, expected a file or a new name", path,
                       S_ISDIR(is.st_mode) ? "folder" : "pipe or device");
    if (resume && !absent)
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
        s = write_line(r,
                       json_pack("{s:{s:i,s:i,s:o*}}", "end", "pictures", r->n, "failed", r->failed, "unread",
                                 r->unread ? json_true() : NULL),
                       e);
    if (fclose(r->out) && !s)
        s = mv_fail_errno(e, r->path, "cannot be written");
    r->out = NULL;
    return s;
}
