/* One file on its way into the cache: taken up where it stopped, hashed while it comes, renamed when it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/digest_impl.h"
#include "src/file/hub_impl.h"
#include "src/file/kind.h"
#include "src/file/output.h"
#include "src/file/system_impl.h"

enum { CHUNK = 1 << 20 };

/* A file that comes. */
typedef struct {
    mv_hub_pulling *p;
    mv_hub_file *f;
    int fd;
    uint64_t have, most; /* bytes that are there; the most that were at any time */
    mv_digest digest;
    const char *path; /* of the incomplete file */
    bool resumed;     /* some of it is an earlier run's */
} blob;

static void show(const blob *b)
{
    if (b->p->s->progress)
        b->p->s->progress(b->p->s->context, b->p->done + b->have, b->p->out->size);
}

/* Empties the incomplete file. */
static mv_status restart(blob *b, mv_error *e)
{
    b->have = 0;
    b->resumed = false;
    mv_digest_begin(&b->digest, b->f->etag, b->f->size);
    if (mv_system_resize(b->fd, 0) || lseek(b->fd, 0, SEEK_SET) < 0)
        return mv_fail_errno(e, b->path, "cannot be emptied");
    return MV_OK;
}

static mv_status begin_blob(void *sink, const mv_answer *a, mv_error *e)
{
    blob *b = sink;
    if (a->status == 206 && (a->from < 0 || (uint64_t)a->from != b->have))
        return mv_fail(e, MV_EINPUT, "%s: found a part that begins at another byte than the one asked for", a->url);
    if (a->size >= 0 && (uint64_t)a->size != b->f->size) {
        if (strstr(a->type, "html"))
            return mv_hub_fail_page(a, NULL, 0, b->f->name, e);
        return mv_fail(e, MV_EINPUT, "%s: found a file of %lld bytes, expected %llu as the hub says", a->url,
                       (long long)a->size, (unsigned long long)b->f->size);
    }
    if (a->status == 206 || b->have == 0)
        return MV_OK;
    mv_hub_say(b->p, "%s: the server does not continue files; it begins again", b->f->name);
    return restart(b, e);
}

static mv_status take_blob(void *sink, const void *bytes, size_t n, mv_error *e)
{
    blob *b = sink;
    if (n > b->f->size - b->have)
        return restart(b, NULL), mv_fail(e, MV_EINPUT, "%s: found more than the %llu bytes that the hub says",
                                         b->f->name, (unsigned long long)b->f->size);
    mv_status s = mv_system_write(b->fd, bytes, n, -1, b->path, e);
    if (s)
        return s;
    mv_digest_add(&b->digest, bytes, n);
    b->have += n;
    b->f->fetched += n;
    show(b);
    return MV_OK;
}

static bool continue_blob(mv_request *r)
{
    blob *b = r->sink;
    bool further = b->have > b->most;
    b->most = further ? b->have : b->most;
    r->from = b->have;
    return further;
}

/* Takes what an earlier run left into the hash. */
static mv_status take_up(blob *b, mv_error *e)
{
    struct stat st;
    if (fstat(b->fd, &st))
        return mv_fail_errno(e, b->path, "cannot be examined");
    mv_digest_begin(&b->digest, b->f->etag, b->f->size);
    if (st.st_size == 0)
        return MV_OK;
    if (b->p->s->force || (uint64_t)st.st_size > b->f->size)
        return restart(b, e);
    char *chunk = malloc(CHUNK);
    mv_status s = chunk ? MV_OK : mv_fail_memory(e, b->path);
    while (!s && b->have < (uint64_t)st.st_size) {
        ssize_t k = mv_system_read(b->fd, chunk, CHUNK);
        if (k == 0)
            errno = EIO; /* cut short by somebody else */
        if (k <= 0)
            s = mv_fail_errno(e, b->path, "cannot be read");
        else if (mv_hub_stop_asked(b->p))
            s = mv_hub_interrupted(b->p, e);
        else
            mv_digest_add(&b->digest, chunk, (size_t)k), b->have += (uint64_t)k;
    }
    free(chunk);
    b->resumed = b->have > 0;
    b->most = b->have;
    if (b->resumed && !s)
        mv_hub_say(b->p, "%s: goes on after %.1f of %.1f MB", b->f->name, (double)b->have * 1e-6,
                   (double)b->f->size * 1e-6);
    return s;
}

/* Gets what is missing. */
static mv_status continue_to_end(blob *b, const char *url, mv_error *e)
{
    mv_answer a = {0};
    for (bool emptied = false; b->have < b->f->size;) {
        mv_request r = {.from = b->have, .sink = b, .begin = begin_blob, .write = take_blob};
        mv_status s = mv_hub_ask(b->p, url, &r, &a, continue_blob, e);
        if (!s && a.status == 416 && !emptied) { /* the server has nothing from there on */
            emptied = true;
            s = restart(b, e);
            if (!s)
                continue;
        }
        if (!s && (a.status < 200 || a.status > 299))
            s = mv_hub_refuse(b->p, &a, b->f->name, e);
        if (!s && b->have < b->f->size)
            s = mv_fail(e, MV_EINPUT, "%s: found %llu bytes, expected %llu as the hub says", a.url,
                        (unsigned long long)b->have, (unsigned long long)b->f->size);
        if (s)
            return s;
    }
    return MV_OK;
}

/* What the bytes are that came. */
static void describe_blob(const blob *b, char what[MV_KIND_TEXT])
{
    char start[MV_KIND_BYTES];
    ssize_t n = pread(b->fd, start, sizeof start, 0);
    mv_kind_what(what, start, n > 0 ? (size_t)n : 0);
}

/* Gets what is missing, and checks the whole. If an earlier run's part is at fault, everything is fetched again. */
static mv_status complete(blob *b, mv_error *e)
{
    char found[65], *url = mv_hub_url(b->p, b->f->name);
    mv_status s = url ? MV_OK : mv_fail_memory(e, b->f->name);
    show(b);
    while (!s) {
        s = continue_to_end(b, url, e);
        if (s || mv_digest_is(&b->digest, b->f->etag, found))
            break;
        bool again = b->resumed;
        char what[MV_KIND_TEXT];
        describe_blob(b, what);
        s = restart(b, e);
        if (!s && !again)
            s = mv_fail(e, MV_EINPUT,
                        "%s: found %s of the hash %s, expected %s as the hub says; nothing of it was kept", b->f->name,
                        what, found, b->f->etag);
        if (!s)
            mv_hub_say(b->p, "%s: what an earlier run left is not the beginning of this file; it begins again",
                       b->f->name);
    }
    free(url);
    return s;
}

static mv_status finish_blob(blob *b, const char *final, mv_error *e)
{
    if (mv_system_sync(b->fd))
        return mv_fail_errno(e, b->path, "cannot be written to the disk");
    if (rename(b->path, final))
        return mv_fail_errno(e, final, "cannot be given its name");
    b->f->checked = b->digest.kind != MV_DIGEST_NONE;
    if (!b->f->checked)
        mv_warn(&b->p->out->warnings, "%s: the server's ETag is no hash, so only the size was checked", b->f->name);
    return MV_OK;
}

/* True if the blob is there; one of another size is not. */
static bool is_there(const mv_hub_pulling *p, const char *path, const mv_hub_file *f)
{
    struct stat st;
    return !p->s->force && stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size;
}

static mv_status get_locked(mv_hub_pulling *p, mv_hub_file *f, const char *final, mv_error *e)
{
    char *path = mv_hub_path(p->s->cache, p->name, "blobs/%s.incomplete", f->etag);
    if (!path)
        return mv_fail_memory(e, f->name);
    blob b = {.p = p, .f = f, .path = path};
    b.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    mv_status s = b.fd < 0 ? mv_fail_errno(e, path, "cannot be created") : take_up(&b, e);
    if (!s)
        s = complete(&b, e);
    if (!s)
        s = finish_blob(&b, final, e);
    if (s)
        p->out->kept += b.have;
    if (s && b.fd >= 0 && b.have == 0)
        unlink(path);
    if (b.fd >= 0)
        close(b.fd);
    free(path);
    return s;
}

mv_status mv_hub_get(mv_hub_pulling *p, mv_hub_file *f, mv_error *e)
{
    char *final = mv_hub_path(p->s->cache, p->name, "blobs/%s", f->etag);
    int lock = -1;
    mv_status s = final ? mv_output_make_parents(final, e) : mv_fail_memory(e, f->name);
    if (!s && !is_there(p, final, f)) {
        s = mv_hub_lock(p->s, p->name, f->etag, &lock, e);
        if (s && mv_hub_stop_asked(p))
            p->out->stopped = true;
        if (!s && !is_there(p, final, f)) /* another process may have brought it meanwhile */
            s = get_locked(p, f, final, e);
        if (lock >= 0)
            close(lock);
    }
    free(final);
    p->done += f->size;
    return s;
}

uint64_t mv_hub_missing(const mv_hub_pulling *p, const mv_hub_file *f)
{
    struct stat st;
    uint64_t missing = f->size;
    char *final = mv_hub_path(p->s->cache, p->name, "blobs/%s", f->etag);
    char *part = mv_hub_path(p->s->cache, p->name, "blobs/%s.incomplete", f->etag);
    if (final && part && is_there(p, final, f))
        missing = 0;
    else if (part && !p->s->force && stat(part, &st) == 0 && (uint64_t)st.st_size <= missing)
        missing -= (uint64_t)st.st_size;
    free(final);
    free(part);
    return missing;
}
