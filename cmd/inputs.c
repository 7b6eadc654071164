#include "cmd/inputs.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/file/mapping.h"
#include "src/file/npy.h"
#include "src/file/safetensors.h"

/* ---- one input */

/* Tensor "input" of a .safetensors file, or the array of a .npy, in the mapped file. */
typedef struct {
    mv_tensor value; /* (B, 3, H, W) */
    mv_safetensors *file;
    mv_mapping mapping;
} ready;

/* MV_EIO if what was read is not what the file held. */
static mv_status ready_check(const ready *r, const char *path, mv_error *e)
{
    return r->file ? mv_safetensors_check(r->file, e) : mv_mapping_check(&r->mapping, path, e);
}

static void ready_close(ready *r)
{
    mv_safetensors_close(r->file);
    mv_mapping_close(&r->mapping);
}

/* Opens a ready input and checks its shape; one picture alone, (3, H, W), is a batch of one. */
static mv_status ready_open(ready *r, const char *path, mv_error *e)
{
    mv_error why = {0};
    mv_tensor *t = &r->value;
    mv_status s;
    char shape[64];
    *r = (ready){0};
    if (mv_text_ends_in(path, ".npy")) {
        s = mv_mapping_open(&r->mapping, path, e);
        if (!s)
            s = mv_npy_of(t, r->mapping.bytes, r->mapping.size, path, &why)
                    ? mv_mapping_finish(&r->mapping, path, &why, e)
                    : MV_OK;
    } else {
        r->file = mv_safetensors_open(path, &why); /* `e` may be NULL, which has no code */
        s = r->file ? mv_safetensors_find(r->file, "input", t, e) : mv_fail(e, why.code, "%s", why.text);
    }
    if (!s && t->nd == 3) {
        memmove(t->dim + 1, t->dim, 3 * sizeof *t->dim);
        t->dim[0] = 1;
        t->nd = 4;
    }
    if (!s && (t->nd != 4 || t->dim[0] < 1 || t->dim[1] != 3 || t->dim[2] < MV_SIZE_MIN || t->dim[3] < MV_SIZE_MIN ||
               t->dim[2] > MV_SIZE_MAX || t->dim[3] > MV_SIZE_MAX))
        s = mv_fail(e, MV_EINPUT, "%s: input is %s, expected Bx3xHxW with sides of %d to %d", path,
                    mv_shape_text(shape, t->nd, t->dim), MV_SIZE_MIN, MV_SIZE_MAX);
    if (s)
        ready_close(r);
    return s;
}

/* Warns of values that are plainly those of pixels: the network expects them less the mean, over the deviation. */
static void warn_of_pixels(const session *s, const char *path, const float *v, size_t n, mv_warnings *warnings)
{
    const mv_preprocess *p = &s->config.preprocess;
    float least = v[0], most = v[0], white = 0; /* white: the largest value of a normalised picture */
    bool whole = true;
    for (int i = 0; i < 3; i++)
        white = fmaxf(white, (1 - p->mean[i]) / p->std[i]);
    for (size_t i = 0; i < n; i++) {
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
        whole = whole && v[i] == floorf(v[i]);
    }
    bool centred = p->mean[0] > 0 && p->mean[1] > 0 && p->mean[2] > 0;
    bool bytes = whole && least >= 0 && most > 1 && most <= 255 && p->std[0] > 0.02f;
    bool resized = least >= 0 && most > 2 * white && most > 1 && most <= 255.5f; /* bytes that are no longer whole */
    bool shares = centred && least >= 0 && most <= 1 && most > least;
    if (bytes || resized || shares)
        mv_warn(
            warnings,
            "%s: holds %s, as pixels do; expected values that are normalised: (pixel / 255 - mean) / std of the model. "
            "They are used as they are",
            path,
            bytes     ? "whole numbers from 0 to 255"
            : resized ? "numbers from 0 to 255"
                      : "numbers from 0 to 1 only");
}

/* Reads all of a ready input: finite numbers. More than `most` bytes of them are refused; 0: no bound. */
static mv_status load_ready(const session *of, size_t most, const char *path, input *in, mv_error *e)
{
    ready r;
    mv_status s = ready_open(&r, path, e);
    if (s)
        return s;
    size_t n = mv_tensor_count(r.value);
    bool fits = !most || n <= most / sizeof *in->planes;
    in->planes = fits ? malloc(n * sizeof *in->planes) : NULL;
    in->pictures = r.value.dim[0], in->h = r.value.dim[2], in->w = r.value.dim[3];
    if (!fits)
        s = mv_fail(e, MV_EINPUT,
                    "%s: found %d inputs, which take %zu MB of memory, expected at most %zu: write them to several "
                    "files, or raise --max-memory",
                    path, in->pictures, (n * sizeof *in->planes + 999999) / 1000000, most / 1000000);
    else if (!in->planes)
        s = mv_fail_memory(e, path);
    else {
        mv_safetensors_read(in->planes, r.value);
        size_t bad = mv_first_not_finite(in->planes, n);
        s = ready_check(&r, path, e);
        if (!s && bad < n)
            s = mv_fail(e, MV_EINPUT, "%s: input holds %f at element %zu, expected finite numbers", path,
                        (double)in->planes[bad], bad);
        else if (!s)
            warn_of_pixels(of, path, in->planes, n, &in->warnings);
    }
    ready_close(&r);
    return s;
}

/* True for a picture in a regular file. Anything else may make its reader wait, so the caller reads it, whom a signal
 * interrupts; and it cannot be read twice. */
static bool is_plain(const char *path)
{
    struct stat st;
    return !operand_is_ready(path) && strcmp(path, "-") && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static mv_status load_picture(const session *s, const mv_picture_options *o, bool keep, const char *path, input *in,
                              mv_error *e)
{
    mv_image whole = {0};
    mv_picture_options noted = *o;
    noted.warnings = &in->warnings;
    mv_status status = mv_picture_load(&whole, path, &noted, e);
    mv_error why = {0};
    if (!status && mv_preprocess_crop(&s->config.preprocess, &whole, &in->image, &why))
        status = mv_fail(e, why.code, "%s: %s", path, why.text);
    in->photo_w = whole.w, in->photo_h = whole.h;
    if (!status && keep && !is_plain(path)) {
        in->photo = whole;
        whole = (mv_image){0};
    }
    mv_image_free(&whole);
    in->pictures = 1, in->h = in->image.h, in->w = in->image.w;
    return status;
}

void input_free(input *in)
{
    free(in->planes);
    mv_image_free(&in->image);
    mv_image_free(&in->photo);
    *in = (input){0};
}

mv_status input_size(const session *s, const char *path, int *pictures, int *h, int *w, mv_error *e)
{
    *pictures = 1, *h = s->config.preprocess.h, *w = s->config.preprocess.w;
    if (!operand_is_ready(path))
        return MV_OK;
    ready r;
    mv_status status = ready_open(&r, path, e);
    if (status)
        return status;
    *pictures = r.value.dim[0], *h = r.value.dim[2], *w = r.value.dim[3];
    ready_close(&r);
    return MV_OK;
}

mv_status input_show(const session *s, const input *in, int index, mv_image *out, mv_error *e)
{
    mv_status status = mv_image_new(out, in->w, in->h, e);
    size_t plane = (size_t)in->h * (size_t)in->w;
    for (size_t i = 0; !status && i < 3 * plane; i++) {
        size_t c = i / plane;
        float v =
            (in->planes[(size_t)index * 3 * plane + i] * s->config.preprocess.std[c] + s->config.preprocess.mean[c]) *
                255 +
            0.5f;
        out->rgb[i % plane * 3 + c] = v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
    }
    return status;
}

/* ---- reading ahead */

enum { AHEAD = 2 * INPUT_READERS };

typedef struct {
    bool read, left; /* left: the caller reads it, in order */
    mv_status status;
    mv_error error;
    input input;
} slot;

/* What the readers may take together. A picture takes its part at once, when its header is known, and holds nothing
 * then but its file; so no two wait for each other. */
typedef struct {
    size_t most, taken;
    pthread_mutex_t lock;
    pthread_cond_t freed;
} memory;

struct inputs {
    const session *s;
    const operands *o;
    mv_picture_options options;
    int cores;
    bool keep;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    int taken, given; /* operands that a thread reads or has read; that were asked for */
    bool closing;
    slot slot[AHEAD]; /* operand i in i % AHEAD */
    int readers;      /* from here on, the caller's own */
    pthread_t reader[INPUT_READERS];
    memory memory;
    mv_picture_share share;
};

/* More than all there is was refused before. */
static void take_memory(void *context, size_t bytes)
{
    memory *m = context;
    pthread_mutex_lock(&m->lock);
    while (m->taken && bytes > m->most - m->taken)
        pthread_cond_wait(&m->freed, &m->lock);
    m->taken += bytes;
    pthread_mutex_unlock(&m->lock);
}

static void give_memory(void *context, size_t bytes)
{
    memory *m = context;
    pthread_mutex_lock(&m->lock);
    m->taken -= bytes;
    pthread_cond_broadcast(&m->freed);
    pthread_mutex_unlock(&m->lock);
}

static mv_status load(const inputs *all, const char *path, input *in, mv_error *e)
{
    *in = (input){0};
    mv_status status = operand_is_ready(path) ? load_ready(all->s, all->options.max_memory, path, in, e)
                                              : load_picture(all->s, &all->options, all->keep, path, in, e);
    if (status)
        input_free(in);
    return status;
}

static mv_status load_and_warn(const inputs *all, const char *path, input *in, mv_error *e)
{
    mv_status status = load(all, path, in, e);
    warn_each(&in->warnings);
    return status;
}

mv_status input_read(const session *s, const char *path, input_options how, input *in, mv_error *e)
{
    const inputs one = {.s = s, .options = how.picture};
    return load_and_warn(&one, path, in, e);
}

static void *reader_main(void *of)
{
    inputs *all = of;
    pthread_mutex_lock(&all->lock);
    while (!all->closing && all->taken < all->o->n) {
        if (all->taken == all->given + AHEAD) {
            pthread_cond_wait(&all->changed, &all->lock);
            continue;
        }
        int i = all->taken++;
        const char *path = all->o->path[i];
        slot here = {.read = true, .left = !is_plain(path)};
        pthread_mutex_unlock(&all->lock);
        if (!here.left)
            here.status = load(all, path, &here.input, &here.error);
        pthread_mutex_lock(&all->lock);
        all->slot[i % AHEAD] = here;
        pthread_cond_broadcast(&all->changed);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

static void one_more_reader(inputs *all)
{
    /* Without a thread the caller reads. */
    if (all->readers < INPUT_READERS && stop_new_thread(&all->reader[all->readers], reader_main, all))
        all->readers++;
}

inputs *inputs_new(const session *s, const operands *o, input_options how, mv_error *e)
{
    inputs *all = calloc(1, sizeof *all);
    if (!all) {
        mv_fail_memory(e, "pictures");
        return NULL;
    }
    all->s = s, all->o = o;
    all->options = how.picture;
    if (how.picture.max_memory) {
        all->memory.most = how.picture.max_memory;
        pthread_mutex_init(&all->memory.lock, NULL);
        pthread_cond_init(&all->memory.freed, NULL);
        all->share = (mv_picture_share){&all->memory, take_memory, give_memory};
        all->options.share = &all->share;
    }
    all->cores = how.threads;
    all->keep = how.keep;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->changed, NULL);
    one_more_reader(all);
    return all;
}

void inputs_hurry(inputs *all)
{
    pthread_mutex_lock(&all->lock);
    int unread = all->o->n - all->taken;
    pthread_mutex_unlock(&all->lock);
    for (int before = -1; unread > 0 && all->readers < all->cores && all->readers != before; unread--) {
        before = all->readers;
        one_more_reader(all);
    }
}

mv_status inputs_next(inputs *all, input *in, mv_error *e)
{
    slot got = {.left = true};
    pthread_mutex_lock(&all->lock);
    int i = all->given;
    slot *here = &all->slot[i % AHEAD];
    if (all->taken == i)
        all->taken++;
    else {
        while (!here->read)
            pthread_cond_wait(&all->changed, &all->lock);
        got = *here;
    }
    *here = (slot){0};
    all->given++;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    if (got.left)
        return load_and_warn(all, all->o->path[i], in, e);
    *in = got.input;
    warn_each(&in->warnings);
    if (got.status)
        mv_fail(e, got.status, "%s", got.error.text);
    return got.status;
}

void inputs_free(inputs *all)
{
    if (!all)
        return;
    pthread_mutex_lock(&all->lock);
    all->closing = true;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    for (int i = 0; i < all->readers; i++)
        pthread_join(all->reader[i], NULL);
    for (int i = 0; i < AHEAD; i++)
        input_free(&all->slot[i].input);
    if (all->options.share) {
        pthread_cond_destroy(&all->memory.freed);
        pthread_mutex_destroy(&all->memory.lock);
    }
    pthread_cond_destroy(&all->changed);
    pthread_mutex_destroy(&all->lock);
    free(all);
}
