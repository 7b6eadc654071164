#include "cmd/index_file.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/batches.h"
#include "cmd/talk.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/file/mapping.h"
#include "src/file/output.h"
#include "viz/draw/raster.h"
#include "viz/html/index.h"

/* The index stays below some 30 MB: thumbnails are smaller where there are many pictures, and none where there are very
 * many. */
enum { LARGE = 128, SMALL = 64, FEW = 2000, MANY = 8000, OLD_INDEX = 256 << 20 };

typedef struct {
    char *row, *page; /* page: its reference */
    int rank;         /* of rows of one page, the first counts: 0 of this run, 1 of an earlier index, 2 a name alone */
} line;

struct index_file {
    char *path;
    const char *folder; /* borrowed: -o */
    int side;           /* px of thumbnails; 0: none */
    bool resumed;
    pthread_mutex_t lock; /* of what follows */
    int n, room;
    line *line;
};

/* ---- rows */

typedef struct {
    char *text;
    size_t size;
    FILE *file;
} memory;

static mv_status put(void *to, const void *bytes, size_t n)
{
    return fwrite(bytes, 1, n, ((memory *)to)->file) == n ? MV_OK : MV_ENOMEM;
}

/* Takes row and page, also where it fails. */
static mv_status add_line(index_file *x, char *row, char *page, int rank, mv_error *e)
{
    mv_status s = row && page ? MV_OK : MV_ENOMEM;
    pthread_mutex_lock(&x->lock);
    if (!s && x->n == x->room) {
        int room = x->room ? 2 * x->room : 64;
        line *more = realloc(x->line, (size_t)room * sizeof *more);
        s = more ? MV_OK : MV_ENOMEM;
        if (more)
            x->line = more, x->room = room;
    }
    if (!s)
        x->line[x->n++] = (line){row, page, rank};
    pthread_mutex_unlock(&x->lock);
    if (!s)
        return MV_OK;
    free(row);
    free(page);
    return mv_fail_memory(e, "index");
}

static mv_status add_entry(index_file *x, mv_index_entry *entry, const char *path, int rank, mv_error *e)
{
    size_t n = strlen(x->folder);
    const char *below = path + n;
    while (*below == '/')
        below++;
    memory m = {0};
    char *page = mv_index_reference(below);
    entry->page = page;
    m.file = page ? open_memstream(&m.text, &m.size) : NULL;
    mv_status s = m.file ? mv_index_row(entry, put, &m, e) : mv_fail_memory(e, "index");
    if (m.file && !mv_text_close(m.file, &m.text) && !s)
        s = mv_fail_memory(e, "index");
    if (!s)
        return add_line(x, m.text, page, rank, e);
    free(m.text);
    free(page);
    return s;
}

static mv_status make_thumb(mv_image *out, const mv_image *in, int side, mv_error *e)
{
    double scale = fmin(1, (double)side / (in->w > in->h ? in->w : in->h));
    return mv_raster_picture(out, in, (int)fmax(1, round(in->w * scale)), (int)fmax(1, round(in->h * scale)), e);
}

mv_status index_file_add(index_file *x, const call *c, const shot *t, mv_error *e)
{
    mv_image thumb = {0};
    char text[24];
    int classes = c->session.config.classes, best = classes > 0 ? mv_class_next(t->logits, classes, MV_MAP_NONE) : -1;
    mv_index_entry entry = {.name = t->name,
                            .class_ = best >= 0 ? session_class(&c->session, best, text) : NULL,
                            .probability = best >= 0 ? mv_probability(t->logits, classes, best) : (double)NAN};
    mv_status s = x->side && t->image ? make_thumb(&thumb, t->image, x->side, e) : MV_OK;
    if (thumb.rgb)
        entry.thumb = &thumb;
    if (!s)
        s = add_entry(x, &entry, t->page, 0, e);
    mv_image_free(&thumb);
    return s;
}

void index_file_keep(index_file *x, const operands *o, const destination *page, int i)
{
    char *path = destination_path(page, o, i, 0, 1), *name = picture_name(o, i, 0, 1);
    mv_index_entry entry = {.name = name, .probability = (double)NAN};
    mv_error ignored = {0};
    if (path && name)
        add_entry(x, &entry, path, 2, &ignored);
    free(path);
    free(name);
}

/* ---- an index that exists */

static char *in_folder(const char *folder, const char *name)
{
    char *path;
    size_t n = strlen(folder);
    return asprintf(&path, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name) < 0 ? NULL : path;
}

static bool has_mark(const mv_mapping *m)
{
    return m->size > 0 && memmem(m->bytes, m->size < 4096 ? m->size : 4096, MV_INDEX_MARK, strlen(MV_INDEX_MARK));
}

/* The path that mv_index_reference made a reference of; NULL without memory. */
static char *path_of(const char *reference)
{
    char *path = strdup(reference), *to = path;
    unsigned byte;
    while (to && *reference) {
        bool coded = reference[0] == '%' && reference[1] && reference[2] && sscanf(reference + 1, "%2X", &byte) == 1;
        *to++ = coded ? (char)byte : *reference;
        reference += coded ? 3 : 1;
    }
    if (to)
        *to = '\0';
    return path;
}

/* True if the page of a reference is there. */
static bool page_exists(const index_file *x, const char *page)
{
    struct stat st;
    char *name = path_of(page), *path = name ? in_folder(x->folder, name) : NULL;
    bool there = path && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    free(path);
    free(name);
    return there;
}

/* Takes over the rows of an index, without those whose pages are gone. */
static mv_status take_rows(index_file *x, const char *name, mv_error *e)
{
    mv_mapping m;
    mv_error ignored = {0};
    mv_status s = MV_OK;
    char *path = in_folder(x->folder, name);
    if (!path)
        return mv_fail_memory(e, "index");
    if (mv_mapping_load(&m, path, OLD_INDEX, &ignored)) {
        free(path);
        return MV_OK;
    }
    const char *at = (const char *)m.bytes, *end = at + m.size;
    const size_t begins = strlen(MV_INDEX_ROW);
    while (has_mark(&m) && at < end && !s) {
        const char *stop = memchr(at, '\n', (size_t)(end - at)), *next = stop ? stop + 1 : end;
        const char *from = at + begins, *quote = (size_t)(next - at) > begins && memcmp(at, MV_INDEX_ROW, begins) == 0
                                                     ? memchr(from, '"', (size_t)(next - from))
                                                     : NULL;
        char *page = quote ? strndup(from, (size_t)(quote - from)) : NULL;
        if (page && page_exists(x, page))
            s = add_line(x, strndup(at, (size_t)(next - at)), page, 1, e);
        else
            free(page);
        at = next;
    }
    mv_mapping_close(&m);
    free(path);
    return s;
}

static mv_status take_all(index_file *x, const call *c, mv_error *e)
{
    enum { PARTS = 256 };
    char name[64];
    mv_status s = take_rows(x, "index.html", e);
    for (int n = 2; n <= PARTS && !s; n++) {
        char *path;
        struct stat st;
        snprintf(name, sizeof name, "index-1-of-%d.html", n);
        if (!(path = in_folder(x->folder, name)))
            return mv_fail_memory(e, "index");
        bool there = stat(path, &st) == 0;
        free(path);
        for (int i = 1; i <= n && !s && (there || n == c->o.shard.n); i++) {
            snprintf(name, sizeof name, "index-%d-of-%d.html", i, n);
            s = take_rows(x, name, e);
        }
    }
    return s;
}

/* ---- the file */

char *index_file_path(const call *c)
{
    char name[64] = "index.html";
    if (c->o.shard.n)
        snprintf(name, sizeof name, "index-%d-of-%d.html", c->o.shard.i, c->o.shard.n);
    return in_folder(c->o.out, name);
}

index_file *index_file_new(const call *c)
{
    mv_mapping m;
    mv_error ignored = {0};
    struct stat st;
    index_file *x = must(calloc(1, sizeof *x));
    *x = (index_file){.folder = c->o.out,
                      .resumed = c->o.resume,
                      .side = c->pictures <= FEW    ? LARGE
                              : c->pictures <= MANY ? SMALL
                                                    : 0};
    x->path = must(index_file_path(c));
    pthread_mutex_init(&x->lock, NULL);
    if (stat(x->path, &st))
        return x;
    bool own = !mv_mapping_load(&m, x->path, OLD_INDEX, &ignored);
    if (own) {
        own = has_mark(&m);
        mv_mapping_close(&m);
    }
    if (own)
        return x;
    warn("%s: is no index of pages, it stays as it is and no index is written", x->path);
    index_file_free(x);
    return NULL;
}

void index_file_free(index_file *x)
{
    if (!x)
        return;
    for (int i = 0; i < x->n; i++) {
        free(x->line[i].row);
        free(x->line[i].page);
    }
    free(x->line);
    free(x->path);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

static int by_page(const void *a, const void *b)
{
    const line *x = a, *y = b;
    int order = strcmp(x->page, y->page);
    return order ? order : x->rank - y->rank;
}

static mv_status put_bytes(void *file, const void *bytes, size_t n)
{
    return mv_output_write(file, bytes, n);
}

static mv_status write_file(const index_file *x, const call *c, const char *const *rows, int n, mv_error *e)
{
    char title[48];
    mv_error why = {0};
    char *recipe = options_recipe(c, c->operand[0], c->operand + 1);
    mv_output *file = recipe ? mv_output_open(x->path, e) : NULL;
    if (!file) {
        free(recipe);
        return e->code ? e->code : mv_fail_memory(e, x->path);
    }
    mv_status s = mv_index_write(mv_count_text(title, n, "picture"), recipe, rows, n, put_bytes, file, &why);
    free(recipe);
    if (!s)
        return mv_output_commit(file, e);
    const mv_error *writing = mv_output_error(file);
    mv_fail(e, writing->code ? writing->code : s, "%s", writing->code ? writing->text : why.text);
    mv_output_discard(file);
    return s;
}

mv_status index_file_write(index_file *x, const call *c, mv_error *e)
{
    mv_status s = x->resumed ? take_all(x, c, e) : MV_OK;
    const char **rows = s ? NULL : calloc((size_t)x->n + 1, sizeof *rows);
    int n = 0;
    if (!s && !rows)
        s = mv_fail_memory(e, x->path);
    if (!s && x->n > 0)
        qsort(x->line, (size_t)x->n, sizeof *x->line, by_page);
    for (int i = 0; !s && i < x->n; i++)
        if (i == 0 || strcmp(x->line[i].page, x->line[i - 1].page) != 0)
            rows[n++] = x->line[i].row;
    if (!s && n > 0)
        s = write_file(x, c, rows, n, e);
    free(rows);
    return s;
}
