#include "cmd/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/options.h"

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

/* ---- passes */

/* Pictures that go together, and their answers */
typedef struct {
    int n;
    picture *picture;
    float *logits;
} group;

typedef struct {
    session *s;
    inputs *inputs;
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
    if (mv_run_pending(p->run))
        inputs_hurry(p->inputs);
    else
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
    float *planes = p->planes + (size_t)p->filling.n * size;
    if (in->planes)
        memcpy(planes, in->planes + (size_t)index * size, size * sizeof(float));
    else
        mv_preprocess_normalise(&p->s->config.preprocess, &in->shown, planes);
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

int pictures_run(session *s, inputs *all, int batch, mv_probe *probes, bool shown, void (*before)(void *),
                 picture_done *done, void *context)
{
    passes p = {.s = s,
                .inputs = all,
                .batch = batch,
                .probes = probes,
                .shown = shown,
                .before = before,
                .done = done,
                .context = context};
    const operands *o = inputs_operands(all);
    group_new(&p.filling, s, batch);
    group_new(&p.running, s, batch);
    for (int i = 0; i < o->n; i++) {
        mv_error e = {0};
        input in;
        progress(i, o->n, false);
        if (inputs_next(all, &in, &e)) {
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
