#include "cmd/batches.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/at.h"
#include "cmd/index_file.h"
#include "cmd/pixels.h"
#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/explain/logits.h"
#include "src/run/run.h"

/* One picture on its way from the decoder to a writer, which frees it. */
typedef struct {
    int operand, index, of, h, w;
    bool quiet; /* its results are not printed */
    mv_image image, photo;
    int photo_w, photo_h;
    float *logits;
    float *planes; /* of a picture that is studied further; NULL: it is not */
    mv_maps maps[CALL_ASKS];
    void *own; /* what command.study made */
} job;

/* Pictures that go through the network together. */
typedef struct {
    int n;
    job **picture;
    float *logits;
} group;

struct batches {
    call *c;
    const operands *o;
    const destinations *to;
    writers *writers;
    int size;   /* pictures in a batch, all of one size */
    at_cell at; /* with --at: the query cell of the pictures in a batch */
    group filling, running;
    pixels pixels; /* of the group being filled; the device has its own copy of those that run */
    mv_explainer *explainer;
    mv_passes *passes; /* of what is studied further; NULL: nothing is */
    mv_run *run;
    at_cell run_at; /* of `run` */
    int failed;     /* besides what the writers count */
};

/* ---- jobs */

static void job_free(const batches *b, job *j)
{
    if (!j)
        return;
    if (j->own)
        (b->c->command->drop ? b->c->command->drop : free)(j->own);
    free(j->planes);
    mv_image_free(&j->image);
    mv_image_free(&j->photo);
    for (int i = 0; i < CALL_ASKS; i++)
        mv_maps_free(&j->maps[i]);
    free(j->logits);
    free(j);
}

char *picture_name(const operands *o, int i, int index, int of)
{
    char *path = mv_text_escape(o->path[i]), *name = NULL;
    if (!path || of == 1)
        return path;
    if (asprintf(&name, "%s[%d]", path, index) < 0)
        name = NULL;
    free(path);
    return name;
}

/* What a command sees of a job; ended by shot_free, also after a failure. */
static mv_status shot_of(shot *t, const batches *b, const job *j, mv_error *e)
{
    const call *c = b->c;
    char *name = picture_name(b->o, j->operand, j->index, j->of);
    *t = (shot){.path = b->o->path[j->operand],
                .name = name,
                .base = name ? mv_text_base_name(name) : NULL,
                .index = j->index,
                .of = j->of,
                .h = j->h,
                .w = j->w,
                .logits = j->logits,
                .image = c->shows ? &j->image : NULL,
                .maps = j->maps,
                .overlays = b->to->overlay.folder,
                .photo = &j->photo,
                .photo_w = j->photo_w,
                .photo_h = j->photo_h,
                .own = j->own};
    if (c->wants_page && !c->joined)
        t->page = destination_path(&b->to->page, b->o, j->operand, j->index, j->of);
    if (t->page)
        t->page_name = mv_text_escape(t->page);
    if (c->wants_raw)
        t->raw = destination_path(&b->to->raw, b->o, j->operand, j->index, j->of);
    if (c->wants_film)
        t->film = destination_path(&b->to->film, b->o, j->operand, j->index, j->of);
    if (c->wants_overlay)
        t->overlay = destination_path(&b->to->overlay, b->o, j->operand, j->index, j->of);
    if (!name || (c->wants_page && !c->joined && !t->page_name) || (c->wants_raw && !t->raw) ||
        (c->wants_film && !t->film) || (c->wants_overlay && !t->overlay))
        return mv_fail_memory(e, b->o->path[j->operand]);
    return MV_OK;
}

static void shot_free(shot *t)
{
    free((char *)t->name);
    free((char *)t->page);
    free((char *)t->page_name);
    free((char *)t->raw);
    free((char *)t->film);
    free((char *)t->overlay);
}

/* ---- writers */

static mv_status write_job(void *context, void *of, FILE *out, struct mv_fonts **fonts, mv_error *e)
{
    batches *b = context;
    job *j = of;
    shot t;
    mv_status status = shot_of(&t, b, j, e);
    FILE *nowhere = j->quiet ? fopen("/dev/null", "w") : NULL;
    t.out = nowhere ? nowhere : out;
    t.fonts = fonts;
    if (!status && t.page)
        status = destination_make_folders(&b->to->page, t.page, e);
    if (!status && t.raw)
        status = destination_make_folders(&b->to->raw, t.raw, e);
    if (!status && t.film)
        status = destination_make_folders(&b->to->film, t.film, e);
    if (!status && t.overlay)
        status = destination_make_folders(&b->to->overlay, t.overlay, e);
    if (!status && b->c->command->picture)
        status = b->c->command->picture(b->c, &t, e);
    if (!status && b->c->index)
        status = index_file_add(b->c->index, b->c, &t, e);
    if (nowhere)
        fclose(nowhere);
    shot_free(&t);
    job_free(b, j);
    return status;
}

/* ---- batches */

static void group_free(const batches *b, group *g)
{
    for (int i = 0; i < g->n; i++)
        job_free(b, g->picture[i]);
    free(g->picture);
    free(g->logits);
}

static void group_new(group *g, const call *c, int size)
{
    *g = (group){.picture = must(calloc((size_t)size, sizeof *g->picture)),
                 .logits = must(malloc(((size_t)size * (size_t)c->session.config.classes + 1) * sizeof(float)))};
}

/* Reports the failure for each picture of the group, or for the one because of which the others fail too, and empties
 * the group. */
static void fail_group(batches *b, group *g, const mv_error *e)
{
    for (int i = 0; i < g->n; i++) {
        if (stop_asked()) { /* the run was stopped, not the picture wrong */
            job_free(b, g->picture[i]);
            continue;
        }
        char text[640];
        snprintf(text, sizeof text, "%.200s: %.400s", b->o->path[g->picture[i]->operand], e->text);
        if (!b->c->culprit || b->c->culprit == i + 1)
            writers_complain(b->writers, text);
        b->failed++;
        job_free(b, g->picture[i]);
    }
    g->n = 0;
    b->c->culprit = 0;
}

/* i: its number in the group */
static mv_status study_job(batches *b, job *j, int i, mv_error *e)
{
    call *c = b->c;
    shot t;
    mv_status status = shot_of(&t, b, j, e);
    study s = {
        .shot = &t, .maps = j->maps, .planes = j->planes, .passes = b->passes, .explainer = b->explainer, .picture = i};
    if (!status)
        status = c->command->study(c, &s, e);
    j->own = s.own;
    shot_free(&t);
    return status;
}

/* The answers of picture i of the group: logits and maps, for a writer. */
static mv_status answer(batches *b, const group *g, int i, mv_error *e)
{
    call *c = b->c;
    job *j = g->picture[i];
    size_t classes = (size_t)c->session.config.classes;
    j->logits = malloc((classes + 1) * sizeof *j->logits); /* a network without a head has none */
    if (!j->logits)
        return mv_fail_memory(e, "logits");
    memcpy(j->logits, g->logits + (size_t)i * classes, classes * sizeof *j->logits);
    if (mv_logits_check(j->logits, c->session.config.classes, b->o->path[j->operand], e))
        return e->code;
    mv_error why = {0};
    for (int a = 0; a < c->asks; a++)
        if (mv_explainer_explain(b->explainer, a, c->session.model, i, j->planes, j->logits, session_class_name,
                                 &c->session, &j->maps[a], &why))
            return mv_fail(e, why.code, "%s: %s", b->o->path[j->operand], why.text);
    return c->command->study ? study_job(b, j, i, e) : MV_OK;
}

/* Calls command.batch for the whole group. A failure ends the run. */
static mv_status end_batch(batches *b, const group *g, mv_error *e)
{
    call *c = b->c;
    if (!c->command->batch)
        return MV_OK;
    shot *t = calloc((size_t)g->n, sizeof *t);
    mv_status status = t ? MV_OK : mv_fail_memory(e, "batch");
    for (int i = 0; t && i < g->n && !status; i++)
        status = shot_of(&t[i], b, g->picture[i], e);
    if (!status)
        status = c->command->batch(c, t, g->n, e);
    for (int i = 0; t && i < g->n; i++)
        shot_free(&t[i]);
    free(t);
    return status;
}

/* Waits for the group that runs and hands its answers to the writers. */
static void settle(batches *b)
{
    mv_error e = {0};
    group *g = &b->running;
    if (g->n == 0)
        return;
    if (mv_run_settle(b->run, &e) || end_batch(b, g, &e)) {
        fail_group(b, g, &e);
        b->c->broken |= b->c->command->batch != NULL;
        return;
    }
    for (int i = 0; i < g->n; i++) {
        mv_error one = {0};
        if (!b->c->command->picture &&
            !b->c->command->study) { /* answered by `batch`: nothing is left that could fail */
            job_free(b, g->picture[i]);
            b->c->done++;
        } else if (answer(b, g, i, &one)) {
            if (!stop_asked()) /* else its further passes were stopped, not the picture wrong */
                batches_fail(b, &one);
            job_free(b, g->picture[i]);
        } else {
            writers_put(b->writers, g->picture[i]);
            b->c->done++;
        }
    }
    g->n = 0;
}

/* Further passes for inputs of the size at hand, where a method or the command makes some. */
static mv_status prepare_passes(batches *b, mv_error *e)
{
    call *c = b->c;
    mv_passes_free(b->passes);
    b->passes = NULL;
    if ((!c->command->study || c->stores_only) && !(b->explainer && mv_explainer_takes_passes(b->explainer)))
        return MV_OK;
    b->passes = mv_passes_new(c->session.model, b->pixels.h, b->pixels.w, c->o.batch, NULL, e);
    if (!b->passes)
        return e->code;
    mv_passes_stop_when(b->passes, stop_asked);
    mv_passes_watch(b->passes, progress_passes, NULL);
    if (b->explainer)
        mv_explainer_use(b->explainer, b->passes);
    return MV_OK;
}

static bool same_cell(at_cell a, at_cell b)
{
    return a.y == b.y && a.x == b.x;
}

/* A run, and what explains its values, for inputs of the size and the query cell at hand. */
static mv_status prepare_run(batches *b, mv_error *e)
{
    call *c = b->c;
    if (b->run && mv_run_height(b->run) == b->pixels.h && mv_run_width(b->run) == b->pixels.w &&
        same_cell(b->run_at, b->at))
        return MV_OK;
    mv_run_free(b->run);
    mv_explainer_free(b->explainer);
    b->run = NULL;
    b->explainer = NULL;
    b->run_at = b->at;
    if (c->at.query)
        at_set(c, b->at);
    mv_probe *probes = c->probes;
    if (c->asks) {
        b->explainer = mv_explainer_new(c->ask, c->asks, &c->session.config, b->pixels.h, b->pixels.w, e);
        if (!b->explainer)
            return e->code;
        probes = mv_explainer_probe(b->explainer);
        mv_probe *last = probes;
        while (last && last->next)
            last = last->next;
        if (last)
            last->next = c->probes;
        else
            probes = c->probes;
    }
    if (prepare_passes(b, e))
        return e->code;
    c->session.model->backend->batches = c->pictures / b->size;
    b->run = mv_run_new_back(c->session.model, b->pixels.h, b->pixels.w, b->size, probes,
                             c->back        ? c->back
                             : b->explainer ? mv_explainer_back(b->explainer)
                                            : NULL,
                             e);
    if (!b->run)
        return e->code;
    mv_run_stop_when(b->run, stop_asked);
    return MV_OK;
}

/* What is studied further needs its input again, when the group's memory may hold the next batch. */
static mv_status keep_planes(batches *b, mv_error *e)
{
    size_t size = (size_t)3 * (size_t)b->pixels.h * (size_t)b->pixels.w;
    for (int i = 0; i < b->filling.n && b->passes; i++) {
        job *j = b->filling.picture[i];
        j->planes = malloc(size * sizeof *j->planes);
        if (!j->planes)
            return mv_fail_memory(e, "batch");
        pixels_planes(&b->pixels, i, j->planes);
    }
    return MV_OK;
}

/* Starts the group that was filled. On a GPU it runs while the next one is read. */
static void flush(batches *b)
{
    mv_error e = {0};
    if (b->filling.n == 0)
        return;
    settle(b);
    mv_status status = prepare_run(b, &e);
    if (!status)
        status = keep_planes(b, &e);
    if (b->explainer)
        mv_explainer_clear(b->explainer);
    if (status || mv_run_feed_pictures(b->run, pixels_of(&b->pixels), b->filling.n, b->filling.logits, &e)) {
        fail_group(b, &b->filling, &e);
        b->c->broken |= b->c->command->batch != NULL;
        return;
    }
    group fed = b->filling;
    b->filling = b->running;
    b->running = fed;
    if (!mv_run_pending(b->run))
        settle(b);
}

/* ---- inputs */

/* Makes the group fit for this input. A group of another size, or of another query cell, is run first.
 */
static mv_status make_room(batches *b, const char *path, const input *in, mv_error *e)
{
    at_cell at = b->at;
    mv_error why = {0};
    if (b->c->at.query && at_find(b->c, in->photo_w, in->photo_h, in->h, in->w, &at, &why))
        return mv_fail(e, why.code, "%s: %s", path, why.text);
    if (b->filling.n && (b->pixels.h != in->h || b->pixels.w != in->w || !same_cell(b->at, at)))
        flush(b);
    b->at = at;
    return b->filling.n ? MV_OK : pixels_clear(&b->pixels, in->h, in->w, e);
}

/* Adds one picture of an input to the group being filled. */
static mv_status enqueue(batches *b, int operand, input *in, int index, bool quiet, mv_error *e)
{
    if (make_room(b, b->o->path[operand], in, e))
        return e->code;
    job *j = calloc(1, sizeof *j);
    if (!j)
        return mv_fail_memory(e, b->o->path[operand]);
    *j = (job){.operand = operand, .index = index, .of = in->pictures, .h = in->h, .w = in->w, .quiet = quiet};
    if (pixels_put(&b->pixels, b->filling.n, in, index, e) ||
        (b->c->shows && in->planes && input_show(&b->c->session, in, index, &j->image, e))) {
        job_free(b, j);
        return e->code;
    }
    if (b->c->shows && !in->planes) {
        j->image = in->image;
        in->image = (mv_image){0};
    }
    j->photo_w = in->photo_w, j->photo_h = in->photo_h;
    if (in->photo.rgb) { /* there is one picture in it */
        j->photo = in->photo;
        in->photo = (mv_image){0};
    }
    b->filling.picture[b->filling.n++] = j;
    if (b->filling.n == b->size)
        flush(b);
    return MV_OK;
}

/* ---- the object */

batches *batches_new(call *c, const operands *o, const destinations *to, int size)
{
    batches *b = must(calloc(1, sizeof *b));
    *b = (batches){.c = c, .o = o, .to = to, .size = size};
    pixels_new(&b->pixels, &c->session.config.preprocess, size);
    group_new(&b->filling, c, size);
    group_new(&b->running, c, size);
    b->writers = writers_new(c->wants_page || c->wants_raw || c->wants_film || c->wants_overlay ? threads_of(&c->o) : 1,
                             write_job, b);
    return b;
}

bool batches_add(batches *b, int operand, input *in, int index, bool quiet)
{
    mv_error e = {0};
    if (enqueue(b, operand, in, index, quiet, &e))
        batches_fail(b, &e);
    return b->running.n > 0;
}

void batches_fail(batches *b, const mv_error *e)
{
    writers_complain(b->writers, e->text);
    b->failed++;
}

int batches_end(batches *b, bool drop)
{
    int failed = 0;
    if (!drop)
        flush(b);
    settle(b);
    writers_end(b->writers, &failed);
    mv_run_free(b->run);
    mv_explainer_free(b->explainer);
    mv_passes_free(b->passes);
    group_free(b, &b->filling);
    group_free(b, &b->running);
    pixels_free(&b->pixels);
    b->c->done -= failed;
    failed += b->failed;
    free(b);
    return failed;
}
