#include "cmd/session.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assets/assets.h"
#include "cmd/claims.h"
#include "cmd/device.h"
#include "cmd/hub.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/explain/methods.h"

/* ---- the model */

static const char no_model[] =
    "this build carries no model: give -m a checkpoint, a .safetensors file or a folder with model.safetensors and "
    "config.json, such as the published MambaVision ones of Hugging Face";

static void open_embedded(session *s)
{
    mv_error e = {0};
    mv_asset model = MV_ASSET(model);
    if (model.size == 0)
        die(EXIT_FAILED, "%s", no_model);
    s->checkpoint = mv_checkpoint_of(model.bytes, model.size, "nano", &e);
    if (!s->checkpoint)
        die_of(&e, false);
    s->embedded = true;
}

/* ImageNet's 1000 classes, "wnid<TAB>name" a line */
static void read_labels(mv_labels *out)
{
    mv_error e = {0};
    mv_asset text = MV_ASSET(labels);
    if (mv_labels_parse(out, (const char *)text.bytes, text.size, "class names", &e))
        die_of(&e, false);
}

static void choose_pipeline(mv_config *c, const options *o)
{
    mv_preprocess *p = &c->preprocess;
    if (o->size.h)
        p->h = o->size.h, p->w = o->size.w;
    if (o->crop_pct > 0)
        p->crop_pct = o->crop_pct;
    if (o->crop_mode >= 0)
        p->mode = (mv_crop_mode)o->crop_mode;
    if (o->interpolation >= 0)
        p->filter = (mv_resample_filter)o->interpolation;
}

/* The name for results: safe to print and to write as JSON. */
static void set_name(session *s, const char *name)
{
    char *safe = must(mv_text_escape(name));
    mv_text_shorten(s->name, sizeof s->name, sizeof s->name, safe);
    free(safe);
}

/* A model of 1000 classes without names has ImageNet's; one with names has ImageNet's ids if its names say so. */
static void choose_labels(session *s)
{
    static const mv_labels none;
    const mv_labels *own = s->checkpoint ? mv_checkpoint_labels(s->checkpoint) : &none;
    if (s->config.classes == 1000) {
        read_labels(&s->imagenet);
        if (own->n && !mv_labels_agree(own, &s->imagenet))
            mv_labels_free(&s->imagenet);
    }
    s->labels = own->n ? own : &s->imagenet;
    s->brief = must(mv_labels_short((const char *const *)s->labels->name, s->labels->n));
}

/* The files of the model, and the configs that may be beside it. */
static void list_files(session *s)
{
    static const char *const beside[] = {"config.json", "preprocessor_config.json"};
    enum { BESIDE = sizeof beside / sizeof *beside };
    const char *path, *file = s->checkpoint ? mv_checkpoint_file(s->checkpoint, 0) : NULL;
    int n = 0, kept = 0;
    while (s->checkpoint && mv_checkpoint_file(s->checkpoint, n))
        n++;
    s->files = must(calloc((size_t)n + BESIDE + 1, sizeof *s->files));
    for (; kept < n && (path = mv_checkpoint_file(s->checkpoint, kept)); kept++)
        s->files[kept] = must(strdup(path));
    for (int i = 0; n && i < BESIDE; i++, kept++)
        if (asprintf(&s->files[kept], "%.*s%s", (int)(mv_text_base_name(file) - file), file, beside[i]) < 0)
            die(EXIT_FAILED, "out of memory");
}

/* Results must not be appended to the model, whatever the command. */
static void claim_files(const session *s)
{
    claims *k = claims_new();
    claims_read_model(k, s->files);
    claims_end(k);
}

/* Ends the program for --weights where there is no file that may hold several networks. */
static void refuse_weights(const options *o, const char *what)
{
    if (o->weights)
        die(EXIT_MISUSE,
            "--weights: found %s, which holds one network at most, expected -m with a checkpoint that "
            "holds several",
            what);
}

static void open_named(session *s, const options *o)
{
    mv_error e = {0};
    mv_warnings warnings = {0};
    char *path = hub_model(o->model, &s->config, s->lacks);
    if (!path) {
        refuse_weights(o, "a variant's name");
        snprintf(s->name, sizeof s->name, "%s", s->config.name);
        return;
    }
    s->checkpoint = mv_checkpoint_open(path, o->weights, &warnings, &e);
    s->cached = strcmp(path, o->model) != 0;
    free(path);
    if (e.code == MV_EMISUSE)
        die(misuse_of(&e), "--weights: %s", e.text);
    if (!s->checkpoint)
        die_of(&e, false);
    warn_each(&warnings);
}

void session_open(session *s, const options *o)
{
    *s = (session){0};
    if (o->model) {
        open_named(s, o);
        list_files(s);
        claim_files(s);
    } else {
        refuse_weights(o, "the embedded model");
        open_embedded(s);
    }
    if (s->checkpoint) {
        s->config = *mv_checkpoint_config(s->checkpoint);
        bool number = s->cached && !*s->config.name; /* a snapshot's folder is one */
        set_name(s, number ? o->model : mv_checkpoint_name(s->checkpoint));
    }
    choose_pipeline(&s->config, o);
    choose_labels(s);
}

/* "ten classes", "25 classes" */
static const char *classes_text(char text[32], int n)
{
    static const char *const words[] = {"no",  "one",   "two",   "three", "four", "five",
                                        "six", "seven", "eight", "nine",  "ten"};
    if (n <= 10)
        snprintf(text, 32, "%s class%s", words[n], n == 1 ? "" : "es");
    else
        snprintf(text, 32, "%d classes", n);
    return text;
}

/* Once per run: the answers of the embedded model are those of a toy. */
static void tell_demo(const session *s)
{
    static bool told;
    char classes[32];
    if (!told && s->config.classes < 1000)
        warn("this is the demo model, which knows %s; for a published one: mvscope pull T, then -m T",
             classes_text(classes, s->config.classes));
    told = true;
}

void session_need_head(const session *s, const char *command)
{
    if (s->config.classes == 0)
        die(EXIT_FAILED,
            "%s: has no classification head (no tensor head.weight), which %s needs; attention, mixer, dump and info "
            "work without one",
            mv_checkpoint_source(s->checkpoint)->place, command);
    if (s->config.classes == 1)
        warn("%s: the head has one logit; its probability is the sigmoid of that logit", s->name);
}

const char *session_sigmoid(const session *s)
{
    return s->config.classes == 1 ? " (sigmoid)" : "";
}

void session_load(session *s, const options *o)
{
    mv_error e = {0};
    mv_warnings warnings = {0};
    if (!s->checkpoint)
        die(EXIT_FAILED, "-m %s: has no weights here: %s; 'mvscope pull %s' fetches them", o->model, s->lacks,
            o->model);
    if (s->embedded)
        tell_demo(s);
    bool may_fall_back;
    snprintf(s->loading, sizeof s->loading, "loading %s", s->name);
    progress_begin(s->loading);
    s->backend = device_chosen(o, &may_fall_back);
    s->model = mv_model_new(&s->config, s->backend, mv_checkpoint_source(s->checkpoint), &e);
    if (!s->model && may_fall_back && (e.code == MV_ENOMEM || e.code == MV_EDEVICE)) {
        warn("%s; using the CPU instead", e.text);
        s->backend->free(s->backend);
        e = (mv_error){0};
        s->backend = device_cpu(o);
        s->model = mv_model_new(&s->config, s->backend, mv_checkpoint_source(s->checkpoint), &e);
    }
    if (!s->model)
        die_of(&e, false);
    if (!s->again)
        mv_checkpoint_unread(s->checkpoint, o->verbose, &warnings);
    warn_each(&warnings);
    if (o->verbose)
        warn("%s: %.1f M parameters on %s (%s)", s->name, (double)mv_model_parameters(s->model) * 1e-6,
             s->backend->name, s->backend->about);
}

void session_close(session *s)
{
    mv_model_free(s->model);
    if (s->backend)
        s->backend->free(s->backend);
    mv_labels_short_free(s->brief, s->labels ? s->labels->n : 0);
    mv_checkpoint_close(s->checkpoint);
    mv_labels_free(&s->imagenet);
    for (char **f = s->files; f && *f; f++)
        free(*f);
    free(s->files);
}

const char *session_hash(session *s)
{
    mv_error e = {0};
    if (s->checkpoint && !*s->hash && mv_checkpoint_sha256(s->checkpoint, s->hash, &e))
        die_of(&e, false);
    return s->hash;
}

static const char *name_or_number(char *const *names, const session *s, int i, char text[24])
{
    if (i >= 0 && i < s->labels->n && names[i] && *names[i])
        return names[i];
    if (i < 0)
        return "no class";
    snprintf(text, 24, "class %d", i);
    return text;
}

const char *session_class(const session *s, int i, char text[24])
{
    return name_or_number(s->brief, s, i, text);
}

const char *session_label(const session *s, int i, char text[24])
{
    return name_or_number(s->labels->name, s, i, text);
}

const char *session_class_name(void *session_, int i, char text[24])
{
    return session_class(session_, i, text);
}

const char *session_wnid(const session *s, int i)
{
    if (i < s->labels->n && s->labels->wnid[i])
        return s->labels->wnid[i];
    return i < s->imagenet.n ? s->imagenet.wnid[i] : NULL;
}

/* True if `text` is the name, or one of several names, in either case. */
static bool is_named(const char *name, const char *text)
{
    return strcasecmp(name, text) == 0 || mv_labels_names(name, text);
}

mv_status session_find_class(const session *s, const char *text, const char *place, int *out, mv_error *e)
{
    const mv_labels *l = s->labels;
    char *end;
    int classes = s->config.classes;
    if (strcmp(text, "top") == 0 || strcmp(text, "second") == 0) {
        *out = *text == 't' ? MV_CLASS_TOP : MV_CLASS_SECOND;
        if (*out == MV_CLASS_SECOND && classes < 2)
            return mv_fail(e, MV_EINPUT, "%s: found 'second', but the model has one class", place);
        return MV_OK;
    }
    errno = 0;
    long number = strtol(text, &end, 10);
    if ((isdigit((unsigned char)*text) || *text == '-') && end > text && !*end) { /* no space or + before it */
        if (errno || number < 0 || number >= classes)
            return mv_fail(e, MV_EINPUT, "%s: found %.40s, expected 0 to %d", place, text, classes - 1);
        *out = (int)number;
        return MV_OK;
    }
    bool named = false;
    for (int i = 0; i < l->n && i < classes; i++) {
        const char *wnid = session_wnid(s, i);
        named |= l->name[i] != NULL;
        if ((l->name[i] && is_named(l->name[i], text)) || (wnid && strcmp(wnid, text) == 0)) {
            *out = i;
            return MV_OK;
        }
    }
    const char *near = named ? mv_text_nearest(text, l->n, (const char *const *)l->name) : NULL;
    return mv_fail(e, MV_EINPUT, "%s: found '%.60s', expected a class: a number from 0 to %d%s%s%s%s", place, text,
                   classes - 1, named ? ", a name or a wnid" : "", near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

const char *session_precision(const session *s)
{
    return device_precision(s->backend);
}

const char *session_device(const session *s)
{
    return s->backend->name;
}

const char *session_demo(const session *s, char text[48])
{
    char classes[32];
    *text = '\0';
    if (s->embedded)
        snprintf(text, 48, "demo model: %s", classes_text(classes, s->config.classes));
    return text;
}

const char *session_pipeline(const session *s, char text[64])
{
    const mv_preprocess *p = &s->config.preprocess;
    bool whole = p->crop_pct == (int)p->crop_pct;
    snprintf(text, 64, "%d \xc3\x97 %d, %s %.4g%s, %s", p->h, p->w, mv_crop_mode_name(p->mode), p->crop_pct,
             whole ? ".0" : "", mv_interpolation_name(p->filter));
    return text;
}
