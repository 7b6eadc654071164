#include "cmd/photo.h"

#include <pthread.h>

/* Photos that are in memory at the same time have no more pixels than this together, unless one alone has. */
enum { PIXELS_AT_ONCE = 64 * 1000 * 1000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static size_t pixels_now;

static void enter(size_t pixels)
{
    pthread_mutex_lock(&lock);
    while (pixels_now > 0 && pixels_now + pixels > PIXELS_AT_ONCE)
        pthread_cond_wait(&changed, &lock);
    pixels_now += pixels;
    pthread_mutex_unlock(&lock);
}

static void leave(size_t pixels)
{
    pthread_mutex_lock(&lock);
    pixels_now -= pixels;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

mv_picture_options photo_options(const call *c)
{
    return (mv_picture_options){
        .max_pixels = c->o.max_pixels, .max_memory = c->o.max_memory, .ignore_exif = c->o.no_exif};
}

/* The photo again, as it was when the network saw it. */
static mv_status read_photo(mv_image *out, const call *c, const shot *t, mv_error *e)
{
    const mv_picture_options o = photo_options(c);
    mv_status s = mv_picture_load(out, t->path, &o, e);
    if (!s && (out->w != t->photo_w || out->h != t->photo_h)) {
        s = mv_fail(e, MV_EIO, "%s: was changed while it was looked at: found %d x %d pixels, expected %d x %d",
                    t->name, out->w, out->h, t->photo_w, t->photo_h);
        mv_image_free(out);
    }
    return s;
}

mv_status photo_open(whole_photo *p, const call *c, const shot *t, mv_error *e)
{
    *p = (whole_photo){.image = t->photo->rgb ? t->photo : NULL};
    if (t->photo_w == 0 || p->image)
        return MV_OK;
    p->pixels = (size_t)t->photo_w * (size_t)t->photo_h;
    enter(p->pixels);
    mv_status s = read_photo(&p->read, c, t, e);
    p->image = s ? NULL : &p->read;
    return s;
}

void photo_close(whole_photo *p)
{
    mv_image_free(&p->read);
    if (p->pixels)
        leave(p->pixels);
    *p = (whole_photo){0};
}
