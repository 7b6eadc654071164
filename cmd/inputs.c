#include "cmd/inputs.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/options.h"
#include "src/base/text.h"
#include "src/file/npy.h"
#include "src/file/safetensors.h"
#include "src/picture/decode.h"

static bool is_ready(const char *path)
{
    return mv_text_ends_in(path, ".npy") || mv_text_ends_in(path, ".safetensors");
}

/* ---- operands */

static void add(operands *o, const char *path)
{
    if ((o->n & (o->n - 1)) == 0) { /* full at every power of two */
        size_t room = o->n ? 2 * (size_t)o->n : 1;
        o->path = must(realloc(o->path, room * sizeof *o->path));
    }
    o->path[o->n++] = must(strdup(path));
}

static bool looks_like_a_picture(const char *path)
{
    return mv_picture_has_ending(path) || is_ready(path);
}

enum { DEEPEST = 32 }; /* folders within folders: a link in a circle ends here */

static void walk(operands *o, const char *folder, int depth)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, NULL, alphasort);
    if (n < 0) {
        mv_error e = {0};
        mv_fail_errno(&e, folder, "cannot be walked");
        die_of(&e);
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        struct stat st;
        const char *name = entry[i]->d_name;
        int length = snprintf(path, sizeof path, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", name);
        if (name[0] != '.' && length > 0 && (size_t)length < sizeof path && stat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode) && depth < DEEPEST)
                walk(o, path, depth + 1);
            else if (S_ISREG(st.st_mode) && looks_like_a_picture(path))
                add(o, path);
            else if (shared.verbose)
                warn("%s: passed over, no picture by its name", path);
        }
        free(entry[i]);
    }
    free(entry);
}

operands operands_of(int n, const char *const *words)
{
    operands o = {0};
    for (int i = 0; i < n; i++) {
        struct stat st;
        int before = o.n;
        if (strcmp(words[i], "-") && stat(words[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            walk(&o, words[i], 0);
            char formats[MV_PICTURE_FORMATS];
            if (o.n == before)
                die(EXIT_FAILED, "%s: found no picture in this folder, expected %s, .npy or .safetensors", words[i],
                    mv_picture_formats(formats));
        } else
            add(&o, words[i]);
    }
    return o;
}

void operands_free(operands *o)
{
    for (int i = 0; i < o->n; i++)
        free(o->path[i]);
    free(o->path);
}

const char *picture_stem(const char *path, char *text, size_t size)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    if (strcmp(path, "-") == 0)
        base = "stdin", dot = NULL;
    snprintf(text, size, "%.*s", (int)(dot && dot > base ? dot - base : (long)strlen(base)), base);
    return text;
}

/* ---- one input */

/* Tensor `input` of a file, or the array of a .npy: (B, 3, H, W) of finite numbers. */
static mv_status load_ready(const char *path, input *in, mv_error *e)
{
    mv_tensor t = {0};
    mv_safetensors *file = NULL;
    mv_status s;
    char shape[64];
    if (mv_text_ends_in(path, ".npy"))
        s = mv_npy_load(&t, path, e);
    else {
        file = mv_safetensors_open(path, e);
        s = file ? mv_safetensors_find(file, "input", &t, e) : MV_EINPUT;
    }
    if (!s && (t.nd != 4 || t.dim[0] < 1 || t.dim[1] != 3 || t.dim[2] < MV_SIZE_MIN || t.dim[3] < MV_SIZE_MIN ||
               t.dim[2] > MV_SIZE_MAX || t.dim[3] > MV_SIZE_MAX))
        s = mv_fail(e, MV_EINPUT, "%s: input is %s, expected Bx3xHxW with sides of %d to %d", path,
                    mv_shape_text(shape, t.nd, t.dim), MV_SIZE_MIN, MV_SIZE_MAX);
    if (!s && !(in->planes = malloc(mv_tensor_count(t) * sizeof(float))))
        s = mv_fail_memory(e, path);
    if (!s) {
        size_t n = mv_tensor_count(t);
        if (file)
            mv_safetensors_read(in->planes, t);
        else
            mv_to_f32(in->planes, t.data, t.type, n);
        size_t bad = mv_first_not_finite(in->planes, n);
        if (bad < n)
            s = mv_fail(e, MV_EINPUT, "%s: input holds %f at element %zu, expected finite numbers", path,
                        (double)in->planes[bad], bad);
        in->pictures = t.dim[0], in->h = t.dim[2], in->w = t.dim[3];
    }
    if (!file)
        free(t.data);
    mv_safetensors_close(file);
    return s;
}

static mv_status load_picture(const session *s, const mv_picture_options *o, const char *path, input *in, mv_error *e)
{
    mv_image whole = {0};
    mv_status status = mv_picture_load(&whole, path, o, e);
    if (!status)
        status = mv_preprocess_crop(&s->config.preprocess, &whole, &in->shown, e);
    mv_image_free(&whole);
    in->pictures = 1, in->h = in->shown.h, in->w = in->shown.w;
    return status;
}

void input_free(input *in)
{
    free(in->planes);
    mv_image_free(&in->shown);
    *in = (input){0};
}

void picture_size(const session *s, const char *path, int *pictures, int *h, int *w)
{
    *pictures = 1, *h = s->config.preprocess.h, *w = s->config.preprocess.w;
    if (!is_ready(path))
        return;
    mv_error e = {0};
    input in = {0};
    if (load_ready(path, &in, &e))
        die_of(&e);
    *pictures = in.pictures, *h = in.h, *w = in.w;
    input_free(&in);
}

int pictures_a_pass(const operands *o, int batch)
{
    for (int i = 0; i < o->n; i++)
        if (is_ready(o->path[i])) /* may hold any number */
            return batch;
    return batch < o->n ? batch : o->n;
}

/* ---- reading ahead */

enum { READERS = 8, AHEAD = 2 * READERS };

typedef struct {
    bool read, left; /* left: to be read when its turn comes */
    mv_status status;
    mv_error error;
    input input;
} slot;

struct inputs {
    const session *s;
    const operands *o;
    mv_picture_options options;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    int taken, given; /* operands that somebody reads or has read; that were asked for */
    bool closing;
    slot slot[AHEAD]; /* operand i in i % AHEAD */
    int readers;      /* the caller's own from here on */
    pthread_t reader[READERS];
};

static mv_status load(const inputs *all, const char *path, input *in, mv_error *e)
{
    *in = (input){0};
    mv_status status = is_ready(path) ? load_ready(path, in, e) : load_picture(all->s, &all->options, path, in, e);
    if (status)
        input_free(in);
    return status;
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
        slot here = {.read = true, .left = is_ready(path) || strcmp(path, "-") == 0};
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
    /* Where there is none to be had, the caller reads. */
    if (all->readers < READERS && pthread_create(&all->reader[all->readers], NULL, reader_main, all) == 0)
        all->readers++;
}

inputs *inputs_new(const session *s, const operands *o)
{
    inputs *all = must(calloc(1, sizeof *all));
    all->s = s, all->o = o;
    all->options.ignore_exif = picture_choice.no_exif != 0;
    if (picture_choice.max_pixels)
        all->options.max_pixels = (size_t)option_number("--max-pixels", picture_choice.max_pixels, 1, 1e12);
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->changed, NULL);
    one_more_reader(all);
    return all;
}

const operands *inputs_operands(const inputs *all)
{
    return all->o;
}

void inputs_hurry(inputs *all)
{
    cpu_set_t mine;
    int cores = sched_getaffinity(0, sizeof mine, &mine) ? 1 : CPU_COUNT(&mine);
    if (shared.threads)
        cores = shared.threads;
    pthread_mutex_lock(&all->lock);
    int unread = all->o->n - all->taken;
    pthread_mutex_unlock(&all->lock);
    for (int before = -1; unread > 0 && all->readers < cores && all->readers != before; unread--) {
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
        return load(all, all->o->path[i], in, e);
    *in = got.input;
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
    pthread_cond_destroy(&all->changed);
    pthread_mutex_destroy(&all->lock);
    free(all);
}
