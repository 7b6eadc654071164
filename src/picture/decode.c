#include "src/picture/decode.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/picture/codec_impl.h"
#include "src/picture/orient_impl.h"

static size_t pixels_allowed(const mv_picture_options *o)
{
    return o && o->max_pixels ? o->max_pixels : MV_PICTURE_MAX_PIXELS;
}

/* What decoding may take: the file, and what a codec promises (codec_impl.h). */
static size_t memory_of(const mv_encoded *f)
{
    return f->size + (size_t)MV_PICTURE_PIXEL * (size_t)f->w * (size_t)f->h + MV_PICTURE_BASE + f->extra;
}

static mv_status decode_shared(const mv_encoded *f, mv_image *out, const mv_picture_options *o, mv_error *e)
{
    size_t need = memory_of(f);
    if (o && o->max_memory && need > o->max_memory)
        return mv_fail(e, MV_EINPUT,
                       "%s: found %d x %d pixels, which may take %zu MB of memory to decode, expected at most %zu "
                       "(--max-memory)",
                       f->name, f->w, f->h, need / 1000000, o->max_memory / 1000000);
    const mv_picture_share *share = o ? o->share : NULL;
    if (share)
        share->take(share->context, need);
    mv_status s = f->codec->decode(f, out, e);
    if (!s && !(o && o->ignore_exif))
        s = mv_orient(out, f, e);
    if (share)
        share->give(share->context, need);
    return s;
}

mv_status mv_picture_decode(mv_image *out, const void *bytes, size_t size, const char *name,
                            const mv_picture_options *o, mv_error *e)
{
    *out = (mv_image){0};
    mv_encoded f = {.bytes = bytes,
                    .size = size,
                    .name = name,
                    .max_pixels = pixels_allowed(o),
                    .warnings = o ? o->warnings : NULL};
    mv_status s = mv_encoded_check(&f, e);
    if (!s)
        s = decode_shared(&f, out, o, e);
    if (s)
        mv_image_free(out);
    return s;
}

/* ---- files */

enum { FIRST_ROOM = 1 << 16, ENOUGH_TO_RECOGNISE = 1 << 12 };

/* Reads fd to its end into *bytes, which is the caller's to free, also after a failure. Stops early if the first bytes
 * are those of no format: a pipe may have no end, and a file that is no picture may be large. */
static mv_status read_all(int fd, const char *name, size_t expected, size_t most, uint8_t **bytes, size_t *size,
                          mv_error *e)
{
    size_t room = FIRST_ROOM;
    *size = 0;
    *bytes = malloc(room);
    if (!*bytes)
        return mv_fail_memory(e, name);
    for (;;) {
        if (*size == room) {
            room = expected >= room ? expected + 1 : 2 * room; /* one more byte shows the end */
            uint8_t *more = realloc(*bytes, room);
            if (!more)
                return mv_fail_memory(e, name);
            *bytes = more;
        }
        ssize_t n = read(fd, *bytes + *size, room - *size);
        struct pollfd more = {.fd = fd, .events = POLLIN};
        if (n < 0 && errno == EAGAIN && poll(&more, 1, -1) == 1) /* whoever gave us the pipe does not wait for it */
            continue;
        if (n < 0 && errno == EINTR && expected > 0)
            continue;
        if (n < 0) /* also EINTR on a pipe: a program that catches signals without SA_RESTART wants to stop waiting */
            return mv_fail_errno(e, name, "cannot be read");
        if (n == 0)
            return MV_OK;
        *size += (size_t)n;
        if (*size > most)
            return mv_fail(e, MV_EINPUT,
                           "%s: found more than %zu bytes, which no picture of the allowed pixels and memory needs "
                           "(--max-pixels, --max-memory)",
                           name, most);
        if (*size >= ENOUGH_TO_RECOGNISE && !mv_codec_of(*bytes, *size))
            return MV_OK; /* the decoder reports it */
    }
}

mv_status mv_picture_load(mv_image *out, const char *path, const mv_picture_options *o, mv_error *e)
{
    *out = (mv_image){0};
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return mv_fail_errno(e, name, "cannot be opened");

    size_t pixels = pixels_allowed(o);
    size_t most = pixels < INT_MAX / 8 - (1 << 20) ? 8 * pixels + (1 << 20) : INT_MAX;
    if (o && o->max_memory && o->max_memory < most)
        most = o->max_memory;
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct stat st;
    mv_status s;
    if (fstat(fd, &st) != 0)
        s = mv_fail_errno(e, name, "cannot be read");
    else if (S_ISDIR(st.st_mode))
        s = mv_fail(e, MV_EINPUT, "%s: is a directory, expected a picture", name);
    else if (!standard && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
        s = mv_fail(e, MV_EINPUT, "%s: is a device, expected a picture", name);
    else {
        size_t expected = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0;
        s = read_all(fd, name, expected < most ? expected : most, most, &bytes, &size, e);
    }
    if (!standard)
        close(fd);
    if (s == MV_OK)
        s = mv_picture_decode(out, bytes, size, name, o, e);
    free(bytes);
    return s;
}
