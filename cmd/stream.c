#include "cmd/stream.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/inputs.h"
#include "cmd/resume.h"
#include "cmd/stop.h"
#include "cmd/talk.h"
#include "cmd/target.h"
#include "cmd/writers.h"
#include "src/base/text.h"
#include "src/run/run.h"

/* One picture on its way from the decoder to a writer, which frees it. */
typedef struct {
    int operand, index, of, h, w;
    mv_image image;
    float *logits;
    mv_maps maps[CALL_ASKS];
} job;

/* Pictures that go through the network together. */
typedef struct {
    int n;
    job **picture;
    float *logits;
} group;

typedef struct {
    call *c;
    operands o;
    target page, raw;
    int operands_done;
    inputs *inputs;
    writers *writers;
    int batch, h, w; /* pictures in a batch, all of one size */
    group filling, running;
    float *planes; /* of the group that fills; the device has its own copy of the one that runs */
    mv_explainer *explainer;
    mv_run *run;
    results known; /* what an earlier run has answered */
    int failed;    /* besides what the writers count */
} stream;

/* ---- jobs */

static void job_free(job *j)
{
    if (!j)
        return;
    mv_image_free(&j->image);
    for (int i = 0; i < CALL_ASKS; i++)
        mv_maps_free(&j->maps[i]);
    free(j->logits);
    free(j);
}

/* The name of a picture in results, safe to print. The caller's to free; NULL without memory. */
static char *name_of(const operands *o, int i, int index, int of)
{
    char *path = mv_text_escape(o->path[i]), *name = NULL;
    if (!path || of == 1)
        return path;
    if (asprintf(&name, "%s[%d]", path, index) < 0)
        name = NULL;
    free(path);
    return name;
}

/* What a job is for its command. `own` receives what must be freed by shot_free. */
static mv_status shot_of(shot *t, const stream *s, const job *j, mv_error *e)
{
    const call *c = s->c;
    char *name = name_of(&s->o, j->operand, j->index, j->of);
    *t = (shot){.path = s->o.path[j->operand],
                .name = name,
                .base = name ? mv_text_base_name(name) : NULL,
                .index = j->index,
                .of = j->of,
                .h = j->h,
                .w = j->w,
                .logits = j->logits,
                .image = c->shows ? &j->image : NULL,
                .maps = j->maps};
    if (c->wants_page)
        t->page = target_path(&s->page, &s->o, j->operand, j->index, j->of);
    if (c->wants_raw)
        t->raw = target_path(&s->raw, &s->o, j->operand, j->index, j->of);
    if (!name || (c->wants_page && !t->page) || (c->wants_raw && !t->raw))
        return mv_fail_memory(e, s->o.path[j->operand]);
    return MV_OK;
}

static void shot_free(shot *t)
{
    free((char *)t->name);
    free((char *)t->page);
    free((char *)t->raw);
}

/* ---- writers */

static mv_status write_job(void *context, void *of, FILE *out, struct mv_fonts **fonts, mv_error *e)
{
    stream *s = context;
    job *j = of;
    shot t;
    mv_status status = shot_of(&t, s, j, e);
    t.out = out;
    t.fonts = fonts;
    if (!status && t.page)
        status = target_make_folders(&s->page, t.page, e);
    if (!status && t.raw)
        status = target_make_folders(&s->raw, t.raw, e);
    if (!status && s->c->command->picture)
        status = s->c->command->picture(s->c, &t, e);
    shot_free(&t);
    job_free(j);
    return status;
}

/* ---- batches */

static void group_free(group *g)
{
    for (int i = 0; i < g->n; i++)
        job_free(g->picture[i]);
    free(g->picture);
    free(g->logits);
}

static mv_status group_new(group *g, const call *c, int batch, mv_error *e)
{
    *g = (group){.picture = calloc((size_t)batch, sizeof *g->picture),
                 .logits = malloc((size_t)batch * (size_t)c->session.config.classes * sizeof(float))};
    return g->picture && g->logits ? MV_OK : mv_fail_memory(e, "batch");
}

/* Complains of each picture of the group and forgets them. */
static void fail_group(stream *s, group *g, const mv_error *e)
{
    for (int i = 0; i < g->n; i++) {
        char text[640];
        snprintf(text, sizeof text, "%.200s: %.400s", s->o.path[g->picture[i]->operand], e->text);
        writers_complain(s->writers, text);
        s->failed++;
        job_free(g->picture[i]);
    }
    g->n = 0;
}

static const char *class_name(void *session_, int c, char text[24])
{
    return session_class(session_, c, text);
}

/* The answers of picture i of the group: logits and maps, for a writer. */
static mv_status answer(stream *s, const group *g, int i, mv_error *e)
{
    call *c = s->c;
    job *j = g->picture[i];
    size_t classes = (size_t)c->session.config.classes;
    j->logits = malloc(classes * sizeof *j->logits);
    if (!j->logits)
        return mv_fail_memory(e, "logits");
    memcpy(j->logits, g->logits + (size_t)i * classes, classes * sizeof *j->logits);
    for (size_t k = 0; k < classes; k++)
        if (!(j->logits[k] - j->logits[k] == 0)) /* infinite, or NaN */
            return mv_fail(e, MV_EINPUT, "%s: the logit of class %zu is %f, expected a finite number",
                           s->o.path[j->operand], k, (double)j->logits[k]);
    for (int a = 0; a < c->asks; a++)
        if (mv_explainer_explain(s->explainer, a, c->session.model, i, j->logits, class_name, &c->session, &j->maps[a],
                                 e))
            return e->code;
    return MV_OK;
}

/* Tells the command about the whole batch; a failure there ends the run. */
static mv_status end_batch(stream *s, const group *g, mv_error *e)
{
    call *c = s->c;
    if (!c->command->batch)
        return MV_OK;
    shot *t = calloc((size_t)g->n, sizeof *t);
    mv_status status = t ? MV_OK : mv_fail_memory(e, "batch");
    for (int i = 0; t && i < g->n && !status; i++)
        status = shot_of(&t[i], s, g->picture[i], e);
    if (!status)
        status = c->command->batch(c, t, g->n, e);
    for (int i = 0; t && i < g->n; i++)
        shot_free(&t[i]);
    free(t);
    return status;
}

/* Waits for the group that runs and hands its answers to the writers. */
static void settle(stream *s)
{
    mv_error e = {0};
    group *g = &s->running;
    if (g->n == 0)
        return;
    if (mv_run_settle(s->run, &e) || end_batch(s, g, &e)) {
        fail_group(s, g, &e);
        s->c->broken |= s->c->command->batch != NULL;
        return;
    }
    for (int i = 0; i < g->n; i++) {
        mv_error one = {0};
        if (answer(s, g, i, &one)) {
            writers_complain(s->writers, one.text);
            s->failed++;
            job_free(g->picture[i]);
        } else {
            writers_put(s->writers, g->picture[i]);
            s->c->done++;
        }
    }
    g->n = 0;
}

/* A run, and what explains its values, for inputs of the size at hand. */
static mv_status prepare_run(stream *s, mv_error *e)
{
    call *c = s->c;
    if (s->run && mv_run_height(s->run) == s->h && mv_run_width(s->run) == s->w)
        return MV_OK;
    mv_run_free(s->run);
    mv_explainer_free(s->explainer);
    s->run = NULL;
    s->explainer = NULL;
    mv_probe *probes = c->probes;
    if (c->asks) {
        s->explainer = mv_explainer_new(c->ask, c->asks, &c->session.config, s->h, s->w, e);
        if (!s->explainer)
            return e->code;
        probes = mv_explainer_probe(s->explainer);
        mv_probe *last = probes;
        while (last && last->next)
            last = last->next;
        if (last)
            last->next = c->probes;
        else
            probes = c->probes;
    }
    s->run = mv_run_new(c->session.model, s->h, s->w, s->batch, probes, e);
    return s->run ? MV_OK : e->code;
}

/* Starts the group that has filled up; on a GPU it runs while the next one is read. */
static void flush(stream *s)
{
    mv_error e = {0};
    if (s->filling.n == 0)
        return;
    settle(s);
    mv_status status = prepare_run(s, &e);
    if (s->explainer)
        mv_explainer_clear(s->explainer);
    if (status || mv_run_feed(s->run, s->planes, s->filling.n, s->filling.logits, &e)) {
        fail_group(s, &s->filling, &e);
        s->c->broken |= s->c->command->batch != NULL;
        return;
    }
    group fed = s->filling;
    s->filling = s->running;
    s->running = fed;
    if (mv_run_pending(s->run))
        inputs_hurry(s->inputs);
    else
        settle(s);
}

/* ---- inputs */

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

/* Room for the planes of a batch of this size; what fills up with another one goes first. */
static mv_status make_room(stream *s, const input *in, mv_error *e)
{
    if (s->filling.n && (s->h != in->h || s->w != in->w))
        flush(s);
    if (s->filling.n || (s->h == in->h && s->w == in->w && s->planes))
        return MV_OK;
    free(s->planes);
    s->planes = malloc((size_t)s->batch * 3 * (size_t)in->h * (size_t)in->w * sizeof(float));
    if (!s->planes)
        return mv_fail_memory(e, "batch");
    s->h = in->h, s->w = in->w;
    return MV_OK;
}

/* One picture of an input joins the group that fills up. */
static mv_status enqueue(stream *s, int operand, input *in, int index, mv_error *e)
{
    if (make_room(s, in, e))
        return e->code;
    job *j = calloc(1, sizeof *j);
    if (!j)
        return mv_fail_memory(e, s->o.path[operand]);
    *j = (job){.operand = operand, .index = index, .of = in->pictures, .h = in->h, .w = in->w};
    size_t size = (size_t)3 * (size_t)in->h * (size_t)in->w;
    float *planes = s->planes + (size_t)s->filling.n * size;
    if (in->planes)
        memcpy(planes, in->planes + (size_t)index * size, size * sizeof(float));
    else
        mv_preprocess_normalise(&s->c->session.config.preprocess, &in->image, planes);
    if (s->c->shows && in->planes && show_ready(&s->c->session, in, index, &j->image, e)) {
        job_free(j);
        return e->code;
    }
    if (s->c->shows && !in->planes) {
        j->image = in->image;
        in->image = (mv_image){0};
    }
    s->filling.picture[s->filling.n++] = j;
    if (s->filling.n == s->batch)
        flush(s);
    return MV_OK;
}

static bool answered(const stream *s, int operand, int index, int of)
{
    if (!s->c->o.resume)
        return false;
    char *name = name_of(&s->o, operand, index, of);
    bool known = name && results_known(&s->known, name);
    if (name && !known && s->c->answered)
        known = s->c->answered(s->c, name);
    if (!known && !results_are_kept(&s->known) && !s->c->answered) {
        char *page = s->c->wants_page ? target_path(&s->page, &s->o, operand, index, of) : NULL,
             *raw = s->c->wants_raw ? target_path(&s->raw, &s->o, operand, index, of) : NULL;
        known = (page || raw) && target_exists(page) && target_exists(raw);
        free(page);
        free(raw);
    }
    free(name);
    return known;
}

static void read_operand(stream *s, int i)
{
    mv_error e = {0};
    input in;
    if (inputs_next(s->inputs, &in, &e)) {
        if (!stop_asked()) { /* a signal leaves a read that waits */
            writers_complain(s->writers, e.text);
            s->failed++;
        }
        return;
    }
    for (int k = 0; k < in.pictures && !stop_asked() && !s->c->broken; k++) {
        mv_error one = {0};
        if (in.pictures > 1 && answered(s, i, k, in.pictures))
            s->c->kept++;
        else if (enqueue(s, i, &in, k, &one)) {
            writers_complain(s->writers, one.text);
            s->failed++;
        }
    }
    input_free(&in);
}

static void loop(stream *s)
{
    call *c = s->c;
    progress_begin("answering");
    for (int i = 0; i < s->o.n && !stop_asked() && !c->broken; i++) {
        progress_count(c->kept + i, c->pictures);
        read_operand(s, i);
        s->operands_done = i + 1;
    }
    if (!c->broken)
        flush(s);
    settle(s);
}

/* ---- before and after */

static const char *const page_endings[] = {".png", ".svg", ".pdf", NULL}, *const raw_endings[] = {".npy",
                                                                                                  ".safetensors", NULL};

static void list_pictures(stream *s)
{
    call *c = s->c;
    if (c->operands == 0)
        die(EXIT_MISUSE, "%s: found no picture, expected at least one (mvscope %s --help)", c->command->name,
            c->command->name);
    s->failed += !operands_of(&s->o, c->operands, c->operand);
    operands_shard(&s->o, c->o.shard);
    c->pictures = s->o.n;
    c->list = &s->o;
}

/* Several pictures, or one ready input that holds several. */
static bool several(const stream *s)
{
    int pictures = 1, h, w;
    mv_error e = {0};
    if (s->o.n == 1 && operand_is_ready(s->o.path[0]) &&
        input_size(&s->c->session, s->o.path[0], &pictures, &h, &w, &e))
        die_of(&e, false);
    return s->o.n > 1 || pictures > 1;
}

static void check_targets(stream *s, char suffix[64])
{
    call *c = s->c;
    snprintf(suffix, 64, "-%s", c->command->name);
    s->page = (target){.option = "-o, --output",
                       .out = c->o.out,
                       .suffix = suffix,
                       .ending = page_endings[c->o.format < 0 ? 0 : c->o.format],
                       .endings = page_endings,
                       .what = "page",
                       .may_be_stdout = true};
    s->raw = (target){.option = "--raw",
                      .out = c->raw,
                      .suffix = "",
                      .ending = ".safetensors",
                      .endings = raw_endings,
                      .what = "file"};
    if (c->wants_page)
        target_check(&s->page, &s->o, several(s));
    if (c->wants_raw)
        target_check(&s->raw, &s->o, several(s));
    if (c->wants_page && s->page.to_stdout && c->o.json)
        die(EXIT_MISUSE, "-o, --output: found '-' with --json, which writes to standard output too");
    if (c->wants_page && !s->page.folder && c->o.format >= 0)
        die(EXIT_MISUSE, "--format: has no effect on a page with a name of its own");
}

/* Counts the pictures of all operands, which must be of one size. */
static void measure(const stream *s)
{
    call *c = s->c;
    for (int i = 0; c->one_size && i < s->o.n; i++) {
        int pictures, h, w;
        mv_error e = {0};
        if (input_size(&c->session, s->o.path[i], &pictures, &h, &w, &e))
            die_of(&e, false);
        if (i && (h != c->height || w != c->width))
            die(EXIT_FAILED, "%s: found an input of %dx%d, expected %dx%d as those before: a %s stacks its pictures",
                s->o.path[i], h, w, c->height, c->width, c->command->name);
        c->height = h, c->width = w, c->expected += pictures;
    }
}

static void check_resume(const stream *s)
{
    const call *c = s->c;
    if (c->o.resume && !c->wants_page && !c->wants_raw && !c->o.json && !(c->command->takes & TAKES_VALUES))
        die(EXIT_MISUSE,
            "--resume: found nothing to go on from, expected pages, or --json appended to a file: >> FILE");
}

/* The size of the batch: not more than there are pictures, so that no memory is taken for none. */
static int batch_size(const stream *s)
{
    for (int i = 0; i < s->o.n; i++)
        if (operand_is_ready(s->o.path[i])) /* may hold any number */
            return s->c->o.batch;
    return s->c->o.batch < s->o.n ? s->c->o.batch : s->o.n;
}

static bool answered_operand(const void *context, const operands *o, int i)
{
    (void)o;
    const stream *s = context;
    return answered(s, i, 0, 1);
}

static int writer_threads(const call *c)
{
    cpu_set_t mine;
    int cores = sched_getaffinity(0, sizeof mine, &mine) ? 1 : CPU_COUNT(&mine);
    return c->wants_page || c->wants_raw ? (cores < 8 ? cores : 8) : 1;
}

static input_options decoding(const call *c)
{
    return (input_options){.no_exif = c->o.no_exif, .max_pixels = c->o.max_pixels, .threads = c->o.threads};
}

/* Opens the command; ends the program where that fails, as nothing is open yet. */
static void open_command(stream *s)
{
    call *c = s->c;
    mv_error e = {0};
    if (c->command->open && c->command->open(c, &e))
        die_of(&e, true);
    if (c->asks) { /* do the parameters fit the network? */
        const mv_preprocess *p = &c->session.config.preprocess;
        int pictures, h = p->h, w = p->w;
        if (s->o.n && operand_is_ready(s->o.path[0]) && input_size(&c->session, s->o.path[0], &pictures, &h, &w, &e))
            return; /* it will fail in its turn */
        mv_explainer *x = mv_explainer_new(c->ask, c->asks, &c->session.config, h, w, &e);
        if (!x)
            die_of(&e, true);
        mv_explainer_free(x);
    }
}

static int end(stream *s, int written_failed)
{
    call *c = s->c;
    mv_error e = {0};
    c->failed = s->failed + written_failed;
    c->done -= written_failed;
    c->stopped = stop_asked();
    int status = c->failed || c->broken ? EXIT_FAILED : EXIT_DONE;
    mv_run_free(s->run);
    s->run = NULL;
    if (c->command->close && c->command->close(c, &e)) {
        complain("%s", e.text);
        status = EXIT_FAILED;
    }
    progress_end();
    if (c->stopped && stop_results_error() != EPIPE) {
        bool resumes = c->wants_page || c->wants_raw || c->o.json || c->o.resume;
        complain("stopped after %d of %d pictures%s", c->kept + c->done + c->failed, c->pictures,
                 resumes ? "; the same command with --resume goes on from there" : "");
        status = EXIT_FAILED;
    }
    return status;
}

int stream_run(call *c)
{
    stream s = {.c = c};
    mv_error e = {0};
    char suffix[64];
    int failed = 0;
    session_open(&c->session, &c->o);
    list_pictures(&s);
    check_targets(&s, suffix);
    check_resume(&s);
    measure(&s);
    stop_watch();
    if (!c->o.resume)
        s.inputs = inputs_new(&c->session, &s.o, decoding(c));
    session_load(&c->session, &c->o);
    if (c->wants_page)
        session_hash(&c->session); /* computed here, as writers only read it */
    if (c->o.resume && c->o.json)
        results_read(&s.known);
    open_command(&s);
    if (c->o.resume) {
        c->kept = operands_drop(&s.o, answered_operand, &s);
        s.inputs = inputs_new(&c->session, &s.o, decoding(c));
    }
    s.batch = batch_size(&s) > 0 ? batch_size(&s) : 1;
    s.writers = writers_new(writer_threads(c), write_job, &s);
    if (group_new(&s.filling, c, s.batch, &e) || group_new(&s.running, c, s.batch, &e)) {
        complain("%s", e.text);
        c->broken = true;
    } else
        loop(&s);
    writers_end(s.writers, &failed);
    inputs_free(s.inputs);
    int status = end(&s, failed);
    mv_explainer_free(s.explainer);
    group_free(&s.filling);
    group_free(&s.running);
    free(s.planes);
    results_free(&s.known);
    operands_free(&s.o);
    session_close(&c->session);
    stop_end();
    return status;
}
