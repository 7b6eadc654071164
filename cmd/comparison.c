#include "cmd/comparison.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/text.h"

/* ---- labels */

static const char *device_of(const comparison *k, int i)
{
    const char *word = i && k->o->with_device ? k->o->with_device : k->c->o.device;
    return strcmp(word, "auto") ? word : session_device(k->side[i].session);
}

/* What tells a side from the other one: the picture, model, device, precision or class. */
static mv_status label(comparison *k, int i, mv_error *e)
{
    const comparison_options *o = k->o;
    compared *x = &k->side[i];
    char text[1200] = "", name[24];
    size_t n = 0;
    const char *models[] = {k->side[0].session->name, k->side[1].session->name};
    if (k->two)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %.255s", mv_text_base_name(x->path));
    if (o->with_model && strcmp(models[0], models[1]))
        n += (size_t)snprintf(text + n, sizeof text - n, ", %s", models[i]);
    else if (o->with_model)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %s %.6s", models[i], session_hash(x->session));
    if (o->with_device)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %.40s", device_of(k, i));
    if (o->with_precision >= 0)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %s", session_precision(x->session));
    if (o->dump)
        n = (size_t)snprintf(text, sizeof text, ", %.255s", i ? mv_text_base_name(o->dump) : x->session->name);
    x->who = mv_text_escape(*text ? text + 2 : "");
    if (o->with_class && x->class_ >= 0)
        mv_text_print(text + n, sizeof text - n, ", %.80s", session_class(x->session, x->class_, name));
    x->label = mv_text_escape(*text ? text + 2 : "");
    return x->who && x->label ? MV_OK : mv_fail_memory(e, "compare");
}

static void rank(compared *x)
{
    int classes = x->session->config.classes;
    x->top_count = classes < COMPARED_TOP ? classes : COMPARED_TOP;
    for (int i = 0; i < x->top_count; i++) {
        x->top[i] = mv_class_of(MV_CLASS_RANK(i), x->logits, classes);
        x->probability[i] = mv_probability(x->logits, classes, x->top[i]);
    }
}

/* ---- inputs */

static mv_status planes_of(const comparison *k, const session *s, const input *in, int index, float **planes,
                           mv_error *e)
{
    size_t n = (size_t)3 * (size_t)k->h * (size_t)k->w;
    if (!*planes && !(*planes = malloc(n * sizeof **planes)))
        return mv_fail_memory(e, "compare");
    if (in->planes)
        memcpy(*planes, in->planes + (size_t)index * n, n * sizeof **planes);
    else
        mv_preprocess_normalise(&s->config.preprocess, &in->image, *planes);
    return MV_OK;
}

static mv_status next_input(comparison *k, int operand, input *in, mv_error *e)
{
    if (inputs_next(k->inputs, in, e))
        return e->code;
    if (k->h == 0)
        k->h = in->h, k->w = in->w;
    if (in->h == k->h && in->w == k->w)
        return MV_OK;
    mv_fail(e, MV_EINPUT, "%s: found an input of %dx%d, expected %dx%d as those before", k->list.path[operand], in->h,
            in->w, k->h, k->w);
    input_free(in);
    return MV_EINPUT;
}

/* What a side's picture looks like; of one picture, side 0 has it. */
static mv_status keep_image(const comparison *k, input *in, mv_image *image, mv_error *e)
{
    if (!k->c->shows || image->rgb)
        return MV_OK;
    if (in->planes)
        return input_show(&k->c->session, in, 0, image, e);
    *image = in->image;
    in->image = (mv_image){0};
    return MV_OK;
}

static mv_status prepare_side(comparison *k, int i, int operand, mv_error *e)
{
    compared *x = &k->side[i];
    x->path = k->list.path[operand];
    x->name = mv_text_escape(x->path);
    x->logits = calloc((size_t)x->session->config.classes, sizeof *x->logits);
    return x->name && x->logits ? MV_OK : mv_fail_memory(e, "compare");
}

/* ---- maps */

/* The class of the second network that has the same name as class i of the first; -1: none. */
static int same_class(const session *a, int i, const session *b)
{
    char text[2][24];
    const char *wnid = session_wnid(a, i), *name = session_class(a, i, text[0]);
    if (a == b)
        return i;
    for (int k = 0; k < b->config.classes; k++) {
        const char *other = session_wnid(b, k);
        if (wnid && other ? strcmp(wnid, other) == 0 : strcasecmp(name, session_class(b, k, text[1])) == 0)
            return k;
    }
    return -1;
}

/* The class that a side explains, when its answer is known. */
static mv_status choose_class(comparison *k, int i, int wanted, mv_error *e)
{
    compared *x = &k->side[i];
    int classes = x->session->config.classes;
    x->class_ = mv_class_of(wanted, x->logits, classes);
    if (x->class_ < 0 && wanted != MV_MAP_NONE)
        return mv_fail(e, MV_EINPUT, "--class: found second, expected a network of more than one class");
    return MV_OK;
}

/* The class that a side is asked for, a number or a rank: a backward pass needs it before the answer is known. Side 1
 * comes after side 0. */
static mv_status wanted_class(const comparison *k, int i, int *wanted, mv_error *e)
{
    const comparison_options *o = k->o;
    const session *s = k->side[i].session;
    char text[24];
    *wanted = MV_CLASS_TOP;
    if (!(o->ask.method->takes & MV_TAKES_CLASS)) {
        *wanted = MV_MAP_NONE;
        return MV_OK;
    }
    if (i == 0)
        return o->class_ ? session_find_class(s, o->class_, "--class", wanted, e) : MV_OK;
    if (o->with_class)
        return session_find_class(s, o->with_class, "--with-class", wanted, e);
    int same = same_class(k->side[0].session, k->side[0].class_, s);
    if (same < 0 && o->class_)
        return mv_fail(e, MV_EINPUT, "--class: found %s, which %s has not; --with-class chooses one that it has",
                       session_class(k->side[0].session, k->side[0].class_, text), s->name);
    *wanted = same < 0 ? MV_CLASS_TOP : same;
    return MV_OK;
}

/* The first picture of a side: its answer and its maps. */
static mv_status explain_side(comparison *k, int i, another *x, mv_error *e)
{
    compared *of = &k->side[i];
    if (wanted_class(k, i, &x->ask[0].class_, e) || another_run(x, of->planes, of->logits, e) ||
        mv_logits_check(of->logits, of->session->config.classes, of->session->name, e) ||
        choose_class(k, i, x->ask[0].class_, e))
        return e->code;
    rank(of);
    x->ask[0].class_ = of->class_;
    return another_explain(x, of->planes, of->logits, &k->maps[i], e);
}

static mv_status open_side(comparison *k, int i, another *x, mv_error *e)
{
    const session *s = k->side[i].session;
    if (k->counts_blocks && !(k->cells[i] = mv_features_new(&s->config, k->h, k->w, k->pictures, e)))
        return e->code;
    if (another_open(x, s, s->model, &k->o->ask, 1, k->cells[i] ? mv_features_probe(k->cells[i]) : NULL, k->h, k->w,
                     k->c->o.batch, e))
        return e->code;
    if (x->passes)
        mv_passes_watch(x->passes, progress_passes, NULL);
    return MV_OK;
}

/* Shows both networks the pictures after the first, for CKA. */
static mv_status show_others(comparison *k, another x[2], input *in, mv_error *e)
{
    mv_status s = MV_OK;
    int shown = 1, operand = 0;
    for (int index = 1; shown < k->pictures && !s; index++) {
        if (index >= in->pictures) {
            input_free(in);
            index = 0;
            s = next_input(k, ++operand, in, e);
        }
        float *logits[2] = {NULL, NULL};
        for (int i = 0; i < 2 && !s; i++) {
            logits[i] = malloc((size_t)k->side[i].session->config.classes * sizeof(float));
            s = logits[i] ? planes_of(k, k->side[i].session, in, index, &k->side[i].planes, e)
                          : mv_fail_memory(e, "compare");
            if (!s)
                s = another_run(&x[i], k->side[i].planes, logits[i], e);
            if (!s)
                s = mv_logits_check(logits[i], k->side[i].session->config.classes, k->side[i].session->name, e);
        }
        free(logits[0]);
        free(logits[1]);
        progress_count(++shown, k->pictures);
    }
    return s;
}

static mv_status compare_blocks(comparison *k, mv_error *e)
{
    int n = mv_features_blocks(k->cells[0]), m = mv_features_blocks(k->cells[1]);
    k->grid = malloc((size_t)n * (size_t)m * sizeof *k->grid);
    return k->grid ? mv_cka_grid(k->grid, k->cells[0], k->cells[1], e) : mv_fail_memory(e, "CKA");
}

/* What both sides see first: one picture, or one each. */
static mv_status read_sides(comparison *k, input *in, mv_error *e)
{
    mv_status s = next_input(k, 0, in, e);
    for (int i = 0; i < 2 && !s; i++) {
        if (i && k->two) {
            s = keep_image(k, in, &k->side[0].image, e);
            input_free(in);
            if (!s)
                s = next_input(k, 1, in, e);
        }
        if (!s)
            s = prepare_side(k, i, k->two ? i : 0, e);
        if (!s)
            s = planes_of(k, k->side[i].session, in, 0, &k->side[i].planes, e);
    }
    return s ? s : keep_image(k, in, &k->side[k->two].image, e);
}

static mv_status compare_maps(comparison *k, mv_error *e)
{
    input in = {0};
    another x[2] = {{0}, {0}};
    mv_status s = read_sides(k, &in, e);
    for (int i = 0; i < 2 && !s; i++) {
        s = open_side(k, i, &x[i], e);
        if (!s)
            s = explain_side(k, i, &x[i], e);
    }
    if (!s && k->counts_blocks)
        s = show_others(k, x, &in, e);
    if (!s && k->counts_blocks)
        s = compare_blocks(k, e);
    for (int i = 0; i < 2; i++)
        another_close(&x[i]);
    input_free(&in);
    return s ? s : map_pairs_of(&k->pairs, &k->maps[0], &k->maps[1], e);
}

/* ---- values */

static mv_status plan_values(comparison *k, mv_error *e)
{
    char *patterns = mv_param_join(&k->o->site);
    bool exact = strcmp(session_precision(k->side[0].session), "fp32") == 0 &&
                 strcmp(session_precision(k->side[1].session), "fp32") == 0;
    mv_status s = patterns ? value_pairs_new(&k->values, k->side[0].session, k->dump ? NULL : k->side[1].session,
                                             k->dump, patterns, k->two ? 1 : k->pictures, k->h, k->w, e)
                           : mv_fail_memory(e, "--site");
    k->values.tolerance = options_given(k->c, "tolerance") ? k->o->tolerance : exact ? 1e-3 : 0.05;
    free(patterns);
    return s;
}

/* Adds what both sides see: each picture, or the two pictures. */
static mv_status add_values(comparison *k, input *in, int index, input *second, mv_error *e)
{
    compared *x = k->side;
    if (planes_of(k, x[0].session, in, index, &x[0].planes, e) ||
        planes_of(k, x[1].session, second ? second : in, second ? 0 : index, &x[1].planes, e))
        return e->code;
    if (k->values.done == 0 && (keep_image(k, in, &x[0].image, e) || (second && keep_image(k, second, &x[1].image, e))))
        return e->code;
    return value_pairs_add(&k->values, (const float *const[]){x[0].planes, x[1].planes},
                           (float *const[]){x[0].logits, x[1].logits}, e);
}

static mv_status compare_values(comparison *k, mv_error *e)
{
    input in = {0}, second = {0};
    mv_status s = MV_OK;
    for (int i = 0; i < 2 && !s; i++) {
        s = prepare_side(k, i, k->two ? i : 0, e);
        k->side[i].class_ = MV_MAP_NONE;
    }
    for (int i = 0; i < (k->two ? 1 : k->list.n) && !s; i++) {
        s = next_input(k, i, &in, e);
        if (!s && k->two)
            s = next_input(k, 1, &second, e);
        if (!s && i == 0)
            s = plan_values(k, e);
        for (int n = 0; n < (k->two ? 1 : in.pictures) && !s; n++) {
            progress_count(k->values.done, k->pictures);
            s = add_values(k, &in, n, k->two ? &second : NULL, e);
            for (int x = 0; x < (k->dump ? 1 : 2) && !s && k->values.done == 1; x++)
                rank(&k->side[x]);
        }
        input_free(&in);
        input_free(&second);
    }
    return s;
}

/* ---- the run */

/* 1 where --tolerance was given and something is beyond it, or where a value that was asked for cannot be compared. */
static int verdict(const comparison *k)
{
    int status = EXIT_DONE;
    for (int i = 0; i < k->values.n; i++)
        if (k->values.pair[i].state == PAIR_REFUSED) {
            complain("%s", k->values.pair[i].why);
            status = EXIT_FAILED;
        }
    return options_given(k->c, "tolerance") && value_pairs_parting(&k->values) >= 0 ? EXIT_FAILED : status;
}

static mv_status work(comparison *k, mv_error *e)
{
    mv_status s = k->o->values ? compare_values(k, e) : compare_maps(k, e);
    progress_end();
    for (int i = 0; i < 2 && !s; i++)
        s = label(k, i, e);
    if (!s && k->raw) {
        size_t n = k->grid ? (size_t)mv_features_blocks(k->cells[0]) * (size_t)mv_features_blocks(k->cells[1]) : 0;
        float *cka = n ? malloc(n * sizeof *cka) : NULL;
        for (size_t i = 0; cka && i < n; i++)
            cka[i] = (float)k->grid[i];
        s = n && !cka ? mv_fail_memory(e, "CKA")
                      : map_pairs_write(k->raw, &k->pairs, cka, n ? mv_features_blocks(k->cells[0]) : 0,
                                        n ? mv_features_blocks(k->cells[1]) : 0, e);
        free(cka);
    }
    if (!s)
        s = comparison_print(k, e);
    return s || !k->page ? s : comparison_draw(k, e);
}

static void free_all(comparison *k)
{
    inputs_free(k->inputs);
    map_pairs_free(&k->pairs);
    value_pairs_free(&k->values);
    for (int i = 0; i < 2; i++) {
        compared *x = &k->side[i];
        mv_features_free(k->cells[i]);
        mv_maps_free(&k->maps[i]);
        mv_image_free(&x->image);
        free(x->planes);
        free(x->logits);
        free(x->name);
        free(x->label);
        free(x->who);
    }
    free(k->grid);
    free(k->page);
    free(k->raw);
    mv_arrays_close(k->dump);
    operands_free(&k->list);
    if (k->own_second)
        session_close(&k->second);
    session_close(&k->c->session);
}

int comparison_run(call *c)
{
    comparison k = {.c = c, .o = c->own};
    mv_error e = {0};
    comparison_open(&k);
    progress_begin("comparing");
    mv_status s = work(&k, &e);
    progress_end();
    if (s && !stop_asked())
        complain("%s", e.text);
    else if (s && stop_results_error() != EPIPE)
        complain("stopped; nothing was compared");
    int status = s == MV_EINPUT && strncmp(e.text, "--", 2) == 0 ? EXIT_MISUSE : s ? EXIT_FAILED : verdict(&k);
    free_all(&k);
    stop_end();
    return status;
}
