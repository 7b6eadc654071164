#include "pictures.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npy.h"
#include "options.h"
#include "safetensors.h"

static void *must(void *p)
{
    if (!p)
        die(EXIT_FAILED, "out of memory");
    return p;
}

static bool ends(const char *path, const char *ending)
{
    size_t n = strlen(path), k = strlen(ending);
    return n > k && strcasecmp(path + n - k, ending) == 0;
}

static bool is_ready(const char *path)
{
    return ends(path, ".npy") || ends(path, ".safetensors");
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
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".bmp", ".tga", ".gif",
                                          ".ppm", ".pgm", ".pbm",  ".pnm", ".npy", ".safetensors"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends(path, endings[i]))
            return true;
    return false;
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
            if (o.n == before)
                die(EXIT_FAILED,
                    "%s: found no picture in this folder, expected PNG, JPEG, BMP, TGA, GIF, PNM, .npy or .safetensors",
                    words[i]);
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

/* ---- inputs */

typedef struct {
    float *planes; /* (pictures, 3, h, w) */
    int pictures, h, w;
    mv_image shown;
} input;

/* Tensor `input` of a file, or the array of a .npy: (B, 3, H, W) of finite numbers. */
static mv_status load_ready(const char *path, input *in, mv_error *e)
{
    mv_tensor t = {0};
    mv_safetensors *file = NULL;
    mv_status s;
    char shape[64];
    if (ends(path, ".npy"))
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
        for (size_t i = 0; i < n && !s; i++)
            if (!(in->planes[i] - in->planes[i] == 0))
                s = mv_fail(e, MV_EINPUT, "%s: input holds %f at element %zu, expected finite numbers", path,
                            (double)in->planes[i], i);
        in->pictures = t.dim[0], in->h = t.dim[2], in->w = t.dim[3];
    }
    if (!file)
        free(t.data);
    mv_safetensors_close(file);
    return s;
}

/* What a ready input shows: the normalisation undone. */
static mv_status show_ready(const session *s, const input *in, int index, mv_image *out, mv_error *e)
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

static mv_status load_picture(const session *s, const char *path, input *in, mv_error *e)
{
    mv_image whole = {0};
    mv_image_options o = {.ignore_exif = picture_choice.no_exif != 0};
    if (picture_choice.max_pixels)
        o.max_pixels = (size_t)option_number("--max-pixels", picture_choice.max_pixels, 1, 1e12);
    mv_status status = mv_image_load(&whole, path, &o, e);
    if (!status)
        status = mv_preprocess_crop(&s->config.preprocess, &whole, &in->shown, e);
    mv_image_free(&whole);
    if (status)
        return status;
    in->pictures = 1, in->h = in->shown.h, in->w = in->shown.w;
    in->planes = malloc((size_t)3 * (size_t)in->h * (size_t)in->w * sizeof(float));
    if (!in->planes)
        return mv_fail_memory(e, path);
    mv_preprocess_normalise(&s->config.preprocess, &in->shown, in->planes);
    return MV_OK;
}

static void input_free(input *in)
{
    free(in->planes);
    mv_image_free(&in->shown);
    *in = (input){0};
}

static mv_status input_load(const session *s, const char *path, input *in, mv_error *e)
{
    *in = (input){0};
    mv_status status = is_ready(path) ? load_ready(path, in, e) : load_picture(s, path, in, e);
    if (status)
        input_free(in);
    return status;
}

void picture_size(const session *s, const char *path, int *pictures, int *h, int *w)
{
    *pictures = 1, *h = s->config.preprocess.h, *w = s->config.preprocess.w;
    if (!is_ready(path))
        return;
    mv_error e = {0};
    input in;
    if (input_load(s, path, &in, &e))
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

/* ---- passes */

/* Pictures that go together, and their answers */
typedef struct {
    int n;
    picture *picture;
    float *logits;
} group;

typedef struct {
    session *s;
    int batch, h, w; /* pictures a pass, all of one size */
    group filling, running;
    float *planes; /* of those that fill up; the device has its own of those that run */
    mv_probe *probes;
    mv_run *run;
    bool shown;
    void (*before)(void *);
    picture_done *done;
    void *context;
    int status;
} passes;

static void failed(passes *p, const group *g, const mv_error *e)
{
    for (int i = 0; i < g->n; i++)
        complain("%s: %s", g->picture[i].path, e->text);
    p->status = EXIT_FAILED;
}

static void group_new(group *g, const session *s, int batch)
{
    *g = (group){.picture = must(calloc((size_t)batch, sizeof *g->picture)),
                 .logits = must(malloc((size_t)batch * (size_t)s->config.classes * sizeof(float)))};
}

static void group_free(group *g)
{
    free(g->picture);
    free(g->logits);
}

static void emptied(group *g)
{
    for (int i = 0; i < g->n; i++)
        mv_image_free(&g->picture[i].shown);
    g->n = 0;
}

/* Answers those that run. */
static void settle(passes *p)
{
    mv_error e = {0};
    group *g = &p->running;
    if (g->n == 0)
        return;
    if (mv_run_settle(p->run, &e))
        failed(p, g, &e);
    else
        for (int i = 0; i < g->n; i++)
            p->done(p->context, &g->picture[i], i, g->logits + (size_t)i * (size_t)p->s->config.classes);
    emptied(g);
}

/* Those that have filled up run from here on: on a GPU while the next are read. */
static void flush(passes *p)
{
    mv_error e = {0};
    if (p->filling.n == 0)
        return;
    settle(p);
    if (p->run && (p->run->h != p->h || p->run->w != p->w)) {
        mv_run_free(p->run);
        p->run = NULL;
    }
    if (!p->run)
        p->run = mv_run_new(p->s->model, p->h, p->w, p->batch, p->probes, &e);
    if (p->before)
        p->before(p->context);
    if (!p->run || mv_run_feed(p->run, p->planes, p->filling.n, p->filling.logits, &e)) {
        failed(p, &p->filling, &e);
        emptied(&p->filling);
        return;
    }
    group fed = p->filling;
    p->filling = p->running;
    p->running = fed;
    if (!mv_run_pending(p->run))
        settle(p);
}

static void enqueue(passes *p, const char *path, input *in, int index)
{
    size_t size = (size_t)3 * (size_t)in->h * (size_t)in->w;
    if (p->filling.n && (p->h != in->h || p->w != in->w))
        flush(p);
    if (p->filling.n == 0 && (p->h != in->h || p->w != in->w || !p->planes)) {
        free(p->planes);
        p->planes = must(malloc((size_t)p->batch * size * sizeof(float)));
        p->h = in->h, p->w = in->w;
    }
    memcpy(p->planes + (size_t)p->filling.n * size, in->planes + (size_t)index * size, size * sizeof(float));
    picture *q = &p->filling.picture[p->filling.n];
    *q = (picture){.path = path, .index = index, .of = in->pictures};
    mv_error e = {0};
    if (p->shown && !in->shown.rgb) {
        if (show_ready(p->s, in, index, &q->shown, &e))
            die_of(&e);
    } else if (p->shown) {
        q->shown = in->shown;
        in->shown = (mv_image){0};
    }
    if (++p->filling.n == p->batch)
        flush(p);
}

static void progress(int done, int all, bool end)
{
    enum { WIDTH = 32 };
    char bar[WIDTH + 1];
    if (talk_quiet || all < 2 || !isatty(STDERR_FILENO))
        return;
    memset(bar, ' ', WIDTH);
    memset(bar, '#', (size_t)(WIDTH * (long)done / all));
    bar[WIDTH] = 0;
    fflush(stdout);
    if (end)
        fprintf(stderr, "\r\033[K");
    else
        fprintf(stderr, "\r[%s] %d of %d pictures", bar, done, all);
    fflush(stderr);
}

int pictures_run(session *s, const operands *o, int batch, mv_probe *probes, bool shown, void (*before)(void *),
                 picture_done *done, void *context)
{
    passes p = {
        .s = s, .batch = batch, .probes = probes, .shown = shown, .before = before, .done = done, .context = context};
    group_new(&p.filling, s, batch);
    group_new(&p.running, s, batch);
    for (int i = 0; i < o->n; i++) {
        mv_error e = {0};
        input in;
        progress(i, o->n, false);
        if (input_load(s, o->path[i], &in, &e)) {
            progress(i, o->n, true);
            complain("%s", e.text);
            p.status = EXIT_FAILED;
            continue;
        }
        for (int k = 0; k < in.pictures; k++)
            enqueue(&p, o->path[i], &in, k);
        input_free(&in);
    }
    flush(&p);
    settle(&p);
    progress(o->n, o->n, true);
    mv_run_free(p.run);
    free(p.planes);
    group_free(&p.filling);
    group_free(&p.running);
    return p.status;
}
